//! What was found of the hosts of aliases, on disk: `aliases.json`.
//!
//! A resolver that is out of reach when a node starts costs no answer then: the last addresses are told as if
//! the node had never been away, for as long as `alias` would have told them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StateError;
use super::file::{self, Document, FORMAT};
use crate::alias::{Known, KnownHost};
use crate::clock::Moment;
use crate::model::{Name, whole_millis};

pub(super) const FILE_NAME: &str = "aliases.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasesDocument {
    version: u32,
    written: u64,
    /// Of `hosts`.
    checksum: String,
    hosts: Vec<HostLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostLine {
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    v4: Option<FamilyLine<Ipv4Addr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v6: Option<FamilyLine<Ipv6Addr>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyLine<T> {
    addresses: Vec<T>,
    ends: u64,
}

impl Document for AliasesDocument {
    fn written(&self) -> Duration {
        Duration::from_millis(self.written)
    }

    fn stated_checksum(&self) -> &str {
        &self.checksum
    }

    fn checksum(&self) -> serde_json::Result<String> {
        file::checksum(&self.hosts)
    }
}

impl<T> FamilyLine<T> {
    fn new(Known { addresses, ends }: Known<T>, now: Moment) -> Self {
        Self { addresses, ends: whole_millis(now.unix_at(ends)) }
    }

    fn read(self, now: Moment) -> Known<T> {
        let Self { addresses, ends } = self;
        Known { addresses, ends: now.time_at(Duration::from_millis(ends)) }
    }
}

/// Reads what an earlier life left in `dir`, and what is wrong with it, for the log.
pub(super) fn load(dir: &Path, now: Moment) -> (HashMap<Name, KnownHost>, Vec<String>) {
    let path = dir.join(FILE_NAME);
    let loaded = file::load::<AliasesDocument>(&path, now).and_then(|document| {
        let lines = document.map(|document| document.hosts).unwrap_or_default();
        lines.into_iter().map(|line| read(line, now)).collect()
    });
    match loaded {
        Ok(hosts) => (hosts, Vec::new()),
        Err(what) => {
            let what = format!("{}: {what}; hosts of aliases start unknown", path.display());
            (HashMap::new(), vec![what])
        }
    }
}

fn read(line: HostLine, now: Moment) -> Result<(Name, KnownHost), String> {
    let HostLine { host, v4, v6 } = line;
    let name = host.parse().map_err(|_| format!("`{host}` is no host"))?;
    let v4 = v4.map(|family| family.read(now));
    let v6 = v6.map(|family| family.read(now));
    Ok((name, KnownHost { v4, v6 }))
}

/// Writes down what is known of hosts.
pub(super) fn save(
    dir: &Path,
    known: Vec<(Name, KnownHost)>,
    now: Moment,
) -> Result<(), StateError> {
    file::save(dir, FILE_NAME, "what was found of aliases", encode(known, now))
}

fn encode(known: Vec<(Name, KnownHost)>, now: Moment) -> serde_json::Result<Vec<u8>> {
    let line = |(host, KnownHost { v4, v6 }): (Name, KnownHost)| HostLine {
        host: host.to_string(),
        v4: v4.map(|known| FamilyLine::new(known, now)),
        v6: v6.map(|known| FamilyLine::new(known, now)),
    };
    let mut hosts: Vec<HostLine> = known.into_iter().map(line).collect();
    hosts.sort_unstable_by(|a, b| a.host.cmp(&b.host));
    let (version, checksum) = (FORMAT, file::checksum(&hosts)?);
    let document = AliasesDocument { version, written: whole_millis(now.unix), checksum, hosts };
    serde_json::to_vec_pretty(&document)
}
