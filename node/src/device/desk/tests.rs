use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kernels::ed25519::verify;
use kernels::gpu::Opinion;

use super::super::lines::{ToChild, say};
use super::super::pace::BATCH_MIN;
use super::*;
use crate::device::worker::MEMORY_WORDS;

/// What a false child does: a thread with a socket and the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Says what the CPU says.
    Honest,
    /// Accepts whatever it is asked.
    AcceptsAll,
    /// Refuses whatever it is asked.
    RefusesAll,
    /// Is honest while it is measured, and then silent.
    FallsSilent,
    /// Is honest while it is measured, and ends with the next batch.
    Dies,
    /// Is honest while it is measured, and answers the next batch without a word in the slot.
    AnswersNothing,
    /// Is honest while it is measured, and says that of a batch that nobody handed in before the true answer.
    AnswersOthers,
    /// Is honest while it is measured, and then says that its programs differ.
    Differs,
    /// Says that it has no device.
    HasNone,
    /// Says what is no line.
    Babbles,
}

#[derive(Debug)]
struct Fake {
    does: Does,
    children: Arc<AtomicUsize>,
}

impl Spawn for Fake {
    fn spawn(&self) -> io::Result<Link> {
        self.children.fetch_add(1, Relaxed);
        let (memory, file) = SharedMemory::create(MEMORY_WORDS)?;
        let (ours, theirs) = UnixStream::pair()?;
        let does = self.does;
        thread::spawn(move || child(does, &theirs, &SharedMemory::map(&file, MEMORY_WORDS).unwrap()));
        Link::new(ours, memory, None)
    }
}

/// Ends when the desk is gone.
fn child(does: Does, socket: &UnixStream, memory: &SharedMemory) {
    let says = |what: FromChild| say(&mut &*socket, &what).is_ok();
    match does {
        Does::HasNone => {
            says(FromChild::Unusable { why: "none is there".into() });
            return;
        }
        Does::Babbles => return io::Write::write_all(&mut &*socket, b"hello\n").unwrap(),
        _ => says(FromChild::Ready { device: "a thread".into(), claims: 8_400 }),
    };
    let mut lines = BufReader::new(socket);
    while let Ok(Some(ToChild::Check(which))) = hear(&mut lines) {
        let slot = Slot::of(memory.words(), which.slot).unwrap();
        let claims = slot.claims().unwrap();
        // What it is measured by has keys that nothing else here has.
        let is_measured = claims.iter().any(|claim| claim.key == SigningKey::from_seed([0; 32]).public_key());
        let opinion = |claim: &Claim| match does {
            Does::AcceptsAll => Opinion::Accepted,
            Does::RefusesAll => Opinion::Undecided,
            _ if verify(&claim.key, &claim.message, &claim.signature) => Opinion::Accepted,
            _ => Opinion::Undecided,
        };
        let mut answers = true;
        match does {
            Does::FallsSilent if !is_measured => answers = false,
            Does::Dies if !is_measured => return,
            Does::Differs if !is_measured => {
                says(FromChild::Distrusted { which, why: "the programs differ".into() });
                answers = false;
            }
            Does::AnswersNothing if !is_measured => {}
            _ => slot.answer(&claims.iter().map(opinion).collect::<Vec<_>>()),
        }
        if does == Does::AnswersOthers && !is_measured {
            let earlier = Which { generation: which.generation - 1, ..which };
            says(FromChild::Settled(earlier));
            says(FromChild::Settled(Which { slot: 1 << 40, ..which }));
            says(FromChild::Failed { which: Which { slot: SLOTS, ..which }, why: String::new() });
        }
        if answers {
            says(FromChild::Settled(which));
        }
    }
}

struct Tried {
    desk: Desk,
    caught: Arc<Mutex<Vec<String>>>,
    measured: Arc<Mutex<Option<DeviceTimes>>>,
    children: Arc<AtomicUsize>,
}

impl Tried {
    fn with(does: Does) -> Self {
        // Only one that never answers is not waited for.
        let patience = if does == Does::FallsSilent { 20 } else { 60_000 };
        let (caught, measured) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let children = Arc::new(AtomicUsize::new(0));
        let (caught_here, measured_here) =
            (caught.clone(), Arc::<Mutex<Option<DeviceTimes>>>::clone(&measured));
        let hooks = Hooks {
            in_service: Box::new(move |times| *measured_here.lock().unwrap() = Some(times)),
            caught: Box::new(move |why| caught_here.lock().unwrap().push(why.to_owned())),
        };
        let spawn = Box::new(Fake { does, children: children.clone() });
        let times = (Duration::from_micros(20), Some(Duration::from_millis(patience)));
        let desk = Desk::with(Policy::Gpu, times, Clock::start(), spawn, hooks).unwrap();
        Self { desk, caught, measured, children }
    }

    /// Waits until the device is as expected.
    fn until(&self, expected: impl Fn(&Standing) -> bool) -> Standing {
        let mut state = self.desk.inner.lock();
        while !expected(&state.standing) {
            state = self.desk.inner.look(state);
        }
        state.standing.clone()
    }

    fn in_service(does: Does) -> Self {
        let tried = Self::with(does);
        tried.until(|standing| *standing == Standing::InService);
        // Whatever this machine does at the moment.
        let (small, large) = ((16, Duration::from_millis(1)), (8_192, Duration::from_millis(9)));
        tried.desk.inner.lock().pace = Some(Pace::new(small, large, Duration::from_micros(20)));
        tried
    }

    /// What it says to a batch of 60 of which every seventh is bad.
    fn check(&self) -> Option<Vec<bool>> {
        let claims = claims(60);
        let entries: Vec<Entry<'_>> = claims.iter().map(Claim::entry).collect();
        let items: Vec<Item<'_>> = entries.iter().map(Item::from).collect();
        let answer = self.desk.offer(&items)?;
        assert_eq!(answer.taken(), 60);
        answer.wait()
    }

    fn caught(&self) -> Vec<String> {
        self.caught.lock().unwrap().clone()
    }
}

fn claims(count: usize) -> Vec<Claim> {
    let key = SigningKey::from_seed([200; 32]);
    let claim = |number: usize| {
        let message = vec![number as u8; 96];
        let mut signature = key.sign(&message);
        signature[50] ^= u8::from(number.is_multiple_of(7));
        Claim { key: key.public_key(), signature, message }
    };
    (0..count).map(claim).collect()
}

fn truth() -> Vec<bool> {
    (0..60).map(|number: usize| !number.is_multiple_of(7)).collect()
}

#[test]
fn an_honest_child_is_measured_and_then_asked() {
    let tried = Tried::in_service(Does::Honest);
    for _ in 0..5 {
        assert_eq!(tried.check(), Some(truth()));
    }
    let measured =
        tried.measured.lock().unwrap().clone().expect("told before it is in service, or just after");
    assert_eq!((measured.device.as_str(), measured.batch_from), ("a thread", Some(BATCH_MIN as u64)));
    assert_eq!(tried.desk.standing(), (Standing::InService, Some("a thread".into())));
    tried.desk.stop();
    assert_eq!(tried.check(), None, "after the end the CPU decides");
    assert!(tried.caught().is_empty());
}

#[test]
fn a_child_that_accepts_everything_is_caught_before_it_is_in_service_and_never_asked_again() {
    let tried = Tried::with(Does::AcceptsAll);
    let standing = tried.until(|standing| matches!(standing, Standing::Caught { .. }));
    let why = "it accepts a signature that is known to be bad".to_owned();
    assert_eq!(standing, Standing::Caught { why: why.clone() });
    tried.desk.stop();
    assert_eq!((tried.check(), tried.caught(), tried.children.load(Relaxed)), (None, vec![why], 1));
    assert!(matches!(tried.desk.standing().0, Standing::Caught { .. }), "that it stays");
}

#[test]
fn a_child_whose_programs_differ_is_caught() {
    let tried = Tried::in_service(Does::Differs);
    assert_eq!(tried.check(), None, "the CPU decides");
    tried.until(|standing| matches!(standing, Standing::Caught { .. }));
    tried.desk.stop();
    assert_eq!(tried.caught(), ["the programs differ"], "told once");
}

#[test]
fn a_child_that_dies_or_makes_no_sense_is_the_loss_of_a_device_and_nobody_is_accused() {
    for does in [Does::Dies, Does::AnswersNothing] {
        let tried = Tried::in_service(does);
        assert_eq!(tried.check(), None, "{does:?}");
        tried.until(|standing| matches!(standing, Standing::Resting { .. }));
        assert_eq!(tried.check(), None, "{does:?}");
        assert!(tried.caught().is_empty());
    }
    for (does, why) in [
        (Does::HasNone, "none is there"),
        (Does::Babbles, "makes no sense"),
        (Does::RefusesAll, "refuses good"),
    ] {
        let tried = Tried::with(does);
        let standing = tried.until(|standing| matches!(standing, Standing::Resting { .. }));
        let Standing::Resting { why: said } = standing else { unreachable!() };
        assert!(said.contains(why), "{does:?}: {said}");
        assert!(tried.caught().is_empty() && tried.check().is_none());
    }
}

#[test]
fn a_child_that_is_silent_costs_a_bounded_wait_and_its_slots_are_not_used_again() {
    let tried = Tried::in_service(Does::FallsSilent);
    for timeouts in 1..=SLOTS as u64 {
        assert_eq!(tried.check(), None);
        assert_eq!(tried.desk.timeouts(), timeouts);
    }
    assert_eq!(tried.check(), None);
    assert_eq!(tried.desk.timeouts(), SLOTS as u64, "no slot is free, so there was nothing to wait for");
}

#[test]
fn what_is_said_of_another_batch_counts_for_nothing() {
    let tried = Tried::in_service(Does::AnswersOthers);
    for _ in 0..5 {
        assert_eq!(tried.check(), Some(truth()));
    }
}

#[test]
fn a_batch_that_nobody_waits_for_frees_its_slot_when_it_is_answered() {
    let tried = Tried::in_service(Does::Honest);
    let claims = claims(60);
    let entries: Vec<Entry<'_>> = claims.iter().map(Claim::entry).collect();
    let items: Vec<Item<'_>> = entries.iter().map(Item::from).collect();
    for _ in 0..10 * SLOTS {
        drop(tried.desk.offer(&items));
    }
    let mut state = tried.desk.inner.lock();
    while state.flights.iter().any(Option::is_some) {
        state = tried.desk.inner.look(state);
    }
    drop(state);
    assert_eq!(tried.check(), Some(truth()));
}

#[test]
fn few_signatures_and_long_ones_are_left_to_the_cpu() {
    let tried = Tried::in_service(Does::Honest);
    let mut claims = claims(60);
    claims[20].message = vec![0; 5_000];
    let entries: Vec<Entry<'_>> = claims.iter().map(Claim::entry).collect();
    let items: Vec<Item<'_>> = entries.iter().map(Item::from).collect();
    assert_eq!(tried.desk.offer(&items).map(|answer| answer.taken()), Some(20), "up to the long one");
    assert!(tried.desk.offer(&items[..BATCH_MIN - 1]).is_none());
    assert!(tried.desk.offer(&[]).is_none());
}
