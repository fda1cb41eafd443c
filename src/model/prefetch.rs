//! A hint that memory will be read soon.
//!
//! Tables larger than the caches cost a hundred nanoseconds a look; asking for the lines of many queries
//! before the first is answered lets them come together. A hint changes nothing but the time it takes.

/// Octets of a cache line, on the processors that matter here.
const LINE_OCTETS: usize = 64;

/// Starts to fetch the cache line of `at`; does nothing on processors that are not known here.
#[inline]
pub(crate) fn prefetch<T>(at: &T) {
    fetch_line(std::ptr::from_ref(at).cast());
}

/// The same for every line that `what` lies in.
#[inline]
pub(crate) fn prefetch_whole<T>(what: &T) {
    let start = std::ptr::from_ref(what).cast::<u8>();
    (0..size_of::<T>()).step_by(LINE_OCTETS).for_each(|at| fetch_line(start.wrapping_add(at)));
    // It may begin within a line, and so reach into one more.
    fetch_line(start.wrapping_add(size_of::<T>().saturating_sub(1)));
}

#[inline]
fn fetch_line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "the instruction has no safe name")]
        // SAFETY: a prefetch reads nothing and cannot fault, and this address is even valid.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
