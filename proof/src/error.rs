//! Every way in which a proof can be wrong.

use core::fmt;

use crate::{CertificateError, EpochChangeError, FormError};

/// The first thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The genesis header is not one.
    Genesis(FormError),
    /// The bytes are longer than any proof.
    TooLong(usize),
    /// The bytes do not begin as a proof of this version does.
    Magic,
    /// The bytes are not one proof in its one form.
    Form(FormError),
    /// No proof of this version has this kind.
    Kind(u8),
    /// The validators of the network never change, and it has changes of them.
    FixedMembers,
    /// The end of an epoch does not follow from the genesis and the ends before it.
    EpochChange {
        /// The epoch that ends.
        epoch: u64,
        /// What is wrong with its end.
        error: EpochChangeError,
    },
    /// The final header is of another epoch than the one to which the changes lead, or not above the last of them.
    FinalEpoch {
        /// The epoch of the header.
        found: u64,
        /// How many changes there are.
        changes: u64,
    },
    /// It is of another network than the genesis header.
    Network,
    /// The leaf does not lead to its root in the entry of the chain.
    Leaf,
    /// The header that should carry the state root carries none of the height.
    NotCarried {
        /// The height of the proof.
        height: u64,
    },
    /// The state root does not lead to the root of those that the header carries.
    StateRoot,
    /// The height does not lead to the state root.
    Height,
    /// The entry of the chain does not lead to the state root.
    Entry,
    /// The header that carries the state root does not lead to the log of the later one.
    Log,
    /// The certificate does not hold.
    Certificate(CertificateError),
    /// The certificate holds for another block than the last header.
    OtherBlock,
    /// The bytes that can never execute are not a transaction of this chain and account.
    OtherTransaction,
    /// The transaction had not expired at the height.
    NotExpired {
        /// The last height at which it can execute.
        expiry: u64,
        /// The height of the proof.
        height: u64,
    },
    /// The nonce of the transaction is spent: perhaps by this transaction.
    Spent(u64),
    /// The window of nonces has moved past the nonce of the transaction: it may have been spent before.
    Passed(u64),
    /// The chain is of a kind whose table has no such rows.
    NoSuchRows {
        /// The chain.
        chain: u32,
        /// What it has none of.
        what: &'static str,
    },
    /// No proof speaks of such a row of the ledger's own.
    OwnRow,
    /// The row says nothing of the key that is asked of.
    OtherRow,
    /// The chain has fewer accounts.
    NoAccount {
        /// The account.
        account: u64,
        /// How many accounts the chain has.
        accounts: u64,
    },
}

impl From<FormError> for ProofError {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

impl From<CertificateError> for ProofError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Genesis(error) => write!(f, "the genesis header cannot be read: {error}"),
            Self::TooLong(bytes) => write!(f, "{bytes} bytes are more than any proof has"),
            Self::Magic => f.write_str("this is not a proof of version 8"),
            Self::Form(error) => write!(f, "the proof cannot be read: {error}"),
            Self::Kind(kind) => write!(f, "no proof of version 8 has the kind {kind}"),
            Self::FixedMembers => {
                f.write_str("it has changes of the validators, and those of this network never change")
            }
            Self::EpochChange { epoch, error } => {
                write!(f, "the end of epoch {epoch} does not hold: {error}")
            }
            Self::FinalEpoch { found, changes } => {
                write!(
                    f,
                    "its final header is of epoch {found}, or not above the last change, and {changes} changes of the \
                     validators lead to epoch {changes}"
                )
            }
            Self::Network => f.write_str("it is of another network than the genesis header"),
            Self::Leaf => f.write_str("what is claimed does not lead to the root of its chain's entry"),
            Self::NotCarried { height } => {
                write!(f, "its first header does not carry a state root of height {height}")
            }
            Self::StateRoot => f.write_str("the state root does not lead to those that the header carries"),
            Self::Height => f.write_str("the height does not lead to the state root"),
            Self::Entry => f.write_str("the entry of the chain does not lead to the state root"),
            Self::Log => f.write_str("the first header does not lead to the log of the later one"),
            Self::Certificate(error) => write!(f, "the finalization certificate does not hold: {error}"),
            Self::OtherBlock => f.write_str("the certificate is for another block than the last header"),
            Self::OtherTransaction => {
                f.write_str("the bytes are not those of a transaction of this account on this chain")
            }
            Self::NotExpired { expiry, height } => {
                write!(
                    f,
                    "the transaction can execute up to height {expiry}, and the proof speaks of {height}"
                )
            }
            Self::Spent(nonce) => write!(f, "nonce {nonce} is spent, perhaps by this transaction"),
            Self::NoSuchRows { chain, what } => write!(f, "chain {chain} is of a kind that has no {what}"),
            Self::OwnRow => {
                f.write_str("it asks for a row of the ledger's own of which this version checks no proofs")
            }
            Self::OtherRow => f.write_str("the row says nothing of what is asked"),
            Self::NoAccount { account, accounts } => {
                write!(f, "there is no account {account}: the chain has {accounts}, counted from 0")
            }
            Self::Passed(nonce) => {
                write!(
                    f,
                    "the account's window has moved past nonce {nonce}, which may have been spent before"
                )
            }
        }
    }
}

impl core::error::Error for ProofError {}
