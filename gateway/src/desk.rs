//! The desk: requests of many callers over a few conversations with one node.
//!
//! ```text
//! ask    ─▶ a lane with room ─┐ numbers                  ┌─ answer  ─▶ the one that asked
//! submit ─▶ the caller's lane ┴─ Speak ─▶ node ─▶ Listen ┴─ accepted, verdict ─▶ the one that submitted
//! ```
//!
//! A node disconnects a client most of whose signatures are bad. Callers share conversations, so the bad ones of one
//! caller must not end those of others: submissions of a caller go over one lane of [`LANES`], by its place.
//!
//! Invariants: at most [`QUESTIONS_MAX`] questions of a lane wait in the node; at most [`SUBMISSIONS_MAX`] submissions
//! of a lane wait for their verdicts, and [`WISHED_BYTES_MAX`] to be spoken; what waits in a conversation that ends is
//! failed at once; a node that cannot be reached is called again after at most [`RETRY_MAX`], and meanwhile every
//! request is failed at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::answers::ErrorAnswer;
use client::{ACCEPTED_SINCE, AsOf, Event, Notice, Query, RawAnswer, Welcome};
use engine::limits::SUBMIT_PACKETS_MAX;
use engine::types::{Epoch, Packet, PacketSlab, Transaction, Verdict};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::failure::{self, Failure};
use crate::host::{Gone, Host, Speak, Talk};

/// Conversations with the node.
const LANES: usize = 4;
/// Questions of one lane that wait in the node, which lets 256 of each client wait.
const QUESTIONS_MAX: usize = 192;
/// Submissions of one lane whose verdicts have not come.
const SUBMISSIONS_MAX: usize = 65_536;
/// Wishes that wait for a lane to speak.
const WISHES_MAX: usize = 4_096;
/// Bytes of transactions that wait for a lane to speak.
const WISHED_BYTES_MAX: usize = 16 << 20;
/// Wishes that are spoken in one go.
const SPOKEN_MAX: usize = 512;
/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a question waits for room before it is answered that the node is busy.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);
/// After a conversation has ended, the next one begins after this time, which doubles…
const RETRY_MIN: Duration = Duration::from_millis(50);
/// …up to this.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The way of all requests to the node. Cheap to clone.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    lanes: Vec<Lane>,
    next: AtomicUsize,
}

struct Lane {
    wishes: mpsc::Sender<Wish>,
    questions: Semaphore,
    bytes: Arc<Semaphore>,
    book: Arc<Book>,
    welcome: watch::Receiver<Option<Welcome>>,
}

enum Wish {
    Ask(Query, oneshot::Sender<Result<RawAnswer, Gone>>),
    Submit(Transaction, Waiting, OwnedSemaphorePermit),
}

/// What waits for a transaction's fate.
struct Waiting {
    accepted: Option<oneshot::Sender<()>>,
    verdict: oneshot::Sender<Result<Verdict, Gone>>,
}

/// A submission on its way: first, perhaps, it is accepted, then there is a verdict.
#[derive(Debug)]
pub struct Ticket {
    /// Resolves when the transaction is in the node's mempool; fails when there is a verdict first.
    pub accepted: oneshot::Receiver<()>,
    /// What became of it.
    pub verdict: oneshot::Receiver<Result<Verdict, Gone>>,
    /// Whether the node says what it accepts.
    pub tells: bool,
}

/// What a conversation waits for.
#[derive(Default)]
struct Book {
    last: AtomicU64,
    asked: Mutex<BTreeMap<u64, oneshot::Sender<Result<RawAnswer, Gone>>>>,
    submitted: Mutex<BTreeMap<u64, Waiting>>,
}

impl Desk {
    /// Opens the lanes to a node, which is called at once and whenever a conversation has ended.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(host: &Arc<dyn Host>) -> Self {
        let lanes = (0..LANES).map(|_| {
            let (wishes, inbox) = mpsc::channel(WISHES_MAX);
            let (told, welcome) = watch::channel(None);
            let book = Arc::new(Book::default());
            tokio::spawn(run(host.clone(), inbox, book.clone(), told));
            let bytes = Arc::new(Semaphore::new(WISHED_BYTES_MAX));
            Lane { wishes, questions: Semaphore::new(QUESTIONS_MAX), bytes, book, welcome }
        });
        Self(Arc::new(Inner { lanes: lanes.collect(), next: AtomicUsize::new(0) }))
    }

    /// What the node last said of itself; none while it cannot be reached.
    pub fn welcome(&self) -> Option<Welcome> {
        self.0.lanes.iter().find_map(|lane| *lane.welcome.borrow())
    }

    /// Waits until the node has been reached, so long at most.
    #[cfg(test)]
    pub async fn reached(&self, patience: Duration) -> Option<Welcome> {
        let mut welcome = self.0.lanes[0].welcome.clone();
        let reached = async { welcome.wait_for(Option::is_some).await.ok().and_then(|of| *of) };
        timeout(patience, reached).await.ok().flatten()
    }

    /// Asks the node.
    ///
    /// # Errors
    /// A [`Failure`]: there is no such thing, or the node cannot say now.
    pub async fn ask(&self, query: Query) -> Result<RawAnswer, Failure> {
        let lane = &self.0.lanes[self.0.next.fetch_add(1, Relaxed) % LANES];
        let busy = || Failure::unavailable("too many questions are waiting for the node; ask again later");
        let room = timeout(ROOM_PATIENCE, lane.questions.acquire()).await;
        let _room = room.map_err(|_| busy())?.map_err(|_| busy())?;
        let (answer, answered) = oneshot::channel();
        let wish = lane.wishes.send_timeout(Wish::Ask(query, answer), ROOM_PATIENCE).await;
        wish.map_err(|_| busy())?;
        match timeout(ANSWER_PATIENCE, answered).await {
            Ok(Ok(Ok(answer))) if answer.body.starts_with(b"{\"error\"") => {
                match serde_json::from_slice(&answer.body) {
                    Ok(ErrorAnswer { error }) => Err(Failure::of_node(&error, answer.as_of)),
                    Err(error) => {
                        Err(Failure::new(failure::INTERNAL, format!("an answer of the node: {error}")))
                    }
                }
            }
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(gone))) => Err(unreached(&gone)),
            Ok(Err(_)) => Err(unreached(&Gone("the conversation has ended".to_owned()))),
            Err(_) => Err(Failure::unavailable("the node has not answered in time; ask again later")),
        }
    }

    /// Which height the node has committed: the question that costs it least.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn as_of(&self) -> Result<AsOf, Failure> {
        Ok(self.ask(Query::Epochs { from: Epoch(u64::MAX) }).await?.as_of)
    }

    /// Submits a transaction over the lane of a caller.
    ///
    /// # Errors
    /// A [`Failure`]: too many wait for the node.
    pub fn submit(&self, caller: u64, transaction: Transaction) -> Result<Ticket, Failure> {
        let lane = &self.0.lanes[(caller % LANES as u64) as usize];
        let busy = || {
            Failure::unavailable(
                "too many transactions are waiting for the node; submit the same bytes again",
            )
        };
        if lane.book.is_full() {
            return Err(busy());
        }
        let room = lane.bytes.clone().try_acquire_many_owned(transaction.bytes().len() as u32);
        let room = room.map_err(|_| busy())?;
        let ((accept, accepted), (verdict, told)) = (oneshot::channel(), oneshot::channel());
        let waiting = Waiting { accepted: Some(accept), verdict };
        lane.wishes.try_send(Wish::Submit(transaction, waiting, room)).map_err(|_| busy())?;
        let tells = lane.welcome.borrow().is_none_or(|welcome| welcome.version >= ACCEPTED_SINCE);
        Ok(Ticket { accepted, verdict: told, tells })
    }

    /// Wishes that wait to be spoken, questions that wait for answers and submissions that wait for verdicts, of all
    /// lanes.
    pub fn waiting(&self) -> (u64, u64, u64) {
        let lanes = || self.0.lanes.iter();
        let wishes = lanes().map(|lane| lane.wishes.max_capacity() - lane.wishes.capacity()).sum::<usize>();
        let asked = lanes().map(|lane| lane.book.asked().len()).sum::<usize>();
        let submitted = lanes().map(|lane| lane.book.submitted().len()).sum::<usize>();
        (wishes as u64, asked as u64, submitted as u64)
    }
}

/// The node cannot be reached.
pub fn unreached(gone: &Gone) -> Failure {
    Failure::unavailable(format!("the node cannot be reached: {gone}"))
}

impl Book {
    fn asked(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Result<RawAnswer, Gone>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submitted(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.submitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer. Those who have given up on a node that is silent make room.
    fn ask(&self, id: u64, answer: oneshot::Sender<Result<RawAnswer, Gone>>) {
        let mut asked = self.asked();
        if asked.len() >= 2 * QUESTIONS_MAX {
            asked.retain(|_, answer| !answer.is_closed());
        }
        asked.insert(id, answer);
    }

    /// Whether nobody else may submit. Those whose callers have gone give their places up first.
    fn is_full(&self) -> bool {
        let mut submitted = self.submitted();
        if submitted.len() >= SUBMISSIONS_MAX {
            submitted.retain(|_, waiting| !waiting.verdict.is_closed());
        }
        submitted.len() >= SUBMISSIONS_MAX
    }

    /// So many numbers that were not used before; the first of them.
    fn numbers(&self, count: usize) -> u64 {
        self.last.fetch_add(count as u64, Relaxed)
    }

    fn take(&self, event: Event) {
        match event {
            Event::Answer(answer) => {
                // One that has given up is not there any more.
                if let Some(asked) = self.asked().remove(&answer.id) {
                    let _given_up = asked.send(Ok(answer));
                }
            }
            Event::Accepted(tags) => {
                let mut submitted = self.submitted();
                for tag in tags {
                    let accepted = submitted.get_mut(&tag).and_then(|waiting| waiting.accepted.take());
                    let _given_up = accepted.map(|accepted| accepted.send(()));
                }
            }
            Event::Notices(notices) => {
                let mut submitted = self.submitted();
                for Notice { tag, verdict } in notices {
                    let _given_up = submitted.remove(&tag).map(|waiting| waiting.verdict.send(Ok(verdict)));
                }
            }
        }
    }

    /// Fails everything that waits.
    fn fail(&self, gone: &Gone) {
        for (_, asked) in std::mem::take(&mut *self.asked()) {
            let _given_up = asked.send(Err(gone.clone()));
        }
        for (_, waiting) in std::mem::take(&mut *self.submitted()) {
            let _given_up = waiting.verdict.send(Err(gone.clone()));
        }
    }
}

/// One lane: conversations, one after the other, until the desk is dropped.
async fn run(
    host: Arc<dyn Host>,
    mut inbox: mpsc::Receiver<Wish>,
    book: Arc<Book>,
    told: watch::Sender<Option<Welcome>>,
) {
    let mut retry = RETRY_MIN;
    loop {
        let gone = match host.open().await {
            Ok(Talk { speak, mut listen, welcome }) => {
                retry = RETRY_MIN;
                let _unheard = told.send(Some(welcome));
                let ear = async {
                    loop {
                        match listen.next().await {
                            Ok(event) => book.take(event),
                            Err(gone) => break gone,
                        }
                    }
                };
                let ended = tokio::select! {
                    gone = ear => Some(gone),
                    spoken = talk(speak, &mut inbox, &book) => spoken.err(),
                };
                let Some(gone) = ended else { return };
                gone
            }
            Err(gone) => gone,
        };
        if told.send_replace(None).is_some() {
            tracing::warn!("the conversation with the node has ended: {gone}");
        }
        book.fail(&gone);
        // Nobody waits for a node that is not there.
        let closed = tokio::select! {
            () = sleep(retry) => false,
            closed = turn_away(&mut inbox, &gone) => closed,
        };
        if closed {
            return;
        }
        retry = (retry * 2).min(RETRY_MAX);
    }
}

/// Fails what is wished, until the desk is dropped.
async fn turn_away(inbox: &mut mpsc::Receiver<Wish>, gone: &Gone) -> bool {
    while let Some(wish) = inbox.recv().await {
        let _given_up = match wish {
            Wish::Ask(_, answer) => answer.send(Err(gone.clone())).is_ok(),
            Wish::Submit(_, waiting, _) => waiting.verdict.send(Err(gone.clone())).is_ok(),
        };
    }
    true
}

/// Speaks what is wished; ends well when the desk is dropped.
async fn talk(mut speak: Box<dyn Speak>, inbox: &mut mpsc::Receiver<Wish>, book: &Book) -> Result<(), Gone> {
    let mut wishes = Vec::with_capacity(SPOKEN_MAX);
    while inbox.recv_many(&mut wishes, SPOKEN_MAX).await > 0 {
        let (mut questions, mut transactions) = (Vec::new(), Vec::new());
        for wish in wishes.drain(..) {
            match wish {
                // One that has given up already is not asked.
                Wish::Ask(_, answer) if answer.is_closed() => {}
                Wish::Ask(query, answer) => {
                    let id = book.numbers(1);
                    book.ask(id, answer);
                    questions.push((id, query));
                }
                Wish::Submit(transaction, waiting, _room) => transactions.push((transaction, waiting)),
            }
        }
        if !questions.is_empty() {
            speak.ask(questions).await?;
        }
        let mut transactions = transactions.into_iter().peekable();
        while transactions.peek().is_some() {
            let (mut packets, mut waiting): (Vec<Packet>, Vec<(usize, Waiting)>) = (Vec::new(), Vec::new());
            let fits = |packets: &[Packet], of: &(Transaction, Waiting)| {
                packets.len() + of.0.run().packets().len() <= SUBMIT_PACKETS_MAX
            };
            while let Some((transaction, of)) = transactions.next_if(|of| fits(&packets, of)) {
                waiting.push((packets.len(), of));
                packets.extend_from_slice(transaction.run().packets());
            }
            let first = book.numbers(packets.len());
            book.submitted().extend(waiting.into_iter().map(|(place, of)| (first + place as u64, of)));
            speak.submit(first, PacketSlab::copy_from(&packets)).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
