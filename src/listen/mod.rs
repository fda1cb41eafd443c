//! The mouths: sockets in, [`dns::handle`](crate::dns::handle), sockets out.
//!
//! UDP has threads of its own, TCP runs on tokio, TLS, HTTPS and QUIC run on hickory-server. None decides
//! anything. All load the snapshot anew for every batch, so a swap is seen at the next one.

pub mod certificate;
pub mod encrypted;
mod reply;
mod seats;
pub mod socket;
pub mod tcp;
pub mod udp;
mod udp_batch;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::snapshot::Snapshot;

/// Where every mouth finds the snapshot, and where it is swapped.
pub type Current = Arc<ArcSwap<Snapshot>>;
