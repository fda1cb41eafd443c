//! The rows of the table: what is served and asked for in each, and what windrose may cost there.

use crate::figures::Shares;

/// Networks of the small database.
pub(crate) const FEW_NETWORKS: usize = 20_000;
/// Names that are steered.
pub(crate) const STEERED_NAMES: usize = 1000;

/// One kind of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Work {
    /// One zone of 10,000 names
    #[value(name = "10k")]
    Names10k,
    /// One zone of 1,000,000 names
    #[value(name = "1m")]
    Names1m,
    /// 10,000 zones of 10 names each
    #[value(name = "10k-zones")]
    Zones10k,
    /// 1,000 names steered by place and health, 20,000 networks
    Steered,
    /// The same, 900,000 networks
    #[value(name = "steered-900k")]
    Steered900k,
}

/// What a server holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holding {
    /// Zones of names that have an A and an AAAA record each.
    Static { zones: usize, names: usize },
    /// Names steered by a database of so many networks.
    Steered { networks: usize },
}

/// A server, and the part of its cost that windrose may cost at most. Servers without a bar are measured
/// too.
pub(crate) type Bar = (&'static str, Option<f64>);

impl Work {
    /// What it is called in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Names10k => "1 zone x 10,000 names",
            Self::Names1m => "1 zone x 1,000,000 names",
            Self::Zones10k => "10,000 zones x 10 names",
            Self::Steered => "steered, 20,000 networks",
            Self::Steered900k => "steered, 900,000 networks",
        }
    }

    pub(crate) const fn holding(self) -> Holding {
        match self {
            Self::Names10k => Holding::Static { zones: 1, names: 10_000 },
            Self::Names1m => Holding::Static { zones: 1, names: 1_000_000 },
            Self::Zones10k => Holding::Static { zones: 10_000, names: 10 },
            Self::Steered => Holding::Steered { networks: FEW_NETWORKS },
            Self::Steered900k => Holding::Steered { networks: 900_000 },
        }
    }

    /// The servers that it is for, by their names in the peers' bench.
    pub(crate) const fn bars(self) -> &'static [Bar] {
        match self {
            Self::Names10k => &[
                ("echo", Some(1.05)),
                ("gdnsd", Some(0.96)),
                ("nsd", Some(0.72)),
                ("knot", Some(0.72)),
                ("bind", None),
                ("pdns", None),
            ],
            Self::Names1m => &[
                ("echo", Some(1.12)),
                ("gdnsd", Some(0.77)),
                ("nsd", Some(0.46)),
                ("knot", Some(0.51)),
            ],
            Self::Zones10k => &[
                ("echo", Some(1.12)),
                ("gdnsd", Some(0.78)),
                ("nsd", Some(0.50)),
                ("knot", Some(0.50)),
            ],
            Self::Steered => &[
                ("echo", Some(1.08)),
                ("gdnsd", Some(0.88)),
                ("knot", Some(0.65)),
                ("pdns", Some(1.0 / 250.0)),
            ],
            Self::Steered900k => {
                &[("echo", Some(1.12)), ("gdnsd", Some(0.77)), ("knot", Some(0.59))]
            }
        }
    }

    /// The bar for one of them.
    pub(crate) fn bar(self, server: &str) -> Option<f64> {
        self.bars().iter().find(|(name, _)| *name == server).and_then(|(_, most)| *most)
    }

    /// What a server that does this work answers.
    pub(crate) const fn right(self) -> Shares {
        match self.holding() {
            Holding::Static { .. } => Shares { no_error: 0.95, no_such_name: 0.05, records: 0.90 },
            Holding::Steered { .. } => Shares { no_error: 1.0, no_such_name: 0.0, records: 1.0 },
        }
    }
}
