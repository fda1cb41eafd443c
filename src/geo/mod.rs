//! L1: where a client is, and what follows from it.
//!
//! Databases (MMDB files as bytes) become an [`Atlas`]; an atlas, the operator's subnets and a rule's
//! preference become a [`ClassMap`], which is all that a query looks at. Nothing here reads a file or
//! a clock, and nothing here knows what a class means: that is the rule's business.
//!
//! ```text
//! bytes ─▶ database ─▶ atlas ─┐                       a query's subnet
//!                 centroid ───┤                              │
//!              normalise ─────┼─▶ class_map::compile ─▶ class_map::find ─▶ class, scope
//!   a rule's subnets, ASNs ───┤          ▲
//!                             └─ classify(place), which may ask distance
//! ```

pub mod atlas;
pub mod centroid;
mod centroids;
pub mod class_map;
pub mod database;
pub mod distance;
mod locations;
mod networks;
pub mod normalise;
mod packed;
mod ranges;
mod row;
mod tree;
pub mod writer;

pub use atlas::{Atlas, Located};
pub use class_map::{ClassId, ClassMap, ClassMapError, Hit, Place};
pub use database::{Database, DatabaseError, DatabaseInfo};
