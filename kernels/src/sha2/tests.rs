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

proptest! {
    #[test]
    fn parts_are_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..600) {
        let (a, b) = bytes.split_at(at.min(bytes.len()));
        prop_assert_eq!(sha256_parts(&[a, b]), sha256(&bytes));
        prop_assert_eq!(sha512_parts(&[a, b]), sha512(&bytes));
    }

    #[test]
    fn each_is_each_whatever_the_lengths(lens in proptest::collection::vec(0usize..400, 0..20), fill in any::<u8>()) {
        let messages: Vec<Vec<u8>> = lens.iter().map(|len| (0..*len).map(|i| i as u8 ^ fill).collect()).collect();
        let parts: Vec<[&[u8]; 3]> = messages.iter().map(|m| [&m[..m.len() / 3], &m[m.len() / 3..], b"tail"]).collect();
        let mut out = vec![[0; 64]; parts.len()];
        sha512_each(&parts, &mut out);
        for (message, digest) in parts.iter().zip(&out) {
            prop_assert_eq!(*digest, sha512_parts(message));
        }
    }

    #[test]
    fn many_is_each(len in 0usize..300, count in 0usize..70, fill in any::<u64>()) {
        let messages: Vec<u8> = (0..len * count)
            .map(|i| (fill.wrapping_mul(i as u64 + 1) >> 29) as u8)
            .collect();
        let mut out = vec![[0; 32]; count];
        sha256_many(&messages, len, &mut out);
        for (i, digest) in out.iter().enumerate() {
            prop_assert_eq!(*digest, sha256(&messages[i * len..(i + 1) * len]));
        }
    }
}
