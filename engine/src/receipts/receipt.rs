//! The evidence itself.

use crate::roots::StateRoot;
use crate::store::{Durable, Position};
use crate::types::{Digest, Height};

/// That a height is executed, and its record durable at this validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    height: Height,
    state_root: Digest,
}

impl Receipt {
    /// The receipt of a height whose record stands at `position` of the log; `None` while the record is not durable.
    pub fn mint(durable: &Durable, position: Position, state_root: &StateRoot) -> Option<Self> {
        let receipt = Self { height: state_root.height(), state_root: *state_root.digest() };
        durable.covers(position).then_some(receipt)
    }

    /// The height.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The state root of the height.
    pub fn state_root(&self) -> &Digest {
        &self.state_root
    }
}
