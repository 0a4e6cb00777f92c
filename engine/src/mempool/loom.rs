//! Every interleaving of a few threads around the mempool. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p engine --release --lib mempool::loom`.

use loom::sync::Arc;
use loom::thread;

use super::{Mempool, Origin};
use crate::types::{ChainId, Digest, Height, Refusal, Transaction};
use crate::verify::Verified;

fn transaction(sender: u64, nonce: u64) -> Verified<Transaction> {
    let transfer = crate::execute::tests::transfer(sender, 0, 1, nonce);
    Verified::assumed(transfer.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap())
}

fn offer(pool: &Mempool, sender: u64, nonce: u64) -> Result<(), Refusal> {
    pool.offer(transaction(sender, nonce), Height(0), Origin::default())
}

fn drain(pool: &Mempool) -> Vec<u64> {
    let (mut taken, mut expired) = (Vec::new(), Vec::new());
    pool.take(Height(0), (10, 10), &mut taken, &mut expired);
    assert!(expired.is_empty());
    pool.release(taken.iter().map(|pending| pending.transaction.run()));
    taken.iter().map(|pending| pending.transaction.nonce()).collect()
}

#[test]
fn of_two_offers_of_one_nonce_one_is_taken() {
    loom::model(|| {
        let pool = Arc::new(Mempool::new(ChainId(7), 1, 4, 64));
        let other = Arc::clone(&pool);
        let there = thread::spawn(move || offer(&other, 0, 5));
        let here = offer(&pool, 0, 5);
        let there = there.join().unwrap();
        assert_eq!(usize::from(here.is_ok()) + usize::from(there.is_ok()), 1);
        assert_eq!(here.err().or(there.err()), Some(Refusal::DuplicatePending));
        assert_eq!(drain(&pool), [5]);
        assert_eq!(pool.slots().pending(0), 0);
    });
}

#[test]
fn the_cap_of_a_sender_holds_in_every_order() {
    loom::model(|| {
        let pool = Arc::new(Mempool::new(ChainId(7), 1, 4, 2));
        let threads: Vec<_> = (0..2)
            .map(|thread_nonce| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || offer(&pool, 0, thread_nonce))
            })
            .collect();
        let here = offer(&pool, 0, 2);
        let mut results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        results.push(here);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
        assert!(results.contains(&Err(Refusal::SenderFull)));
        assert_eq!(pool.slots().pending(0), 2);
        assert_eq!(drain(&pool).len(), 2);
    });
}

#[test]
fn a_full_queue_leaves_no_slot_behind() {
    loom::model(|| {
        let pool = Arc::new(Mempool::new(ChainId(7), 1, 1, 64));
        let other = Arc::clone(&pool);
        let there = thread::spawn(move || offer(&other, 0, 1));
        let here = offer(&pool, 0, 2);
        let there = there.join().unwrap();
        assert_eq!([here, there].iter().filter(|result| **result == Err(Refusal::Busy)).count(), 1);
        assert_eq!(pool.slots().pending(0), 1, "only the one in the queue");
        assert_eq!(drain(&pool).len(), 1);
        assert_eq!(pool.slots().pending(0), 0);
    });
}

#[test]
fn a_slot_comes_back_while_others_claim() {
    loom::model(|| {
        let pool = Arc::new(Mempool::new(ChainId(7), 1, 4, 64));
        offer(&pool, 0, 1).unwrap();
        let other = Arc::clone(&pool);
        let sealer = thread::spawn(move || drain(&other));
        let again = offer(&pool, 0, 1);
        let second = offer(&pool, 0, 2);
        let mut taken = sealer.join().unwrap();
        taken.extend(drain(&pool));
        assert_eq!(second, Ok(()));
        let mut expected = vec![1, 2];
        match again {
            Ok(()) => expected = vec![1, 1, 2],
            Err(refusal) => assert_eq!(refusal, Refusal::DuplicatePending),
        }
        taken.sort_unstable();
        assert_eq!(taken, expected, "what was taken in comes out, once");
        assert_eq!(pool.slots().pending(0), 0);
    });
}
