//! What can be typed to set money aside: reservations, which somebody settles, and swaps of two chains' money.

use std::fmt;

use clap::{Args, Subcommand};
use engine::limits::LOCK_WINDOW_SECONDS_MAX;
use engine::types::{ChainId, ReservationId};

use super::pay::{MemoArgs, parse_place};
use super::{Place, SigningArgs};

/// A reservation or an offer, written CHAIN:ACCOUNT/NONCE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// The chain.
    pub chain: ChainId,
    /// The account that made it, and the nonce with which it did.
    pub id: ReservationId,
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chain, self.id)
    }
}

/// Set money aside for a payment, and settle it later: all of it, a part, or
/// nothing.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum ReservationCommand {
    Make(ReserveArgs),
    Settle(SettleArgs),
    Void(VoidArgs),
}

/// Set money of an account aside for another one on its chain.
///
/// The payer cannot spend it, nor take it back, until its time is over; then it
/// has it again by itself. Until then the settler says how much of it is paid
/// (`millrace reservation settle`), once; the payer has the rest back. The settler
/// is the payee, if no other account is named: a third one where both trust it, or
/// the payer itself.
///
/// The time runs by the lock clock of the chain: not while there are no blocks, and
/// not while the chain is paused. What is made is named CHAIN:ACCOUNT/NONCE.
///
/// The key, the nonce, --offline and the validator are as for `millrace transfer`.
///
/// Examples:
///   millrace reservation make --from 1:7 --to 1:8 --amount 100 --seconds 3600 \
///                             --network /tmp/mill
///   millrace reservation make --from 1:7 --to 1:8 --amount 100 --seconds 86400 \
///                             --settler 9 --memo "order 42" --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ReserveArgs {
    /// Who pays.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub from: Place,
    /// Who receives, on the same chain.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub to: Place,
    /// How much, at least 1.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub amount: u64,
    /// After so many seconds the payer has it back; at most 31,622,400, which is 366 days.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(LOCK_WINDOW_SECONDS_MAX)))]
    pub seconds: u32,
    /// The account of the same chain that settles it; without it, the payee.
    #[arg(long, value_name = "ACCOUNT")]
    pub settler: Option<u64>,
    /// What goes with it.
    #[command(flatten)]
    pub memo: MemoArgs,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Pay what was set aside, all of it or a part; the payer has the rest back.
///
/// It can be done once, by the settler, before its time is over. A validator is
/// asked first what is there, as `millrace query reservation` shows it; with
/// --offline it is not.
///
/// Examples:
///   millrace reservation settle 1:7/3 --amount 60 --network /tmp/mill
///   millrace reservation settle 1:7/3 --amount 60 --by 8 --payee 8 \
///                               --network-id 77e0… --key shop.pem --nonce 4 \
///                               --expiry 90000 --offline settle.json
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed, no such
/// reservation or no answer, 2 usage, or a key file that cannot be used or is not
/// the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct SettleArgs {
    /// The reservation.
    #[arg(value_name = "CHAIN:ACCOUNT/NONCE", value_parser = parse_reserved)]
    pub reservation: Reserved,
    /// How much is paid, at least 1.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub amount: u64,
    /// The account that settles and signs; without it, a validator is asked for it.
    #[arg(long, value_name = "ACCOUNT")]
    pub by: Option<u64>,
    /// With --offline: the account that it is for.
    #[arg(long, value_name = "ACCOUNT")]
    pub payee: Option<u64>,
    /// What goes with it.
    #[command(flatten)]
    pub memo: MemoArgs,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Give back what was set aside: nothing of it is paid.
///
/// Settler and payee can do that. Who pays cannot, before the time is over, unless
/// it is the settler.
///
/// Example:
///   millrace reservation void 1:7/3 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed, no such
/// reservation or no answer, 2 usage, or a key file that cannot be used or is not
/// the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct VoidArgs {
    /// The reservation.
    #[arg(value_name = "CHAIN:ACCOUNT/NONCE", value_parser = parse_reserved)]
    pub reservation: Reserved,
    /// The account that gives it back and signs; without it, a validator is asked for the settler.
    #[arg(long, value_name = "ACCOUNT")]
    pub by: Option<u64>,
    /// With --offline: the account that it is for.
    #[arg(long, value_name = "ACCOUNT")]
    pub payee: Option<u64>,
    /// What goes with it.
    #[command(flatten)]
    pub memo: MemoArgs,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Swap money of one chain for money of another: both move, or neither.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum SwapCommand {
    Offer(OfferArgs),
    Take(TakeArgs),
    Withdraw(WithdrawArgs),
}

/// Offer money of one chain for money of another.
///
/// What is offered is set aside until somebody takes it, its time is over, or
/// `millrace swap withdraw` ends it. Who takes it (`millrace swap take`) pays the
/// price on the other chain; the chain of the offer decides in the next block, and
/// the price is there in the block after.
///
/// Examples:
///   millrace swap offer --from 1:7 --amount 100 --price 30 --to 2:4 \
///                       --seconds 600 --network /tmp/mill
///   millrace swap offer --from 1:7 --amount 100 --price 30 --to 2:4 \
///                       --taker 9 --seconds 600 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct OfferArgs {
    /// Who offers.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub from: Place,
    /// How much is offered, at least 1.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub amount: u64,
    /// How much it costs on the other chain, at least 1.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub price: u64,
    /// Where the price goes: an account of another chain.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub to: Place,
    /// The one account of that chain that can take it; without it, any.
    #[arg(long, value_name = "ACCOUNT")]
    pub taker: Option<u64>,
    /// After so many seconds the offer is over; at most 31,622,400, which is 366 days.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(LOCK_WINDOW_SECONDS_MAX)))]
    pub seconds: u32,
    /// What goes with it.
    #[command(flatten)]
    pub memo: MemoArgs,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Take an offer: pay its price on one chain, and have what is offered on the
/// other.
///
/// The terms are signed: amount and price as they are typed here. A validator is
/// asked for the offer first, and if it has other terms, nothing is signed; with
/// --offline it is not asked. If the offer has others, or is gone when the price
/// comes, the price is back in the block after.
///
/// Examples:
///   millrace swap take 1:7/3 --amount 100 --price 30 --from 2:9 --to 1:12 \
///                      --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed (the price
/// is back), no such offer or no answer, 2 usage, other terms than those of the
/// offer, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct TakeArgs {
    /// The offer.
    #[arg(value_name = "CHAIN:ACCOUNT/NONCE", value_parser = parse_reserved)]
    pub offer: Reserved,
    /// How much is offered.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub amount: u64,
    /// How much it costs.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub price: u64,
    /// Who takes it and pays, on the chain of the price.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub from: Place,
    /// Who has what is offered, on the chain of the offer.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub to: Place,
    /// With --offline: the account that the price is for, as the offer has it.
    #[arg(long, value_name = "ACCOUNT")]
    pub pays: Option<u64>,
    /// What goes with it.
    #[command(flatten)]
    pub memo: MemoArgs,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Withdraw an offer: who made it has the money again.
///
/// Example:
///   millrace swap withdraw 1:7/3 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed, no such
/// offer or no answer, 2 usage, or a key file that cannot be used or is not the
/// account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct WithdrawArgs {
    /// The offer.
    #[arg(value_name = "CHAIN:ACCOUNT/NONCE", value_parser = parse_reserved)]
    pub offer: Reserved,
    /// What goes with it.
    #[command(flatten)]
    pub memo: MemoArgs,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

pub(super) fn parse_reserved(text: &str) -> Result<Reserved, String> {
    let reserved = text
        .split_once(':')
        .and_then(|(chain, id)| Some(Reserved { chain: ChainId(chain.parse().ok()?), id: id.parse().ok()? }));
    reserved.ok_or_else(|| {
        "write the chain's number, a colon, the account that made it, a slash and its nonce, as in 1:7/3"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::AccountId;

    #[test]
    fn a_reservation_is_read_as_it_is_written() {
        let reserved = parse_reserved("1:7/3").unwrap();
        assert_eq!(reserved.chain, ChainId(1));
        assert_eq!(reserved.id, ReservationId { payer: AccountId(7), nonce: 3 });
        assert_eq!(reserved.to_string(), "1:7/3");
        for text in ["", "7/3", "1:7", "1:7/", "1:/3", "x:7/3", "1:7/3/4", "1:4294967296/0"] {
            assert!(parse_reserved(text).is_err(), "{text:?}");
        }
    }
}
