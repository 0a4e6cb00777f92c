//! Records that were put back, and the votes that give them away.

use std::time::Duration;

use super::cluster::simulate;
use crate::{CertificateError, Memory};

#[test]
fn own_records_lack_no_vote_that_others_hold() {
    simulate(4, async |cluster| {
        cluster.start_all();
        let verifier = cluster.verifier();
        let mut held = 0;
        for round in 0..40 {
            cluster.wait_past(cluster.last(0) + 1 + round % 3).await;
            cluster.crash(3);
            let memory = cluster.stores[3].crash().memory(0);
            for other in 0..3 {
                let vote = cluster.network.last_vote(other, 3);
                held += usize::from(vote.is_some());
                assert!(vote.is_none_or(|vote| !memory.lacks(&vote, 3, &verifier)), "round {round}");
            }
            cluster.start(3);
        }
        assert!(held > 100, "{held}");
    });
}

#[test]
fn records_that_were_put_back_are_given_away() {
    simulate(4, async |cluster| {
        cluster.start_all();
        let verifier = cluster.verifier();
        let (mut given_away, mut same_view) = (0, 0);
        for round in 0..40 {
            cluster.wait_past(cluster.last(0) + 1).await;
            let older = cluster.stores[3].copy();
            let voted = cluster.network.votes_of(3);
            // One of these may be written already and not sent.
            cluster.until("more votes", || cluster.network.votes_of(3) > voted + round % 3).await;
            cluster.crash(3);
            // What was sent last comes.
            cluster.sleep(Duration::from_millis(20)).await;
            let memory = older.crash().memory(0);
            let lacks = |other: u16| {
                let vote = cluster.network.last_vote(other, 3)?;
                memory.lacks(&vote, 3, &verifier).then_some(verifier.check_vote(3, &vote).unwrap())
            };
            let shown: Vec<u64> = (0..3).filter_map(lacks).collect();
            given_away += usize::from(!shown.is_empty());
            same_view += usize::from(shown.contains(&older.crash().highest_view()));
            cluster.start(3);
        }
        assert!(given_away >= 30, "{given_away}");
        assert!(same_view > 0, "a vote in the view of an older one is told apart");
    });
}

#[test]
fn only_good_votes_of_this_validator_are_evidence() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(5).await;
        let verifier = cluster.verifier();
        let vote = cluster.network.last_vote(0, 3).unwrap().to_vec();
        assert!(vote.len() <= crate::VOTE_BYTES_MAX);
        let forgetful = Memory::default();
        assert!(forgetful.lacks(&vote, 3, &verifier));
        assert!(!forgetful.lacks(&vote, 2, &verifier), "of another one");
        assert_eq!(verifier.check_vote(2, &vote), Err(CertificateError::OutOfPlace));
        assert!(!forgetful.lacks(&[], 3, &verifier) && !forgetful.lacks(&vote[..20], 3, &verifier));
        for at in 0..vote.len() {
            let mut bad = vote.clone();
            bad[at] ^= 1;
            assert!(!forgetful.lacks(&bad, 3, &verifier), "byte {at}");
        }
    });
}
