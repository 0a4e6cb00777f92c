//! Alarms of a running network, as its operator sees and silences them.

use std::process::{Command, Output};

use crate::testbed::{MILLRACE, Testbed, wait};

fn millrace(arguments: &[&str]) -> Output {
    Command::new(MILLRACE).args(arguments).output().unwrap()
}

#[test]
fn an_alarm_is_raised_silenced_for_a_while_and_rings_again() {
    let mut testbed = Testbed::up(4, 64);
    testbed.stop(3);
    let network = testbed.path().to_str().unwrap().to_owned();
    let data = testbed.network.members[0].data();
    let data = data.to_str().unwrap();
    // The others have their own alarms, and their own silences.
    let line = || {
        let said = millrace(&["monitor", "--network", &network]);
        String::from_utf8(said.stdout).unwrap().lines().next().unwrap().to_owned()
    };
    let rings = |line: &str| line.starts_with("CRITICAL validator 0") && line.contains("peer_unreachable");
    wait("the alarm is raised", || rings(&line()));
    for alarm in ["peer_unreachable", "quorum_at_edge"] {
        let silenced =
            millrace(&["alarm", "silence", alarm, "--for", "1h", "--reason", "it is moved", "--data", data]);
        assert!(silenced.status.success(), "{}", String::from_utf8_lossy(&silenced.stderr));
    }
    wait("it does not ring", || line().starts_with("OK validator 0"));
    let told = line();
    assert_eq!(told.matches("(silenced: it is moved)").count(), 2, "{told}");
    let listed = millrace(&["alarm", "silences", "--data", data]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("quorum_at_edge, until ") && listed.lines().count() == 2, "{listed}");
    for alarm in ["peer_unreachable", "quorum_at_edge"] {
        assert!(millrace(&["alarm", "unsilence", alarm, "--data", data]).status.success());
    }
    wait("it rings again", || rings(&line()));
    let again = millrace(&["alarm", "unsilence", "peer_unreachable", "--data", data]);
    let complaint = String::from_utf8_lossy(&again.stderr);
    assert!(complaint.starts_with("error: peer_unreachable is not silenced: "), "{complaint}");
    assert!(complaint.contains("`millrace alarm silences`"), "{complaint}");
}

#[test]
fn what_cannot_be_silenced_is_said() {
    let testbed = Testbed::new(1, 16);
    let data = testbed.network.members[0].data();
    let silence = |alarm: &str, time: &str, reason: &str, data: &str| {
        let said = millrace(&["alarm", "silence", alarm, "--for", time, "--reason", reason, "--data", data]);
        (said.status.code(), String::from_utf8(said.stderr).unwrap())
    };
    let data = data.to_str().unwrap();
    for (alarm, time, reason, says) in [
        ("disk_full", "1h", "x", "there is no alarm \"disk_full\""),
        ("disk_fills", "1y", "x", "as in 45m, 2h or 3d"),
        ("disk_fills", "31d", "x", "at most 30d"),
        ("disk_fills", "1h", " ", "say why"),
    ] {
        let (code, said) = silence(alarm, time, reason, data);
        assert!(code == Some(2) && said.contains(says), "{code:?} {said}");
    }
    let (code, said) = silence("disk_fills", "1h", "x", "/nowhere");
    assert!(code != Some(0) && said.contains("/nowhere"), "{code:?} {said}");
}
