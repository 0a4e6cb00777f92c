//! The figures of a run that a series looks at.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use loadgen::statistics::Good;
use loadgen::validity::Validity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Figure;

impl Figure {
    /// All of them, in the order in which they are printed.
    pub(super) const ALL: [Self; 4] = [Self::Rate, Self::P50, Self::P99, Self::Cpu];

    /// For a person.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Rate => "committed transactions a second",
            Self::P50 => "p50 of the latency",
            Self::P99 => "p99 of the latency",
            Self::Cpu => "CPU a transaction and validator",
        }
    }

    /// For a program: the name that the figure has in the report of a run.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate => "tps_committed",
            Self::P50 => "latency_us_p50",
            Self::P99 => "latency_us_p99",
            Self::Cpu => "cpu_us_per_tx_per_validator",
        }
    }

    /// The unit, for a person.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Rate => "a second",
            Self::P50 | Self::P99 | Self::Cpu => "us",
        }
    }

    pub(super) fn good(self) -> Good {
        match self {
            Self::Rate => Good::More,
            Self::P50 | Self::P99 | Self::Cpu => Good::Less,
        }
    }

    pub(super) fn of(self, run: &Run) -> f64 {
        match self {
            Self::Rate => run.tps_committed,
            Self::P50 => run.latency_us_p50,
            Self::P99 => run.latency_us_p99,
            Self::Cpu => run.cpu_us_per_tx_per_validator,
        }
    }
}

/// The figures of a run. They are read by name, so that the `millrace` of a side may be of another version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Committed transactions a second.
    pub tps_committed: f64,
    /// Median latency.
    pub latency_us_p50: f64,
    /// 99th percentile of the latency.
    pub latency_us_p99: f64,
    /// CPU time for each transaction and validator.
    pub cpu_us_per_tx_per_validator: f64,
    /// The commit that was built, if the build knows it.
    pub commit: Option<String>,
    /// Whether its figures may be relied on; a `millrace` that does not say it has not judged it.
    #[serde(default)]
    pub validity: Validity,
}

impl Run {
    /// # Errors
    /// It lacks a figure, or its audit does not hold.
    pub(super) fn of(report: &Value) -> Result<Self> {
        let figure = |place: &str| {
            let value = report.pointer(place).and_then(Value::as_f64);
            value.with_context(|| format!("its result has no figure {place}"))
        };
        ensure!(report.pointer("/audit/ok") == Some(&Value::Bool(true)), "its audit does not hold");
        Ok(Self {
            tps_committed: figure("/tps/committed")?,
            latency_us_p50: figure("/latency_us/p50")?,
            latency_us_p99: figure("/latency_us/p99")?,
            cpu_us_per_tx_per_validator: figure("/cpu_us_per_tx_per_validator")?,
            commit: report.pointer("/build/commit").and_then(Value::as_str).map(str::to_owned),
            validity: report
                .get("validity")
                .and_then(|validity| Validity::deserialize(validity).ok())
                .unwrap_or_default(),
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: f64| us / 1_000.0;
        write!(
            f,
            "{:>9.0}/s  p50 {:>5.0} ms  p99 {:>5.0} ms  {:>6.2} us CPU",
            self.tps_committed,
            ms(self.latency_us_p50),
            ms(self.latency_us_p99),
            self.cpu_us_per_tx_per_validator
        )
    }
}
