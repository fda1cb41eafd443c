//! One database record, whoever wrote it.
//!
//! Vendors agree on the container (MMDB) and on nothing inside it. [`Record`] decodes the few keys that
//! any of them uses, and [`Record::location`] tries the paths in order. What is malformed counts as
//! missing: a bad longitude costs the coordinates, not the country.
//!
//! ```text
//!               MaxMind, DB-IP (nested)       ip-location-db (flat)  IPinfo (flat, numbers as text)
//! country       country.iso_code, then        country_code           country_code, country
//!               registered_country.iso_code
//! continent     continent.code                –                      continent_code, continent
//! subdivision   subdivisions[0].iso_code      state1                 region_code
//! coordinates   location.latitude/longitude   latitude, longitude    lat, lng
//! ASN           autonomous_system_number      same                   asn = "AS15169"
//! ```

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::{Continent, Coordinates, Country, Location};

/// The keys that lead to something; the rest (names in eight languages above all) is skipped.
const KEYS: [&str; 22] = [
    "asn",
    "autonomous_system_number",
    "code",
    "continent",
    "continent_code",
    "country",
    "country_code",
    "iso_code",
    "lat",
    "latitude",
    "lng",
    "location",
    "lon",
    "longitude",
    "region",
    "region_code",
    "registered_country",
    "state1",
    "subdivision",
    "subdivision_code",
    "subdivisions",
    "traits",
];

/// A decoded record, or a part of one: whatever stands under a key of [`KEYS`].
#[derive(Debug)]
pub(super) enum Record<'a> {
    Text(&'a str),
    Number(f64),
    Map(Vec<(&'a str, Self)>),
    /// A value of a type that none of our fields has.
    Other,
}

impl Record<'_> {
    /// What the record says of its network's location. No centroid is filled in.
    pub(super) fn location(&self) -> Location {
        let country = [
            &["country_code"][..],
            &["country", "iso_code"],
            &["country"],
            &["registered_country", "iso_code"],
        ];
        let continent = [&["continent", "code"][..], &["continent_code"], &["continent"]];
        let subdivision = [
            &["subdivisions", "iso_code"][..],
            &["region_code"],
            &["subdivision_code"],
            &["subdivision"],
            &["state1"],
            &["region"],
        ];
        let asn =
            [&["autonomous_system_number"][..], &["asn"], &["traits", "autonomous_system_number"]];
        let country = self.first(&country, Record::country);
        Location {
            continent: self.first(&continent, |value| Continent::new(value.text()?)),
            country,
            subdivision: self.first(&subdivision, |value| value.subdivision(country)),
            coordinates: self.coordinates(),
            asn: self.first(&asn, Record::asn),
        }
    }

    /// The first of `paths` under which there is something that `read` accepts.
    fn first<T>(&self, paths: &[&[&str]], read: impl Fn(&Self) -> Option<T>) -> Option<T> {
        paths.iter().find_map(|path| read(self.at(path)?))
    }

    /// What stands under a path of keys.
    fn at(&self, path: &[&str]) -> Option<&Self> {
        let Some((key, rest)) = path.split_first() else { return Some(self) };
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(known, _)| known == key)?.1.at(rest)
    }

    const fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Map(_) | Self::Other => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Map(_) | Self::Other => None,
        }
    }

    /// `ZZ` and `XX` are ISO 3166's "unknown" as vendors write it.
    fn country(&self) -> Option<Country> {
        Country::new(self.text()?).filter(|country| !["ZZ", "XX"].contains(&country.code()))
    }

    /// One to three letters or digits (ISO 3166-2), with or without the country in front; names are
    /// not codes.
    fn subdivision(&self, country: Option<Country>) -> Option<Box<str>> {
        let text = self.text()?;
        let code = match text.split_once('-') {
            Some((prefix, code)) if Country::new(prefix) == country => code,
            Some(_) => return None,
            None => text,
        };
        let is_code =
            (1..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
        is_code.then(|| code.to_ascii_uppercase().into())
    }

    fn coordinates(&self) -> Option<Coordinates> {
        let latitude = [&["location", "latitude"][..], &["latitude"], &["lat"]];
        let longitude = [&["location", "longitude"][..], &["longitude"], &["lng"], &["lon"]];
        let latitude = self.first(&latitude, Record::number)?;
        let longitude = self.first(&longitude, Record::number)?;
        // Nobody lives at 0, 0; that is how some flat files write "unknown".
        Coordinates::new(latitude, longitude).filter(|at| at.latitude != 0.0 || at.longitude != 0.0)
    }

    /// A number, or text with or without `AS` in front. AS 0 is nobody's (RFC 7607).
    fn asn(&self) -> Option<u32> {
        let text = match self {
            // A float shows a whole number without a fraction, so that it parses like text.
            Self::Number(number) => &number.to_string(),
            Self::Text(text) => text.trim(),
            Self::Map(_) | Self::Other => return None,
        };
        let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
        digits.parse().ok().filter(|&asn| asn != 0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Record::Text(text))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Record::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        // Nothing that we read is larger than an ASN.
        Ok(u32::try_from(number).map_or(Record::Other, |number| Record::Number(number.into())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(i32::try_from(number).map_or(Record::Other, |number| Record::Number(number.into())))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Self::Value, E> {
        Ok(Record::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Record::Other)
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Record::Other)
    }

    /// A list stands for its first element: of several subdivisions that is the largest.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let first = seq.next_element()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first.unwrap_or(Record::Other))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<&'de str>()? {
            if KEYS.contains(&key) {
                entries.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Record::Map(entries))
    }
}
