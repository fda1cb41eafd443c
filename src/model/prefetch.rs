//! A hint that memory will be read soon.
//!
//! Tables larger than the caches cost a hundred nanoseconds a look; asking for the lines of many queries
//! before the first is answered lets them come together. A hint changes nothing but the time it takes.

/// Starts to fetch the cache line of `at`; does nothing on processors that are not known here.
#[inline]
pub(crate) fn prefetch<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "the instruction has no safe name")]
        // SAFETY: a prefetch reads nothing and cannot fault, and this address is even valid.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
