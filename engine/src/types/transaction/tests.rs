use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::execute::tests::{linked, transfer};
use crate::limits::{ENVELOPE_PACKETS_MAX, LINKED_PAYMENTS_MAX, MEMO_BYTES_MAX};
use crate::types::{AccountId, ChainId, Height, Payment, Payments};

const NETWORK: Digest = Digest([0x42; 32]);

fn packets(of: &[&[Packet]]) -> Vec<Packet> {
    of.concat()
}

/// Three payments and a memo of five bytes: 4 + 48 + 5 bytes of payload.
fn small() -> Transaction {
    linked(1, &[(2, 10), (3, 0), (2, u64::MAX)], b"wages", 7)
}

#[test]
fn an_envelope_has_the_documented_layout() {
    let encoded = [Payment { to: AccountId(0x0102), amount: 0x0304 }.encode()];
    let linked = Linked {
        chain: ChainId(7),
        key_version: 3,
        reference: *b"twelve bytes",
        debit: AccountId(5),
        payments: Payments::of(&encoded),
        memo: b"memo",
        nonce: 9,
        expiry: Height(11),
    };
    let mut signed = Vec::new();
    let transaction = linked
        .sign(&NETWORK, |message| {
            signed = message.to_vec();
            [0xAA; 64]
        })
        .unwrap();
    let payload = [&[1, 0, 4, 0][..], &0x0102_u64.to_le_bytes(), &0x0304_u64.to_le_bytes(), b"memo"].concat();
    let body = [
        &[16, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0][..],
        b"twelve bytes",
        &5_u64.to_le_bytes(),
        &24_u32.to_le_bytes(),
        &[0; 12],
        &9_u64.to_le_bytes(),
        &11_u64.to_le_bytes(),
    ]
    .concat();
    assert_eq!(transaction.bytes(), [&body[..], &[0xAA; 64], &payload, &[0; 104]].concat());
    assert_eq!(signed, [&NETWORK.0[..], &body, &payload].concat());
    assert_eq!(transaction.run().message(&NETWORK), signed);
    assert_eq!(transaction.id(&NETWORK).0, kernels::sha2::sha256(&signed));
    assert_eq!(transaction.run().content(), Ok(Content::Linked(linked)));
    assert_eq!(
        (transaction.debit(), transaction.nonce(), transaction.expiry()),
        (AccountId(5), 9, Height(11))
    );
    assert!(transaction.is_envelope() && !transaction.is_command() && !transaction.is_cross());
    assert_eq!(Transaction::from_bytes(transaction.bytes()), Ok(transaction));
}

#[test]
fn every_changed_byte_of_an_envelope_is_refused_or_changes_what_is_signed() {
    let good = small();
    for at in 0..good.bytes().len() {
        let mut bytes = good.bytes().to_vec();
        bytes[at] ^= 0x41;
        let signature = 64..128;
        match Transaction::from_bytes(&bytes) {
            Err(Malformed) => assert!(!signature.contains(&at), "byte {at}"),
            Ok(changed) if signature.contains(&at) => assert_eq!(changed.id(&NETWORK), good.id(&NETWORK)),
            Ok(changed) => assert_ne!(changed.id(&NETWORK), good.id(&NETWORK), "byte {at}"),
        }
        let must_be_as_it_is = at < 4 || (32..48).contains(&at) || (128..132).contains(&at) || at >= 128 + 57;
        if must_be_as_it_is {
            assert_eq!(Transaction::from_bytes(&bytes), Err(Malformed), "byte {at}");
        }
    }
}

#[test]
fn linked_transfers_have_a_payment_and_no_more_than_fit() {
    let sign = |payments: usize, memo: usize| {
        let (encoded, memo) = (vec![[1; 16]; payments], vec![b'm'; memo]);
        let linked = Linked {
            chain: ChainId(7),
            key_version: 1,
            reference: [0; 12],
            debit: AccountId(0),
            payments: Payments::of(&encoded),
            memo: &memo,
            nonce: 0,
            expiry: Height(9),
        };
        linked.sign(&NETWORK, |_| [0; 64]).map(|transaction| transaction.run().packets().len())
    };
    assert_eq!(sign(0, 0), Err(Malformed));
    assert_eq!(sign(1, 0), Ok(2));
    assert_eq!(sign(LINKED_PAYMENTS_MAX, MEMO_BYTES_MAX), Ok(1 + (4 + 16_000 + 256_usize).div_ceil(128)));
    assert_eq!(sign(LINKED_PAYMENTS_MAX + 1, 0), Err(Malformed));
    assert_eq!(sign(1, MEMO_BYTES_MAX + 1), Err(Malformed));
    assert_eq!(sign(70_000, 0), Err(Malformed), "more than the count can say");
    assert_eq!(sign(1, 70_000), Err(Malformed));
}

#[test]
fn an_envelope_of_64_kib_and_a_byte_is_none_and_takes_nothing_with_it() {
    let mut first = *small().run().first();
    let largest = (ENVELOPE_PACKETS_MAX - 1) * PACKET_BYTES;
    assert_eq!(PACKET_BYTES + largest, 64 << 10);
    for (bytes, packets) in
        [(0, 0), (1, 1), (128, 1), (129, 2), (largest, 511), (largest + 1, 0), (usize::MAX, 0)]
    {
        first.0[32..36].copy_from_slice(&(bytes as u32).to_le_bytes());
        assert_eq!(first.payload_packets(), packets, "{bytes}");
    }
    // What follows it is judged by itself.
    let after = transfer(1, 2, 3, 4).sign(&NETWORK, |_| [0; 64]);
    let both = [first, after];
    let runs: Vec<_> = PacketRun::all(&both).collect();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].content(), runs[1].transfer()), (Err(Malformed), Ok(transfer(1, 2, 3, 4))));
}

#[test]
fn a_run_ends_where_the_next_transaction_begins() {
    let (alone, envelope) = (transfer(1, 2, 3, 4).sign(&NETWORK, |_| [0; 64]), small());
    let all = packets(&[&[alone], envelope.run().packets(), &[alone, alone], envelope.run().packets()]);
    let lengths: Vec<_> = PacketRun::all(&all).map(|run| run.packets().len()).collect();
    assert_eq!(lengths, [1, 2, 1, 1, 2]);
    assert!(PacketRun::all(&all).all(PacketRun::is_transaction));
    // The last one is cut off.
    let cut = &all[..all.len() - 1];
    let last = PacketRun::all(cut).last().unwrap();
    assert_eq!((last.packets().len(), last.is_transaction(), last.payload()), (1, false, &[][..]));
    assert_eq!(PacketRun::only(&all), Err(Malformed), "several are not one");
    assert_eq!(PacketRun::only(&[]), Err(Malformed));
    assert_eq!(PacketRun::only(&cut[cut.len() - 1..]), Err(Malformed));
    assert_eq!(Transaction::from_bytes(&envelope.bytes()[1..]), Err(Malformed));
}

#[test]
#[should_panic(expected = "covers its payload")]
fn the_first_packet_of_an_envelope_has_no_id_of_its_own() {
    small().run().first().id(&NETWORK);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever bytes arrive: each packet belongs to one run, and what reads as a transaction is written as it was
    /// read.
    #[test]
    fn any_packets_are_runs(
        kinds in vec((0..20_u16, 0..400_u32, any::<bool>()), 0..12),
        noise in vec(any::<u8>(), 12 * 128),
    ) {
        let packet = |((kind, length, zero), noise): (&(u16, u32, bool), &[u8; 128])| {
            let mut packet = if *zero { [0; 128] } else { *noise };
            packet[..2].copy_from_slice(&kind.to_le_bytes());
            packet[32..36].copy_from_slice(&length.to_le_bytes());
            Packet(packet)
        };
        let packet = |(kinds, noise): (&(u16, u32, bool), &[u8; 128])| match kinds.1 % 3 {
            // Some are whole envelopes.
            0 => linked(1, &vec![(u64::from(kinds.1), 1); 1 + kinds.0 as usize], b"memo", 7).run().packets().to_vec(),
            _ => vec![packet((kinds, noise))],
        };
        let packets: Vec<Packet> = kinds.iter().zip(noise.as_chunks().0).flat_map(packet).collect();
        let runs: Vec<_> = PacketRun::all(&packets).collect();
        let again: Vec<_> = runs.iter().flat_map(|run| run.packets()).copied().collect();
        prop_assert_eq!(&again, &packets);
        for run in runs {
            prop_assert_eq!(run.content().is_ok(), run.is_transaction());
            prop_assert_eq!(run.transaction().is_ok(), run.is_transaction());
            if let Ok(transaction) = run.transaction() {
                prop_assert_eq!(transaction.run(), run);
                prop_assert_eq!(Transaction::from_bytes(transaction.bytes()), Ok(transaction));
            }
        }
    }

    #[test]
    fn linked_transfers_are_read_as_they_are_signed(
        payments in vec((any::<u64>(), any::<u64>()), 1..40),
        memo in vec(any::<u8>(), 0..=MEMO_BYTES_MAX),
    ) {
        let transaction = linked(3, &payments, &memo, 5);
        let Ok(Content::Linked(read)) = transaction.run().content() else { panic!("it is one") };
        let total: u128 = payments.iter().map(|(_, amount)| u128::from(*amount)).sum();
        prop_assert_eq!((read.payments.count(), read.payments.total()), (payments.len(), total));
        let read_payments: Vec<_> = read.payments.iter().map(|payment| (payment.to.0, payment.amount)).collect();
        prop_assert_eq!((read_payments, read.memo), (payments, &memo[..]));
    }
}
