use super::*;

const PARAMETERS: &[Parameter] = &[
    parameter("chain", Place::Path, Form::Whole(u32::MAX as u64), true),
    parameter("wait", Place::Query, Form::Word(&["accepted", "committed"]), false),
    parameter("key", Place::Query, Form::Bytes32, false),
    parameter("transaction", Place::Body, Form::Transaction, false),
    parameter("from", Place::Query, Form::Cursor, false),
    parameter("reference", Place::Query, Form::Reference, false),
];

const fn parameter(name: &'static str, place: Place, form: Form, required: bool) -> Parameter {
    Parameter { name, place, form, required, about: "" }
}

fn read(given: Value) -> Result<Arguments, Failure> {
    Arguments::of_params(PARAMETERS, Some(&given))
}

#[test]
fn names_and_places_say_the_same() {
    let named = read(json!({ "chain": "7", "wait": "committed" })).unwrap();
    assert_eq!(read(json!([7, "committed"])).unwrap(), named);
    assert_eq!((named.whole("chain"), named.word("wait")), (Some(7), Some("committed")));
    assert_eq!(named.whole("wait"), None, "it is no number");
    assert_eq!(read(json!({ "chain": 7, "wait": null })).unwrap().word("wait"), None);
}

#[test]
fn what_is_wrong_is_named() {
    for (given, says) in [
        (json!({}), "the parameter chain is missing: write a whole number from 0 to 4294967295"),
        (json!({ "chain": 4_294_967_296_u64 }), "the parameter chain is 4294967296: write a whole number"),
        (json!({ "chain": -1 }), "the parameter chain is -1"),
        (json!({ "chain": 1, "weit": "accepted" }), "there is no parameter \"weit\"; did you mean \"wait\"?"),
        (json!({ "chain": 1, "wait": "finalized" }), "write accepted or committed"),
        (json!({ "chain": 1, "key": "ab" }), "write 64 hexadecimal digits"),
        (json!({ "chain": 1, "from": "7" }), "a height and a place"),
        (json!({ "chain": 1, "reference": "thirteen byte" }), "up to 12 bytes"),
        (json!([1, 2, 3, 4, 5, 6, 7]), "7 parameters were given, and there are 6 at most"),
        (json!("chain"), "params must be an object, or a list"),
    ] {
        let failure = read(given).unwrap_err();
        assert!(failure.message.contains(says), "{failure:?}");
        assert_eq!(failure.kind, failure::INVALID_PARAMS);
    }
    let long = read(json!({ "chain": "9".repeat(100_000) })).unwrap_err();
    assert!(long.message.len() < 300, "{}", long.message.len());
}

#[test]
fn a_transaction_is_hexadecimal_or_base64_and_whole_packets() {
    let bytes: Vec<u8> = (0..=255).cycle().take(256).collect();
    let read = |text: String| read(json!({ "chain": 1, "transaction": text }));
    for text in [hex::encode(&bytes), format!("0x{}", hex::encode_upper(&bytes)), STANDARD.encode(&bytes)] {
        assert_eq!(read(text).unwrap().bytes("transaction"), Some(&bytes[..]));
    }
    for wrong in [hex::encode(&bytes[1..]), String::new(), "0x".to_owned(), "ä".repeat(128)] {
        assert!(read(wrong).is_err());
    }
    let most = vec![7; TRANSACTION_BYTES_MAX];
    assert!(read(hex::encode(&most)).is_ok());
    assert!(read(hex::encode([&most[..], &[0; 128]].concat())).is_err());
    assert!(Arguments::default().with_transaction(&bytes).is_ok());
    assert!(Arguments::default().with_transaction(&bytes[1..]).is_err());
}

#[test]
fn references_are_text_or_digits() {
    let read =
        |text: &str| read(json!({ "chain": 1, "reference": text })).unwrap().reference("reference").unwrap();
    assert_eq!(read("rent"), *b"rent\0\0\0\0\0\0\0\0");
    assert_eq!(read("72656e740000000000000000"), *b"rent\0\0\0\0\0\0\0\0");
}

#[test]
fn a_query_is_decoded_once_and_has_each_field_once() {
    let fields = of_query(Some("a=1%202&b=%3D+%26&&c")).unwrap();
    assert_eq!(Value::Object(fields), json!({ "a": "1 2", "b": "= &", "c": "" }));
    assert!(of_query(Some("a=1&a=2")).unwrap_err().message.contains("twice"));
    assert!(of_query(Some("a=%ff")).is_err());
    assert_eq!(of_query(None).unwrap().len(), 0);
}
