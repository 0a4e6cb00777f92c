//! `docs/VERSIONS.md` lists every version of a format or a protocol, and says what the source says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// Of each row of the table the file and the text in it that has the version.
fn rows(page: &str) -> Vec<(String, String)> {
    let cells = page.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(3));
    let places =
        cells.filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`')?.split_once("`: `"));
    places.map(|(file, text)| (file.to_owned(), text.to_owned())).collect()
}

/// The versions in a source file that is not a test: names that end in a number, and numbers of formats.
fn versions(text: &str) -> Vec<String> {
    let name = |(at, _): (usize, &str)| {
        let end = text[at + 2..].find('"')? + at + 3;
        let name = text[at + 2..end - 1].trim_end_matches('/');
        let (_, number) = name.rsplit_once('/')?;
        number.parse::<u32>().ok().map(|_| text[at..end].to_owned())
    };
    let numbered = |line: &str| {
        let line = line.trim().trim_start_matches("pub ");
        ["const FORMAT: ", "const VERSION: "]
            .iter()
            .any(|start| line.starts_with(start))
            .then(|| line.to_owned())
    };
    text.match_indices("b\"millrace").filter_map(name).chain(text.lines().filter_map(numbered)).collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path()) {
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test {
            found.push(path);
        }
    }
}

#[test]
fn the_page_says_what_the_source_says() {
    let page = fs::read_to_string(root().join("docs/VERSIONS.md")).expect("the page");
    let rows = rows(&page);
    assert!(rows.len() > 20, "the table has rows: {rows:?}");
    for (file, text) in &rows {
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(source.contains(text), "docs/VERSIONS.md: {file} does not have {text}");
    }
    // A name says by itself what it is of, and may stand in several files; a number does not.
    let names: BTreeSet<&str> = rows.iter().map(|(_, text)| text.as_str()).collect();
    let is_listed = |file: &str, text: &str| match text.starts_with('b') {
        true => names.contains(text),
        false => rows.iter().any(|row| (row.0.as_str(), row.1.as_str()) == (file, text)),
    };
    let mut files = Vec::new();
    for package in ["engine", "proof", "consensus", "net", "client", "gateway", "loadgen", "node"] {
        sources(&root().join(package).join("src"), &mut files);
    }
    let mut missing = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("text");
        // Tests stand behind what they test.
        let code = text.split("#[cfg(test)]\nmod tests {").next().expect("a beginning");
        let file = path.strip_prefix(root()).expect("below the root").display().to_string();
        let unlisted = versions(code).into_iter().filter(|version| !is_listed(&file, version));
        missing.extend(unlisted.map(|version| format!("{file}: {version}")));
    }
    assert!(missing.is_empty(), "docs/VERSIONS.md does not list\n{}", missing.join("\n"));
}

#[test]
fn a_version_that_is_missing_would_be_found() {
    let page = "| a | 1 | `a/b.rs`: `b\"millrace/a/1\"` | refused |\n|---|---|---|---|\n";
    assert_eq!(rows(page), [("a/b.rs".to_owned(), "b\"millrace/a/1\"".to_owned())]);
    let text = "const A: &[u8] = b\"millrace/a/12/\";\nconst B: &[u8] = b\"millrace/plain\";\n    pub const FORMAT: u32 = 7;\n";
    assert_eq!(versions(text), ["b\"millrace/a/12/\"", "const FORMAT: u32 = 7;"]);
}
