//! Money in flight between two chains of one asset.
//!
//! ```text
//! height  source chain                     destination chain
//!   h     debit, outbox: Credit ─────┐
//!  h+1                               └───▶ inbox: credit        outbox, if it cannot be credited: Refund ──┐
//!  h+2    inbox: credit the payer  ◀───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! What is in the outboxes of a height is executed first in the next one, always, whatever else is in that block. So
//! nothing queues, and at most what two blocks sent is in flight.
//!
//! Who takes an offer sends its price the same way. The chain of the offer decides alone: it gives what is offered to
//! the taker, and the price goes to the account that the offer names (*swapped*); or it gives nothing, and the price is
//! refunded.

use crate::types::{AccountId, ChainId, Outcome, ReservationId, Terms, TransactionId};

/// Bytes of [`Delivery::leaf`].
pub const DELIVERY_BYTES: usize = TERMS_AT + 4 * 8;
const TERMS_AT: usize = 1 + 32 + 4 + 8 + 4 + 8 + 8;
/// In the place of the reason of a refund: a price on its way to the chain of the offer.
const TAKE: u8 = 254;
/// In the same place: a price on its way to the account that the offer names.
const SWAPPED: u8 = 255;

/// A payment from an account of one chain to an account of another. Its transaction names it: each has at most one,
/// because it has spent a nonce. The amount is money of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The transaction that sent it.
    pub transaction: TransactionId,
    /// The chain that was debited.
    pub source: ChainId,
    /// The account that was debited.
    pub payer: AccountId,
    /// The chain that is to be credited.
    pub destination: ChainId,
    /// The account that is to be credited; with a price, with what is offered.
    pub payee: AccountId,
    /// How much.
    pub amount: u64,
}

/// Which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// To the payee.
    Credit,
    /// Back to the payer, because it could not be credited, or the offer not be taken.
    Refund(Outcome),
    /// To an offer: the price, with what its payer says of the offer.
    Take(Terms),
    /// Back to the source, to the account that the offer names: its payer has what was offered.
    Swapped(AccountId),
}

/// What one chain hands to another at the end of a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which way it goes.
    pub leg: Leg,
    /// What is delivered.
    pub crossing: Crossing,
}

impl Delivery {
    /// The chain that executes it in the next height.
    pub fn target(&self) -> ChainId {
        match self.leg {
            Leg::Credit | Leg::Take(_) => self.crossing.destination,
            Leg::Refund(_) | Leg::Swapped(_) => self.crossing.source,
        }
    }

    /// Whether its leaf says which way it goes: the reason of a refund is a failure.
    pub fn is_canonical(&self) -> bool {
        match self.leg {
            Leg::Credit | Leg::Take(_) | Leg::Swapped(_) => true,
            Leg::Refund(reason) => reason.is_failure(),
        }
    }

    /// Leg (0, the outcome that makes it a refund, 254 with a price, 255 when swapped), transaction, source, payer,
    /// destination, payee, amount; with a price the account and nonce of the offer, the amount and the account on the
    /// source; when swapped that account in the same place; else zeros. It is what the trees over outboxes and inboxes
    /// hash.
    pub fn leaf(&self) -> [u8; DELIVERY_BYTES] {
        let Crossing { transaction, source, payer, destination, payee, amount } = &self.crossing;
        debug_assert!(self.is_canonical(), "a refund without a reason reads as a credit");
        let mut leaf = [0; DELIVERY_BYTES];
        leaf[0] = match self.leg {
            Leg::Credit => 0,
            Leg::Refund(reason) => reason.code(),
            Leg::Take(_) => TAKE,
            Leg::Swapped(_) => SWAPPED,
        };
        leaf[1..33].copy_from_slice(&transaction.0);
        leaf[33..37].copy_from_slice(&source.0.to_le_bytes());
        leaf[37..45].copy_from_slice(&payer.0.to_le_bytes());
        leaf[45..49].copy_from_slice(&destination.0.to_le_bytes());
        leaf[49..57].copy_from_slice(&payee.0.to_le_bytes());
        leaf[57..TERMS_AT].copy_from_slice(&amount.to_le_bytes());
        let terms = match self.leg {
            Leg::Credit | Leg::Refund(_) => [0; 4],
            Leg::Take(Terms { offer, amount, to }) => [offer.payer.0, offer.nonce, amount, to.0],
            Leg::Swapped(to) => [0, 0, 0, to.0],
        };
        leaf[TERMS_AT..].copy_from_slice(terms.map(u64::to_le_bytes).as_flattened());
        leaf
    }
}

impl Delivery {
    /// The inverse of [`Self::leaf`]; `None` if the bytes are the leaf of none.
    pub fn parse(leaf: &[u8; DELIVERY_BYTES]) -> Option<Self> {
        let number = |at: usize| leaf[at..].first_chunk().copied().map(u64::from_le_bytes);
        let chain =
            |at: usize| leaf[at..].first_chunk().copied().map(|chain| ChainId(u32::from_le_bytes(chain)));
        let term = |place: usize| number(TERMS_AT + 8 * place);
        let [payer, nonce, amount, to] = [term(0)?, term(1)?, term(2)?, term(3)?];
        let leg = match leaf[0] {
            0 => Leg::Credit,
            TAKE => {
                let offer = ReservationId { payer: AccountId(payer), nonce };
                Leg::Take(Terms { offer, amount, to: AccountId(to) })
            }
            SWAPPED => Leg::Swapped(AccountId(to)),
            reason => Leg::Refund(Outcome::try_from(reason).ok().filter(|reason| reason.is_failure())?),
        };
        let crossing = Crossing {
            transaction: TransactionId(*leaf[1..].first_chunk()?),
            source: chain(33)?,
            payer: AccountId(number(37)?),
            destination: chain(45)?,
            payee: AccountId(number(49)?),
            amount: number(57)?,
        };
        let delivery = Self { leg, crossing };
        (delivery.leaf() == *leaf).then_some(delivery)
    }
}

/// What the inboxes of the next height are, given the outboxes of this one: for each of `chains`, which ascend, what is
/// for it, by the chain that sent it and by the place in that chain's outbox.
pub fn route<'a>(
    chains: &[ChainId],
    outboxes: impl IntoIterator<Item = &'a [Delivery]>,
) -> Vec<Vec<Delivery>> {
    let mut inboxes = vec![Vec::new(); chains.len()];
    for delivery in outboxes.into_iter().flatten() {
        let at =
            chains.binary_search(&delivery.target()).expect("a chain sends only to chains of the network");
        inboxes[at].push(*delivery);
    }
    inboxes
}
