//! What a network costs against its number of validators.

use std::time::Duration;

use sim::{Cost, Run, Traffic, simulate};

/// Runs a network of each size and prints a row of a table for it. False if something was wrong.
pub fn print(sizes: &[usize], seed: u64) -> bool {
    println!(
        "| n | views/s | blocks/s | batches/s | committed/s | p50 ms | p99 ms | messages/s | kB/s | of these consensus | \
         messages/tx | bytes/tx |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut well = true;
    for validators in sizes {
        let report = simulate(&Run { seed, validators: *validators, cost: true, ..Run::default() });
        report.violations.iter().for_each(|violation| println!("VIOLATION {violation}"));
        well &= report.violations.is_empty();
        match report.cost {
            Some(cost) => println!("{}", row(*validators, &cost)),
            None => well = false,
        }
    }
    well
}

/// All figures but the views, blocks, batches and commits of a second are those of one validator.
fn row(validators: usize, cost: &Cost) -> String {
    let seconds = cost.window.as_secs_f64();
    let all = [cost.consensus, cost.bulk, cost.control];
    let messages: u64 = all.iter().map(|traffic| traffic.messages).sum();
    let bytes: u64 = all.iter().map(|traffic| traffic.bytes).sum();
    let each = |total: u64| total as f64 / seconds / validators as f64;
    let Traffic { bytes: consensus, .. } = cost.consensus;
    let transactions = cost.transactions.max(1) as f64 * validators as f64;
    format!(
        "| {validators} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} % | {:.2} | {:.0} |",
        cost.views as f64 / seconds,
        cost.blocks as f64 / seconds,
        cost.batches as f64 / seconds,
        cost.transactions as f64 / seconds,
        percentile(&cost.latencies, 50),
        percentile(&cost.latencies, 99),
        each(messages),
        each(bytes) / 1e3,
        100.0 * consensus as f64 / bytes.max(1) as f64,
        messages as f64 / transactions,
        bytes as f64 / transactions,
    )
}

/// Milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
}
