//! One author's batches above the finalized cut.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::limits::STREAM_BATCHES_MAX;
use crate::store::Position;
use crate::types::{Digest, Head, Sequence, ValidatorIndex};
use crate::verify::Verified;
use crate::wire::Batch;

/// Branches of a stream that are kept above the cut without having been asked for.
const BRANCHES_MAX: usize = 2;

/// Why a path from one head to another cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// This batch is not here.
    Missing(Head),
    /// The later head does not extend the earlier one: the two lie on different branches, or it goes back.
    Leaves,
}

/// Why a pushed batch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is here, or it is below the finalized cut.
    #[error("known or finalized already")]
    Known,
    /// It lies too far above the finalized cut, or the author's share of memory is used up.
    #[error("outside the window of its stream")]
    Window,
    /// A third branch: the author contradicts itself once more.
    #[error("a third branch of one stream")]
    Branch,
    /// What it follows is not here.
    #[error("the batch before it is not here")]
    Gap,
}

#[derive(Debug)]
struct Node {
    batch: Verified<Batch>,
    position: Option<Position>,
    durable: bool,
}

/// The batches of one author above the finalized cut, and how far each validator holds them.
#[derive(Debug)]
pub struct Stream {
    cut: Head,
    held: Head,
    /// The head that the author sent last by itself: of two branches this one is reported.
    pushed: Head,
    nodes: BTreeMap<Digest, Node>,
    /// The batches that follow a digest. Two or more prove a contradiction.
    following: BTreeMap<Digest, Vec<Digest>>,
    /// Batches above the cut that were here and can never be ordered, because the cut has left their branch: peers that
    /// do not know it yet still name them.
    left: BTreeMap<Digest, Sequence>,
    bytes: usize,
    bytes_max: usize,
    /// What each validator said last, and the last of it that lies on a branch that is durable here.
    told: Vec<Head>,
    resolved: Vec<Head>,
}

impl Stream {
    /// An empty stream above `cut`, in a network of `validators`, that may take `bytes_max` bytes.
    #[must_use]
    pub fn new(cut: Head, validators: usize, bytes_max: usize) -> Self {
        Self {
            cut,
            held: cut,
            pushed: cut,
            nodes: BTreeMap::new(),
            following: BTreeMap::new(),
            left: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            told: vec![Head::NONE; validators],
            resolved: vec![Head::NONE; validators],
        }
    }

    /// The finalized cut.
    #[must_use]
    pub fn cut(&self) -> Head {
        self.cut
    }

    /// How far this validator holds the stream durably: what it tells its peers.
    #[must_use]
    pub fn held(&self) -> Head {
        self.held
    }

    /// Whether a batch that was asked for by its digest may be taken: nobody can make this validator keep more than
    /// twice an author's share by naming heads that are not final.
    #[must_use]
    pub fn has_room(&self, batch: &Batch) -> bool {
        self.bytes + batch.bytes().len() <= 2 * self.bytes_max
    }

    /// Whether a sequence lies within the window above the cut. What lies beyond it is of no use yet: a validator that
    /// is far behind would fill its room with it, and have none for what comes next.
    #[must_use]
    pub fn is_near(&self, sequence: Sequence) -> bool {
        sequence.0 <= self.cut.sequence.0 + STREAM_BATCHES_MAX as u64
    }

    /// Bytes that this author's batches may take.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The highest batch that is here with every one before it, durable or not, on whatever branch; the cut where there
    /// is none. `coming` says whether the batch with a digest is being checked.
    #[must_use]
    pub fn received(&self, coming: impl Fn(&Digest) -> bool) -> Head {
        let (mut received, mut whole) = (self.cut, BTreeSet::new());
        for (head, previous) in self.ascending() {
            if previous == self.cut || whole.contains(&previous.digest) || coming(&previous.digest) {
                whole.insert(head.digest);
                received = received.max(head);
            }
        }
        received
    }

    /// The batches that are here, by sequence, each with the one before it.
    fn ascending(&self) -> Vec<(Head, Head)> {
        let nodes = self.nodes.values().map(|node| (node.batch.head(), node.batch.previous()));
        let mut ascending: Vec<(Head, Head)> = nodes.collect();
        ascending.sort_unstable();
        ascending
    }

    /// Bytes of the batches that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many validators the network has.
    #[must_use]
    pub fn validators(&self) -> usize {
        self.told.len()
    }

    /// How many batches are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no batch is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The batch with this digest.
    #[must_use]
    pub fn batch(&self, digest: &Digest) -> Option<&Verified<Batch>> {
        self.nodes.get(digest).map(|node| &node.batch)
    }

    /// Whether the batch with this digest is here, or was until the cut left its branch.
    fn is_known(&self, digest: &Digest) -> bool {
        self.nodes.contains_key(digest) || self.left.contains_key(digest)
    }

    /// Whether the batch with this digest is here and durable.
    #[must_use]
    pub fn is_durable(&self, digest: &Digest) -> bool {
        self.nodes.get(digest).is_some_and(|node| node.durable)
    }

    /// Whether a batch that its author sends unasked may be taken: to be asked before its signatures are checked.
    ///
    /// `coming` says whether the batch with a digest is being checked and will be here soon.
    ///
    /// # Errors
    /// [`Refused`]. `Branch` is a fault of the author.
    pub fn may_push(&self, batch: &Batch, coming: impl Fn(&Digest) -> bool) -> Result<(), Refused> {
        let sequence = batch.id().sequence;
        if sequence <= self.cut.sequence || self.is_known(batch.digest()) {
            return Err(Refused::Known);
        }
        if !self.is_near(sequence)
            || self.nodes.len() >= 2 * STREAM_BATCHES_MAX
            || self.bytes + batch.bytes().len() > self.bytes_max
        {
            return Err(Refused::Window);
        }
        let previous = batch.previous();
        if previous != self.cut && !self.nodes.contains_key(&previous.digest) && !coming(&previous.digest) {
            return Err(Refused::Gap);
        }
        let siblings = self.following.get(&batch.previous().digest).map_or(0, Vec::len);
        let forks = self.following.values().filter(|following| following.len() > 1).count();
        if siblings >= BRANCHES_MAX || (siblings == 1 && forks > 0) {
            return Err(Refused::Branch);
        }
        Ok(())
    }

    /// Whether another batch than `batch` is known to follow the same one: the author has contradicted itself.
    #[must_use]
    pub fn contradicts(&self, batch: &Batch) -> bool {
        let following = self.following.get(&batch.previous().digest);
        following.is_some_and(|following| following.iter().any(|other| other != batch.digest()))
    }

    /// Takes a batch in; `pushed` if its author sent it by itself. False if it is known or finalized.
    pub fn insert(&mut self, batch: Verified<Batch>, pushed: bool) -> bool {
        let (head, previous) = (batch.head(), batch.previous());
        if head.sequence <= self.cut.sequence || self.left.contains_key(&head.digest) {
            return false;
        }
        if pushed {
            self.pushed = head;
        }
        if self.nodes.contains_key(&head.digest) {
            return false;
        }
        self.bytes += batch.bytes().len();
        self.nodes.insert(head.digest, Node { batch, position: None, durable: false });
        self.following.entry(previous.digest).or_default().push(head.digest);
        true
    }

    /// Notes where the journal has a batch.
    pub fn stored(&mut self, digest: &Digest, position: Position) {
        if let Some(node) = self.nodes.get_mut(digest) {
            node.position = Some(position);
        }
    }

    /// Where the journal has the batch with this digest.
    #[must_use]
    pub fn position(&self, digest: &Digest) -> Option<Position> {
        self.nodes.get(digest)?.position
    }

    /// Where the first of the batches stands that are not ordered yet.
    #[must_use]
    pub fn first_position(&self) -> Option<Position> {
        self.nodes.values().filter_map(|node| node.position).min()
    }

    /// The batches whose records stand at or below a position of the journal, each with its own.
    pub fn stored_up_to(&self, position: Position) -> impl Iterator<Item = (Position, &Verified<Batch>)> {
        let stored = self.nodes.values().filter_map(|node| Some((node.position?, &node.batch)));
        stored.filter(move |(at, _)| *at <= position)
    }

    /// Notes that a batch is durable; true if the held head has moved.
    pub fn durable(&mut self, digest: &Digest) -> bool {
        let Some(node) = self.nodes.get_mut(digest) else { return false };
        node.durable = true;
        let before = self.held;
        self.advance();
        self.held != before
    }

    /// Of two branches, the one that ends with `head` is held and reported from now on.
    pub fn favour(&mut self, head: Head) {
        self.pushed = head;
        self.advance();
    }

    /// The author sends a batch once more. If it lies on another branch than what it sent last, that branch is held and
    /// reported from now on.
    pub fn pushed_again(&mut self, head: Head) {
        if self.batch(&head.digest).is_some() && !self.ancestors(&self.pushed.digest).contains(&head.digest) {
            self.favour(head);
        }
    }

    /// Walks up from the held head over durable batches. Where the branch forks, the one that the author pushed last is
    /// taken; if the held head itself lies on the other one, the walk begins at the cut.
    fn advance(&mut self) {
        let forked = self.following.values().any(|following| following.len() > 1);
        let favoured = if forked { self.ancestors(&self.pushed.digest) } else { Vec::new() };
        if forked && self.held != self.cut && !favoured.contains(&self.held.digest) && !favoured.is_empty() {
            self.held = self.cut;
        }
        while let Some(next) = self.next_durable(&favoured) {
            self.held = next;
        }
    }

    fn next_durable(&self, favoured: &[Digest]) -> Option<Head> {
        let following = self.following.get(&self.held.digest)?;
        let durable = || following.iter().filter(|digest| self.is_durable(digest));
        let chosen = durable().find(|digest| favoured.contains(digest)).or_else(|| durable().next())?;
        Some(self.nodes[chosen].batch.head())
    }

    /// A batch and those before it, as far as they are here.
    fn ancestors(&self, digest: &Digest) -> Vec<Digest> {
        let mut found = Vec::new();
        let mut at = *digest;
        while let Some(node) = self.nodes.get(&at) {
            found.push(at);
            at = node.batch.previous().digest;
        }
        found
    }

    /// The batches after `from` up to `to`, ascending.
    ///
    /// # Errors
    /// [`Gap`]: a batch is missing, or `to` does not extend `from` (which will never change).
    pub fn path(&self, from: &Head, to: &Head) -> Result<Vec<&Verified<Batch>>, Gap> {
        let mut path = Vec::new();
        let mut at = *to;
        while at.sequence > from.sequence {
            if self.left.contains_key(&at.digest) {
                return Err(Gap::Leaves);
            }
            let node = self.nodes.get(&at.digest).ok_or(Gap::Missing(at))?;
            if node.batch.head() != at {
                return Err(Gap::Leaves);
            }
            path.push(&node.batch);
            at = node.batch.previous();
        }
        path.reverse();
        if at == *from { Ok(path) } else { Err(Gap::Leaves) }
    }

    /// Whether `end` is `head` or follows it, over batches that are here.
    #[must_use]
    pub fn leads_to(&self, head: &Head, end: &Head) -> bool {
        let mut at = *end;
        while at.sequence > head.sequence
            && let Some(node) = self.nodes.get(&at.digest)
            && node.batch.head() == at
        {
            at = node.batch.previous();
        }
        at == *head
    }

    /// The last durable batch that is reached from `from`, towards `towards` where the branch forks.
    #[must_use]
    pub fn durable_end(&self, from: Head, towards: &Head) -> Head {
        let mut at = from;
        while let Some(following) = self.following.get(&at.digest) {
            let durable = following.iter().filter(|digest| self.is_durable(digest));
            let heads: Vec<Head> = durable.map(|digest| self.nodes[digest].batch.head()).collect();
            let chosen = heads.iter().find(|head| self.leads_to(head, towards)).or(heads.first());
            let Some(next) = chosen else { break };
            at = *next;
        }
        at
    }

    /// Notes what a validator says that it holds.
    pub fn told(&mut self, by: ValidatorIndex, head: Head) {
        let Some(told) = self.told.get_mut(usize::from(by.0)) else { return };
        *told = head;
        self.resolve(usize::from(by.0));
    }

    /// What a validator said last.
    #[must_use]
    pub fn told_by(&self, validator: ValidatorIndex) -> Head {
        self.told.get(usize::from(validator.0)).copied().unwrap_or(Head::NONE)
    }

    fn resolve(&mut self, validator: usize) {
        let head = self.told[validator];
        if self.nodes.get(&head.digest).is_some_and(|node| node.durable && node.batch.head() == head) {
            self.resolved[validator] = head;
        }
    }

    /// The highest head that extends `from` and that at least `quorum` validators hold, this one (`me`) included. With
    /// `without`, that validator does not count: the batches of a late author are taken only when others have them.
    #[must_use]
    pub fn quorum_head(
        &mut self,
        from: &Head,
        quorum: usize,
        me: ValidatorIndex,
        without: Option<ValidatorIndex>,
    ) -> Head {
        (0..self.told.len()).for_each(|validator| self.resolve(validator));
        let mut holders: BTreeMap<Digest, usize> = BTreeMap::new();
        for (validator, resolved) in self.resolved.iter().enumerate() {
            let counts = validator != usize::from(me.0)
                && without.is_none_or(|without| validator != usize::from(without.0));
            if !counts || resolved.sequence <= from.sequence {
                continue;
            }
            let mut at = resolved.digest;
            while let Some(node) = self.nodes.get(&at)
                && node.batch.id().sequence > from.sequence
            {
                *holders.entry(at).or_default() += 1;
                at = node.batch.previous().digest;
            }
        }
        let mine = usize::from(without != Some(me));
        let mut best = *from;
        let mut at = vec![*from];
        while let Some(head) = at.pop() {
            for digest in self.following.get(&head.digest).into_iter().flatten() {
                let node = &self.nodes[digest];
                let count = holders.get(digest).copied().unwrap_or(0) + mine;
                if node.durable && count >= quorum {
                    let head = node.batch.head();
                    if head.sequence > best.sequence {
                        best = head;
                    }
                    at.push(head);
                }
            }
        }
        best
    }

    /// Whether more than `from` is durable here, and would be ready to be ordered if enough validators held it.
    #[must_use]
    pub fn extends(&self, from: &Head) -> bool {
        self.held.sequence > from.sequence
    }

    /// A head that at least `witnesses` validators say that they hold or have passed, and that is not here: of those
    /// validators, the one that says the least.
    #[must_use]
    pub fn lacking(&self, witnesses: usize) -> Option<Head> {
        let mut ahead: Vec<Head> =
            self.told.iter().copied().filter(|head| head.sequence > self.held.sequence).collect();
        ahead.sort_by(|a, b| b.cmp(a));
        let least = *ahead.get(witnesses.checked_sub(1)?)?;
        (!self.is_known(&least.digest)).then_some(least)
    }

    /// The cut has moved: what lies below it, and on branches that leave it, is forgotten.
    pub fn finalize(&mut self, cut: Head) {
        if cut.sequence <= self.cut.sequence {
            return;
        }
        self.cut = cut;
        self.left.retain(|_, sequence| *sequence > cut.sequence);
        // A batch whose predecessor is missing stays: its branch may still turn out to be the cut's.
        let mut gone = BTreeSet::new();
        for (head, previous) in self.ascending() {
            let leaves = (previous.sequence == cut.sequence && previous != cut)
                || gone.contains(&previous.digest)
                || self.left.contains_key(&previous.digest);
            if head.sequence <= cut.sequence || leaves {
                self.forget(&head.digest);
            }
            if leaves && head.sequence > cut.sequence {
                gone.insert(head.digest);
                if self.left.len() < 2 * STREAM_BATCHES_MAX {
                    self.left.insert(head.digest, head.sequence);
                }
            }
        }
        if self.held.sequence <= cut.sequence || !self.nodes.contains_key(&self.held.digest) {
            self.held = cut;
            self.advance();
        }
        if self.pushed.sequence <= cut.sequence {
            self.pushed = cut;
        }
    }

    fn forget(&mut self, digest: &Digest) {
        let Some(node) = self.nodes.remove(digest) else { return };
        self.bytes -= node.batch.bytes().len();
        let previous = node.batch.previous().digest;
        if let Some(following) = self.following.get_mut(&previous) {
            following.retain(|other| other != digest);
            if following.is_empty() {
                self.following.remove(&previous);
            }
        }
    }
}
