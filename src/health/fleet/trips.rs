//! What a vantage says of how far away regions are from it, and what a group comes to by that.
//!
//! Said every ten seconds and whole. A message needs none before it: of each region what was sent last counts, for
//! ten minutes, so messages may come late, twice, out of order or not at all. A vantage that has just begun a
//! new life says nothing of what it has not measured yet, and until it does what it said before stands.
//!
//! ```text
//! octets   big-endian
//! 4        "WRR" and the version of this form, 1
//! 1 + n    name of the vantage      UTF-8, at most 64 octets
//! 1 + n    its group
//! 8        when it was sent (ms since 1970)
//! 12 each  a region: hash of its zone's apex and its name, microseconds of a round trip
//! 32       seal
//! ```
//!
//! A message of its own, and not a part of the frame of votes: members of an earlier release understand those as
//! before, and a second of votes is none the longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Refused;
use super::frame::{Reader, write_text};
use super::roster::VANTAGES_MAX;
use super::seal::{Keys, Purpose, SEAL_LEN};
use crate::health::survey::median;
use crate::model::{RegionKey, RoundTrips, Time};

/// Regions of which one vantage says something; it is silent of others.
pub const REGIONS_MAX: usize = 20_000;
const ROW_LEN: usize = 8 + 4;
/// What was heard longer ago means nothing.
const AGE_MAX: Duration = Duration::from_secs(600);
/// What grows old is looked for so often.
const LOOK: Duration = Duration::from_secs(10);

const MAGIC: [u8; 4] = *b"WRR\x01";

/// How far away regions are from a vantage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trips {
    /// Who says so.
    pub vantage: String,
    /// Its group.
    pub group: String,
    /// When it was sent: milliseconds since 1970.
    pub sent: u64,
    /// How long a round trip to each takes, in whole microseconds.
    pub regions: Vec<(RegionKey, Duration)>,
}

impl Trips {
    /// As it is sent.
    #[must_use]
    pub fn seal(&self, keys: &Keys) -> Vec<u8> {
        let Self { vantage, group, sent, regions } = self;
        let mut out = Vec::with_capacity(160 + SEAL_LEN + regions.len() * ROW_LEN);
        out.extend(MAGIC);
        write_text(&mut out, vantage);
        write_text(&mut out, group);
        out.extend(sent.to_be_bytes());
        for (region, took) in regions.iter().take(REGIONS_MAX) {
            out.extend(region.0.to_be_bytes());
            out.extend(micros(*took).to_be_bytes());
        }
        keys.seal(Purpose::Trips, out)
    }

    /// Reads what was sent; `None` when the seal is not the fleet's, or what is sealed is something else.
    #[must_use]
    pub fn open(keys: &Keys, sealed: &[u8]) -> Option<Self> {
        let longest = 160 + SEAL_LEN + REGIONS_MAX * ROW_LEN;
        let is_meant = |sealed: &&[u8]| sealed.starts_with(&MAGIC) && sealed.len() <= longest;
        let body = Some(sealed).filter(is_meant)?;
        let mut body = Reader(keys.open(Purpose::Trips, body)?);
        body.take::<4>()?;
        let (vantage, group) = (body.text()?, body.text()?);
        let sent = u64::from_be_bytes(body.take()?);
        let (rows, rest) = body.0.as_chunks::<ROW_LEN>();
        let row = |[a, b, c, d, e, f, g, h, micros @ ..]: &[u8; ROW_LEN]| {
            let region = RegionKey(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]));
            (region, Duration::from_micros(u32::from_be_bytes(*micros).into()))
        };
        let regions = rows.iter().map(row).collect();
        let is_whole = rest.is_empty() && !vantage.is_empty();
        is_whole.then_some(Self { vantage, group, sent, regions })
    }
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

/// What all vantages have said, and what groups come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Distances {
    vantages: BTreeMap<String, Own>,
    /// What that comes to, when it was last worked out, and whether something else was heard since.
    by_group: Arc<RoundTrips>,
    looked: Time,
    has_news: bool,
}

/// What one vantage has said.
#[derive(Clone, Debug, Default)]
struct Own {
    group: String,
    sent: u64,
    regions: BTreeMap<RegionKey, Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    took: Duration,
    sent: u64,
    heard: Time,
}

impl Distances {
    /// Takes in what a vantage says.
    ///
    /// # Errors
    /// When there are more vantages than any fleet has; then nothing has changed.
    pub(super) fn hear(&mut self, trips: Trips, now: Time) -> Result<(), Refused> {
        let Trips { vantage, group, sent, regions } = trips;
        if self.vantages.len() >= VANTAGES_MAX && !self.vantages.contains_key(&vantage) {
            return Err(Refused::TooMany);
        }
        let own = self.vantages.entry(vantage).or_default();
        if sent >= own.sent {
            self.has_news |= own.group != group;
            (own.group, own.sent) = (group, sent);
        }
        for (region, took) in regions {
            let before = own.regions.get(&region);
            let is_later = before.is_none_or(|before| sent > before.sent);
            let is_known = before.is_some() || own.regions.len() < REGIONS_MAX;
            if is_later && is_known {
                self.has_news |= before.is_none_or(|before| before.took != took);
                own.regions.insert(region, Row { took, sent, heard: now });
            }
        }
        Ok(())
    }

    /// How far away regions are from each group: the median over its vantages, the lower of two.
    pub(super) fn by_group(&mut self, now: Time) -> Arc<RoundTrips> {
        if !self.has_news && now.since(self.looked) < LOOK {
            return Arc::clone(&self.by_group);
        }
        (self.has_news, self.looked) = (false, now);
        let mut groups: BTreeMap<&str, BTreeMap<RegionKey, Vec<Duration>>> = BTreeMap::new();
        self.vantages.retain(|_, own| {
            own.regions.retain(|_, row| now.since(row.heard) < AGE_MAX);
            !own.regions.is_empty()
        });
        for own in self.vantages.values() {
            let group = groups.entry(&own.group).or_default();
            for (region, row) in &own.regions {
                group.entry(*region).or_default().push(row.took);
            }
        }
        let of_group = |all: BTreeMap<RegionKey, Vec<Duration>>| {
            all.into_iter().filter_map(|(region, all)| Some((region, median(all)?))).collect()
        };
        let by_group: RoundTrips =
            groups.into_iter().map(|(group, all)| (group.to_owned(), of_group(all))).collect();
        if *self.by_group != by_group {
            self.by_group = Arc::new(by_group);
        }
        Arc::clone(&self.by_group)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> Keys {
        Keys::new(&[[7; 32]], "windrose")
    }

    /// That a vantage of `group` says each of these in as many milliseconds.
    fn trips(vantage: &str, group: &str, sent: u64, regions: &[(u64, u64)]) -> Trips {
        let row =
            |(region, millis): &(u64, u64)| (RegionKey(*region), Duration::from_millis(*millis));
        let regions = regions.iter().map(row).collect();
        Trips { vantage: vantage.to_owned(), group: group.to_owned(), sent, regions }
    }

    /// What is known at `secs`: group, region, milliseconds.
    fn known(distances: &mut Distances, secs: u64) -> Vec<(String, u64, u128)> {
        let by_group = distances.by_group(Time::from_secs(secs));
        let of_group = |(group, all): (&String, &BTreeMap<RegionKey, Duration>)| {
            let group = group.clone();
            all.iter()
                .map(|(region, took)| (group.clone(), region.0, took.as_millis()))
                .collect::<Vec<_>>()
        };
        by_group.iter().flat_map(of_group).collect()
    }

    #[test]
    fn it_reads_as_it_was_sealed_up_to_its_most_and_a_broker_takes_it() {
        let many = |regions: usize| {
            let rows: Vec<(u64, u64)> = (0..regions as u64).map(|n| (n, n % 300)).collect();
            trips("fra-1", "fra", 1_790_000_000_000, &rows)
        };
        for regions in [0, 1, REGIONS_MAX] {
            let sealed = many(regions).seal(&keys());
            assert_eq!(Trips::open(&keys(), &sealed), Some(many(regions)));
            assert!(sealed.len() < 1 << 20);
        }
        let cut = Trips::open(&keys(), &many(REGIONS_MAX + 1).seal(&keys()));
        assert_eq!(cut, Some(many(REGIONS_MAX)));
        let far = Trips { regions: vec![(RegionKey(1), Duration::MAX)], ..many(0) };
        let read = Trips::open(&keys(), &far.seal(&keys())).unwrap();
        assert_eq!(read.regions, [(RegionKey(1), Duration::from_micros(u32::MAX.into()))]);
    }

    #[test]
    fn strangers_are_not_believed() {
        let sealed = trips("fra-1", "fra", 1, &[(1, 10)]).seal(&keys());
        assert_eq!(Trips::open(&Keys::new(&[[8; 32]], "windrose"), &sealed), None);
        for len in 0..sealed.len() {
            assert_eq!(Trips::open(&keys(), &sealed[..len]), None, "{len} octets");
        }
    }

    #[test]
    fn a_group_is_as_far_away_as_the_middle_one_of_its_vantages() {
        let mut distances = Distances::default();
        let now = Time::from_secs(0);
        for (vantage, millis) in [("fra-1", 20), ("fra-2", 24), ("fra-3", 300)] {
            distances.hear(trips(vantage, "fra", 1, &[(1, millis)]), now).unwrap();
        }
        distances.hear(trips("sin-1", "sin", 1, &[(1, 180), (2, 9)]), now).unwrap();
        let expected =
            [("fra".to_owned(), 1, 24), ("sin".to_owned(), 1, 180), ("sin".to_owned(), 2, 9)];
        assert_eq!(known(&mut distances, 1), expected);
    }

    #[test]
    fn what_a_new_life_has_not_measured_stands_until_it_is_old() {
        let mut distances = Distances::default();
        distances.hear(trips("a", "a", 1, &[(1, 20), (2, 30)]), Time::from_secs(0)).unwrap();
        distances.hear(trips("a", "a", 2, &[(2, 40)]), Time::from_secs(300)).unwrap();
        let one = |region, millis| ("a".to_owned(), region, millis);
        assert_eq!(known(&mut distances, 599), [one(1, 20), one(2, 40)]);
        assert_eq!(known(&mut distances, 609), [one(2, 40)]);
        assert_eq!(known(&mut distances, 910), []);
        assert!(distances.vantages.is_empty());
    }

    #[test]
    fn a_fleet_has_an_end() {
        let mut distances = Distances::default();
        for n in 0..VANTAGES_MAX {
            distances.hear(trips(&format!("v{n}"), "", 1, &[(1, 1)]), Time::ZERO).unwrap();
        }
        let one_more = trips("more", "", 1, &[(1, 1)]);
        assert_eq!(distances.hear(one_more, Time::ZERO), Err(Refused::TooMany));
        // Nor is what one of them may say without one.
        for sent in 0..3 {
            let from = sent * REGIONS_MAX as u64;
            let rows: Vec<_> = (from..from + REGIONS_MAX as u64).map(|n| (n, 1)).collect();
            distances.hear(trips("v0", "", 1 + sent, &rows), Time::ZERO).unwrap();
        }
        assert_eq!(distances.vantages["v0"].regions.len(), REGIONS_MAX);
    }

    proptest! {
        #[test]
        fn any_sealed_octets_are_read_to_an_end(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let body = [&MAGIC[..], &body].concat();
            let _ = Trips::open(&keys(), &keys().seal(Purpose::Trips, body));
        }

        /// A network may lose, repeat and turn round what it likes: nodes that have heard the same are the same.
        #[test]
        fn the_order_in_which_messages_come_means_nothing(
            said in prop::collection::vec((0_usize..3, 1_u64..6, 0_u64..3), 1..20),
            mut order in prop::collection::vec((0_usize..20, any::<u16>()), 0..60),
        ) {
            let messages: Vec<Trips> = said.iter().map(|(vantage, sent, region)| {
                // One message has one content.
                let (name, group) = (["a", "b", "c"][*vantage], ["x", "y"][(vantage + usize::try_from(sent / 3).unwrap()) % 2]);
                let rows = [(0, sent * 7 % 5), (1, sent * 3 % 5)];
                trips(name, group, sent * 3 + region, &rows[usize::try_from(region % 2).unwrap()..])
            }).collect();
            order.extend((0..messages.len()).map(|n| (n, u16::MAX / 2)));
            order.sort_by_key(|(_, place)| *place);
            let (mut one, mut other) = (Distances::default(), Distances::default());
            for message in &messages {
                one.hear(message.clone(), Time::ZERO).unwrap();
            }
            for (n, _) in order {
                other.hear(messages[n % messages.len()].clone(), Time::ZERO).unwrap();
            }
            prop_assert_eq!(one.by_group(Time::ZERO), other.by_group(Time::ZERO));
        }
    }
}
