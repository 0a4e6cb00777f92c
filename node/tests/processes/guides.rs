//! The guides, followed to the letter: what a page says to type is run, in its order.

use std::path::Path;
use std::process::Command;

use crate::testbed::MILLRACE;

/// The shell commands of a page, as one script.
fn script(page: &str) -> String {
    let mut blocks = page.split("```");
    blocks.next();
    blocks.step_by(2).filter_map(|block| block.strip_prefix("sh\n")).collect()
}

/// Follows the commands of a guide in a directory of their own, and takes down its network. What they print, and what
/// they complain of.
fn followed(script: &str) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let binaries = Path::new(MILLRACE).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-e", "-c", &format!("trap 'millrace network down mill' EXIT\n{script}")])
        .current_dir(directory.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    (said, complained)
}

#[test]
fn the_guide_to_chains_works_as_it_is_written() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/chains.md");
    let script = script(&std::fs::read_to_string(page).unwrap());
    assert!(script.matches("millrace").count() > 10, "{script}");
    // Below the ports that the system gives out by itself, and hardly those of another process of this test.
    let port = 20_000 + std::process::id() % 1_500 * 8;
    let init = "network init mill";
    assert!(script.contains(init));
    let script = script.replace(init, &format!("{init} --base-port {port}"));
    let (said, complained) = followed(&script);
    for words in [
        "credited there at height",
        "unknown credit account",
        "refunded at height",
        "signed, not submitted: pay.json",
        "5,000, 1,200",
        "3 linked payments, 825 in all, from account 7, memo \"wages of May\"",
        "line 5: chain 1 has no account 13000",
        "(300 of it to this account)",
        "account 1000 opened",
        "20 from account 1000 to account 8",
        "account frozen",
        "fingerprint registered already",
        "is not registered on chain 3",
        "\"signed in May\" (13 bytes)",
        "2 attestation(s), the last one first",
        "1 attestation(s) of account 7 revoked, reason 4",
        "another kind of chain",
        "issuance cap reached",
        "account 30 frozen: debit, by account 1",
        "5,000, 1,200 on the chain by then",
        "commands of authorities",
        "chain id taken",
        "decision 1, in effect since height",
        "chain 5: transfers of UNIT",
        "1:7/",
        "100 set aside by account 7 for account 8, for 3,600 s, memo \"order 42\"",
        "settled, 60 of it paid to account 8, by account 8",
        "is not open after height",
        "100 offered by account 7 for 30 on chain 4 to account 7, for 3,600 s",
        "was open: 100 UNIT for 30 on chain 4 to account 7, until",
        "taken: 100 to 1:9, for 30 from 4:9 to 4:7",
        "swapped: offer 1:7/",
        "given back, by account 7",
        "15 from account 7 to account 1 on chain 5",
        "chain paused",
        "chain closed",
        "closed; the last decision about it",
        "proposals and approvals",
        "account 3 of chain 2 held 1000000045 UNIT",
        "has not been executed and never can be",
        "2 of 3 guardians, and change",
        "(version 1) from its beginning until height",
        "to pause chain 5, was decided (decision 2) and takes effect at height",
        "accounts 0, 1, 2",
        "money of UNIT",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let other_terms = "is 100 for 30 on chain 4 to account 7, and not as you have typed";
    assert!(complained.contains(other_terms), "{complained}");
    assert!(complained.contains("nothing was signed: account 0 has approved it already"), "{complained}");
    assert!(complained.matches("is not open: it was settled or taken").count() == 2, "{complained}");
    // The payment that was signed into a file took effect once, and both who submitted it know.
    let ids: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("transaction ")).collect();
    assert!(ids.windows(2).any(|pair| pair[0] == pair[1]), "{said}");
}

#[test]
fn the_guide_for_developers_works_as_it_is_written() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/developer.md");
    let mut script = script(&std::fs::read_to_string(page).unwrap());
    let port = 20_000 + std::process::id() % 1_500 * 8;
    let (init, http) = ("network init mill", "127.0.0.1:7401");
    assert!(script.contains(init) && script.contains(http));
    script = script.replace(init, &format!("{init} --base-port {port}"));
    script = script.replace(http, &format!("127.0.0.1:{}", port + 1));
    let can = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !can("curl", &["--version"]) {
        eprintln!("SKIPPED: there is no curl");
        return;
    }
    let has_python = can("python3", &["-c", "import cryptography"]);
    if !has_python {
        eprintln!("SKIPPED: python3 has no package cryptography, so only the half with curl is followed");
        script = script
            .lines()
            .filter(|line| !line.starts_with("python3 "))
            .map(|line| format!("{line}\n"))
            .collect();
    }
    let (said, complained) = followed(&script);
    let python = if has_python { "'status': 'committed'" } else { "" };
    for words in [
        "\"ready\":true",
        "\"would\":\"apply\"",
        "\"status\":\"committed\"",
        "\"position\":",
        python,
        "at,event,outcome,id,said",
        "event: block",
    ] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}\n{complained}");
    }
}
