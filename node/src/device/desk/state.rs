//! What a desk knows of its device, and of the batches that are in the child's hands.

use std::time::Duration;

use super::super::child::Link;
use super::super::guard::Guarded;
use super::super::lines::{ToChild, Which, say};
use super::super::pace::Pace;
use super::super::slot::Slot;
use super::super::worker::SLOTS;

/// The state of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The child compiles its programs.
    Starting,
    /// It is measured.
    Measuring,
    /// It checks signatures.
    InService,
    /// It is tried again later.
    Resting {
        /// What was wrong.
        why: String,
    },
    /// It was caught with a wrong verdict.
    Caught {
        /// What was wrong with it.
        why: String,
    },
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) standing: Standing,
    /// What the child has said of its device.
    pub(super) device: Option<String>,
    /// Signatures of a batch at most, as the child says.
    pub(super) claims_max: usize,
    pub(super) link: Option<Link>,
    /// How many children there have been. What an earlier one says counts for nothing.
    pub(super) life: u64,
    pub(super) generation: u64,
    pub(super) flights: [Option<Flight>; SLOTS],
    pub(super) pace: Option<Pace>,
    pub(super) timeouts: u64,
    /// Batches in a row without an answer that counts.
    pub(super) failures: u32,
    /// What the child has said last about a failure.
    pub(super) said: Option<String>,
    /// What went wrong last, until a device is in service.
    pub(super) trouble: Option<String>,
    pub(super) is_stopping: bool,
}

/// A batch in a slot.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) generation: u64,
    pub(super) claims: usize,
    pub(super) since: Duration,
    /// What the child has answered.
    pub(super) answer: Option<Result<(Vec<bool>, Duration), String>>,
    /// Nobody waits any more. The slot is free when the child has answered.
    pub(super) is_given_up: bool,
}

impl State {
    /// The child has ended, or is to end. Drop what is returned without holding the lock: that may take a while.
    pub(super) fn rest(&mut self, why: String) -> Option<Link> {
        let link = self.link.take();
        self.pace = None;
        self.failures = 0;
        self.device = None;
        self.fail_all("the child is gone");
        // What was wrong first is the reason.
        if !matches!(self.standing, Standing::Caught { .. } | Standing::Resting { .. }) {
            self.trouble = Some(why.clone());
            self.standing = Standing::Resting { why };
        }
        link
    }

    /// Changes the standing. A device that was caught stays caught.
    pub(super) fn becomes(&mut self, standing: Standing) {
        if !matches!(self.standing, Standing::Caught { .. }) {
            self.standing = standing;
        }
    }

    /// No answer will come any more.
    pub(super) fn fail_all(&mut self, why: &str) {
        for place in &mut self.flights {
            match place {
                Some(flight) if flight.is_given_up => *place = None,
                Some(flight) => {
                    flight.answer.get_or_insert_with(|| Err(why.to_owned()));
                }
                None => {}
            }
        }
    }

    /// The flight in a slot, if it is of this generation.
    pub(super) fn flight(&mut self, which: Which) -> Option<&mut Option<Flight>> {
        let place = self.flights.get_mut(which.slot)?;
        place.as_ref().is_some_and(|flight| flight.generation == which.generation).then_some(place)
    }

    /// Signatures that wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.flights
            .iter()
            .flatten()
            .filter(|flight| flight.answer.is_none())
            .map(|flight| flight.claims)
            .sum()
    }

    /// Hands a batch to the child. None if there is no room, or no child.
    pub(super) fn launch(&mut self, guarded: &Guarded, now: Duration) -> Option<Which> {
        let slot = self.flights.iter().position(Option::is_none)?;
        let link = self.link.as_mut()?;
        self.generation += 1;
        let which = Which { slot, generation: self.generation };
        Slot::of(link.memory.words(), slot)?.put(guarded.claims());
        if say(&mut link.socket, &ToChild::Check(which)).is_err() {
            link.kill();
            return None;
        }
        let (generation, claims) = (which.generation, guarded.claims().len());
        self.flights[slot] =
            Some(Flight { generation, claims, since: now, answer: None, is_given_up: false });
        Some(which)
    }

    /// Notes the child's answer for a batch; returns whether there is such a batch.
    pub(super) fn landed(&mut self, which: Which, answer: Result<(Vec<bool>, Duration), String>) -> bool {
        let Some(place) = self.flight(which) else { return false };
        match place {
            Some(flight) if !flight.is_given_up => flight.answer = Some(answer),
            _ => *place = None,
        }
        true
    }
}
