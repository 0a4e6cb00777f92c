//! The canonical encodings of a genesis: all of it, and its header, whose hash names the network.
//!
//! ```text
//! genesis   magic | name | validators.. | membership | origin | for each chain: chain | accounts: key, balance..
//! header    magic | name | validators.. | membership | origin | for each chain: chain | how many accounts | their root |
//!           supply
//! chain     id | kind | suite | asset | roles | threshold
//! roles     issuer | issuance cap | freezer | registrar | accounts cap | attestations cap | re-key window |
//!           recovery window
//!           an account of 2^64 - 1 is none; a registrar of 2^64 - 2 is any account
//! membership  0: the validators stay, 1: the administrators decide who validates
//! origin      0, or 1 and what a rebuilt network goes on from: network | height | block | state root |
//!             digest of the quotas
//! ```
//!
//! The crate `proof` reads the header; `docs/PROOFS.md` has it byte by byte.

use super::{Reader, WireError, Writer};
use crate::limits::GENESIS_HEADER_BYTES_MAX;
use crate::limits::{CHAINS_MAX, GENESIS_ACCOUNTS_MAX, NAME_BYTES_MAX, VALIDATORS_MAX};
use crate::roots::accounts_root;
use crate::types::{
    AccountGenesis, Asset, ChainGenesis, ChainId, ChainKind, CryptoSuite, Genesis, Height, Membership,
    Origin, Roles, ValidatorGenesis,
};

const MAGIC: &[u8; 19] = b"millrace/genesis/11";
const HEADER_MAGIC: &[u8; 26] = b"millrace/genesis-header/10";
const ACCOUNT_BYTES: usize = 32 + 8;
const VALIDATOR_BYTES_MIN: usize = 4 + 32 + 32;
const CHAIN_BYTES_MIN: usize = 4 + 2 + 2 + 16 + Roles::BYTES + 4 + 4;

impl Genesis {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.raw(MAGIC);
        self.write_members(writer);
        writer.count(self.chains().len());
        for chain in self.chains() {
            write_chain(writer, chain);
            writer.count(chain.accounts.len());
            for account in &chain.accounts {
                writer.raw(&account.public_key).u64(account.balance);
            }
        }
    }

    fn write_members(&self, writer: &mut Writer) {
        writer.blob(self.name().as_bytes()).count(self.validators().len());
        for validator in self.validators() {
            writer.blob(validator.name.as_bytes());
            writer.raw(&validator.public_key).raw(&validator.certificate_fingerprint);
        }
        writer.u8(self.membership() as u8);
        match self.origin() {
            None => {
                writer.u8(0);
            }
            Some(Origin { network, height, block, state_root, quotas }) => {
                writer.u8(1).digest(network).u64(height.0).digest(block).digest(state_root).digest(quotas);
            }
        }
    }

    /// The encoding of the header. It hashes all accounts.
    pub(crate) fn encode_header(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(HEADER_MAGIC);
        self.write_members(&mut writer);
        writer.count(self.chains().len());
        for chain in self.chains() {
            let supply = chain.supply().expect("a genesis that exists has a supply");
            write_chain(&mut writer, chain);
            writer.u64(chain.accounts.len() as u64);
            writer.digest(&accounts_root(chain.account_states())).u64(supply);
        }
        let header = writer.finish();
        assert!(header.len() <= GENESIS_HEADER_BYTES_MAX, "the limits leave room for the largest");
        header
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// The inverse of [`Self::encode`]; checks everything that [`Genesis::new`] does.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        if reader.array("genesis magic")? != *MAGIC {
            return Err(WireError::Invalid { what: "genesis magic", reason: "not a genesis of this format" });
        }
        let name = reader.text("network name", NAME_BYTES_MAX)?;
        let validator_count = reader.count("validators", VALIDATORS_MAX, VALIDATOR_BYTES_MIN)?;
        let validators = (0..validator_count)
            .map(|_| {
                Ok(ValidatorGenesis {
                    name: reader.text("validator name", NAME_BYTES_MAX)?,
                    public_key: reader.array("validator key")?,
                    certificate_fingerprint: reader.array("certificate fingerprint")?,
                })
            })
            .collect::<Result<_, WireError>>()?;
        let membership = Membership::of(reader.u8("membership")?);
        let membership = membership
            .ok_or(WireError::Invalid { what: "membership", reason: "neither fixed nor decided" })?;
        let origin = match reader.u8("whether the network was rebuilt")? {
            0 => None,
            1 => Some(Origin {
                network: reader.digest("network that was rebuilt")?,
                height: Height(reader.u64("height from which it goes on")?),
                block: reader.digest("block from which it goes on")?,
                state_root: reader.digest("state root from which it goes on")?,
                quotas: reader.digest("quotas with which it goes on")?,
            }),
            _ => {
                return Err(WireError::Invalid {
                    what: "whether the network was rebuilt",
                    reason: "neither 0 nor 1",
                });
            }
        };
        let chain_count = reader.count("chains", CHAINS_MAX, CHAIN_BYTES_MIN)?;
        let chains = (0..chain_count).map(|_| read_chain(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self::with_origin(name, validators, (membership, origin), chains)?)
    }
}

/// What genesis and header both say of a chain.
fn write_chain(writer: &mut Writer, chain: &ChainGenesis) {
    writer.u32(chain.id.0).u16(chain.kind as u16).u16(chain.suite as u16).raw(&chain.asset.0);
    writer.raw(&chain.roles.encode()).u32(chain.threshold.into());
}

fn read_chain(reader: &mut Reader<'_>) -> Result<ChainGenesis, WireError> {
    let id = ChainId(reader.u32("chain id")?);
    let kind = ChainKind::of(reader.u16("chain kind")?);
    let kind = kind.ok_or(WireError::Invalid { what: "chain kind", reason: "unknown" })?;
    let suite = CryptoSuite::of(reader.u16("crypto suite")?);
    let suite = suite.ok_or(WireError::Invalid { what: "crypto suite", reason: "unknown" })?;
    let asset = Asset(reader.array("asset")?);
    let roles = Roles::decode(&reader.array("roles")?);
    let threshold = u8::try_from(reader.u32("threshold")?)
        .map_err(|_| WireError::Invalid { what: "threshold", reason: "too high" })?;
    let count = reader.count("accounts", GENESIS_ACCOUNTS_MAX, ACCOUNT_BYTES)?;
    let accounts = (0..count)
        .map(|_| {
            Ok(AccountGenesis {
                public_key: reader.array("account key")?,
                balance: reader.u64("account balance")?,
            })
        })
        .collect::<Result<_, WireError>>()?;
    Ok(ChainGenesis { id, kind, suite, asset, roles, threshold, accounts })
}
