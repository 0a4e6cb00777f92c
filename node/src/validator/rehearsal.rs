//! A start without a network: what a validator would go on from, and whether it believes its own logs.

use anyhow::Context as _;
use engine::types::{Epoch, Height};

use super::ordering::Certificates;
use super::orders::Orders;
use super::start::{Opened, open};
use crate::config::Config;

/// What a start has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// The last height that is committed here.
    pub height: Height,
    /// The epoch of the next height.
    pub epoch: Epoch,
    /// The epoch and the view in which `height` was finalized, 0 at the genesis.
    pub finalized: (Epoch, u64),
    /// The epoch of the log of votes, and the highest view of which that knows.
    pub voted: (Epoch, u64),
    /// Whether it takes its stream, or its votes, for lost.
    pub believes_a_loss: bool,
}

/// Recovers a data directory as a start does, notes the start in it, and closes it. Nobody is called, and no port is
/// needed.
///
/// # Errors
/// What would keep the validator from starting.
pub fn rehearse(config: &Config) -> anyhow::Result<Rehearsal> {
    let certificates = Certificates::new(&config.genesis).context("the genesis has an invalid key")?;
    let Opened { journal, votes, resumed, losses, .. } = open(config, &Orders::none(), &certificates, None)?;
    drop(journal);
    let finality = resumed.recovered.finality.as_ref();
    let epoch = votes.replay.epoch();
    Ok(Rehearsal {
        height: resumed.recovered.head.height,
        epoch: resumed.recovered.epochs.present(),
        finalized: finality.map_or((Epoch(0), 0), |finality| (finality.epoch(), finality.view())),
        voted: (Epoch(epoch), votes.replay.memory(epoch).view()),
        believes_a_loss: losses.stream_lost || losses.votes_forgotten,
    })
}
