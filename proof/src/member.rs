//! Who validates, as rows of the chain that decides have it.
//!
//! ```text
//! member   name bytes (1) | name | key (32) | certificate fingerprint (32) | bytes (1) | peer address |
//!          bytes (1) | client address
//! members  epoch (8) | decided at height (8) | how many (2) | digest (32) | proposal (32) |
//!          rules (2) | first epoch that has them (8), both if they are not the first ones
//! set      epoch (8) | how many (2) | members.. | rules (2), if they are not the first ones
//! ```
//!
//! There are no such rows while the validators are those of the genesis. The set of an epoch has its digest from all of
//! its members; a row alone shows one of them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Digest;
use crate::codec::{FormError, Reader};
use crate::genesis::{NAME_BYTES_MAX, VALIDATORS_MAX, Validator};

/// Bytes of an address.
const ADDRESS_BYTES_MAX: usize = 64;
/// Bytes of the smallest and of the largest member.
const MEMBER_BYTES_MIN: usize = 1 + 1 + 32 + 32 + 1 + 1;
const MEMBER_BYTES_MAX: usize = 1 + NAME_BYTES_MAX + 32 + 32 + 2 * (1 + ADDRESS_BYTES_MAX);
/// Bytes of the largest set.
pub(crate) const MEMBER_SET_BYTES_MAX: usize = 8 + 2 + VALIDATORS_MAX * MEMBER_BYTES_MAX + 2;
/// The rules with which each network begins. Later ones are named where they are.
const RULES_FIRST: u16 = 1;
/// What the digest of a set begins with.
const SET_DOMAIN: &[u8; 16] = b"millrace/members";

/// A validator that administrators have decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, its key and its certificate.
    pub validator: Validator,
    /// Where the others reach it; empty where that is not said.
    pub peer_address: String,
    /// Where clients reach it; empty where that is not said.
    pub client_address: String,
}

/// The validators of an epoch, of which no two share a key or a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSet {
    /// The epoch.
    pub epoch: u64,
    /// 1 to 128 of them.
    pub members: Vec<Member>,
    /// The version of the rules of the epoch.
    pub rules: u16,
}

/// What is decided about the members. Who goes is named by the key of its votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// One more, at the last place.
    Add(Member),
    /// One less; the places above it move down.
    Remove {
        /// The key of its votes.
        key: Digest,
        /// Whether fewer than four may remain.
        below_four: bool,
    },
    /// Another one at the place of the one with this key.
    Replace(Digest, Member),
    /// The same members by the rules of this version.
    Rules(u16),
}

/// The set that was decided last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembersRecord {
    /// Its epoch. It began with some block after the height in which it was decided.
    pub epoch: u64,
    /// The height in which it was decided.
    pub decided: u64,
    /// How many members it has.
    pub count: u16,
    /// The digest of the set.
    pub digest: Digest,
    /// The proposal.
    pub proposal: Digest,
    /// The version of the rules of that epoch.
    pub rules: u16,
    /// The first epoch that has or had them: 0 for those of the genesis.
    pub rules_since: u64,
}

impl Member {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: it is not one member in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let member = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(member)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let text = |bytes: &mut Vec<u8>, text: &str| {
            // One that was read has at most 64 bytes.
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text.as_bytes());
        };
        text(bytes, &self.validator.name);
        bytes.extend_from_slice(&self.validator.key);
        bytes.extend_from_slice(&self.validator.certificate_fingerprint);
        text(bytes, &self.peer_address);
        text(bytes, &self.client_address);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let name = text(reader, "name of a member", NAME_BYTES_MAX)?;
        if name.is_empty() {
            return Err(FormError::Invalid { what: "name of a member", reason: "it is empty" });
        }
        let key = reader.array("key of a member")?;
        let certificate_fingerprint = reader.array("certificate fingerprint of a member")?;
        Ok(Self {
            validator: Validator { name, key, certificate_fingerprint },
            peer_address: address(reader)?,
            client_address: address(reader)?,
        })
    }
}

fn text(reader: &mut Reader<'_>, what: &'static str, max: usize) -> Result<String, FormError> {
    let count = usize::from(reader.u8(what)?);
    let length = reader.bounded(what, count, max, 1)?;
    let text = str::from_utf8(reader.take(what, length)?);
    text.map(String::from).map_err(|_| FormError::Invalid { what, reason: "it is not UTF-8" })
}

fn address(reader: &mut Reader<'_>) -> Result<String, FormError> {
    let what = "address of a member";
    let address = text(reader, what, ADDRESS_BYTES_MAX)?;
    match address.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(address),
        false => Err(FormError::Invalid { what, reason: "it is not printable ASCII without spaces" }),
    }
}

/// Rules where they are named: not the first ones.
fn later_rules(reader: &mut Reader<'_>) -> Result<u16, FormError> {
    match reader.u16("rules")? {
        rules if rules > RULES_FIRST => Ok(rules),
        _ => Err(FormError::Invalid { what: "rules", reason: "the first ones are not named" }),
    }
}

impl MemberSet {
    /// Decodes a set.
    ///
    /// # Errors
    /// [`FormError`]: the bytes are not one set in its one form.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(bytes);
        let epoch = reader.u64("epoch of the members")?;
        let count = usize::from(reader.u16("number of members")?);
        let count = reader.bounded("number of members", count, VALIDATORS_MAX, MEMBER_BYTES_MIN)?;
        let members = (0..count).map(|_| Member::read(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        let rules = if reader.rest().is_empty() { RULES_FIRST } else { later_rules(&mut reader)? };
        reader.finish()?;
        let alike = |a: &Validator, b: &Validator| {
            a.key == b.key || a.certificate_fingerprint == b.certificate_fingerprint
        };
        let twice = members
            .iter()
            .enumerate()
            .any(|(at, one)| members.iter().take(at).any(|other| alike(&one.validator, &other.validator)));
        if members.is_empty() || twice {
            let reason = "there is at least one, and no two share a key or a certificate";
            return Err(FormError::Invalid { what: "number of members", reason });
        }
        Ok(Self { epoch, members, rules })
    }

    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from(self.epoch.to_le_bytes());
        // One that was read has at most 128.
        bytes.extend_from_slice(&(self.members.len() as u16).to_le_bytes());
        self.members.iter().for_each(|member| member.write(&mut bytes));
        if self.rules != RULES_FIRST {
            bytes.extend_from_slice(&self.rules.to_le_bytes());
        }
        bytes
    }

    /// What names the set: SHA-256 of a domain and the encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        kernels::sha2::sha256_parts(&[SET_DOMAIN, &self.encode()])
    }

    /// The keys of their votes, by their places.
    #[must_use]
    pub fn keys(&self) -> Vec<Digest> {
        self.members.iter().map(|member| member.validator.key).collect()
    }
}

impl MemberChange {
    pub(crate) const ADD: u8 = 7;
    const REPLACE: u8 = 9;
    pub(crate) const RULES: u8 = 10;

    /// Reads it behind the code of the decision.
    pub(crate) fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let key = |reader: &mut Reader<'_>| reader.array("key of a member");
        Ok(match code {
            Self::ADD => Self::Add(Member::read(reader)?),
            Self::REPLACE => Self::Replace(key(reader)?, Member::read(reader)?),
            Self::RULES => Self::Rules(later_rules(reader)?),
            _ => {
                let key = key(reader)?;
                let below_four = match reader.u8("fewer than four members")? {
                    0 => false,
                    1 => true,
                    _ => {
                        let reason = "it is meant or not";
                        return Err(FormError::Invalid { what: "fewer than four members", reason });
                    }
                };
                Self::Remove { key, below_four }
            }
        })
    }
}

impl MembersRecord {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: it is not one set in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let mut members = Self {
            epoch: reader.u64("epoch of the members")?,
            decided: reader.u64("height of the members")?,
            count: reader.u16("number of members")?,
            digest: reader.array("digest of the members")?,
            proposal: reader.array("proposal")?,
            rules: RULES_FIRST,
            rules_since: 0,
        };
        if !reader.rest().is_empty() {
            members.rules = later_rules(&mut reader)?;
            members.rules_since = reader.u64("first epoch of the rules")?;
            let changes = u64::from(members.rules - RULES_FIRST);
            if !(changes..=members.epoch).contains(&members.rules_since) {
                let reason = "each epoch has at most the rules after those of the epoch before";
                return Err(FormError::Invalid { what: "first epoch of the rules", reason });
            }
        }
        reader.finish()?;
        if !(1..=VALIDATORS_MAX).contains(&usize::from(members.count)) || members.epoch == 0 {
            let reason = "after the genesis there are 1 to 128";
            return Err(FormError::Invalid { what: "number of members", reason });
        }
        Ok(members)
    }
}
