//! What a validator knows when it starts: from its newest checkpoint that can be used, and the journal behind it.
//!
//! ```text
//! captured before, and not written ──┐
//! checkpoints, newest first ─────────┴─ restored? ── journal goes on behind it? ──▶ go on
//!                                        └─ no: say why, remove it, try the next ──▶ the whole journal
//! ```

use anyhow::Context as _;
use engine::limits::CHECKPOINT_EVERY_HEIGHTS;
use engine::order::Roots;
use engine::replica::{
    BlockIndex, Checkpoint, CheckpointError, Hints, Progress, Recovered, Recovery, RecoveryError, Restored,
    Schedule, Start,
};
use engine::roots::{CommittedView, Executed, Ledger};
use engine::store::{Position, Replay};
use engine::types::{Height, Support};

use super::checkpoints::{ASIDE, Directory, is_unusable};
use super::ordering::Certificates;
use super::orders::Orders;
use super::service;
use crate::config::Config;
use crate::machine::random;

/// How often a long recovery says how far it is, in blocks.
const PROGRESS_EVERY: u64 = 1_000;

/// The validator was asked to stop while it recovered: it has executed nothing new, and noted no start.
#[derive(Debug, thiserror::Error)]
#[error("stopped while the journal was replayed")]
pub struct Stopped;

/// The journal does not begin at the genesis, and none of the checkpoints can be used.
#[derive(Debug, thiserror::Error)]
pub enum NoUsableCheckpoint {
    /// There are some.
    #[error(
        "the journal in {data}/journal was pruned, and no checkpoint in {data}/checkpoints can be used ({why}): put its \
         checkpoints back (those that did not fit are there as *.{ASIDE}), or treat the data as lost"
    )]
    Unfit {
        /// The data directory.
        data: String,
        /// What is wrong with the newest.
        why: String,
    },
    /// There are none.
    #[error(
        "the journal in {data}/journal was pruned, and no checkpoint in {data}/checkpoints can be used, because none is \
         there: put its checkpoints back, or treat the data as lost"
    )]
    Missing {
        /// The data directory.
        data: String,
    },
}

/// Why a recovery has ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Journal(#[from] RecoveryError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What recovery leaves behind.
pub struct Resumed {
    pub recovered: Recovered,
    pub ledger: Ledger,
    pub roots: Roots,
    pub view: CommittedView,
    pub index: BlockIndex,
    pub hints: Hints,
    /// Whether it goes on from what the last start in this process has left.
    pub from_memory: bool,
}

/// Reads what the validator has written, with words where that takes long.
///
/// # Errors
/// The journal cannot be continued, whatever checkpoints there are; [`Stopped`].
pub fn recover(
    config: &Config,
    orders: &Orders,
    certificates: &Certificates,
    (mut replay, released): (Replay, Position),
    (files, left): (&Directory, Option<&Checkpoint>),
) -> anyhow::Result<Resumed> {
    let recovery =
        Recovery { genesis: &config.genesis, support: Support::OURS, certificates, seed: random()? };
    let schedule = Schedule::new(CHECKPOINT_EVERY_HEIGHTS, config.checkpoint_every_bytes);
    let base = files.remove_released(released).unwrap_or_else(|error| {
        tracing::warn!("{error:#}");
        Height(0)
    });
    let pruned = |resumed: Resumed| {
        resumed.index.prune(base);
        resumed.index.prune_below(released);
        resumed.logged()
    };
    if let Some(left) = left.cloned() {
        let height = left.height();
        tracing::info!(checkpoint = height.0, "continuing from a checkpoint that is still in memory");
        match behind(left, (&recovery, orders), schedule, &mut replay) {
            Ok(resumed) => return Ok(pruned(Resumed { from_memory: true, ..resumed })),
            Err(Failure::Stopped(stopped)) => return Err(stopped.into()),
            Err(error) => tracing::warn!(
                "what was captured of height {height} cannot be used ({error}): the validator goes on from its disk"
            ),
        }
    }
    let mut why = None;
    for height in files.newest_first()? {
        match from_checkpoint(files, height, (&recovery, orders), schedule, &mut replay) {
            Ok(resumed) => return Ok(pruned(resumed)),
            Err(Failure::Checkpoint(error)) => {
                if let Some(unsupported) = error.unsupported() {
                    return Err(unsupported.into());
                }
                let fate = if is_unusable(&error) || error.is_of_another_journal() {
                    files.set_aside(height);
                    "its file is set aside"
                } else {
                    "its file is kept"
                };
                tracing::warn!(
                    "the checkpoint of height {height} cannot be used: {error}; {fate}, and an older one or the whole \
                     journal is used"
                );
                why.get_or_insert_with(|| error.to_string());
            }
            Err(Failure::Stopped(stopped)) => return Err(stopped.into()),
            Err(Failure::Journal(error)) => return Err(error.into()),
        }
    }
    replay.rewind();
    let unusable = || {
        let data = config.data.display().to_string();
        match why {
            Some(why) => NoUsableCheckpoint::Unfit { data, why },
            None => NoUsableCheckpoint::Missing { data },
        }
    };
    if replay.first() > Position::from_raw(0) {
        return Err(unusable().into());
    }
    let start = Start::genesis(&config.genesis, recovery.support, schedule);
    match run((&recovery, orders), start, &mut replay, (BlockIndex::default(), Hints::default())) {
        // All that was not released is there, whatever checkpoints say.
        Ok(resumed) => {
            resumed.index.prune_below(released);
            Ok(resumed.logged())
        }
        Err(Failure::Stopped(stopped)) => Err(stopped.into()),
        Err(Failure::Journal(RecoveryError::Rules(unsupported))) => Err(unsupported.into()),
        // Its beginning is still there, and not all that follows.
        Err(_) if released > Position::from_raw(0) => Err(unusable().into()),
        Err(error) => Err(error).with_context(|| {
            format!("the journal in {} cannot be continued", config.data.join("journal").display())
        }),
    }
}

fn from_checkpoint(
    files: &Directory,
    height: Height,
    (recovery, orders): (&Recovery<'_>, &Orders),
    schedule: Schedule,
    replay: &mut Replay,
) -> Result<Resumed, Failure> {
    let mut progress = service::Progress::new();
    let checkpoint = files.read(height, &mut |read| {
        progress.note(|| format!("reading the checkpoint of height {height}: {} MiB", read >> 20));
    })?;
    tracing::info!(checkpoint = height.0, "continuing from a checkpoint");
    behind(checkpoint, (recovery, orders), schedule, replay)
}

/// Goes on from a checkpoint with what the journal has behind it.
fn behind(
    checkpoint: Checkpoint,
    (recovery, orders): (&Recovery<'_>, &Orders),
    schedule: Schedule,
    replay: &mut Replay,
) -> Result<Resumed, Failure> {
    let restored =
        checkpoint.restore((recovery.genesis, recovery.support), recovery.certificates, schedule)?;
    let Restored { start, replay_from, positions, hints } = restored;
    replay.seek(replay_from).map_err(RecoveryError::from).map_err(CheckpointError::from)?;
    let known = (BlockIndex::restored(positions), Hints::restored(&hints));
    match run((recovery, orders), start, replay, known) {
        // It may be the checkpoint's fault: the journal is blamed once it was read without one.
        Err(Failure::Journal(error)) => Err(CheckpointError::from(error).into()),
        other => other,
    }
}

fn run(
    (recovery, orders): (&Recovery<'_>, &Orders),
    start: Start,
    replay: &mut Replay,
    (index, hints): (BlockIndex, Hints),
) -> Result<Resumed, Failure> {
    let (first, end) = (replay.next_position().raw(), replay.end().raw());
    let mut told = service::Progress::new();
    let executed = |progress: Progress, executed: &Executed| {
        index.committed(progress.height, progress.position);
        executed.trees.iter().for_each(|tree| hints.note_block(tree, progress.height));
        if progress.height.0.is_multiple_of(PROGRESS_EVERY) {
            tracing::info!(height = progress.height.0, "{}", how_far(progress, first, end));
        }
        told.note(|| how_far(progress, first, end));
        if orders.is_to_stop() { Err(Failure::Stopped(Stopped)) } else { Ok(()) }
    };
    let (recovered, ledger, roots) = recovery.run(start, replay, executed)?;
    let view = CommittedView::of(&ledger);
    Ok(Resumed { recovered, ledger, roots, view, index, hints, from_memory: false })
}

fn how_far(Progress { position, .. }: Progress, first: u64, end: u64) -> String {
    let mib = |bytes: u64| bytes >> 20;
    let (read, all) = (mib(position.raw().saturating_sub(first)), mib(end.saturating_sub(first)));
    format!("replaying the journal: {read} of {all} MiB")
}

impl Resumed {
    fn logged(self) -> Self {
        let Recovered { head, unordered, blocks, .. } = &self.recovered;
        let (height, unordered, blocks) = (head.height.0, unordered.len(), blocks.len());
        tracing::info!(height, unordered, blocks, "recovered");
        self
    }
}
