//! Everything that is counted, in one answer.

use std::sync::Arc;

use engine::mempool::Mempool;
use engine::store::Log;
use net::Identity;

use super::counters::CountersReport;
use super::shared::Shared;

/// Where the counts are.
#[derive(Clone)]
pub struct Report {
    /// The validator's own counters, its journal and its mempools.
    pub shared: Arc<Shared>,
    /// The network's.
    pub metrics: Arc<net::Metrics>,
    /// What it shows in handshakes.
    pub identity: Identity,
    /// Those of the log of consensus.
    pub votes: Arc<Log>,
}

impl Report {
    /// The answer to a `Counters` query.
    #[must_use]
    pub fn make(&self) -> CountersReport {
        let network = self.metrics.snapshot();
        let directions = [
            ("peers_in", network.peer_bytes_received),
            ("peers_out", network.peer_bytes_sent),
            ("clients_in", network.client_bytes_received),
            ("clients_out", network.client_bytes_sent),
        ];
        let bytes =
            network.rows().into_iter().chain(directions).map(|(name, value)| (name.to_owned(), value));
        let logs = [("journal", &self.shared.journal), ("consensus_log", &self.votes)];
        let logs = logs.map(|(name, log)| (name.to_owned(), log.metrics().written_bytes));
        self.shared.counters.report(bytes.chain(logs).collect(), self.shared.journal.metrics().backend)
    }

    /// Transactions that wait in the mempools.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.shared.mempools.iter().map(|mempool: &Mempool| mempool.len() as u64).sum()
    }
}
