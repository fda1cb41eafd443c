//! Distinct locations by number, so that tables hold numbers.

use std::collections::HashMap;

use crate::model::{Continent, Country, Location};

/// A location that can be a key: coordinates as bits, no ASN.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    continent: Option<Continent>,
    country: Option<Country>,
    subdivision: Option<Box<str>>,
    coordinates: Option<(u64, u64)>,
}

/// Numbers for locations without ASN. 0 is the empty location.
pub(super) struct Locations {
    list: Vec<Location>,
    indexes: HashMap<Key, u32>,
}

impl Default for Locations {
    fn default() -> Self {
        let mut locations = Self { list: Vec::new(), indexes: HashMap::new() };
        locations.index_of(Location::default());
        locations
    }
}

impl Locations {
    /// The number of `location`, whose ASN must be none.
    pub(super) fn index_of(&mut self, location: Location) -> u32 {
        let key = Key {
            continent: location.continent,
            country: location.country,
            subdivision: location.subdivision.clone(),
            coordinates: location
                .coordinates
                .map(|c| (c.latitude.to_bits(), c.longitude.to_bits())),
        };
        let list = &mut self.list;
        *self.indexes.entry(key).or_insert_with(|| {
            let index = u32::try_from(list.len()).expect("fewer locations than blocks");
            list.push(location);
            index
        })
    }

    /// The location of a number.
    pub(super) fn get(&self, index: u32) -> &Location {
        &self.list[index as usize]
    }

    /// All of them, by number.
    pub(super) fn into_vec(self) -> Vec<Location> {
        self.list
    }
}
