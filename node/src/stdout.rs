//! Printing to somebody who may have gone, or into a file whose disk may be full. The macros of the standard library
//! panic then. These, which stand in their places in this crate, end the command in order and with words.

use std::any::Any;
use std::fmt::Arguments;
use std::io::{self, Write as _};

/// What a command is unwound with when it can print nothing more.
struct Unprintable(io::Error);

/// A line to standard output.
macro_rules! println {
    () => { $crate::stdout::print(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::stdout::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// A text to standard output.
macro_rules! print {
    ($($argument:tt)*) => { $crate::stdout::print(format_args!($($argument)*)) };
}

/// A line to standard error; where that takes nothing, there is nobody to tell.
macro_rules! eprintln {
    ($($argument:tt)*) => { $crate::stdout::eprint(format_args!("{}\n", format_args!($($argument)*))) };
}

/// A text to standard error, likewise.
macro_rules! eprint {
    ($($argument:tt)*) => { $crate::stdout::eprint(format_args!($($argument)*)) };
}

// The harness of the unit tests catches only what the standard library's own macros print.

pub(crate) fn print(text: Arguments<'_>) {
    if cfg!(test) {
        return std::print!("{text}");
    }
    if let Err(error) = io::stdout().write_fmt(text) {
        // Everything that the command has open is closed on the way, as it is for an error that is returned.
        std::panic::resume_unwind(Box::new(Unprintable(error)));
    }
}

pub(crate) fn eprint(text: Arguments<'_>) {
    if cfg!(test) {
        return std::eprint!("{text}");
    }
    let text = text.to_string();
    // The end of a line that the next one replaces.
    let (line, end) = text.strip_suffix('\r').map_or((&*text, ""), |line| (line, "\r"));
    let _ = io::stderr().write_all(format!("{}{end}", visible(line)).as_bytes());
}

/// A text that quotes what others wrote, such as names of files, with its control characters as their numbers: a
/// terminal obeys them.
#[must_use]
pub fn visible(text: &str) -> String {
    let is_hidden = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_hidden(letter) {
            true => shown.extend(letter.escape_unicode()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Why a command ended that could print nothing more, if it was that what unwound it; else the panic goes on.
#[must_use]
pub fn why_it_ended(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<Unprintable>() {
        Ok(unprintable) => format!("cannot print: {}", unprintable.0),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_no_name() {
        assert_eq!(visible("a\u{1b}[2Jb\r\u{9b}c"), "a\\u{1b}[2Jb\\u{d}\\u{9b}c");
        assert_eq!(visible("two\n\tlines, grün"), "two\n\tlines, grün");
    }
}
