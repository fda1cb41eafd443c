//! What clients ask for, on disk: `demand.json`.
//!
//! Only where pools have a capacity. It is for the classes and pools of rules as they were: where a zone says
//! something else by now, or other databases divide its clients, it is not taken over, and is estimated anew.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StateError;
use super::file::{self, Document, FORMAT};
use crate::clock::Moment;
use crate::model::{Name, whole_millis};
use crate::snapshot::Snapshot;
use crate::steer::capacity::estimate::SavedGroup;

pub(super) const FILE_NAME: &str = "demand.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemandDocument {
    version: u32,
    written: u64,
    /// Of `zones`.
    checksum: String,
    zones: Vec<ZoneLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneLine {
    zone: String,
    groups: Vec<GroupLine>,
}

/// What is known of rules that lead to the same pools.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupLine {
    /// Of what it was known, in hexadecimal.
    of: String,
    classes: usize,
    /// What classes ask for, by number: those that ask for anything.
    amounts: Vec<(usize, u64)>,
    trims: Vec<u32>,
    sound: Vec<u32>,
}

impl Document for DemandDocument {
    fn written(&self) -> Duration {
        Duration::from_millis(self.written)
    }

    fn stated_checksum(&self) -> &str {
        &self.checksum
    }

    fn checksum(&self) -> serde_json::Result<String> {
        file::checksum(&self.zones)
    }
}

/// What the clients of zones asked for.
pub type Demanded = HashMap<Name, Vec<SavedGroup>>;

/// Reads what an earlier life left in `dir`, and what is wrong with it, for the log. What was written longer
/// than `age_max` ago is dropped.
pub(super) fn load(dir: &Path, now: Moment, age_max: Duration) -> (Demanded, Vec<String>) {
    let path = dir.join(FILE_NAME);
    let loaded = file::load::<DemandDocument>(&path, now).and_then(|document| {
        let Some(document) = document else { return Ok(Demanded::new()) };
        let age = now.unix.saturating_sub(document.written());
        if age > age_max && !document.zones.is_empty() {
            return Err(format!("written {age:.0?} ago"));
        }
        document.zones.into_iter().map(ZoneLine::read).collect()
    });
    loaded.map_or_else(
        |what| {
            let what = format!("{}: {what}; demand is estimated anew", path.display());
            (Demanded::new(), vec![what])
        },
        |demanded| (demanded, Vec::new()),
    )
}

impl ZoneLine {
    fn read(self) -> Result<(Name, Vec<SavedGroup>), String> {
        let Self { zone, groups } = self;
        let name = zone.parse().map_err(|_| format!("`{zone}` is no zone"))?;
        Ok((name, groups.into_iter().map(GroupLine::read).collect::<Result<_, _>>()?))
    }
}

impl GroupLine {
    /// No file is so long that it has more.
    const CLASSES_MAX: usize = 1 << 26;

    fn new(SavedGroup { of, amounts, trims, sound }: SavedGroup) -> Self {
        let classes = amounts.len();
        let amounts = amounts.into_iter().enumerate().filter(|(_, amount)| *amount > 0).collect();
        Self { of: format!("{of:016x}"), classes, amounts, trims, sound }
    }

    fn read(self) -> Result<SavedGroup, String> {
        let Self { of, classes, amounts: known, trims, sound } = self;
        let of = u64::from_str_radix(&of, 16).map_err(|_| format!("`{of}` is no hash"))?;
        if classes > Self::CLASSES_MAX {
            return Err(format!("{classes} are more classes than there can be"));
        }
        let mut amounts = vec![0; classes];
        for (class, amount) in known {
            let own = amounts.get_mut(class);
            *own.ok_or_else(|| format!("there is no class {class} of {classes}"))? = amount;
        }
        Ok(SavedGroup { of, amounts, trims, sound })
    }
}

/// Writes down what clients ask for.
pub(super) fn save(dir: &Path, snapshot: &Snapshot, now: Moment) -> Result<(), StateError> {
    file::save(dir, FILE_NAME, "what clients ask for", encode(snapshot, now))
}

fn encode(snapshot: &Snapshot, now: Moment) -> serde_json::Result<Vec<u8>> {
    let line = |(zone, groups): (&Name, Vec<SavedGroup>)| ZoneLine {
        zone: zone.to_string(),
        groups: groups.into_iter().map(GroupLine::new).collect(),
    };
    let zones: Vec<ZoneLine> = snapshot.demanded().map(line).collect();
    let (version, checksum) = (FORMAT, file::checksum(&zones)?);
    let document = DemandDocument { version, written: whole_millis(now.unix), checksum, zones };
    serde_json::to_vec(&document)
}
