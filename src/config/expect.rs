//! `[[expect]]`: tests of the zone. They are read here and run by others.

use std::net::IpAddr;

use super::names::Names;
use super::reader::{Keys, Table, Value, meant};
use crate::model::topology::{AnswerClaim, Claim, Expectation, Outage, Want};
use crate::model::{Name, PoolId, RecordType, RegionId, Zone};
use crate::zone::rdata_from_text;

pub(super) const KEYS: Keys = Keys {
    place: "expect",
    known: &["name", "type", "from", "down", "region", "pool", "answer", "survives"],
    unbuilt: &[],
};

/// What expectations refer to.
pub(super) struct ExpectReader<'a, 'd> {
    /// The zone they are about, expectations apart.
    pub(super) zone: &'a Zone,
    /// All regions.
    pub(super) regions: &'a Names<'d, RegionId>,
    /// All pools.
    pub(super) pools: &'a Names<'d, PoolId>,
}

impl<'d> ExpectReader<'_, 'd> {
    /// Reads all expectations.
    pub(super) fn read_all(&self, list: Value<'d>) -> Vec<Expectation> {
        let tables = list.tables("[[expect]]", &KEYS, |number| format!("expectation {number}"));
        tables.iter().filter_map(|table| self.read(table)).collect()
    }

    fn read(&self, table: &Table<'d>) -> Option<Expectation> {
        let claim = match table.get("survives") {
            Some(survives) => self.read_survives(table, survives).map(Claim::Survives),
            None => self.read_answer(table).map(Claim::Answer),
        };
        claim.map(|claim| Expectation { span: table.span, claim })
    }

    fn read_survives(&self, table: &Table<'d>, value: Value<'d>) -> Option<u8> {
        for key in KEYS.known.iter().filter(|key| **key != "survives") {
            if let Some(other) = table.get(key) {
                let error = other.error(format!("`{key}` means nothing beside `survives`"));
                other.push(error.hint("make two `[[expect]]` of them"));
            }
        }
        let count = value.small(1..=u8::MAX)?;
        let regions = self.zone.regions.len();
        if usize::from(count) >= regions {
            let error = value.error("nothing could be left to answer with");
            value.push(error.label(format!("the zone has {regions} regions")));
        }
        Some(count)
    }

    fn read_answer(&self, table: &Table<'d>) -> Option<AnswerClaim> {
        let name = table.require("name", "\"www\"").and_then(|v| v.name(&self.zone.apex));
        let mut qtype = RecordType::A;
        table.read_into("type", &mut qtype, |value| {
            value.parsed("a record type such as `\"AAAA\"`", |text| {
                text.parse().map_err(|_| "no such type")
            })
        });
        let from = table.require("from", "\"81.2.69.142\"");
        let from = from.and_then(|value| {
            let parse = |text: &str| text.parse::<IpAddr>().map_err(|_| "not an address");
            value.parsed("the address of a client", parse)
        });
        let down = table.get("down").map(|list| list.list("names")).unwrap_or_default();
        let down = down.into_iter().flat_map(|item| self.read_outage(item)).collect();
        let want = self.read_want(table, qtype)?;
        let name = name?;
        if !matches!(want, Want::Records(_)) {
            self.judge_steered(table, &name);
        }
        Some(AnswerClaim { name, qtype, from: from?, down, want })
    }

    fn read_want(&self, table: &Table<'d>, qtype: RecordType) -> Option<Want> {
        let (region, pool) = (table.get("region"), table.get("pool"));
        let answer = table.get("answer");
        match (region, pool, answer) {
            (Some(region), None, None) => {
                self.regions.mention(&table.what, region).map(Want::Region)
            }
            (None, Some(pool), None) => self.pools.mention(&table.what, pool).map(Want::Pool),
            (None, None, Some(answer)) => Some(Want::Records(self.read_records(answer, qtype))),
            (None, None, None) => {
                let error = table.error(format!("{} expects nothing", table.what));
                table.push(error.hint("add `region`, `pool`, `answer` or `survives`"));
                None
            }
            _ => {
                let error = table.error(format!("{} expects several things", table.what));
                table.push(error.hint("keep one of `region`, `pool` and `answer`"));
                None
            }
        }
    }

    /// Addresses or host names, or the data of another type, or one of them without a list.
    fn read_records(&self, value: Value<'d>, qtype: RecordType) -> Vec<(RecordType, Vec<u8>)> {
        let items = value.as_list().unwrap_or_else(|| vec![value]);
        let is_address = matches!(qtype, RecordType::A | RecordType::AAAA | RecordType::CNAME);
        let read = |item: Value<'d>| {
            if !is_address {
                let text = item.text("the data of a record, or a list of them")?;
                let rdata = rdata_from_text(qtype, text, &self.zone.apex, item.span);
                return rdata.map_err(|fault| item.push(*fault)).ok().map(|rdata| (qtype, rdata));
            }
            let text = item.text("an address or a host name, or a list of them")?;
            Some(match text.parse() {
                Ok(IpAddr::V4(address)) => (RecordType::A, address.octets().into()),
                Ok(IpAddr::V6(address)) => (RecordType::AAAA, address.octets().into()),
                Err(_) => (RecordType::CNAME, item.name(&self.zone.apex)?.as_wire().into()),
            })
        };
        items.into_iter().filter_map(read).collect()
    }

    fn read_outage(&self, item: Value<'d>) -> Vec<Outage> {
        let Some(word) = item.text("a region, a pool or an endpoint") else { return Vec::new() };
        let outages = self.zone.outages_named(word);
        if outages.is_empty() {
            let endpoints = self.zone.endpoints.iter().map(|endpoint| endpoint.name.as_str());
            let known = self.regions.all().chain(self.pools.all()).chain(endpoints);
            let message = format!("`{word}` is no region, pool or endpoint of this zone");
            let error = item.error(message);
            item.push(match meant(word, known) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint("an endpoint is written `ENDPOINT` or `POOL/ENDPOINT`"),
            });
        }
        outages
    }

    /// Only a steered name is answered from regions and pools.
    fn judge_steered(&self, table: &Table<'d>, name: &Name) {
        let steers = &self.zone.steers;
        let is_steered = steers.iter().any(|steer| match steer.owner.is_wildcard() {
            true => steer.owner.parent().is_some_and(|parent| name.is_at_or_below(&parent)),
            false => steer.owner == *name,
        });
        let Some(value) = table.get("name").filter(|_| !is_steered) else { return };
        let owners: Vec<_> = steers.iter().map(|steer| steer.owner.to_string()).collect();
        let error = value.error(format!("`{name}` is not steered"));
        value.push(match meant(&name.to_string(), owners.iter().map(String::as_str)) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("names that are not steered can be expected by `answer`"),
        });
    }
}
