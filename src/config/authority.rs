//! The SOA and NS records of a zone, made from its zone file unless the master file has them.
//!
//! The serial of an SOA that is made is a digest of what the zone says, so that nodes with the same
//! files agree on it without talking. It changes with every change, but not always upwards: it tells
//! two versions apart, it does not order them.

use std::time::Duration;

use super::reader::{Keys, Table, Value};
use crate::model::{Name, Record, RecordType, Span};

pub(super) const SOA_KEYS: Keys = Keys {
    place: "soa",
    known: &["mname", "rname", "refresh", "retry", "expire", "minimum"],
    unbuilt: &["serial"],
};

/// How long the records made here may be cached, in seconds. They hardly ever change.
const TTL_SECS: u32 = 3600;

/// What a made SOA says beside its serial (RFC 1035 §3.3.13).
struct Soa {
    mname: Option<Name>,
    rname: Name,
    refresh: Duration,
    retry: Duration,
    expire: Duration,
    minimum: Duration,
}

/// Adds to `records`, the master file's, what `root` makes of SOA and NS. `text` is the zone file.
pub(super) fn complete(root: &Table<'_>, apex: &Name, text: &str, records: &mut Vec<Record>) {
    let written = read_nameservers(root, apex);
    let soa = root.get("soa");
    let own = |rtype| move |record: &&Record| record.rtype == rtype && record.owner == *apex;
    let master_soa = records.iter().find(own(RecordType::SOA)).map(|record| record.span);
    let master_ns: Vec<Name> =
        records.iter().filter(own(RecordType::NS)).filter_map(host).collect();
    if let Some((value, names)) = written.as_ref().filter(|_| !master_ns.is_empty()) {
        warn_difference(*value, names, &master_ns);
    }
    let nameservers: Vec<Name> = match &written {
        Some((_, names)) if master_ns.is_empty() => names.clone(),
        _ => master_ns.clone(),
    };
    let span = written.as_ref().map_or(root.span, |(value, _)| value.span);
    if written.is_none() && nameservers.is_empty() {
        let error = root.error("the zone has no name servers");
        root.push(error.hint(format!(
            "add `nameservers = [\"ns1.{apex}\"]`, or NS records of the apex in the master file"
        )));
    }
    if master_ns.is_empty() {
        records.extend(nameservers.iter().map(|name| ns_record(apex, name, span)));
    }
    match (soa, master_soa) {
        (Some(value), Some(master)) => {
            let error = value.error("the zone has two SOA records").label("one is made from this");
            value.push(error.also(master, "one is written here").hint("remove one of the two"));
        }
        (None, Some(_)) => {}
        (_, None) => {
            let Some(soa) = read_soa(root, apex) else { return };
            if let Some(first) = nameservers.first() {
                let serial = digest(text, records);
                let span = root.get("soa").map_or(span, |value| value.span);
                records.insert(0, soa.record(apex, first, serial, span));
            }
        }
    }
}

/// The name servers of the zone file and their place.
fn read_nameservers<'d>(root: &Table<'d>, apex: &Name) -> Option<(Value<'d>, Vec<Name>)> {
    let value = root.get("nameservers")?;
    let mut names: Vec<Name> = Vec::new();
    let items = value.list("host names");
    if items.is_empty() && value.as_list().is_some() {
        value.push(value.error("the zone has no name servers"));
    }
    for item in items {
        let Some(name) = item.name(apex) else { continue };
        if names.contains(&name) {
            item.push(item.error(format!("`{name}` is listed twice")));
        } else {
            names.push(name);
        }
    }
    Some((value, names))
}

/// The name that an NS record holds.
fn host(record: &Record) -> Option<Name> {
    Name::from_wire(&record.rdata).ok().map(|(name, _)| name)
}

fn warn_difference(value: Value<'_>, written: &[Name], master: &[Name]) {
    let is_same = written.len() == master.len() && written.iter().all(|name| master.contains(name));
    if !is_same {
        let warning = value.warning("the master file has other NS records, which are used");
        value.push(warning.hint("remove `nameservers`, or the NS records of the apex"));
    }
}

fn read_soa(root: &Table<'_>, apex: &Name) -> Option<Soa> {
    let seconds = |count| Duration::from_secs(count);
    let mut soa = Soa {
        mname: None,
        rname: Name::parse("hostmaster", apex).unwrap_or_else(|_| apex.clone()),
        refresh: seconds(3600),
        retry: seconds(600),
        expire: seconds(7 * 24 * 3600),
        minimum: seconds(300),
    };
    if root.get("soa").is_none() {
        return Some(soa);
    }
    let table = root.table("soa", &SOA_KEYS)?;
    let lengths = seconds(1)..=seconds(365 * 24 * 3600);
    let length = |value: Value<'_>| value.seconds(lengths.clone());
    table.read_into("mname", &mut soa.mname, |value| value.name(apex).map(Some));
    table.read_into("rname", &mut soa.rname, |value| read_mailbox(value, apex));
    table.read_into("refresh", &mut soa.refresh, length);
    table.read_into("retry", &mut soa.retry, length);
    table.read_into("expire", &mut soa.expire, length);
    // RFC 2308 §5: longer negative answers than a day only make trouble.
    table.read_into("minimum", &mut soa.minimum, |value| {
        value.seconds(Duration::ZERO..=seconds(24 * 3600))
    });
    Some(soa)
}

/// The mailbox of whoever is responsible, as a name: the first dot stands for `@`.
fn read_mailbox(value: Value<'_>, apex: &Name) -> Option<Name> {
    let written = value.text("a mailbox, as a name")?;
    if let Some((local, domain)) = written.split_once('@').filter(|_| written != "@") {
        let error = value.error("an SOA has its mailbox as a name: a dot stands for the `@`");
        let meant = format!("{}.{domain}.", local.replace('.', "\\\\."));
        value.push(error.hint(format!("did you mean `\"{meant}\"`?")));
        return None;
    }
    value.name(apex)
}

impl Soa {
    fn record(&self, apex: &Name, first: &Name, serial: u32, span: Span) -> Record {
        let mname = self.mname.as_ref().unwrap_or(first);
        let mut rdata = [mname.as_wire(), self.rname.as_wire()].concat();
        let seconds = |length: Duration| u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        let times = [self.refresh, self.retry, self.expire, self.minimum].map(seconds);
        for number in [serial].into_iter().chain(times) {
            rdata.extend_from_slice(&number.to_be_bytes());
        }
        Record {
            owner: apex.clone(),
            rtype: RecordType::SOA,
            ttl: TTL_SECS,
            rdata: rdata.into(),
            span,
        }
    }
}

fn ns_record(apex: &Name, name: &Name, span: Span) -> Record {
    Record {
        owner: apex.clone(),
        rtype: RecordType::NS,
        ttl: TTL_SECS,
        rdata: name.as_wire().into(),
        span,
    }
}

/// FNV-1a of the zone file and the records, folded to 32 bits; never 0, which some take for "none".
fn digest(text: &str, records: &[Record]) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(text.as_bytes());
    for record in records {
        add(record.owner.as_wire());
        add(&record.rtype.0.to_be_bytes());
        add(&record.ttl.to_be_bytes());
        add(&record.rdata);
    }
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h])).max(1)
}
