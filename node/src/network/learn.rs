//! How the epochs of a network followed each other, fetched for a validator that could not learn it by itself: one that
//! is new, or was away while others came and went.
//!
//! ```text
//! any validator ─▶ ended epochs ─▶ does each follow from the one before? ─▶ DIR/validator-N/data/epochs
//!       ▲                                                                        │
//!       └─────────── the members that it leads to: do they know of more? ◀───────┘
//! ```
//!
//! Nobody who answers is believed, and a false answer counts as none. But keys that have been replaced may have been
//! stolen since, and with a quorum of them somebody could sign another history behind their epoch, with members and
//! addresses of his own. So everybody is asked for all epochs, and two histories that part end the command; f+1 of the
//! last members must be found at work. Who can be led to strangers alone is helped by that no more than by their word:
//! only the digest of the last members, as an administrator has told it, is proof against this.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use client::{Client, ClientError};
use engine::replica::{Epochs, HandoverError};
use engine::types::{Digest, Epoch, Genesis, Members, Support, UnsupportedRules};
use net::{Address, Fingerprint};

use super::Network;
use crate::disk::replace_file;
use crate::validator::EPOCHS_FILE;
use crate::validator::ordering::Certificates;

/// How often it is tried to find somebody who answers, and the pause between: at the border of an epoch all validators
/// start again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// More epochs than a network has in a century with one change a week.
const EPOCHS_MAX: u64 = 6_000;

/// What was learnt.
#[derive(Debug)]
pub struct Learnt {
    /// All epochs.
    pub epochs: Epochs,
    /// How many of the present members answer and are in this epoch.
    pub agree: usize,
    /// What was false in answers of others, in words.
    pub lies: Vec<String>,
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
    /// All who have answered have sent epochs that do not follow from the genesis.
    #[error("{}. Nobody else answers: name another validator with --endpoint and --fingerprint", .0.join("; "))]
    False(Vec<String>),
    /// Two histories begin with the genesis.
    #[error(
        "{one} and {other} show different ends of epoch {epoch}, and both have the signatures of a quorum: keys of former \
         members were stolen, or more than a third of the members were false. Ask an administrator for the digest that \
         `millrace chain members` prints, and name it with --trust"
    )]
    Parted {
        /// Who shows the one.
        one: Address,
        /// Who shows the other.
        other: Address,
        /// The first epoch that ends otherwise.
        epoch: Epoch,
    },
    /// The network has rules that this program does not run.
    #[error("this program cannot follow the network to its present epoch")]
    Rules(#[source] UnsupportedRules),
    /// Too few of the last members are at work.
    #[error(
        "only {found} of the {members} validators of epoch {epoch} confirm that it is the present one; {needed} must, \
         because keys of former members may have been stolen. Try again when more are up. Or ask an administrator for \
         the digest that `millrace chain members` prints; if it is {digest}, give it with --trust"
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
    /// The last members that were learnt are others than those that are trusted.
    #[error(
        "the validators of epoch {present}, the last one that anybody tells of, have the digest {found}, not {trusted}{}: \
         the digest changes with each epoch, so ask the administrator again. If it stays another one, those who answer are \
         behind, or show another history",
        earlier(.is_of)
    )]
    Untrusted {
        /// What is trusted.
        trusted: Digest,
        /// The last epoch that was learnt.
        present: Epoch,
        /// The digest of its members.
        found: Digest,
        /// The earlier epoch whose members have the trusted digest, if there is one.
        is_of: Option<Epoch>,
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

fn earlier(epoch: &Option<Epoch>) -> String {
    epoch.map_or_else(String::new, |epoch| format!(" (that is the digest of epoch {epoch})"))
}

/// Why what a validator tells of epochs is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    /// It does not answer, or not with epochs.
    #[error(transparent)]
    Unanswered(#[from] ClientError),
    /// They do not follow from the genesis.
    #[error("what the validator says of epoch {epoch} is false ({error}): ask another one")]
    False {
        /// Of which epoch.
        epoch: Epoch,
        /// What is wrong.
        error: HandoverError,
    },
    /// The network has rules that this program does not run.
    #[error("this program cannot follow the network to its present epoch")]
    Rules(#[source] UnsupportedRules),
    /// There are more epochs than anybody decides.
    #[error("the validator tells of more than {EPOCHS_MAX} epochs: ask another one")]
    Endless,
    /// The genesis has an invalid key.
    #[error("the genesis has an invalid key: {0}")]
    Genesis(#[from] consensus::StartError),
}

/// All epochs that a validator tells of, each shown by the one before, from the genesis on. It may keep later ones to
/// itself.
///
/// # Errors
/// [`ToldError`].
pub(crate) fn told_epochs(genesis: &Genesis, client: &mut Client) -> Result<Epochs, ToldError> {
    let certificates = Certificates::new(genesis)?;
    let mut epochs = Epochs::genesis(genesis, Support::OURS);
    loop {
        let ended = client.ended_epochs(epochs.present())?;
        if ended.is_empty() {
            return Ok(epochs);
        }
        for handover in ended {
            let epoch = handover.members.epoch;
            // A thief of a quorum of replaced keys could go on signing.
            if epoch.0 > EPOCHS_MAX {
                return Err(ToldError::Endless);
            }
            epochs.begin(handover, &certificates).map_err(|error| match error {
                HandoverError::Rules(rules) => ToldError::Rules(rules),
                error => ToldError::False { epoch, error },
            })?;
        }
    }
}

/// Learns the epochs from a validator that is named, or else from those of the directory, and from the members to which
/// they lead; and writes them where the validators of the directory look for them. `trust` is the digest of the present
/// members, as an administrator has told it.
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
    let (mut tries, mut silent) = (TRIES, BTreeSet::new());
    let asked = loop {
        tries -= 1;
        match Asked::all(network, sources.clone(), &mut silent) {
            Err(LearnError::Nobody) if tries > 0 => thread::sleep(PAUSE),
            asked => break asked?,
        }
    };
    let History { epochs, .. } = asked.history(trust)?;
    let (members, agree) = (epochs.members(), asked.agree(epochs));
    let needed = members.list.len() - members.quorum() + 1;
    if trust.is_none() && agree < needed {
        let (found, epoch, digest) = (agree, epochs.present(), members.digest());
        return Err(LearnError::Few { found, members: members.list.len(), needed, epoch, digest });
    }
    let mut files = Vec::new();
    for member in network.members.iter().filter(|member| member.config_file().exists()) {
        let file = member.data().join(EPOCHS_FILE);
        let written = fs::create_dir_all(member.data()).and_then(|()| replace_file(&file, &epochs.encode()));
        written.map_err(|error| LearnError::File { file: file.clone(), error })?;
        files.push(file);
    }
    Ok(Learnt { epochs: epochs.clone(), agree, lies: asked.lies, files })
}

/// Epochs that begin with the genesis.
struct History {
    epochs: Epochs,
    /// Who has shown them.
    by: Address,
}

/// What all who were asked have said.
#[derive(Default)]
struct Asked {
    /// One, unless a quorum of some epoch has signed two.
    histories: Vec<History>,
    /// By fingerprint the epoch in which a validator is, by its own word.
    present: BTreeMap<[u8; 32], Epoch>,
    /// Somebody is in an epoch whose rules this program does not run.
    rules: Option<UnsupportedRules>,
    lies: Vec<String>,
}

impl Asked {
    /// Asks these, and the members to which what they say leads.
    ///
    /// `silent` are those of whom it was said before that they do not answer.
    fn all(
        network: &Network,
        mut sources: Vec<(Address, Fingerprint)>,
        silent: &mut BTreeSet<String>,
    ) -> Result<Self, LearnError> {
        let mut asked = Self::default();
        loop {
            let before = asked.reach();
            asked.ask(network, &sources, silent)?;
            // Only where all members of the last epoch were asked is it known how many of them are at work.
            if asked.reach() == before || asked.histories.len() > 1 {
                break;
            }
            let members = asked.histories.iter().map(|history| history.epochs.members());
            sources = members.flat_map(|members| addresses(network, members)).collect();
        }
        match (asked.histories.is_empty(), asked.rules, asked.lies.is_empty()) {
            (false, ..) => Ok(asked),
            (true, Some(rules), _) => Err(LearnError::Rules(rules)),
            (true, None, false) => Err(LearnError::False(asked.lies)),
            (true, None, true) => Err(LearnError::Nobody),
        }
    }

    /// How many epochs each history has.
    fn reach(&self) -> Vec<usize> {
        self.histories.iter().map(|history| history.epochs.handovers().len() + 1).collect()
    }

    /// Asks all of these at the same time: one that does not answer takes some seconds.
    fn ask(
        &mut self,
        network: &Network,
        sources: &[(Address, Fingerprint)],
        silent: &mut BTreeSet<String>,
    ) -> Result<(), LearnError> {
        eprintln!("asking {} which epochs there were", count(sources.len()));
        let ask = |(address, fingerprint): &(Address, Fingerprint)| {
            let mut client = Client::connect(address, *fingerprint, *network.genesis.network())?;
            let told = told_epochs(&network.genesis, &mut client);
            Ok::<_, ClientError>((told, client.members().ok().map(|members| members.value.0.epoch)))
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = sources.iter().map(|source| scope.spawn(move || ask(source))).collect();
            asked.into_iter().map(|one| one.join().expect("asking does not panic")).collect()
        });
        for ((address, fingerprint), answer) in sources.iter().zip(answers) {
            match answer {
                Ok((told, present)) => self.note((address, *fingerprint), told, present)?,
                Err(error) if silent.insert(address.to_string()) => eprintln!("  no answer: {error}"),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// What one has told, and the epoch in which it says that it is.
    fn note(
        &mut self,
        (address, fingerprint): (&Address, Fingerprint),
        told: Result<Epochs, ToldError>,
        present: Option<Epoch>,
    ) -> Result<(), LearnError> {
        let epochs = match told {
            Ok(epochs) => epochs,
            Err(ToldError::Unanswered(_)) => return Ok(()),
            Err(ToldError::False { epoch, error }) => {
                let lie = format!("what {address} says of epoch {epoch} is false: {error}");
                if !self.lies.contains(&lie) {
                    self.lies.push(lie);
                }
                return Ok(());
            }
            Err(ToldError::Endless) => {
                self.lies.push(format!("{address} tells of more than {EPOCHS_MAX} epochs"));
                return Ok(());
            }
            Err(ToldError::Rules(rules)) => {
                self.rules = Some(rules);
                return Ok(());
            }
            Err(ToldError::Genesis(error)) => return Err(error.into()),
        };
        if let Some(present) = present {
            self.present.insert(fingerprint.0, present);
        }
        let is_same = |history: &&mut History| history.epochs.parts_from(&epochs).is_none();
        match self.histories.iter_mut().find(is_same) {
            None => self.histories.push(History { epochs, by: address.clone() }),
            Some(known) if epochs.present() > known.epochs.present() => {
                *known = History { epochs, by: address.clone() };
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// The history to go by.
    fn history(&self, trust: Option<Digest>) -> Result<&History, LearnError> {
        let last = self.histories.last().expect("somebody has answered");
        match trust {
            // Those who have answered with less are behind.
            None if let Some(rules) = self.rules => Err(LearnError::Rules(rules)),
            None => {
                let parted =
                    self.histories.iter().find_map(|one| Some((one, one.epochs.parts_from(&last.epochs)?)));
                parted.map_or(Ok(last), |(one, epoch)| {
                    Err(LearnError::Parted { one: one.by.clone(), other: last.by.clone(), epoch })
                })
            }
            Some(trusted) => {
                let is_trusted = |history: &&History| history.epochs.members().digest() == trusted;
                self.histories.iter().find(is_trusted).ok_or_else(|| {
                    let mut all = self.histories.iter().flat_map(|history| history.epochs.all());
                    let is_of = all.find(|members| members.digest() == trusted).map(|members| members.epoch);
                    let (present, found) = (last.epochs.present(), last.epochs.members().digest());
                    LearnError::Untrusted { trusted, present, found, is_of }
                })
            }
        }
    }

    /// How many of the last members say that theirs is the present epoch.
    fn agree(&self, epochs: &Epochs) -> usize {
        let said = |fingerprint: &[u8; 32]| self.present.get(fingerprint);
        let members = epochs.members().list.iter();
        members.filter(|member| said(&member.certificate_fingerprint) == Some(&epochs.present())).count()
    }
}

fn count(validators: usize) -> String {
    format!("{validators} {}", if validators == 1 { "validator" } else { "validators" })
}

/// Where clients reach these members, as was decided or as the directory says.
fn addresses(network: &Network, members: &Members) -> Vec<(Address, Fingerprint)> {
    let address = |member: &engine::types::Member| {
        Some((network.client_address_of(member)?, Fingerprint(member.certificate_fingerprint)))
    };
    members.list.iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use engine::order::{Finality, FinalityEvidence, FinalityVerifier};
    use engine::replica::Handover;
    use engine::types::{
        ChainId, Head, Height, Member, Membership, RULES_FIRST, RULES_TRIAL, ValidatorIndex,
    };
    use engine::wire::{Block, Header};
    use kernels::merkle::{Frontier, leaf_hash};

    use super::*;
    use crate::network::{ChainDraft, InitOptions};

    /// A certificate is "epoch (8 bytes) | digest".
    struct Plain;

    impl FinalityVerifier for Plain {
        fn verify(&self, certificate: &[u8]) -> Option<Finality> {
            let (epoch, digest) = certificate.split_first_chunk::<8>()?;
            let (epoch, digest) = (Epoch(u64::from_le_bytes(*epoch)), Digest(digest.try_into().ok()?));
            Some(Finality::handed_on(FinalityEvidence { epoch, view: 7, digest, certificate }))
        }

        fn leader(&self, _: Epoch, _: u64) -> ValidatorIndex {
            ValidatorIndex(0)
        }

        fn learn(&self, _: &Members) {}
    }

    fn member(number: u8) -> Member {
        Member {
            name: format!("member-{number}"),
            public_key: [number; 32],
            certificate_fingerprint: [number; 32],
            peer_address: String::new(),
            client_address: String::new(),
        }
    }

    /// The epochs of these validators one after the other, each of which ends at another height.
    fn epochs(network: &Network, sets: &[&[u8]]) -> Epochs {
        let mut epochs = Epochs::genesis(&network.genesis, Support::OURS);
        for (numbers, height) in sets.iter().zip(5..) {
            let present = epochs.present();
            let list = numbers.iter().copied().map(member).collect();
            let members = Members { epoch: present.next(), rules: RULES_FIRST, list };
            let mut log = Frontier::default();
            (0..height).for_each(|_| log.append(leaf_hash(&[7])));
            let header = Header {
                height: Height(height),
                epoch: present,
                view: 3,
                parent: Digest([7; 32]),
                proposer: ValidatorIndex(0),
                time_ms: 0,
                roots_first: Height(1),
                next_members: members.digest(),
                roots: vec![],
                cut: vec![Head::NONE; epochs.members().list.len()],
                log,
            };
            let block = Block::new(header).unwrap();
            let certificate = [&present.0.to_le_bytes()[..], &block.digest().0].concat();
            epochs.begin(Handover { block, certificate, members }, &Plain).unwrap();
        }
        epochs
    }

    fn network(directory: &tempfile::TempDir) -> Network {
        let chains = vec![ChainDraft::governance(ChainId(0), 1, 1)];
        let membership = Membership::Decided;
        let options = InitOptions { chains, membership, ..InitOptions::default() };
        crate::network::init(directory.path(), &options).unwrap()
    }

    /// What each of these said, and how it was taken.
    fn told(network: &Network, answers: Vec<(u8, Result<Epochs, ToldError>)>) -> Result<Asked, LearnError> {
        let mut asked = Asked::default();
        for (number, told) in answers {
            let present = told.as_ref().ok().map(Epochs::present);
            let address: Address = format!("v{number}.example:7401").parse().unwrap();
            asked.note((&address, Fingerprint([number; 32])), told, present)?;
        }
        assert_eq!(network.members.len(), 4);
        Ok(asked)
    }

    #[test]
    fn a_liar_neither_counts_nor_stops_anybody() {
        let directory = tempfile::tempdir().unwrap();
        let network = network(&directory);
        let known = |sets: &[&[u8]]| Ok(epochs(&network, sets));
        let five: &[u8] = &[1, 2, 3, 4, 5];
        let lie = || Err(ToldError::False { epoch: Epoch(2), error: HandoverError::Certificate });
        let silent = Err(ToldError::Unanswered(ClientError::Rejected("full".to_owned())));
        let answers = vec![
            (1, lie()),
            (2, known(&[five])),
            (3, known(&[])),
            (4, silent),
            (5, known(&[five])),
            (1, lie()),
        ];
        let asked = told(&network, answers).unwrap();
        assert_eq!(asked.lies.len(), 1, "it is named once: {:?}", asked.lies);
        assert!(asked.lies[0].starts_with("what v1.example:7401 says of epoch 2 is false"));
        let history = asked.history(None).unwrap();
        assert_eq!((history.epochs.present(), asked.histories.len()), (Epoch(1), 1));
        assert_eq!(asked.agree(&history.epochs), 2, "one is behind, one lies, one is silent");
    }

    #[test]
    fn two_histories_that_part_are_seen_and_only_the_digest_of_the_last_members_decides() {
        let directory = tempfile::tempdir().unwrap();
        let network = network(&directory);
        let known = |sets: &[&[u8]]| Ok(epochs(&network, sets));
        let (ours, forged): (&[&[u8]], &[&[u8]]) = (&[&[1, 2, 3, 4, 5], &[2, 3, 4, 5]], &[&[7, 8, 9]]);
        let digests = [ours, forged].map(|sets| epochs(&network, sets).members().digest());
        let early = epochs(&network, &ours[..1]).members().digest();
        for turned in [false, true] {
            let mut answers = vec![(2, known(ours)), (7, known(forged)), (3, known(&ours[..1]))];
            if turned {
                answers.reverse();
            }
            let asked = told(&network, answers).unwrap();
            let parted = asked.history(None);
            assert!(matches!(parted, Err(LearnError::Parted { epoch: Epoch(0), .. })));
            let trusted =
                |digest| asked.history(Some(digest)).map(|history| history.epochs.members().digest());
            assert_eq!(digests.map(|digest| trusted(digest).unwrap()), digests);
            let refused = |digest| match trusted(digest) {
                Err(LearnError::Untrusted { is_of, .. }) => is_of,
                other => panic!("{other:?}"),
            };
            assert_eq!(refused(early), Some(Epoch(1)), "a former digest can be continued by thieves");
            assert_eq!(refused(Digest([9; 32])), None);
        }
    }

    #[test]
    fn rules_that_this_program_lacks_are_no_lie() {
        let directory = tempfile::tempdir().unwrap();
        let network = network(&directory);
        let rules = Support::OURS.check(Epoch(1), RULES_TRIAL).unwrap_err();
        let answers = vec![(1, Ok(epochs(&network, &[]))), (2, Err(ToldError::Rules(rules)))];
        let asked = told(&network, answers).unwrap();
        assert!(asked.lies.is_empty());
        assert!(matches!(asked.history(None), Err(LearnError::Rules(found)) if found == rules));
        let digest = epochs(&network, &[]).members().digest();
        assert!(asked.history(Some(digest)).is_ok(), "an administrator knows better than a thief");
    }
}
