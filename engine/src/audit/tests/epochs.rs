//! Networks whose validators change: what an audit takes from decisions, and what it finds.

use std::path::PathBuf;

use super::pruned::{audited, base, record_of, write_pruned};
use super::*;
use crate::audit::BaseHandover;
use crate::types::{
    Consents, Decision, EncodedDecision, Member, MemberChange, Membership, Propose, consent, member,
};

const DECIDES: ChainId = ChainId(7);

/// One validator, the first member, and one administrator, who decides.
fn beginning() -> Scene {
    let plain = genesis();
    let roles = Roles { quota: Quota::LEAST, ..Roles::default() };
    let administrators = ChainGenesis {
        id: DECIDES,
        kind: ChainKind::Governance,
        asset: Asset::NONE,
        roles,
        threshold: 1,
        accounts: vec![AccountGenesis { public_key: signing_key(0).public_key(), balance: 0 }],
        ..plain.chains()[0].clone()
    };
    let Member { name, public_key, certificate_fingerprint, .. } = member(1);
    let validator = ValidatorGenesis { name, public_key, certificate_fingerprint };
    let chains = plain.chains().iter().cloned().chain([administrators]).collect();
    let genesis = Genesis::with_membership("lives".into(), vec![validator], Membership::Decided, chains);
    Scene::of(Arc::new(genesis.unwrap()), key(1))
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

impl Scene {
    /// The next block decides that members change so, with the consents of all that then are.
    fn decide(&mut self, change: MemberChange) {
        let (set, height) = (self.members.after(&change).unwrap(), self.ledger.height().0);
        let number = |member: &Member| member.certificate_fingerprint[0];
        let network = *self.genesis.network();
        let agree =
            (0..).zip(&set.list).map(|(place, of)| consent(&network, &set, (number(of), place), height));
        let consents = Consents::encode(agree.collect());
        let decision = Decision::Members(change).encode();
        let propose = Propose {
            chain: DECIDES,
            key_version: 1,
            reference: [0; 12],
            administrator: AccountId(0),
            administrators: 1,
            until_ms: u64::MAX,
            consents: Consents::read(&consents).unwrap(),
            decision: EncodedDecision::read(&decision).unwrap(),
            nonce: self.members.epoch.0,
            expiry: Height(100),
        };
        let signed = propose.sign(&network, |message| signing_key(0).sign(message)).unwrap();
        let batch = self.batch_on(DECIDES, signed.run().packets(), 0);
        self.commit(&[batch], |_| {});
        assert_eq!(self.ledger.members(), set);
    }

    /// A block with a payment, in a batch of the member with this number.
    fn pays(&mut self, number: u8, nonce: u64) {
        let batch = self.paid(number, nonce);
        self.commit(&[batch], |_| {});
    }

    fn paid(&mut self, number: u8, nonce: u64) -> Batch {
        let place = self.members.place_of(&key(number).public_key());
        (self.key, self.author) = (key(number), place.unwrap_or(ValidatorIndex(9)));
        self.batch(&[self.transfer(1, 1, nonce)])
    }

    fn last_block(&self) -> &Block {
        let Some(Entry::Committed(record)) = self.entries.last() else { panic!("a block was committed") };
        &record.block
    }
}

/// Height 2 adds the second member, and height 3 is the last one of its epoch. Height 5 removes the first member, and
/// height 6 is the last one of that epoch.
fn changing() -> Scene {
    let mut scene = beginning();
    scene.pays(1, 0);
    scene.decide(MemberChange::Add(member(2)));
    scene.pays(1, 1);
    scene
}

fn changed_twice() -> Scene {
    let mut scene = changing();
    scene.pays(2, 2);
    scene.decide(MemberChange::Remove { key: member(1).public_key, below_four: false });
    scene.pays(2, 3);
    (0..2).for_each(|more| scene.pays(2, 4 + more));
    scene
}

#[test]
fn epochs_follow_the_decisions_of_administrators() {
    let scene = changed_twice();
    assert_eq!(scene.members.keys(), [member(2).public_key], "who came stayed");
    let report = scene.audit();
    assert_eq!(report.finding, None);
    assert_eq!((report.epochs, report.height, report.governance), (3, Height(8), 2));
    assert_eq!((report.applied, report.batches_unordered, report.validator), (6, 0, None), "it has left");
    assert_eq!(beginning().audit().epochs, 1);
}

#[test]
fn the_last_block_of_an_epoch_may_be_final_in_a_later_view_and_no_other_one() {
    let with = |later: u64, height: u64| {
        let mut scene = changed_twice();
        let at = record_of(&scene, height);
        let Entry::Committed(record) = &mut scene.entries[at] else { panic!("a block") };
        let members = Members::of_genesis(&scene.genesis);
        record.certificate = certificate(&record.block, later, &members);
        scene.audit().finding.map(|finding| finding.expected)
    };
    assert_eq!(with(5, 3), None);
    assert_eq!(with(1_u64.wrapping_neg(), 3), Some("view 6, as its header says".into()));
    assert_eq!(with(5, 2), Some("view 4, as its header says".into()));
}

/// What is wrong with the block that ends the first epoch, or in the next one.
#[test]
fn an_epoch_that_ends_otherwise_than_was_decided_is_found() {
    type Header = fn(&mut crate::wire::Header);
    let headers: [(Header, &str); 2] = [
        (|of| of.next_members = Digest::default(), "follow epoch 0, which height 2 decided"),
        (|of| of.next_members = Digest([8; 32]), "follow epoch 0, which height 2 decided"),
    ];
    for (other, words) in headers {
        let mut scene = beginning();
        scene.pays(1, 0);
        scene.decide(MemberChange::Add(member(2)));
        scene.commit_as(&[], other, |_| {});
        let finding = scene.finding();
        assert!(finding.expected.contains(words) && finding.what.contains("height 3"), "{finding}");
    }
    // Nobody was decided, or not in a height whose root the block carries.
    for decides in [false, true] {
        let mut scene = beginning();
        if decides {
            scene.decide(MemberChange::Add(member(2)));
        }
        let early = |of: &mut crate::wire::Header| {
            (of.roots, of.roots_first, of.next_members) = (Vec::new(), Height(1), Digest([8; 32]));
        };
        scene.commit_as(&[], early, |_| {});
        let finding = scene.finding();
        assert!(finding.expected.contains("that epoch 0 goes on"), "{finding}");
    }
    let records: [(Change, &str); 3] = [
        (|record| record.certificate.clear(), "for it is the last one of epoch 0"),
        (|record| record.members = None, "2 members of epoch 1"),
        (|record| record.members.as_mut().unwrap().list[1].name.push('x'), "2 members of epoch 1"),
    ];
    for (change, words) in records {
        let mut scene = beginning();
        scene.decide(MemberChange::Add(member(2)));
        scene.commit(&[], change);
        let finding = scene.finding();
        assert!(finding.expected.contains(words) && finding.what.contains("height 2"), "{finding}");
    }
}

#[test]
fn what_is_not_of_its_epoch_is_found() {
    let mut scene = changing();
    scene.commit_as(&[], |header| header.epoch = Epoch(0), |record| record.certificate.clear());
    assert_eq!(scene.finding().expected, "epoch 1");
    let mut scene = changing();
    scene.commit_as(&[], |header| header.epoch = Epoch(2), |_| {});
    assert_eq!(scene.finding().expected, "epoch 1");
    let mut scene = changing();
    scene.commit_as(&[], |header| header.cut.truncate(1), |_| {});
    assert_eq!(scene.finding().expected, "a cut of 2 streams");
    // The validators of the first epoch cannot make a block of the next one final.
    let mut scene = changing();
    let first = Members::of_genesis(&scene.genesis);
    scene.commit(&[], |record| record.certificate = certificate(&record.block, 0, &first));
    assert_eq!(scene.finding().found, "it is of other members");
    // Views begin anew, and only with the epoch.
    let mut scene = changing();
    scene.commit_as(&[], |header| header.view = 0, |_| {});
    assert_eq!(scene.finding().expected, "a view above 0");
    let mut scene = changed_twice();
    scene.commit_as(&[], |header| header.view = 4, |_| {});
    assert_eq!(scene.finding().expected, "a view above 4");
}

#[test]
fn an_audit_ends_in_words_where_the_rules_of_a_later_release_begin() {
    // Without a block by them, or with one.
    let audit = |has_block: bool, support| {
        let mut scene = beginning();
        scene.pays(1, 0);
        scene.decide(MemberChange::Rules(RULES_TRIAL));
        scene.pays(1, 1);
        if has_block {
            scene.pays(1, 2);
        }
        scene.write();
        scene.auditor_of(support).audit(scene.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap()
    };
    let report = audit(false, Support::OURS);
    assert_eq!((report.finding, report.height, report.epochs), (None, Height(3), 2));
    let report = audit(true, Support::OURS);
    let finding = report.finding.unwrap();
    assert_eq!((report.height, finding.kind), (Height(3), FindingKind::Rules), "{finding}");
    let text = finding.to_string();
    assert!(text.contains("rules 2 of epoch 1: audit it with a release that runs them"), "{text}");
    assert!(text.contains("expected  rules 1 to 1"), "{text}");
    let report = audit(true, Support::TRIAL);
    assert_eq!((report.finding, report.height, report.applied), (None, Height(4), 3));
}

#[test]
fn batches_are_of_members_of_their_epoch_and_streams_begin_anew() {
    let mut scene = changing();
    scene.paid(3, 5);
    assert_eq!(scene.finding().expected, "one of the 2 validators of epoch 1");
    let mut scene = changing();
    scene.key = key(3);
    scene.batch(&[scene.transfer(1, 1, 9)]);
    assert_eq!(scene.finding().expected, "a signature of validator 0");
    let mut scene = beginning();
    scene.members.epoch = Epoch(1);
    scene.paid(1, 0);
    assert_eq!(scene.finding().expected, "epoch 0 or an earlier one");
    // A stream that goes on where that of the first epoch ended.
    let mut scene = beginning();
    scene.pays(1, 0);
    scene.decide(MemberChange::Add(member(2)));
    let sealed = scene.paid(1, 1);
    scene.commit(std::slice::from_ref(&sealed), |_| {});
    scene.sealed = sealed.head();
    scene.pays(1, 2);
    let finding = scene.finding();
    assert!(finding.found.contains("no such batch"), "{finding}");
    // What the last block has left is not ordered any more.
    let mut scene = beginning();
    scene.decide(MemberChange::Add(member(2)));
    scene.paid(1, 1);
    scene.commit(&[], |_| {});
    scene.commit(&[], |_| {});
    let report = scene.audit();
    assert_eq!((report.finding, report.batches, report.batches_unordered), (None, 2, 1));
}

/// The scene that is pruned at a height, and its checkpoint; `heights` are the last ones of the epochs before.
fn pruned_at(height: u64, heights: &[u64]) -> (Scene, BaseCheckpoint) {
    let mut scene = beginning();
    let mut handovers = Vec::new();
    let mut found = None;
    let steps: [fn(&mut Scene); 8] = [
        |scene| scene.pays(1, 0),
        |scene| scene.decide(MemberChange::Add(member(2))),
        |scene| scene.pays(1, 1),
        |scene| scene.pays(2, 2),
        |scene| scene.decide(MemberChange::Remove { key: member(1).public_key, below_four: false }),
        |scene| scene.pays(2, 3),
        |scene| scene.pays(2, 4),
        |scene| scene.pays(2, 5),
    ];
    for (at, step) in (1..).zip(steps) {
        let before = scene.members.clone();
        step(&mut scene);
        if heights.contains(&at) {
            let block = scene.last_block().clone();
            let certificate = certificate(&block, 3, &before);
            handovers.push(BaseHandover { block, certificate, members: scene.members.clone() });
        }
        if at == height {
            found = Some(BaseCheckpoint { handovers: handovers.clone(), ..base(&scene) });
        }
    }
    (scene, found.unwrap())
}

#[test]
fn an_audit_that_begins_with_a_checkpoint_has_the_epochs_from_it() {
    // In a deciding height, at and behind the last block of an epoch.
    for (height, over) in [(2, &[][..]), (3, &[]), (4, &[3]), (5, &[3]), (6, &[3]), (7, &[3, 6])] {
        let (scene, base) = pruned_at(height, over);
        let base = write_pruned(&scene, &base, record_of(&scene, height));
        let report = audited(&scene, base);
        assert!(report.ok, "{height}: {:?}", report.finding);
        assert_eq!((report.audited_above, report.height, report.epochs), (Height(height), Height(8), 3));
    }
}

#[test]
fn a_checkpoint_whose_epochs_do_not_follow_from_the_genesis_is_found() {
    type Spoil = fn(&mut BaseCheckpoint);
    let spoils: [(&str, Spoil); 9] = [
        ("a certificate for", |base| base.handovers[0].certificate[9] ^= 1),
        ("a finalization certificate of a quorum", |base| base.handovers[1].certificate[50] ^= 1),
        ("a certificate of view 6", |base| base.handovers[0].certificate[0] = 2),
        ("members of epoch 1", |base| base.handovers[0].members.list[0].name.push('x')),
        ("members of epoch 2", |base| base.handovers[1].members.epoch = Epoch(1)),
        ("a block of epoch 0", |base| drop(base.handovers.remove(0))),
        ("a height above 3", |base| base.handovers[1].block = base.handovers[0].block.clone()),
        ("those of epoch 2", |base| {
            base.handovers.pop();
            base.record.certificate.clear();
        }),
        ("a height above 6 and below 7", |base| base.handovers.push(base.handovers[1].clone())),
    ];
    let (scene, base) = pruned_at(7, &[3, 6]);
    let good = write_pruned(&scene, &base, record_of(&scene, 7));
    for (words, spoil) in spoils {
        let mut spoilt = good.clone();
        spoil(&mut spoilt);
        let finding = audited(&scene, spoilt).finding.expect(words);
        assert!(finding.expected.contains(words), "{words}: {finding}");
        assert_eq!(finding.file, PathBuf::from("checkpoint"));
    }
    // The checkpoint is of the last block itself, which nobody has made final.
    let (scene, mut base) = pruned_at(3, &[]);
    base.record.certificate.clear();
    let base = write_pruned(&scene, &base, record_of(&scene, 3));
    let finding = audited(&scene, base).finding.unwrap();
    assert!(finding.expected.contains("the last one of epoch 0"), "{finding}");
}

#[test]
fn two_directories_are_compared_across_epochs_and_a_fork_at_an_epochs_end_is_found() {
    let whole = changed_twice();
    whole.write();
    let (cut, base) = pruned_at(7, &[3, 6]);
    let base = write_pruned(&cut, &base, record_of(&cut, 7));
    let forked = {
        let mut scene = beginning();
        scene.pays(1, 0);
        scene.decide(MemberChange::Add(member(2)));
        scene.commit(&[], |_| {});
        scene.write();
        scene
    };
    let audit = |scenes: [&Scene; 2]| {
        let mut auditor = scenes[0].auditor();
        scenes.map(|scene| {
            auditor.format = Box::new(Numbered(scene.entries.clone(), Some(base.clone())));
            let report = auditor.audit(scene.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
            report.finding.map(|finding| finding.kind)
        })
    };
    assert_eq!(audit([&whole, &cut]), [None, None]);
    assert_eq!(audit([&cut, &whole]), [None, None]);
    assert_eq!(audit([&forked, &whole]), [None, Some(FindingKind::Fork)]);
    assert_eq!(audit([&forked, &cut]), [None, Some(FindingKind::Fork)], "by the end of an epoch that it has");
}
