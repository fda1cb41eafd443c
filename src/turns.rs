//! Short turns on a processor, so that answers do not wait behind work that takes long.
//!
//! A thread that has a packet to answer and finds every processor taken waits until somebody's turn is
//! over: some three milliseconds where answers are compiled beside, which is longer than all else that an
//! answer takes. Linux, from 6.12 on, lets a thread ask for shorter turns; in exchange it comes to its
//! turn sooner. Where the kernel looks after turns only when its own clock ticks, that does not help;
//! but whoever compiles can [give way](breathe) by itself. Shares of processors stay what they are.
//!
//! Where there are processors to spare, a work of many parts is done [side by side](side_by_side).

use std::cell::Cell;
use std::io;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Time;

/// How long a thread works before it gives way.
const WORK: Duration = Duration::from_micros(500);

thread_local! {
    /// When the thread last gave way.
    static SINCE: Cell<Time> = const { Cell::new(Time::ZERO) };
}

/// Lets others have the processor if the calling thread has not done so for long. To be called often.
pub fn breathe(clock: Clock) {
    let since = SINCE.get();
    if clock.now().since(since) >= WORK {
        thread::yield_now();
        SINCE.set(clock.now());
    }
}

/// Does so many parts of a work, each on a thread of its own, and returns when all are done.
///
/// # Panics
/// When one of them does.
pub fn side_by_side(parts: usize, part: &(dyn Fn(usize) + Sync + '_)) {
    thread::scope(|scope| {
        for other in 1..parts {
            scope.spawn(move || part(other));
        }
        if parts > 0 {
            part(0);
        }
    });
}

/// The shortest turn that the kernel grants.
const TURN: Duration = Duration::from_micros(100);

/// Asks for short turns for the calling thread. An older kernel hears that and goes on as before.
///
/// # Errors
/// When the kernel does not let it, as in some sandboxes.
#[expect(unsafe_code, reason = "the two calls have no safe interface")]
pub fn ask_for_short_turns() -> io::Result<()> {
    // SAFETY: zeros are numbers like others.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes at most `size` octets, which is how many there are.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.sched_runtime = u64::try_from(TURN.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads the octets that `size` in it tells.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn each_part_is_done_once() {
        for parts in [0, 1, 5] {
            let done: [AtomicU32; 5] = Default::default();
            side_by_side(parts, &|part| _ = done[part].fetch_add(1, Ordering::Relaxed));
            let done = done.map(AtomicU32::into_inner);
            assert_eq!(done, std::array::from_fn(|part| u32::from(part < parts)));
        }
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_beside_is_not_lost() {
        side_by_side(2, &|part| assert_eq!(part, 0));
    }

    #[test]
    fn turns_can_be_asked_for() {
        ask_for_short_turns().unwrap();
    }
}
