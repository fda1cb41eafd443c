//! `[steer.NAME.map]`: which clients get which branches.

use super::branches::BranchReader;
use super::places;
use super::reader::{Key, Keys, Table};
use super::wheres::{read_subdivision, read_subnet_text};
use crate::model::topology::{Branch, ClientMap, Clients, MapEntry};
use crate::model::{Continent, Diagnostic};

pub(super) const KEYS: Keys = Keys {
    place: "steer.NAME.map",
    known: &["continent", "country", "subdivision", "asn", "subnet", "default"],
    unbuilt: &[],
};

/// Words for a kind of clients, what an entry looks like, and how its key is read.
pub(super) type Kind = (&'static str, &'static str, fn(&str) -> Result<Clients, String>);

pub(super) const KINDS: [Kind; 5] = [
    ("continent", "{ EU = [\"web-eu\"] }", |text| {
        let continent = Continent::new(text).ok_or("no such continent code");
        Ok(Clients::Continent(continent?))
    }),
    ("country", "{ IE = [\"web-eu\"] }", |text| places::country(text).map(Clients::Country)),
    ("subdivision", "{ US-CA = [\"web-us\"] }", |text| {
        read_subdivision(text).map(Clients::Subdivision).map_err(str::to_owned)
    }),
    ("asn", "{ 64500 = [\"web-us\"] }", |text| match text.parse() {
        Ok(asn) if asn > 0 => Ok(Clients::Asn(asn)),
        _ => Err("an autonomous system is a number of at least 1".to_owned()),
    }),
    ("subnet", "{ \"192.0.2.0/24\" = [\"web-eu\"] }", |text| {
        read_subnet_text(text).map(Clients::Subnet)
    }),
];

/// Reads the map of a steer with these branches. After a finding the result is only good for going on.
pub(super) fn read<'d>(
    table: &Table<'d>,
    reader: &BranchReader<'_, 'd>,
    own: &[Branch],
) -> ClientMap {
    let mut map = ClientMap::default();
    for (key, shape, parse) in KINDS {
        for (Key { text, span }, value) in table.named(key, shape) {
            let what = format!("`{text}` of {}", table.what);
            let branches = reader.read_some(&what, value, own);
            match parse(text) {
                Ok(clients) => {
                    if map.entries.iter().any(|entry| entry.clients == clients) {
                        let message = format!("{} names `{text}` twice", table.what);
                        table.push(Diagnostic::error(span, message));
                    }
                    map.entries.push(MapEntry { clients, branches });
                }
                Err(reason) => {
                    let message = format!("`{text}` names no clients");
                    table.push(Diagnostic::error(span, message).label(reason));
                }
            }
        }
    }
    if let Some(value) = table.require("default", "[\"web-eu\"]") {
        map.default = reader.read_some(&format!("`default` of {}", table.what), value, own);
    }
    if map.entries.is_empty() && !table.has_errors() {
        let error = table.error(format!("{} names no clients", table.what));
        table.push(error.hint("add a table such as `continent = { EU = [\"web-eu\"] }`"));
    }
    map
}
