//! Live load: where it comes from, and what is known of it.
//!
//! ```text
//!   Prometheus text ┐
//!   JSON            ┴─ Schedule: fetch, then read ─┐
//!   push to the admin endpoint ─────────── Push ───┼─▶ LoadReport ─▶ LoadBoard ─▶ Load ─▶ steer::load
//!   the probes' own times ──────── ResponseTimes ──┘
//! ```
//!
//! Every source ends as [`LoadReport`](crate::model::feed::LoadReport)s on one scale. A document that does
//! not come or cannot be read is no report: what is known grows old, and whoever uses it sees its age. What
//! loads mean for answers is not known here.

mod board;
mod exposition;
mod fetch;
mod latency;
mod push;
mod reading;
mod reports;
mod schedule;

pub use board::LoadBoard;
pub use fetch::{Fetcher, literal};
pub use push::{BadPush, Push};
pub use schedule::Schedule;
