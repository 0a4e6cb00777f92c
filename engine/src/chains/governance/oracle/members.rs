//! The definition of a change of the members, in the plainest words.

use kernels::ed25519;
use sha2::{Digest as _, Sha256};

use super::Key;
use crate::types::{
    ChainTime, Consents, Epoch, FirstMembers, Height, Member, MemberChange, Members, Membership, Outcome,
    RulesVersion,
};

/// Validators of a network.
const MEMBERS: usize = 128;
/// Heights after which a consent is too old.
const OLD: u64 = 8_192;

/// Who validates by which rules, where there are administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlainMembers {
    network: Key,
    /// Whether there can be others.
    fixed: bool,
    epoch: u64,
    list: Vec<Member>,
    /// The rules, and the epoch that had them first.
    rules: u16,
    rules_since: u64,
    /// When these were decided, and by which proposal, if they were.
    decided: Option<(u64, Key)>,
}

impl PlainMembers {
    pub(super) fn genesis(first: FirstMembers) -> Self {
        let FirstMembers { network, members, membership } = first;
        let fixed = membership == Membership::Fixed;
        Self {
            network: network.0,
            fixed,
            epoch: 0,
            list: members.list,
            rules: 1,
            rules_since: 0,
            decided: None,
        }
    }

    /// name | key | certificate fingerprint | address for peers | address for clients, each text with its length before
    fn value(member: &Member) -> Vec<u8> {
        let mut value = vec![member.name.len() as u8];
        value.extend(member.name.bytes());
        value.extend(member.public_key);
        value.extend(member.certificate_fingerprint);
        value.push(member.peer_address.len() as u8);
        value.extend(member.peer_address.bytes());
        value.push(member.client_address.len() as u8);
        value.extend(member.client_address.bytes());
        value
    }

    fn digest(&self) -> Key {
        let mut bytes = b"millrace/members".to_vec();
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend((self.list.len() as u16).to_le_bytes());
        self.list.iter().for_each(|member| bytes.extend(Self::value(member)));
        if self.rules > 1 {
            bytes.extend(self.rules.to_le_bytes());
        }
        Sha256::digest(bytes).into()
    }

    fn has(&self, key: &Key) -> bool {
        self.list.iter().any(|member| member.public_key == *key)
    }

    /// Those after a change, or why there are none.
    pub(super) fn after(&self, change: &MemberChange) -> Result<Self, Outcome> {
        let epoch = self.epoch + 1;
        let mut list = self.list.clone();
        match change {
            MemberChange::Rules(next) if next.0 == self.rules + 1 => {
                return Ok(Self { epoch, rules: next.0, rules_since: epoch, ..self.clone() });
            }
            MemberChange::Rules(_) => return Err(Outcome::OtherRules),
            _ if self.fixed => return Err(Outcome::MembersFixed),
            MemberChange::Add(member) => list.push(member.clone()),
            MemberChange::Remove { key, .. } if self.has(key) => {
                list.retain(|member| member.public_key != *key);
            }
            MemberChange::Replace(key, new) if self.has(key) => {
                let leaves = |member: &&mut Member| member.public_key == *key;
                list.iter_mut().filter(leaves).for_each(|member| *member = new.clone());
            }
            MemberChange::Remove { .. } | MemberChange::Replace(..) => return Err(Outcome::UnfitMembers),
        }
        let alike = |a: &Member, b: &Member| {
            a.public_key == b.public_key || a.certificate_fingerprint == b.certificate_fingerprint
        };
        let twice = list.iter().enumerate().any(|(at, one)| list[..at].iter().any(|other| alike(one, other)));
        if twice || list.is_empty() || list.len() > MEMBERS {
            return Err(Outcome::UnfitMembers);
        }
        let meant = matches!(change, MemberChange::Remove { below_four: true, .. });
        if self.list.len() >= 4 && list.len() < 4 && !meant {
            return Err(Outcome::BelowFour);
        }
        Ok(Self { epoch, list, ..self.clone() })
    }

    /// Those that can be decided now.
    pub(super) fn possible(&self, change: &MemberChange, at: ChainTime) -> Result<Self, Outcome> {
        match self.after(change) {
            Err(Outcome::MembersFixed) => Err(Outcome::MembersFixed),
            _ if self.epoch > at.epoch.0 => Err(Outcome::MembersChanging),
            after => after,
        }
    }

    /// The rules of an epoch: in that before the present one they may have been the ones before.
    pub(super) fn rules_of(&self, epoch: u64) -> RulesVersion {
        RulesVersion(if epoch < self.rules_since { self.rules - 1 } else { self.rules })
    }

    /// The set, if it was decided, and in which height.
    pub(super) fn last_decided(&self) -> Option<(Height, Members)> {
        let rules = RulesVersion(self.rules);
        let members = || Members { epoch: Epoch(self.epoch), rules, list: self.list.clone() };
        self.decided.map(|(height, _)| (Height(height), members()))
    }

    /// Those that are decided by this proposal.
    pub(super) fn decided(&self, height: u64, proposal: Key) -> Self {
        Self { decided: Some((height, proposal)), ..self.clone() }
    }

    /// Whether enough of these consent to take the places of those before.
    pub(super) fn consent(&self, before: &Self, at: ChainTime, consents: Consents<'_>) -> bool {
        let mut agreed = Vec::new();
        let rules = self.rules.to_le_bytes();
        for consent in consents.iter() {
            let height = consent.height.0;
            let Some(member) = self.list.get(usize::from(consent.place.0)) else { continue };
            let message = [
                &b"millrace/consent"[..],
                &self.network,
                &self.epoch.to_le_bytes(),
                &self.digest(),
                &height.to_le_bytes(),
                if self.rules > 1 { &rules } else { &[] },
            ];
            let in_time = height <= at.height.0 && at.height.0 - height <= OLD;
            if in_time && ed25519::verify(&member.public_key, &message.concat(), &consent.signature) {
                agreed.push(member.public_key);
            }
        }
        // All must run other rules.
        let may_fail = if self.rules > before.rules { 0 } else { (self.list.len() - 1) / 3 };
        let mut new = self.list.iter().filter(|member| !before.has(&member.public_key));
        agreed.len() + may_fail >= self.list.len() && new.all(|member| agreed.contains(&member.public_key))
    }

    /// The rows: one for each member, and the last one for all. There are none before anything was decided.
    pub(super) fn rows(&self) -> Vec<(Key, Vec<u8>)> {
        let Some((height, proposal)) = self.decided else { return Vec::new() };
        let of_members = (0..).zip(&self.list).map(|(place, member)| (Self::row(place), Self::value(member)));
        let numbers = [self.epoch.to_le_bytes(), height.to_le_bytes()].concat();
        let count = (self.list.len() as u16).to_le_bytes();
        let mut of_all = [&numbers[..], &count, &self.digest(), &proposal].concat();
        if self.rules > 1 {
            of_all.extend(self.rules.to_le_bytes());
            of_all.extend(self.rules_since.to_le_bytes());
        }
        of_members.chain([(super::own_row(9, 0), of_all)]).collect()
    }

    /// The key of the row of the member at a place.
    pub(super) fn row(place: u32) -> Key {
        super::own_row(8, place)
    }

    /// The places that those before have, and these do not.
    pub(super) fn places_left(&self, before: &Self) -> std::ops::Range<u32> {
        let had = if before.decided.is_some() { before.list.len() } else { 0 };
        self.list.len() as u32..had as u32
    }
}
