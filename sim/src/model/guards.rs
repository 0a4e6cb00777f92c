//! What one honest validator may do, given what it knows: the rules of voting as predicates.

use super::{
    rules::{Rule, Rules},
    state::{BlockId, Contents, Fact, Held, Validator},
};

/// The rules, applied to the blocks of one run.
#[derive(Clone, Copy)]
pub(super) struct Guards<'a> {
    pub rules: Rules,
    pub contents: &'a Contents,
}

impl Guards<'_> {
    /// Whether the views above `parent` and below `view` are nullified, as this validator knows.
    fn skipped(&self, v: &Validator, parent: Option<BlockId>, view: usize) -> bool {
        let first = parent.map_or(0, |parent| parent.view + 1);
        v.rounds[first..view].iter().all(|round| round.is(Fact::Nullification))
            || !self.rules.hold(Rule::SkippedViewsAreNullified)
    }

    /// Whether a block of `view` may extend `parent`, as this validator knows.
    pub(super) fn extends(&self, v: &Validator, parent: Option<BlockId>, view: usize) -> bool {
        let known = match parent {
            None => v.finalized().is_none(),
            Some(parent) => {
                let round = v.rounds[parent.view];
                let certified = round.is(Fact::Certified) || round.is(Fact::Finalization);
                let this = round.notarized() == Some(parent.choice) && certified;
                parent.view < view && v.finalized().is_none_or(|floor| parent.view >= floor) && this
            }
        };
        (known || !self.rules.hold(Rule::ParentIsCertified)) && self.skipped(v, parent, view)
    }

    /// The blocks that `certify` waits for: the block and its ancestors that are not finalized at this validator.
    pub(super) fn needed_blocks(&self, v: &Validator, id: BlockId) -> impl Iterator<Item = BlockId> + '_ {
        let floor = v.finalized();
        let ancestors = self.rules.hold(Rule::CertifyWaitsForAncestors);
        self.contents
            .branch(id)
            .take_while(move |block| floor.is_none_or(|floor| block.view > floor))
            .take_while(move |block| ancestors || *block == id)
    }

    /// The body that the unfinalized part of the branch takes, if any. Cuts only grow, so the tip's cut tells.
    pub(super) fn needed_body(&self, v: &Validator, id: BlockId) -> Option<usize> {
        let floor = v.finalized();
        let base = self.contents.branch(id).find(|block| floor.is_some_and(|floor| block.view <= floor));
        let ancestors = self.rules.hold(Rule::CertifyWaitsForAncestors);
        let base = if ancestors { base } else { self.contents.get(id).and_then(|block| block.parent) };
        self.contents.cut(Some(id)).filter(|_| self.contents.cut(base).is_none())
    }

    /// `verify` answers *true*, and the validator is free to notarize the block.
    pub(super) fn may_notarize(&self, v: &Validator, id: BlockId) -> bool {
        let Some(block) = self.contents.get(id) else { return false };
        let round = v.rounds[id.view];
        let free = match round.vote() {
            None => true,
            Some(vote) => vote != id.choice && !self.rules.hold(Rule::OneVoteInAView),
        };
        let body_here = self.needed_body(v, id).is_none_or(|body| v.body(body).here());
        let follows = block.parent.is_none_or(|parent| {
            self.contents.cut(Some(parent)).is_none_or(|branch| block.cut == Some(branch))
        });
        v.view() == id.view
            && free
            && !round.is(Fact::Nullified)
            && v.held(id).here()
            && follows
            && self.extends(v, block.parent, id.view)
            && (body_here || !self.rules.hold(Rule::VerifyWaitsForBodies))
    }

    /// The time-out of the current view passes.
    pub(super) fn may_nullify(&self, v: &Validator, view: usize) -> bool {
        let left = v.view() > view && v.rounds[view].is(Fact::FinalizeVoted);
        (v.view() == view || left && !self.rules.hold(Rule::FinalizeBarsNullify))
            && !v.rounds[view].is(Fact::Nullified)
    }

    /// Consensus has asked `certify` about this view, and the question is open.
    pub(super) fn certify_pending(&self, v: &Validator, view: usize) -> bool {
        let round = v.rounds[view];
        round.notarized().is_some()
            && !round.is(Fact::Certified)
            && !round.is(Fact::Dropped)
            && v.finalized().is_none_or(|floor| view > floor)
    }

    /// The pending question of `certify` can be answered *true*, once the journal has synced.
    pub(super) fn may_certify(&self, v: &Validator, view: usize) -> bool {
        let Some(choice) = v.rounds[view].notarized() else { return false };
        let id = BlockId { view, choice };
        self.certify_pending(v, view)
            && self.needed_blocks(v, id).all(|block| v.held(block).here())
            && self.needed_body(v, id).is_none_or(|body| v.body(body).here())
    }

    /// Certifies the view, after the sync for which the rule asks, and votes to finalize if that is allowed.
    pub(super) fn certify(&self, v: &mut Validator, view: usize) {
        let Some(choice) = v.rounds[view].notarized() else { return };
        let id = BlockId { view, choice };
        if self.rules.hold(Rule::CertifyWaitsForJournal) {
            let body = self.needed_body(v, id);
            let floor = *v;
            for block in self.needed_blocks(&floor, id) {
                v.rounds[block.view].set_block(block.choice, Held::Durable);
            }
            if let Some(body) = body {
                v.set_body(body, Held::Durable);
            }
        }
        let round = &mut v.rounds[view];
        round.set(Fact::Certified, true);
        // A validator that has seen another proposal of this view withholds its vote, as simplex does.
        let seen_other = round.vote().is_some_and(|vote| vote != choice);
        let barred = round.is(Fact::Nullified) && self.rules.hold(Rule::NullifyBarsFinalize);
        if !barred && (!seen_other || !self.rules.hold(Rule::OneVoteInAView)) {
            round.set(Fact::FinalizeVoted, true);
        }
    }
}
