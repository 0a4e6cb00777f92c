//! Histories of attestations: each superseded by the next one, the last one in force or revoked.

use std::vec::Vec;

use engine::types::Link;

use super::network::{Network, REGISTER};
use super::{check, print, registration};
use crate::*;

/// Fingerprints 1, 2 and 3, each registered in a block of its own, each superseding the one before it; 3 is revoked at
/// the end if `is_revoked`.
fn network(is_revoked: bool) -> Network {
    let mut network = Network::new("histories", 4, &[(REGISTER, 4)]);
    for (nonce, of) in (0..).zip(1..=3) {
        let link = if of == 1 { Link::None } else { Link::Supersedes(print(of - 1)) };
        let packets = network.attest(1, &[registration(of, link)], nonce);
        network.block(&packets);
    }
    if is_revoked {
        let packets = network.revoke(1, print(3), 3);
        network.block(&packets);
    }
    network
}

fn value(network: &Network, of: u8) -> [u8; ATTESTATION_BYTES] {
    let Claim::Row { row, .. } = network.row(print(of).0).claim else { panic!("it asks for a row") };
    row.value.try_into().unwrap()
}

/// The history of the last of these, with those before it.
fn history(network: &mut Network, all: &[u8]) -> History {
    let (earlier, last) = (&all[..all.len() - 1], all[all.len() - 1]);
    let earlier: Vec<_> = earlier.iter().rev().map(|of| value(network, *of)).collect();
    let open = network.row(print(last).0);
    let proof = network.close(open, 1);
    assert!(check(network, &proof).is_ok());
    History { proof: proof.encode().unwrap(), earlier }
}

/// The file of the whole history, the header of its genesis, and what is proved.
pub fn whole(is_revoked: bool) -> (Vec<u8>, Vec<u8>, ProvedHistory) {
    let mut network = network(is_revoked);
    let history = history(&mut network, &[1, 2, 3]);
    let proved = verdict(&network, &history).unwrap();
    (history.encode().unwrap(), network.genesis.header().to_vec(), proved)
}

fn verdict(network: &Network, history: &History) -> Result<ProvedHistory, HistoryError> {
    let bytes = history.encode().unwrap();
    assert_eq!(History::decode(&bytes).as_ref(), Ok(history));
    assert!(History::is_one(&bytes) && !History::is_one(&history.proof));
    verify_history(&bytes, network.genesis.header())
}

#[test]
fn the_last_attestation_proves_all_that_it_superseded() {
    for is_revoked in [false, true] {
        let mut network = network(is_revoked);
        let whole = history(&mut network, &[1, 2, 3]);
        let proved = verdict(&network, &whole).unwrap();
        let Fact::Attestation { fingerprint, attestation } = proved.last.fact else { panic!("{proved:?}") };
        let status = if is_revoked { Status::Revoked { at: 4, reason: 6 } } else { Status::InForce };
        assert_eq!((fingerprint, attestation.status), (print(3).0, status));
        let said: Vec<_> =
            proved.earlier.iter().map(|(of, said)| (*of, said.status, said.registered)).collect();
        let superseded = |at, by: u8| Status::Superseded { at, by: print(by).0 };
        assert_eq!(said, [(print(2).0, superseded(3, 3), 2), (print(1).0, superseded(2, 2), 1)]);
        // The history of one that supersedes nothing is that one; and one that was superseded has one, too.
        for all in [&[1][..], &[1, 2]] {
            let shorter = history(&mut network, all);
            assert_eq!(verdict(&network, &shorter).unwrap().earlier.len(), all.len() - 1);
        }
    }
}

#[test]
fn what_is_left_out_added_or_exchanged_is_refused() {
    let mut network = network(true);
    let whole = history(&mut network, &[1, 2, 3]);
    let with = |change: &dyn Fn(&mut Vec<[u8; ATTESTATION_BYTES]>)| {
        let mut other = whole.clone();
        change(&mut other.earlier);
        verdict(&network, &other).unwrap_err()
    };
    assert_eq!(with(&|earlier| earlier.truncate(1)), HistoryError::Missing);
    assert_eq!(with(&Vec::clear), HistoryError::Missing);
    assert_eq!(with(&|earlier| earlier.push(earlier[1])), HistoryError::TooMany);
    assert_eq!(with(&|earlier| earlier.swap(0, 1)), HistoryError::NotSuperseded(1));
    assert_eq!(with(&|earlier| earlier[0][5] ^= 1), HistoryError::Broken(1), "another type");
    assert_eq!(with(&|earlier| earlier[1][17] ^= 1), HistoryError::Broken(2), "another owner");
    assert_eq!(with(&|earlier| earlier[0][140] ^= 1), HistoryError::Broken(0), "another history");
    let of_account = network.close(network.account(REGISTER, 1), 1);
    let other = History { proof: of_account.encode().unwrap(), ..whole.clone() };
    assert_eq!(verdict(&network, &other).unwrap_err(), HistoryError::OtherFact);
}

#[test]
fn every_byte_of_a_history_counts() {
    let mut network = network(false);
    let bytes = history(&mut network, &[1, 2, 3]).encode().unwrap();
    let header = network.genesis.header();
    let good = verify_history(&bytes, header).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert_ne!(verify_history(&changed, header).as_ref(), Ok(&good), "byte {at}");
        assert!(verify_history(&changed, header).is_err(), "byte {at}");
        assert!(verify_history(&bytes[..at], header).is_err(), "cut at {at}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(verify_history(&longer, header), Err(HistoryError::Form(FormError::Trailing(1))));
    let counted = |count: u32| {
        let mut bytes = bytes.clone();
        let at = bytes.len() - 2 * ATTESTATION_BYTES - 4;
        bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
        verify_history(&bytes, header).unwrap_err()
    };
    assert!(matches!(counted(u32::MAX), HistoryError::Form(FormError::TooMany { .. })));
    assert!(matches!(counted(1), HistoryError::Form(FormError::Trailing(_))));
}
