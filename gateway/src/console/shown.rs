//! How values are shown to people. Text that others wrote can neither be markup nor look like something else.

use std::fmt::Write as _;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Characters of a text of others that are shown.
const SHOWN_MAX: usize = 512;
/// Characters at the beginning of a hash that is cut short, and at its end.
const ENDS: (usize, usize) = (8, 6);

/// A text that others wrote, with every character visible: one that is invisible, or changes the direction of the text,
/// is written as its number. The markup escapes the rest.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (count, letter) in text.chars().enumerate() {
        if count == SHOWN_MAX {
            shown.push('…');
            break;
        }
        if is_visible(letter) {
            shown.push(letter);
        } else {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(letter));
        }
    }
    shown
}

/// Whether a reader sees this character. Separators of lines, signs of direction, signs without a width, fillers
/// and tags are not.
fn is_visible(letter: char) -> bool {
    !letter.is_control()
        && !matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{e000}'..='\u{f8ff}')
}

/// A text of others, kept apart from what stands around it.
pub fn foreign(text: &str) -> Markup {
    html! { bdi { (plain(text)) } }
}

/// A whole number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes.
pub fn bytes(number: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (number.max(0.0), 0);
    while number >= 1_024.0 && unit + 1 < UNITS.len() {
        (number, unit) = (number / 1_024.0, unit + 1);
    }
    match unit {
        0 => format!("{number:.0} B"),
        _ => format!("{number:.1} {}", UNITS[unit]),
    }
}

/// A time in microseconds.
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// A time in seconds, in its two largest units.
pub fn seconds(all: u64) -> String {
    let (days, hours, minutes, seconds) = (all / 86_400, all / 3_600 % 24, all / 60 % 60, all % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A rate a second.
pub fn rate(number: f64) -> String {
    if number < 10.0 { format!("{number:.1}") } else { grouped(number.round() as u64) }
}

/// A moment, in milliseconds since 1970, as UTC.
pub fn time(ms: u64) -> Markup {
    let at = i64::try_from(ms / 1_000).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    match at.and_then(|at| at.format(&Rfc3339).ok()) {
        Some(machine) => {
            let day = machine.replace('T', " ").replace('Z', " UTC");
            html! { time datetime=(machine) { (day) } }
        }
        None => html! { (ms) " ms" },
    }
}

/// A hash or a key in hexadecimal, whole.
pub fn hash(text: &str) -> Markup {
    html! { code.hash { (plain(text)) } }
}

/// The two ends of a hash.
pub fn ends(text: &str) -> String {
    let count = text.chars().count();
    if count <= ENDS.0 + ENDS.1 + 1 || !text.is_ascii() {
        return plain(text);
    }
    format!("{}…{}", &text[..ENDS.0], &text[count - ENDS.1..])
}

/// The reference of a transaction from its hexadecimal digits: as text where it is one.
pub fn reference(digits: &str) -> Markup {
    let bytes = hex::decode(digits).unwrap_or_default();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match std::str::from_utf8(&bytes[..end]) {
        Ok("") => html! { "–" },
        Ok(text) => foreign(text),
        Err(_) => hash(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_neither_markup_nor_invisible() {
        let hostile = "<script>alert('x')</script> \"&amp;\u{202e}evil\u{0}\u{7}\n\u{200b}\u{2066}\u{e0041}";
        let shown = foreign(hostile).into_string();
        assert_eq!(
            shown,
            "<bdi>&lt;script&gt;alert('x')&lt;/script&gt; &quot;&amp;amp;\\u{202e}evil\\u{0}\\u{7}\\u{a}\\u{200b}\
             \\u{2066}\\u{e0041}</bdi>"
        );
        assert_eq!(plain("转账 – crème brûlée"), "转账 – crème brûlée");
        assert_eq!(plain(&"x".repeat(10_000)).chars().count(), SHOWN_MAX + 1);
    }

    #[test]
    fn numbers_are_shown_with_their_units() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 1_023.0, 1_536.0, 3e9].map(bytes), ["0 B", "1023 B", "1.5 KiB", "2.8 GiB"]);
        assert_eq!([7, 1_500, 2_000_000].map(micros), ["7 µs", "1.5 ms", "2.00 s"]);
        assert_eq!([7, 61, 3_700, 90_000].map(seconds), ["7 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!([0.04, 9.96, 1_234.5].map(rate), ["0.0", "10.0", "1,235"]);
        let at = time(1_764_525_964_123).into_string();
        assert_eq!(at, "<time datetime=\"2025-11-30T18:06:04Z\">2025-11-30 18:06:04 UTC</time>");
        assert_eq!(time(u64::MAX).into_string(), "18446744073709551615 ms");
        assert_eq!(ends(&"ab".repeat(32)), "abababab…ababab");
        assert_eq!(ends("short"), "short");
    }

    #[test]
    fn a_reference_is_text_where_it_is_one() {
        assert_eq!(reference(&hex::encode(b"rent <b>\0\0\0\0")).into_string(), "<bdi>rent &lt;b&gt;</bdi>");
        assert_eq!(reference(&"00".repeat(12)).into_string(), "–");
        assert!(reference(&"ff".repeat(12)).into_string().contains("ffff"));
        assert!(reference("zz").into_string().contains('–'));
    }
}
