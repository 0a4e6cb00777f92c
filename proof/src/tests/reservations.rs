//! Proofs of what is set aside, and that nothing is.

use std::string::ToString as _;
use std::vec::Vec;

use engine::types::{
    AccountId, ChainId, Envelope, Height, Offer, Price as EnginePrice, Purpose as EnginePurpose,
    Reservation as EngineReservation, ReservationId, Reserve, Settle,
};
use proptest::prelude::*;

use super::check;
use super::network::{Network, account_key};
use crate::*;

const CHAIN: u32 = 3;

/// The next transaction of account 1.
fn envelope(nonce: u64) -> Envelope {
    Envelope {
        chain: ChainId(CHAIN),
        key_version: 1,
        reference: [0; 12],
        signer: AccountId(1),
        nonce,
        expiry: Height(1_000),
    }
}

fn id(nonce: u64) -> ReservationId {
    ReservationId { payer: AccountId(1), nonce }
}

fn said(network: &mut Network, nonce: u64) -> Result<Statement, ProofError> {
    let open = network.row_of(CHAIN, id(nonce).key().unwrap());
    let proof = network.close(open, 0);
    check(network, &proof)
}

/// Account 1 sets 50 aside for account 2, offers 20 for 30, and takes the 50 back by settling nothing.
#[test]
fn what_is_open_is_proved_and_what_is_not() {
    let mut network = Network::new("reservations", 4, &[(CHAIN, 5), (9, 5)]);
    let id_of_network = *network.genesis.network();
    let signed = |message: &[u8]| account_key(1).sign(message);
    let (payee, settler) = (AccountId(2), AccountId(1));
    let reserve = Reserve { envelope: envelope(0), amount: 50, seconds: 9, payee, settler, memo: b"" };
    let price = EnginePrice { chain: ChainId(9), amount: 30, to: AccountId(4), taker: Some(AccountId(3)) };
    let offer = Offer { envelope: envelope(1), amount: 20, seconds: 9, price, memo: b"" };
    let made = [reserve.sign(&id_of_network, signed).unwrap(), offer.sign(&id_of_network, signed).unwrap()];
    let packets: Vec<_> = made.iter().flat_map(|one| one.run().packets()).copied().collect();
    network.block(&packets);
    let first = said(&mut network, 0).unwrap();
    let purpose = Purpose::Payment { payee: 2, settler: 1 };
    let Fact::Reservation { payer: 1, nonce: 0, reservation: Some(found) } = first.fact else {
        panic!("{first:?}")
    };
    assert_eq!((found.amount, found.purpose), (50, purpose));
    assert!(
        first
            .to_string()
            .contains("reservation 3:1/0 was open: 50 UNIT for account 2, settled by account 1, until "),
        "{first}"
    );
    let second = said(&mut network, 1).unwrap();
    let purpose = Purpose::Swap { chain: 9, price: 30, to: 4, taker: Some(3) };
    assert!(
        matches!(second.fact, Fact::Reservation { reservation: Some(found), .. } if found.purpose == purpose)
    );
    assert!(
        second.to_string().contains("20 UNIT for 30 on chain 9 to account 4, from account 3 alone, until "),
        "{second}"
    );
    let none = Fact::Reservation { payer: 1, nonce: 7, reservation: None };
    assert_eq!(said(&mut network, 7).unwrap().fact, none);

    let settle = Settle { envelope: envelope(2), reservation: id(0), payee, amount: 0, memo: b"" };
    network.block(settle.sign(&id_of_network, signed).unwrap().run().packets());
    let ended = said(&mut network, 0).unwrap();
    assert_eq!(ended.fact, Fact::Reservation { payer: 1, nonce: 0, reservation: None });
    assert!(ended.to_string().ends_with("reservation 3:1/0 was not open"), "{ended}");
    // The row of one says nothing of another, nor of another chain.
    let mut other = network.row_of(CHAIN, id(1).key().unwrap());
    let Claim::Row { asked, .. } = &mut other.claim else { panic!("a row") };
    *asked = id(2).key().unwrap();
    let after = network.close(other.clone(), 0);
    let absent = Fact::Reservation { payer: 1, nonce: 2, reservation: None };
    assert_eq!(check(&network, &after).map(|of| of.fact), Ok(absent), "it is the row before it");
    let Claim::Row { asked, .. } = &mut other.claim else { panic!("a row") };
    *asked = id(0).key().unwrap();
    let before = network.close(other.clone(), 0);
    assert_eq!(check(&network, &before), Err(ProofError::OtherRow));
    let mut elsewhere = network.row_of(9, id(0).key().unwrap());
    elsewhere.claim = other.claim;
    let elsewhere = network.close(elsewhere, 0);
    assert_eq!(check(&network, &elsewhere), Err(ProofError::Leaf));
}

fn any_reservation() -> impl Strategy<Value = EngineReservation> {
    let account = || any::<u32>().prop_map(|account| AccountId(account.into()));
    let payment =
        (account(), account()).prop_map(|(payee, settler)| EnginePurpose::Payment { payee, settler });
    let swap = (any::<u32>(), any::<u64>(), account(), proptest::option::of(account())).prop_map(
        |(chain, amount, to, taker)| {
            EnginePurpose::Swap(EnginePrice { chain: ChainId(chain), amount, to, taker })
        },
    );
    (any::<[u64; 2]>(), prop_oneof![payment, swap])
        .prop_map(|([amount, due_ms], purpose)| EngineReservation { amount, due_ms, purpose })
}

proptest! {
    #[test]
    fn both_read_the_bytes_of_a_reservation_alike(
        of in any_reservation(), at in any::<prop::sample::Index>(), byte in 0..4_u8, changes in any::<bool>(),
    ) {
        let mut value = of.encode();
        let at = at.index(value.len());
        if changes {
            value[at] = byte;
        }
        match (Reservation::decode(&value), EngineReservation::decode(&value)) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!((ours.amount, ours.due_ms), (theirs.amount, theirs.due_ms));
                match (ours.purpose, theirs.purpose) {
                    (Purpose::Payment { payee, settler }, EnginePurpose::Payment { payee: p, settler: s }) => {
                        prop_assert_eq!((u64::from(payee), u64::from(settler)), (p.0, s.0));
                    }
                    (Purpose::Swap { chain, price, to, taker }, EnginePurpose::Swap(of)) => {
                        prop_assert_eq!((chain, price, u64::from(to)), (of.chain.0, of.amount, of.to.0));
                        prop_assert_eq!(taker.map(u64::from), of.taker.map(|taker| taker.0));
                    }
                    (ours, theirs) => prop_assert!(false, "{ours:?}, {theirs:?}"),
                }
            }
            (Err(_), None) => prop_assert!(changes),
            (ours, theirs) => prop_assert!(false, "{ours:?}, {theirs:?}"),
        }
    }
}
