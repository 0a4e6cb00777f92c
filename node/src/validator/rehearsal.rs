//! A start without a network: what a validator would go on from, and whether it believes its own logs.

use anyhow::Context as _;
use engine::order::Finality;
use engine::types::Height;

use super::ordering::Certificates;
use super::orders::Orders;
use super::start::{Opened, open};
use crate::config::Config;

/// What a start has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// The last height that is committed here.
    pub height: Height,
    /// The view in which that was finalized, 0 at the genesis.
    pub finalized_view: u64,
    /// The highest view of which the log of votes knows.
    pub voted_view: u64,
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
    let Opened { journal, votes, resumed, standing, .. } = open(config, &Orders::none(), &certificates)?;
    drop(journal);
    Ok(Rehearsal {
        height: resumed.recovered.head.height,
        finalized_view: resumed.recovered.finality.as_ref().map_or(0, Finality::view),
        voted_view: votes.replay.memory(resumed.recovered.epochs.present().0).view(),
        believes_a_loss: standing.stream_lost || standing.votes_forgotten,
    })
}
