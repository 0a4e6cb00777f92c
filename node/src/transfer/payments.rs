//! Payments from a file: one a line, an account and an amount with a comma between them.

use std::path::{Path, PathBuf};

use engine::limits::LINKED_PAYMENTS_MAX;
use engine::types::{AccountId, Payment};

/// Why a file of payments cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PaymentsError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no payment.
    #[error("{}, line {line}: {problem}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// There are none, or too many.
    #[error("{}: {count} payments; there must be 1 to {LINKED_PAYMENTS_MAX}", file.display())]
    Count {
        /// The file.
        file: PathBuf,
        /// How many there are.
        count: usize,
    },
}

/// The payments of a file, each with its line. Empty lines and lines that begin with `#` say nothing.
///
/// # Errors
/// [`PaymentsError`].
pub(super) fn read(file: &Path) -> Result<Vec<(usize, Payment)>, PaymentsError> {
    let bytes = std::fs::read(file).map_err(|source| PaymentsError::Io { file: file.to_owned(), source })?;
    // What spreadsheets write before the first line.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let mut payments = Vec::new();
    for (line, said) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let wrong = |problem| PaymentsError::Line { file: file.to_owned(), line, problem };
        let said =
            std::str::from_utf8(said).map_err(|_| wrong("not UTF-8: save the file as UTF-8".to_owned()))?;
        let said = said.trim();
        if said.is_empty() || said.starts_with('#') {
            continue;
        }
        payments.push((line, payment(said).map_err(wrong)?));
    }
    match payments.len() {
        1..=LINKED_PAYMENTS_MAX => Ok(payments),
        count => Err(PaymentsError::Count { file: file.to_owned(), count }),
    }
}

fn payment(said: &str) -> Result<Payment, String> {
    let (account, amount) = said.split_once(',').ok_or_else(|| {
        format!("an account, a comma and an amount are wanted, such as `12, 500`; this is {}", shown(said))
    })?;
    let number = |text: &str, what: &str| {
        let text = text.trim();
        text.parse::<u64>().map_err(|_| {
            match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
                true => format!("the {what} {} is too large", shown(text)),
                false => format!("the {what} must be a number of digits alone, not {}", shown(text)),
            }
        })
    };
    let account = AccountId(number(account, "account (of the chain that pays)")?);
    Ok(Payment { to: account, amount: number(amount, "amount")? })
}

/// A piece of a file for a message: without anything that a terminal obeys, and not long.
fn shown(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str(" ...");
    }
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Payment>, PaymentsError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("payments.csv");
        std::fs::write(&file, text).unwrap();
        read(&file).map(|payments| payments.into_iter().map(|(_, payment)| payment).collect())
    }

    #[test]
    fn a_payment_stands_on_each_line() {
        let payments = read_text("\u{feff}# wages\r\n12,500\r\n\n 7 , 0 \n12,1").unwrap();
        let payment = |to, amount| Payment { to: AccountId(to), amount };
        assert_eq!(payments, [payment(12, 500), payment(7, 0), payment(12, 1)]);
        assert_eq!(read_text(&"1,1\n".repeat(1_000)).unwrap().len(), 1_000);
    }

    #[test]
    fn what_is_no_payment_is_named_with_its_line() {
        for (bad, part) in [
            ("12", "\"12\""),
            ("12;500", "\"12;500\""),
            ("12,500,1", "amount must be a number of digits alone, not \"500,1\""),
            ("12,-1", "amount must be a number of digits alone, not \"-1\""),
            ("a,1", "account (of the chain that pays) must be a number of digits alone, not \"a\""),
            ("12,", "amount must be a number of digits alone, not \"\""),
            ("12,18446744073709551616", "amount \"18446744073709551616\" is too large"),
        ] {
            match read_text(&format!("1,1\n{bad}\n")) {
                Err(PaymentsError::Line { line: 2, problem, .. }) => {
                    assert!(problem.contains(part), "{problem}")
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
        for (text, number) in [("", 0), ("# none\n", 0), (&*"1,1\n".repeat(1_001), 1_001)] {
            assert!(matches!(read_text(text), Err(PaymentsError::Count { count, .. }) if count == number));
        }
        assert!(matches!(read(Path::new("/nowhere/at all")), Err(PaymentsError::Io { .. })));
    }
}
