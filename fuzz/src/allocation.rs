//! How much memory a piece of work allocates at most: the allocator counts, for each thread by itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Bytes that a thread has allocated and not freed, and the most that they have been. What another thread frees counts
/// there, so the first may be below zero.
#[derive(Clone, Copy)]
struct Count {
    live: isize,
    peak: isize,
}

thread_local! {
    // Without a destructor and made without allocating, so the allocator may use it at any time.
    static COUNT: Cell<Count> = const { Cell::new(Count { live: 0, peak: 0 }) };
}

fn count(bytes: isize) {
    COUNT.with(|count| {
        let Count { live, peak } = count.get();
        let live = live.wrapping_add(bytes);
        count.set(Count { live, peak: peak.max(live) });
    });
}

struct Counting;

// SAFETY: every call goes to the system's allocator with the arguments as they came; the counters touch no memory of
// the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`, and it is handed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the pointer came from `alloc` above, hence from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// From here on, on this thread.
pub(crate) struct Peak(isize);

/// Starts to look. One piece of work at a time on each thread.
pub(crate) fn peak() -> Peak {
    COUNT.with(|count| {
        let live = count.get().live;
        count.set(Count { live, peak: live });
        Peak(live)
    })
}

impl Peak {
    /// The most bytes that were allocated at a time since, beside those that were there before.
    pub(crate) fn so_far(&self) -> usize {
        COUNT.with(|count| usize::try_from(count.get().peak - self.0).unwrap_or(0))
    }
}
