//! Faults on a schedule: validators that are killed, started again, paused and resumed while the window is measured.
//!
//! ```text
//! --fault 5:kill:2 --fault 12:start:2 ── checked ──> Faulty, around the observer of the load ── each at its second
//! ```
//!
//! The observer is called on the thread that starts the validators, as their processes need it.

use std::str::FromStr;

use loadgen::LoadError;
use loadgen::progress::{Live, Observer, Phase};
use loadgen::report::FaultFigures;
use loadgen::session::SecondRow;

use super::testbed::Testbed;
use crate::validator::clock::Clock;

/// What is done to a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// The process is started again.
    Start,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
}

impl Action {
    const ALL: [(&'static str, Self); 4] =
        [("kill", Self::Kill), ("start", Self::Start), ("pause", Self::Pause), ("resume", Self::Resume)];

    fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// Something that is done to a validator at a second of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    second: u64,
    action: Action,
    validator: usize,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words =
            "write SECOND:ACTION:VALIDATOR, where ACTION is kill, start, pause or resume, as in 5:kill:2";
        let [second, action, validator] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(words.into());
        };
        let action = Action::ALL.into_iter().find(|(word, _)| *word == action);
        match (second.parse(), action, validator.parse()) {
            (Ok(second), Some((_, action)), Ok(validator)) => Ok(Self { second, action, validator }),
            _ => Err(words.into()),
        }
    }
}

/// The faults of a run in the order in which they are due.
fn in_order(faults: &[Fault]) -> Vec<Fault> {
    let mut faults = faults.to_vec();
    faults.sort_by_key(|fault| fault.second);
    faults
}

/// Refuses a schedule that cannot be kept.
///
/// # Errors
/// [`LoadError::Plan`].
pub(super) fn check(faults: &[Fault], validators: usize, seconds: u64) -> Result<(), LoadError> {
    let mut states = vec![Action::Start; validators];
    for Fault { second, action, validator } in in_order(faults) {
        let wrong = |why: &str| {
            let fault = format!("{second}:{}:{validator}", action.word());
            Err(LoadError::Plan(format!("--fault {fault}: {why}")))
        };
        if second >= seconds {
            return wrong("the window has ended by then");
        }
        let Some(state) = states.get_mut(validator) else {
            return wrong("there is no such validator; they are counted from 0");
        };
        let fits = match action {
            Action::Kill => *state != Action::Kill,
            Action::Start => *state == Action::Kill,
            Action::Pause => !matches!(state, Action::Kill | Action::Pause),
            Action::Resume => *state == Action::Pause,
        };
        if !fits {
            return wrong(
                "the validator is not in a state for that: start goes with kill, and resume with pause",
            );
        }
        *state = action;
    }
    match states.iter().position(|state| *state == Action::Pause) {
        Some(paused) => Err(LoadError::Plan(format!(
            "validator {paused} is still paused when the window ends: add --fault SECOND:resume:{paused}"
        ))),
        None => Ok(()),
    }
}

/// The validators that some fault leaves killed.
pub(super) fn left_dead(faults: &[Fault]) -> Vec<usize> {
    let mut dead = Vec::new();
    for fault in in_order(faults) {
        match fault.action {
            Action::Kill => dead.push(fault.validator),
            Action::Start => dead.retain(|validator| *validator != fault.validator),
            Action::Pause | Action::Resume => {}
        }
    }
    dead
}

/// Whether a validator's process is another one at the end than it was at the beginning, so that what it has used is
/// not known.
pub(super) fn is_replaced(faults: &[Fault], validator: usize) -> bool {
    faults.iter().any(|fault| fault.validator == validator && fault.action == Action::Kill)
}

/// What the report says of the faults, with how long each was felt.
pub(super) fn figures(faults: &[Fault], rows: &[SecondRow]) -> Vec<FaultFigures> {
    let faults = in_order(faults);
    let first = faults.first().map_or(0, |fault| fault.second);
    let figures = faults.iter().map(|fault| FaultFigures {
        second: fault.second,
        action: fault.action.word().to_owned(),
        validator: fault.validator as u64,
        recovered_after_s: loadgen::report::recovered_after(rows, first, fault.second),
    });
    figures.collect()
}

/// An observer of the load that also does what is due.
pub(super) struct Faulty<'a, O> {
    observer: &'a mut O,
    testbed: &'a mut Testbed,
    /// What is still to be done.
    faults: std::vec::IntoIter<Fault>,
    next: Option<Fault>,
    /// When the window opened.
    opened: Option<Clock>,
    /// What could not be done.
    failed: Option<anyhow::Error>,
}

impl<'a, O: Observer> Faulty<'a, O> {
    pub(super) fn new(observer: &'a mut O, testbed: &'a mut Testbed, faults: &[Fault]) -> Self {
        let mut faults = in_order(faults).into_iter();
        let next = faults.next();
        Self { observer, testbed, faults, next, opened: None, failed: None }
    }

    /// What could not be done, if anything.
    ///
    /// # Errors
    /// A validator could not be started again.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }

    fn do_what_is_due(&mut self) {
        let Some(opened) = &self.opened else { return };
        let is_due = |fault: &mut Fault| opened.now().as_secs() >= fault.second;
        while let Some(Fault { action, validator, .. }) = self.next.take_if(is_due) {
            self.next = self.faults.next();
            let done = match action {
                Action::Kill => {
                    self.testbed.kill(validator);
                    Ok(())
                }
                Action::Start => self.testbed.start_again(validator),
                Action::Pause => {
                    self.testbed.signal(validator, libc::SIGSTOP);
                    Ok(())
                }
                Action::Resume => {
                    self.testbed.signal(validator, libc::SIGCONT);
                    Ok(())
                }
            };
            match done {
                Ok(()) => self.observer.news(&format!("{} validator {validator}", action.word())),
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

impl<O: Observer> Observer for Faulty<'_, O> {
    fn phase(&mut self, phase: &Phase) {
        if matches!(phase, Phase::Measuring { .. }) {
            self.opened = Some(Clock::start());
        }
        self.observer.phase(phase);
    }

    fn signed(&mut self, done: u64, total: u64) {
        self.observer.signed(done, total);
    }

    fn live(&mut self, live: &Live) {
        self.do_what_is_due();
        self.observer.live(live);
    }

    fn news(&mut self, news: &str) {
        self.observer.news(news);
    }

    fn is_cancelled(&mut self) -> bool {
        self.failed.is_some() || self.observer.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<Fault> {
        text.split_whitespace().map(|fault| fault.parse().unwrap()).collect()
    }

    #[test]
    fn a_schedule_is_read_and_one_that_cannot_be_kept_is_refused() {
        for good in
            ["", "5:kill:2", "9:start:2 5:kill:2", "1:pause:0 3:resume:0 4:kill:0", "0:pause:1 2:kill:1"]
        {
            assert!(check(&faults(good), 4, 10).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("10:kill:2", "the window has ended"),
            ("5:kill:4", "counted from 0"),
            ("5:start:1", "start goes with kill"),
            ("5:kill:1 6:kill:1", "start goes with kill"),
            ("5:kill:1 6:pause:1", "start goes with kill"),
            ("5:resume:1", "resume with pause"),
            ("5:pause:1", "add --fault SECOND:resume:1"),
        ] {
            let error = check(&faults(bad), 4, 10).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
        for bad in ["", "5", "5:kill", "5:stab:1", "x:kill:1", "5:kill:-1", "5:kill:1:2"] {
            assert!(bad.parse::<Fault>().unwrap_err().contains("SECOND:ACTION:VALIDATOR"), "{bad}");
        }
    }

    #[test]
    fn who_is_left_dead_and_whose_process_is_another_one() {
        let faults = faults("8:start:1 5:kill:1 6:kill:2 3:pause:0 4:resume:0");
        assert_eq!(left_dead(&faults), [2]);
        let replaced: Vec<usize> = (0..4).filter(|of| is_replaced(&faults, *of)).collect();
        assert_eq!(replaced, [1, 2]);
        let told = figures(&faults, &[]);
        let seconds: Vec<u64> = told.iter().map(|of| of.second).collect();
        assert_eq!(seconds, [3, 4, 5, 6, 8]);
        assert_eq!((told[2].action.as_str(), told[2].recovered_after_s), ("kill", None));
    }
}
