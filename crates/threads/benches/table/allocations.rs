//! An allocator that counts, when it is told to.
//!
//! Counting is off while time is measured. What is left of it then is the load of a flag that
//! nobody writes, the same for every contender.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Counts from now on, in all threads, until the process ends.
pub(crate) fn start() {
    ON.store(true, Ordering::Relaxed);
}

pub(crate) fn counting() -> bool {
    ON.load(Ordering::Relaxed)
}

/// How many allocations there have been; one that grows is one more.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

#[inline]
fn note() {
    if counting() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note();
        // SAFETY: `memory` came from `System`; the rest is the caller's promise.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `System`, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}
