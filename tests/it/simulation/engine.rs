//! The engine's bucket: what it keeps, and what it comes back with.

use std::collections::BTreeMap;

use windrose::fleet::bundle::{HEADS, Head};
use windrose::health::fleet::Keys;
use windrose::model::Time;

/// What an engine keeps under keys.
#[derive(Clone, Default)]
pub(super) struct Engine {
    log: Vec<(Time, String, Vec<u8>)>,
    kept: BTreeMap<String, Vec<u8>>,
}

impl Engine {
    pub(super) fn put(&mut self, key: String, value: Vec<u8>, now: Time) {
        self.log.push((now, key.clone(), value.clone()));
        self.kept.insert(key, value);
    }

    pub(super) fn get(&self, key: &str) -> Option<&Vec<u8>> {
        self.kept.get(key)
    }

    /// What is told after a connection.
    pub(super) fn told(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.kept.iter().filter(|(key, _)| key.starts_with("words.") || key.starts_with(HEADS))
    }

    /// It comes back with its data of then.
    pub(super) fn roll_back(&mut self, to: Time) {
        self.log.retain(|(at, _, _)| *at <= to);
        self.kept = self.log.iter().map(|(_, key, value)| (key.clone(), value.clone())).collect();
    }

    /// The newest version that it knows.
    pub(super) fn newest(&self, keys: &Keys) -> Option<Head> {
        let heads = self.kept.iter().filter(|(key, _)| key.starts_with(HEADS));
        heads.filter_map(|(key, sealed)| Head::open(keys, key, sealed).ok()).max_by_key(Head::rank)
    }
}
