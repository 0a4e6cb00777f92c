//! Accounts that are opened while the network runs.

use engine::types::{AccountId, LockWindows, Registrar, Roles, Transfer, Verdict};
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

/// The same network, with lock windows of a second and of two.
fn quick() -> Testbed {
    let mut chains = ChainDraft::alike(1, 20, 1_000_000);
    chains[0].roles = Roles {
        registrar: Registrar::Account(AccountId(2)),
        accounts_cap: 1_000,
        freezer: Some(AccountId(1)),
        windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
        ..Roles::default()
    };
    let mut testbed = Testbed::with(&InitOptions { validators: 4, chains, ..InitOptions::default() });
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed
}

/// Makes a key file and the file that gives an account its key.
fn new_key(testbed: &Testbed, name: &str, account: &str) -> (String, String) {
    let dir = testbed.path().to_str().unwrap();
    let file = |suffix: &str| testbed.path().join(format!("{name}.{suffix}")).to_str().unwrap().to_owned();
    let (key, new) = (file("pem"), file("json"));
    expect(0, &["key", "new", &key, "--no-passphrase"]);
    expect(0, &["account", "new-key", &key, "--account", account, "--network", dir, "--out", &new]);
    (key, new)
}

/// What a validator says of account 1:7 until it says this.
fn until(dir: &str, said: &str) -> String {
    let mut last = String::new();
    for _ in 0..600 {
        (last, _) = expect(0, &["query", "--network", dir, "account", "1", "7"]);
        if last.contains(said) {
            return last;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("never {said:?}: {last}");
}

#[test]
fn an_account_gets_another_key_which_its_guardians_can_replace() {
    let mut testbed = quick();
    let dir = testbed.path().to_str().unwrap().to_owned();
    let (second, to_second) = new_key(&testbed, "second", "1:7");
    let (third, to_third) = new_key(&testbed, "third", "1:7");
    let account = |code: i32, more: &[&str]| {
        let (text, error) = expect(code, &[&["account"], more, &["--network", &dir]].concat());
        text + &error
    };
    let pay = |code: i32, more: &[&str]| {
        let pay = ["transfer", "--network", &dir, "--from", "1:7", "--to", "1:8", "--amount", "5"];
        let (text, error) = expect(code, &[&pay, more].concat());
        text + &error
    };
    // Cancelled, and ordered again.
    assert!(account(1, &["cancel", "1:7"]).contains("no change in its lock window"));
    account(0, &["rekey", &to_second]);
    assert!(account(1, &["rekey", &to_third]).contains("change pending"));
    let text = account(0, &["cancel", "1:7"]);
    assert!(text.contains("change 1 of account 7 is cancelled"), "{text}");
    account(0, &["rekey", &to_second]);
    let text = until(&dir, "(version 2)");
    assert!(!text.contains("pending"), "{text}");
    assert!(pay(2, &[]).contains("the key of account 1:7 is"));
    pay(0, &["--key", &second]);

    // Two of three guardians, who want the same key.
    let guard = ["protect", "1:7", "--key", &second, "--threshold", "2", "--guardians"];
    assert!(account(2, &[&guard[..], &["7,3"]].concat()).contains("none the account itself"));
    account(0, &[&guard[..], &["5,3,4"]].concat());
    assert!(until(&dir, "pending").contains("safeguards: 2 of 3 guardians: 3, 4, 5"));
    assert!(!until(&dir, "\n  safeguards").contains("pending"));
    assert!(account(1, &["recover", &to_third, "--signer", "6"]).contains("not a guardian"));
    account(0, &["recover", &to_third, "--signer", "3"]);
    assert!(until(&dir, "approved").contains("by guardian 3"));
    account(0, &["recover", &to_third, "--signer", "5"]);
    until(&dir, "by a recovery");
    account(0, &["cancel", "1:7", "--key", &second]);
    // A thief who has the key could do that again and again: the freezer helps.
    account(0, &["freeze", "1:7", "--debit"]);
    account(0, &["recover", &to_third, "--signer", "4"]);
    account(0, &["recover", &to_third, "--signer", "5"]);
    assert!(account(1, &["cancel", "1:7", "--key", &second]).contains("frozen"));
    until(&dir, "(version 3)");
    account(0, &["unfreeze", "1:7"]);
    pay(0, &["--key", &third]);

    // A stranger is shown who can help the account, and which key it had.
    let prove = |name: &str, question: &[&str], words: &str| {
        let proof = testbed.path().join(name).to_str().unwrap().to_owned();
        expect(0, &[&["query", "--network", &dir], question, &["--proof", &proof]].concat());
        let header = testbed.path().join("genesis.header");
        let (text, _) = expect(0, &["verify-proof", &proof, "--genesis", header.to_str().unwrap()]);
        assert!(text.contains(words), "{words}: {text}");
        expect(0, &["verify-proof", &proof, "--genesis", header.to_str().unwrap(), "--json"]);
    };
    prove("record.proof", &["record", "1", "7"], "2 of 3 guardians, and no change in its lock window");
    prove("nothing.proof", &["record", "1", "8"], "of account 8 of chain 1 was ever begun");
    let (text, _) = expect(0, &["key", "show", &second, "--json"]);
    let public: serde_json::Value = serde_json::from_str(&text).unwrap();
    let public = public["public_key"].as_str().unwrap();
    prove("key.proof", &["key", "1", "7", "2"], &format!("had had the key {public} (version 2)"));
    prove("present.proof", &["key", "1", "7", "3"], "no key of version 3 that another one has replaced");
    let (text, _) = expect(0, &["query", "--network", &dir, "key", "1", "7", "2"]);
    assert!(text.contains(public), "{text}");
    expect(1, &["query", "--network", &dir, "key", "1", "7", "3"]);
    let (text, _) = expect(0, &["query", "--network", &dir, "record", "1", "7"]);
    assert!(text.contains("2 of 3 guardians: 3, 4, 5"), "{text}");
    let none = testbed.path().join("none.proof").to_str().unwrap().to_owned();
    let (_, error) = expect(1, &["query", "--network", &dir, "record", "1", "100", "--proof", &none]);
    assert!(error.contains("there is no account 100: the chain has 20,"), "{error}");

    // What is known is known after everybody was killed, and the audit follows who signed what.
    (0..4).for_each(|index| testbed.kill(index));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    pay(0, &["--key", &third, "--validator", "2"]);
    let empty = ["transfer", "--network", &dir, "--from", "1:7", "--to", "1:8", "--key", &third, "--amount"];
    assert!(account(1, &["close", "1:7", "--key", &third]).contains("account not empty"));
    expect(0, &[&empty[..], &["999985"]].concat());
    account(0, &["close", "1:7", "--key", &third]);
    until(&dir, "closed");
    let (text, _) =
        expect(1, &["transfer", "--network", &dir, "--from", "1:8", "--to", "1:7", "--amount", "1"]);
    assert!(text.contains("account closed"), "{text}");
    testbed.stop_all();
    for member in &testbed.network.members {
        expect(0, &["verify", member.data().to_str().unwrap()]);
    }
}

#[test]
fn a_recovery_key_gives_an_account_another_key_and_files_are_for_one_place() {
    let testbed = quick();
    let dir = testbed.path().to_str().unwrap();
    let (second, to_second) = new_key(&testbed, "second", "1:7");
    let safe = testbed.path().join("safe.pem");
    let safe = safe.to_str().unwrap();
    expect(0, &["key", "new", safe, "--no-passphrase"]);
    let (shown, _) = expect(0, &["key", "show", safe, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let public_key = shown["public_key"].as_str().unwrap();
    expect(0, &["account", "protect", "1:7", "--recovery-key", public_key, "--network", dir]);
    until(dir, "\n  safeguards");
    let recover = ["account", "recover", &to_second, "--signer", "9", "--network", dir];
    let (text, _) = expect(1, &[&recover[..], &["--with-recovery-key", &second]].concat());
    assert!(text.contains("not a guardian"), "{text}");
    let (text, _) = expect(0, &[&recover[..], &["--with-recovery-key", safe]].concat());
    assert!(text.contains("by its recovery key, brought by account 9"), "{text}");
    until(dir, "(version 2)");
    let pay = ["transfer", "--from", "1:7", "--to", "1:8", "--amount", "5", "--key", &second];
    expect(0, &[&pay[..], &["--network", dir]].concat());

    let offline = testbed.path().join("offline.json");
    let offline = [
        "--offline",
        offline.to_str().unwrap(),
        "--nonce",
        "90",
        "--expiry",
        "9000",
        "--key",
        &second,
        "--key-version",
        "2",
    ];
    let (_, error) = expect(2, &[&["account", "cancel", "1:7", "--network", dir], &offline[..]].concat());
    assert!(error.contains("add --change"), "{error}");
    expect(0, &[&["account", "cancel", "1:7", "--change", "9", "--network", dir], &offline[..]].concat());
    std::fs::write(testbed.path().join("broken.json"), "{}").unwrap();
    let broken = testbed.path().join("broken.json");
    let (_, error) = expect(2, &["account", "rekey", broken.to_str().unwrap(), "--network", dir]);
    assert!(error.contains("not what `millrace account new-key` writes"), "{error}");
    let other = "00".repeat(32);
    let by_hand = ["account", "rekey", &to_second, "--network-id", &other, "--key", &second];
    let (_, error) =
        expect(2, &[&by_hand[..], &["--endpoint", "127.0.0.1:1", "--fingerprint", &other]].concat());
    assert!(error.contains("of network"), "{error}");
}
