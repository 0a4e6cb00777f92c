//! The house rules that a machine can check: words, lengths, links, doors, and that no configuration field is
//! forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer files are split. A file that may be longer stands in [`LONG`] with its reason.
const LINES_MAX: usize = 700;
const LONG: [(&str, &str); 0] = [];

/// What is not written, in two halves so that this file does not write it either; and what to write instead.
const BANNED: [(&str, &str, &str); 6] = [
    ("custo", "mer", "client"),
    ("who", "ever", "name who it is"),
    ("for", " ever", "endlessly, always, or a time"),
    ("by ", "nobody", "turn the sentence round: nothing does"),
    ("that is", " none", "invalid, or what it lacks"),
    ("back", "-end", "backend"),
];

/// Phrases that are hard to read or speak of documents that are not here: where, in two halves, and what to write
/// instead. Unlike [`BANNED`] they are compared letter by letter.
const PHRASES: [(&str, &str, &str, &str); 6] = [
    ("docs/", "wrong for", " good", "permanently invalid"),
    ("docs/", "with", " words", "says why"),
    ("docs/", "of", " worth", "what it is good for, or that it can be deleted"),
    ("docs/", "all the", " same", "nevertheless, or anyway"),
    ("", "sit", "ting", "say on which day, or at once"),
    ("", "DES", "IGN", "there is no such document: give the figure or the reason"),
];

/// The longest line of a comment or a page. The formatter leaves both alone.
const COLUMNS_MAX: usize = 120;

/// Names on disk and under a hash that cannot change any more.
const OLD_NAMES: [&str; 5] =
    ["customers.seed", "customer-key/1", "customers = ", r#"path("customers""#, r#"field: "customers""#];

/// The structures of the configuration, and where they are declared.
const CONFIGURATION: &str = "node/src/config/mod.rs";
const SECTIONS: [&str; 3] = ["Config", "WorkConfig", "PeerConfig"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// Every file of the workspace with one of these endings, as (path from the root, text).
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace's manifest");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).expect("its members");
    let members =
        members.trim_matches(['[', ']']).split(", ").map(|member| member.trim_matches('"').to_owned());
    let mut found = Vec::new();
    for directory in members.chain(["docs".to_owned(), "sdk".to_owned()]) {
        walk(&root.join(directory), endings, &mut found);
    }
    let top = fs::read_dir(&root).expect("the root").flatten().map(|entry| entry.path());
    found.extend(top.filter(|path| path.is_file() && ends(path, endings)));
    found.sort();
    let name = |path: &Path| path.strip_prefix(&root).expect("below the root").display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).expect("text"))).collect()
}

fn walk(directory: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        // What a package manager or a compiler has put there is not ours.
        let is_ours = !["node_modules", "dist"].iter().any(|other| path.ends_with(other));
        if path.is_dir() && is_ours {
            walk(&path, endings, found);
        } else if ends(&path, endings) {
            found.push(path);
        }
    }
}

fn ends(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted))
}

/// Fails with all findings at once.
fn nothing_found(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// The banned words of a text, by line. A word that goes on (*for every*) is another word.
fn banned(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = OLD_NAMES.iter().fold(line.to_owned(), |line, name| line.replace(name, "")).to_lowercase();
        for (start, end, instead) in BANNED {
            let word = format!("{start}{end}");
            let whole = |(at, _): (usize, &str)| {
                // The plural of a noun is the noun.
                let next = line[at + word.len()..].chars().next();
                next.is_none_or(|next| !next.is_alphabetic() || next == 's')
            };
            if line.match_indices(&word).any(whole) {
                found.push((number, format!("\"{word}\": {instead}")));
            }
        }
    }
    found
}

/// The phrases of [`PHRASES`] in a file, by line.
fn phrases(file: &str, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (place, start, end, instead) in PHRASES.iter().filter(|(place, ..)| file.starts_with(*place)) {
        let phrase = format!("{start}{end}");
        let begins = |line: &str, at: usize| !line[..at].ends_with(char::is_alphabetic);
        let said = |line: &str| line.match_indices(&phrase).any(|(at, _)| begins(line, at));
        let lines = (1..).zip(text.lines()).filter(|(_, line)| said(line));
        let place = if place.is_empty() { "" } else { " here" };
        found.extend(lines.map(|(number, _)| (number, format!("\"{phrase}\"{place}: {instead}"))));
    }
    found
}

/// The lines of comments (or of the whole text, if it is a page) that are too long. Pictures, code in pages, tables and
/// lines with links may be as long as they must.
fn wide(text: &str, is_page: bool) -> Vec<usize> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.trim_start();
        let words = match is_page {
            true => words,
            false => {
                let Some(comment) = words.strip_prefix("//") else {
                    fenced = false;
                    continue;
                };
                comment.trim_start_matches(['/', '!']).trim_start()
            }
        };
        if words.starts_with("```") {
            fenced = !fenced;
        }
        let is_free = fenced
            || words.starts_with('|')
            || (is_page && line.starts_with("    "))
            || line.contains("](")
            || line.contains("://");
        if !is_free && line.chars().count() > COLUMNS_MAX {
            found.push(number);
        }
    }
    found
}

/// The targets of the links of a page that are files here.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let here = |target: &&str| !target.contains("://") && !target.starts_with("mailto:");
    targets.filter(here).map(str::to_owned).collect()
}

/// The anchors of a page: its headings, as the usual readers of Markdown name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |heading: &str| -> String {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(name).collect()
}

/// Why a link of the page at `from` leads nowhere.
fn broken(from: &Path, text: &str, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = from.parent().expect("a file").join(file);
    let text = if file.is_empty() {
        text.to_owned()
    } else if !path.exists() {
        return Some(format!("there is no {file}"));
    } else if anchor.is_empty() {
        return None;
    } else {
        fs::read_to_string(&path).unwrap_or_default()
    };
    (!anchor.is_empty() && !anchors(&text).contains(anchor)).then(|| format!("there is no heading #{anchor}"))
}

/// The public fields of a structure.
fn fields(text: &str, structure: &str) -> Vec<String> {
    let start = format!("pub struct {structure} {{");
    let (_, body) = text.split_once(&start).unwrap_or_else(|| panic!("{structure} is declared"));
    let (body, _) = body.split_once("\n}").expect("it ends");
    let lines = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
    lines.filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
}

/// Whether a text reads a field of that name.
fn reads(text: &str, field: &str) -> bool {
    let access = format!(".{field}");
    text.match_indices(&access).any(|(at, _)| {
        let next = text[at + access.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && next != '_' && next != '(')
    })
}

#[test]
fn words_are_those_of_the_house() {
    let mut findings = Vec::new();
    for (file, text) in files(&["rs", "md"]) {
        let found = banned(&text).into_iter().chain(phrases(&file, &text));
        findings.extend(found.map(|(line, words)| format!("{file}:{line}: {words}")));
    }
    nothing_found(&findings);
}

#[test]
fn comments_and_pages_are_wrapped() {
    let mut findings = Vec::new();
    for (file, text) in files(&["rs", "md"]) {
        let lines = wide(&text, file.ends_with(".md"));
        findings.extend(lines.iter().map(|line| format!("{file}:{line}: more than {COLUMNS_MAX} columns")));
    }
    nothing_found(&findings);
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut findings = Vec::new();
    for (file, text) in files(&["rs"]) {
        let lines = text.lines().count();
        if lines > LINES_MAX && LONG.iter().all(|(long, _)| *long != file) {
            findings.push(format!("{file}: {lines} lines, more than {LINES_MAX}"));
        }
    }
    nothing_found(&findings);
}

#[test]
fn every_link_leads_somewhere() {
    let mut findings = Vec::new();
    for (file, text) in files(&["md"]) {
        for target in links(&text) {
            if let Some(why) = broken(&root().join(&file), &text, &target) {
                findings.push(format!("{file}: ({target}): {why}"));
            }
        }
    }
    nothing_found(&findings);
}

#[test]
fn every_decision_is_listed() {
    let pages = files(&["md"]);
    let (_, list) =
        pages.iter().find(|(file, _)| file == "docs/adr/README.md").expect("the list of decisions");
    let decisions = pages.iter().filter_map(|(file, _)| file.strip_prefix("docs/adr/"));
    let missing: Vec<String> = decisions
        .filter(|page| *page != "README.md" && !list.contains(&format!("({page})")))
        .map(|page| format!("docs/adr/{page} is not in docs/adr/README.md"))
        .collect();
    nothing_found(&missing);
}

#[test]
fn every_module_has_a_door() {
    let is_test = |file: &str| file.ends_with("/tests.rs") || file.contains("/tests/");
    let missing: Vec<String> = files(&["rs"])
        .into_iter()
        .filter(|(file, text)| file.contains("/src/") && !is_test(file) && !text.starts_with("//!"))
        .map(|(file, _)| format!("{file} does not begin with what it is for"))
        .collect();
    nothing_found(&missing);
}

#[test]
fn every_configuration_field_is_read() {
    let files = files(&["rs"]);
    let (_, declared) = files.iter().find(|(file, _)| file == CONFIGURATION).expect("the configuration");
    let is_reader =
        |file: &str| file.starts_with("node/src/") && file != CONFIGURATION && !file.ends_with("/tests.rs");
    let readers: Vec<&String> =
        files.iter().filter(|(file, _)| is_reader(file)).map(|(_, text)| text).collect();
    let mut findings = Vec::new();
    for section in SECTIONS {
        let fields = fields(declared, section);
        assert!(!fields.is_empty(), "{section} has fields");
        let unread = fields.into_iter().filter(|field| readers.iter().all(|text| !reads(text, field)));
        findings.extend(unread.map(|field| format!("{section}::{field} is never read")));
    }
    nothing_found(&findings);
}

#[test]
fn a_breach_would_be_found() {
    let text =
        format!("fine for every client\nWho{} it is\nour cust{}s\nnetwork.cust{}s\n", "ever", "omer", "omer");
    let lines: Vec<usize> = banned(&text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 3, 4]);
    assert_eq!(banned("DIR/customers.seed"), []);

    let text = format!("a block is wrong for{}\n", " good");
    assert_eq!(phrases("docs/PROTOCOL.md", &text).len(), 1);
    assert_eq!(phrases("sim/src/lib.rs", &text), []);
    assert_eq!(phrases("docs/PROTOCOL.md", "they call the same number"), []);
    assert_eq!(phrases("sim/src/lib.rs", &format!("in one sit{}\n", "ting")).len(), 1);

    let long = "word ".repeat(25);
    let code =
        format!("/// {long}\nlet x = 1; // {long}\n// ```\n// {long}\n// ```\n//! {long}\n// | {long}\n");
    assert_eq!(wide(&code, false), [1, 6]);
    assert_eq!(wide(&format!("{long}\n| {long}\n    {long}\n[a](b) {long}\n"), true), [1]);

    let page = "# What is open?\n[a](b.md) ![c](d.svg) [e](https://f) [g](#what-is-open)\n";
    assert_eq!(links(page), ["b.md", "d.svg", "#what-is-open"]);
    let here = root().join("README.md");
    assert_eq!(broken(&here, page, "#what-is-open"), None);
    assert_eq!(broken(&here, page, "#what"), Some("there is no heading #what".into()));
    assert_eq!(broken(&here, page, "docs"), None);
    assert_eq!(broken(&here, page, "dogs"), Some("there is no dogs".into()));

    let declared =
        "/// It.\npub struct Some {\n    /// A.\n    pub one: u8,\n    pub two_more: Vec<u8>,\n}\n";
    assert_eq!(fields(declared, "Some"), ["one", "two_more"]);
    assert!(reads("x = config.one;", "one") && !reads("config.one_more + config.one()", "one"));
}
