//! The page of `--report`: one file, no script, nothing fetched; two drawings and the numbers.

use super::{BenchReport, Style, duration, grouped};
use crate::validity::Verdict;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 28.0;

const CSS: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem;\
color:#1d2733;background:#fff}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
.big{font-size:3rem;font-weight:700;line-height:1.1}.ok{color:#146c43}.bad{color:#b02a37}\
table{border-collapse:collapse}td,th{padding:.2rem 1rem .2rem 0;text-align:right}\
td:first-child,th:first-child{text-align:left}pre{overflow-x:auto;font-size:13px;line-height:1.25}\
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#5b6775}";

/// A line of a chart.
struct Series {
    name: &'static str,
    colour: &'static str,
    values: Vec<f64>,
}

pub(super) fn render(report: &BenchReport) -> String {
    let rows = &report.seconds;
    let of = |name, colour, value: &dyn Fn(&crate::session::SecondRow) -> u64| Series {
        name,
        colour,
        values: rows.iter().map(|r| value(r) as f64).collect(),
    };
    let throughput = chart(
        "transactions a second",
        &[of("offered", "#9aa7b4", &|r| r.offered), of("committed", "#1769aa", &|r| r.committed)],
        &|v| grouped(v as u64),
    );
    let latency = chart(
        "latency",
        &[of("p99", "#c77700", &|r| r.latency_us_p99), of("p50", "#1769aa", &|r| r.latency_us_p50)],
        &|v| duration(v as u64),
    );
    let mut stages = String::new();
    for (name, stage) in report.stages_us.rows() {
        let (p50, p99) = (duration(stage.p50), duration(stage.p99));
        let _ = write!(stages, "<tr><td>{name}</td><td>{p50}</td><td>{p99}</td></tr>");
    }
    let judged = match report.validity.verdict {
        Verdict::Valid => "ok",
        Verdict::Invalid => "bad",
        Verdict::NotJudged => "",
    };
    let validity = escape(&report.validity.line());
    let (class, verdict) = if report.audit.ok {
        ("ok", "The audit holds: nothing that clients were told is committed is lost.")
    } else {
        ("bad", "The audit does not hold.")
    };
    let limit = if report.generator_saturated {
        "<p class=\"bad\">The load generator was a limit of this run.</p>"
    } else {
        ""
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>millrace bench</title>\
         <style>{CSS}</style></head><body>\n<p class=\"{judged}\"><strong>{validity}</strong></p>\n\
         <h1>millrace bench</h1>\n\
         <p><span class=\"big\">{}</span> transactions committed a second, 99 in a hundred within {}</p>\n\
         <p class=\"{class}\">{verdict}</p>{limit}\n\
         <h2>Throughput</h2>\n{throughput}\n<h2>Latency, from the intended send</h2>\n{latency}\n\
         <h2>Time in each stage</h2>\n<table><tr><th></th><th>p50</th><th>p99</th></tr>{stages}</table>\n\
         <h2>All of it</h2>\n<pre>{}</pre>\n<details><summary>JSON</summary><pre>{}</pre></details>\n\
         </body></html>\n",
        grouped(report.tps.committed.round() as u64),
        duration(report.latency_us.p99),
        escape(&report.table(Style::Plain)),
        escape(&report.to_json()),
    )
}

fn chart(label: &str, series: &[Series], unit: &dyn Fn(f64) -> String) -> String {
    let points = series.iter().map(|s| s.values.len()).max().unwrap_or(0);
    let top = series.iter().flat_map(|s| &s.values).copied().fold(1.0, f64::max) * 1.1;
    let x = |at: usize| LEFT + at as f64 * (WIDTH - LEFT - 10.0) / points.saturating_sub(1).max(1) as f64;
    let y = |value: f64| (HEIGHT - BOTTOM) * (1.0 - value / top) + 6.0;
    let mut body = String::new();
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let at = y(value);
        let _ = write!(
            body,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e3e8ed\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            unit(value)
        );
    }
    for (at, s) in series.iter().enumerate() {
        let line: String = s.values.iter().enumerate().fold(String::new(), |mut line, (k, v)| {
            let _ = write!(line, "{:.1},{:.1} ", x(k), y(*v));
            line
        });
        let _ = write!(
            body,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{line}\"/>\
             <text x=\"{:.0}\" y=\"{HEIGHT}\" style=\"fill:{}\">{}</text>",
            s.colour,
            LEFT + 90.0 * at as f64,
            s.colour,
            s.name
        );
    }
    let end = points.saturating_sub(1);
    let _ = write!(body, "<text x=\"{WIDTH}\" y=\"{HEIGHT}\" text-anchor=\"end\">second 0 to {end}</text>");
    let box_height = HEIGHT + 6.0;
    format!("<svg viewBox=\"0 0 {WIDTH} {box_height}\" role=\"img\" aria-label=\"{label}\">{body}</svg>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
