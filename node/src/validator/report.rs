//! Everything that is counted, in one answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use engine::mempool::Mempool;
use engine::roots::ChainEntry;
use engine::store::Log;
use engine::types::ChainStatus;
use net::{Identity, PeerNetwork};

use super::counters::{ChainReport, CountersReport, LinkReport};
use super::shared::Shared;
use crate::disk::free_bytes;
use crate::machine::{Memory, memory, process};

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
    /// On the disk of which it lies.
    pub data: PathBuf,
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

    /// The same, with how the machine, the chains and the links are. The entries are those of the committed state root.
    #[must_use]
    pub fn whole(&self, entries: &[ChainEntry], peers: &PeerNetwork) -> CountersReport {
        let pending =
            |chain| self.shared.mempools.get(chain).map_or(0, |mempool: &Mempool| mempool.len() as u64);
        let chain = |entry: &ChainEntry| ChainReport {
            chain: entry.chain.0,
            pending: pending(entry.chain),
            accounts: entry.accounts,
            rows: entry.rows,
            issued: entry.issuance.issued,
            burned: entry.issuance.burned,
            active: entry.status == ChainStatus::Active,
        };
        let link = |of: net::LinkState| LinkReport {
            peer: of.peer,
            connected: of.connected,
            sent_bytes: of.sent_bytes,
            received_bytes: of.received_bytes,
            rtt_us: of.round_trip.as_micros() as u64,
            lost_packets: of.lost_packets,
            queued_bytes: of.queued_bytes,
        };
        CountersReport {
            gauges: self.gauges(),
            chains: entries.iter().map(chain).collect(),
            links: peers.links().into_iter().map(link).collect(),
            ..self.make()
        }
    }

    fn gauges(&self) -> BTreeMap<String, f64> {
        let journal = self.shared.journal.metrics();
        let process = process().into_iter().flat_map(|(resident, threads)| {
            [("process_resident_bytes", resident), ("process_threads", threads)]
        });
        let memory = memory().into_iter().flat_map(|Memory { available, of }| {
            [("memory_available_bytes", available), ("memory_total_bytes", of)]
        });
        let free = free_bytes(&self.data).ok().map(|free| ("disk_free_bytes", free));
        let journal = [
            ("journal_syncs", journal.syncs),
            ("journal_records", journal.records),
            ("journal_append_waits", journal.waits),
            ("journal_segments", journal.segments),
        ];
        let all = process.chain(memory).chain(free).chain(journal);
        all.map(|(name, value)| (name.to_owned(), value as f64)).collect()
    }

    /// Transactions that wait in the mempools.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.shared.mempools.iter().map(|mempool: &Mempool| mempool.len() as u64).sum()
    }
}
