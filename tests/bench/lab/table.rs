//! What is printed.

use std::fmt;
use std::time::Duration;

/// What a part of the lab came to.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) told: String,
    /// What must be, where that is said anywhere.
    pub(crate) bar: Option<String>,
    pub(crate) is_met: bool,
}

impl Row {
    pub(crate) fn print(&self) {
        let Self { what, told, bar, is_met } = self;
        let met = match (bar, is_met) {
            (Some(bar), true) => format!("  [{bar}: met]"),
            (Some(bar), false) => format!("  [{bar}: MISSED]"),
            (None, _) => String::new(),
        };
        println!("{what:<28} {told}{met}");
    }
}

/// What times must not exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// The 99th of a hundred.
    P99(Duration),
    /// Any of them.
    Max(Duration),
}

impl Bar {
    pub(crate) fn is_met(self, sorted: &[Duration]) -> bool {
        match self {
            Self::P99(max) => at(sorted, 99) <= max,
            Self::Max(max) => at(sorted, 100) <= max,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P99(max) => write!(f, "p99 at most {:.1} s", max.as_secs_f64()),
            Self::Max(max) => write!(f, "at most {:.1} s", max.as_secs_f64()),
        }
    }
}

/// The time that so many of a hundred do not exceed.
pub(crate) fn at(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Times in a few figures.
pub(crate) fn at_most(sorted: &[Duration]) -> String {
    let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| at(sorted, percent).as_secs_f64());
    format!("p50 {p50:.1} s, p95 {p95:.1} s, p99 {p99:.1} s, max {max:.1} s")
}
