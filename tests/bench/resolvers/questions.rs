//! What resolvers are asked: every name of the zones and names that are not there, with every type that
//! means something to them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use windrose::files::ZoneDirectory;
use windrose::model::{Name, RecordType, Report};

/// Types that each name is asked for.
pub(crate) const TYPES: [RecordType; 16] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::NS,
    RecordType::SOA,
    RecordType::MX,
    RecordType::TXT,
    RecordType::PTR,
    RecordType::SRV,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::CAA,
    RecordType::DS,
    RecordType::DNAME,
    RecordType::TLSA,
    RecordType(65280),
];

/// Names that no file names: below wildcards, below DNAMEs, between names, and nowhere.
const OTHERS: [&str; 24] = [
    "nothing.test.",
    "a.nothing.test.",
    "nothing.",
    "nothing.example.test.",
    "a.b.c.nothing.example.test.",
    "a.wild.example.test.",
    "a.b.wild.example.test.",
    "below.named.wild.example.test.",
    "a.wild-www.example.test.",
    "a.tree.example.test.",
    "named.tree.example.test.",
    "a.tree-www.example.test.",
    "a.shop.example.test.",
    "a.b.shop.example.test.",
    "shop.example.test.",
    "below.www.example.test.",
    "nothing.ent.example.test.",
    "nothing.team.example.test.",
    "nothing.far.example.test.",
    "a.wild.far.example.test.",
    "plain.moved.elsewhere.test.",
    "www.moved.elsewhere.test.",
    "nothing.moved.elsewhere.test.",
    "CaSe.WiLd.ExAmPlE.tEsT.",
];

/// All names, in wire form.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut names = BTreeSet::new();
    for place in ["root", "tld", "leaf"] {
        let mut report = Report::new();
        let zones =
            windrose::config::read_zones(&mut report, &ZoneDirectory::new(&directory.join(place)));
        if report.has_errors() {
            return Err(io::Error::other(report.render(false)));
        }
        for zone in &zones {
            let owners = windrose::zone::records(&zone.names).map(|(owner, ..)| owner);
            for name in owners.chain(zone.steers.iter().map(|steer| steer.owner.clone())) {
                names.insert(name.as_wire().to_vec());
                // Names between records exist, too.
                names.extend(
                    name.parent()
                        .filter(|parent| parent.is_at_or_below(&zone.apex))
                        .map(|parent| parent.as_wire().to_vec()),
                );
            }
        }
    }
    // Nobody serves what is delegated there; it is asked for apart.
    names.retain(|name| !name.starts_with(b"\x04lame"));
    let parsed = OTHERS.iter().map(|name| Name::parse(name, &Name::root()).expect("a name above"));
    names.extend(parsed.map(|name| name.as_wire().to_vec()));
    Ok(names.into_iter().collect())
}
