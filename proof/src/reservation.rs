//! Money that an account has set aside, as its row has it.

use crate::codec::{FormError, Reader};

/// Money that is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// How much.
    pub amount: u64,
    /// The time of the chain's lock clock from which on its payer has it back, in milliseconds since 1970.
    pub due_ms: u64,
    /// What it is for.
    pub purpose: Purpose,
}

/// What money is set aside for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A payment to an account of the same chain.
    Payment {
        /// Who receives.
        payee: u32,
        /// Who says how much of it is paid.
        settler: u32,
    },
    /// Who pays this on another chain has it.
    Swap {
        /// The other chain.
        chain: u32,
        /// How much must be paid there.
        price: u64,
        /// To which account there.
        to: u32,
        /// By which account there, if not by any.
        taker: Option<u32>,
    },
}

impl Reservation {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: it is not one reservation in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let amount = reader.u64("amount of the reservation")?;
        let due_ms = reader.u64("time of the reservation")?;
        let [purpose] = reader.array("purpose of the reservation")?;
        let purpose = match purpose {
            1 => Purpose::Payment {
                payee: reader.u32("payee of the reservation")?,
                settler: reader.u32("settler of the reservation")?,
            },
            2 => Purpose::Swap {
                chain: reader.u32("chain of the price")?,
                price: reader.u64("price of the offer")?,
                to: reader.u32("account of the price")?,
                taker: match (reader.array("taker of the offer")?, reader.u32("taker of the offer")?) {
                    ([0], 0) => None,
                    ([1], taker) => Some(taker),
                    _ => return Err(invalid("taker of the offer", "there is one and none")),
                },
            },
            _ => return Err(invalid("purpose of the reservation", "it is unknown here")),
        };
        reader.finish()?;
        Ok(Self { amount, due_ms, purpose })
    }
}

fn invalid(what: &'static str, reason: &'static str) -> FormError {
    FormError::Invalid { what, reason }
}
