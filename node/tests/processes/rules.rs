//! Rules that this release does not run: they can be proposed, nobody consents, and everything goes on.

use engine::types::{ChainId, Membership, RULES_LAST, RULES_TRIAL};
use node::network::{ChainDraft, InitOptions};

use crate::testbed::{Testbed, expect, millrace};

#[test]
fn rules_that_nobody_runs_are_proposed_and_not_decided_and_all_is_told() {
    let (last, next) = (RULES_LAST.to_string(), RULES_TRIAL.to_string());
    let mut chains = vec![ChainDraft::governance(ChainId(0), 3, 2)];
    chains.extend(ChainDraft::alike(1, 400, 1_000_000));
    let membership = Membership::Fixed;
    let mut testbed =
        Testbed::with(&InitOptions { validators: 4, chains, membership, ..InitOptions::default() });
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let dir = testbed.path().to_str().unwrap().to_owned();

    let (text, _) = expect(0, &["--version"]);
    for says in [&*format!("rules 1 to {last}"), "millrace-peer/2", "millrace-client/1, versions 10 to 12"] {
        assert!(text.contains(says), "{text}");
    }
    let (text, _) = expect(0, &["chain", "rules", "--network", &dir]);
    assert!(text.starts_with(&format!("epoch 0 has rules {last}\n")), "{text}");
    let each = format!("{last}; this release runs 1 to {last}");
    assert_eq!(text.matches(&each).count(), 4, "{text}");
    let (_, error) = expect(2, &["chain", "rules", "1", "--network", &dir]);
    assert!(error.contains("there is no way back"), "{error}");
    let later = RULES_TRIAL.next().to_string();
    let (_, error) = expect(2, &["chain", "rules", &later, "--network", &dir]);
    assert!(error.contains(&format!("the next ones can only be rules {next}")), "{error}");

    let (text, error) = expect(0, &["chain", "rules", &next, "--network", &dir]);
    assert_eq!(error.matches("does not run these rules").count(), 4, "{error}");
    let row = text.lines().find_map(|line| line.trim().strip_prefix("proposal "));
    let proposal = row.unwrap_or_else(|| panic!("no proposal in {text}")).trim();
    let approve = ["chain", "approve", proposal, "--as", "2", "--network", &dir];
    let (text, error) = expect(1, &approve);
    assert!(text.contains(&format!("you approve: rules {next} from the next epoch on")), "{text}");
    assert!(text.contains("too few consents"), "{text}{error}");
    assert!(error.contains("warning: 0 of the 4 new members consent. The last approval needs 4"), "{error}");

    let warned = format!("rules {next} are proposed: INSTALL A RELEASE THAT RUNS THEM");
    // A start finds the proposal in its state.
    testbed.kill(3);
    testbed.spawn(3);
    testbed.ready();
    for validator in ["0", "3"] {
        let (text, _) = expect(0, &["query", "--network", &dir, "--validator", validator, "status"]);
        assert!(text.contains(&warned), "{text}");
    }
    let log = std::fs::read_to_string(testbed.path().join("validator-3/node.log")).unwrap();
    assert!(log.contains("install a release that runs rules"), "{log}");
    assert!(millrace(&["chain", "rules", "--network", &dir]).status.success());
    testbed.stop_all();
    testbed.audit(&[]);
}
