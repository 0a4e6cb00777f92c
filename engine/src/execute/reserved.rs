//! The open reservations of a chain, as their rows have them: how many each account has, and which are due.

use std::collections::{BTreeMap, BTreeSet};

use super::{Row, Table};
use crate::limits::RELEASES_MAX;
use crate::types::{AccountId, Reservation, ReservationId};

/// What the rows of reservations say together.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    /// By time and name.
    due: BTreeSet<(u64, ReservationId)>,
    /// How many each account has that has any.
    by_payer: BTreeMap<AccountId, usize>,
    /// The sum of their amounts.
    amount: u64,
}

impl Reserved {
    pub(super) fn of(table: &Table) -> Self {
        let mut reserved = Self::default();
        let (first, last) = ReservationId::RANGE;
        table.range(&first, &last).for_each(|row| reserved.add_row(row));
        reserved
    }

    /// A row is there, whatever it is about.
    pub(super) fn add_row(&mut self, row: &Row) {
        if let Some((id, reservation)) = reservation(row) {
            self.add(id, &reservation);
        }
    }

    /// A row is no longer there.
    pub(super) fn remove_row(&mut self, row: &Row) {
        if let Some((id, reservation)) = reservation(row) {
            self.remove(id, &reservation);
        }
    }

    /// A reservation is open.
    pub(super) fn add(&mut self, id: ReservationId, reservation: &Reservation) {
        self.due.insert((reservation.due_ms, id));
        *self.by_payer.entry(id.payer).or_default() += 1;
        let amount = self.amount.checked_add(reservation.amount);
        self.amount = amount.expect("all money of an asset fits into 64 bits");
    }

    /// It is no longer.
    pub(super) fn remove(&mut self, id: ReservationId, reservation: &Reservation) {
        self.due.remove(&(reservation.due_ms, id));
        let count = self.by_payer.get_mut(&id.payer).expect("it was counted");
        *count -= 1;
        if *count == 0 {
            self.by_payer.remove(&id.payer);
        }
        self.amount -= reservation.amount;
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// How many of them this account has made.
    pub(super) fn count(&self, payer: AccountId) -> usize {
        self.by_payer.get(&payer).copied().unwrap_or(0)
    }

    /// The sum of their amounts.
    pub(super) fn amount(&self) -> u64 {
        self.amount
    }

    /// Those whose time is over, the one that is due longest first.
    pub(super) fn due(&self, now_ms: u64) -> Vec<ReservationId> {
        let due = self.due.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        due.map(|(_, id)| *id).take(RELEASES_MAX).collect()
    }
}

fn reservation(row: &Row) -> Option<(ReservationId, Reservation)> {
    let id = ReservationId::of(row.key())?;
    Some((id, Reservation::decode(row.value()).expect("the ledger's own rows are what they say")))
}
