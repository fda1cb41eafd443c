//! `[regions.NAME]`: places that we serve from.

use std::ops::RangeInclusive;

use super::names::Names;
use super::places;
use super::reader::{Key, Keys, Value};
use crate::model::{Coordinates, Region, RegionId};

pub(super) const KEYS: Keys =
    Keys { place: "regions.NAME", known: &["location", "fallback", "bias"], unbuilt: &[] };

/// How much nearer or farther than it is a region may seem, in percent, as in Route 53.
pub(super) const BIAS: RangeInclusive<i8> = -99..=99;

/// Where a region is taken to be after its location was found to be faulty.
const NOWHERE: Coordinates = Coordinates { latitude: 0.0, longitude: 0.0 };

/// Reads one region. After a finding the result is only good for going on.
pub(super) fn read<'d>(
    (key, value): (Key<'d>, Value<'d>),
    regions: &Names<'d, RegionId>,
) -> Region {
    let what = format!("region `{}`", key.text);
    let mut region =
        Region { name: key.text.to_owned(), coordinates: NOWHERE, fallback: Vec::new(), bias: 0 };
    let Some(table) = value.table(what, &KEYS) else { return region };
    if let Some(location) = table.require("location", "[53.35, -6.26]").and_then(read_location) {
        region.coordinates = location;
    }
    table.read_into("bias", &mut region.bias, |value| value.signed(BIAS));
    let items = table.get("fallback").map(|list| list.list("regions")).unwrap_or_default();
    for item in items {
        let Some(id) = regions.mention(&table.what, item) else { continue };
        if regions.all().nth(id.index()) == Some(key.text) {
            item.push(item.error(format!("{} is its own fallback", table.what)));
        } else if region.fallback.contains(&id) {
            item.push(item.error(format!("{} names this fallback twice", table.what)));
        } else {
            region.fallback.push(id);
        }
    }
    region
}

/// `[latitude, longitude]`, a country's code, or a city with its country.
pub(super) fn read_location(value: Value<'_>) -> Option<Coordinates> {
    const EXPECTED: &str = "[latitude, longitude], a country such as `\"IE\"`, or a large city \
                            such as `\"Dublin, IE\"`";
    if let Some(list) = value.as_list() {
        return read_pair(value, &list);
    }
    value.parsed(EXPECTED, places::find)
}

fn read_pair(value: Value<'_>, list: &[Value<'_>]) -> Option<Coordinates> {
    let [latitude, longitude] = list else {
        let error = value.error("a location is two numbers: [latitude, longitude]");
        value.push(error.label(format!("found {}", list.len())));
        return None;
    };
    let (Some(north), Some(east)) = (latitude.as_number(), longitude.as_number()) else {
        for item in list.iter().filter(|item| item.as_number().is_none()) {
            item.wrong_type("two numbers: [latitude, longitude]");
        }
        return None;
    };
    let coordinates = Coordinates::new(north, east);
    if coordinates.is_none() {
        let error = value
            .error("no such place on the globe")
            .label("latitude is -90 (south) to 90 (north), longitude -180 (west) to 180 (east)");
        value.push(match Coordinates::new(east, north) {
            Some(_) => error.hint(format!("latitude comes first: did you mean [{east}, {north}]?")),
            None => error,
        });
    }
    coordinates
}
