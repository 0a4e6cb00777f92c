//! How the epochs of a network followed each other, fetched for a validator that could not learn it by itself: one that
//! is new, or was away while others came and went.
//!
//! ```text
//! any validator ─▶ ended epochs ─▶ does each follow from the one before? ─▶ DIR/validator-N/data/epochs
//!       ▲                                                                        │
//!       └─────────── the members that it leads to: do they know of more? ◀───────┘
//! ```
//!
//! Nobody who answers is believed. But keys that have been replaced may have been stolen since, and with a quorum of
//! them somebody could sign another history behind their epoch. So f+1 of the last members must be found at work, or
//! the operator names these members' digest, as an administrator has told it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use client::Client;
use engine::replica::{Epochs, HandoverError};
use engine::types::{Digest, Epoch, Members, Support};
use net::{Address, Fingerprint};

use super::Network;
use crate::disk::replace_file;
use crate::validator::EPOCHS_FILE;
use crate::validator::ordering::Certificates;

/// How often it is tried to find somebody who answers, and the pause between: at the border of an epoch all validators
/// start again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What was learnt.
#[derive(Debug)]
pub struct Learnt {
    /// All epochs.
    pub epochs: Epochs,
    /// How many of the present members answer and are in this epoch.
    pub agree: usize,
    /// The files that say so now.
    pub files: Vec<PathBuf>,
}

/// Why nothing was learnt. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Nobody has answered.
    #[error(
        "no validator of this network answers at an address that is known here: name one with --endpoint and \
         --fingerprint, as `millrace chain members` lists them where the network is in use"
    )]
    Nobody,
    /// Somebody has sent epochs that do not follow from the genesis.
    #[error("what {from} says of epoch {epoch} is false: {error}. Ask another one")]
    False {
        /// Who.
        from: Address,
        /// Of which epoch.
        epoch: Epoch,
        /// What is wrong.
        error: HandoverError,
    },
    /// Too few of the last members are at work.
    #[error(
        "{found} of the {members} validators of epoch {epoch} answer and say that it is the present one, and {needed} must: \
         replaced keys may have been stolen. Ask again when more of them are up, or compare the digest of these \
         validators, {digest}, with what an administrator's `millrace chain members` prints, and name it with --trust"
    )]
    Few {
        /// How many do.
        found: usize,
        /// Of how many.
        members: usize,
        /// How many must.
        needed: usize,
        /// The epoch.
        epoch: Epoch,
        /// The digest of its members.
        digest: Digest,
    },
    /// What is trusted is not in what was learnt.
    #[error(
        "the epochs from the genesis up to {present} have no validators with the digest {trusted}: those who answer are \
         behind, or have another history than the one that is trusted"
    )]
    Untrusted {
        /// What is trusted.
        trusted: Digest,
        /// The last epoch that was learnt.
        present: Epoch,
    },
    /// The genesis has an invalid key.
    #[error("the genesis has an invalid key: {0}")]
    Genesis(#[from] consensus::StartError),
    /// A file cannot be written.
    #[error("cannot write {}: {error}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Learns the epochs from a validator that is named, or else from those of the directory, and from the members to which
/// they lead; and writes them where the validators of the directory look for them. `trust` is the digest of the members
/// of an epoch that is known to be the network's.
///
/// # Errors
/// [`LearnError`].
pub fn learn(
    network: &Network,
    from: Option<(Address, Fingerprint)>,
    trust: Option<Digest>,
) -> Result<Learnt, LearnError> {
    let listed = || network.members.iter().map(|member| (member.clients.clone(), member.fingerprint));
    let sources = from.map_or_else(|| listed().collect(), |from| vec![from]);
    let mut tries = TRIES;
    let (epochs, agree) = loop {
        tries -= 1;
        match ask(network, sources.clone()) {
            Err(LearnError::Nobody) if tries > 0 => std::thread::sleep(PAUSE),
            asked => break asked?,
        }
    };
    let present = epochs.present();
    match trust {
        Some(trusted) if !epochs.all().any(|members| members.digest() == trusted) => {
            return Err(LearnError::Untrusted { trusted, present });
        }
        Some(_) => {}
        None => {
            let members = epochs.members();
            let (count, needed) = (members.list.len(), members.list.len() - members.quorum() + 1);
            if agree < needed {
                let (found, digest) = (agree, members.digest());
                return Err(LearnError::Few { found, members: count, needed, epoch: present, digest });
            }
        }
    }
    let mut files = Vec::new();
    for member in network.members.iter().filter(|member| member.config_file().exists()) {
        let file = member.data().join(EPOCHS_FILE);
        let written = fs::create_dir_all(member.data()).and_then(|()| replace_file(&file, &epochs.encode()));
        written.map_err(|error| LearnError::File { file: file.clone(), error })?;
        files.push(file);
    }
    Ok(Learnt { epochs, agree, files })
}

/// The epochs as far as these, and the members to which they lead, know them; and how many of the last members say that
/// theirs is the present one.
fn ask(network: &Network, mut sources: Vec<(Address, Fingerprint)>) -> Result<(Epochs, usize), LearnError> {
    let certificates = Certificates::new(&network.genesis)?;
    let mut epochs = Epochs::genesis(&network.genesis, Support::OURS);
    let (mut answered, mut asked) = (false, BTreeSet::new());
    loop {
        let before = epochs.present();
        let mut agree = 0;
        for (address, fingerprint) in &sources {
            let connected = Client::connect(address, *fingerprint, *network.genesis.network());
            let Ok(mut client) = connected else { continue };
            match extend(&mut client, (&mut epochs, &certificates)) {
                Ok(present) => {
                    answered = true;
                    let is_member = has(epochs.members(), *fingerprint);
                    agree += usize::from(is_member && present == epochs.present());
                }
                Err(Refused::Unanswered) => {}
                Err(Refused::False(epoch, error)) => {
                    return Err(LearnError::False { from: address.clone(), epoch, error });
                }
            }
        }
        // Only where all members of the last epoch were asked is it known how many of them are at work.
        if epochs.present() == before && !asked.insert(before) {
            return if answered { Ok((epochs, agree)) } else { Err(LearnError::Nobody) };
        }
        if !answered {
            return Err(LearnError::Nobody);
        }
        sources = addresses(network, epochs.members());
    }
}

enum Refused {
    /// The next one is asked.
    Unanswered,
    False(Epoch, HandoverError),
}

/// Goes on with what this one knows, and returns the epoch in which it says that it is.
fn extend(
    client: &mut Client,
    (epochs, certificates): (&mut Epochs, &Certificates),
) -> Result<Epoch, Refused> {
    loop {
        let ended = client.ended_epochs(epochs.present()).map_err(|_| Refused::Unanswered)?;
        if ended.is_empty() {
            let (members, _) = client.members().map_err(|_| Refused::Unanswered)?.value;
            return Ok(members.epoch);
        }
        for handover in ended {
            let epoch = handover.members.epoch;
            epochs.begin(handover, certificates).map_err(|error| Refused::False(epoch, error))?;
        }
    }
}

fn has(members: &Members, fingerprint: Fingerprint) -> bool {
    members.list.iter().any(|member| member.certificate_fingerprint == fingerprint.0)
}

/// Where clients reach these members, as was decided or as the directory says.
fn addresses(network: &Network, members: &Members) -> Vec<(Address, Fingerprint)> {
    let address = |member: &engine::types::Member| {
        Some((network.clients_of(member)?, Fingerprint(member.certificate_fingerprint)))
    };
    members.list.iter().filter_map(address).collect()
}
