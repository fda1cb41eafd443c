//! The way between a member and its engine: two channels, and nothing else.
//!
//! What goes through is full state or asked for by name, so whatever is lost, doubled or late is made good by
//! what follows. A broker stands at the far end, or in tests anything that passes on what it gets.

use tokio::sync::mpsc;

/// What waits to be sent or heard; a member that is behind by more is stale anyway.
const WAITING: usize = 4096;

/// What a member gives to the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToEngine {
    /// A frame of votes, or a call, to everybody.
    Frame(Vec<u8>),
    /// To be kept, each under its key and in the place of what is kept there; one after the other, and none after
    /// one that is not.
    Put(Vec<(String, Vec<u8>)>),
    /// Wanted: what is kept under a key.
    Get(String),
}

/// What the engine gives to a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromEngine {
    /// A frame of votes, or a call, of anybody.
    Frame(Vec<u8>),
    /// What is kept under a key: because it is new, because all is told, or since somebody asked.
    Entry {
        /// The key.
        key: String,
        /// What is kept; nothing when there is no such key.
        value: Option<Vec<u8>>,
    },
    /// All that is kept is told from now on. Whatever was told before may be kept no more: somebody may have dropped
    /// the bucket while the connection stood.
    Telling,
    /// All that is kept has been told.
    Synced,
    /// The connection stands, or does not any more.
    Connected(bool),
}

/// A member's end.
#[derive(Debug)]
pub struct Pipe {
    /// To the engine.
    pub out: mpsc::Sender<ToEngine>,
    /// From it.
    pub incoming: mpsc::Receiver<FromEngine>,
}

/// The engine's end.
#[derive(Debug)]
pub struct FarEnd {
    /// From the member.
    pub out: mpsc::Receiver<ToEngine>,
    /// To it.
    pub incoming: mpsc::Sender<FromEngine>,
}

/// Both ends of a new pipe.
#[must_use]
pub fn pipe() -> (Pipe, FarEnd) {
    let (out, from_member) = mpsc::channel(WAITING);
    let (to_member, incoming) = mpsc::channel(WAITING);
    (Pipe { out, incoming }, FarEnd { out: from_member, incoming: to_member })
}
