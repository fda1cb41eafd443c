//! The end of a node, as those who serve hear of it.
//!
//! Said once by a [`Stopper`] and never taken back. What each does about it is its own affair.

use tokio::sync::watch;

/// Says that the node ends.
#[derive(Debug, Default)]
pub struct Stopper(watch::Sender<bool>);

/// Hears that the node ends.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// Says it, to all who listen now or later.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Somebody who hears it.
    #[must_use]
    pub fn listen(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    /// Returns when it has been said, or nobody is left to say it. May be dropped and called again.
    pub async fn come(&mut self) {
        let _ = self.0.wait_for(|is_said| *is_said).await;
    }
}
