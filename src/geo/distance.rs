//! Distances on the globe.
//!
//! Nearness is compared by half-chord² = sin²(angle / 2), which grows with the great-circle distance
//! and needs neither an arcsine nor care at the poles or the antimeridian. Kilometres are for people.

use crate::model::Coordinates;

/// The earth's mean radius (IUGG), in kilometres.
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Distances that differ by less count as equal: in half-chord², some 400 m next door and less than a
/// metre across an ocean. Databases are coarser, and regions of one city must rank the same everywhere.
const RESOLUTION: f64 = 1e-9;

/// A set of places that can be ranked by nearness again and again.
#[derive(Clone, Debug)]
pub struct Ranking {
    points: Vec<[f64; 3]>,
}

impl Ranking {
    /// Of these places; they are named by their index from here on.
    #[must_use]
    pub fn new(regions: &[Coordinates]) -> Self {
        Self { points: regions.iter().copied().map(unit_vector).collect() }
    }

    /// All places, the nearest to `from` first; those equally far in the order of their index.
    #[must_use]
    pub fn order(&self, from: Coordinates) -> Vec<usize> {
        self.nearest(from, self.points.len())
    }

    /// The first `count` of [`order`](Self::order).
    #[must_use]
    pub fn nearest(&self, from: Coordinates, count: usize) -> Vec<usize> {
        let from = unit_vector(from);
        let mut nearest: Vec<(u64, usize)> = Vec::with_capacity(count.min(self.points.len()) + 1);
        for (index, &point) in self.points.iter().enumerate() {
            // Rounding, unlike a tolerance in the comparison, leaves a total order.
            let far = (half_chord_squared(from, point) / RESOLUTION).round();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e9")]
            let far = far as u64;
            if nearest.len() == count && nearest.last().is_none_or(|last| last.0 <= far) {
                continue;
            }
            // Those as far that came before stay before.
            let at = nearest.partition_point(|&(known, _)| known <= far);
            nearest.insert(at, (far, index));
            nearest.truncate(count);
        }
        nearest.into_iter().map(|(_, index)| index).collect()
    }
}

/// The indexes of `regions`, the nearest to `from` first; those equally far in the order of their index.
#[must_use]
pub fn order(from: Coordinates, regions: &[Coordinates]) -> Vec<usize> {
    Ranking::new(regions).order(from)
}

/// The great-circle distance in kilometres.
#[must_use]
pub fn kilometres(a: Coordinates, b: Coordinates) -> f64 {
    let half_chord = half_chord_squared(unit_vector(a), unit_vector(b)).sqrt();
    2.0 * EARTH_RADIUS_KM * half_chord.min(1.0).asin()
}

/// The point on the unit sphere.
fn unit_vector(at: Coordinates) -> [f64; 3] {
    let (sin_latitude, cos_latitude) = at.latitude.to_radians().sin_cos();
    let (sin_longitude, cos_longitude) = at.longitude.to_radians().sin_cos();
    [cos_latitude * cos_longitude, cos_latitude * sin_longitude, sin_latitude]
}

/// The square of half the straight line between two points of the unit sphere: 0 to 1.
fn half_chord_squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y + z * z) / 4.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }

    /// The textbook's formula, as the reference.
    fn haversine_km(a: Coordinates, b: Coordinates) -> f64 {
        let (a_lat, b_lat) = (a.latitude.to_radians(), b.latitude.to_radians());
        let half_lat = (b_lat - a_lat) / 2.0;
        let half_lon = (b.longitude - a.longitude).to_radians() / 2.0;
        let h = half_lat.sin().powi(2) + a_lat.cos() * b_lat.cos() * half_lon.sin().powi(2);
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }

    fn coordinates() -> impl Strategy<Value = Coordinates> {
        (-90.0..=90.0_f64, -180.0..=180.0_f64).prop_map(|(lat, lon)| at(lat, lon))
    }

    #[test]
    fn known_distances_in_kilometres() {
        let cases = [
            // London to New York, Fiji to Samoa over the antimeridian, pole to pole.
            (at(51.5, -0.13), at(40.71, -74.01), 5570.0, 5.0),
            (at(-17.7, 178.0), at(-13.8, -171.8), 1174.0, 10.0),
            (at(90.0, 0.0), at(-90.0, 123.0), 20015.0, 1.0),
            (at(0.0, 180.0), at(0.0, -180.0), 0.0, 1e-6),
            (at(90.0, -70.0), at(90.0, 110.0), 0.0, 1e-6),
        ];
        for (a, b, km, tolerance) in cases {
            assert!((kilometres(a, b) - km).abs() < tolerance, "{a:?} {b:?}: {}", kilometres(a, b));
        }
    }

    #[test]
    fn the_nearest_comes_first_and_ties_go_by_index() {
        let dublin = at(53.35, -6.26);
        let virginia = at(38.95, -77.45);
        let mumbai = at(19.08, 72.88);
        assert_eq!(order(at(51.5, -0.13), &[mumbai, virginia, dublin]), [2, 1, 0]);
        assert_eq!(order(at(0.0, 0.0), &[at(0.0, 10.0), at(0.0, -10.0), at(10.0, 0.0)]), [0, 1, 2]);
        assert_eq!(order(dublin, &[virginia, dublin, dublin]), [1, 2, 0]);
        assert_eq!(order(dublin, &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn distance_is_the_haversine_and_symmetric(a in coordinates(), b in coordinates()) {
            prop_assert!((kilometres(a, b) - haversine_km(a, b)).abs() < 1.0);
            prop_assert!((kilometres(a, b) - kilometres(b, a)).abs() < 1e-9);
        }

        #[test]
        fn the_order_is_that_of_the_haversine(
            from in coordinates(),
            regions in prop::collection::vec(coordinates(), 0..20),
        ) {
            let ranked = order(from, &regions);
            let ranking = Ranking::new(&regions);
            for count in 0..=regions.len() {
                prop_assert_eq!(&ranking.nearest(from, count), &ranked[..count]);
            }
            let mut indexes = ranked.clone();
            indexes.sort_unstable();
            prop_assert!(indexes.into_iter().eq(0..regions.len()));
            for pair in ranked.windows(2) {
                let near = haversine_km(from, regions[pair[0]]);
                let far = haversine_km(from, regions[pair[1]]);
                // Half a kilometre is RESOLUTION next door; at the antipode asin() is as coarse.
                prop_assert!(near <= far + 0.6, "{near} then {far}");
            }
        }
    }
}
