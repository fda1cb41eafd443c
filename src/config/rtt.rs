//! `[rtt]`: round-trip times between clients and regions, measured by somebody.

use std::sync::Arc;
use std::time::Duration;

use super::client_map::KINDS;
use super::names::Names;
use super::reader::{Key, Keys, Table};
use crate::model::topology::{Clients, Policy, RttEntry};
use crate::model::{Diagnostic, RegionId, Steer};

pub(super) const KEYS: Keys = Keys {
    place: "rtt",
    known: &["continent", "country", "subdivision", "asn", "subnet"],
    unbuilt: &[],
};

/// Subnets that are told apart: every place that a database knows is looked up in each.
const SUBNETS_MAX: usize = 1024;

/// Reads the times. After a finding the result is only good for going on.
pub(super) fn read<'d>(
    root: &Table<'d>,
    regions: &Names<'d, RegionId>,
    steers: &[&Steer],
) -> Arc<[RttEntry]> {
    let Some(table) = root.table("rtt", &KEYS) else { return Arc::default() };
    let mut entries: Vec<RttEntry> = Vec::new();
    for (key, _, parse) in KINDS {
        for (Key { text, span }, value) in table.named(key, "{ GB = { eu-west = \"12ms\" } }") {
            let clients = match parse(text) {
                Ok(clients) => clients,
                Err(reason) => {
                    let message = format!("`{text}` names no clients");
                    table.push(Diagnostic::error(span, message).label(reason));
                    continue;
                }
            };
            if entries.iter().any(|entry| entry.clients == clients) {
                table.push(Diagnostic::error(span, format!("`{text}` has its times twice")));
            }
            let what = format!("`{text}` of `rtt`");
            let mut times = Vec::new();
            for (region, time) in value.named("{ eu-west = \"12ms\" }") {
                let id = regions.use_name(&what, time.at(region.span), region.text);
                let range = Duration::from_micros(1)..=Duration::from_secs(10);
                times.extend(id.zip(time.duration(range)));
            }
            entries.push(RttEntry { clients, times });
        }
    }
    let is_subnet = |entry: &&RttEntry| matches!(entry.clients, Clients::Subnet(_));
    let subnets = entries.iter().filter(is_subnet).count();
    if subnets > SUBNETS_MAX {
        let message = format!("`rtt` has {subnets} subnets; {SUBNETS_MAX} are told apart at most");
        let hint = "autonomous systems and countries stand for more clients each";
        table.push(table.error(message).hint(hint));
    }
    if !steers.iter().any(|steer| steer.policy == Policy::Latency) && !root.has_errors() {
        let value = root.get("rtt").expect("it has been read");
        let message = "nothing goes by `rtt`: no steer has policy `latency`";
        value.push(value.warning(message));
    }
    entries.into()
}
