//! Accounts that are opened while the network runs.

use engine::types::{AccountId, Registrar, Roles, Transfer, Verdict};
use kernels::ed25519::SigningKey;
use node::network::{ChainDraft, InitOptions};

use crate::testbed::{CHAIN, Testbed, expect, verdicts};

/// Four validators and a chain of 100 accounts, whose account 2 may open 900 more.
fn testbed() -> Testbed {
    let roles =
        Roles { registrar: Registrar::Account(AccountId(2)), accounts_cap: 1_000, ..Roles::default() };
    let mut chains = ChainDraft::alike(1, 100, 1_000_000);
    chains[0].roles = roles;
    let mut testbed = Testbed::with(&InitOptions { validators: 4, chains, ..InitOptions::default() });
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed
}

/// Makes a key file and a request for an account in the testbed's directory.
fn request(testbed: &Testbed, name: &str) -> (String, String) {
    let dir = testbed.path().to_str().unwrap();
    let file = |suffix: &str| testbed.path().join(format!("{name}.{suffix}")).to_str().unwrap().to_owned();
    let (key, request) = (file("pem"), file("json"));
    expect(0, &["key", "new", &key, "--no-passphrase"]);
    expect(0, &["account", "request", &key, "--network", dir, "--chain", "1", "--out", &request]);
    (key, request)
}

#[test]
fn an_account_is_asked_for_opened_paid_and_pays() {
    let mut testbed = testbed();
    let dir = testbed.path().to_str().unwrap().to_owned();
    let (dora, asked) = request(&testbed, "dora");
    let (_, second) = request(&testbed, "emil");
    let (text, _) = expect(0, &["account", "open", &asked, &second, "--network", &dir]);
    assert!(text.contains("applied at height") && text.contains("accounts 100 to 101 opened"), "{text}");
    let (text, _) = expect(0, &["chain", "list", "--network", &dir]);
    assert!(text.contains("102") && text.contains("account 2, at most 1,000 accounts in all"), "{text}");
    let transfer = |code: i32, more: &[&str]| {
        expect(code, &[&["transfer", "--network", &dir, "--amount", "7"], more].concat())
    };
    transfer(0, &["--from", "1:5", "--to", "1:100"]);
    transfer(0, &["--from", "1:100", "--to", "1:6", "--key", &dora]);
    let (text, _) = transfer(1, &["--from", "1:100", "--to", "1:6", "--key", &dora]);
    assert!(text.contains("insufficient balance"), "{text}");
    let (_, error) = transfer(2, &["--from", "1:101", "--to", "1:6", "--key", &dora]);
    assert!(error.contains("the key of account 1:101 is"), "{error}");
    let (text, _) = expect(0, &["query", "--network", &dir, "--validator", "3", "account", "1", "100"]);
    assert!(text.contains("next nonce") && text.contains("2"), "{text}");
    let proof = testbed.path().join("dora.proof");
    let (proof, header) = (proof.to_str().unwrap(), testbed.path().join("genesis.header"));
    expect(0, &["query", "--network", &dir, "account", "1", "100", "--proof", proof]);
    expect(0, &["verify-proof", proof, "--genesis", header.to_str().unwrap()]);

    // What is known is known after everybody was killed, and the audit follows who signed what.
    (0..4).for_each(|index| testbed.kill(index));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    transfer(0, &["--from", "1:5", "--to", "1:100"]);
    transfer(0, &["--from", "1:100", "--to", "1:101", "--key", &dora, "--validator", "2"]);
    testbed.stop_all();
    for member in &testbed.network.members {
        let (text, _) = expect(0, &["verify", member.data().to_str().unwrap()]);
        assert!(text.contains("accounts opened"), "{text}");
    }
}

#[test]
fn who_may_not_open_accounts_is_told_and_a_request_is_for_one_place() {
    let testbed = testbed();
    let dir = testbed.path().to_str().unwrap();
    let (_, asked) = request(&testbed, "dora");
    let (_, error) = expect(2, &["account", "open", &asked, "--authority", "3", "--network", dir]);
    assert!(error.contains("asks account 2 of chain 1"), "{error}");
    let key = testbed.path().join("dora.pem");
    let other = testbed.path().join("other.json");
    let (key, other) = (key.to_str().unwrap(), other.to_str().unwrap());
    let ask = |code: i32, more: &[&str]| {
        expect(code, &[&["account", "request", key, "--network", dir, "--out", other], more].concat())
    };
    let (_, error) = ask(2, &["--chain", "7"]);
    assert!(error.contains("no chain 7"), "{error}");
    ask(0, &["--chain", "1", "--registrar", "3"]);
    let (_, error) = ask(2, &["--chain", "1"]);
    assert!(error.contains("this file is there"), "{error}");
    let (text, _) = expect(1, &["account", "open", other, "--network", dir]);
    assert!(text.contains("role not held"), "{text}");
    let (_, error) = expect(2, &["account", "open", &asked, other, "--network", dir]);
    assert!(error.contains("must ask the account that signs it"), "{error}");
    std::fs::write(other, "{}").unwrap();
    let (_, error) = expect(2, &["account", "open", other, "--network", dir]);
    assert!(error.contains("not a request for an account"), "{error}");
    // An account that nobody has opened can be named, and nothing comes of it.
    let key = SigningKey::from_seed([9; 32]);
    let transfer = Transfer { debit: AccountId(100), ..testbed.transfer(5, 0).run().transfer().unwrap() };
    let packet = transfer.sign(testbed.network.genesis.network(), |message| key.sign(message));
    let unknown = Verdict::Refused(engine::types::Refusal::UnknownAccount);
    assert_eq!(verdicts(&mut testbed.client(1), &[packet]), [unknown]);
    assert_eq!(testbed.network.genesis.chain(CHAIN).unwrap().accounts.len(), 100);
}
