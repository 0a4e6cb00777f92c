//! Whether each fingerprint is registered once, and stays so: by what clients sent and were told, what is in blocks,
//! and what validators keep.
//!
//! Nothing here asks the definition of execution, so a mistake that it shares with the executor is seen.

use std::collections::BTreeMap;

use engine::execute::Table;
use engine::types::{
    AccountId, Attestation, ChainId, Content, Fingerprint, Height, Link, Transaction, Verdict,
};

use crate::clients::Submission;

/// A chain, and a fingerprint of it.
type Key = (ChainId, Fingerprint);

/// Who has registered a fingerprint, when, and when that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registered {
    owner: AccountId,
    height: Height,
    ended: Option<Height>,
}

/// What the transactions that were applied have registered, superseded and revoked.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    registered: BTreeMap<Key, Registered>,
}

impl Fingerprints {
    /// A transaction of the block at `height` was applied.
    ///
    /// # Errors
    /// It has registered what was registered before, or ended what is not its owner's or has ended before.
    pub(crate) fn applied(&mut self, transaction: &Transaction, height: Height) -> Result<(), String> {
        let chain = transaction.chain();
        match transaction.run().content() {
            Ok(Content::Attest(attest)) => attest.registrations.iter().try_for_each(|registration| {
                if let Link::Supersedes(earlier) = registration.link {
                    self.end((chain, earlier), attest.owner, height)?;
                }
                self.register((chain, registration.fingerprint), attest.owner, height)
            }),
            Ok(Content::Revoke(revoke)) => revoke.fingerprints.iter().try_for_each(|fingerprint| {
                self.end((chain, Fingerprint(*fingerprint)), revoke.owner, height)
            }),
            _ => Ok(()),
        }
    }

    fn register(&mut self, key: Key, owner: AccountId, height: Height) -> Result<(), String> {
        match self.registered.insert(key, Registered { owner, height, ended: None }) {
            None => Ok(()),
            Some(before) => Err(format!(
                "{} is registered by account {} at height {}, and again by account {owner} at {height}",
                named(&key),
                before.owner,
                before.height
            )),
        }
    }

    /// It is superseded or revoked by the account `by`.
    fn end(&mut self, key: Key, by: AccountId, height: Height) -> Result<(), String> {
        match self.registered.get_mut(&key) {
            Some(Registered { owner, ended: ended @ None, .. }) if *owner == by => {
                *ended = Some(height);
                Ok(())
            }
            before => Err(format!("account {by} ends {} at height {height}: {before:?}", named(&key))),
        }
    }

    /// What the table of a chain, as of a height, does not say as it was registered and ended.
    pub(crate) fn lost(&self, chain: ChainId, table: &Table, height: Height) -> Option<String> {
        let mut of_chain = self
            .registered
            .iter()
            .filter(|((of, _), registered)| *of == chain && registered.height <= height);
        of_chain.find_map(|(key, registered)| {
            let ended = registered.ended.filter(|ended| *ended <= height);
            let expected = Registered { ended, ..*registered };
            let kept = table.get(&key.1.0).and_then(Attestation::decode).map(|kept| Registered {
                owner: kept.owner,
                height: kept.registered,
                ended: (kept.ended != Height(0)).then_some(kept.ended),
            });
            (kept != Some(expected))
                .then(|| format!("says of {} at height {height} {kept:?}, not {expected:?}", named(key)))
        })
    }

    /// What is wrong with what clients were told, by all validators together: that a fingerprint is registered twice,
    /// or that it is and no block says so.
    pub(crate) fn mistold<'a>(&self, submissions: impl Iterator<Item = &'a Submission>) -> Vec<String> {
        let mut told: BTreeMap<Key, &Submission> = BTreeMap::new();
        let mut wrong = Vec::new();
        for submission in submissions.filter(|one| one.told == Some(Verdict::Committed)) {
            let (chain, owner) = submission.account;
            for fingerprint in &submission.registers {
                let key = (ChainId(chain), *fingerprint);
                if let Some(before) = told.insert(key, submission) {
                    wrong.push(format!(
                        "v{} told a client that {} is registered by {:.12}, and v{} that it is by {:.12}",
                        before.node,
                        named(&key),
                        before.id,
                        submission.node,
                        submission.id
                    ));
                } else if self.registered.get(&key).map(|found| found.owner.0) != Some(owner) {
                    wrong.push(format!(
                        "v{} told account {owner} that {} is registered, which no block says",
                        submission.node,
                        named(&key)
                    ));
                }
            }
        }
        wrong
    }
}

fn named((chain, fingerprint): &Key) -> String {
    format!("{fingerprint:.12} of chain {chain}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::types::{Data, Digest, Registration, TransactionId};

    use super::*;
    use crate::environment::{Environment, Signer};

    /// The chain that takes fingerprints.
    const CHAIN: u32 = 2;

    fn environment() -> Environment {
        Environment::of_four(1, true, false)
    }

    fn attest(owner: u64, fingerprint: u8, link: Link) -> Transaction {
        let fingerprint = Fingerprint([fingerprint; 32]);
        let registration = Registration { fingerprint, kind: 1, link, data: Data::None };
        environment().attest((CHAIN, Signer::first(owner)), &[registration], 0)
    }

    fn revoke(owner: u64, fingerprint: u8) -> Transaction {
        environment().revoke((CHAIN, Signer::first(owner)), &[Fingerprint([fingerprint; 32])], 0)
    }

    /// Applies one after the other, each at a height of its own; `Err` names the one that must not be.
    fn apply(transactions: &[Transaction]) -> Result<Fingerprints, usize> {
        let mut fingerprints = Fingerprints::default();
        for (number, transaction) in transactions.iter().enumerate() {
            fingerprints.applied(transaction, Height(number as u64 + 1)).map_err(|_| number)?;
        }
        Ok(fingerprints)
    }

    #[test]
    fn what_must_not_be_applied_is_seen() {
        let supersedes = Link::Supersedes(Fingerprint([1; 32]));
        let first = attest(0, 1, Link::None);
        let wrong = |second: Transaction| apply(&[first.clone(), second]).err();
        assert_eq!(wrong(attest(0, 1, Link::None)), Some(1), "registered twice");
        assert_eq!(wrong(attest(1, 2, supersedes)), Some(1), "superseded by another");
        assert_eq!(wrong(revoke(1, 1)), Some(1), "revoked by another");
        assert_eq!(wrong(revoke(0, 2)), Some(1), "nobody registered it");
        assert_eq!(
            apply(&[first.clone(), revoke(0, 1), attest(0, 2, supersedes)]).err(),
            Some(2),
            "ended before"
        );
        let refers = Link::RefersTo(Fingerprint([1; 32]));
        let right = [first, attest(0, 2, supersedes), attest(1, 3, refers), revoke(0, 2)];
        assert_eq!(apply(&right).err(), None);
    }

    #[test]
    fn a_table_that_forgets_is_seen() {
        let fingerprints = apply(&[attest(0, 1, Link::None), revoke(0, 1)]).unwrap_or_default();
        let said = (1, Link::None, Data::None.summary());
        let row = |owner: u64, height: u64, revoked: Option<u64>| {
            let fingerprint = Fingerprint([1; 32]);
            let registered = Attestation::register(
                &fingerprint,
                (AccountId(owner), Height(height)),
                said,
                Digest::default(),
            );
            revoked.map_or(registered, |at| registered.revoked(3, Height(at)))
        };
        let lost = |attestation: Attestation, at: u64| {
            let row = engine::execute::Row::new(&[1; 32], &[0; 32], &attestation.encode());
            fingerprints.lost(ChainId(CHAIN), &Table::restore(vec![Some(row)]), Height(at)).is_some()
        };
        assert!(!lost(row(0, 1, None), 1) && !lost(row(0, 1, Some(2)), 2));
        assert!(lost(row(0, 1, None), 2), "it is in force again");
        assert!(lost(row(1, 1, None), 1), "it has another owner");
        assert!(lost(row(0, 2, Some(2)), 2), "it was registered later");
        let empty = Table::empty();
        assert!(fingerprints.lost(ChainId(CHAIN), &empty, Height(1)).is_some());
        assert!(fingerprints.lost(ChainId(CHAIN), &empty, Height(0)).is_none());
    }

    #[test]
    fn what_clients_are_told_is_compared() {
        let fingerprints = apply(&[attest(0, 1, Link::None)]).unwrap_or_default();
        let told = |owner: u64, fingerprint: u8, told: Verdict| Submission {
            node: 0,
            life: 1,
            tag: 0,
            id: TransactionId([fingerprint; 32]),
            account: (CHAIN, owner),
            registers: vec![Fingerprint([fingerprint; 32])],
            at: Duration::ZERO,
            told: Some(told),
            told_at: None,
        };
        let taken = Verdict::Failed(engine::types::Outcome::FingerprintTaken);
        let wrong = |told: &[Submission]| fingerprints.mistold(told.iter()).len();
        let committed = told(0, 1, Verdict::Committed);
        assert_eq!(wrong(&[committed.clone(), told(1, 1, taken)]), 0);
        assert_eq!(wrong(&[committed.clone(), committed]), 1, "told twice");
        assert_eq!(wrong(&[told(1, 1, Verdict::Committed)]), 1, "another owner");
        assert_eq!(wrong(&[told(0, 2, Verdict::Committed)]), 1, "in no block");
    }
}
