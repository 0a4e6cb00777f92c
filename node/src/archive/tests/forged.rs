//! Files whose digests are right and whose content is not: what somebody writes who knows the format.

use kernels::sha2::sha256;
use proptest::prelude::*;

use super::super::format::{FrameEntry, HEADER_BYTES, Index, TRAILER_BYTES};
use super::*;

/// Reads everything that can be read of an archive with one file.
fn read_all(rig: &Rig, archive: &Path) -> bool {
    let _listed = wrongs(rig, archive);
    let mut client = client(archive, (*rig.genesis.network(), Height(0))).unwrap();
    for height in (0..=rig.height().0 + 1).map(Height) {
        let _answer = client.block(height);
    }
    for (_, id) in &rig.transactions {
        let _answer = client.transaction(None, id);
    }
    audit(rig, archive, false).ok
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Nothing in a file leads a reader astray, and no byte of a frame can be changed without an audit's noticing.
    #[test]
    fn a_forged_file_is_refused_by_an_audit_and_harms_no_reader(
        place in 0.0..1.0_f64,
        value in 1_u8..=255,
        in_frame in any::<bool>(),
    ) {
        let mut rig = Rig::new();
        (0..6).for_each(|height| rig.commit(height % 3, height % 2 == 1));
        pass(&rig, 1 << 20);
        let archive = rig.archive();
        let listed = Archive::open(&archive).unwrap();
        let heights = listed.files[0];
        let (path, file) = (listed.path(heights), listed.open_file(heights).unwrap());
        let bytes = fs::read(&path).unwrap();
        let header: [u8; HEADER_BYTES] = file.header.encode();
        let (index_at, ids_at) = (
            bytes.len() - file.index.encode(&header).len(),
            file.index.frames_end() as usize,
        );
        let at = |length: usize| (place * length as f64) as usize;
        let forged = if in_frame {
            let frame = file.index.frames[0];
            let compressed = &bytes[HEADER_BYTES..HEADER_BYTES + frame.bytes as usize];
            let mut plain = zstd::bulk::decompress(compressed, frame.plain_bytes as usize).unwrap();
            let at = at(plain.len());
            plain[at] ^= value;
            let compressed = zstd::bulk::compress(&plain, 1).unwrap();
            let entry =
                FrameEntry { bytes: compressed.len() as u32, digest: Digest(sha256(&compressed)), ..frame };
            let index = Index { frames: vec![entry], ..file.index };
            [&header[..], &compressed, &bytes[ids_at..index_at], &index.encode(&header)].concat()
        } else {
            // The index, and the digest over it.
            let end = bytes.len() - TRAILER_BYTES;
            let mut index = bytes[index_at..end].to_vec();
            let at = at(index.len());
            index[at] ^= value;
            let length = (index.len() as u32).to_le_bytes();
            let digest = kernels::sha2::sha256_parts(&[&header, &index, &length]);
            [&bytes[..index_at], &index, &length, &digest, &bytes[bytes.len() - 8..]].concat()
        };
        fs::write(&path, forged).unwrap();
        let ok = read_all(&rig, &archive);
        prop_assert!(!(in_frame && ok), "byte {} of the frame", place);
    }
}

/// A reader would make room for each of them.
#[test]
fn a_frame_of_more_heights_than_it_has_bytes_for_is_refused() {
    let mut rig = Rig::new();
    (0..6).for_each(|height| rig.commit(height % 3, height % 2 == 1));
    pass(&rig, 1 << 20);
    let archive = rig.archive();
    let listed = Archive::open(&archive).unwrap();
    let (path, file) = (listed.path(listed.files[0]), listed.open_file(listed.files[0]).unwrap());
    let bytes = fs::read(&path).unwrap();
    let header = file.header.encode();
    let index_at = bytes.len() - file.index.encode(&header).len();
    for last in [Height(1 << 40), Height(u64::MAX)] {
        let end = Index { last, ..file.index.clone() }.encode(&header);
        let flaw = Index::decode(&header, &end, (index_at as u64, &path)).unwrap_err();
        assert!(flaw.to_string().contains("a possible number of heights"), "{flaw}");
    }
    let end = file.index.encode(&header);
    assert_eq!(Index::decode(&header, &end, (index_at as u64, &path)).unwrap(), file.index);
}
