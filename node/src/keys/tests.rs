use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::pkcs5::pbes2::{self, EncryptionScheme, Kdf, Pbkdf2Params, Salt, ScryptParams};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, SecretDocument};
use zeroize::Zeroizing;

// Made by OpenSSL 3.0.19: genpkey -algorithm ed25519, and pkcs8 -topk8 of the same key under the passphrase below.
const PLAIN: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIH84UGhIBzAujYsNLAjf0T5z8/et8TyBYhELzuM951W8
-----END PRIVATE KEY-----
";
const PBKDF2: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj8+kb3CcQt8gICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEAIo/Fsens18dXGg1xZeTUcEQH2z
qB8fPdSVC1PuoFZfUEfZ+JLVt96zIJKJR3x1YHrldIsZfyIudlRouqP0Cli9fs9J
nWe/0/RVhmnO6DJDclU=
-----END ENCRYPTED PRIVATE KEY-----
";
const SCRYPT: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAhj9Yzi3dIcqAICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBDNBK3wfAJWmSg7QAgSeKJXBEC0kjyjY8ifUAM0
1NFDIN7nvDPEOYGDHooMLlw78p0hO1u99DLccz4V/HWApuPpUrj+SOXUjFEe2eNo
9wpVXDlc
-----END ENCRYPTED PRIVATE KEY-----
";
/// -v2prf hmacWithSHA1.
const PBKDF2_SHA1: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGNMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAg2buPL4UfPmwICCAAw
HQYJYIZIAWUDBAEqBBD5UaeZeQ6WQU0oLNevScwyBED0GyA8JCYOX7qCxdjHaycm
4f4q6A8rBJb+iCSBUbXDp6Z1JUYnqGyd8tXXgOmOMqQNTeidyMcwaYcjIyllVVMo
-----END ENCRYPTED PRIVATE KEY-----
";
/// -v1 PBE-SHA1-3DES.
const PBES1: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MFgwHAYKKoZIhvcNAQwBAzAOBAhbpiuOHQYAdQICCAAEOI7LenqfXJc7rQKsogy9
ZA4lIiVPPUpr0qd5B5OLHLcxkqJ58hAUI9E4al8eIfJtMtvIaA+M/i3U
-----END ENCRYPTED PRIVATE KEY-----
";
const X25519: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIJA+dXzivaHxfX84EXvPB2PCsssAP81nqEfvq7+kSdNJ
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAbJIWSELJjkYilIYEedLoYcVHlZu/noQv8NMTkaJXk8k=
-----END PUBLIC KEY-----
";
const SECRET: &str = "7f3850684807302e8d8b0d2c08dfd13e73f3f7adf13c8162110bcee33de755bc";
const PUBLIC_KEY: &str = "6c92164842c98e462294860479d2e861c547959bbf9e842ff0d31391a25793c9";
const PASSPHRASE: &str = "correct horse";

/// A directory with a file that holds the passphrase.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.file("pass", PASSPHRASE);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file that only its owner can read.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn source(&self) -> Source {
        Source::File(self.path("pass"))
    }

    fn read(&self, text: &str) -> Result<(AccountKey, Protection), KeyError> {
        read(&self.file("key.pem", text), &self.source())
    }

    /// What is said of a file that cannot be used.
    fn refused(&self, text: &str) -> KeyError {
        self.read(text).unwrap_err()
    }
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.as_bytes().to_vec()), "here").unwrap()
}

fn key() -> AccountKey {
    AccountKey::new(hex::decode(SECRET).unwrap().try_into().unwrap())
}

#[test]
fn a_key_comes_back_from_its_file_with_and_without_a_passphrase() {
    let place = Place::new();
    for passphrase in [None, Some(passphrase(PASSPHRASE))] {
        let file = place.path(if passphrase.is_some() { "encrypted.pem" } else { "plain.pem" });
        let key = AccountKey::generate().unwrap();
        let written = write(&key, &file, passphrase.as_ref()).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        let (back, protection) = read(&file, &place.source()).unwrap();
        assert_eq!((back.public_key(), protection), (key.public_key(), written));
        assert_eq!(protection == Protection::None, passphrase.is_none());

        // Nothing is overwritten.
        let text = fs::read_to_string(&file).unwrap();
        let error = write(&AccountKey::generate().unwrap(), &file, None).unwrap_err();
        assert!(matches!(error, KeyError::Exists(_)), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    // The same key is encrypted with other salt each time.
    let [one, two] = ["one.pem", "two.pem"].map(|name| place.path(name));
    for file in [&one, &two] {
        write(&key(), file, Some(&passphrase(PASSPHRASE))).unwrap();
    }
    assert_ne!(fs::read(one).unwrap(), fs::read(two).unwrap());
}

#[test]
fn files_of_openssl_are_read() {
    let place = Place::new();
    let forms = [
        (PLAIN, Protection::None),
        (PBKDF2, Protection::Pbkdf2 { rounds: 2048 }),
        (SCRYPT, Protection::Scrypt { cost: 1 << 14, passes: 1 }),
    ];
    for (text, protection) in forms {
        let (key, found) = place.read(text).unwrap();
        assert_eq!((hex::encode(key.public_key()), found), (PUBLIC_KEY.to_owned(), protection));
        // Windows ends lines otherwise, and people write above a key what it is for.
        let noted = format!("The key of the till\r\n\r\n{}", text.replace('\n', "\r\n"));
        assert_eq!(place.read(&noted).unwrap().0.public_key(), key.public_key());
    }
    // A file without passphrase is the same byte for byte.
    let file = place.path("again.pem");
    write(&key(), &file, None).unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), PLAIN);
}

/// Only where OpenSSL is installed; the constants above stand in for it elsewhere.
#[test]
fn openssl_reads_the_files_that_are_written_and_the_other_way_round() {
    let place = Place::new();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(place.directory.path()).args(arguments).output();
        output.ok().map(|output| {
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        })
    };
    if openssl(&["version"]).is_none() {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    }
    write(&key(), &place.path("plain.pem"), None).unwrap();
    write(&key(), &place.path("encrypted.pem"), Some(&passphrase(PASSPHRASE))).unwrap();
    for file in ["plain.pem", "encrypted.pem"] {
        let read =
            openssl(&["pkey", "-in", file, "-passin", "file:pass", "-pubout", "-outform", "DER"]).unwrap();
        assert_eq!(hex::encode(&read[read.len() - 32..]), PUBLIC_KEY);
    }
    let generate =
        ["genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "file:pass", "-out", "new.pem"];
    openssl(&generate).unwrap();
    let read_there =
        openssl(&["pkey", "-in", "new.pem", "-passin", "file:pass", "-pubout", "-outform", "DER"]);
    let (key, protection) = read(&place.path("new.pem"), &place.source()).unwrap();
    assert!(read_there.unwrap().ends_with(&key.public_key()) && protection != Protection::None);
}

#[test]
fn each_thing_that_is_no_key_file_is_refused_in_its_own_words() {
    let place = Place::new();
    let armored = |label: &'static str, bytes: &[u8]| {
        let document = SecretDocument::try_from(bytes).unwrap();
        document.to_pem(label, LineEnding::LF).unwrap().to_string()
    };
    for text in ["", "nothing", SECRET, &PLAIN[..80], &PLAIN.replace("MC4", "M!4"), &"-".repeat(1 << 20)] {
        assert!(matches!(place.refused(text), KeyError::NotAKeyFile(_)), "{text:.80}");
    }
    assert!(matches!(place.refused(PUBLIC), KeyError::OtherLabel { label, .. } if label == "PUBLIC KEY"));
    assert!(
        matches!(place.refused(X25519), KeyError::NotEd25519 { algorithm, .. } if algorithm == "1.3.101.110")
    );
    for text in [PBES1, PBKDF2_SHA1] {
        let error = place.refused(text);
        assert!(matches!(error, KeyError::Encryption { .. }), "{error}");
    }
    // Valid PEM and DER, and no key.
    let error = place.refused(&armored("PRIVATE KEY", &[0x30, 0x03, 0x02, 0x01, 0x00]));
    assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
    let mut short = hex::decode("302c020100300506032b65700420041e").unwrap();
    short.extend([0; 30]);
    let error = place.refused(&armored("PRIVATE KEY", &short));
    assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
    let error = read(&place.path("nothing.pem"), &place.source()).unwrap_err();
    assert!(matches!(error, KeyError::Io { .. }), "{error}");
}

#[test]
fn a_public_key_that_is_listed_must_be_that_of_the_secret() {
    let place = Place::new();
    let with = |public_key: &str| {
        let text = format!("3051020101300506032b657004220420{SECRET}812100{public_key}");
        let document = SecretDocument::try_from(&hex::decode(text).unwrap()[..]).unwrap();
        place.read(&document.to_pem("PRIVATE KEY", LineEnding::LF).unwrap())
    };
    assert_eq!(with(PUBLIC_KEY).unwrap().0.public_key(), key().public_key());
    let error = with(SECRET).unwrap_err();
    assert!(matches!(error, KeyError::Damaged { .. }) && error.to_string().contains("public key"), "{error}");
}

#[test]
fn a_wrong_passphrase_is_said_to_be_wrong() {
    let place = Place::new();
    let file = place.file("key.pem", PBKDF2);
    // The last two leave a padding that looks right.
    for attempt in [0, 1, 398, 501] {
        place.file("pass", &format!("guess {attempt}"));
        let error = read(&file, &place.source()).unwrap_err();
        assert!(matches!(error, KeyError::WrongPassphrase(_)), "{attempt}: {error}");
    }
}

#[test]
fn an_encrypted_file_cannot_ask_for_all_memory_or_time() {
    let place = Place::new();
    let salt = Salt::new([7; 16]).unwrap();
    let scrypt = |cost_parameter, block_size, parallelization| {
        Kdf::Scrypt(ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None })
    };
    let kdfs = [
        scrypt(1 << 40, 8, 1),
        scrypt(u64::MAX, u16::MAX, u16::MAX),
        scrypt(2, u16::MAX, u16::MAX),
        scrypt(1 << 14, 8, 1_000),
        Kdf::Pbkdf2(Pbkdf2Params::hmac_sha256(20_000_000, &[7; 16]).unwrap()),
    ];
    for kdf in kdfs {
        let encryption = EncryptionScheme::Aes256Cbc { iv: [0; 16] };
        let parameters = pbes2::Parameters { kdf, encryption };
        let encrypted_data = OctetStringRef::new(&[0; 64]).unwrap();
        let info =
            EncryptedPrivateKeyInfoRef { encryption_algorithm: parameters.clone().into(), encrypted_data };
        let document = SecretDocument::encode_msg(&info).unwrap();
        let error = place.refused(&document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap());
        assert!(matches!(error, KeyError::TooCostly { .. }), "{parameters:?}: {error}");
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let place = Place::new();
    let file = place.file("key.pem", SCRYPT);
    for mode in [0o640, 0o604, 0o620, 0o666] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let error = read(&file, &place.source()).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    read(&file, &place.source()).unwrap();
    fs::set_permissions(place.path("pass"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = read(&file, &place.source()).unwrap_err();
    assert!(matches!(&error, KeyError::Exposed { file, .. } if file.ends_with("pass")), "{error}");
}

#[test]
fn a_passphrase_is_one_line_of_bounded_length() {
    let place = Place::new();
    let file = place.file("key.pem", SCRYPT);
    for text in ["correct horse\n", "correct horse\r\n", "correct horse\nand what else stands there\n"] {
        place.file("pass", text);
        read(&file, &place.source()).unwrap();
    }
    for (text, length) in [("", 0), ("\n", 0), (&*"x".repeat(2_000), 1_025)] {
        place.file("pass", text);
        let error = read(&file, &place.source()).unwrap_err();
        assert!(matches!(error, KeyError::Length { bytes, .. } if bytes == length), "{error}");
    }
    place.file("pass", &format!("{}\n", "x".repeat(1_023)));
    assert!(matches!(read(&file, &place.source()), Err(KeyError::WrongPassphrase(_))));
    let error = read(&file, &Source::Variable("MILLRACE_HAS_NO_SUCH_VARIABLE".into())).unwrap_err();
    assert!(matches!(error, KeyError::NoVariable(_)), "{error}");
    let error = read(&file, &Source::File(place.path("nothing"))).unwrap_err();
    assert!(matches!(error, KeyError::Io { .. }), "{error}");
    // What is not encrypted needs none.
    read(&place.file("plain.pem", PLAIN), &Source::File(place.path("nothing"))).unwrap();
}

#[test]
fn nothing_prints_a_secret() {
    let shown = format!("{:?} {:?} {:?}", key(), passphrase(PASSPHRASE), key().signing_key());
    assert!(
        !shown.contains(SECRET) && !shown.contains(PASSPHRASE) && !shown.contains("127, 56, 80"),
        "{shown}"
    );
}
