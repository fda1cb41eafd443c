//! All databases as one table.
//!
//! An [`Atlas`] says for every block of addresses (/24, /56) where it is and which ASN announces it. Of
//! several databases the first that knows a field wins, so an operator's own map goes before a vendor's.
//! Places and ASNs are two tables: their product is far larger than both, and few rules look at ASNs.

use std::collections::HashMap;
use std::net::IpAddr;

use super::database::{Database, DatabaseError, DatabaseInfo, Survey};
use super::locations::{Locations, Numbering};
use super::networks::Networks;
use super::normalise;
use super::packed::Packed;
use super::ranges::{Families, Family, Ranges};
use crate::model::{Location, Prefix};

/// Compiled databases.
#[derive(Debug)]
pub struct Atlas {
    databases: Vec<(DatabaseInfo, Networks)>,
    /// Distinct locations without ASN, completed from the country's centroid; the first is empty.
    pub(super) locations: Locations,
    /// For each block the number of its location.
    pub(super) places: Families<Packed>,
    /// For each block its ASN; 0 is unknown.
    pub(super) asns: Families<Packed>,
}

/// What is known of one address, and by whom.
#[derive(Clone, PartialEq, Debug)]
pub struct Located<'a> {
    /// The address that was looked up: the IPv4 one if a transition mechanism carried it.
    pub address: IpAddr,
    /// What steering goes by: that of the address's block, completed.
    pub location: Location,
    /// The network in which each database that knows the very address has it, in the databases' order.
    pub rows: Vec<(&'a str, Prefix)>,
}

impl Atlas {
    /// Compiles databases; the first that knows a field wins. Their files are let go.
    ///
    /// # Errors
    /// The first database whose tree is damaged.
    pub fn build(databases: Vec<Database>) -> Result<Self, DatabaseError> {
        let mut layers = Layers::default();
        let mut known = Vec::with_capacity(databases.len());
        for database in databases {
            let survey = database.survey(&mut layers.locations)?;
            known.push((database.into_info(), layers.add(survey)));
        }
        Ok(Self {
            databases: known,
            locations: layers.locations.complete(),
            places: layers.places.map(Packed::new),
            asns: layers.asns.map(Packed::new),
        })
    }

    /// The atlas without databases, in which every place is unknown.
    #[must_use]
    pub fn empty() -> Self {
        Self::build(Vec::new()).expect("there is nothing to be damaged")
    }

    /// What its databases say of themselves, in their order.
    pub fn databases(&self) -> impl Iterator<Item = &DatabaseInfo> {
        self.databases.iter().map(|(info, _)| info)
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
        let location = Location { asn, ..self.locations.get(place) };
        let rows = self
            .databases
            .iter()
            .filter_map(|(info, networks)| Some((&*info.name, networks.find(address)?)));
        Located { address, location, rows: rows.collect() }
    }

    /// How many networks its tables hold.
    #[must_use]
    pub const fn network_count(&self) -> usize {
        self.places.v4.count() + self.places.v6.count()
    }

    /// Octets of its tables.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let tables = [&self.places.v4, &self.places.v6, &self.asns.v4, &self.asns.v6];
        let networks = self.databases.iter().map(|(_, networks)| networks.memory_bytes());
        tables.map(Packed::memory_bytes).iter().sum::<usize>()
            + networks.sum::<usize>()
            + self.locations.memory_bytes()
    }
}

/// Databases laid over each other, while an atlas is built.
#[derive(Default)]
struct Layers {
    locations: Numbering,
    places: Families<Ranges>,
    asns: Families<Ranges>,
}

impl Layers {
    /// Lays a database below those that are in already; what is left of it are its networks.
    fn add(&mut self, survey: Survey) -> Networks {
        let locations = &mut self.locations;
        let mut merged = HashMap::new();
        let mut below = |upper: &Ranges, lower: &Ranges| {
            upper.zip(lower.iter(), |upper, lower| match (upper, lower) {
                (0, lower) => lower,
                (upper, 0) => upper,
                pair => *merged.entry(pair).or_insert_with(|| {
                    let both = merge(&locations.get(pair.0), &locations.get(pair.1));
                    locations.number_of(&both)
                }),
            })
        };
        self.places.v4 = below(&self.places.v4, &survey.places.v4);
        self.places.v6 = below(&self.places.v6, &survey.places.v6);
        let first_known = |upper, lower| if upper == 0 { lower } else { upper };
        self.asns.v4 = self.asns.v4.zip(survey.asns.v4.iter(), first_known);
        self.asns.v6 = self.asns.v6.zip(survey.asns.v6.iter(), first_known);
        survey.networks
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
