use super::*;
use engine::types::{Height, Outcome};

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    let behind = AsOf { height: Height(40), behind: Some(500) };
    let (wanted, found) = (Digest([1; 32]), Digest([2; 32]));
    let cases: [(ClientError, &[&str]); 9] = [
        (LinkError::Closed("it stops".into()).into(), &["it stops", "connect again", "by their ids"]),
        (ClientError::Silent(Duration::from_secs(10)), &["10s", "ask another one"]),
        (ClientError::Network { wanted, found }, &["0101", "0202", "check the address and the network id"]),
        (ClientError::Version(1), &["version 1 ", "versions 10 to 12", "program of its release"]),
        (WireError::Trailing(3).into(), &["3 bytes after the end", "another release"]),
        (
            ClientError::NotFound { reason: "no such block".into(), as_of: behind },
            &["no such block", "height 40", "500 blocks behind"],
        ),
        (
            ClientError::Proof { what: "account", source: ProofError::Leaf },
            &["proof of the account", "leaf", "do not rely"],
        ),
        (ClientError::Mismatch("another account"), &["another account", "do not rely"]),
        (
            ClientError::Contradiction {
                id: TransactionId([7; 32]),
                told: Verdict::Failed(Outcome::Expired),
                found: "it is in no block".into(),
            },
            &["0707", "without effect (expired)", "it is in no block", "evidence"],
        ),
    ];
    for (error, words) in cases {
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
    }
}
