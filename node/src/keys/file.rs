//! The form of a key file: PKCS#8 (RFC 5958) of an Ed25519 secret (RFC 8410), in PEM, encrypted or not.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use kernels::ed25519::SigningKey;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::pkcs5::pbes2::{self, EncryptionScheme, Kdf, Pbkdf2Params, Salt, ScryptParams};
use pkcs8::spki::AlgorithmIdentifier;
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument, pkcs5,
};
use zeroize::{Zeroize as _, Zeroizing, zeroize_stack};

use super::KeyError;
use super::passphrase::{Passphrase, Source, refuse_exposed};
use crate::config::create_private;

/// id-Ed25519 of RFC 8410.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// What begins a PEM file of a secret as it is, and of one that is encrypted.
const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// The secret is an octet string inside the octet string of PKCS#8: tag, length, 32 bytes.
const INNER_BYTES: usize = 34;
const INNER_START: [u8; 2] = [4, 32];

/// Bytes of the longest file that is read as a key file. An encrypted one has about 400.
const FILE_BYTES_MAX: usize = 16 << 10;

/// How scrypt is used for new files: 16 MiB and five passes. More memory in one pass would be as costly to an attacker,
/// but OpenSSL refuses files that take more than 32 MiB.
const SCRYPT_COST: u64 = 1 << 14;
const SCRYPT_BLOCK: u16 = 8;
const SCRYPT_PASSES: u16 = 5;

/// Bytes of memory that a file that is read may ask for: eight times what the strongest usual choice (2^17, 8) takes.
pub(super) const MEMORY_MAX: u64 = 1 << 30;
/// Rounds of PBKDF2, or cost times block times passes of scrypt, that a file that is read may ask for.
pub(super) const ROUNDS_MAX: u64 = 10_000_000;

/// Bytes of stack that are wiped after keys were derived from passphrases: PKCS#5 leaves them there.
const STACK_BYTES: usize = 16 << 10;

/// The secret of an account. Wiped when dropped, and not shown by `Debug`.
pub struct AccountKey(Zeroizing<[u8; 32]>);

impl AccountKey {
    /// The key of a secret; the copy that comes in is wiped.
    #[must_use]
    pub fn new(mut secret: [u8; 32]) -> Self {
        let key = Self(Zeroizing::new(secret));
        secret.zeroize();
        key
    }

    /// A fresh one from the operating system.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Self(Zeroizing::new([0; 32]));
        getrandom::fill(&mut *key.0).map_err(|error| KeyError::Random(io::Error::other(error)))?;
        Ok(key)
    }

    /// What signs.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(*self.0)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.signing_key().public_key()
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(…)")
    }
}

/// How a file protects its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Not at all: a reader of the file has the secret.
    None,
    /// A passphrase, through scrypt with this cost and so many passes.
    Scrypt {
        /// N of RFC 7914.
        cost: u64,
        /// p of RFC 7914.
        passes: u16,
    },
    /// A passphrase, through so many rounds of PBKDF2.
    Pbkdf2 {
        /// The rounds.
        rounds: u32,
    },
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none: a reader of the file has the secret"),
            Self::Scrypt { cost, passes } => {
                write!(f, "passphrase (scrypt, cost {cost}, passes {passes})")
            }
            Self::Pbkdf2 { rounds } => write!(f, "passphrase (PBKDF2, rounds {rounds})"),
        }
    }
}

/// Writes a key into a new file that only its owner can read.
///
/// # Errors
/// [`KeyError::Exists`], [`KeyError::Io`], [`KeyError::Random`].
pub fn write(key: &AccountKey, file: &Path, passphrase: Option<&Passphrase>) -> Result<Protection, KeyError> {
    let (text, protection) = encode(key, passphrase)?;
    zeroize_stack::<STACK_BYTES>();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(file.to_owned()),
        _ => KeyError::Io { file: file.to_owned(), source },
    };
    let mut new = create_private(file).map_err(failed)?;
    new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).map_err(|source| {
        // Half a key is no use, and would be in the way.
        let _ = fs::remove_file(file);
        failed(source)
    })?;
    Ok(protection)
}

/// Reads a key, and says how it was protected. The source is asked only if the file is encrypted.
///
/// # Errors
/// [`KeyError`].
pub fn read(file: &Path, source: &Source) -> Result<(AccountKey, Protection), KeyError> {
    let io = |source| KeyError::Io { file: file.to_owned(), source };
    let opened = File::open(file).map_err(io)?;
    refuse_exposed(&opened, file)?;
    // One allocation, so that no copy of the text stays behind.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * FILE_BYTES_MAX));
    opened.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(io)?;
    let not_a_key = || KeyError::NotAKeyFile(file.to_owned());
    if text.len() > FILE_BYTES_MAX {
        return Err(not_a_key());
    }
    let text = str::from_utf8(&text).map_err(|_| not_a_key())?;
    let (label, document) = SecretDocument::from_pem(text).map_err(|_| not_a_key())?;
    match label {
        PLAIN => Ok((decode(document.as_bytes(), file)?, Protection::None)),
        ENCRYPTED => {
            let decrypted = decrypt(document.as_bytes(), file, source);
            zeroize_stack::<STACK_BYTES>();
            decrypted
        }
        other => Err(KeyError::OtherLabel { file: file.to_owned(), label: other.to_owned() }),
    }
}

/// The text of a key file. Not inlined, so that its stack lies where the caller then wipes.
#[inline(never)]
fn encode(
    key: &AccountKey,
    passphrase: Option<&Passphrase>,
) -> Result<(Zeroizing<String>, Protection), KeyError> {
    let mut inner = Zeroizing::new([0; INNER_BYTES]);
    inner[..2].copy_from_slice(&INNER_START);
    inner[2..].copy_from_slice(&*key.0);
    let secret = OctetStringRef::new(&*inner).expect("34 bytes fit into an octet string");
    let info = PrivateKeyInfoRef::new(AlgorithmIdentifier { oid: ED25519, parameters: None }, secret);
    let fits = "constant sizes fit into every length field";
    let (label, document, protection) = match passphrase {
        None => (PLAIN, SecretDocument::encode_msg(&info).expect(fits), Protection::None),
        Some(passphrase) => {
            let (parameters, protection) = new_parameters()?;
            let document = info.encrypt_with_params(parameters, passphrase.bytes()).expect(fits);
            (ENCRYPTED, document, protection)
        }
    };
    Ok((document.to_pem(label, LineEnding::LF).expect(fits), protection))
}

/// How a new file is encrypted, with fresh salt.
fn new_parameters() -> Result<(pbes2::Parameters, Protection), KeyError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    for bytes in [&mut salt, &mut iv] {
        getrandom::fill(bytes).map_err(|error| KeyError::Random(io::Error::other(error)))?;
    }
    let kdf = Kdf::Scrypt(ScryptParams {
        salt: Salt::new(salt).expect("16 bytes are a salt"),
        cost_parameter: SCRYPT_COST,
        block_size: SCRYPT_BLOCK,
        parallelization: SCRYPT_PASSES,
        key_length: None,
    });
    let protection = Protection::Scrypt { cost: SCRYPT_COST, passes: SCRYPT_PASSES };
    Ok((pbes2::Parameters { kdf, encryption: EncryptionScheme::Aes256Cbc { iv } }, protection))
}

/// Not inlined, as [`encode`].
#[inline(never)]
fn decrypt(document: &[u8], file: &Path, source: &Source) -> Result<(AccountKey, Protection), KeyError> {
    let unsupported = |problem: String| KeyError::Encryption { file: file.to_owned(), problem };
    let info =
        EncryptedPrivateKeyInfoRef::try_from(document).map_err(|error| unsupported(error.to_string()))?;
    let parameters = info.encryption_algorithm.pbes2();
    let parameters = parameters.ok_or_else(|| unsupported("PBES1, which is broken".to_owned()))?;
    let protection = affordable(&parameters.kdf, file)?;
    let passphrase = source.passphrase(file)?;
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let wrong = || KeyError::WrongPassphrase(file.to_owned());
    let plain = match parameters.decrypt_in_place(passphrase.bytes(), &mut buffer) {
        Ok(plain) => plain,
        Err(pkcs5::Error::DecryptFailed) => return Err(wrong()),
        Err(error) => return Err(unsupported(error.to_string())),
    };
    // One wrong passphrase in 256 leaves a valid padding and then nothing that makes sense.
    if PrivateKeyInfoRef::try_from(plain).is_err() {
        return Err(wrong());
    }
    Ok((decode(plain, file)?, protection))
}

/// Refuses what would take the memory or the time of the machine before the passphrase is even asked for.
fn affordable(kdf: &Kdf, file: &Path) -> Result<Protection, KeyError> {
    let (memory, rounds, cost, protection) = match kdf {
        Kdf::Pbkdf2(Pbkdf2Params { iteration_count: rounds, .. }) => {
            (0, u64::from(*rounds), format!("{rounds} rounds"), Protection::Pbkdf2 { rounds: *rounds })
        }
        Kdf::Scrypt(ScryptParams { cost_parameter, block_size, parallelization, .. }) => {
            let (cost, block, passes) = (*cost_parameter, u64::from(*block_size), *parallelization);
            let memory = cost.saturating_add(passes.into()).saturating_mul(128 * block);
            let rounds = cost.saturating_mul(block * u64::from(passes));
            let text = format!("scrypt with cost {cost}, block {block} and {passes} passes");
            (memory, rounds, text, Protection::Scrypt { cost, passes })
        }
        other => {
            let problem = format!("key derivation {}", other.oid());
            return Err(KeyError::Encryption { file: file.to_owned(), problem });
        }
    };
    if memory > MEMORY_MAX || rounds > ROUNDS_MAX {
        return Err(KeyError::TooCostly { file: file.to_owned(), cost });
    }
    Ok(protection)
}

/// The secret of PKCS#8 that is not encrypted.
fn decode(document: &[u8], file: &Path) -> Result<AccountKey, KeyError> {
    let damaged = |problem: String| KeyError::Damaged { file: file.to_owned(), problem };
    let info = PrivateKeyInfoRef::try_from(document).map_err(|error| damaged(error.to_string()))?;
    if info.algorithm.oid != ED25519 {
        let algorithm = info.algorithm.oid.to_string();
        return Err(KeyError::NotEd25519 { file: file.to_owned(), algorithm });
    }
    let secret = info.private_key.as_bytes().strip_prefix(&INNER_START);
    let secret = secret.and_then(|secret| <&[u8; 32]>::try_from(secret).ok());
    let secret = secret.ok_or_else(|| damaged("the secret is not 32 bytes".to_owned()))?;
    let key = AccountKey::new(*secret);
    // Version 2 of the form carries the public half as well.
    match info.public_key.map(|listed| listed.as_bytes() == Some(&key.public_key()[..])) {
        Some(false) => Err(damaged("its public key is not that of its secret".to_owned())),
        Some(true) | None => Ok(key),
    }
}
