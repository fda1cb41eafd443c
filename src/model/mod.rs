//! L0: the nouns.
//!
//! Plain data that parses and prints itself. Nothing here reads a clock, a file or a socket, and
//! nothing here decides: deciding is what the layers above do with these types.

pub mod address;
pub mod alias;
pub mod check;
pub mod diagnostic;
pub mod feed;
pub mod form;
pub mod formula;
pub mod health;
pub mod ids;
pub(crate) mod image;
pub mod json_path;
pub mod limits;
pub mod location;
pub mod name;
pub mod names;
pub mod overrides;
pub(crate) mod prefetch;
pub mod reach;
pub mod record;
pub mod target_key;
pub mod time;
pub mod topology;

pub use address::{ClientSubnet, Prefix};
pub use alias::{AliasHealth, Aliases, Found};
pub use check::{Check, CheckKind, CheckSpec, Target, TargetHost};
pub use diagnostic::{Diagnostic, Report, Severity, SourceId, Sources, Span};
pub use feed::{Feed, FeedSpec, FeedTarget, Load, Utilisation};
pub use form::Form;
pub use health::{EndpointHealth, FailureReason, Observation, TargetHealth, Transition, Verdict};
pub use ids::{CheckId, EndpointId, FeedId, PoolId, RegionId, SteerId};
pub use limits::Limits;
pub use location::{Continent, Coordinates, Country, Location, Subdivision};
pub use name::Name;
pub use names::ZoneNames;
pub use overrides::{Override, OverrideKind, Overrides, Said, Subject};
pub use reach::{DownFrom, Reach, RegionKey, RoundTrips};
pub use record::{Record, RecordClass, RecordType};
pub use target_key::TargetId;
pub use time::{Time, whole_millis, whole_nanos};
pub use topology::{Endpoint, Pool, Region, Steer, Zone};
