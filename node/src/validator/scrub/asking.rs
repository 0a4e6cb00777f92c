//! Asks peers, one after the other, for what the own journal has lost.

use std::time::Duration;

use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, after, bounded, select};
use engine::replica::Others;
use engine::types::{Height, ValidatorIndex};
use engine::wire::PeerMessage;
use net::PeerNetwork;

use crate::validator::checkpoints::{PIECE_BYTES, Pace};
use crate::validator::peers::channel_of;

/// How long a peer has for an answer: it may have to read it from a slow disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked meanwhile whether the validator stops.
const LOOKS: u32 = 20;
/// Answers that may wait. There is one question at a time; what has no room nobody has asked for.
const ANSWERS_MAX: usize = 4;
/// After so many heights of the own journal the thread rests, as after a piece of a file.
const HEIGHTS: u32 = 16;

/// What a peer has stored of a height.
#[derive(Debug)]
pub struct Stored {
    pub from: ValidatorIndex,
    pub height: Height,
    pub place: u32,
    pub bytes: Bytes,
}

/// The peers, and where their answers come in.
pub struct Asking {
    peers: PeerNetwork,
    /// How many of them are validators; those behind only follow.
    validators: u16,
    answers: Receiver<Stored>,
}

impl Asking {
    /// Where answers are put, and where they are taken from.
    #[must_use]
    pub fn channel() -> (Sender<Stored>, Receiver<Stored>) {
        bounded(ANSWERS_MAX)
    }

    /// Asks so many validators.
    #[must_use]
    pub fn new(peers: PeerNetwork, validators: u16, answers: Receiver<Stored>) -> Self {
        Self { peers, validators, answers }
    }

    /// The same, in the pace of the scrubber.
    pub(super) fn resting<'a, 'p>(&'a mut self, pace: &'a mut Pace<'p>) -> Resting<'a, 'p> {
        Resting { asking: self, pace, heights: 0 }
    }
}

/// Asks, and rests between the heights that are read.
pub(super) struct Resting<'a, 'p> {
    asking: &'a mut Asking,
    pace: &'a mut Pace<'p>,
    heights: u32,
}

impl Resting<'_, '_> {
    /// The answer that is waited for. What else comes meanwhile, of whom it may, ends no waiting.
    fn answer(&self, is_it: impl Fn(&Stored) -> bool) -> Option<Stored> {
        let over = after(PATIENCE);
        while !self.pace.is_stopping() {
            select! {
                recv(self.asking.answers) -> answer => match answer {
                    Ok(answer) if is_it(&answer) => return Some(answer),
                    Ok(_) => {}
                    Err(_) => return None,
                },
                recv(over) -> _ => return None,
                default(PATIENCE / LOOKS) => {}
            }
        }
        None
    }
}

impl Others for Resting<'_, '_> {
    fn ask(&mut self, height: Height, place: u32, take: &mut dyn FnMut(ValidatorIndex, &Bytes) -> bool) {
        let Asking { peers, validators, answers } = &*self.asking;
        let question = PeerMessage::FetchStored { height, place };
        // What observers say counts for nothing.
        for peer in peers.connected().into_iter().filter(|peer| *peer < *validators) {
            if self.pace.is_stopping() {
                return;
            }
            // Late answers of others to other questions.
            while answers.try_recv().is_ok() {}
            // One that is not sent is not answered.
            let _counted = peers.send(peer, channel_of(&question), question.encode());
            let is_it =
                |answer: &Stored| (answer.from.0, answer.height, answer.place) == (peer, height, place);
            let answer = self.answer(is_it);
            if answer.is_some_and(|Stored { from, bytes, .. }| take(from, &bytes)) {
                return;
            }
        }
    }

    fn goes_on(&mut self) -> bool {
        self.heights += 1;
        match self.heights.is_multiple_of(HEIGHTS) {
            true => self.pace.rest(PIECE_BYTES as u64).is_ok(),
            false => !self.pace.is_stopping(),
        }
    }
}
