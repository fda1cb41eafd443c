//! Where an address is, as databases tell it.
//!
//! Plain values: two-letter country codes (ISO 3166-1), continent codes, coordinates in degrees.
//! Which database said so and how far it can be trusted is `geo`'s business.

use std::fmt;

/// A point on the globe, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coordinates {
    /// −90 (south) to 90 (north).
    pub latitude: f64,
    /// −180 (west) to 180 (east).
    pub longitude: f64,
}

/// No coordinate is ever a number that is none: [`Coordinates::new`] lets none in.
impl Eq for Coordinates {}

impl Coordinates {
    /// The point, if both numbers are in range.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let in_range = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        in_range.then_some(Self { latitude, longitude })
    }
}

/// A country: two letters of ISO 3166-1, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Country([u8; 2]);

impl Country {
    /// The country of a two-letter code in either case; `None` when it is not two ASCII letters.
    #[must_use]
    pub fn new(code: &str) -> Option<Self> {
        let [a, b] = code.as_bytes() else { return None };
        let letters = a.is_ascii_alphabetic() && b.is_ascii_alphabetic();
        letters.then_some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
    }

    /// The two letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A continent, with the two-letter codes that databases use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Continent {
    /// `AF`
    Africa,
    /// `AN`
    Antarctica,
    /// `AS`
    Asia,
    /// `EU`
    Europe,
    /// `NA`
    NorthAmerica,
    /// `OC`
    Oceania,
    /// `SA`
    SouthAmerica,
}

impl Continent {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 7] = [
        Self::Africa,
        Self::Antarctica,
        Self::Asia,
        Self::Europe,
        Self::NorthAmerica,
        Self::Oceania,
        Self::SouthAmerica,
    ];

    /// Its two-letter code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Africa => "AF",
            Self::Antarctica => "AN",
            Self::Asia => "AS",
            Self::Europe => "EU",
            Self::NorthAmerica => "NA",
            Self::Oceania => "OC",
            Self::SouthAmerica => "SA",
        }
    }

    /// The continent of a two-letter code in either case.
    #[must_use]
    pub fn new(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code().eq_ignore_ascii_case(code))
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A first-level subdivision of a country (ISO 3166-2).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subdivision {
    /// The country.
    pub country: Country,
    /// The code behind the hyphen, upper case: `CA` of `US-CA`.
    pub code: Box<str>,
}

impl fmt::Display for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.country, self.code)
    }
}

/// What is known of where an address is. Every field may be missing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Location {
    /// The continent.
    pub continent: Option<Continent>,
    /// The country.
    pub country: Option<Country>,
    /// The first-level subdivision's code without the country (`CA` of `US-CA`), upper case.
    pub subdivision: Option<Box<str>>,
    /// The coordinates; a country without any gets its address-weighted centroid in `geo`.
    pub coordinates: Option<Coordinates>,
    /// The autonomous system that announces the address.
    pub asn: Option<u32>,
}

impl Location {
    /// Whether it is known to lie in a subdivision.
    #[must_use]
    pub fn is_in(&self, subdivision: &Subdivision) -> bool {
        self.country == Some(subdivision.country)
            && self.subdivision.as_ref() == Some(&subdivision.code)
    }
}
