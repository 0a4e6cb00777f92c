//! Who validates: the members of an epoch, and what changes them.
//!
//! ```text
//! member    name bytes (1) | name | public key (32) | certificate fingerprint (32) |
//!           bytes (1) | peer address | bytes (1) | client address
//! members   epoch (8) | how many (2) | members.. | rules (2), if they are not the first ones
//! digest    SHA-256 of "millrace/members" || members
//! row of a member     key    16 zero bytes | 8 | 0 (13) | place (2, big-endian)
//!                     value  member
//! row of the members  key    16 zero bytes | 9 | 0 (15)
//!                     value  epoch (8) | decided at height (8) | how many (2) | digest (32) | proposal (32) |
//!                            rules (2) | first epoch that has them (8), both if they are not the first ones
//! ```
//!
//! A [`ValidatorIndex`] is a place among the members of one epoch. A removal closes the gap: the places above it move
//! down. There are no rows while the members are those of the genesis. `docs/GOVERNANCE.md` has the rules by which
//! administrators change the set.

use kernels::ed25519::is_small_order;
use kernels::sha2::sha256_parts;

use super::record::{number, own_key, take};
use super::{
    AccountId, Digest, Epoch, Genesis, Height, RULES_FIRST, RulesVersion, ValidatorGenesis, ValidatorIndex,
    quorum,
};
use crate::limits::{
    ADDRESS_BYTES_MAX, MEMBER_BYTES_MAX, NAME_BYTES_MAX, PUBLIC_KEY_BYTES, ROW_VALUE_BYTES_MAX,
    TOLERANT_VALIDATORS_MIN, VALIDATORS_MAX,
};

const MEMBERS_DOMAIN: &[u8; 16] = b"millrace/members";
const MEMBER_TAG: u8 = 8;
const MEMBERS_TAG: u8 = 9;

const _: () = assert!(MEMBER_BYTES_MAX <= ROW_VALUE_BYTES_MAX);

/// The table's key of the set that was decided last.
pub const MEMBERS_KEY: [u8; 32] = own_key(MEMBERS_TAG, 0, AccountId(0));

/// The table's key of a member of the set that was decided last.
pub fn member_key(place: ValidatorIndex) -> [u8; 32] {
    own_key(MEMBER_TAG, 0, AccountId(place.0.into()))
}

/// Whether the validators of a network can be others than those of its genesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Membership {
    /// They stay.
    #[default]
    Fixed = 0,
    /// The administrators decide who validates. It takes a chain of the kind *governance*.
    Decided = 1,
}

impl Membership {
    /// The membership of this byte.
    pub fn of(byte: u8) -> Option<Self> {
        [Self::Fixed, Self::Decided].into_iter().find(|membership| *membership as u8 == byte)
    }

    /// What it is called in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Decided => "decided",
        }
    }
}

/// One validator of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// A name for people, 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The Ed25519 key of its votes and batches.
    pub public_key: [u8; PUBLIC_KEY_BYTES],
    /// SHA-256 of the public key of its TLS certificate (its SubjectPublicKeyInfo in DER).
    pub certificate_fingerprint: [u8; 32],
    /// Where the others reach it: `host:port`, at most [`ADDRESS_BYTES_MAX`] bytes of printable ASCII without spaces.
    /// Empty: where the configuration of each of them says.
    pub peer_address: String,
    /// Where clients reach it, in the same form. Empty: where the operators say.
    pub client_address: String,
}

impl Member {
    /// Whether it can be one: its texts are within their bounds, and under its key a signature shows something.
    pub fn is_valid(&self) -> bool {
        let is_address =
            |text: &str| text.len() <= ADDRESS_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        (1..=NAME_BYTES_MAX).contains(&self.name.len())
            && !is_small_order(&self.public_key)
            && is_address(&self.peer_address)
            && is_address(&self.client_address)
    }

    /// The bytes in a set and in a row; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MEMBER_BYTES_MAX);
        self.write(&mut bytes);
        bytes
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        };
        text(bytes, &self.name);
        bytes.extend(self.public_key);
        bytes.extend(self.certificate_fingerprint);
        text(bytes, &self.peer_address);
        text(bytes, &self.client_address);
    }

    /// The inverse of [`Self::encode`]: a [valid](Self::is_valid) one, and nothing behind it.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let member = Self::read(&mut bytes)?;
        bytes.is_empty().then_some(member)
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let member = Self {
            name: text(bytes)?,
            public_key: take(bytes)?,
            certificate_fingerprint: take(bytes)?,
            peer_address: text(bytes)?,
            client_address: text(bytes)?,
        };
        member.is_valid().then_some(member)
    }

    fn shares_identity(&self, other: &Self) -> bool {
        self.public_key == other.public_key || self.certificate_fingerprint == other.certificate_fingerprint
    }
}

/// A text of at most 255 bytes, with its length before it.
fn text(bytes: &mut &[u8]) -> Option<String> {
    let [length] = take(bytes)?;
    let (text, rest) = bytes.split_at_checked(length.into())?;
    *bytes = rest;
    str::from_utf8(text).map(str::to_owned).ok()
}

/// The validators of an epoch: 1 to [`VALIDATORS_MAX`], no two of which share a key or a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The epoch: how many sets there were before.
    pub epoch: Epoch,
    /// The rules of the epoch.
    pub rules: RulesVersion,
    /// The validators; a [`ValidatorIndex`] is a place in here.
    pub list: Vec<Member>,
}

/// What the row of the members says of a set that was decided. Each of them has a row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembersRecord {
    /// The epoch of the set.
    pub epoch: Epoch,
    /// The height in which it was decided. It is in effect from some later one on.
    pub decided: Height,
    /// How many they are.
    pub count: u16,
    /// The [digest](Members::digest) of the set.
    pub digest: Digest,
    /// The proposal.
    pub proposal: Digest,
    /// The rules of that epoch.
    pub rules: RulesVersion,
    /// The first epoch that has or had them: 0 for those of the genesis.
    pub rules_since: Epoch,
}

impl MembersRecord {
    /// What it says of a set that was decided after those of `before`, by the rules of that epoch since `rules_since`.
    pub fn new(members: &Members, decided: Height, proposal: Digest, rules_since: Epoch) -> Self {
        let (count, digest) = (members.list.len() as u16, members.digest());
        let Members { epoch, rules, .. } = *members;
        Self { epoch, decided, count, digest, proposal, rules, rules_since }
    }

    /// The rules of an epoch up to that of the set: the present one or the one before.
    pub fn rules_of(&self, epoch: Epoch) -> RulesVersion {
        if epoch >= self.rules_since { self.rules } else { RulesVersion(self.rules.0 - 1) }
    }

    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = [self.epoch.0.to_le_bytes(), self.decided.0.to_le_bytes()];
        let mut bytes =
            [numbers.as_flattened(), &self.count.to_le_bytes(), &self.digest.0, &self.proposal.0].concat();
        if self.rules != RULES_FIRST {
            bytes.extend(self.rules.0.to_le_bytes());
            bytes.extend(self.rules_since.0.to_le_bytes());
        }
        bytes
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let mut record = Self {
            epoch: Epoch(number(bytes)?),
            decided: Height(number(bytes)?),
            count: u16::from_le_bytes(take(bytes)?),
            digest: Digest(take(bytes)?),
            proposal: Digest(take(bytes)?),
            rules: RULES_FIRST,
            rules_since: Epoch(0),
        };
        if !bytes.is_empty() {
            (record.rules, record.rules_since) = (read_rules(bytes)?, Epoch(number(bytes)?));
            // Each epoch has at most the rules after those of the epoch before.
            let changes = u64::from(record.rules.0 - RULES_FIRST.0);
            if !(changes..=record.epoch.0).contains(&record.rules_since.0) {
                return None;
            }
        }
        let is_one = record.epoch > Epoch(0) && (1..=VALIDATORS_MAX).contains(&usize::from(record.count));
        (bytes.is_empty() && is_one).then_some(record)
    }

    /// The set, of which `row` gives the value of each [`member_key`]; `None` if those are not its members.
    pub fn members<'a>(&self, row: impl Fn(&[u8; 32]) -> Option<&'a [u8]>) -> Option<Members> {
        let member = |place| Member::decode(row(&member_key(ValidatorIndex(place)))?);
        let list = (0..self.count).map(member).collect::<Option<_>>()?;
        let members = Members { epoch: self.epoch, rules: self.rules, list };
        (members.is_valid() && members.digest() == self.digest).then_some(members)
    }
}

/// The members with whom a network begins that has administrators, and the network that consents name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstMembers {
    /// The network id.
    pub network: Digest,
    /// The set of epoch 0.
    pub members: Members,
    /// Whether there can be others. Other rules there can be in any case.
    pub membership: Membership,
}

impl FirstMembers {
    /// Those of a genesis; `None` where nobody can decide about the next epoch.
    pub fn of(genesis: &Genesis) -> Option<Self> {
        genesis.governance().map(|_| Self {
            network: *genesis.network(),
            members: Members::of_genesis(genesis),
            membership: genesis.membership(),
        })
    }
}

/// Rules in an encoding that has them: not the first ones, which no encoding names.
fn read_rules(bytes: &mut &[u8]) -> Option<RulesVersion> {
    let rules = RulesVersion(u16::from_le_bytes(take(bytes)?));
    (rules > RULES_FIRST).then_some(rules)
}

/// What administrators decide about the next epoch: its members, or its rules. It names who goes by the key of its
/// votes: places move when the members change, and a proposal that is decided later must not meet another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// One more, at the last place.
    Add(Member),
    /// One less. The places above it move down.
    Remove {
        /// The key of its votes.
        key: [u8; PUBLIC_KEY_BYTES],
        /// Whether fewer than four may remain of four or more. With fewer than four no faulty member is tolerated.
        below_four: bool,
    },
    /// Another one at the place of the member with this key, in one step.
    Replace([u8; PUBLIC_KEY_BYTES], Member),
    /// The same members, by the rules of this version, which are the ones after theirs.
    Rules(RulesVersion),
}

/// Why a set cannot be changed like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberFlaw {
    /// Nobody has the key of the one that is to go.
    #[error("no validator has the key {0} now")]
    NoSuchMember(Digest),
    /// Another member has the key or the certificate.
    #[error("validator {0} has this key or this certificate already")]
    Taken(ValidatorIndex),
    /// Not a member that there can be.
    #[error(
        "a name has 1 to {NAME_BYTES_MAX} bytes, an address at most {ADDRESS_BYTES_MAX} printable ASCII \
             characters, and the key is not of small order"
    )]
    Form,
    /// The network has as many members as it may have.
    #[error("there are {VALIDATORS_MAX} validators, and no more can be added")]
    Full,
    /// The last one cannot be removed.
    #[error("this is the last validator")]
    Last,
    /// Fewer than four would remain of four or more, and the change does not say that this is meant.
    #[error("fewer than {TOLERANT_VALIDATORS_MIN} validators would remain, of which none may fail")]
    BelowFour,
    /// Other rules than those after the present ones.
    #[error("the network has rules {0}, so the next ones can only be rules {next}", next = .0.next())]
    Rules(RulesVersion),
}

impl MemberChange {
    const ADD: u8 = 7;
    const REMOVE: u8 = 8;
    const REPLACE: u8 = 9;
    const RULES: u8 = 10;

    /// Whether its form is valid. Whether it is possible depends on the set.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Add(member) | Self::Replace(_, member) => member.is_valid(),
            Self::Remove { .. } => true,
            Self::Rules(rules) => *rules > RULES_FIRST,
        }
    }

    /// The bytes of the decision.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Add(member) => {
                bytes.push(Self::ADD);
                member.write(bytes);
            }
            Self::Remove { key, below_four } => {
                bytes.push(Self::REMOVE);
                bytes.extend(key);
                bytes.push(u8::from(*below_four));
            }
            Self::Replace(key, member) => {
                bytes.push(Self::REPLACE);
                bytes.extend(key);
                member.write(bytes);
            }
            Self::Rules(rules) => {
                bytes.push(Self::RULES);
                bytes.extend(rules.0.to_le_bytes());
            }
        }
    }

    /// The key of the member that goes, if one does.
    pub fn leaver(&self) -> Option<&[u8; PUBLIC_KEY_BYTES]> {
        match self {
            Self::Add(_) | Self::Rules(_) => None,
            Self::Remove { key, .. } | Self::Replace(key, _) => Some(key),
        }
    }

    /// Reads it behind the code of the decision.
    pub(super) fn read(code: u8, bytes: &mut &[u8]) -> Option<Self> {
        Some(match code {
            Self::ADD => Self::Add(Member::read(bytes)?),
            Self::REMOVE => {
                let key = take(bytes)?;
                let below_four = match take(bytes)? {
                    [0] => false,
                    [1] => true,
                    _ => return None,
                };
                Self::Remove { key, below_four }
            }
            Self::REPLACE => Self::Replace(take(bytes)?, Member::read(bytes)?),
            Self::RULES => Self::Rules(read_rules(bytes)?),
            _ => return None,
        })
    }
}

impl Members {
    /// Those with whom the network begins: epoch 0, by the first rules, without addresses.
    pub fn of_genesis(genesis: &Genesis) -> Self {
        let member = |of: &ValidatorGenesis| Member {
            name: of.name.clone(),
            public_key: of.public_key,
            certificate_fingerprint: of.certificate_fingerprint,
            peer_address: String::new(),
            client_address: String::new(),
        };
        Self { epoch: Epoch(0), rules: RULES_FIRST, list: genesis.validators().iter().map(member).collect() }
    }

    /// Their keys, in their order.
    pub fn keys(&self) -> Vec<[u8; PUBLIC_KEY_BYTES]> {
        self.list.iter().map(|member| member.public_key).collect()
    }

    /// How many of them are a quorum.
    pub fn quorum(&self) -> usize {
        quorum(self.list.len())
    }

    /// How many of them must consent to a change that makes this set: a quorum; to other rules, all of them.
    pub fn consents_needed(&self, change: &MemberChange) -> usize {
        if matches!(change, MemberChange::Rules(_)) { self.list.len() } else { self.quorum() }
    }

    /// The member at a place.
    pub fn get(&self, place: ValidatorIndex) -> Option<&Member> {
        self.list.get(usize::from(place.0))
    }

    /// The place of the member with this key.
    pub fn place_of(&self, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Option<ValidatorIndex> {
        self.first(|member| member.public_key == *public_key)
    }

    fn first(&self, is: impl Fn(&Member) -> bool) -> Option<ValidatorIndex> {
        self.list.iter().position(is).map(|place| ValidatorIndex(place as u16))
    }

    /// Whether it is a set: 1 to [`VALIDATORS_MAX`] [valid](Member::is_valid) members that share nothing.
    pub fn is_valid(&self) -> bool {
        let mut members = self.list.iter().enumerate();
        (1..=VALIDATORS_MAX).contains(&self.list.len())
            && members.all(|(at, member)| {
                member.is_valid() && !self.list[..at].iter().any(|other| other.shares_identity(member))
            })
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.epoch.0.to_le_bytes().to_vec();
        bytes.extend((self.list.len() as u16).to_le_bytes());
        self.list.iter().for_each(|member| member.write(&mut bytes));
        if self.rules != RULES_FIRST {
            bytes.extend(self.rules.0.to_le_bytes());
        }
        bytes
    }

    /// The inverse of [`Self::encode`]: a [valid](Self::is_valid) set, and nothing behind it.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let epoch = Epoch(number(bytes)?);
        let count = usize::from(u16::from_le_bytes(take(bytes)?));
        if count > VALIDATORS_MAX {
            return None;
        }
        let list = (0..count).map(|_| Member::read(bytes)).collect::<Option<_>>()?;
        let rules = if bytes.is_empty() { RULES_FIRST } else { read_rules(bytes)? };
        let members = Self { epoch, rules, list };
        (bytes.is_empty() && members.is_valid()).then_some(members)
    }

    /// What names the set, its order, its epoch and its rules.
    pub fn digest(&self) -> Digest {
        Digest(sha256_parts(&[MEMBERS_DOMAIN, &self.encode()]))
    }

    /// The set of the next epoch.
    ///
    /// # Errors
    /// [`MemberFlaw`]: why there is no such set.
    pub fn after(&self, change: &MemberChange) -> Result<Self, MemberFlaw> {
        let (mut list, mut rules) = (self.list.clone(), self.rules);
        let place =
            |key: &[u8; PUBLIC_KEY_BYTES]| self.place_of(key).ok_or(MemberFlaw::NoSuchMember(Digest(*key)));
        match change {
            MemberChange::Add(member) => {
                self.has_place_for(member, None)?;
                if list.len() >= VALIDATORS_MAX {
                    return Err(MemberFlaw::Full);
                }
                list.push(member.clone());
            }
            MemberChange::Remove { key, below_four } => {
                list.remove(place(key)?.0.into());
                if list.is_empty() {
                    return Err(MemberFlaw::Last);
                }
                if list.len() + 1 == TOLERANT_VALIDATORS_MIN && !below_four {
                    return Err(MemberFlaw::BelowFour);
                }
            }
            MemberChange::Replace(key, member) => {
                let gone = place(key)?;
                self.has_place_for(member, Some(gone))?;
                list[usize::from(gone.0)] = member.clone();
            }
            MemberChange::Rules(next) if *next == rules.next() => rules = *next,
            MemberChange::Rules(_) => return Err(MemberFlaw::Rules(rules)),
        }
        Ok(Self { epoch: self.epoch.next(), rules, list })
    }

    /// The place, in the set that a change has made of this one, of a member whose key was in no place before.
    pub fn newcomer(&self, change: &MemberChange, after: &Self) -> Option<ValidatorIndex> {
        let (MemberChange::Add(member) | MemberChange::Replace(_, member)) = change else { return None };
        match self.place_of(&member.public_key) {
            Some(_) => None,
            None => after.place_of(&member.public_key),
        }
    }

    fn has_place_for(&self, member: &Member, instead_of: Option<ValidatorIndex>) -> Result<(), MemberFlaw> {
        if !member.is_valid() {
            return Err(MemberFlaw::Form);
        }
        let others = self.list.iter().enumerate().map(|(at, other)| (ValidatorIndex(at as u16), other));
        let mut taken = others.filter(|(at, other)| Some(*at) != instead_of && other.shares_identity(member));
        taken.next().map_or(Ok(()), |(at, _)| Err(MemberFlaw::Taken(at)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use kernels::ed25519::SigningKey;

    use super::*;

    /// The key of the member of this number.
    pub(crate) fn key(number: u8) -> SigningKey {
        SigningKey::from_seed([number; 32])
    }

    /// A member that can consent.
    pub(crate) fn member(number: u8) -> Member {
        Member {
            name: format!("v{number}"),
            public_key: key(number).public_key(),
            certificate_fingerprint: [number; 32],
            peer_address: format!("10.0.0.{number}:7000"),
            client_address: String::new(),
        }
    }

    /// The third set after that of the genesis.
    pub(crate) fn members(numbers: &[u8]) -> Members {
        Members { epoch: Epoch(3), rules: RULES_FIRST, list: numbers.iter().copied().map(member).collect() }
    }

    #[test]
    fn a_change_makes_the_set_of_the_next_epoch_or_says_why_not() {
        use MemberChange::{Add, Remove, Replace};
        let four = members(&[1, 2, 3, 4]);
        let next = |numbers: &[u8]| Ok(Members { epoch: Epoch(4), ..members(numbers) });
        let key = |number| member(number).public_key;
        let remove = |number, below_four| Remove { key: key(number), below_four };
        let replace = |gone, number| Replace(key(gone), member(number));
        assert_eq!(four.after(&Add(member(5))), next(&[1, 2, 3, 4, 5]));
        assert_eq!(members(&[1, 2, 3, 4, 5]).after(&remove(2, false)), next(&[1, 3, 4, 5]), "the gap closes");
        assert_eq!(four.after(&replace(2, 9)), next(&[1, 9, 3, 4]));
        let mut moved = member(2);
        moved.peer_address = "elsewhere:1".into();
        let set = four.after(&Replace(key(2), moved.clone())).unwrap();
        assert_eq!((set.list[1].clone(), set.epoch), (moved.clone(), Epoch(4)), "its own key is not taken");
        let taken = Err(MemberFlaw::Taken(ValidatorIndex(1)));
        assert_eq!(four.after(&Add(moved.clone())), taken);
        assert_eq!(four.after(&Replace(key(1), moved)), taken);
        let same_certificate = Member { certificate_fingerprint: [2; 32], ..member(9) };
        assert_eq!(four.after(&Add(same_certificate)), taken);
        let nobody = Err(MemberFlaw::NoSuchMember(Digest(key(5))));
        assert_eq!(four.after(&remove(5, true)), nobody);
        assert_eq!(four.after(&replace(5, 9)), nobody);
        assert_eq!(four.after(&remove(1, false)), Err(MemberFlaw::BelowFour));
        assert_eq!(four.after(&remove(1, true)), next(&[2, 3, 4]));
        assert_eq!(members(&[1, 2, 3]).after(&remove(3, false)), next(&[1, 2]), "they were fewer already");
        assert_eq!(members(&[1]).after(&remove(1, true)), Err(MemberFlaw::Last));
        let unnamed = Member { name: String::new(), ..member(9) };
        assert_eq!(four.after(&Add(unnamed)), Err(MemberFlaw::Form));
        let all: Vec<u8> = (1..=VALIDATORS_MAX as u8).collect();
        assert_eq!(members(&all).after(&Add(member(200))), Err(MemberFlaw::Full));
        let rules = |version| MemberChange::Rules(RulesVersion(version));
        assert_eq!(
            four.after(&rules(2)),
            Ok(Members { epoch: Epoch(4), rules: RulesVersion(2), ..four.clone() })
        );
        let flaw = four.after(&rules(3)).unwrap_err();
        assert_eq!(flaw, MemberFlaw::Rules(RULES_FIRST));
        assert_eq!(flaw.to_string(), "the network has rules 1, so the next ones can only be rules 2");
        let needed = |change: &MemberChange| four.consents_needed(change);
        assert_eq!((needed(&rules(2)), needed(&remove(0, true))), (4, 3));
        assert_eq!(four.place_of(&member(3).public_key), Some(ValidatorIndex(2)));
        assert_eq!((four.place_of(&[9; 32]), four.quorum()), (None, 3));
    }

    #[test]
    fn a_set_has_one_encoding_and_each_flaw_in_it_is_found() {
        let set = members(&[1, 2]);
        let bytes = set.encode();
        assert_eq!(Members::decode(&bytes), Some(set.clone()));
        for end in 0..bytes.len() {
            assert_eq!(Members::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Members::decode(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Members::decode(&[&bytes[..], &[1, 0]].concat()), None, "nobody names the first rules");
        let later = Members { rules: RulesVersion(2), ..set.clone() };
        assert_eq!(later.encode(), [&bytes[..], &[2, 0]].concat());
        assert_eq!(Members::decode(&later.encode()), Some(later.clone()));
        type Spoil = fn(&mut Vec<Member>);
        let spoils: [Spoil; 9] = [
            |list| list.clear(),
            |list| list[1].public_key = list[0].public_key,
            |list| list[1].certificate_fingerprint = list[0].certificate_fingerprint,
            |list| list[0].public_key = [0; 32],
            |list| list[0].name = "n".repeat(NAME_BYTES_MAX + 1),
            |list| list[0].peer_address = "a".repeat(ADDRESS_BYTES_MAX + 1),
            |list| list[0].peer_address = "two words:1".into(),
            |list| list[1].client_address = "gr\u{fc}n:1".into(),
            |list| *list = (0..=VALIDATORS_MAX as u8).map(member).collect(),
        ];
        for (at, spoil) in spoils.iter().enumerate() {
            let mut spoilt = set.clone();
            spoil(&mut spoilt.list);
            assert_eq!((Members::decode(&spoilt.encode()), spoilt.is_valid()), (None, false), "{at}");
        }
        // The digest names members, order, epoch and rules.
        let others = [members(&[2, 1]), Members { epoch: Epoch(4), ..set.clone() }, members(&[1]), later];
        assert!(others.iter().all(|other| other.digest() != set.digest()));
        let longest = Member {
            name: "n".repeat(NAME_BYTES_MAX),
            peer_address: "a".repeat(ADDRESS_BYTES_MAX),
            client_address: "a".repeat(ADDRESS_BYTES_MAX),
            ..member(1)
        };
        assert_eq!(
            (longest.encode().len(), Member::decode(&longest.encode())),
            (MEMBER_BYTES_MAX, Some(longest))
        );
    }
}
