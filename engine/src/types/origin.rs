//! From where a network goes on that was rebuilt.

use super::{Digest, Height};

/// The network from whose last state a rebuilt one goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// That network.
    pub network: Digest,
    /// The height of the state: at least 1, and the next block has the height after it.
    pub height: Height,
    /// The block that the first block of the rebuilt network extends.
    pub block: Digest,
    /// The state root from which the rebuilt network goes on.
    pub state_root: Digest,
    /// What the state has beside what is under its root: SHA-256 of the quotas of the chains, each as chain (4), height
    /// since when (8) and quota (4).
    pub quotas: Digest,
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// That of a network that was rebuilt, or none.
    pub fn origin() -> impl Strategy<Value = Option<Origin>> {
        let digest = || any::<[u8; 32]>().prop_map(Digest);
        let of = |(network, height, block, state_root, quotas)| Origin {
            network,
            height: Height(height),
            block,
            state_root,
            quotas,
        };
        let origin = (digest(), 1..u64::MAX, digest(), digest(), digest()).prop_map(of);
        prop_oneof![Just(None), origin.prop_map(Some)]
    }
}
