//! Everything that can be wrong with a key file or its passphrase, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::cli::quoted;

/// A key file that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a file already.
    #[error("{}: there is a file already, and a key is never overwritten; name another file", .0.display())]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("cannot make a key: the operating system gives no random bytes: {0}")]
    Random(io::Error),
    /// Other users of the machine can read it.
    #[error(
        "{}: other users of this machine can read this secret (mode {mode:04o}); run: chmod 600 {}",
        file.display(), quoted(file)
    )]
    Exposed {
        /// The key file, or the file with its passphrase.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not PEM, or much too long.
    #[error(
        "{}: this is not a key file; make one with: millrace key new FILE, or: openssl genpkey -algorithm ed25519 \
         -out FILE",
        .0.display()
    )]
    NotAKeyFile(PathBuf),
    /// It is PEM, of something else.
    #[error(
        "{}: this holds a {label:?}, and a key file holds a \"PRIVATE KEY\" or an \"ENCRYPTED PRIVATE KEY\" (PKCS#8); \
         name another file, or make one with: millrace key new FILE",
        file.display()
    )]
    OtherLabel {
        /// The file.
        file: PathBuf,
        /// What it says to be.
        label: String,
    },
    /// It is a private key of another algorithm.
    #[error(
        "{}: this is the key of another algorithm (object identifier {algorithm}); accounts have Ed25519 keys",
        file.display()
    )]
    NotEd25519 {
        /// The file.
        file: PathBuf,
        /// The algorithm.
        algorithm: String,
    },
    /// It begins as a key file does and is none.
    #[error("{}: this key file is damaged: {problem}; use a copy", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is encrypted in a way that is not known here.
    #[error(
        "{}: this key file is encrypted in a way that is not supported ({problem}); OpenSSL converts it with: openssl \
         pkcs8 -topk8 -scrypt -in OLD -out NEW",
        file.display()
    )]
    Encryption {
        /// The file.
        file: PathBuf,
        /// What is not known.
        problem: String,
    },
    /// To decrypt it would take too much memory or time.
    #[error(
        "{}: to decrypt this file takes more memory or time than a key file may ask for ({cost}); if you trust the \
         file, convert it with: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW",
        file.display()
    )]
    TooCostly {
        /// The file.
        file: PathBuf,
        /// What it asks for.
        cost: String,
    },
    /// It is encrypted, and nothing gives the passphrase.
    #[error(
        "{}: a passphrase is needed and there is no terminal to ask; give --passphrase-file or --passphrase-env",
        .0.display()
    )]
    NoPassphrase(PathBuf),
    /// The passphrase does not decrypt it.
    #[error("{}: the passphrase is wrong, or the file is damaged; try again", .0.display())]
    WrongPassphrase(PathBuf),
    /// The environment does not have the passphrase.
    #[error(
        "the environment variable {0} is not set; --passphrase-env names the one that holds the passphrase"
    )]
    NoVariable(String),
    /// The passphrase is empty or too long.
    #[error("the passphrase {from} has {bytes} bytes; it must have 1 to {}", super::passphrase::BYTES_MAX)]
    Length {
        /// Where it came from.
        from: String,
        /// Its length.
        bytes: usize,
    },
    /// The two passphrases that were typed differ.
    #[error("the two passphrases differ; nothing was written, try again")]
    Differ,
    /// The terminal cannot be read.
    #[error("cannot read the passphrase from the terminal: {0}; give --passphrase-file or --passphrase-env")]
    Terminal(io::Error),
    /// An account of the genesis has a key that does not follow from the network's secret.
    #[error(
        "{}: the key of this account does not follow from customers.seed; ask its owner for the key file",
        file.display()
    )]
    NotDerived {
        /// The network's directory.
        file: PathBuf,
    },
}
