//! The SOA and NS records of a zone, made from its zone file unless the master file has them.
//!
//! The serial of an SOA that is made is a digest of what the zone says, so that nodes with the same
//! files agree on it without talking. It changes with every change, but not always upwards: it tells
//! two versions apart, it does not order them.

use std::time::Duration;

use super::reader::{Keys, Table, Value};
use crate::model::{Name, Record, RecordType, Span};
use crate::zone::NamesBuilder;

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

/// What a zone file says of its SOA and NS.
pub(super) struct Authority<'d> {
    nameservers: Option<(Value<'d>, Vec<Name>)>,
    /// Where `soa` was written, if it was.
    soa_written: Option<Value<'d>>,
    soa: Soa,
}

impl<'d> Authority<'d> {
    /// Reads it.
    pub(super) fn read(root: &Table<'d>, apex: &Name) -> Self {
        Self {
            nameservers: read_nameservers(root, apex),
            soa_written: root.get("soa"),
            soa: read_soa(root, apex),
        }
    }

    /// Adds to `zone`, the names of the master file, what they lack. `text` is the zone file.
    pub(super) fn complete(
        &self,
        root: &Table<'d>,
        apex: &Name,
        text: &str,
        zone: &mut NamesBuilder,
    ) {
        let is_soa = |(rtype, _): &(RecordType, Span)| *rtype == RecordType::SOA;
        let master_soa = zone.types_at(apex).into_iter().find(is_soa).map(|(_, place)| place);
        let master_ns = zone.rdatas_at(apex, RecordType::NS);
        let master_ns: Vec<Name> = master_ns.iter().filter_map(|rdata| host(rdata)).collect();
        let names = self.choose_nameservers(root, apex, &master_ns);
        let span = self.nameservers.as_ref().map_or(root.span, |(value, _)| value.span);
        if master_ns.is_empty() {
            for name in &names {
                zone.add((&ns_record(apex, name, span)).into());
            }
        }
        match (self.soa_written, master_soa) {
            (Some(value), Some(master)) => {
                let error = value.error("the zone has two SOA records");
                let error =
                    error.label("one is made from this").also(master, "one is written here");
                value.push(error.hint("remove one of the two"));
            }
            (None, Some(_)) => {}
            (written, None) => {
                let Some(first) = names.first() else { return };
                let serial = digest(text, zone);
                let span = written.map_or(span, |value| value.span);
                zone.add((&self.soa.record(apex, first, serial, span)).into());
            }
        }
    }

    /// The zone's name servers: those of the master file, if it has any, else those of the zone
    /// file.
    fn choose_nameservers(&self, root: &Table<'d>, apex: &Name, master: &[Name]) -> Vec<Name> {
        match &self.nameservers {
            Some((value, names)) if !master.is_empty() => {
                warn_difference(*value, names, master);
                master.to_vec()
            }
            Some((_, names)) => names.clone(),
            None => {
                if master.is_empty() && !root.is_misspelt("nameservers") {
                    let hint = format!(
                        "add `nameservers = [\"ns1.{apex}\"]`, or NS records of the apex in the \
                         master file"
                    );
                    root.push(root.error("the zone has no name servers").hint(hint));
                }
                master.to_vec()
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
fn host(rdata: &[u8]) -> Option<Name> {
    Name::from_wire(rdata).ok().map(|(name, _)| name)
}

fn warn_difference(value: Value<'_>, written: &[Name], master: &[Name]) {
    let is_same = written.len() == master.len() && written.iter().all(|name| master.contains(name));
    if !is_same {
        let warning = value.warning("the master file has other NS records, which are used");
        value.push(warning.hint("remove `nameservers`, or the NS records of the apex"));
    }
}

fn read_soa(root: &Table<'_>, apex: &Name) -> Soa {
    let seconds = |count| Duration::from_secs(count);
    let mut soa = Soa {
        mname: None,
        rname: Name::parse("hostmaster", apex).unwrap_or_else(|_| apex.clone()),
        refresh: seconds(3600),
        retry: seconds(600),
        expire: seconds(7 * 24 * 3600),
        minimum: seconds(300),
    };
    let Some(table) = root.table("soa", &SOA_KEYS) else { return soa };
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
    soa
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
fn digest(text: &str, zone: &mut NamesBuilder) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(text.as_bytes());
    add(zone.octets());
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h])).max(1)
}
