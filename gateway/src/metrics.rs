//! `/metrics`: what the node has counted and how it is, and what this gateway has counted, for Prometheus.
//!
//! ```text
//! node: Counters, Status ─▶ Sample ─┐
//! gateway: Meters ──────────────────┴─▶ OpenMetrics ─▶ as it is, or as the classic text, by `Accept`
//! ```
//!
//! The number of series is bounded: labels are from closed sets (stages, reasons, alarms), at most 6 series for each
//! chain and 6 for each peer, and no histogram is labelled by chain or peer.

use std::collections::BTreeMap;
use std::fmt::{Error, Write as _};

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use client::answers::{AlarmAnswer, AlarmKind, StatusAnswer};
use client::{AsOf, Query};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde::Deserialize;

use crate::clock;
use crate::gateway::Gateway;
use crate::rest::failed;

/// The type of OpenMetrics, in a header.
const OPEN_METRICS: &str = "application/openmetrics-text";
/// Upper bounds of the time in a stage, in seconds.
const BOUNDS: [f64; 12] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0];

/// What a node answers to the question for its counters, as far as it is read here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Counted {
    /// Counters by name.
    pub totals: BTreeMap<String, u64>,
    /// Refused transactions by reason.
    pub refused: BTreeMap<String, u64>,
    offences: BTreeMap<String, u64>,
    /// Times in stages, by name.
    pub stages_us: BTreeMap<String, Stage>,
    bytes: BTreeMap<String, u64>,
    /// How machine and process are, by name.
    pub gauges: BTreeMap<String, f64>,
    /// What each chain has, ascending.
    pub chains: Vec<Chain>,
    /// How the link to each peer is.
    pub links: Vec<Link>,
}

/// How long transactions were in a stage, since the start of the node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Stage {
    /// Median, microseconds.
    pub p50: u64,
    /// 99th percentile, microseconds.
    pub p99: u64,
    /// (microseconds, transactions) for every bucket that has some.
    pub buckets: Vec<(u64, u64)>,
}

/// What is told of one chain: each is a series.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Chain {
    /// The chain.
    pub chain: u32,
    /// Transactions in its mempool.
    pub pending: u64,
    accounts: u64,
    rows: u64,
    issued: u64,
    burned: u64,
    active: bool,
}

/// What is told of the link to one peer: each is a series.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Link {
    /// The peer.
    pub peer: u16,
    /// Whether it is connected.
    pub connected: bool,
    /// Bytes sent to it on this connection.
    pub sent_bytes: u64,
    /// Bytes received from it on this connection.
    pub received_bytes: u64,
    /// Microseconds of a round trip.
    pub rtt_us: u64,
    /// Packets that were lost on the way to it.
    pub lost_packets: u64,
    /// Bytes that wait for it.
    pub queued_bytes: u64,
}

/// Everything that is told of a node at one moment.
#[derive(Debug)]
pub struct Sample {
    /// What it has counted.
    pub counted: Counted,
    /// How it is.
    pub status: StatusAnswer,
    /// The height of the status.
    pub as_of: AsOf,
    /// Seconds since the Unix epoch.
    pub now: u64,
}

/// Totals of the node that are states, not counts.
const STATES: [&str; 7] =
    ["height", "finalized", "behind", "unheard", "stream_lost", "votes_forgotten", "rotten"];

/// The answer.
pub async fn answer(gateway: &Gateway, headers: &HeaderMap) -> Response<Body> {
    let sample = match sample(gateway).await {
        Ok(sample) => sample,
        Err(failure) => return failed(&failure),
    };
    let mut registry = Registry::with_prefix("millrace");
    registry.register_collector(Box::new(sample));
    gateway.meters.register(&mut registry);
    let (wishes, questions, submissions) = gateway.desk.waiting();
    let waiting = [("wishes", wishes), ("questions", questions), ("submissions", submissions)];
    registry.register_collector(Box::new(Waiting(waiting)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("text grows");
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (content, text) = match accepts.contains(OPEN_METRICS) {
        true => ("application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        false => ("text/plain; version=0.0.4; charset=utf-8", classic(&text)),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

/// Asks the node how it is.
///
/// # Errors
/// It cannot be reached, or says something else.
pub async fn sample(gateway: &Gateway) -> Result<Sample, crate::failure::Failure> {
    let unread = |error: serde_json::Error| {
        crate::failure::Failure::new(
            crate::failure::INTERNAL,
            format!("the node's counters cannot be read: {error}"),
        )
    };
    let counted = gateway.desk.ask(Query::Counters).await?;
    let status = gateway.desk.ask(Query::Status).await?;
    Ok(Sample {
        counted: serde_json::from_slice(&counted.body).map_err(unread)?,
        status: serde_json::from_slice(&status.body).map_err(unread)?,
        as_of: status.as_of,
        now: clock::unix_seconds(),
    })
}

/// What waits in the gateway for the node.
#[derive(Debug)]
struct Waiting([(&'static str, u64); 3]);

impl Collector for Waiting {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let rows = self.0.iter().map(|(what, count)| (*what, *count as f64));
        gauges(&mut encoder, ("gateway_waiting", "What waits in the gateway for the node", "what"), rows)
    }
}

/// One gauge.
fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

/// One counter.
fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}

/// A gauge with a series for each value of one label.
fn gauges<L: ToString>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, label): (&str, &str, &str),
    rows: impl IntoIterator<Item = (L, f64)>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, is) in rows {
        let labels = [(label, value.to_string())];
        ConstGauge::new(is).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// The same for a counter.
fn counters<L: ToString>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, label): (&str, &str, &str),
    rows: impl IntoIterator<Item = (L, u64)>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, is) in rows {
        let labels = [(label, value.to_string())];
        ConstCounter::new(is).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        self.totals(encoder)?;
        self.state(encoder)?;
        self.stages(encoder)?;
        self.chains(encoder)?;
        self.links(encoder)
    }
}

impl Sample {
    fn totals(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let (counted, named) =
            (&self.counted, |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        for (name, total) in counted.totals.iter().filter(|(name, _)| !STATES.contains(&&***name)) {
            // The last one is a state that can go down as well.
            let help = format!("What the validator counts as {name}");
            match name == "repaired" {
                true => gauge(encoder, &named(name), &help, *total as f64)?,
                false => counter(encoder, &named(name), &help, *total)?,
            }
        }
        let rows = counted.refused.iter().map(|(reason, count)| (reason, *count));
        counters(
            encoder,
            ("refused", "Transactions of clients that were refused, by reason", "reason"),
            rows,
        )?;
        let rows = counted.offences.iter().map(|(what, count)| (what, *count));
        counters(
            encoder,
            ("peer_offences", "Messages of peers that broke a rule, by offence", "offence"),
            rows,
        )?;
        let rows = counted.bytes.iter().map(|(what, count)| (what, *count));
        counters(encoder, ("transport", "What the network and the logs count, by name", "what"), rows)
    }

    fn state(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Self { counted, status, as_of, now } = self;
        let is = |flag: bool| f64::from(u8::from(flag));
        let state = |name: &str| counted.totals.get(name).copied().unwrap_or(0) as f64;
        gauge(encoder, "height", "The last height on the disk of the validator", status.committed.0 as f64)?;
        gauge(
            encoder,
            "finalized_height",
            "The last finalized height that it knows",
            status.finalized.0 as f64,
        )?;
        // What is not known is not 0.
        gauge(encoder, "behind_known", "Whether it knows how far it is behind", is(as_of.behind.is_some()))?;
        gauge(
            encoder,
            "behind_blocks",
            "Blocks that it is behind, if it knows",
            as_of.behind.unwrap_or(0) as f64,
        )?;
        gauge(encoder, "epoch", "The present epoch", status.standing.epoch.0 as f64)?;
        gauge(
            encoder,
            "member",
            "Whether it is a member of the present epoch",
            is(status.standing.is_member()),
        )?;
        gauge(encoder, "stream_lost", "1 while it does not know its own stream", state("stream_lost"))?;
        gauge(encoder, "votes_forgotten", "1 while it does not vote after a loss", state("votes_forgotten"))?;
        gauge(encoder, "rotten_places", "Places on its disk that cannot be read", state("rotten"))?;
        gauge(encoder, "pending", "Transactions in its mempools", status.pending as f64)?;
        gauge(encoder, "peers_connected", "Peers that are connected", status.peers.len() as f64)?;
        gauge(
            encoder,
            "kept_from_height",
            "The first height that its journal has",
            status.kept_from.0 as f64,
        )?;
        gauge(
            encoder,
            "journal_disk_bytes",
            "Bytes of its journal on the disk",
            status.journal_bytes as f64,
        )?;
        gauge(encoder, "uptime_seconds", "Seconds since it was started", status.uptime_seconds as f64)?;
        gauge(
            encoder,
            "scrub_read_bytes",
            "Bytes read in this round of the scrubber",
            status.scrub.read as f64,
        )?;
        gauge(encoder, "scrub_of_bytes", "Bytes that a round has", status.scrub.of as f64)?;
        gauge(
            encoder,
            "uring",
            "Whether the journal is written with io_uring",
            is(status.storage == "uring"),
        )?;
        if let Some(until) = status.certificate_until {
            let left = until as f64 - *now as f64;
            gauge(encoder, "certificate_left_seconds", "Seconds until its certificate ends", left)?;
        }
        if let Some(fetching) = &status.fetching {
            let done = f64::from(fetching.chunks) / f64::from(fetching.of.max(1));
            gauge(encoder, "recovery_progress", "How much of a state it has fetched, 0 to 1", done)?;
        }
        for (name, value) in &counted.gauges {
            gauge(encoder, name, "What the validator says of its machine and process", *value)?;
        }
        let mut metric = encoder.encode_descriptor(
            "alarm",
            "1 while the validator has found what docs/ALARMS.md describes: 2 if it is critical",
            None,
            MetricType::Gauge,
        )?;
        for kind in AlarmKind::ALL {
            let rings = |alarm: &&AlarmAnswer| alarm.alarm == *kind && alarm.silenced.is_none();
            let found = status.alarms.iter().filter(rings);
            let severity = found.map(|alarm| 1.0 + f64::from(alarm.severity as u8)).fold(0.0, f64::max);
            ConstGauge::new(severity).encode(metric.encode_family(&[("alarm", kind.name())])?)?;
        }
        Ok(())
    }

    fn stages(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "How long transactions were in each stage";
        let mut metric = encoder.encode_descriptor("stage_seconds", help, None, MetricType::Histogram)?;
        for (name, stage) in &self.counted.stages_us {
            let (mut sum, mut count, mut buckets) = (0.0, 0, BOUNDS.map(|bound| (bound, 0_u64)).to_vec());
            buckets.push((f64::INFINITY, 0));
            for (us, transactions) in &stage.buckets {
                let seconds = *us as f64 / 1e6;
                sum += seconds * *transactions as f64;
                count += transactions;
                if let Some((_, bucket)) = buckets.iter_mut().find(|(bound, _)| seconds <= *bound) {
                    *bucket += transactions;
                }
            }
            let labels = [("stage", name.as_str())];
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn chains(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let chains = &self.counted.chains;
        let rows = |of: fn(&Chain) -> u64| chains.iter().map(move |chain| (chain.chain, of(chain) as f64));
        gauges(
            encoder,
            ("chain_pending", "Transactions in the mempool of a chain", "chain"),
            rows(|of| of.pending),
        )?;
        gauges(encoder, ("chain_accounts", "Accounts of a chain", "chain"), rows(|of| of.accounts))?;
        gauges(encoder, ("chain_rows", "Rows of the table of a chain", "chain"), rows(|of| of.rows))?;
        gauges(encoder, ("chain_issued", "What was issued on a chain", "chain"), rows(|of| of.issued))?;
        gauges(encoder, ("chain_burned", "What was burned on a chain", "chain"), rows(|of| of.burned))?;
        gauges(
            encoder,
            ("chain_active", "Whether a chain takes new work", "chain"),
            rows(|of| of.active.into()),
        )
    }

    fn links(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let links = &self.counted.links;
        let rows = |of: fn(&Link) -> f64| links.iter().map(move |link| (link.peer, of(link)));
        let up = || links.iter().filter(|link| link.connected);
        gauges(
            encoder,
            ("link_up", "Whether a peer is connected", "peer"),
            rows(|of| f64::from(u8::from(of.connected))),
        )?;
        let sent = up().map(|of| (of.peer, of.sent_bytes));
        counters(encoder, ("link_sent_bytes", "Bytes sent to a peer on this connection", "peer"), sent)?;
        let received = up().map(|of| (of.peer, of.received_bytes));
        counters(
            encoder,
            ("link_received_bytes", "Bytes received from a peer on this connection", "peer"),
            received,
        )?;
        let lost = up().map(|of| (of.peer, of.lost_packets));
        counters(encoder, ("link_lost_packets", "Datagrams to a peer that were lost", "peer"), lost)?;
        let rtt = up().map(|of| (of.peer, of.rtt_us as f64 / 1e6));
        gauges(encoder, ("link_rtt_seconds", "Round trip to a peer", "peer"), rtt)?;
        gauges(
            encoder,
            ("link_queued_bytes", "Bytes that wait for a peer", "peer"),
            rows(|of| of.queued_bytes as f64),
        )
    }
}

/// OpenMetrics as the classic text format: a counter is described by the name that its sample has, and there is no end
/// mark.
fn classic(text: &str) -> String {
    let is_counter = |name: &str| text.contains(&format!("# TYPE {name} counter\n"));
    let mut classic = String::with_capacity(text.len());
    for line in text.lines() {
        let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        match described.and_then(|rest| rest.split_once(' ')) {
            Some((name, rest)) if is_counter(name) => {
                let keyword = &line[2..6];
                let _ = writeln!(classic, "# {keyword} {name}_total {rest}");
            }
            Some(_) => classic.extend([line, "\n"]),
            None if line.starts_with("# ") => {}
            None => classic.extend([line, "\n"]),
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_text_describes_counters_by_the_names_of_their_samples() {
        let open = "# HELP a_bytes Bytes.\n# TYPE a_bytes counter\na_bytes_total 7\n\
                    # HELP b B.\n# TYPE b gauge\n# UNIT b x\nb{c=\"d\"} 1.0\n# EOF\n";
        let expected = "# HELP a_bytes_total Bytes.\n# TYPE a_bytes_total counter\na_bytes_total 7\n\
                        # HELP b B.\n# TYPE b gauge\nb{c=\"d\"} 1.0\n";
        assert_eq!(classic(open), expected);
    }

    /// 256 chains and 16 validators, with everything else at its most.
    #[test]
    fn the_number_of_series_is_bounded() {
        let counted = Counted {
            chains: (0..256).map(|chain| Chain { chain, ..Chain::default() }).collect(),
            links: (0..15).map(|peer| Link { peer, connected: true, ..Link::default() }).collect(),
            stages_us: (0..8)
                .map(|at| {
                    (format!("s{at}"), Stage { buckets: vec![(1, 1), (1 << 40, 2)], ..Stage::default() })
                })
                .collect(),
            refused: (0..64).map(|at| (format!("r{at}"), 1)).collect(),
            ..Counted::default()
        };
        let status = serde_json::json!({
            "network": "00".repeat(32), "network_name": "mill", "validator": 2, "name": "cedar", "committed": 7,
            "finalized": 8, "state_root": "00".repeat(32), "stream_lost": false, "votes_forgotten": false,
            "kept_from": 1, "journal_bytes": 9, "peers": [0, 1], "pending": 0, "storage": "uring",
            "uptime_seconds": 3, "certificate_until": 864_000,
            "alarms": [{ "alarm": "disk_fills", "severity": "critical", "since": 1, "says": "little" }],
        });
        let status = serde_json::from_value(status).unwrap();
        let sample = Sample { counted, status, as_of: AsOf::default(), now: 0 };
        let mut registry = Registry::with_prefix("millrace");
        registry.register_collector(Box::new(sample));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series < 2_200, "{series} series");
        for has in [
            "millrace_alarm{alarm=\"disk_fills\"} 2.0",
            "millrace_alarm{alarm=\"no_commits\"} 0.0",
            "millrace_certificate_left_seconds 864000.0",
            "millrace_chain_pending{chain=\"255\"} 0.0",
            "millrace_link_sent_bytes_total{peer=\"14\"} 0",
            "millrace_stage_seconds_count{stage=\"s0\"} 3",
            "millrace_stage_seconds_bucket{le=\"60.0\",stage=\"s0\"} 1",
            "millrace_stage_seconds_bucket{le=\"+Inf\",stage=\"s0\"} 3",
            "millrace_refused_total{reason=\"r7\"} 1",
        ] {
            assert!(text.contains(has), "{has} is not in\n{text}");
        }
    }
}
