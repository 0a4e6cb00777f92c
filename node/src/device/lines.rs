//! What validator and child say to each other beside the shared memory: a line of JSON each.

use std::io::{self, BufRead, Read as _, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of a line at most: the words of a driver, cut.
const LINE_BYTES_MAX: u64 = 4096;
/// Bytes of a driver's words that are handed on.
const WORDS_BYTES_MAX: usize = 1024;

/// Which batch: a slot, and how often a slot was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Which {
    pub(super) slot: usize,
    pub(super) generation: u64,
}

/// To the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub(super) enum ToChild {
    /// A slot holds a batch.
    Check(Which),
}

/// From the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub(super) enum FromChild {
    /// It has a device, and the double check is compiled.
    Ready {
        /// What it is.
        device: String,
        /// How many signatures a batch may have.
        claims: usize,
    },
    /// It has none, and ends.
    Unusable { why: String },
    /// The slot holds opinions.
    Settled(Which),
    /// There are no opinions on the batch. If the device is lost, the child ends.
    Failed { which: Which, why: String },
    /// The device was caught with a wrong verdict.
    Distrusted { which: Which, why: String },
}

impl FromChild {
    /// Words that fit into a line and a log, whatever a driver says. Both sides see to it.
    pub(super) fn words(words: impl ToString) -> String {
        let mut words = words.to_string().replace(char::is_control, " ");
        let mut end = WORDS_BYTES_MAX.min(words.len());
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        words.truncate(end);
        words
    }
}

/// Says something, in one write.
pub(super) fn say(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Hears the next line. `None` if the other side is gone.
pub(super) fn hear<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_heard_as_it_was_said() {
        let which = Which { slot: 3, generation: 77 };
        let words = [
            FromChild::Ready { device: "llvmpipe \"x\"".into(), claims: 100 },
            FromChild::Settled(which),
            FromChild::Failed { which, why: FromChild::words("lost\nand gone") },
            FromChild::Distrusted { which, why: String::new() },
        ];
        let mut wire = Vec::new();
        words.iter().for_each(|word| say(&mut wire, word).unwrap());
        let mut wire = wire.as_slice();
        for word in words {
            assert_eq!(hear::<FromChild>(&mut wire).unwrap(), Some(word));
        }
        assert_eq!(hear::<FromChild>(&mut wire).unwrap(), None);
    }

    #[test]
    fn nonsense_is_an_error_and_not_read_without_end() {
        for nonsense in ["pong\n", "{}\n", "{\"says\":\"settled\"}\n", "{\"says\":\"ready\",\"device\":\"x\""]
        {
            assert!(hear::<FromChild>(&mut nonsense.as_bytes()).is_err(), "{nonsense}");
        }
        let mut endless = io::BufReader::new(io::repeat(b'a'));
        assert!(hear::<FromChild>(&mut endless).is_err());
    }

    #[test]
    fn a_drivers_words_fit_into_a_line() {
        let words = FromChild::words("ü\u{1b}[31m\"".repeat(5000));
        assert!(words.len() <= WORDS_BYTES_MAX && !words.contains('\u{1b}'));
        let mut line = Vec::new();
        say(&mut line, &FromChild::Unusable { why: words }).unwrap();
        assert!(line.len() as u64 <= LINE_BYTES_MAX);
    }
}
