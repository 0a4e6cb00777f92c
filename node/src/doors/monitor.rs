//! `millrace monitor`: a line a validator, and an exit code for cron and Nagios. It judges nothing but whether a
//! validator can be reached: alarms are those of the validators.

use anyhow::Result;
use client::answers::{Severity, StatusAnswer};
use client::{Answer, AsOf};
use serde_json::{Value, json};

use crate::cli::{MonitorArgs, print_json};
use crate::network::{Member, Network};

/// What is said of one validator.
struct Line<'a> {
    member: &'a Member,
    found: Result<(AsOf, StatusAnswer), String>,
}

/// How bad it is, in the words of Nagios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Critical,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }

    fn of(found: &Result<(AsOf, StatusAnswer), String>) -> Self {
        let Ok((_, status)) = found else { return Self::Critical };
        let ringing = status.alarms.iter().filter(|alarm| alarm.silenced.is_none());
        match ringing.map(|alarm| alarm.severity).max() {
            None => Self::Ok,
            Some(Severity::Warning) => Self::Warning,
            Some(Severity::Critical) => Self::Critical,
        }
    }
}

/// Something is critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{critical} of {all} validators are critical")]
pub struct Critical {
    critical: usize,
    all: usize,
}

/// Prints a line for each validator of a network; `false` if there are warnings.
///
/// # Errors
/// [`Critical`]; the network cannot be read.
pub fn monitor(args: &MonitorArgs) -> Result<bool> {
    let network = Network::load(&args.network)?;
    let ask = |member: &Member| -> Result<(AsOf, StatusAnswer), String> {
        let mut client = member.connect(&network.genesis).map_err(|error| error.to_string())?;
        let Answer { as_of, value } = client.status().map_err(|error| error.to_string())?;
        Ok((as_of, value))
    };
    let lines: Vec<Line<'_>> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            network.members.iter().map(|member| (member, scope.spawn(move || ask(member)))).collect();
        let join = |(member, asked): (_, std::thread::ScopedJoinHandle<'_, _>)| Line {
            member,
            found: asked.join().unwrap_or_else(|_| Err("its answer could not be taken".to_owned())),
        };
        asked.into_iter().map(join).collect()
    });
    if args.json {
        print_json(&lines.iter().map(as_json).collect())?;
    } else {
        lines.iter().for_each(|line| println!("{}", in_words(line)));
    }
    let count = |level| lines.iter().filter(|line| Level::of(&line.found) == level).count();
    match count(Level::Critical) {
        0 => Ok(count(Level::Warning) == 0),
        critical => Err(Critical { critical, all: lines.len() }.into()),
    }
}

fn in_words(Line { member, found }: &Line<'_>) -> String {
    let (level, index, name) = (Level::of(found).word(), member.index, member.name.escape_debug());
    match found {
        Err(error) => {
            format!("{level} validator {index} ({name}): cannot be reached: {}", error.escape_debug())
        }
        Ok((as_of, status)) => {
            let alarms: Vec<String> = status
                .alarms
                .iter()
                .map(|alarm| {
                    let silenced = alarm
                        .silenced
                        .as_ref()
                        .map(|of| format!(" (silenced: {})", of.reason.escape_debug()));
                    let silenced = silenced.unwrap_or_default();
                    // What a validator says is text of others: no letter of it steers a terminal.
                    let says = alarm.says.escape_debug();
                    format!("{} {}: {says}{silenced}", alarm.severity.name(), alarm.alarm.name())
                })
                .collect();
            let alarms = if alarms.is_empty() { "no alarm".to_owned() } else { alarms.join("; ") };
            let peers = status.peers.len();
            format!("{level} validator {index} ({name}): {as_of}, connected to {peers}; {alarms}")
        }
    }
}

fn as_json(Line { member, found }: &Line<'_>) -> Value {
    let mut line =
        json!({ "validator": member.index, "name": member.name, "level": Level::of(found).word() });
    match found {
        Err(error) => line["error"] = error.clone().into(),
        Ok((as_of, status)) => {
            line["as_of"] = json!(as_of);
            line["status"] = json!(status);
        }
    }
    line
}
