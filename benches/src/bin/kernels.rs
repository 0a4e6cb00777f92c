//! `cargo run --release -p benches --bin kernels -- [--json FILE]`: our kernels beside the reference libraries.

use benches::{
    contest::{Outcome, pin},
    hashes, signatures,
};
use clap::Parser;
use std::{fs, path::PathBuf, time::Duration};

/// Measures our kernels beside the reference libraries, in turns, pinned to one core.
#[derive(Parser)]
struct Args {
    /// Write the results here as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds of CPU for each turn.
    #[arg(long, default_value_t = 60)]
    turn_ms: u64,
    /// Core to stay on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Only operations whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

fn show(outcome: &Outcome) {
    for (backend, ns) in &outcome.ours {
        print!("{:<26} {backend:<9} {ns:>9.1} ns", outcome.op);
        for (rival, theirs) in &outcome.rivals {
            print!("   {rival} {theirs:.1} ({:.2})", ns / theirs);
        }
        println!();
    }
}

fn json(outcomes: &[Outcome]) -> serde_json::Value {
    let results: Vec<_> = outcomes
        .iter()
        .flat_map(|o| {
            o.ours.iter().map(|(backend, ns)| {
                serde_json::json!({ "op": o.op, "backend": backend, "ns": ns, "rivals": o.rivals })
            })
        })
        .collect();
    serde_json::json!({ "results": results })
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if !pin(args.core) {
        eprintln!("cannot stay on core {}: figures will wander", args.core);
    }
    let turn = Duration::from_millis(args.turn_ms);
    let rounds = args.rounds.max(1);
    let field = signatures::Field::new(4096);
    let mut outcomes = Vec::new();
    let mut contest = |op: &str, hold: &mut dyn FnMut() -> Outcome| {
        if op.contains(&args.only) {
            let outcome = hold();
            show(&outcome);
            outcomes.push(outcome);
        }
    };
    for count in [8, 64, 256, 1024, 4096] {
        contest(&format!("ed25519.batch.{count}"), &mut || field.batch(count, rounds, turn));
    }
    for count in [256, 4096] {
        contest(&format!("ed25519.batch_decoded.{count}"), &mut || field.batch_decoded(count, rounds, turn));
    }
    contest("ed25519.lanes8", &mut || field.lanes8(rounds, turn));
    contest("sha256.node", &mut || hashes::node(rounds, turn));
    contest("sha512.264", &mut || hashes::challenge(rounds, turn));
    contest("tree.update", &mut || hashes::tree_update(rounds, turn));
    contest("ed25519.single", &mut || field.single(rounds, turn));
    contest("ed25519.sign", &mut || field.sign(rounds, turn));
    contest("ed25519.sign8", &mut || field.sign8(rounds, turn));
    if let Some(path) = args.json {
        fs::write(path, serde_json::to_vec_pretty(&json(&outcomes))?)?;
    }
    Ok(())
}
