//! Machines that are not what they should be, at full load: clocks that jump, and disks that are slow.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;

use node::network::{ChainDraft, InitOptions, Tie, ValidatorProcess};

use crate::partitions::{stands, wait_until_still};
use crate::storms::LoadUnderFaults;
use crate::testbed::{MILLRACE, Testbed, wait};

const HOUR_MS: i64 = 3_600_000;
/// Behind the end of every certificate.
const YEARS_MS: i64 = 40 * 365 * 24 * HOUR_MS;

/// A network of four, each on a machine whose clock and disk the test moves.
struct Machines(PathBuf);

impl Machines {
    fn new(storage: &str) -> (Testbed, Self) {
        let chains = ChainDraft::alike(1, 4_000, 1_000_000);
        let testbed = Testbed::with(&InitOptions {
            validators: 4,
            chains,
            storage: storage.to_owned(),
            ..InitOptions::default()
        });
        let machines = Self(testbed.path().to_owned());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/clocks_and_disks.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let made = compiler.arg(machines.library()).arg(source).status();
        assert!(made.expect("a C compiler, which the build needs as well").success());
        for index in 0..4 {
            fs::write(machines.file(index), [0; 16]).unwrap();
            let script = format!(
                "#!/bin/sh\nMACHINE='{}' LD_PRELOAD='{}' exec '{MILLRACE}' \"$@\"\n",
                machines.file(index).display(),
                machines.library().display()
            );
            fs::write(machines.program(index), script).unwrap();
            fs::set_permissions(machines.program(index), fs::Permissions::from_mode(0o755)).unwrap();
        }
        (testbed, machines)
    }

    fn library(&self) -> PathBuf {
        self.0.join("machines.so")
    }

    fn file(&self, index: usize) -> PathBuf {
        self.0.join(format!("machine-{index}"))
    }

    fn program(&self, index: usize) -> PathBuf {
        self.0.join(format!("program-{index}"))
    }

    fn spawn(&self, testbed: &mut Testbed, index: usize) {
        let member = &testbed.network.members[index];
        let process = ValidatorProcess::spawn(&self.program(index), member, Tie::Tied).unwrap();
        testbed.processes[index] = Some(process);
    }

    fn set(&self, index: usize, place: u64, number: i64) {
        let file = fs::OpenOptions::new().write(true).open(self.file(index)).unwrap();
        file.write_all_at(&number.to_le_bytes(), place * 8).unwrap();
    }

    /// The clock is wrong by so much from now on.
    fn clock(&self, index: usize, ms: i64) {
        self.set(index, 0, ms);
    }

    /// Each sync takes so much longer from now on.
    fn disk(&self, index: usize, sync_us: i64) {
        self.set(index, 1, sync_us);
    }
}

const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn a_quorum_goes_on_when_clocks_jump() {
    let (mut testbed, machines) = Machines::new("auto");
    ALL.into_iter().for_each(|index| machines.spawn(&mut testbed, index));
    testbed.ready();
    let load = LoadUnderFaults::begin(&testbed);
    for (what, ms) in [("an hour ahead", HOUR_MS), ("an hour behind", -HOUR_MS), ("years ahead", YEARS_MS)] {
        machines.clock(1, ms);
        load.expect_progress(&testbed, &ALL, what);
        machines.clock(1, 0);
        // A quorum needs the one whose clock was wrong.
        testbed.kill(2);
        load.expect_progress(&testbed, &[0, 1, 3], "its clock is right again");
        machines.spawn(&mut testbed, 2);
        load.expect_progress(&testbed, &ALL, "all are back");
    }
    // All at once: every certificate is out of date, also for one that calls anew. Then back, where no time can follow.
    ALL.into_iter().for_each(|index| machines.clock(index, YEARS_MS));
    load.expect_progress(&testbed, &ALL, "all clocks are years ahead");
    testbed.kill(0);
    machines.spawn(&mut testbed, 0);
    testbed.kill(3);
    load.expect_progress(
        &testbed,
        &[0, 1, 2],
        "one called the others with a certificate that is out of date",
    );
    let log = fs::read_to_string(testbed.network.members[0].log_file()).unwrap();
    let year = |line: &str| line.get(..4).and_then(|year| year.parse::<u32>().ok());
    assert!(log.lines().filter_map(year).any(|year| year > 2060), "the clock was not moved: {log}");
    machines.spawn(&mut testbed, 3);
    ALL.into_iter().for_each(|index| machines.clock(index, 0));
    load.expect_progress(&testbed, &ALL, "all clocks are back");
    load.end(testbed);
}

#[test]
fn a_quorum_goes_on_when_disks_are_slow() {
    let (mut testbed, machines) = Machines::new("portable");
    ALL.into_iter().for_each(|index| machines.spawn(&mut testbed, index));
    testbed.ready();
    let load = LoadUnderFaults::begin(&testbed);
    machines.disk(3, i64::MAX);
    let alone = wait_until_still(&testbed, &[3]);
    load.expect_progress(&testbed, &[0, 1, 2], "one disk does not end a sync");
    wait("the others are far above it", || !stands(&testbed, &[0], alone));
    assert!(stands(&testbed, &[3], alone), "nothing is committed that is not durable");
    machines.disk(3, 2_000_000);
    load.expect_progress(&testbed, &[0, 1, 2], "one disk takes 2 s for a sync");
    machines.disk(3, 0);
    testbed.kill(2);
    load.expect_progress(&testbed, &[0, 1, 3], "the disk is well again, and needed");
    machines.spawn(&mut testbed, 2);
    load.expect_progress(&testbed, &ALL, "all are back");
    ALL.into_iter().for_each(|index| machines.disk(index, 200_000));
    load.expect_progress(&testbed, &ALL, "each disk takes 200 ms for a sync");
    ALL.into_iter().for_each(|index| machines.disk(index, 0));
    load.end(testbed);
}
