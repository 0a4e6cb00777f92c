use super::*;

fn tag() -> Tag {
    Tag { incarnation: 3, sector: 77, durable: 70, released: 5, length: 11, flags: STARTS_GROUP }
}

#[test]
fn a_stamped_sector_reads_back() {
    let seed = Seed::new(&[7; 32]);
    let mut bytes = [0u8; SECTOR_BYTES];
    bytes[TAG_BYTES..TAG_BYTES + 11].copy_from_slice(b"hello world");
    seed.stamp(&mut bytes, &tag());
    assert_eq!(seed.inspect(&bytes, 77), Found::Valid(tag()));
    assert_eq!(seed.inspect(&bytes, 78), Found::Elsewhere(tag()));
}

#[test]
fn another_owner_s_sector_does_not_pass() {
    let mut bytes = [0u8; SECTOR_BYTES];
    Seed::new(&[7; 32]).stamp(&mut bytes, &tag());
    assert!(matches!(Seed::new(&[8; 32]).inspect(&bytes, 77), Found::Damaged { .. }));
}

#[test]
fn every_flipped_byte_shows() {
    let seed = Seed::new(&[0; 32]);
    let mut bytes = [0u8; SECTOR_BYTES];
    seed.stamp(&mut bytes, &tag());
    for at in 0..SECTOR_BYTES {
        bytes[at] ^= 0x10;
        assert!(matches!(seed.inspect(&bytes, 77), Found::Damaged { .. }), "byte {at}");
        bytes[at] ^= 0x10;
    }
}

#[test]
fn zeros_are_blank_under_any_owner() {
    for owner in 0..=255u8 {
        assert_eq!(Seed::new(&[owner; 32]).inspect(&[0; SECTOR_BYTES], 0), Found::Blank);
    }
}
