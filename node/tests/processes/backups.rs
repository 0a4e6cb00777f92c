//! A backup of a running validator, restored after its disk was lost.

use std::fs;
use std::process::Command;

use crate::testbed::{MILLRACE, Testbed, wait};
use loadgen::Start;

fn millrace(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(MILLRACE).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_validator_that_is_restored_from_a_backup_takes_part_again() {
    let mut testbed = Testbed::up(4, 400);
    let member = testbed.network.members[3].clone();
    let said = |what: &str| fs::read_to_string(member.log_file()).unwrap().rfind(what);
    let (data, backup) = (member.data(), testbed.path().join("backup"));
    let (data_word, backup_word) = (data.to_str().unwrap(), backup.to_str().unwrap());

    // Under load: the journal grows while it is copied.
    let before = std::thread::scope(|scope| {
        let load = scope.spawn(|| testbed.load(&[0, 1, 2, 3], 400.0, 4, Start::Fresh));
        std::thread::sleep(std::time::Duration::from_secs(2));
        let (made, words) = millrace(&["backup", data_word, "--to", backup_word]);
        assert!(made, "{words}");
        load.join().unwrap()
    });
    let (again, words) = millrace(&["restore", backup_word, "--to", data_word]);
    assert!(!again && words.contains("already"), "{words}");
    testbed.settle();
    testbed.kill(3);
    fs::remove_dir_all(&data).unwrap();
    let meanwhile = testbed.load(&[0, 1, 2], 200.0, 2, Start::Resume);

    let (restored, words) = millrace(&["restore", backup_word, "--to", data_word]);
    assert!(restored, "{words}");
    let genesis = testbed.path().join("genesis.toml");
    let (holds, words) = millrace(&["verify", data_word, "--genesis", genesis.to_str().unwrap()]);
    assert!(holds, "{words}");
    testbed.spawn(3);
    wait("it votes again", || said("taking part in consensus again").is_some());
    let noticed = said("follows without voting until something is final");
    assert!(noticed.is_some() && noticed < said("taking part in consensus again"), "it does not vote before");

    // It takes part: with another one gone, a quorum needs it.
    testbed.wait_height(3, testbed.height(0));
    testbed.stop(0);
    let through = testbed.load_in_need_of(3);
    testbed.spawn(0);
    testbed.ready();
    testbed.settle();
    testbed.all_alive();
    testbed.stop_all();
    testbed.audit(&[&before, &meanwhile, &through]);
}
