//! Everything that is counted, in one answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::mempool::Mempool;
use engine::store::Log;
use engine::types::{ChainId, Digest};

use super::counters::{Counters, CountersReport};

/// Where the counts are.
#[derive(Clone)]
pub struct Report {
    /// The validator's own counters.
    pub counters: Arc<Counters>,
    /// The network's.
    pub metrics: Arc<dyn Fn() -> net::Snapshot + Send + Sync>,
    /// The journal's.
    pub journal: Arc<Log>,
    /// Those of the log of consensus.
    pub votes: Arc<Log>,
    /// What waits.
    pub mempools: Arc<BTreeMap<ChainId, Mempool>>,
    /// The state root of the genesis.
    pub genesis_root: Digest,
}

impl Report {
    /// The answer to a `Counters` query.
    #[must_use]
    pub fn make(&self) -> CountersReport {
        let network = (self.metrics)();
        let directions = [
            ("peers_in", network.peer_bytes_received),
            ("peers_out", network.peer_bytes_sent),
            ("clients_in", network.client_bytes_received),
            ("clients_out", network.client_bytes_sent),
        ];
        let bytes =
            network.rows().into_iter().chain(directions).map(|(name, value)| (name.to_owned(), value));
        let logs = [("journal", &self.journal), ("consensus_log", &self.votes)];
        let logs = logs.map(|(name, log)| (name.to_owned(), log.metrics().written_bytes));
        self.counters.report(bytes.chain(logs).collect(), self.journal.metrics().backend)
    }

    /// Transactions that wait in the mempools.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.mempools.values().map(|mempool| mempool.len() as u64).sum()
    }
}
