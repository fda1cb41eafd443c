//! What the results of probes mean.
//!
//! A [`Tracker`] turns the results that one vantage has of one target into a vote. The [`Board`]
//! holds a tracker for every target in use, turns votes into verdicts and says which of them moved.
//! With others, in a [`fleet`], a verdict is what a quorum of votes comes to. A [`SelfWatch`] says when what
//! is seen here is not to be believed, a [`Survey`] how far away regions are from here.
//! Nothing here reads a clock, makes a probe or logs: `probe` makes observations, `intake` brings
//! them here and acts on what comes back.

mod board;
mod damping;
pub mod fleet;
mod self_watch;
mod speed;
mod survey;
mod tracker;
mod vantage;

pub use board::{
    Board, CalculatedStatus, Observed, Recount, Recounted, Remembered, TargetStatus, Turn,
};
pub use self_watch::{AT_ONCE, Falls, LOOK, SelfWatch, Signs};
pub use survey::Survey;
pub use tracker::{Cause, Change, Tracker};
pub use vantage::{Impairment, SelfState};
