//! Steered types at every kind of name, as other readers of DNS messages see them.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use domain::base::rdata::ComposeRecordData as _;
use domain::rdata::AllRecordData;
use hickory_proto::op::Message;
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};
use windrose::config::{self, ZoneFiles};
use windrose::dns::{Arrival, Dice, Pairs, handle};
use windrose::geo::Atlas;
use windrose::model::{Name, RecordType, Report, Target, TargetHealth, Time};
use windrose::snapshot::{Blueprint, Conditions, Snapshot};
use windrose::zone::{rdata_from_text, rdata_to_text};

/// One rule at a plain name, at a wildcard and at the apex, and one that has no addresses.
const ZONE: &str = r#"
zone = "shop.test"
nameservers = ["ns.example.net."]
[regions.eu]
location = "IE"
[pools.eu]
region = "eu"
endpoints = [{ name = "eu-1", address = ["192.0.2.10", "2001:db8::10"], host = "eu-1", port = 8443, priority = 10, text = 'a "b" ; c' }]
[pools.cdn]
region = "eu"
endpoints = [{ host = "lb.example.net.", port = 443 }]

[steer.www]
policy  = "failover"
pools   = ["eu"]
https   = { alpn = ["h3", "h2"], port = 8443, ech = "AEX+DQ==" }
svcb    = { alpn = ["dot"], no-default-alpn = true, dohpath = "/q{?dns}" }
[steer.www.records]
MX    = "{priority} {host}"
TXT   = '"{text}" {region}/{pool}'
URI   = '10 1 "https://{v4}:{port}/{{x}}"'
NAPTR = '{priority} 10 "s" "SIP+D2U" "" {host}'
TLSA  = "3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[steer."*.wild"]
policy  = "failover"
pools   = ["eu"]
https   = { alpn = ["h3", "h2"], port = 8443, ech = "AEX+DQ==" }
records = { MX = "{priority} {host}" }
[steer."@"]
policy  = "failover"
pools   = ["eu"]
https   = { alpn = ["h3", "h2"], port = 8443, ech = "AEX+DQ==" }
records = { MX = "{priority} {host}" }
[steer."_svc._tcp"]
policy    = "failover"
pools     = ["cdn"]
addresses = false
https     = { alpn = ["h2"] }
records   = { SRV = "1 {weight} {port} {host}" }
[steer.cdn]
policy  = "failover"
pools   = ["cdn"]
https   = { alpn = ["h2"] }
records = { SRV = "1 {weight} {port} {host}" }
"#;

const HTTPS: &str =
    "1 . alpn=h3,h2 port=8443 ipv4hint=192.0.2.10 ech=AEX+DQ== ipv6hint=2001:db8::10";

/// Name, type and data of each question's answer; nothing for NODATA.
const ANSWERS: &[(&str, &str, &str)] = &[
    ("www.shop.test.", "A", "192.0.2.10"),
    ("www.shop.test.", "AAAA", "2001:db8::10"),
    ("www.shop.test.", "HTTPS", HTTPS),
    (
        "www.shop.test.",
        "SVCB",
        "1 . alpn=dot no-default-alpn ipv4hint=192.0.2.10 ipv6hint=2001:db8::10 dohpath=/q{?dns}",
    ),
    ("www.shop.test.", "MX", "10 eu-1.shop.test."),
    ("www.shop.test.", "TXT", r#""a \"b\" ; c" "eu/eu""#),
    ("www.shop.test.", "URI", r#"10 1 "https://192.0.2.10:8443/{x}""#),
    ("www.shop.test.", "NAPTR", r#"10 10 "s" "SIP+D2U" "" eu-1.shop.test."#),
    (
        "www.shop.test.",
        "TLSA",
        "3 1 1 E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    ),
    ("www.shop.test.", "SRV", ""),
    ("www.shop.test.", "CNAME", ""),
    ("a.b.wild.shop.test.", "A", "192.0.2.10"),
    ("a.b.wild.shop.test.", "AAAA", "2001:db8::10"),
    ("a.b.wild.shop.test.", "HTTPS", HTTPS),
    ("a.wild.shop.test.", "MX", "10 eu-1.shop.test."),
    ("a.wild.shop.test.", "TXT", ""),
    ("shop.test.", "A", "192.0.2.10"),
    ("shop.test.", "AAAA", "2001:db8::10"),
    ("shop.test.", "HTTPS", HTTPS),
    ("shop.test.", "MX", "10 eu-1.shop.test."),
    ("shop.test.", "NS", "ns.example.net."),
    ("_svc._tcp.shop.test.", "A", ""),
    ("_svc._tcp.shop.test.", "HTTPS", "1 lb.example.net. alpn=h2"),
    ("_svc._tcp.shop.test.", "SRV", "1 1 443 lb.example.net."),
    // Where there are addresses, a host name is a CNAME for every type.
    ("cdn.shop.test.", "A", "CNAME lb.example.net."),
    ("cdn.shop.test.", "HTTPS", "CNAME lb.example.net."),
    ("cdn.shop.test.", "SRV", "CNAME lb.example.net."),
    ("cdn.shop.test.", "TXT", "CNAME lb.example.net."),
];

struct OneFile(Arc<str>);

impl ZoneFiles for OneFile {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["shop.test.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(Arc::clone(&self.0))
    }
}

fn snapshot() -> Snapshot {
    snapshot_of(ZONE)
}

fn snapshot_of(zone: &str) -> Snapshot {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, &OneFile(zone.into()));
    assert_eq!(report.to_string(), "");
    let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
    let up = |_: &Target| TargetHealth::UNCHECKED;
    Snapshot::compile(blueprint, 1, &Conditions::new(Time::ZERO, &up)).unwrap()
}

fn reply(snapshot: &Snapshot, name: &Name, rtype: RecordType) -> Vec<u8> {
    reply_to(snapshot, name, rtype, IpAddr::from([198, 18, 0, 53]), &mut Dice::new(1))
}

fn reply_to(
    snapshot: &Snapshot,
    name: &Name,
    rtype: RecordType,
    client: IpAddr,
    dice: &mut Dice,
) -> Vec<u8> {
    let mut packet = vec![0xca, 0xfe, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(name.as_wire());
    packet.extend_from_slice(&rtype.0.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    let arrival = Arrival { client, is_udp: false, unix_secs: 1_800_000_000 };
    let mut out = vec![0; 65_535];
    let outcome = handle(snapshot, &packet, arrival, dice, &mut out);
    out.truncate(outcome.len);
    out
}

/// Owner, type and data of each answer, as `hickory-proto` reads them.
fn by_hickory(reply: &[u8]) -> Vec<(String, RecordType, Vec<u8>)> {
    let message = Message::from_vec(reply).unwrap();
    let one = |record: &hickory_proto::rr::Record| {
        let mut wire = Vec::new();
        let mut encoder = BinEncoder::new(&mut wire);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        record.data.emit(&mut encoder).unwrap();
        (record.name.to_string(), RecordType(record.record_type().into()), wire)
    };
    message.answers.iter().map(one).collect()
}

/// The same, as `domain` reads them.
fn by_domain(reply: &[u8]) -> Vec<(String, RecordType, Vec<u8>)> {
    let message = domain::base::Message::from_octets(reply).unwrap();
    let records = message.answer().unwrap().map(Result::unwrap);
    records
        .map(|record| {
            let record = record.into_record::<AllRecordData<_, _>>().unwrap().unwrap();
            let mut wire = Vec::new();
            record.data().compose_rdata(&mut wire).unwrap();
            (format!("{}.", record.owner()), RecordType(record.rtype().to_int()), wire)
        })
        .collect()
}

#[test]
fn every_steered_type_is_read_by_others_as_it_was_meant() {
    let snapshot = snapshot();
    let mut report = Report::new();
    let place = windrose::model::Span::new(report.add_source("", ""), 0..0);
    for (name, asked, data) in ANSWERS {
        let (owner, rtype): (Name, RecordType) = (name.parse().unwrap(), asked.parse().unwrap());
        let reply = reply(&snapshot, &owner, rtype);
        let expected = match data.strip_prefix("CNAME ") {
            _ if data.is_empty() => Vec::new(),
            Some(target) => vec![(RecordType::CNAME, target)],
            None => vec![(rtype, *data)],
        };
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(rtype, text)| {
                let wire = rdata_from_text(rtype, text, &owner, place).unwrap();
                assert_eq!(rdata_to_text(rtype, &wire), text);
                ((*name).to_owned(), rtype, wire)
            })
            .collect();
        assert_eq!(by_hickory(&reply), expected, "{name} {asked} by hickory-proto");
        assert_eq!(by_domain(&reply), expected, "{name} {asked} by domain");
    }
}

#[test]
fn what_no_message_holds_is_an_error() {
    let read = |count: u8, len: usize| {
        let text = "x".repeat(255);
        let text = vec![format!("\"{text}\""); len / 256].join(" ");
        let endpoints: Vec<_> =
            (0..count).map(|n| format!("{{ address = '192.0.2.{n}' }}")).collect();
        let zone = format!(
            "zone = 'shop.test'\nnameservers = ['ns.example.net.']\n\
             [regions.eu]\nlocation = 'IE'\n\
             [pools.eu]\nregion = 'eu'\nendpoints = [{}]\n\
             [steer.www]\npolicy = 'failover'\npools = ['eu']\nrecords = {{ TXT = '{text}' }}\n",
            endpoints.join(", ")
        );
        let mut report = Report::new();
        config::read_zones(&mut report, &OneFile(zone.into()));
        report.to_string()
    };
    assert_eq!(read(8, 2048), "");
    // One answer names 32 at most.
    assert_eq!(read(40, 1792), "");
    let told = read(40, 2048);
    assert!(told.contains("an answer may come to 65920 octets"), "{told}");
}

// ---- Together ----

/// Pools of three regions with both families, told apart by their last octet.
const REGIONS: &str = "zone = 'shop.test'\nnameservers = ['ns1.example.net.']\n\
    [regions.a]\nlocation = [50, 10]\n[regions.b]\nlocation = [40, -75]\n\
    [regions.c]\nlocation = [20, 70]\n[feeds.told]\nkind = 'push'\n\
    [pools.a]\nregion = 'a'\nfeed = 'told'\nendpoints = [{ address = ['192.0.2.1', '2001:db8::1'] }]\n\
    [pools.b]\nregion = 'b'\nfeed = 'told'\nendpoints = [{ address = ['192.0.2.2', '2001:db8::2'] }]\n\
    [pools.c]\nregion = 'c'\nfeed = 'told'\nendpoints = [{ address = ['192.0.2.3', '2001:db8::3'] }]\n";

/// Answers to A, AAAA and HTTPS that come from one client at once, each to a thread of its own.
#[test]
fn the_types_of_a_client_come_from_one_region_whatever_the_policy() {
    for (policy, more) in [
        ("weighted", "weights = { a = 5, b = 3, c = 2 }\n"),
        ("random", ""),
        ("round-robin", ""),
        ("all", ""),
        ("sticky", ""),
        ("least-load", ""),
        ("least-load", "sticky = true\n"),
        ("failover", "trickle = '30%'\npick = { policy = 'weighted' }\n"),
    ] {
        let steer =
            format!("[steer.www]\npolicy = '{policy}'\npools = ['a', 'b', 'c']\nhttps = {{}}\n");
        let by_load = "[steer.other]\npolicy = 'least-load'\npools = ['a', 'b', 'c']\n";
        let snapshot = snapshot_of(&format!("{REGIONS}{steer}{more}{by_load}"));
        let name: Name = "www.shop.test.".parse().unwrap();
        let pairs = Arc::new(Pairs::new(7));
        let mut threads = [1, 2, 3].map(|seed| Dice::new(seed).with_pairs(&pairs));
        let mut regions = BTreeMap::new();
        for n in 0..300_u32 {
            let client = IpAddr::from((0x0a00_0000 | n << 8).to_be_bytes());
            let types = [RecordType::A, RecordType::AAAA, RecordType::HTTPS];
            let firsts = { types.into_iter().zip(&mut threads) }.map(|(rtype, dice)| {
                let reply = reply_to(&snapshot, &name, rtype, client, dice);
                let answers = by_hickory(&reply);
                let (_, _, first) = answers.first().expect("an answer");
                // An address ends with it; the first hint of HTTPS is four octets of IPv4.
                let hints =
                    |data: &[u8]| data.windows(4).find(|w| w[..3] == [192, 0, 2]).unwrap()[3];
                if rtype == RecordType::HTTPS { hints(first) } else { *first.last().unwrap() }
            });
            let firsts: Vec<u8> = firsts.collect();
            assert!(firsts.iter().all(|first| *first == firsts[0]), "{policy} {n}: {firsts:?}");
            *regions.entry(firsts[0]).or_insert(0) += 1;
        }
        assert!(regions.len() > 1, "{policy}: {regions:?}");
    }
}
