//! What replicas say that they have seen, and whether it can be true.

use engine::replica::{Observation, Offence};

use crate::moments::Moment;
use crate::rules::Rule;
use crate::world::World;

impl World {
    /// A replica says what it has seen.
    pub(crate) fn observe(&mut self, node: usize, observation: &Observation) {
        match observation {
            Observation::Stage { .. } | Observation::Fetched | Observation::BatchAccepted => return,
            Observation::Contradiction { author, one, .. } => {
                self.moment(node, Moment::Contradicts, u64::from(author.0), None);
                let author = self.author(node, *author);
                // One whose older journal was put back may not have noticed it in time.
                let amnesia = self.rule == Some(Rule::NoticesByDigest);
                let honest = self.is_honest(author) && !self.plan.losers.contains(&author);
                if honest && !amnesia && self.is_honest(node) {
                    let what = format!("honesty: v{author} has signed two batches at {one}");
                    self.checks.violation(self.now, what);
                }
                if self.rule != Some(Rule::ContradictionsTold) {
                    self.contradicted.insert((node, author));
                }
            }
            // What an honest validator hands on it has checked, and what is good for one is good for all.
            Observation::Offence(peer, Offence::BadBatch) if self.is_honest(node) => {
                let honest = self.called(node, usize::from(peer.0)).filter(|peer| self.is_honest(*peer));
                if let Some(peer) = honest {
                    let what = format!("blame: v{node} holds a bad batch against v{peer}");
                    self.checks.violation(self.now, what);
                }
            }
            Observation::OlderCopy => {
                self.nodes[node].knows_its_loss = true;
                self.moment(node, Moment::FindsOlderCopy, 0, None);
                let older = self.nodes[node].put_back || self.nodes[node].forgot;
                if self.is_honest(node) && !older && !self.plan.losers.contains(&node) {
                    let what = format!("honesty: v{node} believes that it was put back, and was not");
                    self.checks.violation(self.now, what);
                }
            }
            Observation::StreamLearnt(head) => self.check_learnt(node, *head),
            Observation::StreamLost => {
                self.nodes[node].told.clear();
                let losses = self.nodes[node].running.as_ref().map(|running| running.losses);
                let amnesia = self.rule == Some(Rule::NoticesByDigest);
                let knew = losses.is_some_and(|losses| !losses.stream_lost) && !self.nodes[node].put_back;
                if self.is_honest(node) && !amnesia && knew {
                    let what = format!("honesty: v{node} lost its stream and learnt it from its peers only");
                    self.checks.violation(self.now, what);
                }
            }
            _ => {}
        }
        self.say(node, format_args!("{observation:?}"));
    }
}
