//! How much memory a piece of work allocates at most: the allocator counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator with the arguments as they came; the counters touch no memory of
// the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, and it is handed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `alloc` above, hence from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// From here on.
pub(crate) struct Peak(usize);

/// Starts to look. One thread at a time: the counters are those of the process.
pub(crate) fn peak() -> Peak {
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    Peak(live)
}

impl Peak {
    /// The most bytes that were allocated at a time since, beside those that were there before.
    pub(crate) fn so_far(&self) -> usize {
        PEAK.load(Relaxed).saturating_sub(self.0)
    }
}
