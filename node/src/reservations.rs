//! Setting money aside from the command line, settling it, and swapping.
//!
//! ```text
//! reservation make, swap offer ──▶ CHAIN:ACCOUNT/NONCE ──┬─▶ reservation settle, void    by the settler
//!                                                        ├─▶ swap take                   on the other chain
//!                                                        └─▶ swap withdraw               by who offered
//! ```
//!
//! Each is signed, submitted and followed as a transfer is.

use anyhow::{Context as _, Result};
use client::{Client, ClientError};
use engine::types::{
    ACCOUNT_MAX, AccountId, ChainId, Envelope, Offer, Price, Purpose, Reservation, Reserve, Settle, Take,
    Terms,
};

use crate::cli::{
    OfferArgs, Place, ReserveArgs, Reserved, SettleArgs, SigningArgs, TakeArgs, VoidArgs, WithdrawArgs,
};
use crate::network::Network;
use crate::query::network_of;
use crate::query::reservations::price as price_text;
use crate::transfer::{self, complete, memo_of, validator_of};

/// What is typed and cannot be reserved or swapped.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// A reservation stays on its chain.
    #[error(
        "money is set aside for an account of the same chain, and {to} is another one than {from}: \
         `millrace swap offer` is for two chains"
    )]
    OtherChain {
        /// The payer's.
        from: ChainId,
        /// The payee's.
        to: ChainId,
    },
    /// A swap needs two.
    #[error("a swap is between two chains; the price is to be paid on chain {0}, where the offer is, too")]
    OneChain(ChainId),
    /// What is offered is on the chain of the offer.
    #[error("what is offered is on chain {offer}: --to names an account there, not one of chain {to}")]
    CreditElsewhere {
        /// The offer's.
        offer: ChainId,
        /// The one that was named.
        to: ChainId,
    },
    /// An account that no reservation can name.
    #[error("account {0} is too large: a reservation names accounts up to {ACCOUNT_MAX}")]
    Account(AccountId),
    /// More than there is.
    #[error("{0} is a reservation of {1}; settle it with that or less")]
    TooMuch(Reserved, u64),
    /// The price goes elsewhere.
    #[error("the price of the offer {0} is for account {1}: leave --pays out, or name that one")]
    OtherPayee(Reserved, AccountId),
    /// There is no such reservation.
    #[error("{0} is not open: it was settled or taken, or its time is over, or it was never made")]
    NotOpen(Reserved),
    /// An offer is not settled.
    #[error(
        "{0} is an offer, not a reservation: it is taken by `millrace swap take`, and ended by `millrace swap withdraw`"
    )]
    IsOffer(Reserved),
    /// A reservation is not taken.
    #[error("{0} is a reservation, not an offer: it is settled by `millrace reservation settle`")]
    IsReservation(Reserved),
    /// Without a validator settler and payee are not known.
    #[error(
        "with --offline no validator says who settles it and whom it is for: add --by ACCOUNT and --payee ACCOUNT"
    )]
    NoSettler,
    /// It is for another account.
    #[error("the reservation {0} is for account {1}: leave --payee out, or name that one")]
    OtherReceiver(Reserved, AccountId),
    /// Without a validator the account of the price is not known.
    #[error("with --offline no validator says whom the price is for: add --pays ACCOUNT")]
    NoPayee,
    /// The offer is another one than was typed.
    #[error("the offer {offer} is {amount} for {price}, and not as you have typed")]
    OtherTerms {
        /// The offer.
        offer: Reserved,
        /// How much it has.
        amount: u64,
        /// What it costs.
        price: String,
    },
    /// The offer is for somebody else.
    #[error("the offer {0} is for account {1} of the chain of its price, and for no other")]
    OtherTaker(Reserved, AccountId),
}

/// Sets money aside; `false` if that is not committed.
///
/// # Errors
/// [`ReserveError`], or as for a transfer.
pub fn make(args: &ReserveArgs) -> Result<bool> {
    if args.from.chain != args.to.chain {
        return Err(ReserveError::OtherChain { from: args.from.chain, to: args.to.chain }.into());
    }
    let settler = args.settler.map_or(args.to.account, AccountId);
    fit(&[args.from.account, args.to.account, settler])?;
    let network = network_of(args.how.network.as_deref())?;
    let memo = memo_of(&args.memo)?;
    complete(&args.how, network.as_ref(), args.from, |terms, network, key| {
        let reserve = Reserve {
            envelope: envelope(terms, args.from),
            amount: args.amount,
            seconds: args.seconds,
            payee: args.to.account,
            settler,
            memo: &memo,
        };
        reserve.sign(network, |message| key.sign(message))
    })
}

/// Pays what was set aside, all or a part; `false` if that is not committed.
///
/// # Errors
/// As for [`make`], or there is no such reservation.
pub fn settle(args: &SettleArgs) -> Result<bool> {
    settle_with(args.reservation, args.amount, (args.by, args.payee), &memo_of(&args.memo)?, &args.how)
}

/// Gives back what was set aside; `false` if that is not committed.
///
/// # Errors
/// As for [`settle`].
pub fn void(args: &VoidArgs) -> Result<bool> {
    settle_with(args.reservation, 0, (args.by, args.payee), &memo_of(&args.memo)?, &args.how)
}

fn settle_with(
    reserved: Reserved,
    amount: u64,
    (by, payee): (Option<u64>, Option<u64>),
    memo: &[u8],
    how: &SigningArgs,
) -> Result<bool> {
    let network = network_of(how.network.as_deref())?;
    let (by, payee) = match (by, payee, &how.offline) {
        (Some(by), Some(payee), Some(_)) => (AccountId(by), AccountId(payee)),
        (.., Some(_)) => return Err(ReserveError::NoSettler.into()),
        (by, named, None) => {
            let found = open(&mut validator_of(how, network.as_ref())?, reserved)?;
            let Purpose::Payment { payee, settler } = found.purpose else {
                return Err(ReserveError::IsOffer(reserved).into());
            };
            if named.is_some_and(|named| named != payee.0) {
                return Err(ReserveError::OtherReceiver(reserved, payee).into());
            }
            if amount > found.amount {
                return Err(ReserveError::TooMuch(reserved, found.amount).into());
            }
            (by.map_or(settler, AccountId), payee)
        }
    };
    fit(&[payee])?;
    end((reserved, by), (payee, amount), memo, (how, network.as_ref()))
}

/// Offers money for money of another chain; `false` if that is not committed.
///
/// # Errors
/// As for [`make`].
pub fn offer(args: &OfferArgs) -> Result<bool> {
    if args.from.chain == args.to.chain {
        return Err(ReserveError::OneChain(args.from.chain).into());
    }
    fit(&[args.from.account, args.to.account, AccountId(args.taker.unwrap_or(0))])?;
    let network = network_of(args.how.network.as_deref())?;
    let memo = memo_of(&args.memo)?;
    if args.how.offline.is_none() {
        warn_of_absent(&mut validator_of(&args.how, network.as_ref())?, args);
    }
    complete(&args.how, network.as_ref(), args.from, |terms, network, key| {
        let Place { chain, account: to } = args.to;
        let price = Price { chain, amount: args.price, to, taker: args.taker.map(AccountId) };
        let (envelope, amount, seconds) = (envelope(terms, args.from), args.amount, args.seconds);
        let offer = Offer { envelope, amount, seconds, price, memo: &memo };
        offer.sign(network, |message| key.sign(message))
    })
}

/// Takes an offer; `false` if that is not committed: then the price is back.
///
/// # Errors
/// As for [`make`], or the offer is another one, or there is none.
pub fn take(args: &TakeArgs) -> Result<bool> {
    let TakeArgs { offer, amount, price, from, to, .. } = args;
    if from.chain == offer.chain {
        return Err(ReserveError::OneChain(offer.chain).into());
    }
    if to.chain != offer.chain {
        return Err(ReserveError::CreditElsewhere { offer: offer.chain, to: to.chain }.into());
    }
    fit(&[from.account, to.account, AccountId(args.pays.unwrap_or(0))])?;
    let network = network_of(args.how.network.as_deref())?;
    let pays = match (args.pays, &args.how.offline) {
        (Some(account), Some(_)) => AccountId(account),
        (None, Some(_)) => return Err(ReserveError::NoPayee.into()),
        (pays, None) => {
            let found = open(&mut validator_of(&args.how, network.as_ref())?, *offer)?;
            let Purpose::Swap(asked) = found.purpose else {
                return Err(ReserveError::IsReservation(*offer).into());
            };
            if (found.amount, asked.amount, asked.chain) != (*amount, *price, from.chain) {
                let (amount, price) = (found.amount, price_text(&asked));
                return Err(ReserveError::OtherTerms { offer: *offer, amount, price }.into());
            }
            if let Some(taker) = asked.taker.filter(|taker| *taker != from.account) {
                return Err(ReserveError::OtherTaker(*offer, taker).into());
            }
            if pays.is_some_and(|pays| pays != asked.to.0) {
                return Err(ReserveError::OtherPayee(*offer, asked.to).into());
            }
            asked.to
        }
    };
    let memo = memo_of(&args.memo)?;
    complete(&args.how, network.as_ref(), *from, |of, network, key| {
        let (envelope, terms) = (envelope(of, *from), Terms { offer: offer.id, amount: *amount, to: pays });
        let (chain, credit, price) = (offer.chain, to.account, *price);
        let take = Take { envelope, chain, terms, price, credit, memo: &memo };
        take.sign(network, |message| key.sign(message))
    })
}

/// Withdraws an offer; `false` if that is not committed.
///
/// # Errors
/// As for [`make`].
pub fn withdraw(args: &WithdrawArgs) -> Result<bool> {
    let network = network_of(args.how.network.as_deref())?;
    let memo = memo_of(&args.memo)?;
    if args.how.offline.is_none() {
        let found = open(&mut validator_of(&args.how, network.as_ref())?, args.offer)?;
        if let Purpose::Payment { .. } = found.purpose {
            return Err(ReserveError::IsReservation(args.offer).into());
        }
    }
    let by = args.offer.id.payer;
    end((args.offer, by), (by, 0), &memo, (&args.how, network.as_ref()))
}

fn end(
    (reserved, by): (Reserved, AccountId),
    (payee, amount): (AccountId, u64),
    memo: &[u8],
    (how, network): (&SigningArgs, Option<&Network>),
) -> Result<bool> {
    let signer = Place { chain: reserved.chain, account: by };
    complete(how, network, signer, |terms, network, key| {
        let (envelope, reservation) = (envelope(terms, signer), reserved.id);
        let settle = Settle { envelope, reservation, payee, amount, memo };
        settle.sign(network, |message| key.sign(message))
    })
}

/// Refuses accounts that no reservation can name.
fn fit(accounts: &[AccountId]) -> Result<(), ReserveError> {
    let large = accounts.iter().find(|account| account.0 > ACCOUNT_MAX);
    large.map_or(Ok(()), |account| Err(ReserveError::Account(*account)))
}

/// Nobody can take an offer whose price goes to an account that is not there or is closed, or whose one taker is not
/// there. It can be made nevertheless: accounts are opened.
fn warn_of_absent(client: &mut Client, args: &OfferArgs) {
    let chain = args.to.chain;
    let mut warn = |account: AccountId, what: &str| match client.account(chain, account) {
        Err(ClientError::NotFound { .. }) => {
            eprintln!(
                "warning: chain {chain} has no account {account}, {what}: nobody can take the offer before it is opened"
            );
        }
        Ok(found) => {
            if let Err(reason) = found.value.proof.flags.credit() {
                eprintln!(
                    "warning: account {chain}:{account}, {what}: {reason}; while it is so, nobody can take the offer"
                );
            }
        }
        Err(_) => {}
    };
    warn(args.to.account, "to which the price goes");
    if let Some(taker) = args.taker {
        warn(AccountId(taker), "which alone can take it");
    }
}

/// What the chain says of a reservation now, proved.
fn open(client: &mut Client, reserved: Reserved) -> Result<Reservation> {
    let found = client.reservation(reserved.chain, reserved.id)?.value;
    found.reservation.ok_or(ReserveError::NotOpen(reserved)).context("nothing was signed")
}

fn envelope(terms: transfer::Terms, signer: Place) -> Envelope {
    let transfer::Terms { key_version, reference, nonce, expiry } = terms;
    let Place { chain, account: signer } = signer;
    Envelope { chain, key_version, reference, signer, nonce, expiry }
}
