//! Server and zone files: what broken ones are told, and what good ones mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use windrose::config::{self, ServerConfig, ZoneFiles};
use windrose::model::{Report, Zone};

/// A zone directory in memory.
struct Files(BTreeMap<String, String>);

impl Files {
    fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.map(|(name, text)| (name.to_owned(), text.to_owned())).into())
    }
}

impl ZoneFiles for Files {
    fn directory(&self) -> &str {
        "zones"
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let text = self.0.get(name).ok_or("no such file")?;
        Ok(text.as_str().into())
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn server(path: &str, text: &str) -> (Report, Option<ServerConfig>) {
    let mut report = Report::new();
    let source = report.add_source(path, text);
    let config = config::read_server(&mut report, source);
    (report, config)
}

fn zones(files: &Files) -> (Report, Vec<Zone>) {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, files);
    (report, zones)
}

/// The one zone of a directory without faults.
fn sound_zone(files: &Files) -> Zone {
    let (report, mut zones) = zones(files);
    assert_eq!(report.to_string(), "");
    assert_eq!(zones.len(), 1);
    zones.remove(0)
}

#[test]
fn broken_server_files_are_told_everything_at_once() {
    insta::glob!("../data", "broken-server-*.toml", |path| {
        let (report, config) = server("windrose.toml", &read(path));
        assert_eq!(config, None);
        insta::assert_snapshot!(report);
    });
}

#[test]
fn broken_zone_files_are_told_everything_at_once() {
    insta::glob!("../data", "broken-zone-*.toml", |path| {
        let text = read(path);
        let (report, zones) = zones(&Files::of([("example.com.toml", &text)]));
        assert_eq!(zones.is_empty(), report.has_errors());
        insta::assert_snapshot!(report);
    });
}
