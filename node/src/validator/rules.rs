//! What the log and the status say of the rules of the network: which ones administrators want, and whether this
//! release runs them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::execute::Row;
use engine::roots::{Executed, Ledger};
use engine::types::{
    ADMINISTRATORS_KEY, Administrators, ChainId, Decision, Digest, Genesis, MemberChange, Members,
    ProposalRecord, RULES_FIRST, RULES_LAST, RulesVersion, Support,
};
use engine::wire::answers::RulesAnswer;

/// A proposal of other rules.
#[derive(Clone, Copy, Debug)]
struct Proposed {
    rules: RulesVersion,
    /// Until when it can be approved, in milliseconds since 1970, and by which version of the administrators.
    until_ms: u64,
    administrators: u64,
    is_decided: bool,
}

impl Proposed {
    /// The proposal of a row of the chain that decides, if it is one of rules.
    fn of(row: &[u8]) -> Option<(Digest, Self)> {
        let record = ProposalRecord::decode(row)?;
        let Decision::Members(MemberChange::Rules(rules)) = record.decision else { return None };
        let ProposalRecord { until_ms, administrators, .. } = record;
        let is_decided = record.decided.is_some();
        Some((record.proposal(), Self { rules, until_ms, administrators, is_decided }))
    }

    /// Whether it is decided, or still may be.
    fn counts(&self, now_ms: u64, administrators: u64) -> bool {
        self.is_decided || (now_ms <= self.until_ms && self.administrators == administrators)
    }
}

/// The rules that administrators propose.
#[derive(Debug)]
pub struct ProposedRules {
    /// The chain that decides, if there is one.
    chain: Option<ChainId>,
    proposals: Mutex<BTreeMap<Digest, Proposed>>,
    /// The version of the administrators who decide now.
    administrators: AtomicU64,
}

/// The version of the administrators, if a row has it.
fn version(row: &Row) -> Option<u64> {
    let is_it = *row.key() == ADMINISTRATORS_KEY;
    Administrators::decode(row.value()).filter(|_| is_it).map(|of| of.version)
}

impl ProposedRules {
    /// Reads the proposals in the table of the chain that decides. Logs a warning if this release lacks what they ask.
    #[must_use]
    pub fn of(genesis: &Genesis, ledger: &Ledger, now_ms: u64) -> Self {
        let chain = genesis.governance().map(|chain| chain.id);
        let tables = ledger.accounts_roots().map(|(of, _)| of).zip(ledger.tables());
        let table = tables.filter(|(of, _)| Some(*of) == chain).map(|(_, table)| table).next();
        let rows = || table.iter().flat_map(|table| table.rows());
        let proposals = rows().filter_map(|row| Proposed::of(row.value())).collect();
        let administrators = rows().find_map(version).unwrap_or(1);
        let proposed =
            Self { chain, proposals: Mutex::new(proposals), administrators: administrators.into() };
        if let Some(rules) = proposed.highest(ledger.members().rules, now_ms) {
            tell(rules, "propose");
        }
        proposed
    }

    /// A height was executed.
    pub fn follow(&self, executed: &Executed) {
        let mut deltas = executed.deltas.iter();
        let Some(delta) = deltas.find(|delta| Some(delta.chain()) == self.chain) else { return };
        let rows = || delta.rows().iter().filter_map(|row| row.after.as_ref());
        if let Some(version) = rows().find_map(version) {
            self.administrators.store(version, Relaxed);
        }
        for (proposal, now) in rows().filter_map(|row| Proposed::of(row.value())) {
            let before = self.proposals().insert(proposal, now);
            match before {
                Some(before) if before.is_decided == now.is_decided => {}
                _ if now.is_decided => tell(now.rules, "have decided, for the next epoch,"),
                _ => tell(now.rules, "propose"),
            }
        }
    }

    /// What the status says, in an epoch of these members.
    pub fn answer(&self, present: &Members, now_ms: u64) -> RulesAnswer {
        let proposed = self.highest(present.rules, now_ms);
        RulesAnswer { present: present.rules, first: RULES_FIRST, last: RULES_LAST, proposed }
    }

    /// The highest rules that are proposed and later than the present ones.
    fn highest(&self, present: RulesVersion, now_ms: u64) -> Option<RulesVersion> {
        let proposals = self.proposals();
        let administrators = self.administrators.load(Relaxed);
        let counting = proposals.values().filter(|proposed| proposed.counts(now_ms, administrators));
        counting.map(|proposed| proposed.rules).filter(|rules| *rules > present).max()
    }

    fn proposals(&self) -> MutexGuard<'_, BTreeMap<Digest, Proposed>> {
        self.proposals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(rules: RulesVersion, what: &str) {
    if Support::OURS.has(rules) {
        tracing::info!("the administrators {what} rules {rules}, which this release runs");
    } else {
        tracing::warn!(
            "the administrators {what} rules {rules}, and this release runs rules {RULES_FIRST} to {RULES_LAST}: install a \
             release that runs rules {rules}. Without it, this validator stops before the epoch that has them"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_decide_any_more_is_not_asked_for() {
        let proposal = |number: u8, rules, until_ms, is_decided| {
            (
                Digest([number; 32]),
                Proposed { rules: RulesVersion(rules), until_ms, administrators: 3, is_decided },
            )
        };
        let proposed = |proposals: Vec<_>| ProposedRules {
            chain: Some(ChainId(0)),
            proposals: Mutex::new(proposals.into_iter().collect()),
            administrators: 3.into(),
        };
        let open = || proposal(1, 2, 1_000, false);
        assert_eq!(proposed(vec![open()]).highest(RULES_FIRST, 1_000), Some(RulesVersion(2)));
        assert_eq!(proposed(vec![open()]).highest(RULES_FIRST, 1_001), None, "it has expired");
        assert_eq!(proposed(vec![open()]).highest(RulesVersion(2), 0), None, "they are in effect");
        let both = proposed(vec![open(), proposal(2, 3, 500, true)]);
        assert_eq!(both.highest(RULES_FIRST, 2_000), Some(RulesVersion(3)), "what is decided stays so");
        both.administrators.store(4, Relaxed);
        assert_eq!(both.highest(RULES_FIRST, 0), Some(RulesVersion(3)));
        let replaced = proposed(vec![open()]);
        replaced.administrators.store(4, Relaxed);
        assert_eq!(replaced.highest(RULES_FIRST, 0), None, "nobody can approve it any more");
    }
}
