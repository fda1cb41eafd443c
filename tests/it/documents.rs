//! The examples of the documents are true: each is loaded as it stands.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use windrose::config::{self, ZoneFiles};
use windrose::model::Report;
use windrose::model::topology::Policy;

/// One zone file.
struct OneFile(Arc<str>);

impl ZoneFiles for OneFile {
    fn directory(&self) -> &'static str {
        "zones/"
    }

    fn names(&self) -> Vec<String> {
        vec!["example.com.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(Arc::clone(&self.0))
    }
}

/// The blocks of TOML in a document.
fn blocks(text: &str) -> Vec<&str> {
    let parts = text.split("```toml\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn every_example_of_the_steering_reference_loads_without_a_finding() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/steering.md");
    let text = fs::read_to_string(path).unwrap();
    let blocks = blocks(&text);
    let (head, examples) = blocks.split_first().unwrap();
    for (word, policy) in Policy::WORDS {
        let mut lines = examples.iter().flat_map(|example| example.lines());
        let says = |line: &str| line.starts_with("policy") && line.ends_with(&format!("{word}\""));
        assert!(lines.any(says), "no example of {policy:?}");
    }
    // What the head defines for other examples may be unused in one: that is no finding here.
    let everybody = "[steer.everybody]\npolicy = \"failover\"\n\
                     pools = [\"eu\", \"us\", \"ap\", \"new\", \"sorry\"]\n";
    for example in examples {
        let zone = format!("{head}\n{everybody}\n{example}");
        let mut report = Report::new();
        let zones = config::read_zones(&mut report, &OneFile(zone.into()));
        assert_eq!(report.to_string(), "", "{example}");
        assert!(zones[0].steers.len() > 1, "{example}");
    }
}
