//! One round of checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kernels::ed25519::{DecodedEntry, Entry, verify_batch, verify_batch_decoded};

use super::Verified;
use super::memory::Memory;
use crate::execute::{AccountKey, ChainState, Chains, WindowRefusal};
use crate::limits::SIGNED_MESSAGE_BYTES;
use crate::types::{BatchId, Digest, Height, Packet, PacketSlab, Refusal, Transaction};
use crate::wire::Batch;

/// How many packets ahead the accounts are asked for.
const PREFETCH_AHEAD: usize = 8;
/// Bytes of good batches that are remembered: about three seconds of a network at its limit, which is twice the time after
/// which an author repeats itself.
const REMEMBERED_BYTES: usize = 32 << 20;

/// Something to check.
#[derive(Clone, Debug)]
pub enum Job {
    /// What a client submitted: each packet is judged by itself.
    Packets(PacketSlab),
    /// What a peer sealed: good as a whole or not at all.
    Batch(Batch),
}

/// What became of a [`Job`].
#[derive(Clone, Debug)]
pub enum Checked {
    /// A verdict for each packet.
    Packets(CheckedPackets),
    /// The evidence, or why there is none.
    Batch(Result<Verified<Batch>, BatchRefusal>),
}

/// A client's packets and their verdicts.
#[derive(Clone, Debug)]
pub struct CheckedPackets {
    slab: PacketSlab,
    refusals: Vec<Option<Refusal>>,
}

impl CheckedPackets {
    /// For each packet, in order: the evidence or the refusal.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Verified<Transaction>, Refusal>> {
        self.slab.packets().iter().zip(&self.refusals).map(|(packet, refusal)| match refusal {
            Some(refusal) => Err(*refusal),
            None => packet.transaction().map(Verified::new).map_err(|_| Refusal::Malformed),
        })
    }

    /// For each packet, in order: why it is refused, if it is.
    pub fn refusals(&self) -> &[Option<Refusal>] {
        &self.refusals
    }

    /// How many packets.
    pub fn len(&self) -> usize {
        self.refusals.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// What is wrong in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// Not a transfer.
    #[error("not a transfer")]
    Malformed,
    /// The network has no such chain, or the transaction names another chain than the batch.
    #[error("wrong chain")]
    WrongChain,
    /// There is no such debit account.
    #[error("unknown debit account")]
    UnknownAccount,
    /// The debit account has no key of this version.
    #[error("unknown key version")]
    WrongKeyVersion,
    /// The signature does not fit.
    #[error("bad signature")]
    BadSignature,
}

/// Why a peer's batch is refused. Its author should not have sealed it, so it is the author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch ({batch}), transaction {position}: {fault}")]
pub struct BatchRefusal {
    /// The batch.
    pub batch: BatchId,
    /// The first transaction at fault.
    pub position: u32,
    /// What is wrong with it.
    pub fault: BatchFault,
}

/// Checks signatures, and what is cheaper before them. Owns no thread; each verify thread has a clone, and all clones share
/// the counter and what they remember.
#[derive(Clone, Debug)]
pub struct Verifier {
    network: Digest,
    chains: Chains,
    signatures_checked: Arc<AtomicU64>,
    memory: Arc<Memory>,
    messages: Vec<[u8; SIGNED_MESSAGE_BYTES]>,
    verdicts: Vec<bool>,
}

impl Verifier {
    /// A verifier of a network's transactions against these states. `signatures_checked` counts.
    pub fn new(network: Digest, chains: Chains, signatures_checked: Arc<AtomicU64>) -> Self {
        let memory = Arc::new(Memory::new(REMEMBERED_BYTES));
        Self { network, chains, signatures_checked, memory, messages: Vec::new(), verdicts: Vec::new() }
    }

    /// Checks all jobs in one round, and answers in their order. `committed` is the height that this validator has
    /// executed. `seed` must be unpredictable to whoever sent the jobs: take it from the operating system every time.
    pub fn check(&mut self, committed: Height, jobs: Vec<Job>, seed: [u8; 32]) -> Vec<Checked> {
        let mut signed = Vec::new();
        let cheap: Vec<Cheap> = jobs
            .iter()
            .map(|job| match job {
                Job::Packets(slab) => {
                    Cheap::Packets(judge_packets(&self.chains, committed, slab, &mut signed))
                }
                Job::Batch(batch) => match self.memory.recall(batch.digest()) {
                    Some(known) => Cheap::Known(known),
                    None => Cheap::Batch(judge_batch(&self.chains, batch, &mut signed)),
                },
            })
            .collect();

        self.messages.clear();
        self.messages.extend(signed.iter().map(|signed| signed.packet.message(&self.network)));
        self.verdicts.clear();
        self.verdicts.resize(signed.len(), false);
        check_signatures(&signed, &self.messages, seed, &mut self.verdicts);
        self.signatures_checked.fetch_add(signed.len() as u64, Relaxed);

        let mut verdicts = self.verdicts.as_slice();
        let conclude = |(job, cheap)| conclude(job, cheap, &mut verdicts);
        jobs.into_iter().zip(cheap).map(conclude).inspect(|checked| self.remember(checked)).collect()
    }

    fn remember(&self, checked: &Checked) {
        if let Checked::Batch(Ok(batch)) = checked {
            self.memory.note(batch);
        }
    }
}

/// A packet that passed the cheap checks, and the key that must have signed it.
struct Signed<'a> {
    key: AccountKey<'a>,
    packet: &'a Packet,
}

/// A verdict for each packet; its message has the same place.
fn check_signatures(
    signed: &[Signed<'_>],
    messages: &[[u8; SIGNED_MESSAGE_BYTES]],
    seed: [u8; 32],
    verdicts: &mut [bool],
) {
    let decoded = signed.iter().zip(messages).map(|(Signed { key, packet }, message)| {
        Some(DecodedEntry { key: key.decoded?, message, signature: packet.signature() })
    });
    if let Some(entries) = decoded.collect::<Option<Vec<_>>>() {
        return verify_batch_decoded(&entries, seed, verdicts);
    }
    let encoded = signed.iter().zip(messages).map(|(Signed { key, packet }, message)| Entry {
        key: key.encoded,
        message,
        signature: packet.signature(),
    });
    verify_batch(&encoded.collect::<Vec<_>>(), seed, verdicts);
}

/// What the cheap checks said of a job.
enum Cheap {
    Packets(Vec<Option<Refusal>>),
    Batch(Result<(), BatchRefusal>),
    Known(Verified<Batch>),
}

/// The cheap refusals of a client's packets; survivors go to `signed`.
fn judge_packets<'a>(
    chains: &'a Chains,
    committed: Height,
    slab: &'a PacketSlab,
    signed: &mut Vec<Signed<'a>>,
) -> Vec<Option<Refusal>> {
    let packets = slab.packets();
    let judge = |(at, packet): (usize, &'a Packet)| {
        if let Some(coming) = packets.get(at + PREFETCH_AHEAD)
            && let Some(state) = chains.get(coming.chain())
        {
            state.prefetch(coming.debit());
        }
        match judge_packet(chains, committed, packet) {
            Ok(key) => {
                signed.push(Signed { key, packet });
                None
            }
            Err(refusal) => Some(refusal),
        }
    };
    packets.iter().enumerate().map(judge).collect()
}

fn judge_packet<'a>(
    chains: &'a Chains,
    committed: Height,
    packet: &Packet,
) -> Result<AccountKey<'a>, Refusal> {
    if !packet.is_transfer() {
        return Err(Refusal::Malformed);
    }
    let state = chains.get(packet.chain()).ok_or(Refusal::WrongChain)?;
    if packet.expiry() <= committed {
        return Err(Refusal::Expired);
    }
    let key = state.key(packet.debit()).ok_or(Refusal::UnknownAccount)?;
    state.index(packet.credit()).ok_or(Refusal::UnknownAccount)?;
    if key.version != packet.key_version() {
        return Err(Refusal::WrongKeyVersion);
    }
    let window = state.window(packet.debit()).ok_or(Refusal::UnknownAccount)?;
    match window.with(packet.nonce()) {
        Ok(_) => Ok(key),
        Err(WindowRefusal::Replayed) => Err(Refusal::Replayed),
        Err(WindowRefusal::TooFar) => Err(Refusal::NonceTooFar),
    }
}

/// The cheap checks of a batch. Either all of its packets go to `signed`, or none.
fn judge_batch<'a>(
    chains: &'a Chains,
    batch: &'a Batch,
    signed: &mut Vec<Signed<'a>>,
) -> Result<(), BatchRefusal> {
    let first = signed.len();
    let state = chains.get(batch.id().chain).ok_or_else(|| refusal(batch, 0, BatchFault::WrongChain))?;
    let packets = batch.packets();
    for (at, packet) in packets.iter().enumerate() {
        if let Some(coming) = packets.get(at + PREFETCH_AHEAD) {
            state.prefetch(coming.debit());
        }
        match judge_batched(state, packet) {
            Ok(key) => signed.push(Signed { key, packet }),
            Err(fault) => {
                signed.truncate(first);
                return Err(refusal(batch, at, fault));
            }
        }
    }
    Ok(())
}

fn judge_batched<'a>(state: &'a ChainState, packet: &Packet) -> Result<AccountKey<'a>, BatchFault> {
    if !packet.is_transfer() {
        return Err(BatchFault::Malformed);
    }
    if packet.chain() != state.chain() {
        return Err(BatchFault::WrongChain);
    }
    let key = state.key(packet.debit()).ok_or(BatchFault::UnknownAccount)?;
    if key.version != packet.key_version() {
        return Err(BatchFault::WrongKeyVersion);
    }
    Ok(key)
}

/// Puts the cheap checks and the verdicts on signatures together; takes this job's verdicts from the front.
fn conclude(job: Job, cheap: Cheap, verdicts: &mut &[bool]) -> Checked {
    match (job, cheap) {
        (Job::Packets(slab), Cheap::Packets(mut refusals)) => {
            for undecided in refusals.iter_mut().filter(|refusal| refusal.is_none()) {
                let good = verdicts.split_off_first().expect("a verdict for each survivor");
                *undecided = (!good).then_some(Refusal::BadSignature);
            }
            Checked::Packets(CheckedPackets { slab, refusals })
        }
        (Job::Batch(batch), Cheap::Batch(Ok(()))) => {
            let mine = verdicts.split_off(..batch.packets().len()).expect("a verdict for each transaction");
            Checked::Batch(match mine.iter().position(|good| !good) {
                None => Ok(Verified::new(batch)),
                Some(position) => Err(refusal(&batch, position, BatchFault::BadSignature)),
            })
        }
        (Job::Batch(_), Cheap::Known(known)) => Checked::Batch(Ok(known)),
        (Job::Batch(_), Cheap::Batch(Err(refusal))) => Checked::Batch(Err(refusal)),
        _ => unreachable!("the cheap checks of a job are of its kind"),
    }
}

fn refusal(batch: &Batch, position: usize, fault: BatchFault) -> BatchRefusal {
    BatchRefusal { batch: batch.id(), position: position as u32, fault }
}
