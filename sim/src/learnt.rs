//! Whether a validator that has learnt its own stream again believed those that told it the truth.

use engine::types::Head;
use engine::wire::PeerMessage;

use crate::rules::Rule;
use crate::schedule::faulty;
use crate::world::World;

impl World {
    /// Notes what an honest peer says of a validator's stream, as it arrives. With the rule broken, the validator hears
    /// of nothing.
    pub(crate) fn told_of_own(&mut self, from: usize, to: usize, message: &mut PeerMessage) {
        let PeerMessage::Status { epoch, yours, .. } = message else { return };
        let is_present = self.nodes[to].running.as_ref().is_some_and(|to| to.epoch == *epoch);
        if self.is_honest(from) && is_present {
            self.nodes[to].told.insert(from, *yours);
        }
        if self.rule == Some(Rule::AnswersBelieved) && self.is_honest(to) {
            *yours = Head::NONE;
        }
    }

    /// More than f of them cannot all be liars, so the validator may not go on behind less than what the least of so
    /// many has named; unless there are two branches, and the cut has taken the other one.
    pub(crate) fn check_learnt(&mut self, node: usize, learnt: Head) {
        let author = self.nodes[node].me;
        let forked = self.contradicted.iter().any(|(_, of)| *of == author);
        let named = self.nodes[node].told.values().filter(|head| head.sequence > learnt.sequence).count();
        if self.is_honest(node) && !forked && named > faulty(self.plan.validators) {
            let what =
                format!("learning: v{node} goes on behind {learnt}, but {named} honest ones have named more");
            self.checks.violation(self.now, what);
        }
    }
}
