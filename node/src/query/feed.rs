//! The feed of a chain, printed as it comes: an event a line.
//!
//! A cursor is understood by every validator, so who follows a feed and loses the connection goes on where it was,
//! with the next validator that answers.

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use client::{AsOf, ClientError, Cursor, FeedQuery, Happened, Happening, Occurrence};
use engine::limits::FEED_EVENTS_MAX;
use engine::types::{
    AccountId, ChainId, ChangeKind, Decision, Digest, Effect, Height, ProposalRecord, ValidatorIndex,
};
use serde_json::json;

use super::{Asked, another, connect, decisions, print};
use crate::cli::{FeedArgs, WhomArgs};
use crate::signals;
use crate::transfer::reference;

/// How often a feed that is followed to its end is asked again.
const POLL: Duration = Duration::from_millis(250);
/// How long the pause between two attempts to connect again is.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// Prints what happened on a chain, or to one account of it.
///
/// # Errors
/// No answer that makes sense. Without `--follow` also an ended connection; the message then says where to go on.
pub(super) fn print_feed(
    asked: &mut Asked,
    whom: &WhomArgs,
    (chain, account): (ChainId, Option<AccountId>),
    (args, progress): (&FeedArgs, Option<&Progress>),
    json: bool,
) -> Result<()> {
    let reference = args.reference.as_deref().map(reference).transpose()?;
    let mut out = std::io::stdout().lock();
    let (mut from, mut left) = (args.from, args.limit.unwrap_or(u64::MAX));
    let mut is_ahead = false;
    // Those that do not keep where this goes on, and from which height on they keep something.
    let mut below: Vec<(Height, ValidatorIndex)> = Vec::new();
    let printed = loop {
        let max = left.min(FEED_EVENTS_MAX as u64) as u16;
        let query = FeedQuery { chain, from, account, reference, max };
        let answer = match asked.client.feed(&query) {
            Ok(answer) => answer,
            Err(error @ (ClientError::Link(_) | ClientError::Silent(_))) => {
                let why = match &error {
                    ClientError::Link(why) => format!("the connection ended: {why}"),
                    error => error.to_string(),
                };
                if !args.follow {
                    anyhow::bail!("{why}; go on with --from {from}");
                }
                eprintln!("{why}; following on from {from}");
                *asked = connect_again(whom);
                continue;
            }
            Err(error @ ClientError::BelowRetention { .. }) => {
                let kept_from = asked.client.status()?.value.kept_from;
                below.push((kept_from, asked.client.validator()));
                let mut not: Vec<_> = below.iter().map(|(_, validator)| *validator).collect();
                if let Some(other) = another(whom, asked, &not) {
                    *asked = other;
                    continue;
                }
                let keeps_most = below.iter().min().copied();
                // What came from other chains at the first two heights follows from blocks that are not kept.
                let steps = |kept_from: Height| (kept_from.0..kept_from.0 + 2).contains(&from.height.0);
                let begins = |(kept_from, _): &(Height, _)| from == Cursor::START || steps(*kept_from);
                let Some((kept_from, keeper)) = keeps_most.filter(begins) else { return Err(error.into()) };
                let kept_from = if steps(kept_from) { from.height.next() } else { kept_from };
                from = Cursor::at(kept_from);
                if keeper != asked.client.validator() {
                    not.retain(|validator| *validator != keeper);
                    *asked = another(whom, asked, &not).ok_or(error)?;
                }
                eprintln!(
                    "what is below height {kept_from} is not kept; beginning there, as with --from {from}"
                );
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        below.clear();
        if !is_ahead && from.height > Height(answer.as_of.height.0 + 1) {
            is_ahead = true;
            eprintln!("--from {from} is above all that this validator has, which ends with {}", answer.as_of);
        }
        from = answer.value.next;
        left -= answer.value.events.len() as u64;
        let decided = |proposal: &Digest| decided(asked, proposal);
        let printed = |next| progress.into_iter().for_each(|progress| progress.set(next));
        let whose = (chain, account);
        let written = write_events(&mut out, &answer.value.events, whose, decided, json, printed);
        if let Err(error) = written {
            break Err(error);
        }
        printed(from);
        let at_end = from.height > answer.as_of.height;
        if left == 0 || (at_end && !args.follow) {
            break write_end(&mut out, from, (!at_end).then_some(args.limit).flatten(), answer.as_of, json);
        }
        if at_end {
            std::thread::sleep(POLL);
        }
    };
    match printed {
        // Who reads the lines has had enough of them.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("the feed cannot be printed"),
    }
}

/// How far a feed is printed, for the words at its end.
pub(super) struct Progress(Arc<Mutex<Cursor>>);

impl Progress {
    /// Nothing is printed yet. From now on, a signal that asks this process to stop ends it with words where to go on.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub(super) fn new(from: Cursor) -> std::io::Result<Self> {
        let printed_to = Arc::new(Mutex::new(from));
        let noted = Arc::clone(&printed_to);
        let watch = move || {
            let Ok(signal) = signals::wait() else { return };
            // The words may have to wait for their reader. Who asks once more need not.
            signals::restore();
            let from = *noted.lock().unwrap_or_else(PoisonError::into_inner);
            // Nothing can be done where it is closed.
            let _ = writeln!(std::io::stderr(), "stopped by a signal; go on with --from {from}");
            std::process::exit(signal.exit_code());
        };
        std::thread::Builder::new().name("signals".into()).spawn(watch)?;
        Ok(Self(printed_to))
    }

    fn set(&self, next: Cursor) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// What a proposal says, where the genesis is at hand and the validator answers: its name is the hash of what it says.
fn decided(asked: &mut Asked, proposal: &Digest) -> Option<Decision> {
    let chain = asked.network.as_ref()?.genesis.governance()?.id;
    let answer = asked.client.row(chain, &proposal.0).ok()?;
    let record = ProposalRecord::decode(answer.value.proof.says(proposal).flatten()?)?;
    (record.proposal() == *proposal).then_some(record.decision)
}

fn connect_again(whom: &WhomArgs) -> Asked {
    loop {
        std::thread::sleep(CONNECT_AGAIN);
        match connect(whom) {
            Ok(asked) => return asked,
            Err(error) => eprintln!("{error:#}; trying again"),
        }
    }
}

fn write_events(
    out: &mut impl Write,
    events: &[Happened],
    (chain, account): (ChainId, Option<AccountId>),
    mut decided: impl FnMut(&Digest) -> Option<Decision>,
    json: bool,
    printed: impl Fn(Cursor),
) -> std::io::Result<()> {
    for Happened { at, what } in events {
        match what {
            Occurrence::Transaction { id, happening, signed } if json => {
                let mut line = print::with_content(json!({ "at": at, "id": id }), signed);
                line["happening"] = json!(happening);
                writeln!(out, "{line}")?;
            }
            Occurrence::Transaction { id, happening, signed } => {
                let share = account.and_then(|account| print::share(signed, account));
                let share = share.map_or(String::new(), |share| format!(" ({share} of it to this account)"));
                let (words, says) = (words(*happening, signed.chain()), print::says(signed));
                let reference = print::reference(&signed.reference());
                writeln!(out, "{at:<12} {words}: {says}{share}{reference}; {id}")?;
            }
            Occurrence::Effect(effect) => {
                let decision = match effect {
                    Effect::InEffect { proposal } => decided(proposal),
                    Effect::Changed { .. } | Effect::Released { .. } => None,
                };
                if json {
                    let mut line = json!({ "at": at, "happening": effect });
                    if let Some(decision) = &decision {
                        line["decision"] = decisions::decision_fields(decision);
                    }
                    writeln!(out, "{line}")?;
                } else {
                    let decision = decision.as_ref().map(decisions::decision);
                    let decision = decision.map_or(String::new(), |words| format!(": {words}"));
                    writeln!(out, "{at:<12} {}{decision}", effect_words(chain, effect))?;
                }
            }
        }
        // Standard output ends each line by itself.
        printed(Cursor { place: at.place + 1, ..*at });
    }
    out.flush()
}

/// What happened, for a person.
fn words(happening: Happening, source: ChainId) -> String {
    match happening {
        Happening::Executed { outcome } => outcome.to_string(),
        Happening::Credited => format!("credited from chain {source}"),
        Happening::NotCredited { reason } => format!("not credited, back to chain {source} ({reason})"),
        Happening::Refunded { reason } => format!("refunded ({reason})"),
        Happening::Swapped => "swapped".to_owned(),
    }
}

/// What took effect by itself, for a person.
fn effect_words(chain: ChainId, effect: &Effect) -> String {
    match effect {
        Effect::InEffect { proposal } => format!("in effect: proposal {proposal}"),
        Effect::Changed { account, change, what, stands } => {
            let (now, what) = match what {
                ChangeKind::Key => ("has another key", "another key"),
                ChangeKind::Safeguards => ("has other safeguards", "other safeguards"),
                ChangeKind::Closing => ("is closed for good", "closing"),
            };
            match stands {
                true => format!("changed: account {account} {now} (change {change})"),
                false => format!("void: change {change} of account {account} ({what}) has not taken effect"),
            }
        }
        Effect::Released { payer, nonce, amount } => {
            format!(
                "released: account {payer} has {amount} back, as reservation {chain}:{payer}/{nonce} is over"
            )
        }
    }
}

/// How far it goes. `limit` is how many events were wanted, where that is why it ends.
fn write_end(
    out: &mut impl Write,
    next: Cursor,
    limit: Option<u64>,
    as_of: AsOf,
    json: bool,
) -> std::io::Result<()> {
    match limit {
        _ if json => writeln!(out, "{}", json!({ "next": next, "as_of": as_of })),
        Some(1) => writeln!(out, "stopped after 1 event; go on with --from {next}"),
        Some(limit) => writeln!(out, "stopped after {limit} events; go on with --from {next}"),
        None => writeln!(out, "up to {as_of} (the validator's word); go on with --from {next}"),
    }
}
