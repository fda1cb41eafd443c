//! Every vendor's schema, real files, and files that are torn or made to harm.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::geo::writer::{Value, Writer};
use crate::geo::{Atlas, normalise};
use crate::model::{Continent, Coordinates, Country, Prefix};

const CITY: &[u8] = include_bytes!("../../../tests/data/geo/GeoIP2-City-Test.mmdb");
const COUNTRY: &[u8] = include_bytes!("../../../tests/data/geo/GeoLite2-Country-Test.mmdb");
const ASN: &[u8] = include_bytes!("../../../tests/data/geo/GeoLite2-ASN-Test.mmdb");
const BROKEN: [&[u8]; 4] = [
    include_bytes!("../../../tests/data/geo/cyclic-data-structure.mmdb"),
    include_bytes!("../../../tests/data/geo/invalid-data-record-offset.mmdb"),
    include_bytes!("../../../tests/data/geo/libmaxminddb-corrupt-search-tree.mmdb"),
    include_bytes!("../../../tests/data/geo/libmaxminddb-deep-nesting.mmdb"),
];

/// What a database says of one address.
#[derive(PartialEq, Debug)]
struct Row {
    network: Prefix,
    location: Location,
}

/// What the reader finds by itself; nothing is filled in.
fn read(database: &Database, address: IpAddr) -> Option<Row> {
    let found = database.reader.lookup(address).ok()?;
    let location = decode(&found)?;
    let network = found.network().ok()?;
    let network = match Prefix::new(network.ip(), network.prefix()) {
        // How the reader calls the record of all of IPv4.
        all if address.is_ipv4() && all == "::/96".parse().unwrap() => "0.0.0.0/0".parse().unwrap(),
        network => network,
    };
    network.contains(address).then_some(Row { network, location })
}

fn row(database: &Database, address: &str) -> Option<Row> {
    read(database, address.parse().unwrap())
}

/// The location that a file with this one record tells.
fn location(record: &Value) -> Location {
    let mut writer = Writer::v4("Test");
    writer.insert("192.0.2.0/24".parse().unwrap(), record);
    // A record of nothing else makes the file useless, so it has a second one.
    writer.insert("198.51.100.0/24".parse().unwrap(), &[("country_code", "DE".into())].into());
    let database = Database::open("test", writer.finish()).unwrap();
    row(&database, "192.0.2.1").unwrap().location
}

#[test]
fn the_vendors_own_files_are_read() {
    let city = Database::open("city", CITY.to_vec()).unwrap();
    let boxford = row(&city, "2.125.160.216").unwrap();
    assert_eq!(boxford.network.to_string(), "2.125.160.216/29");
    assert_eq!(boxford.location.country, Country::new("GB"));
    assert_eq!(boxford.location.continent, Some(Continent::Europe));
    assert_eq!(boxford.location.subdivision.as_deref(), Some("ENG"));
    assert_eq!(boxford.location.coordinates, Coordinates::new(51.75, -1.25));
    let japan = row(&city, "2001:218::1").unwrap();
    assert_eq!(japan.network.to_string(), "2001:218::/32");
    assert_eq!(japan.location.country, Country::new("JP"));
    assert_eq!(row(&city, "203.0.113.1"), None);
    let info = city.info();
    assert_eq!(&*info.database_type, "GeoIP2-City");
    assert!(info.has_country && info.has_coordinates && !info.has_asn);
    assert_eq!((info.ip_version, info.attribution.as_deref()), (6, None));

    let country = Database::open("country", COUNTRY.to_vec()).unwrap();
    assert_eq!(row(&country, "81.2.69.142").unwrap().location.country, Country::new("GB"));
    assert!(country.info().has_country && !country.info().has_coordinates);

    let asn = Database::open("asn", ASN.to_vec()).unwrap();
    assert_eq!(row(&asn, "1.128.0.1").unwrap().location.asn, Some(1221));
    assert!(asn.info().has_asn && !asn.info().has_country);
}

#[test]
fn every_vendors_schema_gives_the_same_location() {
    let expected = Location {
        continent: Some(Continent::NorthAmerica),
        country: Country::new("US"),
        subdivision: Some("CA".into()),
        coordinates: Coordinates::new(37.5, -122.25),
        asn: Some(15169),
    };
    let nested = Value::from([
        ("continent", [("code", "NA".into()), ("geoname_id", 6_255_149.into())].into()),
        (
            "country",
            [("iso_code", "US".into()), ("names", [("en", "United States".into())].into())].into(),
        ),
        ("registered_country", [("iso_code", "DE".into())].into()),
        (
            "subdivisions",
            Value::List(vec![
                [("iso_code", "CA".into())].into(),
                [("iso_code", "X".into())].into(),
            ]),
        ),
        ("location", [("latitude", 37.5.into()), ("longitude", (-122.25).into())].into()),
        ("traits", [("autonomous_system_number", 15169.into())].into()),
    ]);
    let flat = Value::from([
        ("country_code", "US".into()),
        ("continent_code", "NA".into()),
        ("state1", "CA".into()),
        ("state2", "".into()),
        ("latitude", Value::Float(37.5)),
        ("longitude", Value::Float(-122.25)),
        ("autonomous_system_number", 15169.into()),
    ]);
    let texts = Value::from([
        ("country", "United States".into()),
        ("country_code", "US".into()),
        ("continent", "North America".into()),
        ("continent_code", "NA".into()),
        ("region", "California".into()),
        ("region_code", "US-CA".into()),
        ("lat", "37.5".into()),
        ("lng", "-122.25".into()),
        ("asn", "AS15169".into()),
    ]);
    let older_texts = Value::from([
        ("country", "us".into()),
        ("continent", "NA".into()),
        ("region_code", "ca".into()),
        ("latitude", " 37.5 ".into()),
        ("lon", "-122.25".into()),
        ("asn", 15169.into()),
    ]);
    for record in [nested, flat, texts, older_texts] {
        assert_eq!(location(&record), expected, "{record:?}");
    }
}

#[test]
fn a_malformed_field_costs_that_field_alone() {
    let germany = Location { country: Country::new("DE"), ..Location::default() };
    let rest: [(&str, Value); 8] = [
        ("latitude", "north".into()),
        ("location", [("latitude", 91.0.into()), ("longitude", 0.0.into())].into()),
        ("location", [("latitude", f64::NAN.into()), ("longitude", 0.0.into())].into()),
        ("location", [("latitude", 0.0.into()), ("longitude", 0.0.into())].into()),
        ("asn", "AS".into()),
        ("asn", Value::Uint64(1 << 40)),
        ("continent", 7.into()),
        ("subdivisions", Value::List(Vec::new())),
    ];
    for (key, value) in rest {
        let record = Value::from([("country_code", "DE".into()), (key, value)]);
        assert_eq!(location(&record), germany, "{record:?}");
    }
    let fallback = [("registered_country", [("iso_code", "DE".into())].into())];
    assert_eq!(location(&fallback.into()), germany);
    for unknown in ["ZZ", "XX", "-", "", "Germany"] {
        let record = Value::from([("country_code", unknown.into())]);
        assert_eq!(location(&record).country, None, "{unknown}");
    }
}

#[test]
fn a_family_that_a_file_lacks_is_unknown() {
    let record = Value::from([("country_code", "DE".into())]);
    let mut v4 = Writer::v4("Test").description("IP geolocation by Example, https://example.net");
    v4.insert("192.0.2.0/24".parse().unwrap(), &record);
    let v4 = Database::open("v4", v4.finish()).unwrap();
    assert!(row(&v4, "192.0.2.1").is_some());
    assert_eq!(row(&v4, "2001:db8::1"), None);
    let attribution = v4.info().attribution.as_deref();
    assert_eq!(attribution, Some("IP geolocation by Example, https://example.net"));

    let mut v6 = Writer::v6("Test");
    v6.insert("2001:db8::/32".parse().unwrap(), &record);
    let v6 = Database::open("v6", v6.finish()).unwrap();
    assert!(row(&v6, "2001:db8::1").is_some());
    assert_eq!(row(&v6, "192.0.2.1"), None);
}

#[test]
fn useless_bytes_say_why() {
    let empty = Database::open("geo.mmdb", Vec::new()).unwrap_err().to_string();
    assert!(empty.starts_with("geo database `geo.mmdb`: not a whole MMDB file: "), "{empty}");
    let torn = Database::open("geo.mmdb", CITY[..CITY.len() / 2].to_vec()).unwrap_err();
    assert!(matches!(torn.kind, DatabaseErrorKind::Malformed(_)), "{torn}");
    let mut names = Writer::v6("Test");
    names.insert("2001:db8::/32".parse().unwrap(), &[("name", "example".into())].into());
    let useless = Database::open("geo.mmdb", names.finish()).unwrap_err();
    assert_eq!(useless.kind, DatabaseErrorKind::Useless);
}

#[test]
fn files_made_to_break_readers_are_errors() {
    for bytes in BROKEN {
        let built = Database::open("broken", bytes.to_vec()).and_then(|d| Atlas::build(vec![d]));
        assert!(built.is_err());
    }
}

/// A file with a record at `::/1` and one at the end of a line of ones, whose nodes but the first lead to
/// the next one on both sides.
fn with_shared_branches(len: u8) -> Vec<u8> {
    let mut writer = Writer::v6("Test");
    let record = Value::from([("country_code", "DE".into())]);
    writer.insert("::/1".parse().unwrap(), &record);
    writer.insert(Prefix::new(IpAddr::from([0xff; 16]), len), &record);
    let mut bytes = writer.finish();
    for node in 1..usize::from(len) {
        let (left, right) = (node * 8, node * 8 + 4);
        bytes.copy_within(right..right + 4, left);
    }
    bytes
}

#[test]
fn branches_that_are_stored_once_are_read_wherever_they_are() {
    let database = Database::open("shared", with_shared_branches(6)).unwrap();
    let atlas = Atlas::build(vec![database]).unwrap();
    for address in ["::1", "8000::", "8800::", "b000::", "ffff::"] {
        let located = atlas.locate(address.parse().unwrap());
        assert_eq!(located.location.country, Country::new("DE"), "{address}");
    }
}

#[test]
fn a_tree_of_more_paths_than_atoms_is_refused() {
    let error = Database::open("tangled", with_shared_branches(128)).unwrap_err();
    assert_eq!(error.kind, DatabaseErrorKind::Tangled);
}

/// Addresses of networks, and what lies close by or in other networks' clothes.
fn near(network: &Prefix) -> Vec<IpAddr> {
    let bits_of = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => v6.into(),
    };
    let first = bits_of(network.address());
    let is_v4 = network.address().is_ipv4();
    let width: u8 = if is_v4 { 32 } else { 128 };
    let all = u128::MAX >> (128 - width);
    let ones = all.checked_shr(network.len().into()).unwrap_or(0);
    let last = first | ones;
    [first, last, first.wrapping_sub(1), last.wrapping_add(1), first | (ones / 3)]
        .map(|bits| bits & all)
        .into_iter()
        .map(|bits| match u32::try_from(bits) {
            Ok(bits) if is_v4 => std::net::Ipv4Addr::from(bits).into(),
            _ => std::net::Ipv6Addr::from(bits).into(),
        })
        .collect()
}

#[test]
fn an_atlas_names_the_network_that_the_reader_finds() {
    for bytes in [CITY, COUNTRY, ASN] {
        let database = Database::open("vendor", bytes.to_vec()).unwrap();
        let same = Database::open("vendor", bytes.to_vec()).unwrap();
        let atlas = Atlas::build(vec![same]).unwrap();
        let networks = database.reader.networks(maxminddb::WithinOptions::default()).unwrap();
        let mut count = 0;
        for network in networks {
            let network = network.unwrap().network().unwrap();
            for address in near(&Prefix::new(network.ip(), network.prefix())) {
                let address = normalise::read_address(address);
                let told = atlas.locate(address).rows.into_iter().map(|(_, network)| network);
                let row = read(&database, address).map(|row| row.network);
                assert_eq!(told.collect::<Vec<_>>(), row.into_iter().collect::<Vec<_>>());
                count += 1;
            }
        }
        assert!(count > 500, "{count}");
    }
}

fn any_network() -> impl Strategy<Value = Prefix> {
    let len = || prop_oneof![3 => 8..=32_u8, 1 => 0..=8_u8];
    prop_oneof![
        (any::<std::net::Ipv4Addr>(), len()).prop_map(|(a, len)| Prefix::new(a.into(), len)),
        (any::<std::net::Ipv6Addr>(), 0..=128_u8).prop_map(|(a, len)| Prefix::new(a.into(), len)),
        (any::<u16>(), 100..=128_u8).prop_map(|(low, len)| Prefix::new(
            std::net::Ipv6Addr::from_bits(low.into()).into(),
            len
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_files_networks_are_those_that_the_reader_finds(
        networks in prop::collection::vec((any_network(), 0..3_u8), 1..40),
        is_v6 in any::<bool>(),
        addresses in prop::collection::vec(any::<IpAddr>(), 20),
    ) {
        let mut writer = if is_v6 { Writer::v6("Test") } else { Writer::v4("Test") };
        writer.insert("192.0.2.0/24".parse().unwrap(), &[("country_code", "DE".into())].into());
        let mut asked = addresses;
        for (network, kind) in networks {
            let record = match kind {
                0 => Value::from([("country_code", "US".into())]),
                1 => Value::from([("name", "nothing of use".into())]),
                // No record decodes from anything but a map.
                _ => Value::List(vec![7.into()]),
            };
            writer.insert(network, &record);
            asked.extend(near(&network));
        }
        let bytes = writer.finish();
        let Ok(database) = Database::open("any", bytes.clone()) else { return Ok(()) };
        let atlas = Atlas::build(vec![Database::open("any", bytes).unwrap()]).unwrap();
        for address in asked {
            let address = normalise::read_address(address);
            let row = read(&database, address).map(|row| row.network);
            let told = atlas.locate(address).rows.into_iter().map(|(_, network)| network);
            prop_assert_eq!(told.collect::<Vec<_>>(), row.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn corrupted_files_never_panic(
        file in prop::sample::select(vec![CITY, COUNTRY, ASN, BROKEN[0], BROKEN[2]]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        address in any::<IpAddr>(),
    ) {
        let mut bytes = file.to_vec();
        for (at, byte) in flips {
            bytes[at.index(file.len())] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(file.len()));
        }
        if let Ok(database) = Database::open("corrupted", bytes) {
            let address = normalise::read_address(address);
            let row = read(&database, address);
            if let Ok(atlas) = Atlas::build(vec![database]) {
                let networks = atlas.locate(address).rows.into_iter().map(|(_, network)| network);
                prop_assert!(networks.eq(row.map(|row| row.network)));
            }
        }
    }
}
