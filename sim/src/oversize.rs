//! A leader whose block takes more transactions than a block may, or more of a chain than its quota: all of them exist,
//! and everybody gets them.

use std::time::Duration;

use engine::limits::BLOCK_PACKETS_MAX;
use engine::types::{Epoch, Head, Quota};
use engine::wire::{Batch, BatchSection, Block, PeerMessage};
use kernels::ed25519::SigningKey;

use crate::byzantine::Misdeed;
use crate::environment::Signer;
use crate::world::{Event, World};

/// Transactions of one of its batches: as many as fit into a record of a simulated log.
const TRANSACTIONS: usize = 900;
/// The same, where two of them are more than the lowest quota, and one is not; or each is.
const TRANSACTIONS_OF_QUOTA: [usize; 2] = [600, 300];
/// How many batches it shows at once: fewer than may be with the verifiers.
const AT_ONCE: usize = 40;
/// When it shows the rest.
const PAUSE: Duration = Duration::from_millis(40);

impl World {
    pub(crate) fn oversized(&self) -> bool {
        self.plan.liars.values().flatten().any(|misdeed| *misdeed == Misdeed::OversizeBlocks)
    }

    /// The liar leads for the first time: it shows the first of its batches. Later: the others.
    pub(crate) fn oversize(&mut self, node: usize) {
        let first = self.oversize.is_empty();
        if !first && self.oversize_shown {
            return;
        }
        if first {
            self.seal_oversize(node);
            self.after(PAUSE, Event::Oversize(node));
        } else {
            self.oversize_shown = true;
        }
        let batches = self.oversize.clone();
        let (head, rest) = batches.split_at(AT_ONCE.min(batches.len()));
        for batch in if first { head } else { rest } {
            for peer in (0..self.plan.validators).filter(|peer| *peer != node) {
                self.carry(node, peer, PeerMessage::Batch(batch.bytes().clone()));
            }
        }
    }

    fn seal_oversize(&mut self, node: usize) {
        let me = self.nodes[node].me;
        let key = SigningKey::from_seed(self.environment.signing_seeds[me]);
        let chain = self.environment.first_money().id;
        let transfer =
            self.environment.transfer((chain.0, None), (Signer::first(0), 1), 1, 1 << 20, u64::MAX);
        let (count, most) = match self.plan.quota {
            Quota::WHOLE => (TRANSACTIONS, BLOCK_PACKETS_MAX),
            quota => (TRANSACTIONS_OF_QUOTA[me % 2], quota.packets()),
        };
        let section = BatchSection { chain, packets: count as u32 };
        let packets = vec![*transfer.run().first(); count];
        let mut previous = Head::NONE;
        while self.oversize.len() * count <= most.max(count) {
            let author = engine::types::ValidatorIndex(me as u16);
            let network = self.environment.network();
            let sign = |message: &[u8]| key.sign(message);
            let batch = Batch::seal(
                &network,
                (Epoch(0), author),
                &previous,
                engine::types::Height(0),
                &[section],
                packets.iter(),
                sign,
            );
            previous = batch.head();
            self.oversize.push(batch);
        }
        let Some(running) = &mut self.nodes[node].running else { return };
        let mut once = Some(previous);
        running.host.forge = Some(Box::new(move |block, _| {
            let mut header = block.header().clone();
            header.cut[me] = once.take()?;
            Block::new(header).ok()
        }));
    }
}
