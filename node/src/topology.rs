//! The wiring diagram of a validator: one row for each thread and each link.
//!
//! ```text
//!  customers ─▶ net ──ingress──▶ verify-N ──mempool──▶ core ◀──consensus events── consensus ─▶ consensus-log
//!               ▲ │                 ▲ └──verified──────▶│ ▲
//!               │ └──peer batches───┘                   │ └──executed── executor ◀─┐
//!      peers ◀──┴──────────── certificates, blocks ─────┤                │  └─▶ query
//!                                                       ├──finalized─────┘         │durable
//!                                                       └──batches────▶ journal ◀──┘
//! ```
//!
//! Every thread parks when it has nothing to do: with more validators than cores, a spinning consumer takes its
//! time from the producer that it waits for. Every link is bounded, and says here what happens when it is full.

/// What a sender does when a link is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The item is refused, counted, and its sender told.
    Shed,
    /// The item is dropped and counted; the protocol repeats it.
    Drop,
    /// It cannot be: whoever sends is bounded already.
    Never,
}

/// One link between two threads.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// The name in reports.
    pub name: &'static str,
    /// From which thread to which.
    pub ends: (&'static str, &'static str),
    /// How many items it holds; `usize::MAX` where bytes or the senders bound it.
    pub depth: usize,
    /// What happens when it is full.
    pub when_full: WhenFull,
}

/// One thread.
#[derive(Debug, Clone, Copy)]
pub struct Thread {
    /// The thread's name, as `top -H` and the CPU report show it.
    pub name: &'static str,
    /// What it does.
    pub work: &'static str,
}

/// Customers' packets on their way to a verifier, bounded by [`INGRESS_BYTES_MAX`].
pub const INGRESS: Link =
    Link { name: "ingress", ends: ("net", "verify"), depth: usize::MAX, when_full: WhenFull::Shed };
/// Peers' batches on their way to a verifier, bounded by [`PEER_BATCH_BYTES_MAX`]. Their bytes stay charged to the peer
/// until they are checked, so a slow verifier stops that peer's stream before the link is full.
pub const PEER_BATCHES: Link =
    Link { name: "peer batches", ends: ("net", "verify"), depth: usize::MAX, when_full: WhenFull::Drop };
/// Everything that the core is told. Each source is bounded by itself: peers by the bytes that they may have here, the
/// verifiers by their links, the journal by the records that it holds, consensus by its few open questions.
pub const CORE_EVENTS: Link =
    Link { name: "core events", ends: ("any", "core"), depth: usize::MAX, when_full: WhenFull::Never };
/// Finalized blocks with their bodies, and durability notices; bounded because ordering stops when it is
/// [`engine::limits::ROOT_LAG_MAX`] heights ahead of execution.
pub const EXECUTION: Link =
    Link { name: "execution", ends: ("core", "executor"), depth: usize::MAX, when_full: WhenFull::Never };
/// Customers' questions.
pub const QUERIES: Link =
    Link { name: "queries", ends: ("net", "query"), depth: 256, when_full: WhenFull::Shed };
/// What peers want from the journal.
pub const REQUESTS: Link =
    Link { name: "requests", ends: ("core", "server"), depth: 4_096, when_full: WhenFull::Drop };

/// Every link of a validator.
pub const LINKS: [Link; 6] = [INGRESS, PEER_BATCHES, CORE_EVENTS, EXECUTION, QUERIES, REQUESTS];

/// Bytes of customers' packets that may wait for a verifier.
pub const INGRESS_BYTES_MAX: usize = 16 << 20;
/// Bytes of peers' batches that may wait for a verifier.
pub const PEER_BATCH_BYTES_MAX: usize = 64 << 20;

/// Every thread of a validator.
pub const THREADS: [Thread; 9] = [
    Thread { name: "net", work: "QUIC to peers and customers" },
    Thread { name: "verify-N", work: "refusals, signatures, admission to the mempool" },
    Thread { name: "core", work: "sealing, availability, block building, catch-up: the protocols" },
    Thread { name: "executor", work: "execution, roots, receipts, account queries" },
    Thread { name: "journal", work: "batches and committed blocks to disk" },
    Thread { name: "consensus", work: "simplex" },
    Thread { name: "consensus-log", work: "votes to disk" },
    Thread { name: "server", work: "batches and blocks from the journal, for peers that catch up" },
    Thread { name: "query", work: "transactions, blocks and proofs from the journal" },
];
