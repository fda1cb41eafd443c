//! Large tables in huge pages.
//!
//! A look into a table of a hundred megabytes misses the translation cache as well as the others, unless
//! its pages are large. The kernel is asked to make them so; that it does not is no error.

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
