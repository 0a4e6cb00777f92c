//! Text for people: aligned rows, numbers with commas. JSON for programs.

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

/// How a command that is printed names a network, with a blank before it; nothing where there is none.
pub(crate) fn on_network(directory: Option<&std::path::Path>) -> String {
    directory.map_or_else(String::new, |directory| format!(" --network {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
