//! Distinct locations by number, so that tables hold numbers.

use std::collections::HashMap;

use super::centroid;
use crate::model::{Continent, Coordinates, Country, Location};

/// A location without ASN in 24 octets, equal only to itself: coordinates as bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Entry {
    /// Latitude and longitude; not numbers when they are not known.
    coordinates: [u64; 2],
    /// The place in [`Continent::ALL`], counted from 1; 0 is none.
    continent: u8,
    /// Zeros are none, here and below.
    country: [u8; 2],
    subdivision: [u8; SUBDIVISION_LEN_MAX],
}

/// Characters of a subdivision's code (ISO 3166-2).
const SUBDIVISION_LEN_MAX: usize = 3;

impl Entry {
    fn new(location: &Location) -> Self {
        let coordinates = location.coordinates.map_or([f64::NAN; 2], |c| [c.latitude, c.longitude]);
        let place =
            location.continent.and_then(|own| Continent::ALL.iter().position(|c| *c == own));
        let continent = place.map_or(0, |place| u8::try_from(place + 1).expect("seven continents"));
        let mut country = [0; 2];
        if let Some(own) = location.country {
            country.copy_from_slice(own.code().as_bytes());
        }
        let mut subdivision = [0; SUBDIVISION_LEN_MAX];
        let code = location.subdivision.as_deref().unwrap_or_default().bytes();
        subdivision.iter_mut().zip(code).for_each(|(to, from)| *to = from);
        Self { coordinates: coordinates.map(f64::to_bits), continent, country, subdivision }
    }

    fn location(self) -> Location {
        let [latitude, longitude] = self.coordinates.map(f64::from_bits);
        let text = |code: &'_ [u8]| -> Option<Box<str>> {
            let len = code.iter().position(|&octet| octet == 0).unwrap_or(code.len());
            let text = str::from_utf8(&code[..len]).expect("letters and digits");
            (!text.is_empty()).then(|| text.into())
        };
        Location {
            continent: usize::from(self.continent)
                .checked_sub(1)
                .map(|place| Continent::ALL[place]),
            country: str::from_utf8(&self.country).ok().and_then(Country::new),
            subdivision: text(&self.subdivision),
            coordinates: Coordinates::new(latitude, longitude),
            asn: None,
        }
    }
}

/// Locations without ASN by number. 0 is the empty location.
#[derive(Debug)]
pub(super) struct Locations(Box<[Entry]>);

impl Locations {
    /// The location of a number.
    pub(super) fn get(&self, number: u32) -> Location {
        self.0[number as usize].location()
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// Octets on the heap.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.0.len() * size_of::<Entry>()
    }
}

/// Numbers locations while databases are read.
pub(super) struct Numbering {
    entries: Vec<Entry>,
    numbers: HashMap<Entry, u32>,
}

impl Default for Numbering {
    fn default() -> Self {
        let mut numbering = Self { entries: Vec::new(), numbers: HashMap::new() };
        numbering.number_of(&Location::default());
        numbering
    }
}

impl Numbering {
    /// The number of a location, whose ASN does not count.
    pub(super) fn number_of(&mut self, location: &Location) -> u32 {
        let entry = Entry::new(location);
        *self.numbers.entry(entry).or_insert_with(|| {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("fewer locations than blocks")
        })
    }

    /// The location of a number.
    pub(super) fn get(&self, number: u32) -> Location {
        self.entries[number as usize].location()
    }

    /// All locations so far.
    pub(super) fn iter(&self) -> impl Iterator<Item = Location> {
        self.entries.iter().map(|entry| entry.location())
    }

    /// All of them, completed from their countries' centroids.
    pub(super) fn complete(self) -> Locations {
        let completed = |entry: Entry| {
            let mut location = entry.location();
            centroid::complete(&mut location);
            Entry::new(&location)
        };
        Locations(self.entries.into_iter().map(completed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_comes_back_as_it_was_and_has_one_number() {
        let full = Location {
            continent: Some(Continent::SouthAmerica),
            country: Country::new("BR"),
            subdivision: Some("SP".into()),
            coordinates: Coordinates::new(-23.5, -0.0),
            asn: None,
        };
        let fields = [
            Location { continent: None, ..full.clone() },
            Location { country: None, ..full.clone() },
            Location { subdivision: None, ..full.clone() },
            Location { coordinates: None, ..full.clone() },
            Location { coordinates: Coordinates::new(-23.5, 1e-9), ..full.clone() },
            Location { subdivision: Some("ENG".into()), ..full.clone() },
            full,
        ];
        let mut numbering = Numbering::default();
        assert_eq!(numbering.number_of(&Location::default()), 0);
        for (n, location) in (1..).zip(&fields) {
            assert_eq!(numbering.number_of(location), n);
            assert_eq!(numbering.number_of(location), n);
            assert_eq!(numbering.get(n), *location);
        }
        let completed = numbering.complete();
        assert_eq!(completed.get(0), Location::default());
        assert!(completed.get(4).coordinates.is_some(), "Brazil has a centroid");
    }
}
