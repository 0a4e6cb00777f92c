//! Text for people: aligned rows, numbers with commas. JSON for programs.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

/// A number with thousands separated: 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Prints a value as JSON for a person or a program; true, as a command that has done its work.
pub(crate) fn print_json(value: &Value) -> Result<bool> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(true)
}

/// Prints rows of a label and a value, the values in one column.
pub(crate) fn rows(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, value) in rows {
        println!("  {label:<width$}  {value}");
    }
}

/// A path as a shell takes it: as it is where nothing in it means anything to a shell, else in quotes.
pub(crate) fn quoted(path: impl AsRef<Path>) -> String {
    let text = path.as_ref().display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:=@%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// How a command that is printed names a network, with a blank before it; nothing where there is none.
pub(crate) fn on_network(directory: Option<&Path>) -> String {
    directory.map_or_else(String::new, |directory| format!(" --network {}", quoted(directory)))
}

/// How a command that is printed names the key of an account, with a blank before it: the file, if it is known; nothing
/// where the key follows from the secret of a network with test money.
pub(crate) fn with_key(file: Option<&Path>, follows: bool) -> String {
    match file {
        Some(file) => format!(" --key {}", quoted(file)),
        None if follows => String::new(),
        None => " --key FILE".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_shell_reads_back_the_paths_of_hints() {
        for (path, text) in [
            ("/tmp/mill", "/tmp/mill"),
            ("my mill", "'my mill'"),
            ("a;b", "'a;b'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("~x", "'~x'"),
        ] {
            assert_eq!(quoted(path), text);
            let echoed = std::process::Command::new("sh").args(["-c", &format!("printf %s {text}")]).output();
            assert_eq!(String::from_utf8(echoed.unwrap().stdout).unwrap(), path, "{text}");
        }
        assert_eq!(on_network(Some(Path::new("my mill"))), " --network 'my mill'");
        assert_eq!(with_key(None, true) + &with_key(None, false), " --key FILE");
        assert_eq!(with_key(Some(Path::new("a b.pem")), true), " --key 'a b.pem'");
    }
}
