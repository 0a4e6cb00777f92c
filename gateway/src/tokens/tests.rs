use std::os::unix::fs::PermissionsExt as _;

use super::*;

const NOW: u64 = 1_000_000;

fn find(tokens: &Tokens, token: &str, now: Duration, unix: u64) -> Option<Bearer> {
    tokens.find_hash(&sha256(token.as_bytes()), now, unix)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.toml");
    (directory, file)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_token_is_good_from_its_making_to_its_revocation_or_its_end() {
    let (_directory, path) = place();
    let tokens = Tokens::open(&path).unwrap();
    let mut file = TokenFile::load(&path).unwrap();
    let token = file.add(&path, "till", &[Scope::Read, Scope::Submit], NOW + 10).unwrap();
    let other = file.add(&path, "graphs", &[Scope::Metrics], NOW + 10).unwrap();
    assert_eq!(find(&tokens, &token, seconds(0), NOW), None, "it is not saved yet");
    file.save(&path).unwrap();
    let found = find(&tokens, &token, seconds(1), NOW).unwrap();
    assert!(found.scopes.has(Scope::Submit) && !found.scopes.has(Scope::Metrics));
    assert_eq!((found.name.as_str(), found.scopes.to_string().as_str()), ("till", "read, submit"));
    assert_eq!(find(&tokens, &token, seconds(1), NOW + 10), None, "it has ended");
    assert_eq!(find(&tokens, &token[1..], seconds(1), NOW), None);
    file.revoke(&path, "till").unwrap();
    file.save(&path).unwrap();
    assert!(find(&tokens, &token, seconds(1), NOW).is_some(), "nobody has looked yet");
    assert_eq!(find(&tokens, &token, seconds(2), NOW), None);
    assert!(find(&tokens, &other, seconds(2), NOW).is_some());
}

#[test]
fn the_file_has_no_token_and_is_for_its_owner_alone() {
    let (_directory, path) = place();
    let mut file = TokenFile::load(&path).unwrap();
    let token = file.add(&path, "till", &[Scope::Read], NOW).unwrap();
    assert_eq!(token.len(), PREFIX.len() + 64);
    file.save(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&token[PREFIX.len()..]) && text.contains(&hex::encode(sha256(token.as_bytes()))));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(TokenFile::load(&path).unwrap(), file);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(TokenFile::load(&path), Err(TokenError::Mode { mode: 0o640, .. })));
    assert!(Tokens::open(&path).is_err());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let tokens = Tokens::open(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(find(&tokens, &token, seconds(0), 0), None, "a file that others can read lets nobody in");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for wrong in ["", "millrace_tokens = 2", "millrace_tokens = 1\nmore = 1", "[[token]]"] {
        fs::write(&path, wrong).unwrap();
        assert!(matches!(TokenFile::load(&path), Err(TokenError::Content { .. })), "{wrong:?}");
    }
}

#[test]
fn of_many_changes_at_once_none_is_lost() {
    let (directory, path) = place();
    let names: Vec<String> = (0..16).map(|number| format!("till-{number}")).collect();
    let at_once = |change: fn(&mut TokenFile, &Path, &str) -> Result<(), TokenError>| {
        std::thread::scope(|scope| {
            for name in &names {
                let path = &path;
                scope.spawn(move || TokenFile::change(path, |file| change(file, path, name)).unwrap());
            }
        });
    };
    at_once(|file, path, name| file.add(path, name, &[Scope::Read], NOW).map(drop));
    assert_eq!(TokenFile::load(&path).unwrap().tokens.len(), names.len());
    at_once(|file, path, name| file.revoke(path, name));
    assert_eq!(TokenFile::load(&path).unwrap().tokens, []);
    // One who holds the lock, such as `millrace token`, is waited for.
    let held = fs::File::open(beside(&path, "lock")).unwrap();
    held.lock().unwrap();
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || {
            TokenFile::change(&path, |file| file.add(&path, "late", &[Scope::Read], NOW).map(drop)).unwrap()
        }
    });
    let mut file = TokenFile::load(&path).unwrap();
    file.add(&path, "early", &[Scope::Read], NOW).unwrap();
    std::thread::yield_now();
    file.save(&path).unwrap();
    drop(held);
    waiting.join().unwrap();
    let names: Vec<_> = TokenFile::load(&path).unwrap().tokens.into_iter().map(|of| of.name).collect();
    assert_eq!(names, ["early", "late"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the file and its lock");
}

#[test]
fn a_name_is_there_once() {
    let (_directory, path) = place();
    let mut file = TokenFile::load(&path).unwrap();
    file.add(&path, "till", &[Scope::Read], NOW).unwrap();
    assert!(matches!(file.add(&path, "till", &[], NOW), Err(TokenError::Taken { .. })));
    assert!(matches!(file.revoke(&path, "tills"), Err(TokenError::Unknown { .. })));
}
