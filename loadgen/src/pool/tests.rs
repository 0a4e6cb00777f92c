use super::Pool;
use engine::limits::PACKET_BYTES;

fn stage(first: u8, packets: u8) -> Vec<u8> {
    (first..first + packets).flat_map(|n| [n; PACKET_BYTES]).collect()
}

#[test]
fn tags_run_on_across_stages() {
    let mut pool = Pool::new(2, 1);
    pool.add(vec![stage(0, 3), stage(100, 3)]);
    pool.add(vec![stage(3, 2), stage(103, 2)]);
    assert_eq!(pool.transaction(0, 4).unwrap().0, [4; PACKET_BYTES]);
    assert_eq!(pool.transaction(1, 2).unwrap().0, [102; PACKET_BYTES]);
    assert!(pool.transaction(1, 5).is_none());
    assert!(pool.transaction(2, 0).is_none());
}

#[test]
fn a_run_is_one_slab_inside_a_stage_and_two_across_its_end() {
    let mut pool = Pool::new(1, 1);
    pool.add(vec![stage(0, 3)]);
    pool.add(vec![stage(3, 4)]);
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
    let mut pool = Pool::new(1, 2);
    pool.add(vec![stage(0, 6)]);
    pool.add(vec![stage(6, 4)]);
    let cut = |range| pool.slabs(0, range).map(|(tag, slab)| (tag, slab.len())).collect::<Vec<_>>();
    assert_eq!(cut(1..5), [(2, 4), (6, 4)]);
    assert_eq!(cut(4..5), [(8, 2)]);
    assert_eq!(pool.transaction(0, 4).unwrap().0, [8; PACKET_BYTES]);
    assert!(pool.transaction(0, 5).is_none());
}
