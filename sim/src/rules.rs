//! The rules that can be broken on purpose, to see that a checker finds it.
//!
//! Most are broken where a validator touches the world (its host), so production code knows nothing of them.

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal,)*) => {
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
    CertifyWaits = "certify_waits",
    /// A block is in the journal before this validator votes for it.
    BlocksJournaled = "blocks_are_journaled",
    /// Recovery reloads the blocks that are not final.
    BlocksReloaded = "blocks_are_reloaded",
    /// Recovery reloads the batches that are not ordered.
    BatchesReloaded = "batches_are_reloaded",
    /// A missing ancestor is fetched, final or not. *(The withheld ancestor.)*
    BlocksFetched = "blocks_are_fetched",
    /// A missing body is fetched.
    BodiesFetched = "bodies_are_fetched",
    /// A vote leaves only after its record is durable.
    VotesDurable = "votes_are_durable",
    /// A validator without its votes does not vote. *(Amnesia.)*
    LostVotesNoticed = "lost_votes_are_noticed",
    /// A validator without its stream does not seal. *(Amnesia.)*
    LostStreamNoticed = "lost_stream_is_noticed",
    /// Clients are answered for the batch that carried their transaction. *(Told committed, in no block.)*
    NoticesByDigest = "notices_follow_digests",
    /// Clients hear *committed* only of what is durable.
    NoticesDurable = "notices_wait_for_the_disk",
    /// A sync that returns has made everything durable.
    SyncsReal = "syncs_are_real",
    /// What a client was told to be refused is in no block.
    RefusalsTrue = "refusals_are_true",
    /// A proposal with a root that is not ours is refused.
    RootsCompared = "wrong_roots_are_refused",
    /// A block's time is bounded by the voters' clocks. *(Far-future time.)*
    TimeBounded = "time_is_bounded",
    /// A certificate from a peer is checked. *(Stale and lying sync.)*
    CertificatesChecked = "certificates_are_checked",
    /// Everybody executes every batch.
    EverythingExecuted = "everything_is_executed",
    /// A block without batches is valid however far execution lags. *(The lag that deadlocks.)*
    EmptyBlocksPass = "empty_blocks_pass_the_lag",
    /// An author that contradicts itself is reported.
    ContradictionsTold = "contradictions_are_told",
}
