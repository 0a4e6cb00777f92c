//! How a validator is, and what it has counted, for a person.

use client::AsOf;
use client::answers::{FetchingAnswer, MissingAnswer, ScrubAnswer, StatusAnswer};
use engine::types::ValidatorIndex;

use super::rules;
use crate::cli::{grouped, rows};
use crate::validator::certificate::validity;
use crate::validator::clock::Clock;
use crate::validator::counters::CountersReport;

/// How a validator is, for a person.
pub(super) fn print(as_of: AsOf, status: &StatusAnswer) {
    let place = if status.standing.is_member() { format!(" {}", status.validator) } else { String::new() };
    println!("validator{place} (\"{}\") of network \"{}\"", status.name, status.network_name);
    let peers = listed(&status.peers);
    let mut shown = vec![
        ("network id", status.network.to_string()),
        ("epoch", status.standing.epoch.to_string()),
        ("role", status.standing.to_string()),
        ("committed", as_of.to_string()),
        ("finalized", format!("height {}", status.finalized)),
        ("state root", status.state_root.to_string()),
        ("behind", behind(as_of)),
    ];
    shown.extend(status.missing.as_ref().map(|missing| ("cannot catch up", cannot_catch_up(missing))));
    shown.extend(status.fetching.as_ref().map(|fetching| ("fetching", fetched(fetching))));
    if status.standing.is_member() {
        shown.push(("stream", stream(status.stream_lost).into()));
        shown.push(("votes", votes(status.votes_forgotten).into()));
    }
    shown.extend([
        ("journal", kept(status)),
        ("connected to", if peers.is_empty() { "no peer".into() } else { peers }),
        ("pending", format!("{} transactions", grouped(status.pending))),
        ("storage", storage(status)),
        ("scrubbed", scrubbed(&status.scrub)),
        ("certificate", validity(status.certificate_until, Clock::start().moment().unix_ms / 1_000)),
    ]);
    shown.extend(status.rules.map(|of| ("rules", rules::in_words(of))));
    shown.push(("up for", format!("{} s", status.uptime_seconds)));
    rows(&shown);
}

fn listed(validators: &[ValidatorIndex]) -> String {
    validators.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn cannot_catch_up(missing: &MissingAnswer) -> String {
    let MissingAnswer { height, kept_from, fetches_states } = missing;
    let instead = match fetches_states {
        true => "it fetches a state instead, if enough of the others have the same one",
        false => {
            "it is to keep everything, so it fetches no state: see *How much is kept* in the operators' guide"
        }
    };
    let (height, kept_from) = (grouped(height.0), grouped(kept_from.0));
    format!(
        "by blocks: no connected validator keeps height {height}, only those from {kept_from} on; {instead}"
    )
}

fn fetched(fetching: &FetchingAnswer) -> String {
    let FetchingAnswer { height, chunks, of, from } = fetching;
    let whom = match listed(from) {
        asked if asked.is_empty() => "no validator is asked at present".to_owned(),
        asked => format!("from {asked}"),
    };
    format!("the state of height {}: {chunks} of {of} MiB are here, {whom}", grouped(height.0))
}

fn storage(status: &StatusAnswer) -> String {
    match &status.storage_fallback {
        Some(why) => format!("{}, because io_uring cannot be used: {why}", status.storage),
        None => status.storage.clone(),
    }
}

fn scrubbed(scrub: &ScrubAnswer) -> String {
    let ScrubAnswer { rounds, read, of, rotten, repaired } = *scrub;
    let (read, of, round) = (grouped(read >> 20), grouped(of >> 20), grouped(rounds + 1));
    let rotten = if rotten == 0 { "none" } else { &*format!("{rotten}, SEE THE LOG") };
    format!("{read} of {of} MiB in round {round}; rotten places: {rotten}; repaired ones: {repaired}")
}

fn behind(as_of: AsOf) -> String {
    match as_of.behind {
        None => "unknown: it hears too little from its peers".into(),
        Some(0) => "no".into(),
        Some(blocks) => format!("{} blocks", grouped(blocks)),
    }
}

fn kept(status: &StatusAnswer) -> String {
    let mib = grouped(status.journal_bytes >> 20);
    match status.kept_from.0 {
        ..=1 if status.committed.0 == 0 => format!("{mib} MiB on the disk, with no block yet"),
        ..=1 => {
            format!("{mib} MiB on the disk, with all blocks up to height {}", grouped(status.committed.0))
        }
        from => format!("{mib} MiB on the disk, with the blocks from height {} on", grouped(from)),
    }
}

fn stream(lost: bool) -> &'static str {
    if lost {
        "LOST: it takes no transactions until its peers have told how far its stream goes"
    } else {
        "known"
    }
}

fn votes(forgotten: bool) -> &'static str {
    if forgotten {
        "FORGOTTEN: it follows without voting until it is safe to vote again"
    } else {
        "remembered"
    }
}

/// Everything that a validator has counted, for a person: one number a line, by group and name.
pub(super) fn print_counters(as_of: AsOf, report: &CountersReport) {
    println!("counted up to {as_of}, since the validator was started");
    for (group, counts) in [
        ("totals", &report.totals),
        ("transactions refused", &report.refused),
        ("offences of peers", &report.offences),
        ("network and disk", &report.bytes),
    ] {
        println!("{group}");
        for (name, count) in counts {
            println!("  {name:<32}  {:>16}", grouped(*count));
        }
    }
    println!("stages, microseconds{:>22}  {:>16}", "median", "99th percentile");
    for (name, stage) in &report.stages_us {
        println!("  {name:<24}  {:>14}  {:>16}", grouped(stage.p50), grouped(stage.p99));
    }
}

#[cfg(test)]
mod tests {
    use client::Standing;
    use engine::types::{Digest, Height};

    use super::*;

    #[test]
    fn a_status_says_what_it_has_and_what_it_lacks() {
        let mut status = StatusAnswer {
            network: Digest::default(),
            network_name: String::new(),
            validator: ValidatorIndex(3),
            name: String::new(),
            standing: Standing::UNSAID,
            committed: Height(0),
            finalized: Height(0),
            state_root: Digest::default(),
            stream_lost: false,
            votes_forgotten: false,
            kept_from: Height(1),
            journal_bytes: 64 << 20,
            peers: Vec::new(),
            pending: 0,
            storage: "portable".to_owned(),
            signatures: engine::wire::answers::SignaturesAnswer::default(),
            storage_fallback: None,
            certificate_until: None,
            fetching: None,
            missing: None,
            scrub: ScrubAnswer::default(),
            rules: None,
            alarms: Vec::new(),
            uptime_seconds: 0,
        };
        assert!(kept(&status).ends_with("with no block yet"), "it is empty: it has not all blocks");
        status.committed = Height(1_200);
        assert!(kept(&status).ends_with("with all blocks up to height 1,200"));
        status.kept_from = Height(900);
        assert!(kept(&status).ends_with("with the blocks from height 900 on"));
        assert_eq!(storage(&status), "portable");
        status.storage_fallback = Some("it is forbidden".to_owned());
        assert_eq!(storage(&status), "portable, because io_uring cannot be used: it is forbidden");

        let from = vec![ValidatorIndex(0), ValidatorIndex(2)];
        let mut fetching = FetchingAnswer { height: Height(5_000), chunks: 3, of: 10, from };
        assert_eq!(fetched(&fetching), "the state of height 5,000: 3 of 10 MiB are here, from 0, 2");
        fetching.from.clear();
        assert!(fetched(&fetching).ends_with("no validator is asked at present"));
        for (fetches_states, says) in
            [(true, "it fetches a state instead"), (false, "it is to keep everything")]
        {
            let missing = MissingAnswer { height: Height(7), kept_from: Height(1_000), fetches_states };
            let said = cannot_catch_up(&missing);
            assert!(
                said.contains("keeps height 7, only those from 1,000 on") && said.contains(says),
                "{said}"
            );
        }
    }
}
