//! Whether blocks go on: the checkers of liveness that look at views and at gaps in time.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::types::{Epoch, Height};

use crate::schedule::{Act, Plan, faulty};
use crate::world::World;

/// After the faults have ended: starts take up to 0.9 s, a sync that has begun up to 1.5 s, a new connection 0.2 s, and
/// one vote to skip is repeated after 0.5 s.
const SETTLING: Duration = Duration::from_millis(3_100);
/// Views without a new block that are enough for anything, with up to 4 faulty leaders in a row.
const VIEWS_MAX: u64 = 10;
/// What one view can cost at most: `t_a` and one repeated vote to skip.
const VIEW_MAX: Duration = Duration::from_millis(2_500);
/// What starting, connecting and the last sync may take besides lost views.
const SLACK: Duration = Duration::from_secs(2);
/// What the border of an epoch adds: all start again, and before they vote they look for 3 s for what a liar has named.
const BORDER: Duration = Duration::from_millis(3_500);

/// What a validator adds that is needed and finds its next block pruned: for 10 s it watches whether somebody still has
/// the block, asks for states within 5 s, fetches one and starts again.
const STATE: Duration = Duration::from_secs(18);

/// Where the last new block was seen.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    height: u64,
    /// The epoch of the next block, and the highest view there: views begin anew in each.
    view: (Epoch, u64),
    at: Duration,
    /// The faults had ended then.
    healed: bool,
    /// When somebody was last seen to need a block that others have pruned.
    stranded: Duration,
    /// When somebody last went over the border of an epoch.
    pub(crate) last_border: Duration,
    /// The longest gap where only f were faulty, and the most views of one gap.
    pub(crate) gap_max: Duration,
    pub(crate) views_max: u64,
}

impl Plan {
    /// Whether at most f validators have faults, and all links between the others are fair all the time.
    pub(crate) fn is_gentle(&self) -> bool {
        if self.quality.loss_permille > 0 || self.hurried || !self.script.is_empty() {
            return false;
        }
        let mut touched: BTreeSet<usize> = self.liars.keys().chain(&self.losers).copied().collect();
        let mut links = Vec::new();
        for (_, act) in &self.acts {
            match act {
                Act::Kill(who)
                | Act::Start(who, _)
                | Act::Copy(who)
                | Act::DieStarting(who, _)
                | Act::SlowDisk(who, _)
                | Act::FullDisk(who)
                | Act::Pause(who, _)
                | Act::Skew(who, _) => drop(touched.insert(*who)),
                Act::CutPower(some) => touched.extend(some),
                Act::Cut(a, b) | Act::SlowLink(a, b, _) => links.push((*a, *b)),
                _ => {}
            }
        }
        for (a, b) in links {
            if !touched.contains(&a) && !touched.contains(&b) {
                touched.insert(a);
            }
        }
        touched.len() <= faulty(self.validators)
    }
}

impl World {
    /// The epoch that the next block belongs to, and the highest view that an honest validator has reached there.
    ///
    /// A validator that is still in an epoch which is over goes through views that can give no block. These views do
    /// not count, however many there are while all others start.
    fn view(&self) -> (Epoch, u64) {
        let epoch = self.checks.decisions.epoch_of_next();
        let running = self.honest().filter_map(|node| self.nodes[node].running.as_ref());
        let present = running.filter(|running| running.epoch == epoch);
        let views = present.map(|running| running.consensus.as_ref().map_or(0, consensus::Handle::view));
        let known = if self.pace.view.0 == epoch { self.pace.view.1 } else { 0 };
        (epoch, views.max().unwrap_or(known))
    }

    /// Whether another honest validator has pruned the next block of one.
    fn is_somebody_stranded(&self) -> bool {
        let needs = |node: usize| Height(self.nodes[node].committed + 1);
        let pruned = |node: usize| self.nodes[node].disks.checkpoints.base();
        self.honest().any(|node| self.honest().any(|other| other != node && pruned(other) >= needs(node)))
    }

    /// Looks whether blocks go on.
    pub(crate) fn check_pace(&mut self) {
        let height = self.checks.height();
        let view = self.view();
        let healed = self.healed && self.now >= self.plan.heal + SETTLING;
        if self.is_somebody_stranded() {
            self.pace.stranded = self.now;
        }
        if height > self.pace.height || healed != self.pace.healed || self.now < SLACK {
            self.pace = Pace { height, view, at: self.now, healed, ..self.pace };
            return;
        }
        let gentle = self.gentle;
        if !gentle && !healed {
            return;
        }
        let f = faulty(self.plan.validators);
        let first = if view.0 == self.pace.view.0 { self.pace.view.1 } else { 0 };
        let (views, gap) = (view.1.saturating_sub(first), self.now - self.pace.at);
        self.pace.views_max = self.pace.views_max.max(views);
        self.pace.gap_max = self.pace.gap_max.max(gap);
        let views_max = VIEWS_MAX.max(2 * f as u64 + 2);
        // It is seen a moment later that there is a block.
        let is_at_border =
            self.pace.last_border + SLACK >= self.pace.at && self.pace.last_border > Duration::ZERO;
        let border = if is_at_border { BORDER } else { Duration::ZERO };
        let was_stranded = self.pace.stranded >= self.pace.at && self.pace.stranded > Duration::ZERO;
        let state = if was_stranded { STATE } else { Duration::ZERO };
        let gap_max = VIEW_MAX * (f as u32 + 1) + SLACK + border + state;
        if views > views_max {
            let last = view.1;
            let what = format!("liveness: views {first} to {last} gave no block above height {height}");
            self.checks.violation(self.now, what);
        } else if gap > gap_max {
            let what = format!("liveness: no block above height {height} in {:.1} s", gap.as_secs_f64());
            self.checks.violation(self.now, what);
        }
    }
}
