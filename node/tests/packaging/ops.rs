//! What lies in `ops/` asks for metrics that there are, in queries that can be read. Nothing here starts Prometheus,
//! Grafana or a container.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{is_taken, linted, passes, words};

/// The functions that the queries use. Where `promtool` is installed, it judges for itself.
const FUNCTIONS: [&str; 4] = ["rate", "sum", "max", "histogram_quantile"];
/// What stands before labels in brackets.
const BEFORE_LABELS: [&str; 4] = ["by", "without", "on", "ignoring"];
const OPERATORS: [&str; 4] = ["and", "or", "unless", "bool"];

fn ops() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops").canonicalize().expect("it is there")
}

fn read(name: &str) -> String {
    fs::read_to_string(ops().join(name)).expect("a text")
}

/// The names of samples, and their labels, as the page of metrics has them; and what Prometheus adds.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let page = include_str!("../../../docs/METRICS.md");
    let mut known = BTreeMap::from([("up".to_owned(), BTreeSet::new())]);
    for row in page.lines().filter_map(|line| line.strip_prefix("| `millrace_")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let name = format!("millrace_{}", cells[0].trim_matches('`'));
        let labels: BTreeSet<String> = cells[2]
            .split(", ")
            .map(|label| label.trim_matches('`').to_owned())
            .filter(|label| !label.is_empty())
            .collect();
        if cells[1] == "histogram" {
            for end in ["_sum", "_count"] {
                known.insert(format!("{name}{end}"), labels.clone());
            }
            let le = labels.into_iter().chain(["le".to_owned()]).collect();
            known.insert(format!("{name}_bucket"), le);
        } else {
            known.insert(name, labels);
        }
    }
    for labels in known.values_mut() {
        labels.extend(["instance".to_owned(), "job".to_owned()]);
    }
    known
}

/// What a query names: metrics and labels.
#[derive(Debug, Default, PartialEq)]
struct Named {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

/// Reads a query as far as is needed to see what it names.
fn named(query: &str) -> Result<Named, String> {
    let (mut named, mut open) = (Named::default(), Vec::new());
    let (mut rest, mut labels_follow) = (query, false);
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !"_:.".contains(letter))
            .unwrap_or(rest.len());
        match first {
            '"' => {
                let end = rest[1..].find('"').ok_or("a text does not end")?;
                rest = &rest[end + 2..];
                continue;
            }
            '(' => open.push(if std::mem::take(&mut labels_follow) { 'l' } else { '(' }),
            '{' | '[' => open.push(first),
            ')' | '}' | ']' => {
                let begun = open.pop();
                let fits =
                    matches!((begun, first), (Some('(' | 'l'), ')') | (Some('{'), '}') | (Some('['), ']'));
                if !fits {
                    return Err(format!("{first} closes {begun:?}"));
                }
            }
            _ if first.is_ascii_digit() => {
                rest = &rest[word..];
                continue;
            }
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let (name, behind) = rest.split_at(word);
                let calls = behind.trim_start().starts_with('(');
                match open.last() {
                    Some('{' | 'l') => drop(named.labels.insert(name.to_owned())),
                    _ if BEFORE_LABELS.contains(&name) => labels_follow = true,
                    _ if OPERATORS.contains(&name) => {}
                    _ if FUNCTIONS.contains(&name) => {}
                    _ if calls => return Err(format!("there is no function {name}")),
                    _ => drop(named.metrics.insert(name.to_owned())),
                }
                rest = behind;
                continue;
            }
            _ if first.is_whitespace() || "+-*/%^=!<>~,".contains(first) => {}
            _ => return Err(format!("{first:?} stands in no query")),
        }
        rest = &rest[first.len_utf8()..];
    }
    if open.is_empty() { Ok(named) } else { Err(format!("not closed: {open:?}")) }
}

/// What is wrong with a query, if something is: it cannot be read, or names what there is not.
fn wrong(query: &str, known: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let Named { metrics, labels } = match named(query) {
        Ok(named) => named,
        Err(error) => return Some(error),
    };
    if metrics.is_empty() {
        return Some("it names no metric".to_owned());
    }
    if let Some(metric) = metrics.iter().find(|metric| !known.contains_key(*metric)) {
        return Some(format!("there is no metric {metric}"));
    }
    let there: BTreeSet<_> = metrics.iter().flat_map(|metric| &known[metric]).collect();
    labels
        .iter()
        .find(|label| !there.contains(label))
        .map(|label| format!("{metrics:?} have no label {label}"))
}

/// The labels in `{{…}}` of a legend or of an annotation.
fn shown(text: &str) -> Vec<&str> {
    text.split("{{").skip(1).filter_map(|part| part.split("}}").next()).map(str::trim).collect()
}

/// The queries of the dashboard, with their legends.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("grafana/millrace.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| {
        let is_row = panel["type"] == "row";
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert_eq!(targets.is_empty(), is_row, "{}", panel["title"]);
        targets
    });
    let text = |of: &Value| of.as_str().expect("a text").to_owned();
    targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"]))).collect()
}

/// The queries of the rules.
fn rules() -> Vec<String> {
    let rules = read("millrace.rules.yml");
    rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned).collect()
}

#[test]
fn a_query_that_names_what_there_is_not_is_found() {
    let known = known();
    for good in [
        "up{job=\"millrace\"} == 0",
        "millrace_alarm{instance=~\"a|b\"} > 0",
        "histogram_quantile(0.99, sum by (stage, le) (rate(millrace_stage_seconds_bucket[1m])))",
        "millrace_behind_blocks and on (instance) (millrace_behind_known == 1)",
    ] {
        assert_eq!(wrong(good, &known), None, "{good}");
    }
    for (bad, why) in [
        ("millrace_hight", "there is no metric millrace_hight"),
        ("sum by (peer) (millrace_height)", "have no label peer"),
        ("millrace_height{peer=\"1\"}", "have no label peer"),
        ("rate(millrace_stage_seconds[1m])", "there is no metric"),
        ("sum by (le) (millrace_stage_seconds_sum)", "have no label le"),
        ("rate(millrace_height[1m]", "not closed"),
        ("rate(millrace_height[1m)]", "closes"),
        ("rat(millrace_height[1m])", "there is no function rat"),
        ("millrace_height{job=\"}", "does not end"),
        ("1 + 1", "names no metric"),
        ("millrace_height ; 1", "stands in no query"),
    ] {
        let found = wrong(bad, &known).unwrap_or_else(|| panic!("{bad} passes"));
        assert!(found.contains(why), "{bad}: {found}");
    }
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let (known, panels) = (known(), panels());
    assert!(panels.len() > 30 && rules().len() == 3, "{} panels", panels.len());
    for (query, legend) in &panels {
        assert_eq!(wrong(query, &known), None, "{query}");
        let Named { metrics, .. } = named(query).unwrap();
        let there: BTreeSet<_> = metrics.iter().flat_map(|metric| &known[metric]).collect();
        let missing: Vec<_> =
            shown(legend).into_iter().filter(|label| !there.contains(&(*label).to_owned())).collect();
        assert!(missing.is_empty() && !legend.is_empty(), "{query}: {legend}");
    }
    rules().iter().for_each(|query| assert_eq!(wrong(query, &known), None, "{query}"));
}

#[test]
fn promtool_reads_the_configuration_and_every_query() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("queries.yml");
    let mut text = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (at, (query, _)) in panels().iter().enumerate() {
        text += &format!("      - record: panel_{at}\n        expr: {}\n", serde_json::json!(query));
    }
    fs::write(&file, text).unwrap();
    if let Some(output) = linted("promtool", &["check", "rules", file.to_str().unwrap()]) {
        passes("promtool", &output);
        let config = ops().join("prometheus.yml");
        // It reads the rules as well, which the configuration names.
        let read = linted("promtool", &["check", "config", config.to_str().unwrap()]).unwrap();
        passes("promtool", &read);
        assert!(String::from_utf8_lossy(&read.stdout).contains("3 rules found"));
    }
}

#[test]
fn the_compose_file_names_files_that_there_are_and_images_that_do_not_change() {
    let file = read("compose.yaml");
    let mut images = Vec::new();
    for line in file.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(image) = line.strip_prefix("image: ") {
            images.push(image);
        }
        if let Some(mounted) = line.strip_prefix("- ./") {
            let name = mounted.split(':').next().unwrap();
            assert!(ops().join(name).is_file(), "{name}");
        }
        if let Some(command) = line.strip_prefix("command: [gateway") {
            is_taken(&words(&format!("[gateway{command}")));
        }
    }
    assert_eq!(images.len(), 3);
    for image in images.into_iter().filter(|image| *image != "millrace") {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        let is_version =
            tag.trim_start_matches('v').split('.').filter(|part| part.parse::<u32>().is_ok()).count() == 3;
        assert!(is_version || image.contains("@sha256:"), "{image} is whatever is newest");
    }
    for place in ["/etc/grafana/millrace", "127.0.0.1:9090", "read_only: true"] {
        assert!(file.contains(place), "{place}");
    }
    assert!(read("grafana/dashboards.yml").contains("path: /etc/grafana/millrace\n"));
    assert!(read("grafana/datasource.yml").contains("url: http://127.0.0.1:9090\n"));
    let parse = "import sys, yaml\n\
                 d = yaml.safe_load(open(sys.argv[1]))['services']\n\
                 assert sorted(d) == ['gateway', 'grafana', 'prometheus'], d\n\
                 assert all(s['cap_drop'] == ['ALL'] and 'image' in s for s in d.values()), d\n";
    let has_yaml = linted("python3", &["-c", "import yaml"]).is_some_and(|output| output.status.success());
    if has_yaml {
        let path = ops().join("compose.yaml");
        passes("python3", &linted("python3", &["-c", parse, path.to_str().unwrap()]).unwrap());
    } else {
        eprintln!("SKIPPED: python3 has no yaml");
    }
}
