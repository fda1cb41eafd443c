//! Large tables in huge pages, and memory that goes back when it is free.
//!
//! A look into a table of a hundred megabytes misses the translation cache as well as the others, unless
//! its pages are large. The kernel is asked to make them so; that it does not is no error.
//!
//! A load takes a multiple of what stays of it. Large blocks are mappings of their own, which grow without
//! being copied and are gone when they are freed; what small ones leave is given back when it is asked for.
//!
//! When a region fails, answers of thousands of rules are compiled anew, in hundreds of thousands of small blocks.
//! glibc's allocator takes a third of that time and more, since it joins what was freed and cuts it up again; so
//! small ones are mimalloc's.

use std::alloc::{GlobalAlloc, Layout, System};

use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

/// The allocator of a program that serves: large blocks are the system's, all others mimalloc's.
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

/// Octets from which on a block is large: a mapping of its own.
const LARGE: usize = 1 << 20;

const fn is_large(size: usize) -> bool {
    size >= LARGE
}

#[expect(unsafe_code, reason = "an allocator has no safe interface")]
// SAFETY: each block goes back to the allocator that gave it, for its size tells which that was.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if is_large(layout.size()) {
                in_huge_pages(System.alloc(layout), layout.size())
            } else {
                MiMalloc.alloc(layout)
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if is_large(layout.size()) {
                in_huge_pages(System.alloc_zeroed(layout), layout.size())
            } else {
                MiMalloc.alloc_zeroed(layout)
            }
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on, and the size is that with which it was taken.
        unsafe {
            if is_large(layout.size()) {
                System.dealloc(at, layout);
            } else {
                MiMalloc.dealloc(at, layout);
            }
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is passed on; a block that changes hands is copied as far as both
        // go, and freed only when there is another.
        unsafe {
            match (is_large(layout.size()), is_large(size)) {
                (true, true) => in_huge_pages(System.realloc(at, layout, size), size),
                (false, false) => MiMalloc.realloc(at, layout, size),
                _ => {
                    let other = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !other.is_null() {
                        at.copy_to_nonoverlapping(other, size.min(layout.size()));
                        self.dealloc(at, layout);
                    }
                    other
                }
            }
        }
    }
}

/// Octets of a huge page, on the processors that matter here.
const HUGE_PAGE: usize = 2 << 20;
/// Octets of any page.
const PAGE: usize = 4096;

/// Asks the kernel to back a new block by huge pages as it is filled, where some lie in it whole.
#[expect(unsafe_code, reason = "madvise has no safe interface for memory that others manage")]
fn in_huge_pages(block: *mut u8, size: usize) -> *mut u8 {
    if size < 2 * HUGE_PAGE || block.is_null() {
        return block;
    }
    // All of the mapping, so that it stays one.
    let start = block.addr() / PAGE * PAGE;
    let len = (block.addr() + size).next_multiple_of(PAGE) - start;
    let at = block.with_addr(start).cast::<libc::c_void>();
    // SAFETY: this advice changes neither what is in memory nor whether it may be accessed.
    let _ = unsafe { libc::madvise(at, len, libc::MADV_HUGEPAGE) };
    block
}

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

/// mimalloc's `mi_option_purge_delay`, which has no name here: after how many milliseconds free memory goes back.
const PURGE_DELAY: mi_option_t = 15;
/// Longer than anybody waits.
const AN_HOUR_MILLIS: libc::c_long = 3_600_000;

/// Sets both allocators up for as long as the process runs.
///
/// By itself glibc's raises what it calls large up to 32 MiB, as soon as a block of that size is freed. mimalloc
/// gives memory back some seconds after it was freed, and the next answers that are compiled meet a page fault for
/// each page of it; here it waits until it is [asked](give_back).
#[expect(unsafe_code, reason = "mallopt and mi_option_set have no safe interface")]
pub fn set_up() {
    let large = libc::c_int::try_from(LARGE).unwrap_or(libc::c_int::MAX);
    // SAFETY: both take any number, and bear only on what is allocated or freed from here on.
    unsafe {
        let _ = libc::mallopt(libc::M_MMAP_THRESHOLD, large);
        mi_option_set(PURGE_DELAY, AN_HOUR_MILLIS);
    }
}

/// Gives free memory back to the system. Whoever allocates meanwhile may have to wait some milliseconds.
#[expect(unsafe_code, reason = "malloc_trim and mi_collect have no safe interface")]
pub fn give_back() {
    // SAFETY: only what is free is touched, under the allocators' own locks.
    unsafe {
        libc::malloc_trim(0);
        mi_collect(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "an allocator has no safe interface")]
    fn blocks_keep_what_is_in_them_as_they_grow_and_shrink() {
        let sizes = [1, 100, LARGE - 1, LARGE, 3 * LARGE, LARGE, LARGE - 1, 7];
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: what is taken is written and read within its size, and freed once.
        unsafe {
            let mut block = Allocator.alloc(layout(sizes[0]));
            block.write(42);
            for (before, after) in sizes.iter().zip(&sizes[1..]) {
                block = Allocator.realloc(block, layout(*before), *after);
                assert_eq!(block.read(), 42, "from {before} to {after}");
                block.add(after - 1).write(42);
                assert_eq!(block.addr() % 8, 0);
            }
            Allocator.dealloc(block, layout(7));
            for size in [64, LARGE] {
                let block = Allocator.alloc_zeroed(layout(size));
                assert_eq!((block.read(), block.add(size - 1).read()), (0, 0));
                Allocator.dealloc(block, layout(size));
            }
        }
    }

    #[test]
    fn what_is_in_a_table_stays() {
        let table: Vec<u64> = (0..1 << 20).collect();
        prefer_huge_pages(&table);
        prefer_huge_pages(&table[..3]);
        assert!(table.iter().copied().eq(0..1 << 20));
    }
}
