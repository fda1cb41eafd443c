//! The records of a zone, as sets that can be compared: from master files by our reader, and from BIND's raw
//! form.

use std::collections::BTreeSet;
use std::path::Path;

use windrose::config::{ZoneFiles, read_master};
use windrose::files::ZoneDirectory;
use windrose::model::{Name, Report};
use windrose::zone::read_records;

/// A record: its owner in lower case, TTL, type and data.
pub(crate) type Line = (Vec<u8>, u32, u16, Vec<u8>);

/// A zone's records, equal ones once.
pub(crate) type Reading = BTreeSet<Line>;

/// The zone's name in all cases.
pub(crate) const APEX: &str = "example.com";

/// What we read from `name` in `directory`; `None` when the file has errors.
pub(crate) fn ours(directory: &Path, name: &str) -> Option<Reading> {
    let apex: Name = APEX.parse().expect("a name");
    let files = ZoneDirectory::new(directory);
    read_master(&mut Report::new(), &files, name, apex.clone())?;
    // Again, as it is written: what a delegation hides is not kept, nor are different TTLs of an rrset.
    let mut report = Report::new();
    let source = report.add_source(name, files.read(name).ok()?);
    let mut include = |report: &mut Report, name: &str| {
        files.read(name).map(|text| report.add_source(name, text))
    };
    let line = |record: &windrose::model::Record| {
        let owner = record.owner.to_lowercase().as_wire().to_vec();
        (owner, record.ttl, record.rtype.0, record.rdata.to_vec())
    };
    Some(read_records(&mut report, source, &apex, &mut include).iter().map(line).collect())
}

/// Octets that stand before the first rrset of BIND's raw form, version 1.
const HEADER_LEN: usize = 24;

/// The records of BIND's raw form: rrsets of a length, class, type, type covered, TTL, count, owner, data,
/// the last two behind their lengths. `None` when it is something else.
pub(crate) fn of_raw(raw: &[u8]) -> Option<Reading> {
    let mut rest = raw.get(HEADER_LEN..)?;
    let mut lines = Reading::new();
    while !rest.is_empty() {
        let (_len, _class) = (u32::from_be_bytes(take(&mut rest)?), take::<2>(&mut rest)?);
        let (rtype, _covers) = (u16::from_be_bytes(take(&mut rest)?), take::<2>(&mut rest)?);
        let (ttl, count) =
            (u32::from_be_bytes(take(&mut rest)?), u32::from_be_bytes(take(&mut rest)?));
        let owner = counted(&mut rest)?.to_ascii_lowercase();
        for _ in 0..count {
            lines.insert((owner.clone(), ttl, rtype, counted(&mut rest)?.to_vec()));
        }
    }
    Some(lines)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16::from_be_bytes(take(rest)?);
    let (taken, left) = rest.split_at_checked(len.into())?;
    *rest = left;
    Some(taken)
}
