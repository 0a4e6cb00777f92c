//! Directories as earlier releases have left them: this release opens, audits and continues each.
//!
//! ```text
//! node/tests/releases/0.1.0.tar.zst
//!   network/   five validators, two epochs, checkpoints, one validator that was killed
//!   archive/   what validator 0 had, archived         facts.toml      what was so when all of it was written
//!   backup/    a backup of validator 1                early.proof     that a transaction is in a block
//! ```
//!
//! The addresses are of 127.77.0.0/16, which nothing else here listens on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use engine::types::{ChainId, Membership};
use loadgen::Start;
use node::network::{ChainDraft, InitOptions};
use serde::{Deserialize, Serialize};

use crate::members::{FIVE, decide, directory, follower, in_epoch};
use crate::recovery::{checkpoints, store};
use crate::testbed::{Down, Testbed, expect, named_in};

/// Four journals of one network repeat each other at a distance of megabytes: 128 MiB.
const WINDOW_LOG: u32 = 27;
/// The network under the directory of a release, and the file with its facts.
const NETWORK: &str = "network";
const FACTS: &str = "facts.toml";

/// What was so when the directory was written.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    /// The transaction of `early.proof`.
    transaction: String,
    /// A height and its state root.
    height: u64,
    state_root: String,
    /// What account 7 of chain 1 had when the network stopped.
    balance: String,
}

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/releases")
}

/// A part of the answer to a question.
fn answer(network: &str, question: &[&str], part: &str) -> String {
    let (text, _) = expect(0, &[&["query", "--network", network, "--json"], question].concat());
    named_in(&text, part).to_string()
}

#[test]
fn what_earlier_releases_have_written_is_audited_and_goes_on() {
    let mut releases: Vec<_> = fs::read_dir(stored()).unwrap().map(|entry| entry.unwrap().path()).collect();
    releases.sort();
    assert!(!releases.is_empty(), "there is one at least");
    releases.iter().for_each(|release| goes_on(release));
}

fn goes_on(release: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let mut archive = zstd::Decoder::new(File::open(release).unwrap()).unwrap();
    archive.window_log_max(WINDOW_LOG).unwrap();
    tar::Archive::new(archive).unpack(directory.path()).unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let facts: Facts = toml::from_str(&fs::read_to_string(file(FACTS)).unwrap()).unwrap();
    let [network, archive, backup, restored] = [NETWORK, "archive", "backup", "restored"].map(file);
    let data = |index: usize| format!("{network}/validator-{index}/data");
    let genesis = format!("{network}/genesis.toml");

    let audited = |data: &str| {
        let (text, _) = expect(0, &["verify", data, "--genesis", &genesis]);
        assert!(text.contains("2, each with other validators"), "{text}");
    };
    (0..5).for_each(|index| audited(&data(index)));
    expect(0, &["verify", "--archive", &archive, "--genesis", &genesis]);
    expect(0, &["restore", &backup, "--to", &restored]);
    expect(0, &["verify", &restored, "--genesis", &genesis]);
    let header = format!("{network}/genesis.header");
    let (holds, _) = expect(0, &["verify-proof", &file("early.proof"), "--genesis", &header]);
    assert!(holds.contains(&facts.transaction), "{holds}");
    expect(0, &["query", "--archive", &archive, "transaction", &facts.transaction]);

    let _down = Down(&network);
    expect(0, &["network", "up", &network]);
    let block = ["block", &facts.height.to_string()];
    assert_eq!(answer(&network, &block, "state_root"), facts.state_root);
    assert_eq!(answer(&network, &["account", "1", "7"], "balance"), facts.balance);
    expect(0, &["load", "--network", &network, "--rate", "200", "--seconds", "2"]);
    expect(0, &["archive", &data(0), "--to", &archive]);
    expect(0, &["network", "down", &network]);
    (0..5).for_each(|index| audited(&data(index)));
    expect(0, &["verify", &data(0), "--archive", &archive]);
}

/// Writes the directory of this release, once, when it is tagged: `just store-release`.
#[test]
#[ignore = "it writes into the source tree"]
fn store_this_release() {
    let chains =
        [ChainDraft::governance(ChainId(0), 3, 2)].into_iter().chain(ChainDraft::alike(1, 64, 1_000_000));
    let mut testbed = Testbed::with(&InitOptions {
        chains: chains.collect(),
        membership: Membership::Decided,
        hosts: vec!["127.77.0.1".parse().unwrap()],
        base_port: Some(29_100),
        ..InitOptions::default()
    });
    let small = "segment_mib = 4\ncheckpoint_every_kib = 16";
    testbed.network.members.iter().for_each(|member| store(member, small));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let dir = directory(&testbed);
    let early = testbed.load(&[0, 1, 2, 3], 60.0, 1, Start::Fresh);
    let request = follower(&mut testbed);
    decide(&dir, &["admit", &request]);
    in_epoch(&testbed, &[0, 1, 2, 3, 4], 1, &FIVE);
    testbed.load(&[0, 1, 2, 3], 60.0, 1, Start::Resume);
    testbed.settle();

    let outside = tempfile::tempdir().unwrap();
    let file = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    let data = |index: usize| testbed.network.members[index].data().to_str().unwrap().to_owned();
    expect(0, &["archive", &data(0), "--to", &file("archive")]);
    expect(0, &["backup", &data(1), "--to", &file("backup")]);
    let transaction = early.acknowledged().next().unwrap().id(testbed.network.genesis.network()).to_string();
    let proof = file("early.proof");
    expect(0, &["query", "--network", &dir, "transaction", &transaction, "--proof", &proof]);
    let height = testbed.height(0) - 3;
    let state_root = answer(&dir, &["block", &height.to_string()], "state_root");
    let balance = answer(&dir, &["account", "1", "7"], "balance");
    let facts = Facts { transaction, height, state_root, balance };
    fs::write(file(FACTS), toml::to_string(&facts).unwrap()).unwrap();
    assert!(!checkpoints(&testbed.network.members[2]).is_empty(), "there are checkpoints");
    testbed.kill(3);
    testbed.stop_all();

    let release = stored().join(format!("{}.tar.zst", env!("CARGO_PKG_VERSION")));
    fs::create_dir_all(stored()).unwrap();
    let mut packed = zstd::Encoder::new(File::create(&release).unwrap(), 19).unwrap();
    packed.long_distance_matching(true).unwrap();
    packed.window_log(WINDOW_LOG).unwrap();
    let mut archive = tar::Builder::new(packed.auto_finish());
    archive.append_dir_all(NETWORK, testbed.path()).unwrap();
    archive.append_dir_all(".", outside.path()).unwrap();
    archive.finish().unwrap();
    drop(archive);
    let bytes = fs::metadata(&release).unwrap().len();
    assert!(bytes < 1 << 20, "{} has {bytes} bytes, too many for a source tree", release.display());
}
