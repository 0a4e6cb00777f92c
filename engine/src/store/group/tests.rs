use super::*;

#[test]
fn a_header_reads_back_and_nothing_else_does() {
    let header = Header { length: 77, kind: 9 };
    assert_eq!(Header::decode(&header.encode()), Some(header));
    assert_eq!(Header::decode(&header.encode()[..7]), None);
    assert_eq!(Header::decode(&[0; 8]), None);
}

#[test]
fn a_record_that_does_not_fit_leaves_the_group_as_it_was() {
    let mut group = Group::new(Buffer::new(2), 0, 8);
    let limit = record_limit(2) as usize;
    let first = group.push(1, &[&[0; 10]], 10);
    assert_eq!(first, Ok(TAG_BYTES as u64));
    assert_eq!(group.push(1, &[&vec![0; limit]], limit as u32), Err(Full::Buffer));
    assert_eq!((group.used(), group.records()), (1, 1));
    let rest = limit - 10 - HEADER_BYTES;
    assert!(group.push(1, &[&vec![0; rest]], rest as u32).is_ok());
    assert_eq!(group.push(1, &[], 0), Err(Full::Buffer));
}

#[test]
fn a_segment_s_last_sectors_are_used_or_marked() {
    // One sector is left of the segment, and the record needs two.
    let mut group = Group::new(Buffer::new(4), 7, 8);
    assert_eq!(group.push(1, &[&[0; 5000]], 5000), Err(Full::Segment));
    assert!(group.end_segment());
    assert_eq!((group.used(), group.next_start()), (1, 8));
    let mut group = Group::new(Buffer::new(4), 7, 8);
    assert!(group.push(1, &[&[0; 4000]], 4000).is_ok());
    assert!(group.end_segment());
    assert_eq!((group.used(), group.next_start()), (1, 8));
    // The buffer has no sector left for the mark: the next group makes it.
    let mut group = Group::new(Buffer::new(1), 2, 8);
    assert!(group.push(1, &[&[0; 4000]], 4000).is_ok());
    assert!(!group.end_segment());
    assert_eq!(group.next_start(), 3);
}
