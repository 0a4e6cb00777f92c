//! What the log and the status say of the rules of the network: what administrators ask for, and whether this release
//! runs it.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use engine::roots::{Executed, Ledger};
use engine::types::{
    ChainId, Decision, Genesis, MemberChange, Members, ProposalRecord, RULES_FIRST, RULES_LAST, RulesVersion,
    Support,
};
use engine::wire::answers::RulesAnswer;

/// The highest rules that administrators have ever proposed.
#[derive(Debug)]
pub struct Asked {
    /// The chain that decides, if there is one.
    chain: Option<ChainId>,
    highest: AtomicU16,
}

impl Asked {
    /// What the table of the chain that decides says at the last committed height. It is told what this release lacks.
    #[must_use]
    pub fn of(genesis: &Genesis, ledger: &Ledger) -> Self {
        let chain = genesis.governance().map(|chain| chain.id);
        let tables = ledger.accounts_roots().map(|(of, _)| of).zip(ledger.tables());
        let rows = tables.filter(|(of, _)| Some(*of) == chain).flat_map(|(_, table)| table.rows());
        let highest = rows.filter_map(|row| proposed(row.value())).max().unwrap_or(RULES_FIRST);
        if highest > ledger.members().rules {
            tell(highest, "propose");
        }
        Self { chain, highest: highest.0.into() }
    }

    /// A height was executed.
    pub fn follow(&self, executed: &Executed) {
        let mut deltas = executed.deltas.iter();
        let Some(delta) = deltas.find(|delta| Some(delta.chain()) == self.chain) else { return };
        let rows = delta.rows().iter().filter_map(|row| row.after.as_ref());
        let Some(asked) = rows.filter_map(|row| proposed(row.value())).max() else { return };
        let before = self.highest.fetch_max(asked.0, Relaxed);
        if delta.members().is_some() {
            tell(asked, "have decided, for the next epoch,");
        } else if asked.0 > before {
            tell(asked, "propose");
        }
    }

    /// What the status says, in an epoch of these members.
    pub fn answer(&self, present: &Members) -> RulesAnswer {
        let asked = RulesVersion(self.highest.load(Relaxed));
        let asked = Some(asked).filter(|asked| *asked > present.rules);
        RulesAnswer { present: present.rules, first: RULES_FIRST, last: RULES_LAST, asked }
    }
}

/// The rules that a row of the chain that decides asks for, if it is a proposal of rules.
fn proposed(row: &[u8]) -> Option<RulesVersion> {
    match ProposalRecord::decode(row)?.decision {
        Decision::Members(MemberChange::Rules(rules)) => Some(rules),
        _ => None,
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
