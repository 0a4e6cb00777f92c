//! The replay window: which nonces of an account are used up, in 16 bytes.
//!
//! ```text
//!        used or out of reach │ base ....... base+63 │ base+64 ....... base+127 │ too far
//!        Replayed             │ a bit each           │ slides the window        │ NonceTooFar
//! ```
//!
//! After RFC 4303 (IPsec), with the twist that the window slides only as far as it must, so that any order of up to 64
//! outstanding nonces works.

use crate::limits::{NONCE_AHEAD_MAX, REPLAY_WINDOW};

/// The used nonces of an account: everything below `base`, and `base + i` for each bit `i` of `used`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReplayWindow {
    /// The lowest nonce that may still be unused.
    pub base: u64,
    /// Which of the 64 nonces from `base` on are used.
    pub used: u64,
}

/// Why a nonce cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRefusal {
    /// It is used, or has fallen out of the window.
    Replayed,
    /// It is more than [`NONCE_AHEAD_MAX`] above the base.
    TooFar,
}

impl ReplayWindow {
    /// The window after using `nonce`.
    #[inline]
    pub fn with(self, nonce: u64) -> Result<Self, WindowRefusal> {
        let offset = nonce.checked_sub(self.base).ok_or(WindowRefusal::Replayed)?;
        if offset < REPLAY_WINDOW {
            let bit = 1 << offset;
            return if self.used & bit == 0 {
                Ok(Self { base: self.base, used: self.used | bit })
            } else {
                Err(WindowRefusal::Replayed)
            };
        }
        if offset >= NONCE_AHEAD_MAX {
            return Err(WindowRefusal::TooFar);
        }
        // 1 <= slide <= 64; a shift by 64 leaves nothing of the old window.
        let slide = offset - (REPLAY_WINDOW - 1);
        let kept = self.used.checked_shr(slide as u32).unwrap_or(0);
        Ok(Self { base: self.base + slide, used: kept | 1 << (REPLAY_WINDOW - 1) })
    }
}
