use super::*;
use std::fs;
use std::path::Path;

fn packet(network: &Digest) -> Transaction {
    let (chain, credit_chain) = (ChainId(1), Some(ChainId(2)));
    let (debit, credit) = (AccountId(3), AccountId(4));
    let transfer = Transfer {
        chain,
        key_version: 1,
        reference: *b"twelve bytes",
        debit,
        credit_chain,
        credit,
        amount: 5,
        nonce: 6,
        expiry: Height(7),
    };
    transfer.sign(network, |_| [9; 64]).run().transaction().unwrap()
}

#[test]
fn a_signed_file_comes_back_only_unchanged_and_for_its_network() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pay.json");
    let (here, elsewhere) = (Digest([1; 32]), Digest([2; 32]));
    let signed = SignedFile::new(&here, &packet(&here));
    signed.write(&file).unwrap();
    assert!(matches!(signed.write(&file), Err(FileError::Output(_))), "no file is overwritten");
    let read = SignedFile::read(&file).unwrap();
    assert_eq!(read, signed);
    assert_eq!(read.transaction_for(&here, &file).unwrap(), packet(&here));
    assert!(matches!(read.transaction_for(&elsewhere, &file), Err(FileError::OtherNetwork { .. })));

    let text = fs::read_to_string(&file).unwrap();
    let hexadecimal = hex::encode(packet(&here).bytes());
    let another = hexadecimal.replacen("7477656c", "8477656c", 1);
    assert_ne!(another, hexadecimal);
    let changes = [
        (text.replace(&hexadecimal, &another), "the file was changed"),
        (text.replace(&hexadecimal, "00"), "128 bytes"),
        (text.replace(&hexadecimal, &"00".repeat(128)), "not one transaction"),
    ];
    for (changed, words) in changes {
        fs::write(&file, changed).unwrap();
        let error = SignedFile::read(&file).unwrap().transaction_for(&here, &file).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    for broken in ["", "{}", "[1, 2]", &text.replace(": 1,", ": 2,"), &text.replace("id", "name")] {
        fs::write(&file, broken).unwrap();
        assert!(matches!(SignedFile::read(&file), Err(FileError::Content { .. })), "{broken}");
    }
    assert!(matches!(SignedFile::read(directory.path()), Err(FileError::Io { .. })));
    let error = SignedFile::read(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn a_reference_is_at_most_twelve_bytes() {
    assert_eq!(reference("rent").unwrap(), *b"rent\0\0\0\0\0\0\0\0");
    assert_eq!(reference("twelve bytes").unwrap(), *b"twelve bytes");
    assert!(matches!(reference("thirteen byte"), Err(TransferError::Reference(_))));
}

#[test]
fn what_is_submitted_is_kept_until_it_is_decided() {
    let directory = tempfile::tempdir().unwrap();
    let network = Digest([1; 32]);
    let (kept, again) = (|| Kept::new(directory.path(), &network, &packet(&network)), "submit");
    let first = kept();
    let file = first.file.clone().unwrap();
    assert!(first.advice().contains(again) && first.advice().contains(&file.display().to_string()));
    assert_eq!(SignedFile::read(&file).unwrap().transaction_for(&network, &file).unwrap(), packet(&network));
    // The same bytes once more are in the same file; other ones are not overwritten.
    assert_eq!(kept().file, Ok(file.clone()));
    kept().forget();
    assert!(!file.exists());
    fs::write(&file, "mine").unwrap();
    let refused = kept();
    assert!(
        refused.file.is_err() && refused.advice().contains("before you sign anew"),
        "{}",
        refused.advice()
    );
    refused.forget();
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}
