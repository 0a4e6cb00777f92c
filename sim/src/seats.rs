//! Who is who. A node has its keys for good; what it calls others, and what they call it, depends on the epoch that
//! each of them knows.

use std::collections::BTreeSet;

use engine::types::ValidatorIndex;

use crate::world::World;

impl World {
    /// Whether a node is none of the genesis, and no second process of one.
    pub(crate) fn is_spare(&self, node: usize) -> bool {
        self.plan.spares > 0 && node >= self.plan.validators
    }

    /// The nodes of all who may validate, one for each.
    pub(crate) fn everybody(&self) -> std::ops::Range<usize> {
        0..self.plan.validators + self.plan.spares
    }

    /// What a node calls another one: its place among the validators or, where it is one itself and the other is none,
    /// a number behind them.
    pub(crate) fn number(&self, at: usize, of: usize) -> Option<ValidatorIndex> {
        let running = self.nodes[at].running.as_ref()?;
        let who = self.nodes[of].me;
        let observers = || self.everybody().filter(|one| !running.seats.contains(one));
        let behind = || observers().position(|one| one == who).map(|at| running.seats.len() + at);
        let place = running.seats.iter().position(|one| *one == who);
        let number = place.or_else(|| behind().filter(|_| running.is_member));
        number.map(|number| ValidatorIndex(number as u16))
    }

    /// Whom a node calls so.
    pub(crate) fn called(&self, at: usize, number: usize) -> Option<usize> {
        let running = self.nodes[at].running.as_ref()?;
        let observers = || self.everybody().filter(|one| !running.seats.contains(one));
        let observer = || observers().nth(number.checked_sub(running.seats.len())?);
        running.seats.get(number).copied().or_else(|| observer().filter(|_| running.is_member))
    }

    /// Whose batches have this place as their author, as a node sees it.
    pub(crate) fn author(&self, at: usize, place: ValidatorIndex) -> usize {
        let place = usize::from(place.0);
        let running = self.nodes[at].running.as_ref();
        running.and_then(|running| running.authors.get(place).copied()).unwrap_or(place)
    }

    /// Who would consent to members: it votes or follows, keeps up, and hears enough of others to know that.
    pub(crate) fn ready(&self) -> BTreeSet<usize> {
        let is_ready = |node: &usize| {
            let Some(running) = &self.nodes[*node].running else { return false };
            let replica = &running.replica;
            let has_lost = replica.is_rejoining() || replica.is_learning() || replica.is_hearing();
            let keeps_up = replica.knows_the_height() && replica.behind().is_none();
            running.epoch == self.epochs && keeps_up && !has_lost
        };
        self.everybody().filter(is_ready).collect()
    }
}
