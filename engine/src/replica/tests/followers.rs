//! Those that follow without being validators.

use super::super::epochs::tests::handed_over;
use super::*;
use crate::types::Support;
use crate::wire::PeerVersion;

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

    rig.restart(4, Losses::default(), false);
    order_some(&mut rig, 41..=60);
    rig.advance(4_000);
    assert_eq!(committed(&rig), [60; 5]);
}

/// One whose journal ends in an epoch that is over hears those that validate now, and goes on with what they give.
#[test]
fn one_that_knows_a_later_epoch_follows_its_validators() {
    let mut rig = Rig::new(4);
    order_some(&mut rig, 1..=20);
    rig.known = Some(handed_over(Epochs::genesis(&rig.genesis, Support::OURS), 4));
    rig.follow();
    assert!(rig.nodes[4].replica.is_follower());
    rig.advance(4_000);
    assert_eq!(committed(&rig), [20; 5]);

    // One of the four that has heard of it has no voice any more, and goes on following.
    rig.restart(3, Losses::default(), false);
    assert!(rig.nodes[3].replica.is_follower());
    assert_eq!(rig.offer(3, 5, 9), Err(Refusal::Busy));
}

#[test]
fn the_validators_of_a_later_epoch_count_by_their_own_numbers() {
    let mut rig = Rig::new(4);
    rig.known = Some(handed_over(Epochs::genesis(&rig.genesis, Support::OURS), 8));
    rig.follow();
    let now = rig.now();
    let committed = |peer: u16, committed: u64| {
        let (finalized, committed, kept_from) = (Height(committed), Height(committed), Height(1));
        let status = PeerMessage::Status {
            epoch: Epoch(1),
            finalized,
            committed,
            kept_from,
            view: 1,
            yours: Head::NONE,
        };
        Input::Message(ValidatorIndex(peer), status)
    };
    let node = &mut rig.nodes[4];
    // Its own number among the authors is that of a peer, too.
    for peer in 4..9 {
        node.input(Input::Connected(ValidatorIndex(peer), PeerVersion::LAST), now);
    }
    for peer in [4, 5, 8] {
        node.input(committed(peer, 90), now);
    }
    assert_eq!(node.replica.behind(), None, "three of eight are needed, and there is no ninth");
    node.input(committed(7, 80), now);
    assert_eq!(node.replica.behind(), Some(80));
    let head = Head { sequence: Sequence(1), digest: Digest([9; 32]) };
    for message in [
        PeerMessage::Overloaded,
        PeerMessage::Holding(vec![head; 4]),
        PeerMessage::Holding(vec![head; 8]),
        PeerMessage::FetchLastVote,
        PeerMessage::FetchBatches { author: ValidatorIndex(6), above: Sequence(0), head },
        PeerMessage::FetchBlock { digest: Digest([9; 32]) },
    ] {
        node.input(Input::Message(ValidatorIndex(7), message), now);
    }
    let answers = |of: &&(To, PeerMessage)| matches!(of.1, PeerMessage::LastVote(_));
    assert_eq!(node.world.mail.iter().find(answers), None, "votes of its epoch have other numbers");
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
