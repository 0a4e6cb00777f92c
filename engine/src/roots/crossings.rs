//! The trees over what a chain sends to other chains and what comes from them.

use super::leaf_hashes;
use crate::execute::{DELIVERY_BYTES, Delivered, Delivery};
use crate::types::Digest;

/// The root over what a chain sends in a block, in the order of its execution.
pub fn outbox_root(outbox: &[Delivery]) -> Digest {
    let leaf = |delivery: &Delivery| {
        let mut leaf = [0; 1 + DELIVERY_BYTES];
        leaf[1..].copy_from_slice(&delivery.leaf());
        leaf
    };
    Digest(kernels::merkle::root(&leaf_hashes(outbox.iter().map(leaf))))
}

/// The root over what comes to a chain in a block and what becomes of it, in the order of its execution.
pub fn inbox_root(inbox: &[Delivered]) -> Digest {
    let leaf = |Delivered { delivery, outcome }: &Delivered| {
        let mut leaf = [0; 1 + DELIVERY_BYTES + 1];
        leaf[1..=DELIVERY_BYTES].copy_from_slice(&delivery.leaf());
        leaf[1 + DELIVERY_BYTES] = outcome.code();
        leaf
    };
    Digest(kernels::merkle::root(&leaf_hashes(inbox.iter().map(leaf))))
}
