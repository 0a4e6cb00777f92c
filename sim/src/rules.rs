//! The rules that can be broken on purpose, to see that a checker finds it.
//!
//! Most are broken where a validator touches the world (its host), so production code knows nothing of them.

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal by $checker:literal,)*) => {
        /// A rule of the protocol. Breaking one must be found by a checker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $rule,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$rule),*];

            /// Its name on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// What the violation that shows it begins with; empty if several checkers may be the first.
            #[must_use]
            pub fn checker(self) -> &'static str {
                match self { $(Self::$rule => $checker,)* }
            }

            /// The rule of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|rule| rule.name() == name)
            }
        }
    };
}

rules! {
    /// A vote to finalize waits for block, ancestors and bodies in the journal. *(The vote without its block.)*
    CertifyWaits = "certify_waits" by "held",
    /// A block is in the journal before this validator votes for it.
    BlocksJournaled = "blocks_are_journaled" by "",
    /// Recovery reloads the blocks that are not final.
    BlocksReloaded = "blocks_are_reloaded" by "",
    /// Recovery reloads the batches that are not ordered.
    BatchesReloaded = "batches_are_reloaded" by "",
    /// A checkpoint names the first record that its height has not used up.
    CheckpointsReachBack = "checkpoints_reach_back" by "start",
    /// All validators have the same state at a height.
    StatesAlike = "states_are_alike" by "states",
    /// The journal is pruned below what a start from a checkpoint needs.
    JournalReachesBack = "journal_reaches_back" by "start",
    /// A missing ancestor is fetched, final or not. *(The withheld ancestor.)*
    BlocksFetched = "blocks_are_fetched" by "liveness",
    /// A missing body is fetched.
    BodiesFetched = "bodies_are_fetched" by "liveness",
    /// A vote leaves only after its record is durable.
    VotesDurable = "votes_are_durable" by "",
    /// A validator without its votes does not vote. *(Amnesia.)*
    LostVotesNoticed = "lost_votes_are_noticed" by "honesty",
    /// A validator whose whole directory was put back does not vote. *(Amnesia.)*
    OlderCopiesNoticed = "older_copies_are_noticed" by "honesty",
    /// A validator without its stream does not seal. *(Amnesia.)*
    LostStreamNoticed = "lost_stream_is_noticed" by "honesty",
    /// A validator without its stream goes on behind what the others have named.
    AnswersBelieved = "answers_are_believed" by "learning",
    /// Clients are answered for the batch that carried their transaction. *(Told committed, in no block.)*
    NoticesByDigest = "notices_follow_digests" by "truth",
    /// Clients hear *committed* only of what is durable.
    NoticesDurable = "notices_wait_for_the_disk" by "durability",
    /// A sync that returns has made everything durable.
    SyncsReal = "syncs_are_real" by "",
    /// What a client was told to be refused is in no block.
    RefusalsTrue = "refusals_are_true" by "truth",
    /// A proposal with a root that is not ours is refused.
    RootsCompared = "wrong_roots_are_refused" by "halt",
    /// A block's time is bounded by the voters' clocks. *(Far-future time.)*
    TimeBounded = "time_is_bounded" by "",
    /// A certificate from a peer is checked. *(Stale and lying sync.)*
    CertificatesChecked = "certificates_are_checked" by "agreement",
    /// Everybody executes every batch.
    EverythingExecuted = "everything_is_executed" by "",
    /// A block without batches is valid however far execution lags. *(The lag that deadlocks.)*
    EmptyBlocksPass = "empty_blocks_pass_the_lag" by "liveness",
    /// An author that contradicts itself is reported.
    ContradictionsTold = "contradictions_are_told" by "evidence",
    /// The sum of all balances never changes. *(Here a ledger begins with more than the genesis gave.)*
    MoneyConserved = "money_is_conserved" by "conservation",
    /// A peer is listened to within bounds, unless a quorum has asked for what it says.
    PeersBounded = "peers_are_bounded" by "memory",
    /// A payment that fails spends its nonce: it neither fails again nor succeeds later.
    FailuresSpend = "failures_spend_their_nonce" by "exactly once",
    /// A payment to another chain is delivered once.
    CrossingsOnce = "payments_cross_once" by "crossing",
    /// A fingerprint is registered once. *(Here again and again, in what execution is said to have given.)*
    FingerprintsOnce = "fingerprints_are_registered_once" by "fingerprints",
    /// Who wants to register what another has registered is told so. *(Here he is told that it is committed.)*
    TakenTold = "taken_fingerprints_are_told" by "fingerprints",
    /// What is issued and burned is counted once. *(Here twice, in what execution is said to have given.)*
    IssuesCounted = "issues_are_counted" by "issuance",
    /// An account gets another key when it was asked for and the lock window is over. *(Here twice, in what execution
    /// is said to have given.)*
    KeysAwaited = "keys_wait_for_their_windows" by "keys",
    /// A decision takes effect so many heights after it was made, everywhere at once. *(Here one validator is said to
    /// have it a height sooner.)*
    DecisionsAwaited = "decisions_wait_for_their_height" by "decisions",
    /// An administrator approves a proposal once. *(Here again and again, in what execution is said to have given.)*
    ApprovalsOnce = "administrators_approve_once" by "decisions",
    /// A chain that is paused takes nothing. *(Here it does, in what execution is said to have given.)*
    PausesKept = "paused_chains_take_nothing" by "decisions",
    /// Who is paid gets all of it. *(Here one less, in what execution is said to have given.)*
    PaymentsWhole = "payments_arrive_in_full" by "flows",
    /// A reservation is settled once. *(Here again and again, in what execution is said to have given.)*
    SettlementsOnce = "reservations_settle_once" by "reservations",
    /// What is set aside is kept until it is settled or its time is over. *(Here nothing is, in what the table of a
    /// chain is said to have.)*
    ReservationsKept = "reservations_are_kept" by "reservations",
    /// An offer is taken only by who says of it what it says. *(Here by others, too, in what execution is said to have
    /// given.)*
    TermsKept = "offers_are_taken_as_they_are" by "swaps",
    /// Who gets what was offered has paid for it. *(Here the price is said to have come back.)*
    SwapsWhole = "swaps_are_whole" by "swaps",
    /// What takes effect by itself is told once. *(Here twice, in what execution is said to have given.)*
    EffectsOnce = "effects_are_told_once" by "effects",
    /// Who pays an account of another chain is told when the money has arrived or come back, and not before.
    CrossingsAwaited = "payments_are_awaited" by "truth",
    /// A verdict is the CPU's, whatever a device says. *(Here the device accepts everything.)*
    VerdictsKept = "verdicts_are_those_of_the_cpu" by "verdicts",
    /// A batch is judged by the accounts as of the height that it names. *(Here by those of the genesis.)*
    JudgedAsOf = "batches_are_judged_as_of_a_height" by "blame",
    /// A block takes no more transactions than the limit, counted in the bodies.
    BlocksBounded = "blocks_are_bounded" by "limits",
    /// A block takes no more of a chain than its quota.
    QuotasKept = "quotas_are_kept" by "quota",
    /// What a validator sends goes by the version that was agreed with the receiver, not by its own release.
    AgreedSpoken = "agreed_versions_are_spoken" by "versions",
    /// The block that carries the root of a decision about members is the last of its epoch. *(Here no validator is
    /// told of such a decision.)*
    EpochsEnd = "epochs_end_where_decided" by "epochs",
    /// A validator behind the end of an epoch gets the last blocks from validators beyond it.
    BordersCrossed = "borders_are_crossed" by "liveness",
    /// A block has the log of all earlier headers.
    LogsCompared = "false_logs_are_refused" by "log",
}
