//! The rules of voting and fetching, each of which a control can switch off.

/// One rule of the protocol. The tests switch rules off one at a time and expect a counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `certify` answers once block, unfinalized ancestors and bodies are durable, not when they are in memory.
    CertifyWaitsForJournal,
    /// A notarized block and its unfinalized ancestors are fetched from any validator that holds them.
    FetchUnfinalizedAncestors,
    /// After a restart a validator serves its journaled blocks that are not finalized yet.
    ServeAfterRestart,
    /// `certify` stays pending while something is missing; it is never answered *false* and never dropped.
    CertifyStaysPending,
    /// Certificates that one honest validator holds reach the others: with retries, or when asked for.
    CertificatesTravel,
    /// A validator that has nullified a view does not vote to finalize in it.
    NullifyBarsFinalize,
    /// A validator that has voted to finalize in a view does not nullify it: it has left the view.
    FinalizeBarsNullify,
    /// A validator notarizes one block in a view.
    OneVoteInAView,
    /// The vote log survives: own votes, certificates and answers of `certify`.
    VotesAreDurable,
    /// A validator notarizes a block only when its parent is certified or finalized at this validator.
    ParentIsCertified,
    /// A validator notarizes a block only when every view between it and its parent is nullified.
    SkippedViewsAreNullified,
    /// `verify` waits until the bodies are here.
    VerifyWaitsForBodies,
    /// `certify` waits for the unfinalized ancestors too, not only for the block itself.
    CertifyWaitsForAncestors,
}

/// The rules in force: all of them, or all but one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    broken: Option<Rule>,
}

impl Rules {
    /// Every rule is in force.
    pub const ALL: Rules = Rules { broken: None };

    /// Every rule but this one is in force.
    pub const fn without(rule: Rule) -> Rules {
        Rules { broken: Some(rule) }
    }

    /// Whether this rule is in force.
    pub fn hold(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}
