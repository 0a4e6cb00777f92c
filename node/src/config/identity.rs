//! A validator's secrets, and whether they and the peers are those that the genesis knows.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use engine::types::{Genesis, Membership};
use kernels::ed25519::SigningKey;
use net::{Fingerprint, Identity};

use super::{ConfigError, Contradiction, PeerConfig};

/// Who may read a secret, beside its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Owner,
    /// Its group, which may read and do nothing else: so an orchestrator mounts secrets.
    Group,
}

impl Readers {
    /// The permission bits of a file, if they let others at it.
    pub(crate) fn exposed(self, metadata: &Metadata) -> Option<u32> {
        let mode = metadata.permissions().mode() & 0o7777;
        let kept = match self {
            Self::Owner => 0o077,
            Self::Group => 0o037,
        };
        (mode & kept != 0).then_some(mode)
    }

    /// Refuses a file that others can read.
    ///
    /// # Errors
    /// [`ConfigError::Exposed`], and [`ConfigError::Unreadable`] where there is none.
    pub(super) fn check(self, file: &Path) -> Result<(), ConfigError> {
        let metadata =
            fs::metadata(file).map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        match self.exposed(&metadata) {
            None => Ok(()),
            Some(mode) => Err(ConfigError::Exposed { file: file.to_owned(), mode }),
        }
    }
}

/// Makes a file that only its owner can read.
///
/// # Errors
/// What the operating system answered; there is a file already.
pub(crate) fn create_private(file: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

/// Thirty-two bytes that nobody else may know, and that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A fresh one from the operating system.
    ///
    /// # Errors
    /// What the operating system answered.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }

    /// Reads one from a file of 64 hexadecimal digits that nobody but `readers` can read.
    ///
    /// # Errors
    /// [`ConfigError::Exposed`] where others could read it too.
    pub fn load(file: &Path, readers: Readers) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
        readers.check(file)?;
        let text = fs::read_to_string(file).map_err(unreadable)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|error| ConfigError::Content {
            file: file.to_owned(),
            problem: format!("a secret key is 64 hexadecimal digits: {error}"),
        })?;
        Ok(Self(bytes))
    }

    /// Writes it so that only its owner can read it; an existing file is never overwritten.
    ///
    /// # Errors
    /// What the operating system answered.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        writeln!(create_private(file)?, "{}", hex::encode(self.0))
    }
}

/// The parts of a configuration that the genesis has a say in.
pub(super) struct Claims<'a> {
    pub file: &'a Path,
    pub genesis_file: &'a Path,
    pub index: Option<u16>,
    pub name: &'a str,
    pub peers: &'a [PeerConfig],
    pub consensus_key_file: &'a Path,
    pub consensus_seed: &'a Secret,
    pub certificate_file: &'a Path,
    pub identity: &'a Identity,
}

impl Claims<'_> {
    /// Compares every claim with the genesis; the first that differs is the error.
    pub(super) fn check(&self, genesis: &Genesis) -> Result<(), ConfigError> {
        match self.index {
            Some(index) => self.check_own(index, genesis)?,
            None if genesis.membership() == Membership::Decided => {}
            None => {
                return Err(ConfigError::Missing {
                    file: self.file.to_owned(),
                    field: "validator.index".into(),
                    help: "this validator's place in the genesis: the members of this network are fixed, so it must be there",
                    misspelt: None,
                });
            }
        }
        self.check_peers(genesis)
    }

    fn check_own(&self, index: u16, genesis: &Genesis) -> Result<(), ConfigError> {
        let validators = genesis.validators();
        let Some(me) = validators.get(usize::from(index)) else {
            return Err(self.against_genesis(
                self.file,
                "validator.index".into(),
                index.to_string(),
                "validator".into(),
                format!("there are {} validators, counted from 0", validators.len()),
                "set the index under which the genesis lists this validator",
            ));
        };
        let listed = |part: &str| format!("validator[{index}].{part}");
        if me.name != self.name {
            return Err(self.against_genesis(
                self.file,
                "validator.name".into(),
                format!("\"{}\"", self.name),
                listed("name"),
                format!("\"{}\"", me.name),
                "index and name must be those of one validator",
            ));
        }
        let public_key = SigningKey::from_seed(self.consensus_seed.0).public_key();
        if me.public_key != public_key {
            return Err(self.against_genesis(
                self.consensus_key_file,
                "the public key of this secret".into(),
                hex::encode(public_key),
                listed("public_key"),
                hex::encode(me.public_key),
                "use the key with which this validator entered the genesis",
            ));
        }
        // Where members are decided about, the certificate may be another one by now; the start looks at that.
        let is_fixed = genesis.membership() == Membership::Fixed;
        if is_fixed && !self.identity.is_known_by(Fingerprint(me.certificate_fingerprint)) {
            return Err(self.against_genesis(
                self.certificate_file,
                "the fingerprint of this certificate's key".into(),
                self.identity.fingerprint().to_string(),
                listed("certificate_fingerprint"),
                hex::encode(me.certificate_fingerprint),
                "use the key with which this validator entered the genesis, and a certificate for it; where the genesis \
                 has the fingerprint of a whole certificate, only that one can be used",
            ));
        }
        Ok(())
    }

    fn check_peers(&self, genesis: &Genesis) -> Result<(), ConfigError> {
        let validators = genesis.validators();
        for (at, peer) in self.peers.iter().enumerate() {
            let field = |part: &str| format!("peer with index {}: {part}", peer.index);
            if Some(peer.index) == self.index {
                return Err(self.contradiction(
                    field("index"),
                    peer.index.to_string(),
                    "validator.index",
                    "a validator is not its own peer: remove this section",
                ));
            }
            if self.peers[..at].iter().any(|earlier| earlier.index == peer.index) {
                return Err(self.contradiction(
                    field("index"),
                    peer.index.to_string(),
                    "peer",
                    "each peer is listed once: remove one of the two sections",
                ));
            }
            let Some(known) = validators.get(usize::from(peer.index)) else {
                return Err(self.against_genesis(
                    self.file,
                    field("index"),
                    peer.index.to_string(),
                    "validator".into(),
                    format!("there are {} validators, counted from 0", validators.len()),
                    "remove this section",
                ));
            };
            let claims = [
                ("name", format!("\"{}\"", peer.name), format!("\"{}\"", known.name)),
                ("public_key", hex::encode(peer.public_key), hex::encode(known.public_key)),
                (
                    "certificate_fingerprint",
                    hex::encode(peer.certificate_fingerprint),
                    hex::encode(known.certificate_fingerprint),
                ),
            ];
            for (part, says, genesis_says) in claims {
                if says != genesis_says {
                    return Err(self.against_genesis(
                        self.file,
                        field(part),
                        says,
                        format!("validator[{}].{part}", peer.index),
                        genesis_says,
                        "the genesis decides: correct the peer's section",
                    ));
                }
            }
        }
        let missing = (0..validators.len() as u16)
            .find(|index| Some(*index) != self.index && self.peers.iter().all(|peer| peer.index != *index));
        match missing {
            None => Ok(()),
            Some(index) => Err(ConfigError::Missing {
                file: self.file.to_owned(),
                field: format!("peer with index {index} (\"{}\")", validators[usize::from(index)].name),
                help: "a [[peer]] section for every other validator of the genesis",
                misspelt: None,
            }),
        }
    }

    fn against_genesis(
        &self,
        file: &Path,
        field: String,
        says: String,
        other_field: String,
        other_says: String,
        help: &'static str,
    ) -> ConfigError {
        let (file, other_file) = (file.to_owned(), self.genesis_file.to_owned());
        ConfigError::from(Box::new(Contradiction {
            file,
            field,
            says,
            other_file,
            other_field,
            other_says,
            help,
        }))
    }

    fn contradiction(
        &self,
        field: String,
        says: String,
        other_field: &str,
        help: &'static str,
    ) -> ConfigError {
        ConfigError::from(Box::new(Contradiction {
            file: self.file.to_owned(),
            field,
            other_says: says.clone(),
            says,
            other_file: self.file.to_owned(),
            other_field: other_field.to_owned(),
            help,
        }))
    }
}
