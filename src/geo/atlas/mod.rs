//! All databases as one table.
//!
//! An [`Atlas`] says for every block of addresses (/24, /56) where it is and which ASN announces it. Of
//! several databases the first that knows a field wins, so an operator's own map goes before a vendor's.
//! Places and ASNs are two tables: their product is far larger than both, and few rules look at ASNs.

use std::collections::HashMap;
use std::net::IpAddr;

use super::centroid;
use super::database::{Database, DatabaseError, DatabaseInfo, Row, Survey};
use super::locations::Locations;
use super::normalise;
use super::ranges::{Families, Family, Ranges};
use crate::model::Location;

/// Compiled databases.
#[derive(Debug)]
pub struct Atlas {
    databases: Vec<Database>,
    /// Distinct locations without ASN, completed from the country's centroid; the first is empty.
    pub(super) locations: Vec<Location>,
    /// For each block the index of its location.
    pub(super) places: Families<Ranges>,
    /// For each block its ASN; 0 is unknown.
    pub(super) asns: Families<Ranges>,
}

/// What is known of one address, and by whom.
#[derive(Clone, PartialEq, Debug)]
pub struct Located<'a> {
    /// The address that was looked up: the IPv4 one if a transition mechanism carried it.
    pub address: IpAddr,
    /// What steering goes by: that of the address's block, completed.
    pub location: Location,
    /// What each database says of the very address, in the databases' order.
    pub rows: Vec<(&'a str, Row)>,
}

impl Atlas {
    /// Compiles databases; the first that knows a field wins.
    ///
    /// # Errors
    /// The first database whose tree is damaged.
    pub fn build(databases: Vec<Database>) -> Result<Self, DatabaseError> {
        let mut atlas = Self::empty();
        let mut locations = Locations::default();
        for database in &databases {
            atlas.add(database.survey()?, &mut locations);
        }
        atlas.locations = locations.into_vec();
        atlas.locations.iter_mut().for_each(centroid::complete);
        atlas.databases = databases;
        Ok(atlas)
    }

    /// The atlas without databases, in which every place is unknown.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            databases: Vec::new(),
            locations: vec![Location::default()],
            places: Families::default(),
            asns: Families::default(),
        }
    }

    /// What its databases say of themselves, in their order.
    pub fn databases(&self) -> impl Iterator<Item = &DatabaseInfo> {
        self.databases.iter().map(Database::info)
    }

    /// Where `address` is, and which database says what.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Located<'_> {
        let address = normalise::read_address(address);
        let (family, bits) = Family::split(address);
        let block = family.block(bits);
        let place = self.places.get(family).find(block);
        let asn = self.asns.get(family).find(block);
        let asn = (asn != 0).then_some(asn);
        let location = Location { asn, ..self.locations[place as usize].clone() };
        let rows = self.databases.iter();
        let rows =
            rows.filter_map(|database| Some((&*database.info().name, database.lookup(address)?)));
        Located { address, location, rows: rows.collect() }
    }

    /// How many networks its tables hold.
    #[must_use]
    pub const fn network_count(&self) -> usize {
        self.places.v4.count() + self.places.v6.count()
    }

    /// Octets of its tables, the databases themselves not counted.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let tables = [&self.places.v4, &self.places.v6, &self.asns.v4, &self.asns.v6];
        tables.map(Ranges::memory_bytes).iter().sum::<usize>()
            + self.locations.capacity() * size_of::<Location>()
    }

    /// Lays a database below those that are in already. `locations` numbers all of them.
    fn add(&mut self, survey: Survey, locations: &mut Locations) {
        let numbers: Vec<u32> =
            survey.locations.into_iter().map(|location| locations.index_of(location)).collect();
        let mut merged = HashMap::new();
        let mut below = |upper: &Ranges, lower: &Ranges| {
            upper.zip(lower, |upper, lower| match (upper, numbers[lower as usize]) {
                (0, lower) => lower,
                (upper, 0) => upper,
                pair => *merged.entry(pair).or_insert_with(|| {
                    let both = merge(locations.get(pair.0), locations.get(pair.1));
                    locations.index_of(both)
                }),
            })
        };
        self.places.v4 = below(&self.places.v4, &survey.places.v4);
        self.places.v6 = below(&self.places.v6, &survey.places.v6);
        let first_known = |upper, lower| if upper == 0 { lower } else { upper };
        self.asns.v4 = self.asns.v4.zip(&survey.asns.v4, first_known);
        self.asns.v6 = self.asns.v6.zip(&survey.asns.v6, first_known);
    }
}

/// What `upper` says, completed from `lower` where the two do not speak of different countries: one
/// country's name with another's coordinates would be neither's opinion.
fn merge(upper: &Location, lower: &Location) -> Location {
    if upper.country.is_some() && lower.country.is_some() && upper.country != lower.country {
        return upper.clone();
    }
    Location {
        continent: upper.continent.or(lower.continent),
        country: upper.country.or(lower.country),
        subdivision: upper.subdivision.clone().or_else(|| lower.subdivision.clone()),
        coordinates: upper.coordinates.or(lower.coordinates),
        asn: None,
    }
}

#[cfg(test)]
mod tests;
