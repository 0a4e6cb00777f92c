//! Who decides about the chains, and what was proposed and decided, as rows of the chain of the kind *governance* have
//! it.

use alloc::vec::Vec;

use crate::codec::{FormError, Reader};
use crate::genesis::{ADMINISTRATORS_MAX, Chain, ChainKind, Roles, SUITE_ED25519};
use crate::{Digest, MemberChange, ProofError, Row};

/// Accounts with which a chain that is decided begins.
const FOUNDERS_MAX: usize = 8;
const DOMAIN: &[u8; 17] = b"millrace/proposal";

/// The accounts that decide, and how many of them must approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Council {
    /// How many of them must approve; from 1 up to their number.
    pub threshold: u8,
    /// Their accounts on the chain that decides, ascending, 1 to 16.
    pub accounts: Vec<u64>,
}

/// Who decides, and since which change of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrators {
    /// The version of the set: 1 for that of the genesis.
    pub version: u64,
    /// The set.
    pub council: Council,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A chain is created.
    Create(NewChain),
    /// A chain is paused: every transaction on it fails.
    Pause(u32),
    /// A chain that is paused goes on.
    Resume(u32),
    /// A chain takes nothing new any more, for good.
    Close(u32),
    /// A chain has other roles, caps and lock windows.
    Roles(u32, Roles),
    /// Others decide from then on.
    Administrators(Council),
    /// Others validate from the next epoch on.
    Members(MemberChange),
}

/// The chain that a decision creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChain {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub kind: ChainKind,
    /// What its balances are balances of; zeros where its kind has none.
    pub asset: [u8; 16],
    /// Who may order what there.
    pub roles: Roles,
    /// The keys of its first accounts, 1 to 8.
    pub founders: Vec<Digest>,
}

/// A proposal, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The version of the administrators who decide.
    pub administrators: u64,
    /// Until this time of the chain it can be approved, in milliseconds since 1970.
    pub until_ms: u64,
    /// Who approves it, in their order; the first one has proposed it.
    pub approvals: Vec<u64>,
    /// When it is decided: its number among all decisions, and the height from which on it is in effect. Of a change of
    /// the members that is the height in which it was decided: it takes effect with the next epoch.
    pub decided: Option<(u64, u64)>,
    /// What is to be decided.
    pub decision: Decision,
}

impl Council {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let [threshold, count] = reader.array("administrators")?;
        let accounts = reader.accounts("administrators", count, ADMINISTRATORS_MAX as usize)?;
        if !(1..=accounts.len()).contains(&usize::from(threshold)) {
            let reason = "the threshold does not fit their number";
            return Err(FormError::Invalid { what: "administrators", reason });
        }
        Ok(Self { threshold, accounts })
    }
}

impl Administrators {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: it is not one set in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let version = reader.u64("version of the administrators")?;
        let council = Council::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { version, council })
    }

    /// What a row says, or, where it shows that there is none, the genesis: all accounts of its chain that decides.
    pub(crate) fn said(row: &Row, key: &Digest, genesis: Option<&Chain>) -> Result<Self, ProofError> {
        if let Some(said) = row.says(key, Self::decode)? {
            return Ok(said);
        }
        let Chain { threshold, accounts, .. } = genesis.ok_or(ProofError::OtherRow)?;
        let council = Council { threshold: *threshold as u8, accounts: (0..*accounts).collect() };
        Ok(Self { version: 1, council })
    }
}

impl Proposal {
    /// Decodes the value of the row of a proposal. Its name is the hash of what it says, so a proposal cannot be shown
    /// under the name of another one.
    ///
    /// # Errors
    /// [`FormError`]: it is not one proposal in its one form, or has another name.
    pub fn decode(name: &Digest, value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let administrators = reader.u64("administrators of the proposal")?;
        let until_ms = reader.u64("time of the proposal")?;
        let count = usize::from(reader.u8("approvals")?);
        let count = reader.bounded("approvals", count, ADMINISTRATORS_MAX as usize, 8)?;
        let approvals = (0..count).map(|_| reader.u64("approvals")).collect::<Result<_, _>>()?;
        let decided = match reader.u8("number of the decision")? {
            0 => None,
            1 => Some((reader.u64("number of the decision")?, reader.u64("height of the decision")?)),
            _ => {
                return Err(FormError::Invalid {
                    what: "number of the decision",
                    reason: "there is one or none",
                });
            }
        };
        let decision = reader.rest();
        let (version, until) = (administrators.to_le_bytes(), until_ms.to_le_bytes());
        if kernels::sha2::sha256_parts(&[&DOMAIN[..], &version, &until, decision]) != *name {
            let reason = "its name is not the hash of what it says";
            return Err(FormError::Invalid { what: "proposal", reason });
        }
        let decision = Decision::decode(decision)?;
        Ok(Self { administrators, until_ms, approvals, decided, decision })
    }
}

impl Decision {
    fn decode(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(bytes);
        let code = reader.u8("decision")?;
        if code == 6 {
            let council = Council::read(&mut reader)?;
            reader.finish()?;
            return Ok(Self::Administrators(council));
        }
        if (MemberChange::ADD..=MemberChange::RULES).contains(&code) {
            let change = MemberChange::read(code, &mut reader)?;
            reader.finish()?;
            return Ok(Self::Members(change));
        }
        let chain = reader.u32("chain of the decision")?;
        let decision = match code {
            1 => Self::Create(NewChain::read(chain, &mut reader)?),
            2 => Self::Pause(chain),
            3 => Self::Resume(chain),
            4 => Self::Close(chain),
            5 => Self::Roles(chain, Roles::read_any(&mut reader)?),
            _ => return Err(FormError::Invalid { what: "decision", reason: "it is unknown here" }),
        };
        reader.finish()?;
        Ok(decision)
    }
}

impl NewChain {
    fn read(id: u32, reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let kind = ChainKind::read(reader, "kind of the chain")?;
        if reader.u16("suite of the chain")? != SUITE_ED25519 {
            return Err(FormError::Invalid { what: "suite of the chain", reason: "it is unknown here" });
        }
        let asset = reader.array("asset of the chain")?;
        let roles = Roles::read_any(reader)?;
        let count = usize::from(reader.u8("founders")?);
        let count = reader.bounded("founders", count, FOUNDERS_MAX, 32)?;
        let founders = (0..count).map(|_| reader.array("founders")).collect::<Result<_, _>>()?;
        Ok(Self { id, kind, asset, roles, founders })
    }
}
