use super::*;
use crate::store::LogKind;

fn seed(validator: u8) -> Seed {
    Seed::new(&Owner { network: [7; 32], validator: [validator; 32], log: LogKind::Journal })
}

fn tag() -> Tag {
    Tag { incarnation: 3, sector: 77, durable: 70, released: 5, length: 11, flags: STARTS_GROUP }
}

#[test]
fn a_stamped_sector_reads_back() {
    let seed = seed(7);
    let mut bytes = [0u8; SECTOR_BYTES];
    bytes[TAG_BYTES..TAG_BYTES + 11].copy_from_slice(b"hello world");
    seed.stamp(&mut bytes, &tag());
    assert_eq!(seed.inspect(&bytes, 77), Found::Valid(tag()));
    assert_eq!(seed.inspect(&bytes, 78), Found::Elsewhere(tag()));
}

#[test]
fn another_owner_s_sector_does_not_pass() {
    let mut bytes = [0u8; SECTOR_BYTES];
    seed(7).stamp(&mut bytes, &tag());
    assert!(matches!(seed(8).inspect(&bytes, 77), Found::Damaged { .. }));
}

#[test]
fn every_flipped_byte_shows() {
    let seed = seed(0);
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
        assert_eq!(seed(owner).inspect(&[0; SECTOR_BYTES], 0), Found::Blank);
    }
}
