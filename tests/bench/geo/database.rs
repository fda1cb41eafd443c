//! A made-up City database of any size, in the vendors' shape.
//!
//! ```text
//! address space ─▶ provinces (/16, or /32 of IPv6), mostly of the country of the one before
//!               ─▶ each split at random into networks: some /32s next door to some /20s
//!               ─▶ each with a city of the country, often its neighbour's, rarely one abroad
//! ```
//! Records have what the largest vendors' have: names in eight languages, subdivisions, time zones. The
//! same arguments make the same file.

use std::net::{Ipv4Addr, Ipv6Addr};

use windrose::geo::writer::{Stored, Value, Writer};
use windrose::model::Prefix;

use crate::chance::Chance;

/// Cities; with their coordinates, all of them are distinct locations.
const CITIES: usize = 300_000;
/// Of a hundred networks, how many are of IPv4.
const V4_SHARE: usize = 65;
/// Provinces of IPv4 and of IPv6.
const V4_PROVINCES: usize = 44_000;
const V6_PROVINCES: usize = 30_000;
/// How long IPv6 networks are at most.
const V6_LEN_MAX: u8 = 64;
/// The first octets of IPv4 that nobody announces.
const RESERVED: [u32; 9] = [0, 10, 100, 127, 169, 172, 192, 198, 203];
/// Registries' blocks of IPv6 (/12).
const REGISTRIES: [u128; 5] = [0x240, 0x260, 0x280, 0x2a0, 0x2c0];

const LANGUAGES: [&str; 8] = ["de", "en", "es", "fr", "ja", "pt-BR", "ru", "zh-CN"];

/// Code, continent, middle, how far its cities are from there at most, and a weight.
pub(crate) type Country = (&'static str, &'static str, (f64, f64), f64, usize);

/// Where networks are.
pub(crate) const COUNTRIES: [Country; 32] = [
    ("US", "NA", (39.8, -98.6), 18.0, 300),
    ("CN", "AS", (34.0, 108.0), 12.0, 90),
    ("JP", "AS", (36.2, 138.3), 4.0, 60),
    ("DE", "EU", (51.2, 10.4), 3.0, 60),
    ("GB", "EU", (52.5, -1.5), 2.5, 55),
    ("FR", "EU", (46.6, 2.5), 3.5, 50),
    ("KR", "AS", (36.5, 127.9), 1.5, 40),
    ("BR", "SA", (-14.2, -51.9), 12.0, 60),
    ("CA", "NA", (50.0, -95.0), 20.0, 40),
    ("IT", "EU", (42.8, 12.6), 4.0, 40),
    ("AU", "OC", (-28.0, 140.0), 10.0, 30),
    ("NL", "EU", (52.2, 5.5), 0.8, 30),
    ("RU", "EU", (56.0, 50.0), 20.0, 45),
    ("IN", "AS", (21.0, 78.0), 8.0, 45),
    ("ES", "EU", (40.2, -3.6), 4.0, 25),
    ("SE", "EU", (59.3, 15.0), 4.0, 18),
    ("MX", "NA", (23.6, -102.5), 6.0, 20),
    ("ZA", "AF", (-29.0, 25.0), 5.0, 15),
    ("PL", "EU", (52.1, 19.4), 2.5, 18),
    ("TW", "AS", (23.7, 121.0), 1.0, 15),
    ("SG", "AS", (1.35, 103.8), 0.2, 15),
    ("AR", "SA", (-34.0, -64.0), 7.0, 12),
    ("ID", "AS", (-2.5, 118.0), 8.0, 12),
    ("TR", "AS", (39.0, 35.0), 4.0, 12),
    ("EG", "AF", (27.0, 30.0), 3.0, 8),
    ("NG", "AF", (9.0, 8.0), 3.0, 6),
    ("CL", "SA", (-35.0, -71.0), 6.0, 6),
    ("NZ", "OC", (-41.0, 174.0), 3.0, 5),
    ("AE", "AS", (24.0, 54.0), 1.0, 6),
    ("VN", "AS", (16.0, 107.0), 4.0, 8),
    ("UA", "EU", (49.0, 31.0), 4.0, 10),
    ("KE", "AF", (0.0, 38.0), 3.0, 3),
];

/// A database and networks that it has.
pub(crate) struct Made {
    pub(crate) file: Vec<u8>,
    pub(crate) networks: Vec<Prefix>,
}

/// Makes a file of about so many networks.
pub(crate) fn make(networks: usize, seed: u64) -> Made {
    let mut maker = Maker::new(seed);
    let v4 = networks * V4_SHARE / 100;
    let v6 = networks - v4;
    let firsts: Vec<u32> = (1..224).filter(|first| !RESERVED.contains(first)).collect();
    let v4_blocks = firsts.iter().flat_map(|first| (0..256).map(move |second| first << 8 | second));
    let v4_blocks: Vec<u128> = v4_blocks.map(u128::from).take(V4_PROVINCES).collect();
    maker.provinces(&v4_blocks, v4, Family { width: 32, province_len: 16, len_max: 32 });
    let v6_blocks: Vec<u128> = (0..V6_PROVINCES as u128)
        .map(|n| (REGISTRIES[(n % 5) as usize] << 20) | ((n / 5) * 8))
        .collect();
    maker.provinces(&v6_blocks, v6, Family { width: 128, province_len: 32, len_max: V6_LEN_MAX });
    Made { file: maker.writer.finish(), networks: maker.networks }
}

/// What differs between the families.
#[derive(Clone, Copy)]
struct Family {
    width: u8,
    province_len: u8,
    len_max: u8,
}

impl Family {
    fn prefix(self, bits: u128, len: u8) -> Prefix {
        match u32::try_from(bits) {
            Ok(bits) if self.width == 32 => Prefix::new(Ipv4Addr::from(bits).into(), len),
            _ => Prefix::new(Ipv6Addr::from(bits).into(), len),
        }
    }
}

struct Maker {
    writer: Writer,
    chance: Chance,
    /// By country, its cities; each with the records that networks there have.
    cities: Vec<Vec<[Stored; 2]>>,
    networks: Vec<Prefix>,
    country: usize,
    city: usize,
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut writer = Writer::v6("GeoLite2-City").description("made up, for measuring");
        let mut chance = Chance(seed);
        let mut cities: Vec<Vec<[Stored; 2]>> = COUNTRIES.iter().map(|_| Vec::new()).collect();
        for n in 0..CITIES {
            let country = any_country(&mut chance);
            cities[country].push(city(&mut writer, &mut chance, n, &COUNTRIES[country]));
        }
        Self { writer, chance, cities, networks: Vec::new(), country: 0, city: 0 }
    }

    /// Shares `count` networks out among provinces, few to some and many to others.
    fn provinces(&mut self, blocks: &[u128], count: usize, family: Family) {
        let mut left = count;
        for (n, &block) in blocks.iter().enumerate() {
            if self.chance.below(10) < 3 {
                self.country = any_country(&mut self.chance);
            }
            self.city = self.any_city();
            let mean = left / (blocks.len() - n);
            let own = (mean * (1 + self.chance.below(200)) / 100).clamp(1, left.max(1));
            left -= own.min(left);
            let bits = block << (family.width - family.province_len);
            self.split(bits, family.province_len, own, family);
        }
    }

    /// Makes `count` networks of a block.
    fn split(&mut self, bits: u128, len: u8, count: usize, family: Family) {
        if count <= 1 || len == family.len_max {
            self.add(family.prefix(bits, len));
            return;
        }
        let one = 1 + self.chance.below(count - 1);
        self.split(bits, len + 1, one, family);
        let half = 1 << (family.width - len - 1);
        self.split(bits | half, len + 1, count - one, family);
    }

    fn add(&mut self, network: Prefix) {
        let (country, city) = match self.chance.below(100) {
            0..45 => (self.country, self.city),
            45..97 => {
                self.city = self.any_city();
                (self.country, self.city)
            }
            _ => {
                let country = any_country(&mut self.chance);
                (country, self.chance.below(self.cities[country].len()))
            }
        };
        let record = self.cities[country][city][self.chance.below(2)];
        self.writer.insert_stored(network, record);
        self.networks.push(network);
    }

    /// A city of the country, large ones more often.
    fn any_city(&mut self) -> usize {
        let count = self.cities[self.country].len();
        let most = 1 + self.chance.below(count);
        self.chance.below(most)
    }
}

fn any_country(chance: &mut Chance) -> usize {
    let all: usize = COUNTRIES.iter().map(|country| country.4).sum();
    let mut at = chance.below(all);
    COUNTRIES
        .iter()
        .position(|country| {
            let is_it = at < country.4;
            at = at.saturating_sub(country.4);
            is_it
        })
        .expect("below the sum")
}

/// The records of a city: known to 5 km, and to 50 km.
fn city(writer: &mut Writer, chance: &mut Chance, n: usize, country: &Country) -> [Stored; 2] {
    let &(code, continent, (latitude, longitude), reach, _) = country;
    let mut near = |middle: f64| {
        let share = f64::from(chance.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0;
        ((middle + share * reach) * 1e4).round() / 1e4
    };
    let (latitude, longitude) = (near(latitude), near(longitude));
    let subdivision = chance.below(40);
    [5_u16, 50].map(|radius| {
        let number = |n: usize| Value::Uint32(u32::try_from(n).expect("a small number"));
        let record = Value::from([
            (
                "city",
                [("geoname_id", number(n + 1000)), ("names", names(&format!("Place {n}")))].into(),
            ),
            ("continent", [("code", continent.into()), ("names", names(continent))].into()),
            ("country", [("iso_code", code.into()), ("names", names(code))].into()),
            (
                "location",
                [
                    ("accuracy_radius", Value::Uint16(radius)),
                    ("latitude", latitude.into()),
                    ("longitude", longitude.into()),
                    ("time_zone", format!("{continent}/Place_{subdivision}").as_str().into()),
                ]
                .into(),
            ),
            ("postal", [("code", format!("{:05}", n % 90_000).as_str().into())].into()),
            ("registered_country", [("iso_code", code.into()), ("names", names(code))].into()),
            (
                "subdivisions",
                Value::List(vec![
                    [
                        ("iso_code", format!("{subdivision:02}").as_str().into()),
                        ("names", names(&format!("{code} {subdivision}"))),
                    ]
                    .into(),
                ]),
            ),
        ]);
        writer.store(&record)
    })
}

fn names(name: &str) -> Value {
    Value::Map(LANGUAGES.iter().map(|&language| (language.to_owned(), name.into())).collect())
}
