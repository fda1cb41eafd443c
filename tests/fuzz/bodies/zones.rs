//! A zone directory in memory, what is compiled from it, and what must hold of every report.

use std::sync::Arc;
use std::time::Duration;

use windrose::config::ZoneFiles;
use windrose::geo::Atlas;
use windrose::model::{Report, Severity, TargetHealth, Time, Verdict, Zone};
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

/// Names and texts of its files.
pub(super) struct Files<'a>(pub(super) &'a [(&'a str, &'a str)]);

impl ZoneFiles for Files<'_> {
    fn directory(&self) -> &str {
        "zones"
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let file = self.0.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| (*text).into()).ok_or_else(|| "no such file".to_owned())
    }
}

/// The zones as they are served while every target is down. What has no check is up, so that there is some
/// of both.
pub(super) fn compile(zones: Vec<Arc<Zone>>) -> Snapshot {
    let down = TargetHealth {
        verdict: Verdict::Down,
        since: Time::ZERO,
        next_change: Duration::from_secs(20),
        agreed_by: 1,
        is_answering: false,
    };
    let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
    let of_target = |_: &windrose::model::Target| down;
    let conditions = Conditions::new(Time::ZERO, &of_target);
    Snapshot::compile(blueprint, 1, &conditions).expect("a small zone fits")
}

/// Every place is one of its text, and every finding can be printed.
pub(super) fn judge_report(report: &Report) {
    for diagnostic in report.diagnostics() {
        assert!(!diagnostic.message.is_empty());
        for (span, _) in &diagnostic.labels {
            let text = report.text(span.source);
            let place = span.start as usize..span.end as usize;
            assert!(text.get(place.clone()).is_some(), "{place:?}: {diagnostic:?}");
        }
    }
    let printed = report.to_string();
    let count = |word| printed.lines().filter(|line| line.starts_with(word)).count();
    assert!(count("error: ") >= report.count(Severity::Error), "{printed}");
    assert!(count("warning: ") >= report.count(Severity::Warning), "{printed}");
}
