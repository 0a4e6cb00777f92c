use engine::types::{Digest, Height};
use kernels::ed25519::SigningKey;

use super::*;

/// The vector of `docs/WIRE.md`, which was made by another program, is what this code makes and reads.
#[test]
fn the_page_of_the_wire_has_the_bytes_of_a_transfer() {
    let page = include_str!("../../../../docs/WIRE.md");
    let cell = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("| {name} | `"))).expect(name);
        line.trim_end_matches("` |").to_owned()
    };
    let seed = std::array::from_fn(|at| at as u8);
    let (key, network) = (SigningKey::from_seed(seed), Digest([0x11; 32]));
    assert_eq!(cell("seed of the key"), hex::encode(seed));
    assert_eq!(cell("public key"), hex::encode(key.public_key()));
    assert_eq!(cell("network id"), network.to_string());
    let transfer = Transfer {
        chain: ChainId(1),
        key_version: 1,
        reference: *b"invoice 17\0\0",
        debit: AccountId(9),
        credit_chain: None,
        credit: AccountId(8),
        amount: 25,
        nonce: 3,
        expiry: Height(1_004),
    };
    let packet = transfer.sign(&network, |message| key.sign(message));
    assert_eq!(cell("first 64 bytes"), hex::encode(packet.body()));
    assert_eq!(cell("signature"), hex::encode(packet.signature()));
    assert_eq!(cell("transaction id"), packet.id(&network).to_string());
    assert_eq!(packet.run().transfer(), Ok(transfer));
}
