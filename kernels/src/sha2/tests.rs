use super::*;
use proptest::prelude::*;

fn hex32(s: &str) -> [u8; 32] {
    hex::decode(s).unwrap().try_into().unwrap()
}

#[test]
fn fips_180_4_vectors() {
    assert_eq!(sha256(b""), hex32("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    assert_eq!(sha256(b"abc"), hex32("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_eq!(
        sha256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
        hex32("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    );
    assert_eq!(
        sha256(&vec![b'a'; 1_000_000]),
        hex32("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    );
    assert_eq!(
        hex::encode(sha512(b"abc")),
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    );
    assert_eq!(
        hex::encode(sha512(b"")),
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
         47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    );
}

#[test]
#[should_panic(expected = "one message of 4 bytes")]
fn many_refuses_sizes_that_disagree() {
    sha256_many(&[0; 9], 4, &mut [[0; 32]; 2]);
}

/// Bytes that differ from place to place.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    (0..len as u64)
        .map(|i| ((i + 1).wrapping_mul(seed | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 37) as u8)
        .collect()
}

/// The specification: the `sha2` crate, message by message.
fn slow_256(prefix: &[u8], messages: &[u8], len: usize, count: usize) -> Vec<[u8; 32]> {
    (0..count)
        .map(|i| {
            let bytes = [prefix, &messages[i * len..(i + 1) * len]].concat();
            ::sha2::Sha256::digest(bytes).into()
        })
        .collect()
}

/// Every length over block and row borders, every batch size over those of one and two vectors, with and without
/// prefix.
#[test]
fn sha256_of_every_backend_is_that_of_sha2() {
    for backend in Backend::all_sha256() {
        for len in 0..=300 {
            let messages = noise(len * 40, len as u64);
            for prefix in [&[][..], &[1]] {
                let expected = slow_256(prefix, &messages, len, 40);
                for count in 0..=40 {
                    let mut out = vec![[0xee; 32]; count];
                    prefixed_many(backend, prefix, &messages[..len * count], len, &mut out);
                    assert_eq!(out, expected[..count], "{backend}, {count} of {len} bytes");
                }
            }
        }
    }
}

#[test]
fn sha512_of_every_backend_is_that_of_sha2() {
    for backend in Backend::all_sha512() {
        for len in 0..=300 {
            let messages: Vec<_> = (0..40).map(|i| noise(len, 40 * len as u64 + i)).collect();
            // Three parts, of which some are empty and some cross rows.
            let parts: Vec<[&[u8]; 3]> = messages
                .iter()
                .map(|m| {
                    let (head, tail) = m.split_at(len / 3);
                    let (middle, tail) = tail.split_at(tail.len() * (len % 3) / 2);
                    [head, middle, tail]
                })
                .collect();
            let expected: Vec<[u8; 64]> = messages.iter().map(|m| ::sha2::Sha512::digest(m).into()).collect();
            for count in 0..=40 {
                let mut out = vec![[0xee; 64]; count];
                sha512_each_on(backend, &parts[..count], &mut out);
                assert_eq!(out, expected[..count], "{backend}, {count} of {len} bytes");
            }
        }
    }
}

/// The vectors of FIPS 180-4 in every lane of every backend.
#[test]
fn fips_180_4_vectors_on_every_backend() {
    let two_blocks = b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";
    for backend in Backend::all_sha256() {
        let mut out = [[0; 32]; 37];
        sha256_many_on(backend, &b"abc".repeat(37), 3, &mut out);
        let abc = hex32("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(out, [abc; 37], "{backend}");
        sha256_many_on(backend, &two_blocks.repeat(37), two_blocks.len(), &mut out);
        let expected = hex32("cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
        assert_eq!(out, [expected; 37], "{backend}");
    }
    for backend in Backend::all_sha512() {
        let mut out = [[0; 64]; 19];
        sha512_each_on(backend, &[[&two_blocks[..]]; 19], &mut out);
        let expected = "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018\
                        501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909";
        assert!(out.iter().all(|digest| hex::encode(digest) == expected), "{backend}");
    }
}

/// NIST's additional vectors for byte-oriented messages: one byte `times` over, at the borders where the padding needs
/// a further block and beyond, in every lane of every backend.
#[test]
fn nist_vectors_on_every_backend() {
    let of_256: [(u8, usize, &str); 8] = [
        (0xbd, 1, "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"),
        (0, 55, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"),
        (0, 56, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"),
        (0, 57, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"),
        (0, 64, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"),
        (0, 1000, "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"),
        (0x41, 1000, "c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4"),
        (0x55, 1005, "f4d62ddec0f3dd90ea1380fa16a5ff8dc4c54b21740650f24afc4120903552b0"),
    ];
    let of_512: [(u8, usize, &str); 7] = [
        (
            0,
            111,
            "77ddd3a542e530fd047b8977c657ba6ce72f1492e360b2b2212cd264e75ec038\
             82e4ff0525517ab4207d14c70c2259ba88d4d335ee0e7e20543d22102ab1788c",
        ),
        (
            0,
            112,
            "2be2e788c8a8adeaa9c89a7f78904cacea6e39297d75e0573a73c756234534d6\
             627ab4156b48a6657b29ab8beb73334040ad39ead81446bb09c70704ec707952",
        ),
        (
            0,
            113,
            "0e67910bcf0f9ccde5464c63b9c850a12a759227d16b040d98986d54253f9f34\
             322318e56b8feb86c5fb2270ed87f31252f7f68493ee759743909bd75e4bb544",
        ),
        (
            0,
            122,
            "4f3f095d015be4a7a7cc0b8c04da4aa09e74351e3a97651f744c23716ebd9b3e\
             822e5077a01baa5cc0ed45b9249e88ab343d4333539df21ed229da6f4a514e0f",
        ),
        (
            0,
            1000,
            "ca3dff61bb23477aa6087b27508264a6f9126ee3a004f53cb8db942ed345f2f2\
             d229b4b59c859220a1cf1913f34248e3803bab650e849a3d9a709edc09ae4a76",
        ),
        (
            0x41,
            1000,
            "329c52ac62d1fe731151f2b895a00475445ef74f50b979c6f7bb7cae349328c1\
             d4cb4f7261a0ab43f936a24b000651d4a824fcdd577f211aef8f806b16afe8af",
        ),
        (
            0x55,
            1005,
            "59f5e54fe299c6a8764c6b199e44924a37f59e2b56c3ebad939b7289210dc8e4\
             c21b9720165b0f4d4374c90f1bf4fb4a5ace17a1161798015052893a48c3d161",
        ),
    ];
    for (byte, times, expected) in of_256 {
        for backend in Backend::all_sha256() {
            let mut out = [[0; 32]; 37];
            sha256_many_on(backend, &vec![byte; times * out.len()], times, &mut out);
            assert!(out.iter().all(|digest| hex::encode(digest) == expected), "{backend}, {times} of {byte}");
        }
    }
    for (byte, times, expected) in of_512 {
        for backend in Backend::all_sha512() {
            let (message, mut out) = (vec![byte; times], [[0; 64]; 19]);
            sha512_each_on(backend, &[[&message[..]]; 19], &mut out);
            assert!(out.iter().all(|digest| hex::encode(digest) == expected), "{backend}, {times} of {byte}");
        }
    }
}

#[test]
fn long_messages_go_through_all_their_blocks() {
    for backend in Backend::all_sha256() {
        let messages = noise(33 * 5000, 7);
        let mut out = [[0; 32]; 33];
        sha256_many_on(backend, &messages, 5000, &mut out);
        assert_eq!(out[..], slow_256(&[], &messages, 5000, 33)[..], "{backend}");
    }
}

proptest! {
    #[test]
    fn parts_are_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..600) {
        let (a, b) = bytes.split_at(at.min(bytes.len()));
        prop_assert_eq!(sha256_parts(&[a, b]), sha256(&bytes));
        prop_assert_eq!(sha512_parts(&[a, b]), sha512(&bytes));
    }

    /// Random bytes, of any length and number.
    #[test]
    fn every_backend_says_what_the_portable_one_says(
        count in 0usize..90,
        len in 0usize..700,
        seed in any::<u64>(),
        prefix in proptest::collection::vec(any::<u8>(), 0..3),
    ) {
        let messages = noise(count * len, seed);
        let mut expected = vec![[0; 32]; count];
        let mut out = expected.clone();
        for (at, backend) in Backend::all_sha256().into_iter().enumerate() {
            prefixed_many(backend, &prefix, &messages, len, &mut out);
            if at == 0 {
                expected.clone_from(&out);
            }
            prop_assert_eq!(&out, &expected, "{}", backend);
        }
    }

    /// Runs of one shape between others, of every length of run.
    #[test]
    fn each_is_each_whatever_the_lengths(
        runs in proptest::collection::vec((0usize..400, 1usize..20), 0..6),
        seed in any::<u64>(),
    ) {
        let lens = runs.iter().flat_map(|(len, times)| std::iter::repeat_n(*len, *times));
        let messages: Vec<Vec<u8>> = lens.enumerate().map(|(i, len)| noise(len, seed ^ i as u64)).collect();
        let parts: Vec<[&[u8]; 3]> =
            messages.iter().map(|m| [&m[..m.len() / 3], &m[m.len() / 3..], b"tail"]).collect();
        for backend in Backend::all_sha512() {
            let mut out = vec![[0; 64]; parts.len()];
            sha512_each_on(backend, &parts, &mut out);
            for (message, digest) in parts.iter().zip(&out) {
                prop_assert_eq!(*digest, sha512_parts(message));
            }
        }
    }
}
