//! The charter of a chain: what it is, and who may do what there, as administrators have decided.

use crate::codec::{FormError, Reader};
use crate::entry::ChainStatus;
use crate::genesis::{Chain, ChainKind, Roles};
use crate::row::CHARTER_KEY;
use crate::{Digest, ProofError, Row};

/// What a chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charter {
    /// What it does.
    pub kind: ChainKind,
    /// What its balances are balances of; zeros where its kind has none.
    pub asset: [u8; 16],
    /// What the genesis put there.
    pub supply: u64,
    /// The highest issuance cap that it has had.
    pub cap_ever: u64,
    /// Whether it takes new work.
    pub status: ChainStatus,
    /// The height from which on this is in effect; 0 where it is as in the genesis.
    pub since: u64,
    /// Who may order what.
    pub roles: Roles,
    /// The proposal that was decided last, if one was.
    pub proposal: Option<Digest>,
}

impl Charter {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: it is not one charter in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let kind = ChainKind::read(&mut reader, "kind of the chain")?;
        if reader.u16("suite of the chain")? != 1 {
            return Err(FormError::Invalid { what: "suite of the chain", reason: "it is unknown here" });
        }
        let charter = Self {
            kind,
            asset: reader.array("asset of the chain")?,
            supply: reader.u64("supply of the chain")?,
            cap_ever: reader.u64("highest issuance cap of the chain")?,
            status: ChainStatus::read(&mut reader, "status of the chain")?,
            since: reader.u64("height of the charter")?,
            roles: Roles::read(&mut reader)?,
            proposal: Some(reader.array("proposal")?),
        };
        reader.finish()?;
        Ok(charter)
    }

    /// What a row says, or, where it shows that there is none, the genesis.
    pub(crate) fn said(row: &Row, genesis: Option<&Chain>) -> Result<Self, ProofError> {
        if let Some(said) = row.says(&CHARTER_KEY, Self::decode)? {
            return Ok(said);
        }
        let Chain { kind, asset, supply, roles, .. } = *genesis.ok_or(ProofError::OtherRow)?;
        let (cap_ever, status) = (roles.issuance_cap, ChainStatus::Active);
        Ok(Self { kind, asset, supply, cap_ever, status, since: 0, roles, proposal: None })
    }
}
