//! The command line of `millrace alarm`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::wire::answers::AlarmKind;

/// Silence alarms of a validator for a while, with a reason.
///
/// A silenced alarm is still judged and shown, with its silence beside it. It does not
/// ring: rules of Prometheus do not fire, webhooks get one event `silenced` and then
/// nothing, and `millrace monitor` does not count it. docs/ALARMS.md has the alarms.
#[derive(Debug, Clone, Subcommand)]
pub enum AlarmCommand {
    /// Silence an alarm.
    Silence(SilenceArgs),
    /// End a silence.
    Unsilence(UnsilenceArgs),
    /// List the silences that are in effect.
    Silences(SilencesArgs),
}

/// Silence an alarm.
///
/// A running validator reads it within a second; one that does not run, at its start.
///
/// Examples:
///   millrace alarm silence peer_unreachable --about 2 --for 2h --reason "rack B is moved" \
///                  --data /srv/mill/validator-0/data
///   millrace alarm silence disk_fills --for 45m --reason "a larger disk is on its way" \
///                  --data /srv/mill/validator-0/data
///
/// Exit codes: 0 it is silenced; 1 the file cannot be written; 2 for wrong usage.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct SilenceArgs {
    /// The alarm's name, as in docs/ALARMS.md.
    #[arg(value_parser = parse_alarm)]
    pub alarm: AlarmKind,
    /// The place of the validator that the alarm is about; without it, whatever the alarm is about.
    #[arg(long, value_name = "PLACE")]
    pub about: Option<u16>,
    /// How long: minutes, hours or days, as in 45m, 2h or 3d; at most 30 days.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub seconds: u64,
    /// Why, for those who see it later: up to 200 characters.
    #[arg(long, value_parser = parse_reason)]
    pub reason: String,
    /// The validator's data directory.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// End a silence.
#[derive(Debug, Clone, Args)]
pub struct UnsilenceArgs {
    /// The alarm's name.
    #[arg(value_parser = parse_alarm)]
    pub alarm: AlarmKind,
    /// The place of the validator that the silence names, if it names one.
    #[arg(long, value_name = "PLACE")]
    pub about: Option<u16>,
    /// The validator's data directory.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// List the silences that are in effect.
#[derive(Debug, Clone, Args)]
pub struct SilencesArgs {
    /// The validator's data directory.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn parse_alarm(text: &str) -> Result<AlarmKind, String> {
    let names = || AlarmKind::ALL.iter().map(|kind| kind.name());
    AlarmKind::ALL.iter().copied().find(|kind| kind.name() == text).ok_or_else(|| {
        format!("there is no alarm {text:?}; there are {}", names().collect::<Vec<_>>().join(", "))
    })
}

fn parse_time(text: &str) -> Result<u64, String> {
    let most = crate::silences::SILENCE_SECONDS_MAX;
    let unit = |unit| match unit {
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let parsed = text.char_indices().next_back().and_then(|(at, last)| {
        text[..at]
            .parse::<u64>()
            .ok()?
            .checked_mul(unit(last)?)
            .filter(|seconds| (1..=most).contains(seconds))
    });
    parsed.ok_or_else(|| "write a number and m, h or d, as in 45m, 2h or 3d; at most 30d".to_owned())
}

fn parse_reason(text: &str) -> Result<String, String> {
    crate::silences::fit_reason(text).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reasons_and_names_are_read_or_refused_in_words() {
        assert_eq!(
            (parse_time("45m"), parse_time("2h"), parse_time("30d")),
            (Ok(2_700), Ok(7_200), Ok(2_592_000))
        );
        for wrong in ["", "m", "0m", "31d", "2", "2w", "-1h", "99999999999999999999d", "2ü"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_reason("  moved ").as_deref(), Ok("moved"));
        for wrong in ["", "   ", "a\nb", &"x".repeat(201)] {
            assert!(parse_reason(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_alarm("disk_fills"), Ok(AlarmKind::DiskFills));
        assert!(parse_alarm("disk").unwrap_err().contains("disk_rots"));
    }
}
