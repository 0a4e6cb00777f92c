//! Links between validators that are cut, restored and bad, at full load: every datagram between two validators goes
//! through a relay that belongs to the test.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::limits::ROOT_LAG_MAX;
use engine::types::Height;

use crate::storms::LoadUnderFaults;
use crate::testbed::{Testbed, wait};

/// The longest datagram.
const DATAGRAM_BYTES: usize = 1 << 16;
/// How often a relay with nothing to do looks whether the test is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What one link does with datagrams, for both directions.
#[derive(Default)]
struct Link {
    /// Of a thousand.
    lost: AtomicU64,
    passed: AtomicU64,
}

impl Link {
    /// Whether the next datagram arrives. Which ones do not is the same each time.
    fn passes(&self) -> bool {
        let number = self.passed.fetch_add(1, Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        number % 1_000 >= self.lost.load(Relaxed)
    }
}

/// All links of a network of four.
struct Links {
    links: Vec<((usize, usize), Arc<Link>)>,
    over: Arc<AtomicBool>,
    relays: Vec<JoinHandle<()>>,
}

impl Links {
    /// Has each validator call each other one through a relay. None of them runs yet.
    fn new(testbed: &Testbed) -> Self {
        let mut all = Self { links: Vec::new(), over: Arc::default(), relays: Vec::new() };
        for one in 0..4 {
            for other in one + 1..4 {
                let link = Arc::new(Link::default());
                all.relay(testbed, (one, other), &link);
                all.relay(testbed, (other, one), &link);
                all.links.push(((one, other), link));
            }
        }
        all
    }

    /// What `caller` knows as the address of `called` is that of a relay from now on.
    fn relay(&mut self, testbed: &Testbed, (caller, called): (usize, usize), link: &Arc<Link>) {
        let [of_caller, of_called] = [caller, called].map(|index| {
            let file = testbed.network.members[index].config_file();
            (fs::read_to_string(&file).unwrap(), file)
        });
        let address = of_called.0.lines().find_map(|line| line.strip_prefix("peers = \"")).unwrap();
        let address: SocketAddr = address.trim_end_matches('"').parse().unwrap();
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(address).unwrap();
        let (known, relayed) = (format!("address = \"{address}\""), near.local_addr().unwrap());
        assert_eq!(of_caller.0.matches(&known).count(), 1, "{}", of_caller.0);
        fs::write(&of_caller.1, of_caller.0.replace(&known, &format!("address = \"{relayed}\""))).unwrap();
        // Where the caller was heard from last: it may come back on another port.
        let back = Arc::new(Mutex::new(None));
        for is_forth in [true, false] {
            let (near, far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let (link, over, back) = (Arc::clone(link), Arc::clone(&self.over), Arc::clone(&back));
            self.relays.push(std::thread::spawn(move || {
                let (from, mut bytes) = (if is_forth { &near } else { &far }, vec![0; DATAGRAM_BYTES]);
                from.set_read_timeout(Some(LOOK_EVERY)).unwrap();
                while !over.load(Relaxed) {
                    // Nothing has come, or nobody listens at the other end.
                    let Ok((count, sender)) = from.recv_from(&mut bytes) else { continue };
                    if is_forth {
                        *back.lock().unwrap() = Some(sender);
                    }
                    if !link.passes() {
                        continue;
                    }
                    let _lost = match (is_forth, *back.lock().unwrap()) {
                        (true, _) => far.send(&bytes[..count]),
                        (false, Some(caller)) => near.send_to(&bytes[..count], caller),
                        (false, None) => Ok(0),
                    };
                }
            }));
        }
    }

    /// Links lose so many of a thousand datagrams from now on.
    fn lose(&self, lost: u64, which: impl Fn(usize, usize) -> bool) {
        for ((one, other), link) in &self.links {
            if which(*one, *other) {
                link.lost.store(lost, Relaxed);
            }
        }
    }

    fn cut(&self, which: impl Fn(usize, usize) -> bool) {
        self.lose(1_000, which);
    }

    fn restore(&self) {
        self.lose(0, |_, _| true);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        self.relays.drain(..).for_each(|relay| relay.join().unwrap());
    }
}

/// The highest height that any of these has committed. All are asked until each has answered.
pub fn highest_height(testbed: &Testbed, of: &[usize]) -> Height {
    let height = |index: &usize| Some(testbed.try_client(*index)?.welcome().as_of.height);
    let mut tip = Height(0);
    wait("all say how far they are", || {
        let heights: Option<Vec<_>> = of.iter().map(height).collect();
        tip = heights.into_iter().flatten().max().unwrap_or(tip);
        tip > Height(0)
    });
    tip
}

/// Waits until these commit nothing new. What was under way when they were cut may still come after a pause, so this is
/// where they probably end: see [`stands`].
pub fn wait_until_still(testbed: &Testbed, of: &[usize]) -> Height {
    let mut last = highest_height(testbed, of);
    wait("those that can commit nothing stand still", || {
        std::thread::sleep(Duration::from_secs(1));
        let before = std::mem::replace(&mut last, highest_height(testbed, of));
        before == last
    });
    last
}

/// Whether these have committed no more than what was under way at a height: a validator takes no block that is further
/// above what it has executed.
pub fn stands(testbed: &Testbed, of: &[usize], at: Height) -> bool {
    highest_height(testbed, of).0 <= at.0 + ROOT_LAG_MAX
}

#[test]
fn a_quorum_goes_on_when_links_fail() {
    let mut testbed = Testbed::new(4, 4_000);
    let links = Links::new(&testbed);
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let load = LoadUnderFaults::begin(&testbed);

    links.cut(|_, other| other == 3);
    let alone = wait_until_still(&testbed, &[3]);
    load.expect_progress(&testbed, &[0, 1, 2], "one is cut off");
    wait("the others are far above it", || !stands(&testbed, &[0], alone));
    assert!(stands(&testbed, &[3], alone), "it hears of nothing");
    links.restore();
    load.expect_progress(&testbed, &[3], "it is not any more");

    links.cut(|one, other| (one, other) == (0, 1));
    load.expect_progress(&testbed, &[0, 1, 2, 3], "two cannot hear each other");
    links.restore();

    links.cut(|one, other| (one < 2) != (other < 2));
    let before = wait_until_still(&testbed, &[0, 1, 2, 3]);
    // Together they commit more than what could be under way in that time.
    std::thread::sleep(Duration::from_secs(10));
    assert!(stands(&testbed, &[0, 1, 2, 3], before), "a half commits nothing");
    links.restore();
    load.expect_progress(&testbed, &[0, 1, 2, 3], "halves were joined");

    links.lose(100, |_, _| true);
    load.expect_progress(&testbed, &[0, 1, 2, 3], "each tenth datagram is lost");
    links.restore();
    load.end(testbed);
}
