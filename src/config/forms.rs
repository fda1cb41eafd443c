//! What a steer answers besides addresses: `https`, `svcb` and `records`.
//!
//! Read when all steers and pools are known, because data is made for every endpoint that a steer may
//! choose, and found faulty before anything is served.

use std::collections::HashMap;
use std::sync::Arc;

use super::branches::{SteerEntry, pools_of};
use super::reader::{Key, Keys, Table, Value, list_words, suggest};
use super::template::{Gap, Template, TemplateError};
use crate::model::alias::ADDRESSES_MAX;
use crate::model::form::{Body, LADDER_MAX, ReadyData, Service, ServiceParam};
use crate::model::topology::ANSWERS_MAX;
use crate::model::{Diagnostic, Endpoint, EndpointId, Form, Name, Pool, RecordType, Region, Steer};
use crate::zone::{RECORD_OVERHEAD, RRSET_OCTETS_MAX, rdata_from_text};

pub(super) const HTTPS_KEYS: Keys = Keys {
    place: "steer.NAME.https",
    known: &["alpn", "no-default-alpn", "port", "ech", "hints", "ladder"],
    unbuilt: &["mandatory", "target"],
};
pub(super) const SVCB_KEYS: Keys = Keys {
    place: "steer.NAME.svcb",
    known: &["alpn", "no-default-alpn", "port", "ech", "dohpath", "hints", "ladder"],
    unbuilt: &["mandatory", "target"],
};

const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const ECH: u16 = 5;
const DOHPATH: u16 = 7;

/// Protocols of one service; more is a mistake.
const ALPN_COUNT_MAX: usize = 32;
/// Octets of a parameter's text: more than any list of configurations has, and far below what a record
/// holds.
const PARAM_TEXT_MAX: usize = 8192;

/// Types whose records say what a name is, or are made by whoever signs: no template makes them.
const NOT_BY_TEMPLATE: [RecordType; 16] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::DNAME,
    RecordType::NS,
    RecordType::SOA,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::CDS,
    RecordType::CDNSKEY,
    RecordType::RRSIG,
    RecordType::NSEC,
    RecordType::NSEC3,
    RecordType::NSEC3PARAM,
];

/// Where a steer says what it answers.
#[derive(Default)]
pub(super) struct FormValues<'d> {
    pub(super) addresses: Option<Value<'d>>,
    https: Option<Value<'d>>,
    svcb: Option<Value<'d>>,
    records: Vec<(Key<'d>, Value<'d>)>,
}

impl<'d> FormValues<'d> {
    pub(super) fn of(table: &Table<'d>) -> Self {
        Self {
            addresses: table.get("addresses"),
            https: table.get("https"),
            svcb: table.get("svcb"),
            records: table.named("records", "{ SRV = \"10 {weight} {port} {host}\" }"),
        }
    }
}

/// What forms are made of.
pub(super) struct FormReader<'a> {
    pub(super) apex: &'a Name,
    pub(super) regions: &'a [Region],
    pub(super) pools: &'a [Pool],
    pub(super) endpoints: &'a [Endpoint],
}

/// Data by type, template and pools, so that steers that say the same share it.
type Made = HashMap<(RecordType, String, Vec<EndpointId>), ReadyData>;

impl FormReader<'_> {
    /// Reads the forms of every steer that is a name.
    pub(super) fn read_all(&self, root: &Table<'_>, entries: &mut [SteerEntry<'_>]) {
        let mut made = Made::new();
        for place in 0..entries.len() {
            if entries[place].steer.is_branch_only {
                continue;
            }
            let own = self.endpoints_of(entries, place);
            let entry = &mut entries[place];
            let what = format!("steer `{}`", entry.key.text);
            let values = std::mem::take(&mut entry.forms);
            if let Some(value) = values.addresses {
                entry.steer.has_addresses = value.boolean().unwrap_or(true);
            }
            let services = [
                (RecordType::HTTPS, values.https, &HTTPS_KEYS),
                (RecordType::SVCB, values.svcb, &SVCB_KEYS),
            ];
            for (rtype, value, keys) in services {
                let Some(value) = value else { continue };
                let table = value.table(format!("`{}` of {what}", value.key), keys);
                let Some(table) = table else { continue };
                let service = self.read_service(&table, &entry.steer, &own);
                let lens = own.iter().map(|id| self.len_of(&service, *id)).collect();
                judge_size(value, lens, 1 + usize::from(service.ladder));
                entry.steer.forms.push(Form { rtype, body: Body::Service(service) });
            }
            for (key, value) in &values.records {
                let form = self.read_template(*key, *value, &own, &mut made);
                if entry.steer.forms.iter().any(|known| Some(known.rtype) == rtype_of(&form)) {
                    let message = format!("{what} has two templates for {}", key.text);
                    root.push(Diagnostic::error(key.span, message));
                } else {
                    entry.steer.forms.extend(form);
                }
            }
            if !entry.steer.has_addresses && entry.steer.forms.is_empty() {
                let span = values.addresses.map_or(entry.key.span, |value| value.span);
                let error = Diagnostic::error(span, format!("{what} answers nothing"));
                root.push(
                    error.hint("add `https`, `svcb` or `records`, or let it answer addresses"),
                );
            }
        }
    }

    /// Every endpoint that a steer may choose, by id.
    fn endpoints_of(&self, entries: &[SteerEntry<'_>], place: usize) -> Vec<EndpointId> {
        let pools = pools_of(entries, place).into_iter();
        pools
            .flat_map(|pool| self.pools[pool.index()].endpoints.clone())
            .map(EndpointId::new)
            .collect()
    }

    fn read_service(&self, table: &Table<'_>, steer: &Steer, own: &[EndpointId]) -> Service {
        let mut service = Service { params: self.read_params(table), has_hints: true, ladder: 0 };
        table.read_into("hints", &mut service.has_hints, Value::boolean);
        table.read_into("ladder", &mut service.ladder, |value| value.small(0..=LADDER_MAX));
        if let Some(value) = table.get("ladder").filter(|_| service.ladder > 0) {
            if !steer.policy.is_ordered() {
                let message = format!("no ladder under policy `{}`", steer.policy.word());
                let error = value.error(message).label("any pool may be what is answered first");
                let hint = "`nearest`, `failover` and `map` have an order; \
                            what they choose between may be steers of another policy";
                value.push(error.hint(hint));
            }
            let error = value.error("the rungs of a ladder need hosts");
            self.want_hosts(table, own, error);
        } else if !steer.has_addresses {
            let error =
                table.error(format!("{} names hosts, as its steer has no addresses", table.what));
            self.want_hosts(table, own, error);
        }
        service
    }

    /// The octets of an endpoint's data: priority, target, parameters and hints.
    fn len_of(&self, service: &Service, id: EndpointId) -> usize {
        const HINTS: usize = 4 + 4 + ADDRESSES_MAX * (4 + 16);
        let host = self.endpoints[id.index()].host().map_or(1, |host| host.as_wire().len());
        let params = service.params.iter().map(|param| 4 + param.value.len()).sum::<usize>();
        2 + host + params + HINTS
    }

    /// Records `error` if an endpoint has no host.
    fn want_hosts(&self, table: &Table<'_>, own: &[EndpointId], error: Diagnostic) {
        let mut lacking = own.iter().filter(|id| self.endpoints[id.index()].host().is_none());
        let Some(first) = lacking.next() else { return };
        let others = match lacking.count() {
            0 => String::new(),
            1 => ", nor has another one".to_owned(),
            count => format!(", nor have {count} others"),
        };
        let label = format!("{} has no `host`{others}", self.name(*first));
        let hint = "give endpoints a `host` beside their `address`: the name that leads to it";
        table.push(error.label(label).hint(hint));
    }

    /// ``endpoint `eu-1` of pool `web-eu` ``.
    fn name(&self, id: EndpointId) -> String {
        let endpoint = &self.endpoints[id.index()];
        format!("endpoint `{}` of pool `{}`", endpoint.name, self.pools[endpoint.pool.index()].name)
    }

    fn read_params(&self, table: &Table<'_>) -> Vec<ServiceParam> {
        let mut params = Vec::new();
        let mut add = |key, value: Vec<u8>| {
            params.push(ServiceParam { key, value: value.into() });
        };
        let alpn = table.get("alpn").map(read_alpn).unwrap_or_default();
        let has_alpn = !alpn.is_empty();
        if has_alpn {
            add(ALPN, alpn);
        }
        if let Some(value) = table.get("no-default-alpn")
            && value.boolean() == Some(true)
        {
            if !has_alpn && !table.is_misspelt("alpn") {
                value.push(value.error("`no-default-alpn` without `alpn`"));
            }
            add(NO_DEFAULT_ALPN, Vec::new());
        }
        if let Some(port) = table.get("port").and_then(|value| value.short(1..=u16::MAX)) {
            add(PORT, port.to_be_bytes().into());
        }
        if let Some(ech) = table.get("ech").and_then(|value| self.read_param(value, "ech")) {
            add(ECH, ech);
        }
        let dohpath = SVCB_KEYS.place == table.place();
        let dohpath = dohpath.then(|| table.get("dohpath")).flatten();
        if let Some(path) = dohpath.and_then(|value| self.read_param(value, "dohpath")) {
            add(DOHPATH, path);
        }
        params
    }

    /// A parameter that is text, as a master file has it.
    fn read_param(&self, value: Value<'_>, key: &str) -> Option<Vec<u8>> {
        /// Priority, the root, key and length.
        const HEAD: usize = 2 + 1 + 2 + 2;
        let text = value.text("a text")?;
        if text.contains(['"', '\\', '\n', '\r']) || text.len() > PARAM_TEXT_MAX {
            value.push(value.error(format!("this cannot be `{key}`")));
            return None;
        }
        let line = format!("1 . {key}=\"{text}\"");
        match rdata_from_text(RecordType::SVCB, &line, self.apex, value.span) {
            Ok(rdata) => Some(rdata[HEAD..].to_vec()),
            Err(fault) => {
                let label = fault.labels.first().map_or("", |(_, label)| label);
                value.push(value.error(format!("this cannot be `{key}`")).label(label));
                None
            }
        }
    }

    /// `SRV = "{priority} {weight} {port} {host}"`.
    fn read_template(
        &self,
        key: Key<'_>,
        value: Value<'_>,
        own: &[EndpointId],
        made: &mut Made,
    ) -> Option<Form> {
        let rtype = read_type(key, value);
        let text = value.text("the data of a record, such as `\"10 {weight} {port} {host}\"`")?;
        let template = read_gaps(value, text)?;
        let rtype = rtype?;
        let key = (rtype, text.to_owned(), own.to_vec());
        let data = match made.get(&key) {
            Some(data) => Arc::clone(data),
            None => {
                let data = self.fill(rtype, &template, value, own)?;
                Arc::clone(made.entry(key).or_insert(data))
            }
        };
        Some(Form { rtype, body: Body::Ready(data) })
    }

    /// The data of every endpoint; the first fault only, as others are of its kind.
    fn fill(
        &self,
        rtype: RecordType,
        template: &Template,
        value: Value<'_>,
        own: &[EndpointId],
    ) -> Option<ReadyData> {
        let one = |id: EndpointId| -> Result<(EndpointId, Box<[u8]>), Diagnostic> {
            let endpoint = &self.endpoints[id.index()];
            let pool = &self.pools[endpoint.pool.index()];
            let region = &self.regions[pool.region.index()];
            let text = template.fill(endpoint, pool, region).map_err(|gap| {
                let error = value.error(format!("{} has no {}", self.name(id), gap.wants()));
                error.label("asked for here")
            })?;
            let rdata = rdata_from_text(rtype, &text, self.apex, value.span);
            let rdata =
                rdata.map_err(|fault| fault.hint(format!("of {}: {text}", self.name(id))))?;
            Ok((id, rdata.into()))
        };
        let data: Result<Vec<_>, Diagnostic> = own.iter().copied().map(one).collect();
        let data = data.map_err(|fault| value.push(fault)).ok()?;
        judge_size(value, data.iter().map(|(_, rdata)| rdata.len()).collect(), 1);
        Some(data.into())
    }
}

/// Records an error if no message holds what so many draws may come to, from endpoints whose data has
/// these lengths: over TCP there is nothing left to ask again by.
fn judge_size(value: Value<'_>, mut lens: Vec<usize>, draws: usize) {
    lens.sort_unstable_by_key(|len| std::cmp::Reverse(*len));
    let drawn = lens.iter().take(draws * usize::from(ANSWERS_MAX));
    let octets: usize = drawn.map(|len| len + RECORD_OVERHEAD).sum();
    if octets > RRSET_OCTETS_MAX {
        let error = value.error(format!("an answer may come to {octets} octets"));
        value.push(error.label("no message holds them"));
    }
}

fn rtype_of(form: &Option<Form>) -> Option<RecordType> {
    form.as_ref().map(|form| form.rtype)
}

/// Protocols in wire form (RFC 9460 §7.1.1), best first.
fn read_alpn(value: Value<'_>) -> Vec<u8> {
    let items = value.list("protocols");
    if items.len() > ALPN_COUNT_MAX {
        value.push(value.error(format!("more than {ALPN_COUNT_MAX} protocols")));
        return Vec::new();
    }
    let mut wire = Vec::new();
    for item in items {
        let Some(text) = item.text("a protocol such as `\"h2\"`") else { continue };
        match u8::try_from(text.len()) {
            Ok(len @ 1..) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                wire.push(len);
                wire.extend(text.bytes());
            }
            _ => {
                let error = item.error(format!("`{}` is no protocol", text.escape_default()));
                item.push(error.hint("such as `h3`, `h2`, `http/1.1` or `dot`"));
            }
        }
    }
    wire
}

fn read_type(key: Key<'_>, value: Value<'_>) -> Option<RecordType> {
    let Ok(rtype) = key.text.parse::<RecordType>() else {
        let known = ["SRV", "MX", "TXT", "URI", "NAPTR", "CAA", "TLSA"];
        let error = Diagnostic::error(key.span, format!("`{}` is no record type", key.text));
        value.push(error.hint(suggest(&key.text.to_ascii_uppercase(), &known)));
        return None;
    };
    if rtype.is_meta() || NOT_BY_TEMPLATE.contains(&rtype) {
        let error = Diagnostic::error(key.span, format!("no template makes {rtype} records"));
        value.push(match rtype {
            RecordType::HTTPS => error.hint("write a table `https` for the steer"),
            RecordType::SVCB => error.hint("write a table `svcb` for the steer"),
            RecordType::A | RecordType::AAAA | RecordType::CNAME => {
                error.hint("those are made of the `address` or `host` of endpoints")
            }
            _ => error,
        });
        return None;
    }
    Some(rtype)
}

fn read_gaps(value: Value<'_>, text: &str) -> Option<Template> {
    let fault = match Template::parse(text) {
        Ok(template) => return Some(template),
        Err(fault) => fault,
    };
    let words = Gap::WORDS.map(|(word, _)| word);
    value.push(match fault {
        TemplateError::Unknown(word) => {
            let error = value.error(format!("there is nothing to put for `{{{word}}}`"));
            error.hint(suggest(&word, &words))
        }
        TemplateError::Brace(brace) => {
            let error = value.error(format!("this `{brace}` has no other half"));
            error.hint(format!(
                "gaps are {}; write `{brace}{brace}` for the sign itself",
                list_words(words.map(|word| format!("{{{word}}}")).iter().map(String::as_str))
            ))
        }
        TemplateError::Lines => value.error("the data of a record is one line"),
    });
    None
}

/// Where a name is no host name: `_sip._tcp` and the like (RFC 8552) hold no addresses by convention.
pub(super) fn warn_underscored(root: &Table<'_>, entries: &[SteerEntry<'_>]) {
    for entry in entries.iter().filter(|entry| !entry.steer.is_branch_only) {
        let steer = &entry.steer;
        let has_data = steer.forms.iter().any(|form| form.service().is_none());
        if has_data && steer.has_addresses && entry.key.text.starts_with('_') {
            let name = entry.key.text;
            let message = format!("`{name}` answers addresses besides what `records` says");
            let warning = Diagnostic::warning(entry.key.span, message);
            root.push(warning.hint("write `addresses = false` for a name that is no host"));
        }
    }
}
