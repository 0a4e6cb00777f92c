//! What becomes of a transaction, as one byte.
//!
//! ```text
//! 0 committed | 1..=31 and 64.. failed: it is in a block, with this outcome | 32..=63 refused: it is in no block
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Packet;

/// A byte that names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no meaning is assigned to code {0}")]
pub struct UnknownCode(pub u8);

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant = $code,)* }

        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What it is called in reports and messages.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The byte on the wire and in the trees.
            #[inline]
            pub fn code(self) -> u8 {
                self as u8
            }
        }

        impl TryFrom<u8> for $name {
            type Error = UnknownCode;

            fn try_from(code: u8) -> Result<Self, UnknownCode> {
                match code {
                    $($code => Ok(Self::$variant),)*
                    unknown => Err(UnknownCode(unknown)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

codes!(
    /// What execution made of a transaction of a block, or of money that came from another chain. Only `Applied` and
    /// `Sent` change anything but the nonce.
    Outcome {
        /// The amount moved, or the command took effect.
        Applied = 0, "applied";
        /// The block is higher than the expiry.
        Expired = 1, "expired";
        /// The nonce is below the window, or used.
        Replayed = 2, "replayed";
        /// The nonce is too far above the window.
        NonceTooFar = 3, "nonce too far";
        /// There is no such debit account.
        UnknownDebit = 4, "unknown debit account";
        /// There is no such credit account.
        UnknownCredit = 5, "unknown credit account";
        /// The key under which it was signed is not the current one.
        WrongKeyVersion = 6, "wrong key version";
        /// The debit account holds less than the amount.
        InsufficientBalance = 7, "insufficient balance";
        /// The credit account cannot hold so much.
        CreditOverflow = 8, "credit overflow";
        /// The amount is debited and in flight to another chain. What becomes of it there is another outcome.
        Sent = 9, "sent to another chain";
        /// The network has no chain of this number for the credit.
        UnknownCreditChain = 10, "unknown credit chain";
        /// The chain of the credit has another asset.
        OtherAsset = 11, "another asset";
        /// The account that orders does not hold the role for it.
        RoleNotHeld = 12, "role not held";
        /// The debit account is frozen.
        DebitFrozen = 13, "debit account frozen";
        /// The credit account is frozen.
        CreditFrozen = 14, "credit account frozen";
        /// More would be issued than the chain's cap allows.
        IssuanceCap = 15, "issuance cap reached";
        /// The chain may not have so many accounts.
        AccountsCap = 16, "accounts cap reached";
        /// A chain of this kind does not do that; or the chain of the credit has another kind.
        OtherKind = 17, "another kind of chain";
        /// The fingerprint is registered already.
        FingerprintTaken = 18, "fingerprint registered already";
        /// The chain knows no such fingerprint.
        UnknownFingerprint = 19, "unknown fingerprint";
        /// The attestation is another account's.
        OtherOwner = 20, "another owner";
        /// The attestation is superseded or revoked already.
        NotInForce = 21, "not in force";
        /// The chain may not have so many attestations.
        ChainFull = 22, "chain full";
        /// The debit account is closed, or closing.
        DebitClosed = 23, "debit account closed";
        /// The credit account, or the one that a command or a recovery names, is closed, or closing.
        CreditClosed = 24, "credit account closed";
        /// Another change of the account is in its lock window.
        ChangePending = 25, "change pending";
        /// No change of this number is in its lock window, or the account has begun another number of changes.
        UnknownChange = 26, "unknown change";
        /// The account's safeguards name neither this guardian nor this recovery key.
        NotGuardian = 27, "not a guardian";
        /// An account that holds money cannot be closed.
        NotEmpty = 28, "account not empty";
        /// An account that holds a role cannot be closed.
        RoleHeld = 29, "role held";
        /// The administrators have paused the chain.
        ChainPaused = 30, "chain paused";
        /// The administrators have closed the chain: it takes nothing new.
        ChainClosed = 31, "chain closed";
        /// Nobody has proposed that.
        UnknownProposal = 64, "unknown proposal";
        /// The same is proposed already, with the same end.
        ProposalTaken = 65, "proposed already";
        /// The time in which the proposal can be approved is over.
        ProposalExpired = 66, "proposal expired";
        /// The proposal is decided already.
        ProposalDecided = 67, "decided already";
        /// The administrator has approved it already.
        ApprovedAlready = 68, "approved already";
        /// Others are the administrators by now, or the transaction names another version of them than the proposal.
        OtherAdministrators = 69, "other administrators";
        /// The chain that is to be created is not numbered above all others.
        ChainIdTaken = 70, "chain id taken";
        /// The network has no chain of this number.
        UnknownChain = 71, "unknown chain";
        /// The chain is not in a state in which this can be decided.
        OtherChainState = 72, "another state of the chain";
        /// The network may not have so many chains.
        ChainsFull = 73, "too many chains";
        /// A chain of its kind cannot have such roles or caps.
        UnfitRoles = 74, "unfit roles";
        /// The administrator has too many proposals that are not decided, or the height has decided as much as one may.
        ProposalsFull = 75, "too many proposals";
        /// No such reservation is open: it was settled, or its time is over, or it was never made.
        NotReserved = 76, "no such reservation";
        /// The reservation is for another account to settle, or the offer for another one to take.
        MayNotSettle = 77, "not for this account";
        /// More is to be paid than was set aside.
        MoreThanReserved = 78, "more than is reserved";
        /// The account has as many open reservations as one may have.
        ReservationsFull = 79, "too many reservations";
        /// The offer is another one than the taker says, or the reservation is for another account than the settler
        /// says.
        OtherTerms = 80, "other terms";
        /// The genesis says that the validators stay.
        MembersFixed = 81, "members fixed";
        /// Other members are decided already, and not yet in effect.
        MembersChanging = 82, "members changing";
        /// There is no such set of members: an unknown key, a key or a certificate twice, too many, or nobody.
        UnfitMembers = 83, "unfit members";
        /// Fewer than four members would remain of four or more, and the decision does not say that this is meant.
        BelowFour = 84, "fewer than four members";
        /// Not a quorum of the new members has consented in time, or the new one has not.
        TooFewConsents = 85, "too few consents";
        /// Consents come with what is not about members.
        NeedlessConsents = 86, "needless consents";
        /// Rules that are not the ones after those of the network.
        OtherRules = 87, "other rules";
    }
);

impl Outcome {
    /// What a transaction has done that did not fail, by its first packet.
    #[inline]
    pub fn success(packet: &Packet) -> Self {
        if packet.sends() { Self::Sent } else { Self::Applied }
    }

    /// Whether nothing moved and nothing else took effect.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Applied | Self::Sent)
    }

    /// Whether execution spent the nonce. Such an outcome is final: the same transaction can never apply later.
    ///
    /// A transaction that no window has recorded (expired, too far ahead, without a debit account, under another key)
    /// spends nothing, and a replay has nothing left to spend.
    pub fn spends_nonce(self) -> bool {
        match self {
            Self::Applied
            | Self::UnknownCredit
            | Self::InsufficientBalance
            | Self::CreditOverflow
            | Self::Sent
            | Self::UnknownCreditChain
            | Self::OtherAsset
            | Self::RoleNotHeld
            | Self::DebitFrozen
            | Self::CreditFrozen
            | Self::IssuanceCap
            | Self::AccountsCap
            | Self::OtherKind
            | Self::FingerprintTaken
            | Self::UnknownFingerprint
            | Self::OtherOwner
            | Self::NotInForce
            | Self::ChainFull
            | Self::DebitClosed
            | Self::CreditClosed
            | Self::ChangePending
            | Self::UnknownChange
            | Self::NotGuardian
            | Self::NotEmpty
            | Self::RoleHeld
            | Self::ChainPaused
            | Self::ChainClosed
            | Self::UnknownProposal
            | Self::ProposalTaken
            | Self::ProposalExpired
            | Self::ProposalDecided
            | Self::ApprovedAlready
            | Self::OtherAdministrators
            | Self::ChainIdTaken
            | Self::UnknownChain
            | Self::OtherChainState
            | Self::ChainsFull
            | Self::UnfitRoles
            | Self::ProposalsFull
            | Self::NotReserved
            | Self::MayNotSettle
            | Self::MoreThanReserved
            | Self::ReservationsFull
            | Self::OtherTerms
            | Self::MembersFixed
            | Self::MembersChanging
            | Self::UnfitMembers
            | Self::BelowFour
            | Self::TooFewConsents
            | Self::NeedlessConsents
            | Self::OtherRules => true,
            Self::Expired
            | Self::Replayed
            | Self::NonceTooFar
            | Self::UnknownDebit
            | Self::WrongKeyVersion => false,
        }
    }
}

codes!(
    /// Why a validator did not take a transaction from a client. It is in no block because of this submission.
    Refusal {
        /// Not the bytes of a transaction.
        Malformed = 32, "malformed";
        /// The network has no such chain.
        WrongChain = 33, "wrong chain";
        /// The expiry is not above the committed height.
        Expired = 34, "expired";
        /// The nonce is used already.
        Replayed = 35, "replayed";
        /// The nonce is too far above the window.
        NonceTooFar = 36, "nonce too far";
        /// The debit or the credit account does not exist.
        UnknownAccount = 37, "unknown account";
        /// The key version is not the current one.
        WrongKeyVersion = 38, "wrong key version";
        /// The signature does not fit the message and the account's key.
        BadSignature = 39, "bad signature";
        /// A transaction of this sender with this nonce (or one that shares its slot) waits already.
        DuplicatePending = 40, "duplicate pending";
        /// The sender has as many transactions waiting as one sender may.
        SenderFull = 41, "sender full";
        /// The validator is loaded to its bounds; try again later.
        Busy = 42, "busy";
        /// The validator is stopping.
        Stopping = 43, "stopping";
        /// The network has no chain of this number for the credit.
        UnknownCreditChain = 44, "unknown credit chain";
        /// The chain of the credit has another asset.
        OtherAsset = 45, "another asset";
        /// The account that orders does not hold the role for it.
        RoleNotHeld = 46, "role not held";
        /// The debit or the credit account is frozen now.
        Frozen = 47, "account frozen";
        /// A chain of this kind does not do that; or the chain of the credit has another kind.
        OtherKind = 48, "another kind of chain";
        /// The debit or the credit account is closed, or closing.
        AccountClosed = 49, "account closed";
        /// The administrators have paused the chain.
        ChainPaused = 50, "chain paused";
        /// The administrators have closed the chain: it takes nothing new.
        ChainClosed = 51, "chain closed";
        /// The validator only follows: it is not a member, or not any more.
        NotMember = 52, "not a member";
    }
);

/// What a client is told about one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Durable, executed and under a state root.
    Committed,
    /// In a durable block, but without effect.
    Failed(Outcome),
    /// In no block.
    Refused(Refusal),
}

impl Verdict {
    /// The byte on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Committed => Outcome::Applied.code(),
            Self::Failed(outcome) => outcome.code(),
            Self::Refused(refusal) => refusal.code(),
        }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied => Self::Committed,
            failed => Self::Failed(failed),
        }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl TryFrom<u8> for Verdict {
    type Error = UnknownCode;

    fn try_from(code: u8) -> Result<Self, UnknownCode> {
        match Outcome::try_from(code) {
            // A client is told the end of a payment, and this is none.
            Ok(Outcome::Sent) => Err(UnknownCode(code)),
            Ok(outcome) => Ok(outcome.into()),
            Err(_) => Refusal::try_from(code).map(Self::Refused),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed => f.pad("committed"),
            Self::Failed(outcome) => outcome.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}
