//! `[[steer.NAME.where]]`: clauses that override a rule's pools for some clients.

use super::branches::BranchReader;
use super::places;
use super::reader::{Keys, Table, Value, list_words};
use crate::model::topology::{Branch, Where};
use crate::model::{Continent, Prefix, Span, Subdivision};

pub(super) const KEYS: Keys = Keys {
    place: "steer.NAME.where",
    known: &["continent", "country", "subdivision", "asn", "subnet", "pools", "only"],
    unbuilt: &[],
};

/// The keys that say which clients are meant.
const CRITERIA: [&str; 5] = ["continent", "country", "subdivision", "asn", "subnet"];

/// The longest subnets that clients are told apart by: what is finer identifies people, and no
/// resolver that follows RFC 7871 §11.1 sends it.
const SUBNET_V4_MAX: u8 = 24;
const SUBNET_V6_MAX: u8 = 56;

/// What the clauses of one steer refer to.
pub(super) struct WhereReader<'a, 'd> {
    /// Reads branches of the steer.
    pub(super) reader: &'a BranchReader<'a, 'd>,
    /// Its branches.
    pub(super) own: &'a [Branch],
}

impl<'d> WhereReader<'_, 'd> {
    /// Reads all clauses of the steer, with the places of their pools.
    pub(super) fn read_all(&self, list: Value<'d>) -> Vec<(Where, Span)> {
        let what = |number| format!("`where` {number} of {}", self.reader.steer);
        list.tables("[[steer.NAME.where]]", &KEYS, what)
            .iter()
            .map(|table| {
                (self.read(table), table.get("pools").map_or(table.span, |list| list.span))
            })
            .collect()
    }

    fn read(&self, table: &Table<'d>) -> Where {
        let mut clause = Where {
            continents: read_list(table, "continent", "continents", read_continent),
            countries: read_list(table, "country", "countries", |item| {
                item.parsed("a country such as `\"IE\"`", places::country)
            }),
            subdivisions: read_list(table, "subdivision", "subdivisions", |item| {
                item.parsed("a subdivision such as `\"US-CA\"`", read_subdivision)
            }),
            asns: read_list(table, "asn", "numbers", read_asn),
            subnets: read_list(table, "subnet", "subnets", read_subnet),
            branches: self.read_branches(table),
            is_strict: false,
        };
        table.read_into("only", &mut clause.is_strict, Value::boolean);
        if CRITERIA.iter().all(|key| table.get(key).is_none() && !table.is_misspelt(key)) {
            let error = table.error(format!("{} matches no client", table.what));
            let hint = "add `continent`, `country`, `subdivision`, `asn` or `subnet`; \
                        a clause for everybody is what the rule itself is";
            table.push(error.hint(hint));
        }
        clause
    }

    fn read_branches(&self, table: &Table<'d>) -> Vec<usize> {
        let list = table.require("pools", "[\"web-eu\"]");
        list.map(|list| self.reader.read_some(&table.what, list, self.own)).unwrap_or_default()
    }
}

/// The list below `key`, if it was written; an empty one is a finding.
fn read_list<'d, T>(
    table: &Table<'d>,
    key: &'static str,
    what: &str,
    read: impl Fn(Value<'d>) -> Option<T>,
) -> Vec<T> {
    let Some(value) = table.get(key) else { return Vec::new() };
    let items = value.list(what);
    if items.is_empty() && value.as_list().is_some() {
        value.push(value.error(format!("an empty `{key}` matches no client")).hint("remove it"));
    }
    items.into_iter().filter_map(read).collect()
}

/// The number of an autonomous system. It is often written with `AS` before it.
fn read_asn(item: Value<'_>) -> Option<u32> {
    let number = item.as_text().and_then(|text| text.trim_start_matches(['A', 'S']).parse().ok());
    let Some(number): Option<u32> = number else { return item.integer(1..=u32::MAX) };
    let error = item.error("the number of an autonomous system is written without quotes");
    item.push(error.hint(format!("did you mean {number}?")));
    None
}

fn read_continent(item: Value<'_>) -> Option<Continent> {
    let codes = || list_words(Continent::ALL.iter().map(|continent| continent.code()));
    let parse = |text| Continent::new(text).ok_or("no such code");
    item.parsed(&format!("one of {}", codes()), parse)
}

fn read_subnet(item: Value<'_>) -> Option<Prefix> {
    let prefix: Prefix = item.parsed("a subnet such as `\"192.0.2.0/24\"`", str::parse)?;
    let Err(wider) = told_apart(prefix) else { return Some(prefix) };
    let error = item.error(format!("clients are not told apart below /{}", wider.len()));
    item.push(error.hint(format!("did you mean {wider}?")));
    None
}

/// The subnet, or the widest around it by which clients are told apart.
fn told_apart(prefix: Prefix) -> Result<Prefix, Prefix> {
    let len_max = if prefix.address().is_ipv4() { SUBNET_V4_MAX } else { SUBNET_V6_MAX };
    if prefix.len() > len_max { Err(Prefix::new(prefix.address(), len_max)) } else { Ok(prefix) }
}

/// Reads a subnet by which clients are told apart, where no place is known.
pub(super) fn read_subnet_text(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|error| format!("{error}"))?;
    told_apart(prefix).map_err(|wider| {
        format!("clients are not told apart below /{}: did you mean {wider}?", wider.len())
    })
}

/// Reads `US-CA`: a country and the code of one of its first-level subdivisions (ISO 3166-2).
pub(super) fn read_subdivision(text: &str) -> Result<Subdivision, &'static str> {
    const SHAPE: &str = "a country and a subdivision of up to three letters or digits: `US-CA`";
    let (country, code) = text.split_once('-').ok_or(SHAPE)?;
    let country = places::country(country).map_err(|_| "no such country")?;
    let is_code = (1..=3).contains(&code.len()) && code.bytes().all(|c| c.is_ascii_alphanumeric());
    if !is_code {
        return Err(SHAPE);
    }
    Ok(Subdivision { country, code: code.to_ascii_uppercase().into() })
}
