//! What the results of probes mean.
//!
//! A [`Tracker`] turns the results that one vantage has of one target into a vote. The [`Board`]
//! holds a tracker for every target in use, turns votes into verdicts and says which of them moved.
//! With others, in a [`fleet`], a verdict is what a quorum of votes comes to.
//! Nothing here reads a clock, makes a probe or logs: `probe` makes observations, `intake` brings
//! them here and acts on what comes back.

mod board;
mod damping;
pub mod fleet;
mod speed;
mod tracker;
mod vantage;

pub use board::{Board, CalculatedStatus, Observed, Recounted, Remembered, TargetStatus};
pub use tracker::{Cause, Change, Tracker};
pub use vantage::{Impairment, SelfState};
