//! One round of checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kernels::ed25519::{Backend, Effort, Group};

use super::assistant::{Assistant, Decided, decide};
use super::signed::{self, Messages, Signed};
use super::suspects::Suspects;
use super::{BatchRefusal, CheckedPackets, Verified, batch, packets};
use crate::execute::Chains;
use crate::ingress::Source;
use crate::limits::PUBLIC_KEY_BYTES;
use crate::types::{Digest, Height, PacketSlab, Refusal};
use crate::wire::Batch;

/// Something to check, and who answers for it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where it comes from.
    pub source: Source,
    /// What it is.
    pub load: Load,
}

/// What a [`Job`] is about.
#[derive(Clone, Debug)]
pub enum Load {
    /// What a client submitted: each transaction is judged by itself.
    Packets(PacketSlab),
    /// What a peer sealed: good as a whole or not at all.
    Batch(Batch),
}

impl Job {
    /// The packets of a client.
    pub fn packets(connection: u64, slab: PacketSlab) -> Self {
        Self { source: Source::Connection(connection), load: Load::Packets(slab) }
    }

    /// A batch.
    pub fn batch(source: Source, batch: Batch) -> Self {
        Self { source, load: Load::Batch(batch) }
    }
}

/// What became of a [`Job`].
#[derive(Clone, Debug)]
pub enum Checked {
    /// A verdict for each transaction.
    Packets(CheckedPackets),
    /// The evidence, or why the job is refused.
    Batch(Result<Verified<Batch>, BatchRefusal>),
}

/// Signatures of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many were checked.
    pub signatures: u32,
    /// How many of these were bad, or stood beside a bad one in the same transaction: the good ones there were checked
    /// for nothing.
    pub bad: u32,
    /// How many transactions, or batches, had a bad one.
    pub refused: u32,
}

impl Tally {
    pub(super) fn of(verdicts: &[bool]) -> Self {
        let mut tally = Self::default();
        verdicts.chunks(1).for_each(|verdict| tally.count(verdict));
        tally
    }

    /// The signatures of one transaction.
    pub(super) fn count(&mut self, verdicts: &[bool]) {
        self.signatures += verdicts.len() as u32;
        if verdicts.contains(&false) {
            self.bad += verdicts.len() as u32;
            self.refused += 1;
        }
    }
}

/// Checks signatures, and what is cheaper before them. Owns no thread; each verify thread has a clone, and all clones
/// share the counter and the suspects.
#[derive(Clone, Debug)]
pub struct Verifier {
    network: Digest,
    chains: Chains,
    /// Every validator's public key, by index: authors sign their batches.
    authors: Arc<[[u8; PUBLIC_KEY_BYTES]]>,
    signatures_checked: Arc<AtomicU64>,
    suspects: Arc<Suspects>,
    backend: Backend,
    assistant: Option<Arc<dyn Assistant>>,
    assisted: u64,
    rechecked: u64,
    messages: Messages,
    verdicts: Vec<bool>,
}

impl Verifier {
    /// A verifier of a network's transactions against these states. `signatures_checked` counts.
    pub fn new(
        network: Digest,
        chains: Chains,
        authors: Arc<[[u8; PUBLIC_KEY_BYTES]]>,
        signatures_checked: Arc<AtomicU64>,
    ) -> Self {
        Self {
            network,
            chains,
            authors,
            signatures_checked,
            suspects: Arc::default(),
            backend: Backend::best(),
            assistant: None,
            assisted: 0,
            rechecked: 0,
            messages: Messages::default(),
            verdicts: Vec::new(),
        }
    }

    /// Checks with this arithmetic of the CPU.
    #[must_use]
    pub fn on(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// Offers signatures to this assistant first.
    #[must_use]
    pub fn assisted_by(self, assistant: Arc<dyn Assistant>) -> Self {
        Self { assistant: Some(assistant), ..self }
    }

    /// How many signatures the assistant has accepted for this clone.
    pub fn assisted(&self) -> u64 {
        self.assisted
    }

    /// How often this clone has checked a signature once more than necessary, because a combination that it was in has
    /// failed: what bad signatures cost.
    pub fn rechecked(&self) -> u64 {
        self.rechecked
    }

    /// Checks all jobs in one round, and answers in their order. `committed` is the height that this validator has on
    /// its disk: what clients submit is judged by the accounts that there were then. What a batch says is judged by
    /// those of the height that it names, which must be executed here. `seed` must be unpredictable to everybody who
    /// sent the jobs: take it from the operating system every time.
    pub fn check(&mut self, committed: Height, jobs: Vec<Job>, seed: [u8; 32]) -> Vec<Checked> {
        // Signatures of one source stand together.
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|at| jobs[*at].source);
        let (mut signed, mut cheap, mut parts) = (Vec::new(), Vec::with_capacity(jobs.len()), Vec::new());
        for of_one in order.chunk_by(|a, b| jobs[*a].source == jobs[*b].source) {
            let before = signed.len();
            let judge =
                |at: &usize| judge(&self.chains, &self.authors, committed, &jobs[*at].load, &mut signed);
            cheap.extend(of_one.iter().map(judge));
            parts.push((jobs[of_one[0]].source, signed.len() - before));
        }

        let group = |(source, entries)| Group { entries, company: self.suspects.company(source) };
        let groups: Vec<Group> = parts.iter().copied().map(group).collect();
        self.verdicts.clear();
        self.verdicts.resize(signed.len(), false);
        let items = signed::items(&signed, &self.network, &mut self.messages);
        let by = (self.backend, self.assistant.as_deref());
        let Decided { assisted, effort } = decide(by, &items, &groups, seed, &mut self.verdicts);
        drop(items);
        let (signatures, Effort { combined, alone }) = (signed.len() as u64, effort);
        self.assisted += assisted;
        self.rechecked += combined + alone - (signatures - assisted);
        self.signatures_checked.fetch_add(signatures, Relaxed);

        let mut rest = self.verdicts.as_slice();
        for (source, signatures) in parts {
            let mine = rest.split_off(..signatures).expect("a verdict for each signature");
            self.suspects.note(source, Tally::of(mine));
        }
        let mut verdicts = self.verdicts.as_slice();
        let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
        let mut answers: Vec<(usize, Checked)> = Vec::with_capacity(jobs.len());
        for (at, cheap) in order.into_iter().zip(cheap) {
            let load = jobs[at].take().expect("each job has one place").load;
            answers.push((at, Self::conclude(load, cheap, &mut verdicts)));
        }
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, checked)| checked).collect()
    }

    /// Puts the cheap checks and the verdicts on signatures together; takes this job's verdicts from the front.
    fn conclude(load: Load, cheap: Cheap, verdicts: &mut &[bool]) -> Checked {
        match (load, cheap) {
            (Load::Packets(slab), Cheap::Packets(refusals)) => {
                Checked::Packets(packets::conclude(slab, refusals, verdicts))
            }
            (Load::Batch(batch), Cheap::Batch(cheap)) => {
                Checked::Batch(batch::conclude(batch, cheap, verdicts))
            }
            _ => unreachable!("the cheap checks of a job are of its kind"),
        }
    }
}

/// The cheap checks; signatures that are left to check go to `signed`.
fn judge<'a>(
    chains: &'a Chains,
    authors: &'a [[u8; PUBLIC_KEY_BYTES]],
    committed: Height,
    load: &'a Load,
    signed: &mut Vec<Signed<'a>>,
) -> Cheap {
    match load {
        Load::Packets(slab) => Cheap::Packets(packets::judge(chains, committed, slab, signed)),
        Load::Batch(batch) => Cheap::Batch(batch::judge(chains, authors, batch, signed)),
    }
}

/// What the cheap checks said of a job.
enum Cheap {
    Packets(Vec<Option<Refusal>>),
    Batch(Result<usize, BatchRefusal>),
}
