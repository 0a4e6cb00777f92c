//! The versions of the rules: what a block, its execution and the state below its root are.
//!
//! ```text
//! rules 1: genesis ── epoch 0 ── .. ── epoch e │ epoch e+1 ── ..      rules 2
//!                                    decided ──┘ with the consent of every member
//! ```
//!
//! The rules belong to the epoch, and all blocks of an epoch have the same. Administrators decide about the next ones
//! as they decide about [members](super::Members); `docs/adr/0027-rules-belong-to-an-epoch.md` has the reasons.
//!
//! What differs between two versions is asked of the version that a height has, [`ChainTime::rules`], and of nothing
//! else: each difference is a method here.
//!
//! [`ChainTime::rules`]: super::ChainTime::rules

use std::fmt;

use thiserror::Error;

use super::Epoch;
use crate::limits::DECISION_LAG;

/// A version of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RulesVersion(pub u16);

/// The rules with which each network begins whose genesis has the present format.
pub const RULES_FIRST: RulesVersion = RulesVersion(1);

/// The last rules that this release runs. It runs all from [`RULES_FIRST`] on.
pub const RULES_LAST: RulesVersion = RulesVersion(1);

/// Rules after the last ones, so that tests and the simulator can change rules: decisions wait one height longer. No
/// release [supports](Support) them.
pub const RULES_TRIAL: RulesVersion = RULES_LAST.next();

impl RulesVersion {
    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many heights after it is decided something takes effect, unless it is about the next epoch. Never less than
    /// [`DECISION_LAG`], on which the judgement of a block relies.
    #[must_use]
    pub const fn decision_lag(self) -> u64 {
        DECISION_LAG + (self.0 >= RULES_TRIAL.0) as u64
    }
}

impl fmt::Display for RulesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which rules a program runs: all from [`RULES_FIRST`] up to some last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support(RulesVersion);

/// The rules of an epoch are later ones than this program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the network has rules {needed} from epoch {epoch} on, and this release runs rules {RULES_FIRST} to {last}: install a \
     release that runs rules {needed}, then start again with the same command. Nothing of what is stored needs to be \
     changed"
)]
pub struct UnsupportedRules {
    /// The epoch.
    pub epoch: Epoch,
    /// Its rules.
    pub needed: RulesVersion,
    /// The last ones that the program runs.
    pub last: RulesVersion,
}

impl Support {
    /// What this release runs.
    pub const OURS: Self = Self(RULES_LAST);
    /// What the next release would run: for tests and the simulator.
    pub const TRIAL: Self = Self(RULES_TRIAL);

    /// The last rules.
    #[must_use]
    pub fn last(self) -> RulesVersion {
        self.0
    }

    /// Whether the program runs these rules.
    #[must_use]
    pub fn has(self, rules: RulesVersion) -> bool {
        (RULES_FIRST..=self.0).contains(&rules)
    }

    /// Whether it can go on in this epoch.
    ///
    /// # Errors
    /// [`UnsupportedRules`].
    pub fn check(self, epoch: Epoch, needed: RulesVersion) -> Result<(), UnsupportedRules> {
        if self.has(needed) { Ok(()) } else { Err(UnsupportedRules { epoch, needed, last: self.0 }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_runs_the_old_rules_and_says_what_to_install_for_later_ones() {
        assert!(Support::TRIAL.has(RULES_FIRST) && Support::TRIAL.has(RULES_TRIAL));
        assert!(!Support::TRIAL.has(RULES_TRIAL.next()) && !Support::OURS.has(RulesVersion(0)));
        assert_eq!(Support::OURS.check(Epoch(3), RULES_LAST), Ok(()));
        let refused = Support::OURS.check(Epoch(3), RULES_TRIAL).unwrap_err().to_string();
        let says = |words: &str| assert!(refused.contains(words), "{refused}");
        says(&format!("rules {RULES_TRIAL} from epoch 3 on"));
        says(&format!("this release runs rules {RULES_FIRST} to {RULES_LAST}"));
        says(&format!("install a release that runs rules {RULES_TRIAL}"));
    }
}
