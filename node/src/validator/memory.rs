//! Memory that was freed stays with the process for a while.
//!
//! Each checkpoint copies the accounts that change while it is written, and frees the copies: up to 120 MB with a
//! million accounts. Given back to the system at once, they come back as pages of zeros, and each of them is waited
//! for. Where several validators share a machine and take a checkpoint at one height, that was what payments waited for
//! longest.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// `mi_option_purge_delay`, which the bindings leave out. A test looks whether it is still that one.
const OPTION_PURGE_DELAY: mi_option_t = 15;

/// How long freed memory stays, in milliseconds: several checkpoints at full load. A validator with nothing to do gives
/// back what it has.
const PURGE_DELAY_MS: std::ffi::c_long = 60_000;

/// Has the allocator keep what is freed for a minute, unless `MIMALLOC_PURGE_DELAY` says otherwise.
pub fn delay_purge() {
    // SAFETY: the call stores a number in the table of options, which is as long as the allocator's own enumeration;
    // the allocator reads it when it next frees something. It may be called at any time.
    unsafe { mi_option_set_default(OPTION_PURGE_DELAY, PURGE_DELAY_MS) };
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::*;

    #[test]
    fn purge_delay_has_the_number_of_the_bindings() {
        // SAFETY: as above; this one reads.
        let delay = || unsafe { mi_option_get(OPTION_PURGE_DELAY) };
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(delay(), 1_000, "the default of mimalloc 3: has it another number now?");
            delay_purge();
            assert_eq!(delay(), PURGE_DELAY_MS);
        }
    }
}
