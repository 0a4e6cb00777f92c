//! The crate `proof` for programs that load WebAssembly: functions of a plain C interface, without imports.
//!
//! ```text
//! room(PROOF, length) ─▶ address ── the caller writes the bytes ─┐
//! room(GENESIS, length) ─▶ address ── the same ──────────────────┴▶ check() ─▶ 1 it holds, 0 it does not
//!                                                 answer(), answer_length() ─▶ what is proved, or what is wrong (UTF-8)
//! ```
//!
//! Invariants: the module asks nothing of its host and keeps nothing but the last bytes and the last answer; it takes
//! no more bytes than a proof and a genesis header can have. `just wasm` builds it into the console.

use std::sync::{Mutex, MutexGuard, PoisonError};

use proof::{GENESIS_HEADER_BYTES_MAX, PROOF_BYTES_MAX};

/// The place of the proof.
pub const PROOF: u32 = 0;
/// The place of the genesis header.
pub const GENESIS: u32 = 1;

/// What the module holds.
struct Held {
    proof: Vec<u8>,
    genesis: Vec<u8>,
    answer: String,
}

static HELD: Mutex<Held> = Mutex::new(Held { proof: Vec::new(), genesis: Vec::new(), answer: String::new() });

fn held() -> MutexGuard<'static, Held> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for so many bytes of [`PROOF`] or [`GENESIS`]: the address to which the caller writes them, before it asks for
/// room again. 0 where there is no such place, or no proof or header has so many bytes.
#[unsafe(no_mangle)]
pub extern "C" fn room(place: u32, length: usize) -> *mut u8 {
    let mut held = held();
    let (bytes, most) = match place {
        PROOF => (&mut held.proof, PROOF_BYTES_MAX),
        GENESIS => (&mut held.genesis, GENESIS_HEADER_BYTES_MAX),
        _ => return std::ptr::null_mut(),
    };
    if length > most {
        return std::ptr::null_mut();
    }
    *bytes = vec![0; length];
    bytes.as_mut_ptr()
}

/// Whether the proof holds: 1, or 0. The answer says what is proved, or what is wrong.
#[unsafe(no_mangle)]
pub extern "C" fn check() -> u32 {
    let mut held = held();
    let checked = proof::verify(&held.proof, &held.genesis);
    let holds = checked.is_ok();
    held.answer = checked.map_or_else(|error| error.to_string(), |statement| statement.to_string());
    holds.into()
}

/// Where the last answer is.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    held().answer.as_ptr()
}

/// How many bytes the last answer has.
#[unsafe(no_mangle)]
pub extern "C" fn answer_length() -> usize {
    held().answer.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_proof_is_said_to_be_none() {
        assert!(room(2, 1).is_null() && room(PROOF, PROOF_BYTES_MAX + 1).is_null());
        assert!(room(GENESIS, GENESIS_HEADER_BYTES_MAX + 1).is_null());
        assert!(!room(PROOF, 100).is_null() && !room(GENESIS, 100).is_null());
        assert_eq!(check(), 0);
        assert!(held().answer.contains("genesis"), "{}", held().answer);
        assert_eq!(answer_length(), held().answer.len());
        assert!(!answer().is_null());
    }
}
