//! Asking the processor for memory that will be needed soon.

/// How many packets ahead the lines of accounts are asked for: at 50 ns a transfer this covers a miss to memory.
pub(crate) const PREFETCH_AHEAD: usize = 8;

/// Asks for the cache line in which a value begins. Where that cannot be asked for, nothing happens.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch of any address has no effect but on the cache; this one is
        // that of a value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
