//! A zone of rules over 25 regions.

use std::fmt::Write as _;
use std::sync::Arc;

use windrose::config::{self, ZoneFiles};
use windrose::model::{Coordinates, Report, Zone};

/// Where the regions are.
pub(crate) const REGIONS: [(f64, f64); 25] = [
    (38.9, -77.4),
    (37.4, -122.1),
    (45.8, -119.7),
    (40.0, -83.0),
    (32.8, -96.8),
    (45.5, -73.6),
    (51.0, -114.1),
    (20.6, -100.4),
    (-23.5, -46.6),
    (-33.4, -70.7),
    (53.3, -6.3),
    (51.5, -0.1),
    (48.9, 2.4),
    (50.1, 8.7),
    (59.3, 18.1),
    (45.5, 9.2),
    (40.4, -3.7),
    (25.2, 55.3),
    (-33.9, 18.4),
    (19.1, 72.9),
    (1.35, 103.8),
    (22.3, 114.2),
    (35.7, 139.7),
    (37.6, 127.0),
    (-33.9, 151.2),
];

pub(crate) fn coordinates((latitude, longitude): (f64, f64)) -> Coordinates {
    Coordinates { latitude, longitude }
}

/// The zone; each rule but the first leaves another pool out, so that none has another's classes.
pub(crate) fn zones(rules: usize) -> Vec<Arc<Zone>> {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, &File(text(rules).into()));
    assert!(!report.has_errors(), "{report}");
    zones
}

fn text(rules: usize) -> String {
    let mut text =
        "zone = \"geo.test\"\nnameservers = [\"ns1.example.net.\"]\nttl = \"30s\"\n".to_owned();
    for (n, (latitude, longitude)) in REGIONS.into_iter().enumerate() {
        write!(
            text,
            "[regions.r{n}]\nlocation = [{latitude:?}, {longitude:?}]\n[pools.p{n}]\nregion = \"r{n}\"\n\
             endpoints = [{{ name = \"e1\", address = \"127.1.{n}.1\" }}]\n"
        )
        .expect("a String takes all");
    }
    for rule in 0..rules {
        let pools = (0..REGIONS.len()).filter(|n| n + 1 != rule).map(|n| format!("\"p{n}\""));
        let pools = pools.collect::<Vec<_>>().join(", ");
        write!(text, "[steer.rule{rule}]\npolicy = \"nearest\"\npools = [{pools}]\n")
            .expect("a String takes all");
    }
    text
}

/// A directory of this one file.
struct File(Arc<str>);

impl ZoneFiles for File {
    fn directory(&self) -> &'static str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["geo.test.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(Arc::clone(&self.0))
    }
}
