//! What a run tells its observer, while it runs.
//!
//! An observer is called on the generator's own thread: it must return soon (a few hundred
//! microseconds), or the generator falls behind its schedule and says so.

use std::fmt;
use std::io::{self, Write as _};

use client::Address;
use engine::types::Height;

/// Where a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Connections and greetings.
    Connecting,
    /// Waiting for a validator that is behind the network.
    CatchingUp {
        /// Where it answers.
        address: Address,
        /// The height that it has committed.
        height: Height,
        /// The height that it must reach.
        goal: Height,
    },
    /// Asking where the clients' accounts stand.
    Resuming,
    /// Signing so many packets.
    Signing {
        /// How many in all lanes together.
        packets: u64,
    },
    /// Looking for the rate that the network can take.
    Searching,
    /// Load at the rate of the window, before it opens.
    WarmingUp {
        /// The rate at which it begins, in transactions a second.
        rate: f64,
    },
    /// The measured window: it opens with this call.
    Measuring {
        /// The length of the window.
        seconds: u64,
    },
    /// The window has closed with this call; the last verdicts are waited for.
    Draining,
    /// Every transaction has its verdict, or has timed out.
    Done,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Connecting => f.write_str("connecting"),
            Phase::CatchingUp { address, height, goal } if height >= goal => write!(
                f,
                "waiting for the validator at {address}: it is at height {height} and does not know yet whether it is \
                 behind"
            ),
            Phase::CatchingUp { address, height, goal } => write!(
                f,
                "waiting for the validator at {address}, which is behind: height {height} of {goal}"
            ),
            Phase::Resuming => f.write_str("asking where the accounts stand"),
            Phase::Signing { packets } => write!(f, "signing {packets} transactions"),
            Phase::Searching => f.write_str("searching the rate"),
            Phase::WarmingUp { rate } => write!(f, "warming up at {rate:.0} a second"),
            Phase::Measuring { seconds } => write!(f, "measuring for {seconds} s"),
            Phase::Draining => f.write_str("waiting for the last verdicts"),
            Phase::Done => f.write_str("done"),
        }
    }
}

/// A look at the running load, once a fifth of a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Live {
    /// Seconds since the phase began.
    pub elapsed: f64,
    /// The rate being offered.
    pub rate: f64,
    /// Answers a second, over the last fifth.
    pub answered: f64,
    /// Transactions without a verdict.
    pub in_flight: u64,
    /// Median delay of the last fifth, if anything committed in it.
    pub delay_us: Option<u64>,
}

/// Watches a run.
pub trait Observer {
    /// A new phase begins with this call.
    fn phase(&mut self, phase: &Phase) {
        let _ = phase;
    }

    /// So many of the packets being signed are done.
    fn signed(&mut self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// How the load goes.
    fn live(&mut self, live: &Live) {
        let _ = live;
    }

    /// Something that a person should know has happened.
    fn news(&mut self, news: &str) {
        let _ = news;
    }

    /// Whether the run is to end now, with what it has. Asked several times a second.
    fn is_cancelled(&mut self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// Shows the phases as lines and bars of a terminal, on stderr; on anything else, one line a phase.
#[derive(Debug, Default)]
pub struct Terminal {
    bar: Option<indicatif::ProgressBar>,
}

impl Terminal {
    /// A terminal that shows nothing yet.
    pub fn new() -> Terminal {
        Terminal::default()
    }

    fn show(&mut self, length: Option<u64>, template: &str) {
        self.finish();
        let style = indicatif::ProgressStyle::with_template(template).expect("the templates are constants");
        let bar = match length {
            Some(length) => indicatif::ProgressBar::new(length),
            None => indicatif::ProgressBar::new_spinner(),
        };
        self.bar = Some(bar.with_style(style.progress_chars("━╸─")));
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A line to standard error. Where that takes nothing, there is nobody to tell, and the load goes on.
fn say(line: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Observer for Terminal {
    fn phase(&mut self, phase: &Phase) {
        self.finish();
        if !console_is_terminal() {
            say(phase);
            return;
        }
        match phase {
            Phase::Signing { packets } => self.show(
                Some(*packets),
                "  signing   {bar:40.cyan} {human_pos}/{human_len} transactions, {per_sec}, {eta} left",
            ),
            Phase::Measuring { seconds } => {
                self.show(Some(*seconds), "  measuring {bar:40.green} {pos}/{len} s  {msg}")
            }
            Phase::Done => {}
            other => {
                self.show(None, "  {spinner} {prefix}  {msg}");
                if let Some(bar) = &self.bar {
                    bar.set_prefix(other.to_string());
                }
            }
        }
    }

    fn signed(&mut self, done: u64, _total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    fn live(&mut self, live: &Live) {
        let Some(bar) = &self.bar else { return };
        let delay = live.delay_us.map_or("–".into(), |d| format!("{} ms", d / 1_000));
        bar.set_message(format!(
            "offered {:.0}/s  answered {:.0}/s  delay {delay}  in flight {}",
            live.rate, live.answered, live.in_flight
        ));
        if bar.length().is_some() {
            bar.set_position(live.elapsed as u64);
        } else {
            bar.tick();
        }
    }

    fn news(&mut self, news: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(&news)),
            None => say(&news),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.finish();
    }
}

fn console_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
