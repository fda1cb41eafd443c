//! How rules choose, as tables that read like a manual and as properties of every small world.

mod aliases;
mod depths;
mod draw;
mod jitter;
mod latency;
mod overrides;
mod prefer;
mod select;
mod select_everything;
mod slow_start;
mod velocity;
pub(super) mod world;
