use std::time::Duration;

use super::*;

#[test]
fn what_is_saved_loads_as_the_same_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    for round in 0..8 {
        let identity = Identity::generate(&format!("validator-{round}")).unwrap();
        identity.save(&certificate, &key).unwrap();
        let loaded = Identity::load(&certificate, &key).unwrap();
        assert_eq!(loaded.fingerprint(), identity.fingerprint());
        assert_eq!(loaded.key.0.secret_der(), identity.key.0.secret_der());
    }
}

#[cfg(unix)]
#[test]
fn the_key_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    Identity::generate("v").unwrap().save(&certificate, &key).unwrap();
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn fingerprints_print_and_parse() {
    let fingerprint = Identity::generate("v").unwrap().fingerprint();
    assert_eq!(fingerprint.to_string().parse::<Fingerprint>().unwrap(), fingerprint);
    for wrong in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(66)] {
        assert!(matches!(wrong.parse::<Fingerprint>(), Err(IdentityError::Fingerprint(_))));
    }
}

#[test]
fn fingerprint_is_sha256() {
    assert_eq!(
        Fingerprint::of(b"abc").to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn missing_and_wrong_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    let missing = Identity::load(&certificate, &key).unwrap_err().to_string();
    assert!(missing.contains("a.pem"), "{missing}");
    Identity::generate("v").unwrap().save(&certificate, &key).unwrap();
    fs::write(&key, "nothing").unwrap();
    let wrong = Identity::load(&certificate, &key).unwrap_err().to_string();
    assert!(wrong.contains("a.key") && wrong.contains("private key"), "{wrong}");
}

#[test]
fn a_renewed_certificate_is_known_by_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    let identity = Identity::generate("v").unwrap();
    let (clone, pinned, first) = (identity.clone(), identity.fingerprint(), identity.certificate());
    let until = |seconds| SystemTime::UNIX_EPOCH..SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let renewed = identity.renewed("v", until(4_000_000_000)).unwrap();
    assert_eq!((renewed.fingerprint(), renewed.valid_until()), (pinned, Some(4_000_000_000)));
    assert!(renewed.certificate() != first && renewed.is_known_by(pinned));
    assert!(!renewed.is_known_by(first), "a pinned certificate is that one and no other");
    assert!(identity.is_known_by(first) && identity.valid_until() > Some(4_000_000_000));
    renewed.save(&certificate, &key).unwrap();
    identity.renew(&Identity::load(&certificate, &key).unwrap());
    assert_eq!(clone.certificate(), renewed.certificate(), "clones show it as well");
    // That of another key is not shown, and cannot be loaded beside this one.
    let stranger = Identity::generate("v").unwrap();
    identity.renew(&stranger);
    assert_eq!(identity.certificate(), renewed.certificate());
    stranger.save(&certificate, &dir.path().join("b.key")).unwrap();
    assert!(matches!(Identity::load(&certificate, &key), Err(IdentityError::Pem { .. })));
}
