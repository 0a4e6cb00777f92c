//! A journal in the validator's own records, audited from disk; and records that nobody can read.

use engine::audit::{AuditReport, Finding};
use engine::order::Position;
use engine::replica::{Boot, ChainRecord, CommittedBlock, KIND_BATCH, KIND_BLOCK, KIND_BOOT, KIND_COMMITTED};
use engine::roots::Ledger;
use engine::store::{Backend, Log, LogKind, Options, Owner};
use engine::types::{ChainTime, Epoch, Head, Height, ValidatorIndex};
use engine::wire::{Block, Header};

use super::*;
use crate::network::{ChainDraft, InitOptions, Network, init};

/// A network of one, and the record of its first block, which is empty.
fn scene() -> (tempfile::TempDir, Network, CommittedBlock) {
    let directory = tempfile::tempdir().unwrap();
    let options =
        InitOptions { validators: 1, chains: ChainDraft::alike(1, 20, 1_000), ..InitOptions::default() };
    let network = init(directory.path(), &options).unwrap();
    let header = Header {
        epoch: Epoch(0),
        height: Height(1),
        view: 1,
        parent: *network.genesis.network(),
        proposer: ValidatorIndex(0),
        time_ms: 1,
        roots_first: Height(1),
        next_members: Digest::default(),
        roots: Vec::new(),
        cut: vec![Head::NONE],
        log: Position::genesis(*network.genesis.network(), 1).log,
    };
    let executed = Ledger::genesis(&network.genesis).execute(ChainTime::new(Height(1), 0), &[]);
    let deltas: Vec<_> = executed.deltas.iter().flat_map(|delta| delta.digest().0).collect();
    let chain = |entry: &engine::roots::ChainEntry| ChainRecord {
        entry: *entry,
        failures: Vec::new(),
        returned: Vec::new(),
        effects: Vec::new(),
    };
    let record = CommittedBlock {
        height: Height(1),
        delta_digest: Digest(::kernels::sha2::sha256(&deltas)),
        state_root: *executed.state_root.digest(),
        block: Block::new(header).unwrap().encode(),
        certificate: Vec::new(),
        members: None,
        batches: Vec::new(),
        chains: executed.state_root.entries().iter().map(chain).collect(),
    };
    (directory, network, record)
}

/// Writes one record into the journal, and audits.
fn audit(network: &Network, kind: u8, bytes: &[u8]) -> AuditReport {
    let data = network.members[0].data();
    for (log, of) in [("journal", LogKind::Journal), ("consensus", LogKind::Votes)] {
        let validator = network.genesis.validators()[0].public_key;
        let mut options = Options::new(Owner { network: network.genesis.network().0, validator, log: of });
        options.backend = Backend::Portable;
        options.segment_bytes = 8 << 20;
        let (journal, _) = Log::open(&data.join(log), options).unwrap();
        if log == "journal" {
            journal.append(kind, &[bytes]).unwrap();
        }
    }
    auditor(Arc::clone(&network.genesis)).unwrap().audit(&data, &|_, _| {}, &mut |_, _, _| {}).unwrap()
}

#[test]
fn a_journal_holds_and_is_shown() {
    let (_directory, network, record) = scene();
    let report = audit(&network, KIND_COMMITTED, &record.encode());
    let text = Text(&report, &[]).to_string();
    assert!(report.ok, "{text}");
    assert_eq!((report.height, report.heights_without_certificate), (Height(1), 1));
    assert_eq!(report.state_root, record.state_root);
    assert!(text.contains("holds") && text.contains("20,000 (as in the genesis)"), "{text}");
}

#[test]
fn a_start_and_a_proposal_that_was_not_committed_are_no_findings() {
    let (_directory, network, record) = scene();
    let start = audit(&network, KIND_BOOT, &Boot { number: 1, done: true, ..Boot::LEARNT }.encode());
    assert!(start.ok, "{}", Text(&start, &[]));
    let (_directory, network, _) = scene();
    let proposal = audit(&network, KIND_BLOCK, &record.block);
    assert!(proposal.ok, "{}", Text(&proposal, &[]));
    assert_eq!(proposal.height, Height(0));
}

#[test]
fn what_cannot_be_read_is_found() {
    let unreadable = |kind, bytes: &[u8]| -> Finding {
        let (_directory, network, _) = scene();
        audit(&network, kind, bytes).finding.expect("a finding")
    };
    assert_eq!(unreadable(KIND_BATCH, &[1, 2, 3]).expected, "the encoding of a batch");
    assert_eq!(unreadable(KIND_COMMITTED, &[1, 2, 3]).expected, "the encoding of its record");
    assert_eq!(unreadable(KIND_BLOCK, &[1, 2, 3]).expected, "the encoding of a block");
    assert_eq!(unreadable(KIND_BOOT, &[1, 2, 3]).expected, "the encoding of its record");
    assert_eq!(unreadable(9, &[]).expected, "a batch, a block, a committed block or a start");
    let (_directory, network, mut record) = scene();
    record.block.pop();
    let finding = audit(&network, KIND_COMMITTED, &record.encode()).finding.expect("a finding");
    assert_eq!(finding.expected, "the encoding of a block");
    assert!(Text(&audit(&network, KIND_COMMITTED, &[]), &[]).to_string().contains("DOES NOT HOLD"));
}

#[test]
fn a_finalization_that_nobody_signed_is_found() {
    let (_directory, network, mut record) = scene();
    record.certificate = vec![7; 100];
    let finding = audit(&network, KIND_COMMITTED, &record.encode()).finding.expect("a finding");
    assert_eq!(finding.expected, "a finalization certificate of a quorum");
}

#[test]
fn what_is_wrong_with_a_checkpoint_is_said_beside_its_name() {
    let (directory, network, record) = scene();
    let data = network.members[0].data();
    assert_eq!(CheckpointFile::list(&data, network.genesis.network()), [], "there is no such directory");
    let report = audit(&network, KIND_COMMITTED, &record.encode());
    let checkpoints = data.join("checkpoints");
    std::fs::create_dir(&checkpoints).unwrap();
    for (name, content) in [
        ("0000000000000812.checkpoint", &[7; 100][..]),
        ("0000000000000030.checkpoint", &[]),
        ("0000000000000007.unfit", &[0; 100]),
        ("copy.checkpoint", b"a copy"),
        ("checkpoint.new", b"half"),
        ("fetched.state", &[9; 100]),
        ("fetched.unfit", &[9; 100]),
    ] {
        std::fs::write(checkpoints.join(name), content).unwrap();
    }
    let files = CheckpointFile::list(&data, network.genesis.network());
    let text = Text(&report, &files).to_string();
    let line =
        |label: &str| text.lines().find(|line| line.trim_start().starts_with(label)).unwrap().to_owned();
    assert!(line("checkpoint of height 812").contains("cannot be used: it is damaged"), "{text}");
    assert!(line("checkpoint of height 30").contains("cannot be used: it ends too early"), "{text}");
    assert!(line("set aside, of height 7").contains("cannot be used"), "{text}");
    assert!(line("copy.checkpoint").contains("not named"), "{text}");
    assert!(line("checkpoint.new").contains("not finished"), "{text}");
    assert!(line("fetched.state").contains("cannot be used: it is damaged"), "{text}");
    assert!(line("fetched.unfit").contains("it can be deleted"), "{text}");
    assert_eq!(files.len(), 7);
    assert!(report.ok, "the audit needs none of them");
    let json = serde_json::to_value(Audit { report: &report, checkpoints: &files, archive: None }).unwrap();
    assert_eq!((&json["ok"], &json["checkpoints"][1]["height"]), (&true.into(), &30.into()), "{json}");
    assert_eq!(json["checkpoints"][1]["usable"], false);
    drop(directory);
}
