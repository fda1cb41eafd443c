//! Where a country's people are.
//!
//! A country database tells no coordinates, so distance needs a point for each country: the mean of its
//! addresses, not of its area (Canada's is near its southern border). The table is constant.

use super::centroids::CENTROIDS;
use crate::model::{Continent, Coordinates, Country, Location};

/// What is known of a country without a database.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Centroid {
    /// Its continent.
    pub continent: Continent,
    /// The address-weighted mean of its places.
    pub coordinates: Coordinates,
}

/// The country's entry; `None` for a code that is nobody's.
#[must_use]
pub fn of(country: Country) -> Option<Centroid> {
    let at = CENTROIDS.binary_search_by_key(&country.code(), |entry| entry.0).ok()?;
    let (_, continent, latitude, longitude) = CENTROIDS[at];
    Some(Centroid { continent, coordinates: Coordinates { latitude, longitude } })
}

/// Fills in the continent and the coordinates that follow from the country, where they are missing.
pub fn complete(location: &mut Location) {
    let Some(centroid) = location.country.and_then(of) else { return };
    location.continent.get_or_insert(centroid.continent);
    location.coordinates.get_or_insert(centroid.coordinates);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_in_range() {
        assert!(CENTROIDS.is_sorted_by(|a, b| a.0 < b.0));
        for (code, continent, latitude, longitude) in CENTROIDS {
            let country = Country::new(code).unwrap();
            assert_eq!(country.code(), code);
            assert!(Coordinates::new(latitude, longitude).is_some(), "{code}");
            assert_eq!(of(country).unwrap().continent, continent);
        }
    }

    #[test]
    fn a_country_alone_gets_continent_and_coordinates() {
        let mut location = Location { country: Country::new("DE"), ..Location::default() };
        complete(&mut location);
        assert_eq!(location.continent, Some(Continent::Europe));
        let coordinates = location.coordinates.unwrap();
        assert!((coordinates.latitude - 51.0).abs() < 1.0, "{coordinates:?}");

        let berlin = Coordinates::new(52.5, 13.4);
        let mut known = Location { coordinates: berlin, ..location };
        complete(&mut known);
        assert_eq!(known.coordinates, berlin);

        let mut nowhere = Location { country: Country::new("ZZ"), ..Location::default() };
        complete(&mut nowhere);
        assert_eq!(nowhere.coordinates, None);
    }
}
