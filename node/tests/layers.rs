//! The layering, asserted from `cargo metadata`: who may import whom, and through which door a foreign
//! crate comes in. Dependencies of tests and benchmarks are not asked: they ship in nothing.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeMap;

/// Arrow = may import. A crate that is not in here may not exist.
const LAYERS: [(&str, &[&str]); 15] = [
    ("kernels", &[]),
    ("engine", &["kernels"]),
    ("proof", &["kernels"]),
    ("proof-wasm", &["proof"]),
    ("consensus", &[]),
    ("net", &[]),
    ("client", &["engine", "net", "proof"]),
    ("gateway", &["client", "engine", "kernels", "proof"]),
    ("loadgen", &["client", "engine", "kernels"]),
    ("node", &["client", "consensus", "engine", "gateway", "kernels", "loadgen", "net", "proof"]),
    ("benches", &["engine", "kernels"]),
    ("perf", &["loadgen"]),
    ("sim", &["consensus", "engine", "kernels"]),
    ("fuzz", &["engine", "kernels", "proof"]),
    ("crashes", &["client", "engine", "node"]),
];

/// Foreign crate (or family, ending in `*`) and the only crates of ours that may depend on it. `benches` comes to some
/// doors to race what lies behind them.
const DOORS: [(&str, &[&str]); 18] = [
    ("axum*", &["gateway"]),
    ("hyper*", &["gateway"]),
    ("maud", &["gateway", "loadgen"]),
    ("plotters", &["gateway", "loadgen"]),
    ("prometheus-client", &["gateway"]),
    ("tokio-rustls", &["gateway"]),
    ("rustls-native-certs", &["gateway"]),
    ("ratatui*", &["node"]),
    ("quinn*", &["net"]),
    ("rustls", &["net"]),
    ("rcgen", &["net"]),
    ("io-uring", &["engine"]),
    ("commonware-consensus", &["consensus"]),
    ("commonware-runtime", &["consensus", "sim"]),
    ("commonware-storage", &["consensus", "benches"]),
    ("commonware-p2p", &["consensus"]),
    ("commonware-cryptography-curve25519", &["kernels", "benches"]),
    ("wgpu*", &["kernels"]),
];

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata of the workspace")
}

/// Names of what a package is built from, without what only its tests need.
fn shipped(package: &Package) -> Vec<&str> {
    let built = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    built.map(|d| d.name.as_str()).collect()
}

fn breaches(packages: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    let layers: BTreeMap<_, _> = LAYERS.into_iter().collect();
    let mut found = Vec::new();
    for (name, dependencies) in packages {
        let Some(allowed) = layers.get(name) else {
            found.push(format!("{name} has no place in the layers"));
            continue;
        };
        for dependency in dependencies {
            if layers.contains_key(dependency) && !allowed.contains(dependency) {
                found.push(format!("{name} imports {dependency}"));
            }
            for (foreign, doors) in DOORS {
                let matches = match foreign.strip_suffix('*') {
                    Some(family) => dependency.starts_with(family),
                    None => *dependency == foreign,
                };
                if matches && !doors.contains(name) {
                    found
                        .push(format!("{name} brings in {dependency}, whose door is {}", doors.join(" or ")));
                }
            }
        }
    }
    found
}

#[test]
fn every_crate_imports_only_what_lies_below_it() {
    let metadata = metadata();
    let packages: BTreeMap<_, _> =
        metadata.workspace_packages().iter().map(|p| (p.name.as_str(), shipped(p))).collect();
    assert_eq!(packages.len(), LAYERS.len(), "all crates of the workspace are in the layers");
    assert_eq!(breaches(&packages), Vec::<String>::new());
}

#[test]
fn a_breach_would_be_found() {
    let spoiled = BTreeMap::from([
        ("engine", vec!["net", "kernels"]),
        ("node", vec!["quinn-proto", "engine"]),
        ("cellar", vec![]),
    ]);
    let found = breaches(&spoiled);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().any(|b| b == "engine imports net"));
    assert!(found.iter().any(|b| b.starts_with("node brings in quinn-proto")));
    assert!(found.iter().any(|b| b.starts_with("cellar")));
}
