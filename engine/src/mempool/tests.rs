use super::*;
use crate::types::{AccountId, ChainId, Digest, Height, Refusal, Transaction, Transfer};
use crate::verify::Verified;

fn verified(transfer: Transfer) -> Verified<Transaction> {
    Verified::assumed(transfer.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap())
}

fn transaction(sender: u64, nonce: u64) -> Verified<Transaction> {
    verified(crate::execute::tests::transfer(sender, 0, 1, nonce))
}

fn origin(tag: u64) -> Origin {
    Origin { connection: 9, tag, received_us: 1, verified_us: 2 }
}

fn take(pool: &Mempool, committed: u64, max: usize) -> (Vec<u64>, Vec<u64>) {
    let (mut taken, mut expired) = (Vec::new(), Vec::new());
    pool.take(Height(committed), (max, max), &mut taken, &mut expired);
    let tags = |pending: &[Pending]| pending.iter().map(|pending| pending.origin.tag).collect();
    (tags(&taken), tags(&expired))
}

#[test]
fn what_goes_in_comes_out_in_order_with_its_origin() {
    let pool = Mempool::new(ChainId(7), 4, 16, 64);
    for tag in 0..10 {
        assert_eq!(pool.offer(transaction(tag % 4, tag), Height(0), origin(tag)), Ok(()));
    }
    assert_eq!(pool.len(), 10);
    assert_eq!(take(&pool, 0, 4), (vec![0, 1, 2, 3], vec![]));
    assert_eq!(take(&pool, 0, 100), ((4..10).collect(), vec![]));
    assert!(pool.is_empty());
}

#[test]
fn a_nonce_waits_once_until_it_is_released() {
    let pool = Mempool::new(ChainId(7), 2, 16, 64);
    let first = transaction(1, 5);
    assert_eq!(pool.offer(first.clone(), Height(0), origin(0)), Ok(()));
    assert_eq!(pool.offer(first.clone(), Height(0), origin(1)), Err(Refusal::DuplicatePending));
    assert_eq!(
        pool.offer(transaction(1, 69), Height(0), origin(2)),
        Err(Refusal::DuplicatePending),
        "shares its slot"
    );
    assert_eq!(pool.offer(transaction(0, 5), Height(0), origin(3)), Ok(()), "another sender does not");
    take(&pool, 0, 10);
    assert_eq!(
        pool.offer(first.clone(), Height(0), origin(4)),
        Err(Refusal::DuplicatePending),
        "taken out is still pending"
    );
    pool.release([first.run()].into_iter());
    assert_eq!(pool.offer(first, Height(0), origin(5)), Ok(()));
}

#[test]
fn one_sender_cannot_fill_the_pool() {
    let pool = Mempool::new(ChainId(7), 2, 100, 3);
    for nonce in 0..3 {
        assert_eq!(pool.offer(transaction(1, nonce), Height(0), origin(nonce)), Ok(()));
    }
    assert_eq!(pool.offer(transaction(1, 3), Height(0), origin(3)), Err(Refusal::SenderFull));
    assert_eq!(pool.offer(transaction(1, 2), Height(0), origin(3)), Err(Refusal::DuplicatePending));
    assert_eq!(pool.offer(transaction(0, 3), Height(0), origin(4)), Ok(()));
    assert_eq!(pool.len(), 4);
    let all = Mempool::new(ChainId(7), 1, 100, 64);
    for nonce in 0..64 {
        assert_eq!(all.offer(transaction(0, nonce), Height(0), origin(nonce)), Ok(()));
    }
    assert_eq!(all.offer(transaction(0, 64), Height(0), origin(64)), Err(Refusal::SenderFull));
}

#[test]
fn a_full_pool_is_busy_and_keeps_no_slot_for_those_it_turned_away() {
    let pool = Mempool::new(ChainId(7), 1, 2, 64);
    assert_eq!(pool.offer(transaction(0, 0), Height(0), origin(0)), Ok(()));
    assert_eq!(pool.offer(transaction(0, 1), Height(0), origin(1)), Ok(()));
    assert_eq!(pool.offer(transaction(0, 2), Height(0), origin(2)), Err(Refusal::Busy));
    assert_eq!(pool.slots().pending(0), 2);
    take(&pool, 0, 1);
    assert_eq!(pool.offer(transaction(0, 2), Height(0), origin(3)), Ok(()));
}

#[test]
fn expired_transactions_are_handed_back_and_free_their_slots() {
    let pool = Mempool::new(ChainId(7), 1, 8, 64);
    for (nonce, expiry) in [(0, 10), (1, 11), (2, 10)] {
        let transfer = Transfer { expiry: Height(expiry), ..crate::execute::tests::transfer(0, 0, 1, nonce) };
        pool.offer(verified(transfer), Height(0), origin(nonce)).unwrap();
    }
    assert_eq!(take(&pool, 10, 10), (vec![1], vec![0, 2]));
    assert_eq!(pool.slots().pending(0), 1);
}

#[test]
fn a_closed_pool_refuses_but_still_gives() {
    let pool = Mempool::new(ChainId(7), 1, 8, 64);
    pool.offer(transaction(0, 0), Height(0), origin(0)).unwrap();
    pool.close();
    assert_eq!(pool.offer(transaction(0, 1), Height(0), origin(1)), Err(Refusal::Stopping));
    assert_eq!(pool.slots().pending(0), 1);
    assert_eq!(take(&pool, 0, 10).0, [0]);
}

#[test]
#[should_panic(expected = "another chain")]
fn a_transaction_of_another_chain_is_our_own_mistake() {
    let transfer = Transfer { chain: ChainId(8), ..crate::execute::tests::transfer(0, 0, 1, 0) };
    let _ = Mempool::new(ChainId(7), 1, 8, 64).offer(verified(transfer), Height(0), origin(0));
}

#[test]
fn many_threads_lose_and_duplicate_nothing() {
    let pool = Mempool::new(ChainId(7), 64, 256, 16);
    let (mut admitted, mut out) = (0, Vec::new());
    std::thread::scope(|scope| {
        let offerers: Vec<_> = (0..3_u64)
            .map(|thread| {
                let pool = &pool;
                scope.spawn(move || {
                    // All three offer the same 2,000 transactions, again and again until each is taken or a duplicate.
                    let mut taken = 0;
                    for i in 0..2000_u64 {
                        loop {
                            match pool.offer(transaction(i % 64, i / 64), Height(0), origin(thread)) {
                                Ok(()) => break taken += 1,
                                Err(Refusal::DuplicatePending) => break,
                                Err(_) => std::thread::yield_now(),
                            }
                        }
                    }
                    taken
                })
            })
            .collect();
        let mut done = false;
        while !done || !pool.is_empty() {
            done = offerers.iter().all(|offerer| offerer.is_finished());
            let (mut taken, mut expired) = (Vec::new(), Vec::new());
            pool.take(Height(0), (100, 100), &mut taken, &mut expired);
            pool.release(taken.iter().map(|pending| pending.transaction.run()));
            out.extend(
                taken.into_iter().map(|pending| (pending.transaction.debit(), pending.transaction.nonce())),
            );
        }
        admitted = offerers.into_iter().map(|offerer| offerer.join().unwrap()).sum();
    });
    assert_eq!(out.len(), admitted);
    let distinct: std::collections::BTreeSet<_> = out.into_iter().collect();
    assert_eq!(distinct.len(), 2000);
    assert!(distinct.contains(&(AccountId(63), 30)));
    assert!((0..64).all(|account| pool.slots().pending(account) == 0));
}

/// A transaction of so many packets.
fn envelope(sender: u64, nonce: u64, packets: usize) -> Verified<Transaction> {
    let payments = vec![(0, 1); (packets - 1) * 8 - 1];
    let transaction = crate::execute::tests::linked(sender, &payments, b"", nonce);
    assert_eq!(transaction.run().packets().len(), packets);
    Verified::assumed(transaction)
}

#[test]
fn payloads_have_room_of_their_own_and_give_it_back() {
    let pool = Mempool::new(ChainId(7), 6, 2_048, 64);
    let full = |sender| {
        (0..4).all(|nonce| pool.offer(envelope(sender, nonce, 126), Height(0), origin(nonce)).is_ok())
    };
    assert!(full(0));
    let more = |sender, packets| pool.offer(envelope(sender, 9, packets), Height(0), origin(9));
    assert_eq!(more(0, 14), Err(Refusal::SenderFull), "a quarter is what one account may have");
    assert_eq!(
        pool.offer(transaction(0, 9), Height(0), origin(8)),
        Ok(()),
        "the refusal has left no slot behind"
    );
    for sender in 1..4 {
        assert!(full(sender));
    }
    assert_eq!(more(4, 50), Err(Refusal::Busy));
    assert_eq!(
        pool.offer(transaction(4, 9), Height(0), origin(7)),
        Ok(()),
        "what has no payload needs no room for one"
    );
    assert_eq!((pool.len(), pool.packets()), (18, 16 * 126 + 2));
    take(&pool, 0, 5_000);
    assert_eq!((pool.len(), pool.packets()), (0, 0));
    assert_eq!(more(5, 126), Ok(()));
    assert_eq!(take(&pool, 1_000, 100), (vec![], vec![9]), "expired");
    assert!(full(5));
    // A small mempool takes the largest envelope nevertheless.
    let small = Mempool::new(ChainId(7), 1, 4, 64);
    assert_eq!(small.offer(envelope(0, 0, 126), Height(0), origin(0)), Ok(()));
}

#[test]
fn an_envelope_may_exceed_its_part_and_waits_where_it_has_no_room() {
    let pool = Mempool::new(ChainId(7), 4, 64, 64);
    for (tag, packets) in [(0, 1), (1, 6), (2, 9), (3, 1)] {
        let offered = if packets == 1 { transaction(0, tag) } else { envelope(0, tag, packets) };
        assert_eq!(pool.offer(offered, Height(0), origin(tag)), Ok(()));
    }
    let take = |part, left| {
        let (mut taken, mut expired) = (Vec::new(), Vec::new());
        let packets = pool.take(Height(0), (part, left), &mut taken, &mut expired);
        (packets, taken.iter().map(|pending| pending.origin.tag).collect::<Vec<_>>())
    };
    assert_eq!(take(0, 100), (0, vec![]));
    assert_eq!(take(3, 100), (7, vec![0, 1]), "the last one exceeds the part");
    assert_eq!(take(3, 8), (0, vec![]), "nothing exceeds the batch");
    assert_eq!((pool.len(), pool.packets(), pool.is_empty()), (2, 10, false), "it is not lost");
    assert_eq!(take(1, 9), (9, vec![2]), "and is the next");
    assert_eq!(take(5, 5), (1, vec![3]));
    assert!(pool.is_empty());
}

#[test]
fn another_cap_holds_for_those_that_come_then() {
    let pool = Mempool::new(ChainId(7), 2, 100, 3);
    let offer = |nonce| pool.offer(transaction(0, nonce), Height(0), origin(nonce));
    for nonce in 0..3 {
        assert_eq!(offer(nonce), Ok(()));
    }
    assert_eq!(offer(3), Err(Refusal::SenderFull));
    pool.slots().set_cap(4);
    assert_eq!((offer(3), offer(4)), (Ok(()), Err(Refusal::SenderFull)));
    pool.slots().set_cap(1);
    assert_eq!((offer(4), pool.slots().pending(0)), (Err(Refusal::SenderFull), 4), "who has more keeps it");
}
