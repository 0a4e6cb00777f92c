use super::*;
use crate::gpu::tests::{PATIENCE, open};

fn hasher() -> Option<TreeHasher> {
    Some(TreeHasher::new(open()?, 1000).unwrap())
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| merkle::leaf_hash(&n.to_le_bytes())).collect()
}

#[test]
fn roots_are_those_of_the_cpu() {
    let Some(hasher) = hasher() else { return };
    assert_eq!(hasher.chunk, 512);
    for count in (0..=70).chain([127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 1800]) {
        let leaves = leaves(count);
        assert_eq!(hasher.root(&leaves, PATIENCE).unwrap(), merkle::root(&leaves), "{count} leaves");
    }
}

#[test]
fn leaves_are_hashed_as_by_the_cpu() {
    let Some(hasher) = hasher() else { return };
    for len in (1..=130).chain([8000]) {
        let data: Vec<u8> = (0..len * 7).map(|n| (n * 31) as u8).collect();
        let mut expected = vec![[0; 32]; 7];
        merkle::leaf_hashes(&data, len, &mut expected);
        assert_eq!(hasher.leaf_hashes(&data, len, PATIENCE).unwrap(), expected, "{len} bytes");
    }
    assert_eq!(hasher.leaf_hashes(&[], 5, PATIENCE).unwrap(), Vec::<Hash>::new());
    // More than there is room for at once.
    let data: Vec<u8> = (0..1500u32).flat_map(u32::to_le_bytes).collect();
    let mut expected = vec![[0; 32]; 1500];
    merkle::leaf_hashes(&data, 4, &mut expected);
    assert_eq!(hasher.leaf_hashes(&data, 4, PATIENCE).unwrap(), expected);
    let error = hasher.leaf_hashes(&vec![0; 1 << 20], 1 << 20, PATIENCE).unwrap_err();
    assert!(matches!(error, GpuError::Limit { .. }), "{error}");
}

#[test]
fn a_mismatch_is_computed_again_by_the_cpu() {
    let Some(mut hasher) = hasher() else { return };
    let leaves = leaves(700);
    let root = merkle::root(&leaves);
    let check = |hasher: &TreeHasher, expected| hasher.check(&leaves, expected, PATIENCE).unwrap();
    assert_eq!(check(&hasher, &root), RootCheck::Holds);
    assert_eq!(check(&hasher, &[7; 32]), RootCheck::Differs { root });
    hasher.tamper = true;
    assert!(matches!(check(&hasher, &root), RootCheck::DeviceWrong { device } if device != root));
    assert_eq!(check(&hasher, &[7; 32]), RootCheck::Differs { root });
}

#[test]
fn a_lost_device_computes_no_root() {
    let Some(hasher) = hasher() else { return };
    hasher.device.device.destroy();
    assert!(hasher.root(&leaves(9), PATIENCE).is_err());
    assert!(hasher.leaf_hashes(&[1, 2], 1, PATIENCE).is_err());
}
