//! Links between validators, and what was said over them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    Viewable as _,
    simplex::{scheme::ed25519::Scheme, types::Vote},
};

use super::pace::Pace;
use crate::{Channel, Inbound, Payload, Recipients, Transport, committee::Digest};

/// The longest that a message is on its way.
const DELAY: Duration = Duration::from_millis(8);

/// Delivers unless the recipient is away, and remembers what everybody voted.
#[derive(Clone)]
pub(crate) struct Network {
    pace: Pace,
    links: Arc<Mutex<Links>>,
}

#[derive(Default)]
struct Links {
    inbounds: BTreeMap<u16, Inbound>,
    votes: BTreeMap<(u16, u64), Votes>,
    loses_finalize_votes: bool,
    /// Votes of the first never reach the second.
    deaf: Option<(u16, u16)>,
    certificates: usize,
}

/// What one validator has voted in one view, over all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Votes {
    pub(crate) notarized: BTreeSet<Payload>,
    pub(crate) finalized: BTreeSet<Payload>,
    pub(crate) nullified: bool,
}

impl Network {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, links: Arc::default() }
    }

    pub(crate) fn connect(&self, validator: u16, inbound: Inbound) {
        self.links.lock().unwrap().inbounds.insert(validator, inbound);
    }

    pub(crate) fn disconnect(&self, validator: u16) {
        self.links.lock().unwrap().inbounds.remove(&validator);
    }

    /// From now on votes to finalize are lost, or not any more.
    pub(crate) fn lose_finalize_votes(&self, lose: bool) {
        self.links.lock().unwrap().loses_finalize_votes = lose;
    }

    /// From now on votes of `from` never reach `to`.
    pub(crate) fn lose_votes(&self, from: u16, to: u16) {
        self.links.lock().unwrap().deaf = Some((from, to));
    }

    /// How many certificates were broadcast.
    pub(crate) fn certificates(&self) -> usize {
        self.links.lock().unwrap().certificates
    }

    pub(crate) fn deliver(&self, from: u16, to: u16, channel: Channel, message: Bytes) -> bool {
        let inbound = self.links.lock().unwrap().inbounds.get(&to).cloned();
        inbound.is_some_and(|inbound| inbound.deliver(from, channel, message))
    }

    /// Remembers a vote; `false` if it is to be lost.
    fn passes(&self, from: u16, message: &[u8]) -> bool {
        let vote = Vote::<Scheme, Digest>::decode(Copying(message)).expect("engines send votes");
        let mut links = self.links.lock().unwrap();
        let lost = links.loses_finalize_votes && matches!(vote, Vote::Finalize(_));
        let votes = links.votes.entry((from, vote.view().get())).or_default();
        match vote {
            Vote::Notarize(vote) => drop(votes.notarized.insert(vote.proposal.payload.0)),
            Vote::Finalize(vote) => drop(votes.finalized.insert(vote.proposal.payload.0)),
            Vote::Nullify(_) => votes.nullified = true,
        }
        !lost
    }

    pub(crate) fn votes(&self, validator: usize, view: u64) -> Votes {
        let validator = validator as u16;
        self.links.lock().unwrap().votes.get(&(validator, view)).cloned().unwrap_or_default()
    }

    /// How many different votes a validator has sent.
    pub(crate) fn votes_of(&self, validator: u16) -> usize {
        let links = self.links.lock().unwrap();
        let of = links.votes.iter().filter(|((voter, _), _)| *voter == validator);
        of.map(|(_, votes)| votes.notarized.len() + votes.finalized.len() + usize::from(votes.nullified))
            .sum()
    }

    /// The last vote of `of` that has come to a running validator.
    pub(crate) fn last_vote(&self, at: u16, of: u16) -> Option<Bytes> {
        self.links.lock().unwrap().inbounds.get(&at)?.last_vote(of)
    }

    /// Forgets what a validator has voted until now.
    pub(crate) fn forget_votes(&self, validator: u16) {
        self.links.lock().unwrap().votes.retain(|(voter, _), _| *voter != validator);
    }

    /// The lowest view in which it has voted since.
    pub(crate) fn lowest_vote(&self, validator: u16) -> Option<u64> {
        let links = self.links.lock().unwrap();
        links.votes.keys().find(|(voter, _)| *voter == validator).map(|(_, view)| *view)
    }

    /// Whether nobody ever contradicted itself, over all runs.
    pub(crate) fn assert_nobody_voted_twice(&self) {
        for ((validator, view), votes) in &self.links.lock().unwrap().votes {
            assert!(votes.notarized.len() <= 1, "validator {validator} notarized twice in view {view}");
            assert!(votes.finalized.len() <= 1, "validator {validator} finalized twice in view {view}");
            assert!(
                votes.finalized.is_empty() || !votes.nullified,
                "validator {validator} both skipped and finalized view {view}"
            );
        }
    }
}

/// One validator's way out.
pub(crate) struct Link {
    pub(crate) me: u16,
    pub(crate) network: Network,
}

impl Transport for Link {
    fn send(&self, to: Recipients, channel: Channel, message: Bytes) {
        let me = self.me;
        self.network.pace.record(|| format!("{me} sends {channel:?} to {to:?}: {message:?}"));
        if channel == Channel::Vote && !self.network.passes(me, &message) {
            return;
        }
        let to = match to {
            Recipients::All => {
                let mut links = self.network.links.lock().unwrap();
                links.certificates += usize::from(channel == Channel::Certificate);
                links.inbounds.keys().copied().filter(|peer| *peer != me).collect()
            }
            Recipients::One(peer) => vec![peer],
            Recipients::Some(peers) => peers,
        };
        for peer in to {
            assert_ne!(peer, me, "nobody sends to itself");
            if channel == Channel::Vote && self.network.links.lock().unwrap().deaf == Some((me, peer)) {
                continue;
            }
            let (network, message) = (self.network.clone(), message.clone());
            self.network.pace.later(DELAY, move || {
                network.deliver(me, peer, channel, message);
            });
        }
    }
}
