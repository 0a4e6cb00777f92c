//! Those that follow without being validators.

use super::*;

/// Each view orders a payment.
fn order_some(rig: &mut Rig, views: std::ops::RangeInclusive<u64>) {
    for view in views {
        let leader = (view % 4) as usize;
        rig.offer(leader, view % 8, view / 8).unwrap();
        rig.advance(60);
        let parent = rig.last_block(0);
        rig.order_at(0..4, leader, view, parent);
    }
}

fn committed(rig: &Rig) -> Vec<u64> {
    rig.nodes.iter().map(|node| node.replica.committed().0).collect()
}

#[test]
fn a_follower_commits_what_the_validators_commit_and_neither_votes_nor_seals() {
    let mut rig = Rig::new(4);
    rig.follow();
    assert!(rig.nodes[4].replica.is_follower() && !rig.nodes[3].replica.is_follower());
    order_some(&mut rig, 1..=20);
    rig.advance(4_000);
    assert_eq!(committed(&rig), [20; 5]);
    let roots = |rig: &Rig, node: usize| rig.nodes[node].world.roots.clone();
    assert_eq!(roots(&rig, 4), roots(&rig, 0));
    assert!(!rig.nodes[4].world.has_begun);

    assert_eq!(rig.offer(4, 5, 9), Err(Refusal::Busy), "its clients are sent elsewhere");
    order_some(&mut rig, 21..=40);
    rig.advance(4_000);
    assert_eq!(committed(&rig), [40; 5]);
    let sealed = |observation: &Observation| matches!(observation, Observation::Sealed(_));
    assert!(!rig.nodes[4].world.observed.iter().any(sealed));

    rig.restart(4, Standing::default(), false);
    order_some(&mut rig, 41..=60);
    rig.advance(4_000);
    assert_eq!(committed(&rig), [60; 5]);
}

#[test]
fn what_only_validators_say_is_not_heard_from_an_observer() {
    let mut rig = Rig::new(4);
    rig.follow();
    order_some(&mut rig, 1..=3);
    let height = Height(u64::MAX);
    let lies = [
        PeerMessage::Holding(vec![Head { sequence: Sequence(9), digest: Digest([9; 32]) }; 4]),
        PeerMessage::Overloaded,
        PeerMessage::Block(rig.block(0, &rig.last_block(0))),
        PeerMessage::LastVote(b"forgotten"[..].into()),
        PeerMessage::BlocksReply(Vec::new()),
        PeerMessage::Status {
            epoch: Epoch(7),
            finalized: height,
            committed: height,
            kept_from: height,
            view: u64::MAX,
            yours: Head { sequence: Sequence(9), digest: Digest([9; 32]) },
        },
    ];
    for lie in lies {
        rig.deliver(4, 0, lie.clone());
        // One that nobody has let in.
        rig.deliver(5, 0, lie);
    }
    assert!(rig.nodes[0].world.observed.iter().all(|of| !matches!(of, Observation::Offence(..))));
    assert_eq!(rig.nodes[0].replica.behind(), None);
    order_some(&mut rig, 4..=6);
    assert_eq!(committed(&rig)[..4], [6; 4]);
}
