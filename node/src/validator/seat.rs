//! Where this validator stands in the present epoch, and who the others are.

use engine::replica::Epochs;
use engine::types::{Digest, Epoch, Member, Members, ValidatorIndex};
use engine::wire::{Role, Standing};
use net::{Address, Fingerprint, Peer};

use crate::config::{Config, ObserverConfig};

/// A place among the validators of the present epoch, or none: then the validator follows without voting.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its place; as many as there are validators if it has none.
    pub me: ValidatorIndex,
    /// The validators of the epoch.
    pub members: Members,
    /// What the first block of the epoch extends.
    pub root: Digest,
    /// Whether the journal ends in an earlier epoch, so that the validator follows, whatever its place.
    pub is_outdated: bool,
    /// Whether it is a member, or was one.
    pub standing: Standing,
}

impl Seat {
    /// That of the validator of `config` in the last of these epochs: those of its journal, or those that are known
    /// beyond them.
    #[must_use]
    pub fn of(config: &Config, journal: &Epochs, known: Option<&Epochs>) -> Self {
        let epochs = known.unwrap_or(journal);
        let (members, root) = (epochs.members().clone(), epochs.root().1);
        let nowhere = ValidatorIndex(members.list.len() as u16);
        let me = members.place_of(&config.public_key()).unwrap_or(nowhere);
        let standing = Standing::of(&config.public_key(), epochs.all());
        Self { me, members, root, is_outdated: known.is_some(), standing }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.members.epoch
    }

    /// How many validators the epoch has.
    #[must_use]
    pub fn validators(&self) -> usize {
        self.members.list.len()
    }

    /// Whether this is one of them, and can do its part.
    #[must_use]
    pub fn is_member(&self) -> bool {
        !self.is_outdated && self.standing.is_member()
    }

    /// What the others know this validator's certificate by.
    #[must_use]
    pub fn known_as(&self, config: &Config) -> Fingerprint {
        let me = self.members.get(self.me);
        me.map_or_else(|| config.identity.fingerprint(), |me| Fingerprint(me.certificate_fingerprint))
    }

    /// All with whom this validator talks: the other validators, and behind their places the observers.
    #[must_use]
    pub fn peers(&self, config: &Config) -> Vec<Peer> {
        let mut peers = self.others(config);
        let first = self.validators() as u16;
        peers.extend((first..).zip(self.observers(config)).map(|(index, observer)| Peer {
            index,
            address: observer.address.clone(),
            fingerprint: Fingerprint(observer.certificate_fingerprint),
        }));
        peers
    }

    /// Those that may follow this validator, and are no validators by now.
    pub fn observers<'a>(&self, config: &'a Config) -> impl Iterator<Item = &'a ObserverConfig> {
        let is_known = |of: &&ObserverConfig| {
            self.members.list.iter().any(|one| one.certificate_fingerprint == of.certificate_fingerprint)
        };
        let (own, is_member) = (config.identity.fingerprint(), self.is_member());
        let others = config.observers.iter().filter(|of| is_member && of.certificate_fingerprint != own.0);
        others.filter(|of| !is_known(of)).collect::<Vec<_>>().into_iter()
    }

    /// What those observers are known by.
    #[must_use]
    pub fn fingerprints(&self, config: &Config) -> Vec<[u8; 32]> {
        self.observers(config).map(|of| of.certificate_fingerprint).collect()
    }

    /// The other validators whose address is known: as was decided about them, or as the configuration says.
    fn others(&self, config: &Config) -> Vec<Peer> {
        let others =
            self.members.list.iter().enumerate().filter(|(place, _)| *place != usize::from(self.me.0));
        let peer = |(place, member): (usize, &Member)| {
            let address = address_of(member, config);
            if address.is_none() {
                tracing::warn!(
                    "nothing says where validator {} ({}) is reached: neither the decision about it nor a [[peer]] section of {}",
                    place,
                    member.name,
                    config.file.display()
                );
            }
            let fingerprint = Fingerprint(member.certificate_fingerprint);
            Some(Peer { index: place as u16, address: address?, fingerprint })
        };
        others.filter_map(peer).collect()
    }

    /// Warns of `[[observer]]` sections that have no effect: they name a member, or this validator.
    pub fn tell_observers(&self, config: &Config) {
        for ObserverConfig { name, certificate_fingerprint, .. } in &config.observers {
            let member = |of: &&Member| of.certificate_fingerprint == *certificate_fingerprint;
            if *certificate_fingerprint == config.identity.fingerprint().0 {
                tracing::warn!(
                    "the [[observer]] section \"{name}\" of {} names this validator itself: it has no effect, take it out",
                    config.file.display()
                );
            } else if let Some(member) = self.members.list.iter().find(member) {
                tracing::warn!(
                    "the [[observer]] section \"{name}\" of {} names \"{}\", which is a member of epoch {}: it has no effect \
                     as long as that is one",
                    config.file.display(),
                    member.name,
                    self.epoch()
                );
            }
        }
    }

    /// Says at a start what of the configuration does not fit to the members.
    pub fn tell(&self, config: &Config) {
        self.tell_observers(config);
        if self.is_outdated {
            tracing::info!(
                epoch = self.epoch().0,
                "the journal ends in an earlier epoch than the one that is known: until this validator has caught up, it \
                 follows the validators of that epoch, and neither votes nor takes transactions"
            );
        } else if !self.is_member() {
            let what = match self.standing.role {
                Role::Follower { since_epoch } => format!("not a member any more since epoch {since_epoch}"),
                Role::Member | Role::Observer => "not a member".to_owned(),
            };
            tracing::warn!(
                epoch = self.epoch().0,
                "this validator is {what}, as far as its journal goes: it follows and checks everything, and neither votes \
                 nor takes transactions. The members let it in where an [[observer]] section of their node.toml names it"
            );
        } else if !config.identity.is_known_by(self.known_as(config)) {
            tracing::warn!(
                "the certificate in {} is not the one by which the others know this validator ({}): they refuse it",
                config.certificate_file.display(),
                self.known_as(config)
            );
        }
    }
}

/// A decision counts for more than a file that may be older. Where it gives none, the peer's section does.
fn address_of(member: &Member, config: &Config) -> Option<Address> {
    let listed = || config.peers.iter().find(|peer| peer.public_key == member.public_key);
    // A decided address that cannot be parsed is ignored.
    member.peer_address.parse().ok().or_else(|| listed().map(|peer| peer.address.clone()))
}
