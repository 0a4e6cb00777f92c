use super::*;
use crate::ed25519::SigningKey;

fn line(key: &[u8], message: &[u8], signature: &[u8], expect: &str) -> String {
    format!(
        r#"{{"key":"{}","msg":"{}","sig":"{}","expect":{expect}}}"#,
        hex::encode(key),
        hex::encode(message),
        hex::encode(signature)
    )
}

#[test]
fn good_bad_and_misshapen_vectors_are_counted_on_every_path() {
    let key = SigningKey::from_seed([1; 32]);
    let (public, signature) = (key.public_key(), key.sign(b"pay"));
    let text = [
        line(&public, b"pay", &signature, "true"),
        line(&public, b"pax", &signature, "false"),
        String::new(),
        line(&public[..31], b"pay", &signature, "false"),
        line(&public, b"pay", &signature[..63], "null"),
        line(&public, b"pay", &[], "false"),
    ]
    .join("\n");
    let report = run(&parse(&text).unwrap(), &Backend::all(), [5; 32]);
    assert!(report.ok());
    assert_eq!(report.paths.len(), 4 * Backend::all().len());
    for path in &report.paths {
        assert_eq!((path.accepted, path.rejected), (1, 4), "{path:?}");
    }
}

/// Called by a test of the GPU's.
#[cfg(feature = "gpu")]
pub(crate) fn the_programs_of_a_device_are_paths_too() {
    let Some(mut verifier) = crate::gpu::tests::shared() else { return };
    let key = SigningKey::from_seed([1; 32]);
    let (public, signature) = (key.public_key(), key.sign(b"pay"));
    let text = [
        line(&public, b"pay", &signature, "true"),
        line(&public, b"pay", &signature[..63], "null"),
        line(&public, b"pax", &signature, "true"),
    ]
    .join("\n");
    let report = run_gpu(&parse(&text).unwrap(), &mut verifier, crate::gpu::tests::PATIENCE).unwrap();
    assert_eq!(report.paths.len(), verifier.programs().len());
    for path in &report.paths {
        assert_eq!((path.backend, path.accepted, path.rejected), ("gpu", 1, 2), "{path:?}");
        assert!(path.disagreements.is_empty() && path.unmet == [2], "{path:?}");
    }
}

#[test]
fn an_unmet_expectation_is_named() {
    let key = SigningKey::from_seed([1; 32]);
    let text = [
        line(&key.public_key(), b"pay", &key.sign(b"pay"), "true"),
        line(&key.public_key(), b"pay", &key.sign(b"pay"), "false"),
    ]
    .join("\n");
    let report = run(&parse(&text).unwrap(), &Backend::all(), [5; 32]);
    assert!(!report.ok());
    assert!(report.paths.iter().all(|path| path.unmet == [1] && path.disagreements.is_empty()));
}

#[test]
fn a_disagreement_is_named() {
    let vectors = parse(&line(&[0; 32], b"", &[0; 64], "null")).unwrap();
    let path = report("portable", "batch", &[true], &[false], &vectors);
    assert_eq!(path.disagreements, [0]);
    assert!(!Report { paths: vec![path] }.ok());
}

#[test]
fn lines_that_are_no_vectors_are_refused_with_their_number() {
    assert!(matches!(parse("\n{"), Err(VectorError::Json { line: 2, .. })));
    assert!(matches!(parse(r#"{"key":"","msg":""}"#), Err(VectorError::Json { line: 1, .. })));
    assert!(matches!(
        parse(r#"{"key":"","msg":"0","sig":""}"#),
        Err(VectorError::Hex { line: 1, field: "msg", .. })
    ));
    assert_eq!(parse("").unwrap(), []);
}
