//! Taking a checkpoint: between two committed heights, on the thread that has the view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crossbeam::channel::Sender;
use engine::execute::{Chains, Delta};
use engine::replica::{CaptureError, CheckpointDue, Keeper};
use engine::roots::CommittedView;
use net::LogLimit;

use super::CheckpointWork;
use crate::validator::shared::Shared;

/// What the query thread has to take checkpoints.
pub struct CheckpointTaker {
    pub keeper: Keeper,
    pub states: Chains,
    pub files: Sender<CheckpointWork>,
    /// Whether one is being written: no other one is captured then, so that pages are kept at most twice. The one at
    /// the end of an epoch is captured nevertheless, because the validator starts again with it.
    pub busy: Arc<AtomicBool>,
    /// Limits the line about one that is left out.
    pub left_out: LogLimit<()>,
}

impl CheckpointTaker {
    /// The height of the view is committed; where a checkpoint is due, it is captured and handed on.
    pub fn committed(
        &mut self,
        view: &CommittedView,
        deltas: &[Delta],
        due: Option<CheckpointDue>,
        shared: &Shared,
    ) {
        self.keeper.commit(deltas, view.state_root());
        let Some(due) = due else { return };
        if self.busy.load(Relaxed) && !due.ends_epoch {
            let height = view.height().0;
            if let Some(suppressed) = self.left_out.admit((), shared.clock.now()) {
                tracing::warn!(height, suppressed, "no checkpoint: the last one is still being written");
            }
            return;
        }
        let state = (view, deltas, &self.states);
        match self.keeper.capture(state, &shared.reader(), (due, shared.boots())) {
            Ok(checkpoint) => {
                self.busy.store(true, Relaxed);
                // A thread that is gone is stopping.
                let _stopping = self.files.send(CheckpointWork::Captured(Box::new(checkpoint)));
            }
            Err(CaptureError::Read(error)) => shared.damage.note(&error, shared.clock.now()),
            Err(error @ CaptureError::RootsTooOld { .. }) => {
                tracing::warn!(height = view.height().0, "no checkpoint: {error}");
            }
        }
    }
}
