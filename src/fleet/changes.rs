//! What another version of the zone files changes.
//!
//! Files are told apart by their octets, names by all that their answers are made of. That errs on one side
//! only: a name that is told may come to the same answers; one that is not told does.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use super::bundle::Files;
use crate::config::{self, ReadFile, ZoneFiles};
use crate::model::target_key::hash;
use crate::model::{Name, RecordType, Report, SteerId, Zone};
use crate::steer::Outline;
use crate::zone::{Pieces, records};

/// What is another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Files, each with `new`, `changed` or `removed`.
    pub files: Vec<(String, &'static str)>,
    /// Names, each with the same.
    pub names: Vec<(String, &'static str)>,
}

impl Changes {
    /// What there is between `before` and `after`.
    #[must_use]
    pub fn between(before: &Files, after: &Files) -> Self {
        let names = |files: &Files| names(&zones(files));
        Self {
            files: differences(before, after),
            names: differences(&names(before), &names(after)),
        }
    }

    /// Whether nothing is another.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

fn differences<K: Ord + ToString, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<(String, &'static str)> {
    let kept = after.iter().filter_map(|(name, value)| match before.get(name) {
        None => Some((name, "new")),
        Some(old) if old != value => Some((name, "changed")),
        Some(_) => None,
    });
    let gone = before.keys().filter(|name| !after.contains_key(name)).map(|name| (name, "removed"));
    let mut all: Vec<(&K, &'static str)> = kept.chain(gone).collect();
    all.sort_by_key(|(name, _)| *name);
    all.into_iter().map(|(name, how)| (name.to_string(), how)).collect()
}

/// What files say; those that are wrong say nothing.
fn zones(files: &Files) -> Vec<Arc<Zone>> {
    let files = InMemory(files);
    let read = |names: &[&str]| {
        names.iter().map(|name| Arc::new(ReadFile::read(&files, name))).collect::<Vec<_>>()
    };
    config::read_directory(&mut Report::new(), &files, &read).zones
}

/// Every name, with a hash of all that its answers are made of. The SOA is none of that: its serial follows
/// the text.
fn names(zones: &[Arc<Zone>]) -> BTreeMap<Name, Vec<u64>> {
    let mut all: BTreeMap<Name, Vec<u64>> = BTreeMap::new();
    for zone in zones {
        for (owner, rtype, ttl, rdata) in records(&zone.names) {
            if rtype != RecordType::SOA {
                let text = format!("{rtype} {ttl}");
                all.entry(owner).or_default().push(hash(&[text.as_bytes(), &rdata]));
            }
        }
        for (place, owner) in zone.steered() {
            all.entry(owner.clone()).or_default().push(steer_hash(zone, SteerId::new(place)));
        }
    }
    all.values_mut().for_each(|hashes| hashes.sort_unstable());
    all
}

fn steer_hash(zone: &Zone, id: SteerId) -> u64 {
    let outline = Outline::new(zone, id);
    let mut text: String = outline.steers(zone).map(|steer| format!("{steer:?}")).collect();
    for id in outline.pools_in_play(zone) {
        let pool = &zone.pools[id.index()];
        let check = pool.check.map(|check| &zone.checks[check.index()]);
        text += &format!("{pool:?} {:?} {check:?}", zone.regions[pool.region.index()]);
        zone.endpoints_of(id).for_each(|(_, endpoint)| text += &format!("{endpoint:?}"));
    }
    hash(&[text.as_bytes()])
}

/// Files that lie nowhere.
struct InMemory<'f>(&'f Files);

impl ZoneFiles for InMemory<'_> {
    fn directory(&self) -> &str {
        "the fleet's zone files"
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().filter(|name| !name.contains('/')).cloned().collect()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let octets = self.0.get(name).ok_or("there is no such file")?;
        std::str::from_utf8(octets).map(Into::into).map_err(|error| error.to_string())
    }

    fn open(&self, name: &str) -> Result<Pieces, String> {
        let octets = self.0.get(name).ok_or("there is no such file")?.clone();
        let len = octets.len();
        Ok(Pieces::of(Box::new(Cursor::new(octets)), len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> Files {
        all.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn zone(address: &str) -> String {
        format!(
            "zone = 'a.test'\nnameservers = ['ns.b.test.']\nrecords = 'a.test.zone'\n\
             [regions.eu]\nlocation = [50, 10]\n[regions.us]\nlocation = [40, -100]\n\
             [pools.eu]\nregion = 'eu'\nendpoints = [{{ address = '{address}' }}]\n\
             [pools.us]\nregion = 'us'\nendpoints = [{{ address = '192.0.2.9' }}]\n\
             [steer.www]\npolicy = 'failover'\npools = ['eu']\n\
             [steer.api]\npolicy = 'failover'\npools = ['us']\n"
        )
    }

    #[test]
    fn files_and_names_that_change_are_told() {
        let (old, new) = (zone("192.0.2.1"), zone("192.0.2.2"));
        let before =
            files(&[("a.test.toml", &old), ("a.test.zone", "$TTL 60\nx TXT one\ny TXT two\n")]);
        let after = files(&[
            ("a.test.toml", &new),
            ("a.test.zone", "$TTL 60\nx TXT three\ny TXT two\nz TXT new\n"),
        ]);
        let changes = Changes::between(&before, &after);
        assert_eq!(
            changes.files,
            [("a.test.toml".to_owned(), "changed"), ("a.test.zone".to_owned(), "changed")]
        );
        let expected = [("www.a.test.", "changed"), ("x.a.test.", "changed"), ("z.a.test.", "new")];
        assert_eq!(changes.names, expected.map(|(name, how)| (name.to_owned(), how)));
        assert!(Changes::between(&before, &before).is_empty());
        let gone = Changes::between(&before, &Files::new());
        assert_eq!(gone.files[0], ("a.test.toml".to_owned(), "removed"));
        assert!(gone.names.contains(&("www.a.test.".to_owned(), "removed")), "{gone:?}");
    }
}
