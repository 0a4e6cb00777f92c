//! A new network that goes on from what a validator of another one has on its disk, where too many of that one's
//! validators are gone for good.
//!
//! ```text
//! data directory ─▶ audit, as `verify` does ─▶ recovery ─▶ the same height and root? ─▶ state behind the last block
//!                                                                                            │
//! DIR/genesis.toml, with the height and the root        DIR/genesis.state ◀──────────────────┤
//! DIR/validator-N/data/checkpoints/fetched.state ◀───────────────────────────────────────────┘
//! ```
//!
//! Nothing of the old directory is changed. Each new validator finds the state as if it had fetched it from others, so
//! its first start goes on from there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::audit::AuditError;
use engine::limits::CHECKPOINT_EVERY_HEIGHTS;
use engine::replica::{
    CheckpointError, CommittedBlock, CommonState, Evidence, FetchedState, KIND_COMMITTED, Progress, Recovery,
    RecoveryError, Schedule, Start, rebuild as rebuilt,
};
use engine::roots::{CommittedView, Executed};
use engine::store::{Lock, Log, Replay, StoreError};
use engine::types::{ChainId, Digest, Genesis, Height, RulesVersion, Support};

use super::Network;
use super::init::{self, Claim, Draft, InitError, InitOptions, SEED_FILE};
use crate::config::{Readers, Secret};
use crate::validator::checkpoints::{Directory, WHOLE};
use crate::validator::ordering::Certificates;
use crate::verify::{self, Text, VerifyError};

/// The state from which a rebuilt network goes on, in its directory.
pub const STATE_FILE: &str = "genesis.state";

/// Why a network was not rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The network cannot be made.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The directory cannot be audited.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The directory cannot be audited.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The audit has found something.
    #[error("the data in {} does not hold, so no network goes on from it: {found}", .data.display())]
    Unsound {
        /// The data directory.
        data: PathBuf,
        /// What was found.
        found: String,
    },
    /// There is no block.
    #[error("{} has no block yet: make a new network with `millrace network init` instead", .0.display())]
    Empty(PathBuf),
    /// The genesis has an invalid key.
    #[error("the genesis has an invalid key: {0}")]
    Genesis(#[from] consensus::StartError),
    /// The journal cannot be read or executed.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal was pruned, and nothing says what it goes on from.
    #[error("the journal in {} was pruned, and no checkpoint beside it can be used", .0.display())]
    NoCheckpoint(PathBuf),
    /// Two ways to the last state lead to different ones.
    #[error(
        "the audit ends with height {audited} and the state root {audited_root}, and the recovery with height {height} and \
         {root}: this is a fault of the program; report it, and do not use what it made"
    )]
    Differs {
        /// The last height of the audit.
        audited: Height,
        /// Its root.
        audited_root: Digest,
        /// That of the recovery.
        height: Height,
        /// Its root.
        root: Digest,
    },
    /// The state makes no other network.
    #[error(transparent)]
    Rebuilt(#[from] engine::replica::RebuildError),
    /// The new network could not go on from the state.
    #[error("the new network could not go on from the state: {0}")]
    Unfit(#[from] CheckpointError),
    /// A file cannot be read or written.
    #[error("{}: {error}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    Randomness(getrandom::Error),
}

impl RebuildError {
    /// Whether the command could not do its work at all, so that nothing was found out.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        let is_usage = matches!(
            self,
            Self::Init(_)
                | Self::Verify(_)
                | Self::Audit(_)
                | Self::Empty(_)
                | Self::File { .. }
                | Self::Store(_)
        );
        is_usage || matches!(self, Self::Rebuilt(engine::replica::RebuildError::Rules(_)))
    }
}

/// A network that was made.
#[derive(Debug)]
pub struct Rebuilt {
    /// The new network.
    pub network: Network,
    /// The height from which it goes on, and the state root of the old network there.
    pub from: (Height, Digest),
    /// How many heights above that are left out, because nothing in the data proves that they are final.
    pub left_out: u64,
}

/// Makes a network in `directory` that goes on from what a validator of the network of `genesis` has in `data`. The
/// options say how the new validators are named and reached; chains and membership are the old ones. `progress` is told
/// how many bytes of the journal were audited, and how many there are.
///
/// # Errors
/// [`RebuildError`]; nothing of what was written stays.
pub fn rebuild(
    (data, genesis): (&Path, &Arc<Genesis>),
    directory: &Path,
    options: &InitOptions,
    progress: &dyn Fn(u64, u64),
) -> Result<Rebuilt, RebuildError> {
    let mut claim = Claim::of(directory, options, genesis.chains().iter().map(|chain| chain.id))?;
    let report = verify::auditor(Arc::clone(genesis))?.audit(data, progress, &mut |_, _, _| {})?;
    if !report.ok {
        return Err(RebuildError::Unsound { data: data.to_owned(), found: Text(&report, &[]).to_string() });
    }
    // What is final only by a block that is not here is the word of who wrote these files.
    let last = Height(report.height.0 - report.heights_without_certificate);
    let (state, rules) = last_state(data, genesis, last)?;
    let (height, root) = (state.record.height, state.record.state_root);
    // The audit has compared the root in the record of each height.
    let is_it = height == last && (last < report.height || root == report.state_root);
    if !is_it {
        let (audited, audited_root) = (report.height, report.state_root);
        return Err(RebuildError::Differs { audited, audited_root, height, root });
    }

    let drafts = init::drafts(directory, options)?;
    let validators = drafts.iter().map(Draft::genesis).collect();
    let (heir, common) = rebuilt(genesis, &state, rules, (options.name.clone(), validators))?;
    let state = FetchedState { common, evidence: Evidence::default() };
    state.check((&heir, Support::OURS), &Certificates::new(&heir)?)?;

    claim.begin()?;
    let file = directory.join(STATE_FILE);
    write_state(&state, &heir, &file).map_err(failed(&file))?;
    init::write(directory, options, (&heir, &drafts), client_seed(data)?.as_ref(), |draft| {
        let checkpoints = draft.directory.join("data/checkpoints");
        fs::create_dir_all(&checkpoints)?;
        let copy = checkpoints.join(WHOLE);
        fs::copy(&file, &copy)?;
        File::open(&copy)?.sync_all()
    })?;
    let network = Network::load(directory).map_err(InitError::from)?;
    claim.keep();
    Ok(Rebuilt { network, from: (height, root), left_out: report.heights_without_certificate })
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> RebuildError {
    let file = file.to_owned();
    move |error| RebuildError::File { file, error }
}

fn write_state(state: &FetchedState, genesis: &Genesis, file: &Path) -> io::Result<()> {
    let out = state.write(genesis.network(), BufWriter::new(File::create_new(file)?))?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The secret behind every account's key, if the validator is one of a test network.
fn client_seed(data: &Path) -> Result<Option<Secret>, RebuildError> {
    let of_network = data.parent().and_then(Path::parent).map(|directory| directory.join(SEED_FILE));
    let Some(file) = of_network.filter(|file| file.exists()) else { return Ok(None) };
    let seed = Secret::load(&file, Readers::Owner);
    seed.map(Some).map_err(|error| RebuildError::File { file, error: io::Error::other(error) })
}

/// What execution has left behind the block of a height, and its rules. The journal is only read.
fn last_state(
    data: &Path,
    genesis: &Arc<Genesis>,
    last: Height,
) -> Result<(CommonState, RulesVersion), RebuildError> {
    let certificates = Certificates::new(genesis)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(RebuildError::Randomness)?;
    let recovery = Recovery { genesis, support: Support::OURS, certificates: &certificates, seed };
    let (identity, mut replay) = Log::inspect(&data.join("journal"), Lock::Shared)?;
    let files = Directory::of(&data.join("checkpoints"), *genesis.network(), identity.owner.validator);
    let schedule = Schedule::new(CHECKPOINT_EVERY_HEIGHTS, u64::MAX);
    for height in files.newest_first().unwrap_or_default().into_iter().filter(|height| *height <= last) {
        let Ok(checkpoint) = files.read(height, &mut |_| {}) else { continue };
        let common = checkpoint.common.clone();
        let Ok(restored) = checkpoint.restore((genesis, Support::OURS), &certificates, schedule) else {
            continue;
        };
        if replay.seek(restored.replay_from).is_err() {
            continue;
        }
        match behind((&recovery, &mut replay, last), restored.start, Some(common)) {
            // It may be of another journal.
            Err(RebuildError::Recovery(_)) => {}
            found => return found,
        }
    }
    replay.rewind();
    if replay.first().raw() > 0 {
        return Err(RebuildError::NoCheckpoint(data.join("journal")));
    }
    let start = Start::genesis(genesis, Support::OURS, schedule);
    match behind((&recovery, &mut replay, last), start, None) {
        Err(RebuildError::Empty(_)) => Err(RebuildError::Empty(data.to_owned())),
        found => found,
    }
}

/// Replays what stands behind a start, up to a height. Where nothing does, the state is that of the start.
fn behind(
    (recovery, replay, last): (&Recovery<'_>, &mut Replay, Height),
    start: Start,
    at_start: Option<CommonState>,
) -> Result<(CommonState, RulesVersion), RebuildError> {
    let (mut ended, mut outboxes) = (None, BTreeMap::<ChainId, Vec<_>>::new());
    let executed = |progress: Progress, executed: &Executed| {
        ended = Some(progress.position);
        outboxes = executed.deltas.iter().map(|delta| (delta.chain(), delta.outbox().to_vec())).collect();
        Ok::<_, RecoveryError>(())
    };
    let (recovered, ledger, _) = recovery.run_until(last, start, replay, executed)?;
    let rules = recovered.epochs.members().rules;
    let Some(position) = ended else {
        return at_start.map(|state| (state, rules)).ok_or(RebuildError::Empty(PathBuf::new()));
    };
    replay.seek(position)?;
    let record = replay.next().transpose()?.filter(|record| record.kind == KIND_COMMITTED);
    let record = record.ok_or(StoreError::NoRecord { position: position.raw() })?;
    let record = CommittedBlock::decode(&record.bytes).map_err(RecoveryError::from)?;
    let state = CommonState::recovered(
        record,
        &recovered,
        (&CommittedView::of(&ledger), &ledger.states()),
        &outboxes,
    );
    Ok((state, rules))
}
