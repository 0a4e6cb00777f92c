//! `millrace alarm`: the silences of a validator, in its data directory.

use std::path::Path;

use anyhow::{Context as _, Result};
use engine::types::ValidatorIndex;
use serde_json::json;

use crate::cli::{AlarmCommand, print_json};
use crate::query::print::time;
use crate::silences::{Silence, Silences};
use crate::validator::clock::Clock;
use crate::verify::check_data;

/// Silences an alarm, ends a silence, or lists the silences.
///
/// # Errors
/// The directory is not a validator's, or its silences cannot be used.
pub fn alarm(command: &AlarmCommand) -> Result<bool> {
    let now = Clock::start().moment().unix_ms / 1_000;
    match command {
        AlarmCommand::Silence(args) => {
            let until = now + args.seconds;
            let about = args.about.map(ValidatorIndex);
            let silence = Silence { alarm: args.alarm, about, until, reason: args.reason.clone() };
            let mut silences = load(&args.data, now)?;
            silences.add(silence, now)?;
            silences.save(&args.data)?;
            println!("{} is silenced until {}", args.alarm.name(), time(until * 1_000));
        }
        AlarmCommand::Unsilence(args) => {
            let mut silences = load(&args.data, now)?;
            silences.end(args.alarm, args.about.map(ValidatorIndex))?;
            silences.save(&args.data)?;
            println!("{} is not silenced any more", args.alarm.name());
        }
        AlarmCommand::Silences(args) => {
            let silences = load(&args.data, now)?;
            if args.json {
                print_json(&json!(silences.now(now).collect::<Vec<_>>()))?;
                return Ok(true);
            }
            for Silence { alarm, about, until, reason } in silences.now(now) {
                let about = about.map(|about| format!(" about validator {about}")).unwrap_or_default();
                println!(
                    "{}{about}, until {}: {}",
                    alarm.name(),
                    time(until.saturating_mul(1_000)),
                    reason.escape_debug()
                );
            }
        }
    }
    Ok(true)
}

fn load(data: &Path, now: u64) -> Result<Silences> {
    check_data(data).context("--data must name the data directory of a validator")?;
    Ok(Silences::load(data, now)?)
}
