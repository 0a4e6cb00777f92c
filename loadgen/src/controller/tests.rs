use super::{Controller, Interval, Tuning};
use std::collections::VecDeque;

/// A server in simulated time: a queue served at `capacity`, answers in lumps every `lump_us` after a
/// fixed latency, a bounded mempool that refuses.
struct Server {
    capacity: f64,
    latency_us: u64,
    lump_us: u64,
    room: usize,
    queue: VecDeque<u64>,
    served: VecDeque<(u64, u64)>,
    credit: f64,
}

const STEP_US: u64 = 5_000;
const INTERVAL_US: u64 = 200_000;

impl Server {
    fn new(capacity: f64, latency_us: u64) -> Server {
        Server {
            capacity,
            latency_us,
            lump_us: 100_000,
            room: usize::MAX,
            queue: VecDeque::new(),
            served: VecDeque::new(),
            credit: 0.0,
        }
    }
}

struct World {
    server: Server,
    controller: Controller,
    now_us: u64,
    owed: f64,
}

struct Second {
    offered: u64,
    answered: u64,
    busy: u64,
    delay_us: u64,
}

impl World {
    fn new(server: Server, tuning: Tuning) -> World {
        World { server, controller: Controller::new(tuning), now_us: 0, owed: 0.0 }
    }

    fn interval(&mut self, delays: &mut Vec<u64>) -> (u64, Interval) {
        let end = self.now_us + INTERVAL_US;
        let (mut offered, mut seen) = (0, Interval { length_us: INTERVAL_US, ..Interval::default() });
        let mut mine = Vec::new();
        while self.now_us < end {
            self.now_us += STEP_US;
            self.owed += self.controller.rate() * STEP_US as f64 / 1e6;
            while self.owed >= 1.0 {
                self.owed -= 1.0;
                offered += 1;
                if self.server.queue.len() < self.server.room {
                    self.server.queue.push_back(self.now_us);
                } else {
                    seen.busy += 1;
                }
            }
            self.server.credit += self.server.capacity * STEP_US as f64 / 1e6;
            while self.server.credit >= 1.0 {
                self.server.credit -= 1.0;
                let Some(sent) = self.server.queue.pop_front() else {
                    self.server.credit = 0.0;
                    break;
                };
                let ready = self.now_us + self.server.latency_us;
                let lump = ready.div_ceil(self.server.lump_us) * self.server.lump_us;
                self.server.served.push_back((sent, lump));
            }
            while self.server.served.front().is_some_and(|(_, ready)| *ready <= self.now_us) {
                let (sent, _) = self.server.served.pop_front().expect("front was there");
                mine.push(self.now_us - sent);
                seen.answered += 1;
            }
        }
        mine.sort_unstable();
        seen.delay_us = mine.get(mine.len() / 2).copied();
        delays.extend(mine);
        self.controller.update(seen);
        (offered, seen)
    }

    fn seconds(&mut self, seconds: u64) -> Vec<Second> {
        (0..seconds)
            .map(|_| {
                let mut delays = Vec::new();
                let mut row = Second { offered: 0, answered: 0, busy: 0, delay_us: 0 };
                for _ in 0..1_000_000 / INTERVAL_US {
                    let (offered, seen) = self.interval(&mut delays);
                    row.offered += offered;
                    row.answered += seen.answered;
                    row.busy += seen.busy;
                }
                delays.sort_unstable();
                row.delay_us = delays.get(delays.len() / 2).copied().unwrap_or(0);
                row
            })
            .collect()
    }
}

fn mean(rows: &[Second], what: impl Fn(&Second) -> u64) -> f64 {
    rows.iter().map(|r| what(r) as f64).sum::<f64>() / rows.len() as f64
}

#[test]
fn it_finds_the_capacity_and_holds_the_delay_near_its_target() {
    for capacity in [2_000.0, 20_000.0, 80_000.0, 200_000.0] {
        let mut world = World::new(Server::new(capacity, 80_000), Tuning::default());
        world.seconds(10);
        assert!(world.controller.tracking(), "the search has ended at {capacity}");
        let steady = world.seconds(20);
        let answered = mean(&steady, |s| s.answered);
        assert!(answered > 0.97 * capacity, "{answered} answered of {capacity}");
        for row in &steady {
            assert!((150_000..600_000).contains(&row.delay_us), "delay {} at {capacity}", row.delay_us);
        }
    }
}

#[test]
fn it_follows_a_capacity_that_changes() {
    let mut world = World::new(Server::new(60_000.0, 80_000), Tuning::default());
    world.seconds(10);
    world.server.capacity = 30_000.0;
    world.seconds(10);
    let slow = world.seconds(5);
    assert!(mean(&slow, |s| s.offered) < 1.05 * 30_000.0);
    assert!(mean(&slow, |s| s.delay_us) < 600_000.0);
    world.server.capacity = 60_000.0;
    world.seconds(15);
    let fast = world.seconds(5);
    assert!(mean(&fast, |s| s.answered) > 0.95 * 60_000.0, "{}", mean(&fast, |s| s.answered));
}

#[test]
fn refusals_for_want_of_room_bring_the_rate_below_the_capacity_soon() {
    let mut server = Server::new(40_000.0, 50_000);
    // The mempool is far shallower than the delay target: only the refusals can tell.
    server.room = 2_000;
    let mut world = World::new(server, Tuning::default());
    world.seconds(10);
    let steady = world.seconds(20);
    let (offered, busy) = (mean(&steady, |s| s.offered), mean(&steady, |s| s.busy));
    assert!(busy < 0.06 * offered, "{busy} of {offered} refused");
    assert!(mean(&steady, |s| s.answered) > 0.85 * 40_000.0);
}

#[test]
fn a_network_that_is_slow_when_idle_is_not_read_as_saturated() {
    for (capacity, latency_us, lump_us) in
        [(20_000.0, 600_000, 100_000), (12_000.0, 350_000, 450_000), (12_000.0, 1_100_000, 300_000)]
    {
        let server = Server { lump_us, ..Server::new(capacity, latency_us) };
        let mut world = World::new(server, Tuning::default());
        world.seconds(25);
        assert!(world.controller.tracking(), "the search has ended at a latency of {latency_us} us");
        let steady = world.seconds(10);
        let answered = mean(&steady, |s| s.answered);
        assert!(answered > 0.95 * capacity, "{answered} answered of {capacity} at {latency_us} us");
    }
}

#[test]
fn the_search_ends_near_the_capacity_and_not_at_what_was_answered_while_it_grew() {
    let mut world = World::new(Server::new(80_000.0, 80_000), Tuning::default());
    while !world.controller.tracking() {
        world.interval(&mut Vec::new());
    }
    let ended = world.controller.rate();
    assert!((60_000.0..140_000.0).contains(&ended), "the search ends at {ended}");
    // The signed packets may run out in this very moment.
    let found = world.controller.found_rate();
    assert!((60_000.0..=ended).contains(&found), "{found} is found");
    let second = &world.seconds(3)[2];
    assert!((64_000..96_000).contains(&second.offered), "two seconds later {} are offered", second.offered);
}

#[test]
fn it_recovers_from_a_full_stall() {
    let mut world = World::new(Server::new(50_000.0, 80_000), Tuning::default());
    world.seconds(10);
    world.server.capacity = 0.0;
    let stalled = world.seconds(6);
    assert!(stalled[5].offered < 10_000, "the rate falls when nothing comes back: {}", stalled[5].offered);
    world.server.capacity = 50_000.0;
    world.seconds(25);
    let back = world.seconds(5);
    assert!(mean(&back, |s| s.answered) > 0.9 * 50_000.0, "{}", mean(&back, |s| s.answered));
}

#[test]
fn a_restart_does_not_follow_the_empty_pipe_down() {
    let mut controller = Controller::new(Tuning::default());
    controller.restart_at(40_000.0);
    for _ in 0..2 {
        controller.update(Interval { length_us: INTERVAL_US, ..Interval::default() });
    }
    assert!(controller.rate() >= 40_000.0);
}

#[test]
fn the_rate_never_falls_below_its_floor() {
    let tuning = Tuning { rate_min: 700.0, ..Tuning::default() };
    let mut controller = Controller::new(tuning);
    for _ in 0..100 {
        controller.update(Interval { length_us: INTERVAL_US, busy: 10, ..Interval::default() });
    }
    assert_eq!(controller.rate(), 700.0);
}
