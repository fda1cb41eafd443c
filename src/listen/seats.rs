//! As many connections as may be at one time, and who gives way when there is one more.
//!
//! A full house turns nobody away: whoever has been silent longest has to leave. So connections that
//! only sit there, however many, never keep out those who ask.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Seats for connections.
#[derive(Debug)]
pub(super) struct Seats {
    max: usize,
    /// Counts everything that is heard: a higher number was heard later.
    heard: AtomicU64,
    /// By the number at which each was taken.
    taken: Mutex<HashMap<u64, Arc<Sitter>>>,
}

#[derive(Debug)]
struct Sitter {
    /// When something was heard of it last, as a number of [`Seats::heard`].
    heard: AtomicU64,
    has_to_leave: Notify,
}

/// A seat that was taken; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    sitter: Arc<Sitter>,
}

impl Seats {
    /// So many seats, but one at least.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), heard: AtomicU64::new(0), taken: Mutex::default() }
    }

    /// Takes a seat, from whoever has been silent longest if there is no other.
    pub(super) fn take(self: &Arc<Self>) -> Seat {
        let number = self.next();
        let sitter =
            Arc::new(Sitter { heard: AtomicU64::new(number), has_to_leave: Notify::new() });
        let mut taken = self.taken();
        if taken.len() >= self.max {
            clear_one(&mut taken);
        }
        taken.insert(number, Arc::clone(&sitter));
        Seat { seats: Arc::clone(self), number, sitter }
    }

    /// Sends away whoever has been silent longest.
    pub(super) fn clear_one(&self) {
        clear_one(&mut self.taken());
    }

    fn next(&self) -> u64 {
        self.heard.fetch_add(1, Ordering::Relaxed)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Sitter>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clear_one(taken: &mut HashMap<u64, Arc<Sitter>>) {
    let silent = taken.iter().min_by_key(|(_, sitter)| sitter.heard.load(Ordering::Relaxed));
    let Some(number) = silent.map(|(number, _)| *number) else { return };
    if let Some(sitter) = taken.remove(&number) {
        sitter.has_to_leave.notify_one();
    }
}

impl Seat {
    /// Notes that something was heard.
    pub(super) fn heard(&self) {
        self.sitter.heard.store(self.seats.next(), Ordering::Relaxed);
    }

    /// Returns when somebody else has got the seat.
    pub(super) async fn lost(&self) {
        self.sitter.has_to_leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_lost(seat: &Seat) -> bool {
        pin!(seat.lost()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn whoever_has_been_silent_longest_gives_way() {
        let seats = Arc::new(Seats::new(2));
        let (first, second) = (seats.take(), seats.take());
        first.heard();
        let third = seats.take();
        assert!(is_lost(&second), "the first has spoken since");
        assert!(!is_lost(&first) && !is_lost(&third));
    }

    #[test]
    fn a_seat_that_was_left_is_free_again() {
        let seats = Arc::new(Seats::new(2));
        let first = seats.take();
        drop(seats.take());
        let third = seats.take();
        assert!(!is_lost(&first) && !is_lost(&third));
        seats.clear_one();
        assert!(is_lost(&first));
        drop(first);
        assert_eq!(seats.taken().len(), 1);
    }
}
