//! The demo's cast and plot, as data: who asks from where, and which region fails when.

use std::time::Duration;

use super::story::Act;

/// The name that all clients ask for.
pub(super) const NAME: &str = "www.example.com.";

/// A place in the world where a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The city.
    pub(super) city: &'static str,
    /// The first three octets of the client's subnet, a /24 of that city.
    pub(super) subnet: [u8; 3],
}

const fn place(city: &'static str, subnet: [u8; 3]) -> Place {
    Place { city, subnet }
}

/// Where the clients are, from one region's neighbours to the next one's.
pub(super) const PLACES: [Place; 9] = [
    place("London", [81, 2, 69]),
    place("Berlin", [85, 214, 132]),
    place("New York", [66, 108, 0]),
    place("San Francisco", [73, 170, 0]),
    place("São Paulo", [189, 100, 0]),
    place("Johannesburg", [105, 224, 0]),
    place("Mumbai", [49, 36, 0]),
    place("Singapore", [116, 14, 0]),
    place("Sydney", [58, 160, 0]),
];

/// One turn of the plot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Turn {
    /// How long after the turn before.
    pub(super) after: Duration,
    /// What happens.
    pub(super) act: Act,
    /// To which region.
    pub(super) region: &'static str,
}

const fn turn(after_secs: u64, act: Act, region: &'static str) -> Turn {
    Turn { after: Duration::from_secs(after_secs), act, region }
}

/// The plot, which begins again when it is over: each region fails once, two of them together.
pub(super) const PLOT: [Turn; 8] = [
    turn(6, Act::Kill, "eu-west"),
    turn(12, Act::Revive, "eu-west"),
    turn(10, Act::Kill, "us-east"),
    turn(8, Act::Kill, "eu-west"),
    turn(10, Act::Revive, "us-east"),
    turn(4, Act::Revive, "eu-west"),
    turn(10, Act::Kill, "ap-south"),
    turn(12, Act::Revive, "ap-south"),
];

/// A moment at which something happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cue {
    /// When, from the start.
    pub(super) at: Duration,
    /// What happens.
    pub(super) act: Act,
    /// To which region.
    pub(super) region: &'static str,
}

/// The plot by the clock, without an end.
pub(super) fn cues() -> impl Iterator<Item = Cue> {
    PLOT.iter().cycle().scan(Duration::ZERO, |at, turn| {
        *at += turn.after;
        Some(Cue { at: *at, act: turn.act, region: turn.region })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::Path;

    use super::*;
    use crate::config::ServerConfig;
    use crate::geo::distance::kilometres;
    use crate::load::{self, Place as Files};
    use crate::model::{Coordinates, Report};

    /// The cells of the built-in database are as large as this, and its smaller countries, too.
    const KILOMETRES_MAX: f64 = 600.0;

    #[test]
    fn the_built_in_database_has_every_client_where_the_demo_says() {
        let cities = [
            ("London", 51.5, -0.1),
            ("Berlin", 52.5, 13.4),
            ("New York", 40.7, -74.0),
            ("San Francisco", 37.8, -122.4),
            ("São Paulo", -23.5, -46.6),
            ("Johannesburg", -26.2, 28.0),
            ("Mumbai", 19.1, 72.9),
            ("Singapore", 1.3, 103.8),
            ("Sydney", -33.9, 151.2),
        ];
        let files = Files { file: None, base: Path::new("/nowhere").to_owned() };
        let geo = load::load_geo(&files, &ServerConfig::default(), None, &mut Report::new());
        for (place, (city, latitude, longitude)) in PLACES.iter().zip(cities) {
            let [a, b, c] = place.subnet;
            let location = geo.atlas.locate(IpAddr::V4(Ipv4Addr::new(a, b, c, 0))).location;
            let real = Coordinates::new(latitude, longitude).unwrap();
            let off = location.coordinates.map(|at| kilometres(at, real));
            assert_eq!(place.city, city);
            assert!(off.is_some_and(|off| off < KILOMETRES_MAX), "{city} is off by {off:?} km");
        }
    }

    #[test]
    fn the_plot_ends_as_it_began_and_never_kills_the_last_region() {
        let mut dead = HashSet::new();
        for turn in PLOT {
            let is_news = match turn.act {
                Act::Kill => dead.insert(turn.region),
                Act::Revive => dead.remove(turn.region),
            };
            assert!(is_news, "{turn:?}");
            assert!(dead.len() < 3, "{turn:?}");
        }
        assert!(dead.is_empty());
        let round = cues().nth(PLOT.len()).unwrap().at - cues().next().unwrap().at;
        assert_eq!(round, PLOT.iter().map(|turn| turn.after).sum::<Duration>());
    }
}
