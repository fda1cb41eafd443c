//! Places by name: countries and large cities.
//!
//! Coordinates to a hundredth of a degree, about a kilometre, which is far finer than a client's are
//! ever known. A country means where most of its addresses are, as `geo` knows it. Anything else is given as coordinates.

use crate::geo::centroid;
use crate::model::diagnostic::closest;
use crate::model::{Coordinates, Country};

/// Codes that are often written for another.
const MISTAKEN: [(&str, &str); 3] = [("UK", "GB"), ("EL", "GR"), ("EN", "GB")];

/// Cities in which data centres stand: name, latitude, longitude.
#[rustfmt::skip]
const CITIES: &[(&str, f64, f64)] = &[
    ("Amsterdam, NL", 52.37, 4.90),
    ("Ashburn, US", 39.04, -77.49),
    ("Athens, GR", 37.98, 23.73),
    ("Atlanta, US", 33.75, -84.39),
    ("Auckland, NZ", -36.85, 174.76),
    ("Bangalore, IN", 12.97, 77.59),
    ("Bangkok, TH", 13.76, 100.50),
    ("Barcelona, ES", 41.39, 2.17),
    ("Beijing, CN", 39.90, 116.41),
    ("Belgrade, RS", 44.79, 20.45),
    ("Berlin, DE", 52.52, 13.41),
    ("Bogota, CO", 4.71, -74.07),
    ("Boston, US", 42.36, -71.06),
    ("Brisbane, AU", -27.47, 153.03),
    ("Brussels, BE", 50.85, 4.35),
    ("Bucharest, RO", 44.43, 26.10),
    ("Budapest, HU", 47.50, 19.04),
    ("Buenos Aires, AR", -34.60, -58.38),
    ("Cairo, EG", 30.04, 31.24),
    ("Calgary, CA", 51.04, -114.07),
    ("Canberra, AU", -35.28, 149.13),
    ("Cape Town, ZA", -33.92, 18.42),
    ("Casablanca, MA", 33.57, -7.59),
    ("Chennai, IN", 13.08, 80.27),
    ("Chicago, US", 41.88, -87.63),
    ("Columbus, US", 39.96, -83.00),
    ("Copenhagen, DK", 55.68, 12.57),
    ("Council Bluffs, US", 41.26, -95.86),
    ("Dallas, US", 32.78, -96.80),
    ("Delhi, IN", 28.61, 77.21),
    ("Denver, US", 39.74, -104.99),
    ("Dhaka, BD", 23.81, 90.41),
    ("Doha, QA", 25.29, 51.53),
    ("Dubai, AE", 25.20, 55.27),
    ("Dublin, IE", 53.35, -6.26),
    ("Dusseldorf, DE", 51.23, 6.78),
    ("Fortaleza, BR", -3.73, -38.53),
    ("Frankfurt, DE", 50.11, 8.68),
    ("Fujairah, AE", 25.13, 56.33),
    ("Geneva, CH", 46.20, 6.14),
    ("Guangzhou, CN", 23.13, 113.26),
    ("Hamburg, DE", 53.55, 9.99),
    ("Hamina, FI", 60.57, 27.20),
    ("Hanoi, VN", 21.03, 105.85),
    ("Helsinki, FI", 60.17, 24.94),
    ("Ho Chi Minh City, VN", 10.82, 106.63),
    ("Hong Kong, HK", 22.32, 114.17),
    ("Houston, US", 29.76, -95.37),
    ("Hyderabad, IN", 17.39, 78.49),
    ("Istanbul, TR", 41.01, 28.98),
    ("Jakarta, ID", -6.21, 106.85),
    ("Johannesburg, ZA", -26.20, 28.05),
    ("Kansas City, US", 39.10, -94.58),
    ("Karachi, PK", 24.86, 67.00),
    ("Kuala Lumpur, MY", 3.139, 101.69),
    ("Kyiv, UA", 50.45, 30.52),
    ("Lagos, NG", 6.52, 3.38),
    ("Las Vegas, US", 36.17, -115.14),
    ("Lima, PE", -12.05, -77.04),
    ("Lisbon, PT", 38.72, -9.14),
    ("London, GB", 51.51, -0.13),
    ("Los Angeles, US", 34.05, -118.24),
    ("Luxembourg, LU", 49.61, 6.13),
    ("Lyon, FR", 45.76, 4.84),
    ("Madrid, ES", 40.42, -3.70),
    ("Manama, BH", 26.23, 50.59),
    ("Manchester, GB", 53.48, -2.24),
    ("Manila, PH", 14.60, 120.98),
    ("Marseille, FR", 43.30, 5.37),
    ("Melbourne, AU", -37.81, 144.96),
    ("Mexico City, MX", 19.43, -99.13),
    ("Miami, US", 25.76, -80.19),
    ("Milan, IT", 45.46, 9.19),
    ("Moncks Corner, US", 33.20, -80.01),
    ("Montreal, CA", 45.50, -73.57),
    ("Moscow, RU", 55.76, 37.62),
    ("Mumbai, IN", 19.08, 72.88),
    ("Munich, DE", 48.14, 11.58),
    ("Nairobi, KE", -1.29, 36.82),
    ("New York, US", 40.71, -74.01),
    ("Newark, US", 40.74, -74.17),
    ("Nuremberg, DE", 49.45, 11.08),
    ("Osaka, JP", 34.69, 135.50),
    ("Oslo, NO", 59.91, 10.75),
    ("Palo Alto, US", 37.44, -122.14),
    ("Paris, FR", 48.86, 2.35),
    ("Perth, AU", -31.95, 115.86),
    ("Phoenix, US", 33.45, -112.07),
    ("Portland, US", 45.52, -122.68),
    ("Prague, CZ", 50.08, 14.44),
    ("Queretaro, MX", 20.59, -100.39),
    ("Quito, EC", -0.18, -78.47),
    ("Reykjavik, IS", 64.15, -21.94),
    ("Riga, LV", 56.95, 24.11),
    ("Rio de Janeiro, BR", -22.91, -43.17),
    ("Riyadh, SA", 24.71, 46.68),
    ("Rome, IT", 41.90, 12.50),
    ("Salt Lake City, US", 40.76, -111.89),
    ("San Francisco, US", 37.77, -122.42),
    ("San Jose, US", 37.34, -121.89),
    ("Santa Clara, US", 37.35, -121.96),
    ("Santiago, CL", -33.45, -70.67),
    ("Sao Paulo, BR", -23.55, -46.63),
    ("Seattle, US", 47.61, -122.33),
    ("Seoul, KR", 37.57, 126.98),
    ("Shanghai, CN", 31.23, 121.47),
    ("Shenzhen, CN", 22.54, 114.06),
    ("Singapore, SG", 1.35, 103.82),
    ("Sofia, BG", 42.70, 23.32),
    ("Stockholm, SE", 59.33, 18.07),
    ("Strasbourg, FR", 48.57, 7.75),
    ("Sydney, AU", -33.87, 151.21),
    ("Taipei, TW", 25.03, 121.57),
    ("Tallinn, EE", 59.44, 24.75),
    ("Tel Aviv, IL", 32.09, 34.78),
    ("The Dalles, US", 45.59, -121.18),
    ("Tokyo, JP", 35.68, 139.69),
    ("Toronto, CA", 43.65, -79.38),
    ("Vancouver, CA", 49.28, -123.12),
    ("Vienna, AT", 48.21, 16.37),
    ("Vilnius, LT", 54.69, 25.28),
    ("Warsaw, PL", 52.23, 21.01),
    ("Washington, US", 38.91, -77.04),
    ("Zagreb, HR", 45.81, 15.98),
    ("Zurich, CH", 47.38, 8.54),
];

/// Reads a country's code (ISO 3166-1, and `XK`, which databases use for Kosovo).
pub(super) fn country(text: &str) -> Result<Country, String> {
    Country::new(text).filter(|country| centroid::of(*country).is_some()).ok_or_else(|| {
        let meant = MISTAKEN.iter().find(|(wrong, _)| wrong.eq_ignore_ascii_case(text));
        match meant {
            Some((_, right)) => format!("no such code in ISO 3166-1: did you mean `{right}`?"),
            None => format!("`{text}` is no code of ISO 3166-1"),
        }
    })
}

/// Finds a country (`IE`) or a city (`Dublin, IE`).
pub(super) fn find(text: &str) -> Result<Coordinates, String> {
    if text.len() == 2 {
        let centroid = centroid::of(country(text)?);
        return centroid
            .map(|centroid| centroid.coordinates)
            .ok_or_else(|| format!("where `{text}` lies is not known"));
    }
    let city = CITIES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text));
    if let Some(&(_, latitude, longitude)) = city {
        return Ok(Coordinates { latitude, longitude });
    }
    Err(match closest(text, CITIES.iter().map(|(name, ..)| *name)) {
        Some(meant) => format!("not a city that is known: did you mean `{meant}`?"),
        None => "not a city that is known: give its coordinates".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cities_are_found_in_any_case_and_lie_on_the_globe() {
        let dublin = find("dublin, ie").unwrap();
        assert_eq!((dublin.latitude, dublin.longitude), (53.35, -6.26));
        for &(name, latitude, longitude) in CITIES {
            assert!(Coordinates::new(latitude, longitude).is_some(), "{name}");
            let (_, code) = name.rsplit_once(", ").unwrap();
            assert!(country(code).is_ok(), "{name}");
        }
        assert!(CITIES.windows(2).all(|pair| pair[0].0 < pair[1].0), "they stand in order, once");
    }

    #[test]
    fn what_is_not_known_is_said_with_what_was_meant() {
        assert_eq!(
            find("Dubln, IE"),
            Err("not a city that is known: did you mean `Dublin, IE`?".to_owned())
        );
        assert_eq!(country("UK"), Err("no such code in ISO 3166-1: did you mean `GB`?".to_owned()));
        assert!(country("ZZ").is_err());
        assert!(country("ie").is_ok());
    }
}
