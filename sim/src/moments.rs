//! What happens at validators, as scripts and checkers see it, by views of consensus.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use consensus::Channel;
use engine::types::Digest;

/// Something that a validator does or is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// It is asked for a block.
    Proposes,
    /// It is asked whether it votes to notarize.
    Verifies,
    /// It drops the reply to that question.
    GivesUp,
    /// It is asked whether it votes to finalize.
    Certifies,
    /// A liar that leads this view says no to that question.
    RefusesOwn,
    /// It has answered that it may.
    MayFinalize,
    /// A vote of this kind leaves.
    Notarizes,
    Nullifies,
    Finalizes,
    /// Its own consensus engine reports a finalization.
    HearsFinal,
    /// It asks for batches of an author: the view is the author's index.
    Fetches,
    /// It reports that an author contradicts itself: the view is the author's index.
    Contradicts,
    /// It starts without its stream: view 0.
    LosesStream,
    /// It starts to vote again from a floor: view 0.
    Rejoins,
    /// It is shown that its directory is an older copy.
    FindsOlderCopy,
    /// It has dropped old records of its vote log: view 0.
    Prunes,
}

/// A vote or a certificate, as it travels: kind, view, and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) moment: Moment,
    pub(crate) view: u64,
    pub(crate) digest: Option<Digest>,
}

impl Said {
    /// Reads a vote or a certificate: kind, epoch, view, and for all but a vote to skip the parent's view and the
    /// digest.
    pub(crate) fn of(channel: Channel, message: &[u8]) -> Option<Self> {
        if !matches!(channel, Channel::Vote | Channel::Certificate) {
            return None;
        }
        let (kind, mut rest) = message.split_first()?;
        let moment = match kind {
            0 => Moment::Notarizes,
            1 => Moment::Nullifies,
            2 => Moment::Finalizes,
            _ => return None,
        };
        let _epoch = varint(&mut rest)?;
        let view = varint(&mut rest)?;
        if moment == Moment::Nullifies {
            return Some(Self { moment, view, digest: None });
        }
        let _parent = varint(&mut rest)?;
        let digest = rest.get(..32)?.try_into().ok().map(Digest);
        Some(Self { moment, view, digest })
    }
}

/// A number of seven bits a byte, the lowest first, as consensus encodes them.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

/// When, and about which block.
type Seen = (Duration, Option<Digest>);

/// All moments of a run, kept for its script. What a validator did in an earlier life is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Moments {
    seen: BTreeMap<(Moment, u64), BTreeMap<usize, Seen>>,
    /// The most blocks that were to be certified above the last finalized one, at one validator.
    pub(crate) unfinalized: u64,
}

impl Moments {
    pub(crate) fn note(&mut self, node: usize, moment: Moment, view: u64, seen: Seen) {
        self.seen.entry((moment, view)).or_default().insert(node, seen);
    }

    pub(crate) fn forget(&mut self, node: usize) {
        self.seen.values_mut().for_each(|nodes| {
            nodes.remove(&node);
        });
    }

    /// The first of these views in which all of `nodes` did this, the last of them not before `since`, and what it was
    /// about.
    pub(crate) fn find(
        &self,
        moment: Moment,
        nodes: &[usize],
        views: RangeInclusive<u64>,
        since: Duration,
    ) -> Option<(u64, Option<Digest>)> {
        let range = (moment, *views.start())..=(moment, *views.end());
        self.seen.range(range).find_map(|((_, view), seen)| {
            let all = nodes.iter().all(|node| seen.contains_key(node));
            let last = nodes.iter().filter_map(|node| seen.get(node)).map(|(at, _)| *at).max();
            let found = all && last.is_some_and(|last| last >= since);
            found.then(|| (*view, seen.values().find_map(|(_, digest)| *digest)))
        })
    }

    /// The last view in which a node did this, and what it was about.
    pub(crate) fn last(&self, moment: Moment, node: usize) -> Option<(u64, Option<Digest>)> {
        let mut range = self.seen.range((moment, 0)..=(moment, u64::MAX)).rev();
        range.find_map(|((_, view), seen)| seen.get(&node).map(|(_, digest)| (*view, *digest)))
    }

    /// The view in which a node did this with this block.
    pub(crate) fn view_of(&self, moment: Moment, node: usize, digest: &Digest) -> Option<u64> {
        let mut range = self.seen.range((moment, 0)..=(moment, u64::MAX));
        range
            .find(|(_, seen)| seen.get(&node).is_some_and(|(_, about)| *about == Some(*digest)))
            .map(|((_, view), _)| *view)
    }

    /// The first view above `above` in which validators voted to notarize different blocks.
    pub(crate) fn split(&self, above: u64, nodes: &[usize]) -> Option<u64> {
        let range = (Moment::Notarizes, above + 1)..=(Moment::Notarizes, u64::MAX);
        self.seen.range(range).find_map(|((_, view), seen)| {
            let voted = seen.iter().filter(|(node, _)| nodes.contains(node)).map(|(_, (_, digest))| *digest);
            (voted.collect::<BTreeSet<_>>().len() > 1).then_some(*view)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_read_as_they_travel() {
        let mut vote = vec![2, 0, 0xac, 0x02, 5];
        vote.extend_from_slice(&[7; 32]);
        vote.extend_from_slice(&[9; 66]);
        let said = Said { moment: Moment::Finalizes, view: 300, digest: Some(Digest([7; 32])) };
        assert_eq!(Said::of(Channel::Vote, &vote), Some(said));
        let said = Said { moment: Moment::Nullifies, view: 300, digest: None };
        assert_eq!(Said::of(Channel::Certificate, &[1, 0, 0xac, 0x02]), Some(said));
        assert_eq!(Said::of(Channel::Vote, &[3, 0, 0]), None);
        assert_eq!(Said::of(Channel::Vote, &vote[..20]), None);
    }
}
