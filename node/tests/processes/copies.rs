//! Whole data directories that are put back: consistent in themselves, and dangerous.

use std::fs;
use std::path::Path;

use crate::testbed::{Testbed, wait};
use loadgen::Start;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn an_older_copy_of_everything_is_noticed_before_the_first_vote() {
    let mut testbed = Testbed::up(4, 400);
    let member = testbed.network.members[3].clone();
    let said = |what: &str| fs::read_to_string(member.log_file()).unwrap().rfind(what);
    let before = testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Fresh);
    testbed.stop(3);
    let kept = testbed.path().join("kept");
    copy(&member.data(), &kept);

    // The same directory again is no copy.
    testbed.spawn(3);
    testbed.ready();
    let meanwhile = testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Resume);
    testbed.settle();
    assert_eq!(said("its data does not have"), None);
    testbed.kill(3);
    fs::remove_dir_all(member.data()).unwrap();
    fs::rename(&kept, member.data()).unwrap();
    testbed.spawn(3);
    wait("it votes again", || said("taking part in consensus again").is_some());
    let noticed = said("others hold a vote or a batch of this validator that its data does not have");
    let begun = said("taking part in consensus");
    assert!(noticed.is_some() && noticed < begun, "it votes only after it has noticed");
    assert_eq!(begun, said("taking part in consensus again"));

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
