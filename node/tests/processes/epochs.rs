//! What real validators of two epochs have written: audited, archived, proved and asked for.

use engine::types::Height;
use loadgen::Start;
use node::archive::Archive;

use crate::members::{FIVE, decide, directory, follower, in_epoch, testbed};
use crate::testbed::expect;

#[test]
fn what_validators_of_two_epochs_wrote_is_audited_archived_and_proved() {
    let mut testbed = testbed();
    let dir = directory(&testbed);
    let mut told = vec![testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Fresh)];
    let request = follower(&mut testbed);
    decide(&dir, &["admit", &request]);
    in_epoch(&testbed, &[0, 1, 2, 3, 4], 1, &FIVE);
    told.push(testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Resume));
    testbed.settle();

    let file = |name: &str| testbed.path().join(name).to_str().unwrap().to_owned();
    let [account, early, header] = ["account.proof", "early.proof", "genesis.header"].map(file);
    let query = |words: &[&str]| expect(0, &[&["query", "--network", &dir], words].concat()).0;
    query(&["account", "1", "7", "--proof", &account]);
    let (holds, _) = expect(0, &["verify-proof", &account, "--genesis", &header]);
    assert!(holds.contains("of the 5 validators of epoch 1 signed"), "{holds}");
    let id = told[0].acknowledged().next().unwrap().id(testbed.network.genesis.network()).to_string();
    query(&["transaction", &id, "--proof", &early]);
    let (holds, _) = expect(0, &["verify-proof", &early, "--genesis", &header]);
    assert!(holds.contains("of 4 validators signed"), "{holds}");
    let last = testbed.height(0);
    let blocks: Vec<_> = (last - 5..=last).map(|height| query(&["block", &height.to_string()])).collect();
    let checked = |block: &String| block.contains("certificate of a quorum of epoch 1, view");
    assert!(blocks.iter().any(checked), "{blocks:?}");

    // From one validator before it stops, and from the one that came.
    let archive = testbed.path().join("archive");
    let to = archive.to_str().unwrap();
    let data = testbed.network.members.iter().map(|member| member.data().to_str().unwrap().to_owned());
    let data: Vec<String> = data.collect();
    expect(0, &["archive", &data[0], "--to", to]);
    let of_first = Archive::open(&archive).unwrap().last();
    assert!(of_first >= Height(last), "{of_first}");
    testbed.stop_all();
    expect(0, &["archive", &data[4], "--to", to]);
    for data in [&data[0], &data[4]] {
        let (text, _) = expect(0, &["verify", data]);
        assert!(text.contains("holds") && text.contains("2, each with other validators"), "{text}");
        let (text, _) = expect(0, &["verify", data, "--archive", to]);
        assert!(text.contains("holds") && text.contains("2, each with other validators"), "{text}");
    }
    let ask = |words: &[&str]| expect(0, &[&["query", "--archive", to], words].concat()).0;
    let found = ask(&["block", &of_first.to_string()]);
    assert!(checked(&found), "{found}");
    let late = told[1].acknowledged().next().unwrap().id(testbed.network.genesis.network()).to_string();
    let found = ask(&["transaction", &late]);
    assert!(found.contains("a finalization certificate in the archive"), "{found}");
    let from = testbed.audit(&told.iter().collect::<Vec<_>>());
    assert_eq!(from, [Height(0); 5]);
}
