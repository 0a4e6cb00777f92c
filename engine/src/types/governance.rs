//! What the administrators of a network decide about its chains: envelopes that propose and approve, and the rows that
//! say what was decided. `docs/GOVERNANCE.md` has the rules.
//!
//! ```text
//! propose   payload   | administrators (8) | until (8) | consents | decision |
//! approve   payload   | proposal (32) | administrators (8) | consents |
//! proposal            SHA-256 of "millrace/proposal" || administrators (8) | until (8) | decision
//! consents            those of the members of the set that is decided: see the module `consent`
//! decision  1 create          chain (4) | kind (2) | suite (2) | asset (16) | roles (60) | keys (1) | keys (32)..
//!           2 pause, 3 resume, 4 close      chain (4)
//!           5 roles           chain (4) | roles (60)
//!           6 administrators  threshold (1) | accounts (1) | accounts (8)..
//!           7 add             member
//!           8 remove          place (2) | 1 if fewer than four may remain (1)
//!           9 replace         place (2) | member
//! row of a proposal        key   the proposal
//!                          value administrators (8) | until (8) | approvals (1) | accounts (8).. |
//!                                0, or 1 | number (8) | in effect (8) | decision
//! row of a chain           key   16 zero bytes | 4 | 0 (7) | chain (8, big-endian)
//!                          value kind (2) | suite (2) | asset (16) | supply (8) | highest cap (8) | status (1) |
//!                                since (8) | roles (60) | proposal (32)
//! row of the chain itself  key   16 zero bytes | 6 | 0 (15)
//!                          value as in the row of a chain
//! row of the administrators  key   16 zero bytes | 5 | 0 (15)
//!                            value version (8) | threshold (1) | accounts (1) | accounts (8)..
//! ```
//!
//! *Administrators* is the version of their set: when others take their places, what is open is void. Consents belong
//! to the envelope with which something is decided, and not to what is proposed: they are gathered at the end.

use kernels::ed25519::is_small_order;
use kernels::sha2::sha256_parts;

use super::packet::{APPROVE_KIND, Body, PROPOSE_KIND};
use super::record::{number, own_key, take};
use super::transaction::Malformed;
use super::{
    AccountId, Asset, ChainGenesis, ChainId, ChainKind, Consents, CryptoSuite, Digest, Height, MemberChange,
    PacketRun, Roles, Transaction,
};
use crate::limits::{
    ADMINISTRATORS_MAX, DECISION_BYTES_MAX, FOUNDERS_MAX, PUBLIC_KEY_BYTES, ROW_VALUE_BYTES_MAX,
    SIGNATURE_BYTES,
};

const PROPOSAL_DOMAIN: &[u8; 17] = b"millrace/proposal";
const CHAIN_TAG: u8 = 4;
const ADMINISTRATORS_TAG: u8 = 5;
const OWN_CHAIN_TAG: u8 = 6;

const _: () = assert!(8 + 8 + 1 + ADMINISTRATORS_MAX * 8 + 17 + DECISION_BYTES_MAX <= ROW_VALUE_BYTES_MAX);

/// The table's key of the administrators.
pub const ADMINISTRATORS_KEY: [u8; 32] = own_key(ADMINISTRATORS_TAG, 0, AccountId(0));

/// The table's key of what is in effect on the chain itself.
pub const OWN_CHAIN_KEY: [u8; 32] = own_key(OWN_CHAIN_TAG, 0, AccountId(0));

/// Above all keys of the ledger's own rows, which begin with 16 zero bytes, and below all proposals.
pub const BEFORE_PROPOSALS: [u8; 32] = {
    let mut key = [0; 32];
    let mut at = 16;
    while at < 32 {
        key[at] = 0xff;
        at += 1;
    }
    key
};

/// The table's key of what is decided about a chain, on the chain of the kind *governance*.
pub fn chain_key(chain: ChainId) -> [u8; 32] {
    own_key(CHAIN_TAG, 0, AccountId(chain.0 as u64))
}

/// The chain that a key of the table of the kind *governance* is about, if it is a [`chain_key`].
pub fn chain_of_key(key: &[u8; 32]) -> Option<ChainId> {
    let chain = ChainId(u32::from_be_bytes(*key.last_chunk()?));
    (chain_key(chain) == *key).then_some(chain)
}

/// Whether a chain takes new work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ChainStatus {
    /// It does.
    #[default]
    Active = 0,
    /// Every transaction on it fails until it is resumed. What is in flight arrives.
    Paused = 1,
    /// For good, it takes nothing new. Money can leave it.
    Closed = 2,
}

impl ChainStatus {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }

    /// The status of this byte.
    pub fn of(byte: u8) -> Option<Self> {
        [Self::Active, Self::Paused, Self::Closed].into_iter().find(|status| *status as u8 == byte)
    }
}

/// A chain that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChain {
    /// Its number, above those of all chains that there are.
    pub id: ChainId,
    /// What it does; never the kind of the chain that decides.
    pub kind: ChainKind,
    /// How it signs and hashes.
    pub suite: CryptoSuite,
    /// What its balances are balances of.
    pub asset: Asset,
    /// Who may order what there.
    pub roles: Roles,
    /// The keys of its first accounts, at least one and at most [`FOUNDERS_MAX`]. They hold nothing.
    pub founders: Vec<[u8; PUBLIC_KEY_BYTES]>,
}

/// Those who decide: accounts of the chain of the kind *governance*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Council {
    /// How many of them must approve; from 1 up to their number.
    pub threshold: u8,
    /// Their accounts, ascending, at most [`ADMINISTRATORS_MAX`].
    pub accounts: Vec<AccountId>,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is another chain.
    Create(NewChain),
    /// A chain is paused: every transaction on it fails.
    Pause(ChainId),
    /// A chain that is paused goes on.
    Resume(ChainId),
    /// A chain takes nothing new any more, for good.
    Close(ChainId),
    /// Others may order on a chain, and it has other caps and windows.
    Roles(ChainId, Roles),
    /// Others decide from then on.
    Administrators(Council),
    /// Others validate from the next epoch on, which begins soon after.
    Members(MemberChange),
}

impl Council {
    /// Whether it is one: 1 to 16 accounts, ascending, and a threshold from 1 up to their number.
    pub fn is_valid(&self) -> bool {
        (1..=ADMINISTRATORS_MAX).contains(&self.accounts.len())
            && (1..=self.accounts.len()).contains(&usize::from(self.threshold))
            && self.accounts.is_sorted_by(|a, b| a < b)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.threshold, self.accounts.len() as u8]);
        bytes.extend(self.accounts.iter().flat_map(|account| account.0.to_le_bytes()));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let [threshold, count] = take(bytes)?;
        let accounts = accounts(bytes, count)?;
        Some(Self { threshold, accounts }).filter(Self::is_valid)
    }
}

fn accounts(bytes: &mut &[u8], count: u8) -> Option<Vec<AccountId>> {
    if usize::from(count) > ADMINISTRATORS_MAX {
        return None;
    }
    (0..count).map(|_| Some(AccountId(number(bytes)?))).collect()
}

impl NewChain {
    /// Whether a genesis could have such a chain, with accounts that hold nothing.
    pub fn is_valid(&self) -> bool {
        let founders = self.founders.len() as u64;
        self.kind != ChainKind::Governance
            && (1..=FOUNDERS_MAX as u64).contains(&founders)
            && !self.founders.iter().any(is_small_order)
            && self.roles.fit(self.kind, self.asset)
            && self.roles.holders().all(|account| account.0 < founders)
            && (self.roles.accounts_cap == 0 || self.roles.accounts_cap >= founders)
    }
}

impl Decision {
    /// The chain that it is about; `None` where it is about those who decide or validate.
    pub fn chain(&self) -> Option<ChainId> {
        match self {
            Self::Create(NewChain { id: chain, .. })
            | Self::Pause(chain)
            | Self::Resume(chain)
            | Self::Close(chain)
            | Self::Roles(chain, _) => Some(*chain),
            Self::Administrators(_) | Self::Members(_) => None,
        }
    }

    /// Whether its form is valid. Whether it is possible depends on the chains that there are.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Create(new) => new.is_valid(),
            Self::Administrators(council) => council.is_valid(),
            Self::Members(change) => change.is_valid(),
            Self::Roles(..) | Self::Pause(_) | Self::Resume(_) | Self::Close(_) => true,
        }
    }

    /// The bytes in an envelope and in the row of a proposal.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut of_chain = |code: u8, chain: ChainId| {
            bytes.push(code);
            bytes.extend(chain.0.to_le_bytes());
        };
        match self {
            Self::Create(new) => {
                of_chain(1, new.id);
                bytes.extend((new.kind as u16).to_le_bytes());
                bytes.extend((new.suite as u16).to_le_bytes());
                bytes.extend(new.asset.0);
                bytes.extend(new.roles.encode());
                bytes.push(new.founders.len() as u8);
                bytes.extend(new.founders.iter().flatten());
            }
            Self::Pause(chain) => of_chain(2, *chain),
            Self::Resume(chain) => of_chain(3, *chain),
            Self::Close(chain) => of_chain(4, *chain),
            Self::Roles(chain, roles) => {
                of_chain(5, *chain);
                bytes.extend(roles.encode());
            }
            Self::Administrators(council) => {
                bytes.push(6);
                council.write(&mut bytes);
            }
            Self::Members(change) => change.write(&mut bytes),
        }
        bytes
    }

    /// The inverse of [`Self::encode`]: a [valid](Self::is_valid) one, and nothing behind it.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let [code] = take(bytes)?;
        if code >= 6 {
            let decision = match code {
                6 => Self::Administrators(Council::read(bytes)?),
                _ => Self::Members(MemberChange::read(code, bytes)?),
            };
            return bytes.is_empty().then_some(decision);
        }
        let chain = ChainId(u32::from_le_bytes(take(bytes)?));
        let decision = match code {
            1 => {
                let kind = ChainKind::of(u16::from_le_bytes(take(bytes)?))?;
                let suite = CryptoSuite::of(u16::from_le_bytes(take(bytes)?))?;
                let (asset, roles) = (Asset(take(bytes)?), Roles::decode(&take(bytes)?));
                let [count] = take(bytes)?;
                if usize::from(count) > FOUNDERS_MAX {
                    return None;
                }
                let founders = (0..count).map(|_| take(bytes)).collect::<Option<_>>()?;
                Self::Create(NewChain { id: chain, kind, suite, asset, roles, founders })
            }
            2 => Self::Pause(chain),
            3 => Self::Resume(chain),
            4 => Self::Close(chain),
            5 => Self::Roles(chain, Roles::decode(&take(bytes)?)),
            _ => return None,
        };
        (bytes.is_empty() && decision.is_valid()).then_some(decision)
    }
}

/// A decision in its encoding, which was read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedDecision<'a>(&'a [u8]);

impl<'a> EncodedDecision<'a> {
    /// The one that [`Decision::encode`] gave.
    ///
    /// # Errors
    /// [`Malformed`]: it is not [valid](Decision::is_valid).
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Decision::decode(bytes).map(|_| Self(bytes)).ok_or(Malformed)
    }

    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The decision.
    pub fn get(self) -> Decision {
        Decision::decode(self.0).expect("it was read before")
    }
}

fn proposal_id(administrators: u64, until_ms: u64, decision: &[u8]) -> Digest {
    let terms = [administrators.to_le_bytes(), until_ms.to_le_bytes()];
    Digest(sha256_parts(&[PROPOSAL_DOMAIN, terms.as_flattened(), decision]))
}

/// An administrator wants something to be decided, and approves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propose<'a> {
    /// The chain of the kind *governance*.
    pub chain: ChainId,
    /// The version of the key under which it is signed.
    pub key_version: u32,
    /// The administrator's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The administrator.
    pub administrator: AccountId,
    /// Which set of administrators decides: its version.
    pub administrators: u64,
    /// Until this time of the chain it can be approved, in milliseconds since 1970.
    pub until_ms: u64,
    /// Of members, if the proposal decides about them at once: one approval is enough.
    pub consents: Consents<'a>,
    /// What is to be decided.
    pub decision: EncodedDecision<'a>,
    /// The administrator's number for it, from the same window as a transfer's; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

/// An administrator approves a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approve<'a> {
    /// The chain of the kind *governance*.
    pub chain: ChainId,
    /// The version of the key under which it is signed.
    pub key_version: u32,
    /// The administrator's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The administrator.
    pub administrator: AccountId,
    /// The proposal: see [`Propose::proposal`].
    pub proposal: Digest,
    /// Which set of administrators decides: its version.
    pub administrators: u64,
    /// Of members, if this is the approval with which is decided about them.
    pub consents: Consents<'a>,
    /// The administrator's number for it, from the same window as a transfer's; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

impl<'a> Propose<'a> {
    /// What approvals name: who proposes it, and when, does not matter, and neither does who consents.
    pub fn proposal(&self) -> Digest {
        proposal_id(self.administrators, self.until_ms, self.decision.0)
    }

    fn payload(&self) -> Vec<u8> {
        let numbers = [self.administrators.to_le_bytes(), self.until_ms.to_le_bytes()];
        [numbers.as_flattened(), &self.consents.bytes(), self.decision.0].concat()
    }

    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let mut payload = run.payload();
        let administrators = number(&mut payload).ok_or(Malformed)?;
        let until_ms = number(&mut payload).ok_or(Malformed)?;
        let consents = Consents::take(&mut payload)?;
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            administrator: run.debit(),
            administrators,
            until_ms,
            consents,
            decision: EncodedDecision::read(payload)?,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: never, for a decision that was read.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let body = Body {
            kind: PROPOSE_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.administrator,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, &self.payload(), sign)
    }
}

impl<'a> Approve<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let mut payload = run.payload();
        let proposal = Digest(take(&mut payload).ok_or(Malformed)?);
        let administrators = number(&mut payload).ok_or(Malformed)?;
        let consents = Consents::read(payload)?;
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            administrator: run.debit(),
            proposal,
            administrators,
            consents,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: never.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let body = Body {
            kind: APPROVE_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.administrator,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        let (administrators, consents) = (self.administrators.to_le_bytes(), self.consents.bytes());
        let payload = [&self.proposal.0[..], &administrators, &consents].concat();
        Transaction::envelope(network, body, &payload, sign)
    }
}

/// A decision that takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The proposal.
    pub proposal: Digest,
    /// What was decided.
    pub decision: Decision,
}

/// A proposal, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalRecord {
    /// The version of the administrators who decide.
    pub administrators: u64,
    /// Until this time of the chain it can be approved, in milliseconds since 1970.
    pub until_ms: u64,
    /// Who approves it, in their order; the first one has proposed it.
    pub approvals: Vec<AccountId>,
    /// When it is decided: its number among all decisions, and the height from which on it is in effect. Of a change of
    /// the members that is the height in which it was decided: it takes effect with the next epoch.
    pub decided: Option<(u64, Height)>,
    /// What is to be decided.
    pub decision: Decision,
}

impl ProposalRecord {
    /// What names it: so nobody can say that a proposal says something else.
    pub fn proposal(&self) -> Digest {
        proposal_id(self.administrators, self.until_ms, &self.decision.encode())
    }

    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(self.administrators.to_le_bytes());
        bytes.extend(self.until_ms.to_le_bytes());
        bytes.push(self.approvals.len() as u8);
        bytes.extend(self.approvals.iter().flat_map(|account| account.0.to_le_bytes()));
        match self.decided {
            None => bytes.push(0),
            Some((number, height)) => {
                bytes.push(1);
                bytes.extend(number.to_le_bytes());
                bytes.extend(height.0.to_le_bytes());
            }
        }
        bytes.extend(self.decision.encode());
        bytes
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let (administrators, until_ms) = (number(bytes)?, number(bytes)?);
        let [count] = take(bytes)?;
        let approvals = accounts(bytes, count)?;
        let decided = match take(bytes)? {
            [0] => None,
            [1] => Some((number(bytes)?, Height(number(bytes)?))),
            _ => return None,
        };
        let decision = Decision::decode(bytes)?;
        Some(Self { administrators, until_ms, approvals, decided, decision })
    }
}

/// What a chain is, and since when: on the chain of the kind *governance* as it is decided, on the chain itself as it
/// is in effect. There is no row while that is as the genesis has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charter {
    /// What it does.
    pub kind: ChainKind,
    /// How it signs and hashes.
    pub suite: CryptoSuite,
    /// What its balances are balances of.
    pub asset: Asset,
    /// What the genesis put there.
    pub supply: u64,
    /// The highest issuance cap that it has had: so much may be in the world because of it.
    pub cap_ever: u64,
    /// Whether it takes new work.
    pub status: ChainStatus,
    /// The height from which on this is in effect.
    pub since: Height,
    /// Who may order what there.
    pub roles: Roles,
    /// The proposal that was decided last; zeros where that is the genesis.
    pub proposal: Digest,
}

impl Charter {
    /// What a decision makes of it.
    #[must_use]
    pub fn after(&self, decision: &Decision, since: Height, proposal: Digest) -> Self {
        let changed = Self { since, proposal, ..*self };
        match decision {
            Decision::Create(_) | Decision::Administrators(_) | Decision::Members(_) => changed,
            Decision::Pause(_) => Self { status: ChainStatus::Paused, ..changed },
            Decision::Resume(_) => Self { status: ChainStatus::Active, ..changed },
            Decision::Close(_) => Self { status: ChainStatus::Closed, ..changed },
            Decision::Roles(_, roles) => {
                Self { roles: *roles, cap_ever: self.cap_ever.max(roles.issuance_cap), ..changed }
            }
        }
    }

    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend((self.kind as u16).to_le_bytes());
        bytes.extend((self.suite as u16).to_le_bytes());
        bytes.extend(self.asset.0);
        bytes.extend(self.supply.to_le_bytes());
        bytes.extend(self.cap_ever.to_le_bytes());
        bytes.push(self.status as u8);
        bytes.extend(self.since.0.to_le_bytes());
        bytes.extend(self.roles.encode());
        bytes.extend(self.proposal.0);
        bytes
    }

    /// The inverse of [`Self::encode`]; `None` if the bytes are not those of a chain.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let record = Self {
            kind: ChainKind::of(u16::from_le_bytes(take(bytes)?))?,
            suite: CryptoSuite::of(u16::from_le_bytes(take(bytes)?))?,
            asset: Asset(take(bytes)?),
            supply: number(bytes)?,
            cap_ever: number(bytes)?,
            status: ChainStatus::of(u8::from_le_bytes(take(bytes)?))?,
            since: Height(number(bytes)?),
            roles: Roles::decode(&take(bytes)?),
            proposal: Digest(take(bytes)?),
        };
        let Roles { windows, quota, .. } = record.roles;
        (bytes.is_empty() && windows.are_valid() && quota.is_valid()).then_some(record)
    }
}

impl From<&ChainGenesis> for Charter {
    fn from(chain: &ChainGenesis) -> Self {
        Self {
            kind: chain.kind,
            suite: chain.suite,
            asset: chain.asset,
            // A genesis that exists has one.
            supply: chain.supply().unwrap_or(u64::MAX),
            cap_ever: chain.roles.issuance_cap,
            status: ChainStatus::Active,
            since: Height(0),
            roles: chain.roles,
            proposal: Digest::default(),
        }
    }
}

impl From<&NewChain> for Charter {
    fn from(new: &NewChain) -> Self {
        Self {
            kind: new.kind,
            suite: new.suite,
            asset: new.asset,
            supply: 0,
            cap_ever: new.roles.issuance_cap,
            status: ChainStatus::Active,
            since: Height(0),
            roles: new.roles,
            proposal: Digest::default(),
        }
    }
}

/// Who decides, and since which change of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrators {
    /// The version of the set: 1 for that of the genesis.
    pub version: u64,
    /// The set.
    pub council: Council,
}

impl Administrators {
    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.version.to_le_bytes().to_vec();
        self.council.write(&mut bytes);
        bytes
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let found = Self { version: number(bytes)?, council: Council::read(bytes)? };
        bytes.is_empty().then_some(found)
    }
}
