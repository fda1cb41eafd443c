//! Large tables in huge pages, and memory that goes back when it is free.
//!
//! A look into a table of a hundred megabytes misses the translation cache as well as the others, unless
//! its pages are large. The kernel is asked to make them so; that it does not is no error.
//!
//! A load takes a multiple of what stays of it. Large blocks are mappings of their own, which grow without
//! being copied and are gone when they are freed; what small ones leave is given back when it is asked for.

/// Octets of a huge page, on the processors that matter here.
const HUGE_PAGE: usize = 2 << 20;

/// Asks the kernel to back `table` by huge pages, from its first octet to its last whole one. Blocks for
/// the time that copying it takes.
#[expect(unsafe_code, reason = "madvise has no safe interface for memory that is in use")]
pub fn prefer_huge_pages<T>(table: &[T]) {
    // A large table begins a few octets behind the start of a page, where the allocator keeps its notes.
    let start = table.as_ptr().addr() / HUGE_PAGE * HUGE_PAGE;
    let end = table.as_ptr_range().end.addr() / HUGE_PAGE * HUGE_PAGE;
    if start >= end {
        return;
    }
    let at = table.as_ptr().cast_mut().cast::<libc::c_void>().with_addr(start);
    // SAFETY: this advice changes neither what is in memory nor whether it may be accessed, whether it is
    // the table's or what lies in front of it; what is not mapped is an error.
    let _ = unsafe { libc::madvise(at, end - start, libc::MADV_COLLAPSE) };
}

/// Octets from which on a block is a mapping of its own.
const LARGE: libc::c_int = 1 << 20;

/// Has the allocator keep large blocks apart for as long as the process runs. By itself glibc's raises
/// what it calls large up to 32 MiB, as soon as a block of that size is freed.
#[expect(unsafe_code, reason = "mallopt has no safe interface")]
pub fn keep_large_blocks_apart() {
    // SAFETY: the option takes any number, and bears only on what is allocated from here on.
    let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

/// Gives free memory back to the system. Whoever allocates meanwhile may have to wait some milliseconds.
#[expect(unsafe_code, reason = "malloc_trim has no safe interface")]
pub fn give_back() {
    // SAFETY: only what is free is touched, under the allocator's own locks.
    let _ = unsafe { libc::malloc_trim(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_table_stays() {
        let table: Vec<u64> = (0..1 << 20).collect();
        prefer_huge_pages(&table);
        prefer_huge_pages(&table[..3]);
        assert!(table.iter().copied().eq(0..1 << 20));
    }
}
