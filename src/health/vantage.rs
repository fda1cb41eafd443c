//! What a vantage holds of itself.
//!
//! A vantage that is ill sees ill targets everywhere. So it watches itself, too.

use std::fmt;

/// Whether a vantage may be believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SelfState {
    /// It may.
    #[default]
    Fine,
    /// It may not: what it says against targets does not count, neither here nor elsewhere.
    Impaired(Impairment),
}

/// Why a vantage does not trust itself. Prints as a fragment for the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Impairment {
    /// Too few of its anchors answer: it is cut off itself.
    Isolated,
    /// Its probes start late: the machine is overloaded, or was asleep.
    Late,
    /// It cannot make its probes: no descriptors, no ports, no routes.
    Starved,
    /// So many targets went down for it at once that it believes itself to be the reason, and the
    /// others do not say the same.
    MassChange,
    /// Its clock was set.
    ClockStep,
}

impl SelfState {
    /// Whether it may not be believed.
    #[must_use]
    pub const fn is_impaired(self) -> bool {
        matches!(self, Self::Impaired(_))
    }

    /// Why it may not be believed, if so.
    #[must_use]
    pub const fn impairment(self) -> Option<Impairment> {
        match self {
            Self::Fine => None,
            Self::Impaired(why) => Some(why),
        }
    }
}

impl Impairment {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Isolated, Self::Late, Self::Starved, Self::MassChange, Self::ClockStep];

    /// The word in status, metrics and frames.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Late => "late",
            Self::Starved => "starved",
            Self::MassChange => "mass-change",
            Self::ClockStep => "clock-step",
        }
    }
}

impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Isolated => "too few of its anchors answer",
            Self::Late => "its probes start late",
            Self::Starved => "it cannot make its probes",
            Self::MassChange => "too many targets went down for it alone",
            Self::ClockStep => "its clock was set",
        })
    }
}

impl fmt::Display for SelfState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine => f.write_str("fine"),
            Self::Impaired(why) => write!(f, "impaired: {why}"),
        }
    }
}
