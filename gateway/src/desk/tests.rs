use client::{AsOf, Role, Standing};
use engine::types::{AccountId, ChainId, Digest, Epoch, Height, Refusal, Transfer, ValidatorIndex};

use super::*;
use crate::host::{Boxed, EventReceiver, EventSender, events};

/// A node that records what it hears and answers when the test says so.
#[derive(Default)]
struct Scripted {
    heard: Arc<Mutex<Vec<Heard>>>,
    ears: Arc<Mutex<Vec<EventSender>>>,
    refuses: Arc<std::sync::atomic::AtomicBool>,
}

enum Heard {
    Asked(u64, EventSender),
    Submitted(u64, usize, EventSender),
}

struct Mouth(Arc<Mutex<Vec<Heard>>>, EventSender);

impl Speak for Mouth {
    fn submit(&mut self, first: u64, packets: PacketSlab) -> Boxed<'_, Result<(), Gone>> {
        self.0.lock().unwrap().push(Heard::Submitted(first, packets.len(), self.1.clone()));
        Box::pin(async { Ok(()) })
    }

    fn ask(&mut self, questions: Vec<(u64, Query)>) -> Boxed<'_, Result<(), Gone>> {
        let heard = questions.into_iter().map(|(id, _)| Heard::Asked(id, self.1.clone()));
        self.0.lock().unwrap().extend(heard);
        Box::pin(async { Ok(()) })
    }
}

impl Host for Scripted {
    fn open(&self) -> Boxed<'_, Result<Talk, Gone>> {
        Box::pin(async {
            if self.refuses.load(Relaxed) {
                return Err(Gone("nobody is there".to_owned()));
            }
            let (sender, receiver): (EventSender, EventReceiver) = events();
            self.ears.lock().unwrap().push(sender.clone());
            let standing = Standing { epoch: Epoch(0), role: Role::Member };
            let (validator, as_of, version) = (ValidatorIndex(0), AsOf::default(), ACCEPTED_SINCE);
            Ok(Talk {
                speak: Box::new(Mouth(self.heard.clone(), sender)),
                listen: Box::new(receiver),
                welcome: Welcome { validator, as_of, standing, version },
            })
        })
    }
}

fn run_test<F: Future<Output = ()>>(test: impl FnOnce(Desk, Arc<Scripted>) -> F) {
    crate::testing::run_paused(async {
        let node = Arc::new(Scripted::default());
        let host: Arc<dyn Host> = node.clone();
        let desk = Desk::open(&host);
        desk.reached(Duration::from_secs(5)).await.expect("the node is reached");
        test(desk, node).await;
    });
}

impl Scripted {
    async fn hears(&self, count: usize) -> Vec<Heard> {
        for _ in 0..1_000 {
            if self.heard.lock().unwrap().len() >= count {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        assert_eq!(heard.len(), count);
        heard
    }
}

fn transfer(nonce: u64) -> Transaction {
    let transfer = Transfer {
        chain: ChainId(1),
        key_version: 1,
        reference: [0; 12],
        debit: AccountId(1),
        credit_chain: None,
        credit: AccountId(2),
        amount: 1,
        nonce,
        expiry: Height(9),
    };
    transfer.sign(&Digest([1; 32]), |_| [7; 64]).run().transaction().unwrap()
}

#[test]
fn an_answer_goes_to_the_one_that_asked() {
    run_test(|desk, node| async move {
        let (one, other) = (desk.clone(), desk.clone());
        let one = tokio::spawn(async move { one.ask(Query::Status).await });
        let other = tokio::spawn(async move { other.ask(Query::Counters).await });
        for (heard, text) in node.hears(2).await.into_iter().zip(["1", "2"]).rev() {
            let Heard::Asked(id, ear) = heard else { panic!("a question") };
            let answer = RawAnswer { id, as_of: AsOf::default(), body: text.into() };
            ear.send(Event::Answer(answer.clone())).unwrap();
            // What nobody asked, or asked before, harms nobody.
            ear.send(Event::Answer(answer)).unwrap();
        }
        assert_eq!(&one.await.unwrap().unwrap().body[..], b"1");
        assert_eq!(&other.await.unwrap().unwrap().body[..], b"2");
        assert_eq!(desk.waiting(), (0, 0, 0));
    });
}

#[test]
fn a_node_that_says_nothing_is_not_waited_for_without_end() {
    run_test(|desk, _node| async move {
        let failure = desk.ask(Query::Status).await.unwrap_err();
        assert_eq!((failure.kind.status, failure.retry_after), (503, Some(1)));
        assert!(failure.message.contains("in time"), "{failure:?}");
    });
}

#[test]
fn a_submission_hears_that_it_is_accepted_and_then_its_verdict() {
    run_test(|desk, node| async move {
        let tickets: Vec<_> = (0..3).map(|nonce| desk.submit(5, transfer(nonce)).unwrap()).collect();
        let heard = node.hears(1).await;
        let [Heard::Submitted(first, 3, ear)] = &heard[..] else { panic!("three in one frame") };
        ear.send(Event::Accepted(vec![*first, first + 2])).unwrap();
        let notice = |tag, verdict| Notice { tag, verdict };
        let verdicts = [Verdict::Committed, Verdict::Refused(Refusal::Busy), Verdict::Committed];
        let notices = (*first..).zip(verdicts).map(|(tag, verdict)| notice(tag, verdict)).collect();
        ear.send(Event::Notices(notices)).unwrap();
        for (ticket, verdict) in tickets.into_iter().zip(verdicts) {
            assert_eq!(ticket.accepted.await.is_ok(), verdict == Verdict::Committed);
            assert_eq!(ticket.verdict.await.unwrap(), Ok(verdict));
        }
        assert_eq!(desk.waiting(), (0, 0, 0));
    });
}

#[test]
fn what_waits_when_a_conversation_ends_is_failed_and_the_next_one_begins() {
    run_test(|desk, node| async move {
        let asking = tokio::spawn({
            let desk = desk.clone();
            async move { desk.ask(Query::Status).await }
        });
        let ticket = desk.submit(0, transfer(0)).unwrap();
        node.hears(2).await;
        node.refuses.store(true, Relaxed);
        let ears = std::mem::take(&mut *node.ears.lock().unwrap());
        for ear in ears {
            ear.close("too many bad signatures");
            ear.send(Event::Accepted(Vec::new())).unwrap();
        }
        assert!(asking.await.unwrap().unwrap_err().message.contains("bad signatures"));
        assert_eq!(ticket.verdict.await.unwrap(), Err(Gone("too many bad signatures".to_owned())));
        // At once, not after the patience for an answer.
        let begun = tokio::time::Instant::now();
        assert!(desk.ask(Query::Status).await.unwrap_err().message.contains("cannot be reached"));
        assert!(begun.elapsed() < RETRY_MAX, "{:?}", begun.elapsed());
        assert_eq!(desk.welcome(), None);
        node.refuses.store(false, Relaxed);
        assert!(desk.reached(2 * RETRY_MAX).await.is_some());
    });
}
