//! The command lines of `millrace bench`, `load` and `demo`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use loadgen::{Arrivals, Shape, Share};

use super::{Named, PassphraseArgs, Storage, Verify};
use crate::bench::Fault;

/// Bring up a network to look at, with some load, and say where its console is.
///
/// Makes a network in a temporary directory, starts its validators as processes of
/// their own, and has a client at each pay, also between chains, and register
/// fingerprints. Open the printed address in a browser. Ctrl-C stops all of it and
/// removes the directory.
///
/// Examples:
///   millrace demo
///   millrace demo --validators 7 --pause-ms 20
///   millrace demo --base-port 7400
///
/// Exit codes: 0 stopped when asked; 1 a validator did not start; 2 the directory or
/// a port cannot be used; 130, 143 stopped before it was up, or too slowly.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct DemoArgs {
    /// How many validators.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub validators: u16,
    /// How long each client pauses between its verdict and its next transaction; 0 sends none.
    #[arg(long, default_value_t = 100, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub pause_ms: u64,
    /// Validator i takes the ports PORT + 2i and PORT + 2i + 1, its console the TCP port of the second number; without
    /// it, ports that are free.
    #[arg(long, value_name = "PORT")]
    pub base_port: Option<u16>,
    /// Make the network in this directory, and keep it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Measure a network of validators on this machine, then audit what it wrote.
///
/// Starts N validators as processes of their own on loopback, each with its own
/// directory, certificates and journal. Signs all transfers before the clock
/// starts, offers them open-loop (each at its intended instant, also when
/// those before it are late), warms up, measures a window, stops everything,
/// and then audits every directory from the files on disk: finalization
/// certificates, signatures, replay by the slow executor, roots, balances, and
/// whether everything that clients were told is there exactly once.
///
/// Latency runs from the intended send to the committed notice. With `--rate
/// max` the rate is found by the network's own back-pressure; the result is an
/// estimate then.
///
/// The first line says whether the result is VALID, INVALID or NOT JUDGED, and
/// why: late sends, a rate that was not offered, a generator near its own ceiling,
/// stolen CPU time, data in memory, syncs that reach no medium. For the ceiling
/// the same load is driven at a null sink before the validators start, for three
/// seconds (--ceiling). With its signing that takes some seconds more, and with
/// `--rate max` about 20.
///
/// Examples:
///   millrace bench
///   millrace bench --validators 1 --seconds 30
///   millrace bench --rate 20000 --json result.json
///   millrace bench --chains 4 --accounts 25000 --cross-chain 10
///   millrace bench --workload attest --data-bytes 256
///   millrace bench --workload open --opened 100
///   millrace bench --rate 5000 --shape burst:5x2/10 --arrivals poisson --seconds 30
///   millrace bench --rate 2000 --seconds 30 --fault 10:kill:3 --fault 16:start:3
///   millrace bench --repeat 6 --json runs.json
///   millrace bench --saturate --json saturation.json
///   millrace bench --rate 20000 --report page --sign-with generator.pem
///   millrace bench --data /mnt/nvme/bench --keep
///   millrace verify /mnt/nvme/bench/validator-0/data
///   millrace bench --set batch_delay_ms=20 --set verify_threads=2
///
/// Exit codes: 0 only if the audit holds, also of a run that is not valid, 1 if it
/// does not or a validator died, 2 for wrong usage.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct BenchArgs {
    /// How many validators to start.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub validators: u16,
    /// How many chains, each with its own accounts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub chains: u32,
    /// How many accounts each chain has.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(16..=16_777_216))]
    pub accounts: u64,
    /// Length of the measured window.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Offered load before the window opens.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub warm_up: u64,
    /// Transactions a second, over all validators together; or "max": as many as the network takes.
    #[arg(long, default_value = "max", value_name = "max|TPS", value_parser = parse_rate)]
    pub rate: Rate,
    /// How the rate changes over the window, of which --rate is the mean: "constant", "ramp:0.2..1.8", "steps:1,2,3",
    /// "burst:5x2/10" (5 times as much for 2 s, every 10 s), or "trace:FILE" with a number in each line.
    #[arg(long, default_value = "constant", value_name = "SHAPE", value_parser = parse_shape)]
    pub shape: Shape,
    /// How transactions follow each other in the window.
    #[arg(long, value_enum, default_value_t = Arriving::Even)]
    pub arrivals: Arriving,
    /// What the clients do.
    #[arg(long, value_enum, default_value_t = Workload::Transfer)]
    pub workload: Workload,
    /// Bytes of data that are registered with each fingerprint; not with --workload transfer.
    #[arg(long, default_value_t = 0, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(0..=1_024))]
    pub data_bytes: u16,
    /// Share of transfers that go to an account of another chain; it takes at least two chains of transfers.
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub cross_chain: u8,
    /// Payments of each transaction: more than one are linked transfers, with one signature. Rates count transactions.
    #[arg(long, default_value_t = 1, value_name = "PAYMENTS", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub linked: u16,
    /// With --workload open: accounts that each transaction opens. Rates count transactions.
    #[arg(long, default_value_t = 1, value_name = "ACCOUNTS", value_parser = clap::value_parser!(u16).range(1..=680))]
    pub opened: u16,
    /// Run it so often, each time on a new network, and print medians with intervals; at least 6. With --data and
    /// --report each run has a directory of its own in there; that of its data is removed after it, unless --keep is
    /// given.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_repeat)]
    pub repeat: usize,
    /// Search for the saturation rate: the highest that holds for 60 s, three times of three, with a p99 of at most
    /// 500 ms, all but one in a thousand committed, and no work that piles up. Takes about a quarter of an hour. --rate
    /// says where the search begins.
    #[arg(long, conflicts_with_all = ["repeat", "report", "seconds", "shape", "fault"])]
    pub saturate: bool,
    /// Seed for the random choice of clients and amounts.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long the same load is driven at a null sink first, to know the generator's own ceiling; 0 leaves it out, and
    /// the result is not judged.
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=60))]
    pub ceiling: u64,
    /// Do something to a validator at a second of the window: kill, start, pause or resume it, as in 5:kill:2; may be
    /// repeated. The report says how long it was felt. One that is not started again is held to what it told itself.
    #[arg(long, value_name = "SECOND:ACTION:VALIDATOR")]
    pub fault: Vec<Fault>,
    /// How journals are written.
    #[arg(long, value_enum, default_value_t = Storage::Auto)]
    pub storage: Storage,
    /// Who checks signatures; docs/GPU.md explains the choices.
    #[arg(long, value_enum, default_value_t = Verify::Cpu)]
    pub verify: Verify,
    /// A field of the validators' [work] section, such as batch_delay_ms=20; may be repeated.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write report.html, a page with everything in it, report.json and seconds.csv into this directory.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Sign the report with the key of this file (`millrace key new`), into report.sig; `verify-report` checks it.
    #[arg(long, value_name = "KEYFILE", requires = "report")]
    pub sign_with: Option<PathBuf>,
    /// Where the passphrase of that file is.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Make the network here (it must not hold one yet) instead of in a temporary directory.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Keep the directory, and say where it is.
    #[arg(long)]
    pub keep: bool,
}

/// Check who has signed the report of a benchmark, and that it is unchanged.
///
/// `millrace bench --report DIR --sign-with KEYFILE` signs the digests of
/// report.html, report.json and seconds.csv. The public key must come from
/// somebody you trust; the one in report.sig is not believed. The signature says
/// who vouches for the report. Whether its figures are true, another run shows.
///
/// Examples:
///   millrace verify-report page --key 9f...
///   millrace verify-report page --key 9f... --json
///
/// Exit codes: 0 all files are as that key has signed them; 1 they are not, or
/// another key has signed; 2 usage, or there is no report or no signature.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct VerifyReportArgs {
    /// The directory of the report.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The public key, 64 hexadecimal digits, as `key show` prints it.
    #[arg(long, value_name = "PUBLIC")]
    pub key: engine::types::Digest,
    /// Print JSON: whether it holds, the key of report.sig, and the same in words.
    #[arg(long)]
    pub json: bool,
}

/// Offer load to a running network, and print what its clients saw.
///
/// The same open-loop generator as in `bench`: signed before the clock starts,
/// timed from the intended send. The clients' nonces are read from the
/// network first, so it can be run again and again.
///
/// The first line says whether the result is VALID, INVALID or NOT JUDGED, and
/// why, as in `bench`. What the data of the validators lies on is not known here,
/// so a load that breaks no rule is NOT JUDGED.
///
/// Examples:
///   millrace load --network /tmp/mill
///   millrace load --network /tmp/mill --rate 5000 --seconds 60
///   millrace load --network /tmp/mill --workload attest
///   millrace load --network /tmp/mill --chains 2 --rate 500
///   millrace load --network /tmp/mill --validators 0,1,3
///   millrace load --network /tmp/mill --share 1/2 & millrace load --network /tmp/mill --share 2/2
///
/// A validator that goes away is tried again until it is there; what it has not
/// answered is offered again. Where none is there for ten seconds, the load
/// ends with what it has measured. Ctrl-C ends it with what it has, too.
///
/// Exit codes: 0 every transaction was answered; 1 some were not, a validator
/// went away and stayed away, or another load uses the same accounts; 2 for
/// wrong usage; 130 after Ctrl-C, 143 after SIGTERM.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct LoadArgs {
    /// The network's directory.
    #[arg(long, value_name = "DIR")]
    pub network: PathBuf,
    /// Length of the measured window.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Offered load before the window opens.
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    pub warm_up: u64,
    /// Transactions a second, over all validators together; or "max": as many as the network takes.
    #[arg(long, default_value = "1000", value_name = "max|TPS", value_parser = parse_rate)]
    pub rate: Rate,
    /// How the rate changes over the window, of which --rate is the mean: "constant", "ramp:0.2..1.8", "steps:1,2,3",
    /// "burst:5x2/10" (5 times as much for 2 s, every 10 s), or "trace:FILE" with a number in each line.
    #[arg(long, default_value = "constant", value_name = "SHAPE", value_parser = parse_shape)]
    pub shape: Shape,
    /// How transactions follow each other in the window.
    #[arg(long, value_enum, default_value_t = Arriving::Even)]
    pub arrivals: Arriving,
    /// What the clients do; chains of other kinds get no load.
    #[arg(long, value_enum, default_value_t = Workload::Transfer)]
    pub workload: Workload,
    /// Chains of the genesis that get the load, with commas between them; all, if nothing is said. Two loads at once go
    /// together if they name different chains.
    #[arg(long, value_name = "CHAINS", value_delimiter = ',')]
    pub chains: Option<Vec<u32>>,
    /// Validators that get the load, by their numbers in network.toml or their names in `chain members`, with commas
    /// between them; all members that answer, if nothing is said.
    #[arg(long, value_name = "INDEX|NAME", value_delimiter = ',')]
    pub validators: Option<Vec<Named>>,
    /// The part of the accounts that pay: the first of two is 1/2. Loads that run at the same time each take another
    /// one.
    #[arg(long, value_name = "K/N", default_value = "1/1", value_parser = parse_share)]
    pub share: Share,
    /// Bytes of data that are registered with each fingerprint; not with --workload transfer.
    #[arg(long, default_value_t = 0, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(0..=1_024))]
    pub data_bytes: u16,
    /// Share of transfers that go to an account of another chain; it takes at least two chains of transfers.
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub cross_chain: u8,
    /// Payments of each transaction: more than one are linked transfers, with one signature. Rates count transactions.
    #[arg(long, default_value_t = 1, value_name = "PAYMENTS", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub linked: u16,
    /// With --workload open: accounts that each transaction opens. Rates count transactions.
    #[arg(long, default_value_t = 1, value_name = "ACCOUNTS", value_parser = clap::value_parser!(u16).range(1..=680))]
    pub opened: u16,
    /// Search for the saturation rate, as in `bench --saturate`; --rate says where the search begins.
    #[arg(long, conflicts_with_all = ["seconds", "shape"])]
    pub saturate: bool,
    /// Seed for the random choice of clients and amounts; without one, another one each time, so that no two loads
    /// offer the same transactions.
    #[arg(long)]
    pub seed: Option<u64>,
    /// How long the same load is driven at a null sink first, a process on this machine, to know the generator's own
    /// ceiling; 0 leaves it out.
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=60))]
    pub ceiling: u64,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Be a null sink for a load generator, until standard input ends.
///
/// `bench` and `load` start this themselves, with --ceiling.
#[derive(Debug, Clone, Args)]
pub struct SinkArgs {
    /// The id of the network that it stands beside.
    #[arg(value_name = "NETWORK")]
    pub network: engine::types::Digest,
    /// How many validators it stands for.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub connections: u16,
}

/// A rate of offered load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// As fast as the network takes it.
    Max,
    /// Transfers a second.
    Fixed(f64),
}

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Transfers between accounts drawn at random, none of which should fail.
    Transfer,
    /// Each transaction registers a fingerprint on a chain of attestations.
    Attest,
    /// Both, on chains of both kinds; each chain gets the same share.
    Mixed,
    /// Each transaction opens accounts, whose keys have all signed that they are there.
    Open,
}

impl Workload {
    /// The same for the generator.
    pub(crate) fn traffic(self) -> loadgen::Traffic {
        match self {
            Self::Transfer => loadgen::Traffic::Transfer,
            Self::Attest => loadgen::Traffic::Attest,
            Self::Mixed => loadgen::Traffic::Mixed,
            Self::Open => loadgen::Traffic::Open,
        }
    }
}

impl Rate {
    /// The same for the generator.
    pub(crate) fn of_load(self) -> loadgen::Rate {
        match self {
            Self::Max => loadgen::Rate::Max,
            Self::Fixed(rate) => loadgen::Rate::Fixed(rate),
        }
    }
}

/// How transactions follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arriving {
    /// At equal distances.
    Even,
    /// As a Poisson process: as those of many clients that know nothing of each other.
    Poisson,
}

impl Arriving {
    /// The same for the generator.
    pub(crate) fn of_load(self) -> Arrivals {
        match self {
            Self::Even => Arrivals::Even,
            Self::Poisson => Arrivals::Poisson,
        }
    }
}

/// More is offered by no generator: at 2 µs each, ten million take the time of 20 cores.
const RATE_MAX: f64 = 10_000_000.0;

fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    match text.parse::<f64>() {
        Ok(rate) if (1.0..=RATE_MAX).contains(&rate) => Ok(Rate::Fixed(rate)),
        _ => Err(format!("write \"max\", or transfers a second from 1 to {RATE_MAX}")),
    }
}

/// The largest file of a trace: so many numbers have no more letters.
const TRACE_BYTES_MAX: u64 = 4 << 20;

fn parse_shape(text: &str) -> Result<Shape, String> {
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("{text:?} is no number"));
    let Some((kind, rest)) = text.split_once(':') else {
        return match text {
            "constant" => Ok(Shape::Constant),
            _ => Err(SHAPES.into()),
        };
    };
    match kind {
        "ramp" => {
            let (from, to) = rest.split_once("..").ok_or("write ramp:FROM..TO, such as ramp:0.2..1.8")?;
            Ok(Shape::Ramp { from: number(from)?, to: number(to)? })
        }
        "steps" => Ok(Shape::Steps(rest.split(',').map(number).collect::<Result<_, _>>()?)),
        "burst" => {
            let words = "write burst:TIMESxSECONDS/EVERY, such as burst:5x2/10";
            let (times, rest) = rest.split_once('x').ok_or(words)?;
            let (seconds, every) = rest.split_once('/').ok_or(words)?;
            let whole = |text: &str| text.parse::<u64>().map_err(|_| words.to_owned());
            Ok(Shape::Burst { times: number(times)?, seconds: whole(seconds)?, every: whole(every)? })
        }
        "trace" => {
            let failed = |error: std::io::Error| format!("{rest}: cannot be read: {error}");
            let bytes = std::fs::metadata(rest).map_err(failed)?.len();
            if bytes > TRACE_BYTES_MAX {
                return Err(format!("{rest}: {bytes} bytes are too many for a trace"));
            }
            let trace = std::fs::read_to_string(rest).map_err(failed)?;
            let lines = trace.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
            let read =
                |(line, at): (&str, usize)| number(line).map_err(|why| format!("{rest}, line {at}: {why}"));
            Ok(Shape::Trace(lines.map(read).collect::<Result<_, _>>()?))
        }
        _ => Err(SHAPES.into()),
    }
}

const SHAPES: &str = "write constant, ramp:FROM..TO, steps:A,B,…, burst:TIMESxSECONDS/EVERY or trace:FILE";

fn parse_repeat(text: &str) -> Result<usize, String> {
    use loadgen::statistics::RUNS_MIN;
    match text.parse() {
        Ok(runs) if runs == 1 || (RUNS_MIN..=1_000).contains(&runs) => Ok(runs),
        _ => Err(format!(
            "write a number from {RUNS_MIN} on: the median of fewer runs has no interval of 95 %"
        )),
    }
}

fn parse_share(text: &str) -> Result<Share, String> {
    let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    let share = parts.and_then(|(number, of)| Share::new(number, of));
    share.ok_or_else(|| "write K/N, such as 1/2 for the first of two parts".into())
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, value)) if !field.is_empty() && !value.is_empty() => Ok((field.into(), value.into())),
        _ => Err("write FIELD=VALUE, such as batch_delay_ms=20".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_printed() {
        for text in ["constant", "ramp:0.2..1.8", "steps:1,2.5,0", "burst:5x2/10"] {
            assert_eq!(parse_shape(text).unwrap().to_string(), text);
        }
        for (bad, says) in [
            ("ramp", "write constant"),
            ("wave:1", "write constant"),
            ("ramp:1-2", "ramp:FROM..TO"),
            ("steps:1,x", "\"x\" is no number"),
            ("burst:5", "burst:TIMESxSECONDS/EVERY"),
            ("burst:5x1.5/10", "burst:TIMESxSECONDS/EVERY"),
            ("trace:/no/such/file", "cannot be read"),
        ] {
            let error = parse_shape(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("trace.csv");
        std::fs::write(&file, "10\n\n 20.5\n0\n").unwrap();
        let of_file = |file: &std::path::Path| parse_shape(&format!("trace:{}", file.display()));
        assert_eq!(of_file(&file), Ok(Shape::Trace(vec![10.0, 20.5, 0.0])));
        std::fs::write(&file, "10\nten\n").unwrap();
        assert!(of_file(&file).unwrap_err().contains("line 2: \"ten\" is no number"));
    }
}
