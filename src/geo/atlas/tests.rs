//! Several databases as one atlas: who wins, what is merged, what is left out.

use super::*;
use crate::geo::centroid;
use crate::geo::writer::{Value, Writer};
use crate::model::{Continent, Coordinates, Country};

fn database(name: &str, rows: &[(&str, Value)]) -> Database {
    let mut writer = Writer::v6(name);
    for (network, record) in rows {
        writer.insert(network.parse().unwrap(), record);
    }
    Database::open(name, writer.finish()).unwrap()
}

fn country(code: &str) -> Value {
    Value::from([("country_code", code.into())])
}

fn city(code: &str, latitude: f64, longitude: f64) -> Value {
    Value::from([
        ("country_code", code.into()),
        ("latitude", latitude.into()),
        ("longitude", longitude.into()),
    ])
}

fn locate<'a>(atlas: &'a Atlas, address: &str) -> Located<'a> {
    atlas.locate(address.parse().unwrap())
}

#[test]
fn the_first_database_that_knows_a_field_wins() {
    let own =
        database("own", &[("192.0.2.0/24", country("FR")), ("198.51.100.0/24", country("DE"))]);
    let asn = database("asn", &[("192.0.0.0/8", [("asn", "AS64500".into())].into())]);
    let rest = database(
        "city",
        &[("192.0.0.0/16", city("DE", 52.5, 13.4)), ("198.51.100.0/22", city("DE", 48.1, 11.6))],
    );
    let atlas = Atlas::build(vec![own, asn, rest]).unwrap();

    // Other countries' coordinates are not taken over: France has its centroid.
    let disputed = locate(&atlas, "192.0.2.1");
    assert_eq!(disputed.location.country, Country::new("FR"));
    assert_eq!(disputed.location.continent, Some(Continent::Europe));
    let france = centroid::of(Country::new("FR").unwrap()).unwrap();
    assert_eq!(disputed.location.coordinates, Some(france.coordinates));
    assert_eq!(disputed.location.asn, Some(64500));
    let names: Vec<_> =
        disputed.rows.iter().map(|(name, network)| (*name, network.len())).collect();
    assert_eq!(names, [("own", 24), ("asn", 8), ("city", 16)]);

    let agreed = locate(&atlas, "198.51.100.9").location;
    assert_eq!(agreed.coordinates, Coordinates::new(48.1, 11.6));
    let below = locate(&atlas, "192.0.3.1").location;
    assert_eq!((below.country, below.asn), (Country::new("DE"), Some(64500)));
    let asn_alone = locate(&atlas, "192.1.0.1").location;
    assert_eq!(asn_alone, Location { asn: Some(64500), ..Location::default() });
}

#[test]
fn transition_addresses_are_located_by_their_ipv4_address() {
    let rows = [("192.0.2.0/24", country("JP")), ("2001:db8::/32", country("IN"))];
    let atlas = Atlas::build(vec![database("test", &rows)]).unwrap();
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "2002:c000:201::1", "64:ff9b::192.0.2.1"] {
        let located = locate(&atlas, address);
        assert_eq!(located.location.country, Country::new("JP"), "{address}");
        assert_eq!(located.address, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(located.rows.len(), 1);
    }
    assert_eq!(locate(&atlas, "2001:db8::1").location.country, Country::new("IN"));
}

#[test]
fn an_empty_atlas_knows_nothing() {
    let atlas = Atlas::empty();
    for address in ["192.0.2.1", "2001:db8::1", "255.255.255.255", "::"] {
        assert_eq!(locate(&atlas, address).location, Location::default());
    }
    assert_eq!(atlas.databases().count(), 0);
}

#[test]
fn a_file_for_each_family_is_one_atlas() {
    let mut v4 = Writer::v4("v4");
    v4.insert("192.0.2.0/24".parse().unwrap(), &country("GB"));
    let v4 = Database::open("v4", v4.finish()).unwrap();
    let v6 = database("v6", &[("2001:db8::/32", country("US"))]);
    let atlas = Atlas::build(vec![v4, v6]).unwrap();
    assert_eq!(locate(&atlas, "192.0.2.1").location.country, Country::new("GB"));
    assert_eq!(locate(&atlas, "2001:db8::1").location.country, Country::new("US"));
    assert_eq!(locate(&atlas, "2001:db9::1").location.country, None);
}
