//! Verdicts on their way to the clients.

use std::collections::BTreeMap;

use super::Receipt;
use crate::mempool::Origin;
use crate::types::{Height, Outcome, Refusal, Verdict};
use crate::wire::Notice;

/// Notices for each connection, collected until they are sent.
#[derive(Debug, Default)]
pub struct NoticeBook {
    by_connection: BTreeMap<u64, Vec<Notice>>,
}

impl NoticeBook {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters what became of a batch of ours: the origins of its transactions and their outcomes, in its order, in the
    /// block at `height`, which the receipt must be for.
    ///
    /// # Panics
    /// The receipt is for another height, or there is not one outcome for each origin.
    pub fn executed(&mut self, receipt: &Receipt, height: Height, origins: &[Origin], outcomes: &[Outcome]) {
        assert_eq!(receipt.height(), height, "the receipt of another height");
        assert_eq!(origins.len(), outcomes.len(), "one outcome for each origin");
        let verdicts = outcomes.iter().map(|outcome| Verdict::from(*outcome));
        self.enter(
            origins.iter().zip(verdicts).map(|(origin, verdict)| (origin.connection, origin.tag, verdict)),
        );
    }

    /// Enters refusals, each as (connection, tag, reason).
    pub fn refused(&mut self, refusals: impl Iterator<Item = (u64, u64, Refusal)>) {
        self.enter(refusals.map(|(connection, tag, refusal)| (connection, tag, Verdict::Refused(refusal))));
    }

    /// Takes everything out: for each connection, its notices in the order in which they were entered.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, Vec<Notice>)> + use<> {
        std::mem::take(&mut self.by_connection).into_iter()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.by_connection.is_empty()
    }

    /// Neighbours mostly share a connection, so the list is looked up once for a run of them.
    fn enter(&mut self, notices: impl Iterator<Item = (u64, u64, Verdict)>) {
        let mut notices = notices.peekable();
        while let Some((connection, tag, verdict)) = notices.next() {
            let list = self.by_connection.entry(connection).or_default();
            list.push(Notice { tag, verdict });
            while let Some((_, tag, verdict)) = notices.next_if(|next| next.0 == connection) {
                list.push(Notice { tag, verdict });
            }
        }
    }
}
