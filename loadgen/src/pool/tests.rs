use super::{Pool, Sizes};
use engine::limits::PACKET_BYTES;
use proptest::prelude::*;

fn stage(first: u8, packets: u8) -> Vec<u8> {
    (first..first + packets).flat_map(|n| [n; PACKET_BYTES]).collect()
}

fn pool(lanes: usize, sizes: &[u64]) -> Pool {
    Pool::new(lanes, Sizes::repeating(sizes))
}

#[test]
fn tags_run_on_across_stages() {
    let mut pool = pool(2, &[1]);
    pool.add(vec![stage(0, 3), stage(100, 3)], 3);
    pool.add(vec![stage(3, 2), stage(103, 2)], 2);
    assert_eq!(pool.transaction(0, 4).unwrap().0, [4; PACKET_BYTES]);
    assert_eq!(pool.transaction(1, 2).unwrap().0, [102; PACKET_BYTES]);
    assert!(pool.transaction(1, 5).is_none());
    assert!(pool.transaction(2, 0).is_none());
}

#[test]
fn a_run_is_one_slab_inside_a_stage_and_two_across_its_end() {
    let mut pool = pool(1, &[1]);
    pool.add(vec![stage(0, 3)], 3);
    pool.add(vec![stage(3, 4)], 4);
    let cut = |range| {
        pool.slabs(0, range)
            .map(|(tag, slab)| (tag, slab.packets().iter().map(|p| p.0[0]).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    assert_eq!(cut(1..3), [(1, vec![1, 2])]);
    assert_eq!(cut(1..6), [(1, vec![1, 2]), (3, vec![3, 4, 5])]);
    assert_eq!(cut(3..4), [(3, vec![3])]);
    assert!(cut(2..2).is_empty());
}

#[test]
fn a_transaction_of_several_packets_has_the_tag_of_its_first() {
    let mut alike = pool(1, &[2]);
    alike.add(vec![stage(0, 6)], 3);
    alike.add(vec![stage(6, 4)], 2);
    let cut =
        |pool: &Pool, range| pool.slabs(0, range).map(|(tag, slab)| (tag, slab.len())).collect::<Vec<_>>();
    assert_eq!(cut(&alike, 1..5), [(2, 4), (6, 4)]);
    assert_eq!(cut(&alike, 4..5), [(8, 2)]);
    assert_eq!(alike.transaction(0, 4).unwrap().0, [8; PACKET_BYTES]);
    assert!(alike.transaction(0, 5).is_none());

    let mut mixed = pool(1, &[1, 3]);
    mixed.add(vec![stage(0, 8)], 4);
    mixed.add(vec![stage(8, 5)], 3);
    assert_eq!(cut(&mixed, 1..6), [(1, 7), (8, 4)]);
    assert_eq!(cut(&mixed, 6..7), [(12, 1)]);
    assert_eq!(mixed.transaction(0, 3).unwrap().0, [5; PACKET_BYTES]);
    assert_eq!(mixed.transaction(0, 4).unwrap().0, [8; PACKET_BYTES]);
    assert!(mixed.transaction(0, 7).is_none());
}

proptest! {
    #[test]
    fn a_tag_names_a_transaction_only_at_its_first_packet(of in proptest::collection::vec(1..9_u64, 1..4), number in 0..500_u64) {
        let sizes = Sizes::repeating(&of);
        let (tag, next) = (sizes.packets(number), sizes.packets(number + 1));
        prop_assert_eq!(next - tag, of[(number % sizes.period()) as usize]);
        prop_assert_eq!(sizes.number(tag), Some(number));
        for inside in tag + 1..next {
            prop_assert_eq!(sizes.number(inside), None);
        }
        let most = *of.iter().max().unwrap();
        prop_assert_eq!((sizes.within(3 * most), sizes.within(0)), (3, 1));
    }
}
