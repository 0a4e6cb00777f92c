//! Who validates by which rules, as administrators decide it: the set that was decided last, and its rows.

use crate::execute::{Book, Table};
use crate::limits::CONSENT_HEIGHTS_MAX;
use crate::types::{
    ChainTime, Consent, Consents, Digest, Epoch, FirstMembers, Height, MEMBERS_KEY, MemberChange, MemberFlaw,
    Members, MembersRecord, Membership, Outcome, RulesVersion, ValidatorIndex, member_key,
};

/// The members of a network with administrators, who decide about them and their rules.
#[derive(Clone, Debug)]
pub(crate) struct DecidedMembers {
    first: FirstMembers,
    /// The set that was decided last, whether it is in effect or not; the first one before any decision.
    set: Members,
    /// What its row says; none before any decision.
    record: Option<MembersRecord>,
}

impl DecidedMembers {
    pub(super) fn beginning(first: FirstMembers) -> Self {
        Self { set: first.members.clone(), first, record: None }
    }

    /// What the table says.
    pub(super) fn read(&mut self, table: &Table) {
        const KEPT: &str = "the ledger's own rows are what they say";
        self.record = table.get(&MEMBERS_KEY).map(|row| MembersRecord::decode(row).expect(KEPT));
        self.set = match &self.record {
            Some(record) => record.members(|key| table.get(key)).expect(KEPT),
            None => self.first.members.clone(),
        };
    }

    /// The set that was decided last.
    pub(super) fn set(&self) -> &Members {
        &self.set
    }

    /// The height in which it was decided.
    pub(super) fn decided_at(&self) -> Option<Height> {
        self.record.map(|record| record.decided)
    }

    /// The rules of an epoch up to that of the set: the present one or the one before.
    pub(super) fn rules_of(&self, epoch: Epoch) -> RulesVersion {
        self.record.map_or(self.first.members.rules, |record| record.rules_of(epoch))
    }

    /// What a change makes of them, or why it cannot be decided now.
    pub(super) fn after(&self, change: &MemberChange, at: ChainTime) -> Result<Members, Outcome> {
        let is_fixed = self.first.membership == Membership::Fixed;
        if is_fixed && !matches!(change, MemberChange::Rules(_)) {
            return Err(Outcome::MembersFixed);
        }
        if self.set.epoch > at.epoch {
            return Err(Outcome::MembersChanging);
        }
        self.set.after(change).map_err(|flaw| match flaw {
            MemberFlaw::BelowFour => Outcome::BelowFour,
            MemberFlaw::Rules(_) => Outcome::OtherRules,
            MemberFlaw::NoSuchMember(_)
            | MemberFlaw::Taken(_)
            | MemberFlaw::Form
            | MemberFlaw::Full
            | MemberFlaw::Last => Outcome::UnfitMembers,
        })
    }

    /// The members once a change is decided, if enough of the new ones consent.
    pub(super) fn decided(
        &self,
        change: &MemberChange,
        at: ChainTime,
        consents: Consents<'_>,
        proposal: Digest,
    ) -> Result<Self, Outcome> {
        let set = self.after(change, at)?;
        let since = self.record.map_or(Epoch(0), |record| record.rules_since);
        let since = if set.rules == self.set.rules { since } else { set.epoch };
        let record = MembersRecord::new(&set, at.height, proposal, since);
        let network = &self.first.network;
        let oldest = Height(at.height.0.saturating_sub(CONSENT_HEIGHTS_MAX));
        let in_time = |consent: &Consent| (oldest..=at.height).contains(&consent.height);
        // Signatures are dear: they are looked at only where they could be enough.
        let needed = set.consents_needed(change);
        if consents.iter().filter(in_time).count() < needed {
            return Err(Outcome::TooFewConsents);
        }
        let signed = |consent: &Consent| consent.is_signed(network, &set, &record.digest);
        let agreed = consents.iter().filter(in_time).filter(signed).map(|consent| consent.place);
        let agreed: Vec<ValidatorIndex> = agreed.collect();
        let newcomer = self.set.newcomer(change, &set);
        let is_enough = agreed.len() >= needed && newcomer.is_none_or(|place| agreed.contains(&place));
        if !is_enough {
            return Err(Outcome::TooFewConsents);
        }
        Ok(Self { first: self.first.clone(), set, record: Some(record) })
    }

    /// Writes the rows. Those of places that nobody has any more are taken out.
    pub(super) fn write(&self, book: &mut Book) {
        let place = |at: usize| ValidatorIndex(at as u16);
        for (at, member) in self.set.list.iter().enumerate() {
            book.put(&member_key(place(at)), &member.encode());
        }
        let gone = (self.set.list.len()..).map(|at| member_key(place(at)));
        let gone: Vec<_> = gone.take_while(|key| book.table().get(key).is_some()).collect();
        gone.iter().for_each(|key| book.take_out(key));
        if let Some(record) = &self.record {
            book.put(&MEMBERS_KEY, &record.encode());
        }
    }
}
