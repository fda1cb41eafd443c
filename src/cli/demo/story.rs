//! What has happened so far: pure, told by the clock of the demo.
//!
//! A [`Story`] takes in what is done to regions ([`act`](Story::act)), what clients are told
//! ([`hear`](Story::hear)) and what the node believes ([`judge`](Story::judge)), and makes events and
//! a tally of them. Times are durations from the start. Drawing it is `view`'s.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::script::Place;
use crate::model::topology::EndpointAt;
use crate::model::{RegionId, Verdict, Zone};

/// What is done to a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// Its endpoints die.
    Kill,
    /// They are there again.
    Revive,
}

/// What a client was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// To go there.
    Address {
        /// Where.
        address: Ipv4Addr,
        /// For how long, in seconds.
        ttl: u32,
    },
    /// Nothing: an error, or no records.
    Empty,
    /// Nothing in time.
    Lost,
}

/// Everything so far.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// By their number in the zone.
    pub(super) regions: Vec<Region>,
    /// In the order of the script.
    pub(super) clients: Vec<Client>,
    /// From the first to the last.
    pub(super) events: Vec<Event>,
    /// How good the answers were.
    pub(super) tally: Tally,
    /// A region dead for longer than this must not be answered.
    notice_max: Duration,
}

/// A region and what the node knows of it.
#[derive(Clone, Debug)]
pub(super) struct Region {
    /// The name it is called by.
    pub(super) name: String,
    /// Its endpoints.
    pub(super) endpoints: Vec<Endpoint>,
    /// What was done to it last, and when.
    pub(super) last: Option<(Act, Duration)>,
    /// Whether clients wait for its failure to be noticed.
    is_awaited: bool,
}

/// An endpoint and what the node knows of it.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The name it is called by.
    pub(super) name: String,
    /// What the node believes.
    pub(super) verdict: Verdict,
    address: Option<Ipv4Addr>,
    /// Its number in the zone.
    index: usize,
}

/// A client and its last answer.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Where it is.
    pub(super) place: Place,
    /// What it was told last.
    pub(super) answer: Option<Answer>,
    /// Since when it has been sent to that region.
    pub(super) since: Duration,
}

/// An answer with an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// The region of that address.
    pub(super) region: RegionId,
    /// The address.
    pub(super) address: Ipv4Addr,
    /// For how long, in seconds.
    pub(super) ttl: u32,
}

/// Something worth a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Event {
    /// When.
    pub(super) at: Duration,
    /// What, in words.
    pub(super) text: String,
}

/// How good the answers were.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    /// Replies of any kind.
    pub(super) replies: u64,
    /// Those with the address of a region that had been dead for long, or with an address of nobody.
    pub(super) wrong: u64,
    /// Those without an address.
    pub(super) empty: u64,
    /// Queries without a reply.
    pub(super) lost: u64,
    /// For each failover: from the kill to the first answer that was another.
    pub(super) failovers: Vec<Duration>,
}

impl Story {
    /// The beginning: clients at `places` who are to be sent to the regions of `zone`.
    pub(super) fn new(zone: &Zone, places: &[Place]) -> Self {
        let of_region = |id: RegionId| {
            let all = zone.endpoints.iter().enumerate();
            all.filter(move |(_, endpoint)| zone.pools[endpoint.pool.index()].region == id)
        };
        let region = |(n, region): (usize, &crate::model::Region)| Region {
            name: region.name.clone(),
            endpoints: of_region(RegionId::new(n))
                .map(|(index, endpoint)| Endpoint {
                    name: endpoint.name.clone(),
                    verdict: Verdict::Unknown,
                    address: match endpoint.at {
                        EndpointAt::Addresses { v4, .. } => v4,
                        EndpointAt::Host(_) | EndpointAt::Alias(_) => None,
                    },
                    index,
                })
                .collect(),
            last: None,
            is_awaited: false,
        };
        let client = |place: &Place| Client { place: *place, answer: None, since: Duration::ZERO };
        Self {
            regions: zone.regions.iter().enumerate().map(region).collect(),
            clients: places.iter().map(client).collect(),
            events: Vec::new(),
            tally: Tally::default(),
            notice_max: notice_max(zone),
        }
    }

    /// Takes in what is done to a region.
    pub(super) fn act(&mut self, at: Duration, act: Act, name: &str) {
        let Some(id) = self.regions.iter().position(|region| region.name == name) else { return };
        let is_answered = |client: &Client| client.answer.is_some_and(|a| a.region.index() == id);
        let region = &mut self.regions[id];
        region.last = Some((act, at));
        region.is_awaited = act == Act::Kill && self.clients.iter().any(is_answered);
        let done = match act {
            Act::Kill => "is killed: its endpoints no longer answer",
            Act::Revive => "is back: its endpoints answer again",
        };
        self.events.push(Event { at, text: format!("{name} {done}") });
    }

    /// Takes in what the node believes of each endpoint, by its number in the zone.
    pub(super) fn judge(&mut self, verdict: impl Fn(usize) -> Verdict) {
        for endpoint in self.regions.iter_mut().flat_map(|region| &mut region.endpoints) {
            endpoint.verdict = verdict(endpoint.index);
        }
    }

    /// Takes in what each client was told, in their order.
    pub(super) fn hear(&mut self, at: Duration, replies: &[Reply]) {
        let mut moves: Vec<Move> = Vec::new();
        for (n, reply) in replies.iter().enumerate() {
            let answer = self.weigh(at, *reply);
            let client = &mut self.clients[n];
            let from = client.answer.map(|answer| answer.region);
            let to = answer.map(|answer| answer.region);
            client.answer = answer;
            if from == to {
                continue;
            }
            client.since = at;
            match moves.iter_mut().find(|others| (others.from, others.to) == (from, to)) {
                Some(others) => others.cities.push(client.place.city),
                None => moves.push(Move { from, to, cities: vec![client.place.city] }),
            }
        }
        for moved in moves {
            let text = self.follow(at, &moved);
            self.events.push(Event { at, text });
        }
    }

    /// Counts a reply; returns the answer in it.
    fn weigh(&mut self, at: Duration, reply: Reply) -> Option<Answer> {
        let (address, ttl) = match reply {
            Reply::Address { address, ttl } => (address, ttl),
            Reply::Empty => {
                self.tally.replies += 1;
                self.tally.empty += 1;
                return None;
            }
            Reply::Lost => {
                self.tally.lost += 1;
                return None;
            }
        };
        self.tally.replies += 1;
        let has_it = |region: &Region| region.endpoints.iter().any(|e| e.address == Some(address));
        let region = self.regions.iter().position(has_it);
        let last = region.and_then(|region| self.regions[region].last);
        let is_long_dead =
            matches!(last, Some((Act::Kill, killed)) if at > killed + self.notice_max);
        if region.is_none() || is_long_dead {
            self.tally.wrong += 1;
        }
        region.map(|region| Answer { region: RegionId::new(region), address, ttl })
    }

    /// Says why clients were sent elsewhere, and notes the first of a failover.
    fn follow(&mut self, at: Duration, moved: &Move) -> String {
        let cities = moved.cities.join(", ");
        let (from, to) = match (moved.from, moved.to) {
            (_, None) => return format!("{cities}: no answer"),
            (None, Some(to)) => {
                return format!("{cities} -> {}", self.regions[to.index()].name);
            }
            (Some(from), Some(to)) => (from.index(), to.index()),
        };
        let names = format!("{} -> {}", self.regions[from].name, self.regions[to].name);
        let why = match (self.regions[from].last, self.regions[to].last) {
            (Some((Act::Kill, killed)), _) => {
                let took = at.saturating_sub(killed);
                if std::mem::take(&mut self.regions[from].is_awaited) {
                    self.tally.failovers.push(took);
                }
                format!(" ({} s after the kill)", secs(took))
            }
            (_, Some((Act::Revive, back))) => {
                format!(" ({} s after it came back)", secs(at.saturating_sub(back)))
            }
            _ => String::new(),
        };
        format!("{cities}: {names}{why}")
    }
}

/// Clients that were sent elsewhere at the same time.
struct Move {
    from: Option<RegionId>,
    to: Option<RegionId>,
    cities: Vec<&'static str>,
}

/// In how long the checks of a zone must have noticed a failure, with a second to publish it and ask.
fn notice_max(zone: &Zone) -> Duration {
    let of_check = |check: &crate::model::Check| {
        (check.spec.interval + check.spec.timeout) * u32::from(check.spec.fall.get())
    };
    zone.checks.iter().map(of_check).max().unwrap_or_default() + Duration::from_secs(1)
}

impl Region {
    /// Whether anything in it may be answered.
    pub(super) fn is_usable(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.verdict.is_usable())
    }
}

impl Tally {
    /// The summary: one line.
    pub(super) fn summary(&self, elapsed: Duration) -> String {
        let Self { replies, wrong, empty, lost, .. } = self;
        let failovers = match self.failovers.len() {
            0 => "no failover".to_owned(),
            1 => "1 failover".to_owned(),
            many => format!("{many} failovers"),
        };
        let took = self.took().map_or_else(String::new, |took| format!(", {took}"));
        format!(
            "{failovers} in {} s{took}; {replies} answers: {wrong} wrong, {empty} empty, {lost} lost",
            elapsed.as_secs()
        )
    }

    /// `kill to first changed answer: median 1.2 s, max 1.8 s`; nothing before the first failover.
    pub(super) fn took(&self) -> Option<String> {
        let mut sorted = self.failovers.clone();
        sorted.sort();
        let max = sorted.last()?;
        let median = sorted[(sorted.len() - 1) / 2];
        let (median, max) = (secs(median), secs(*max));
        Some(format!("kill to first changed answer: median {median} s, max {max} s"))
    }
}

/// Seconds with one decimal.
pub(super) fn secs(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::super::script::PLACES;
    use super::*;
    use crate::config::read_zones;
    use crate::files::ZoneDirectory;
    use crate::model::Report;

    const EU: Reply = reply([192, 0, 2, 10], 30);
    const US: Reply = reply([198, 51, 100, 11], 5);
    const NOBODY: Reply = reply([203, 0, 113, 99], 30);

    const fn reply([a, b, c, d]: [u8; 4], ttl: u32) -> Reply {
        Reply::Address { address: Ipv4Addr::new(a, b, c, d), ttl }
    }

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The example zone, with clients in London and Berlin.
    fn beginning() -> Story {
        let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
        let zones = read_zones(&mut Report::new(), &ZoneDirectory::new(&zones));
        Story::new(&zones[0], &PLACES[..2])
    }

    /// A failover that is over, with a second one that nobody has noticed yet.
    pub(in super::super) fn failover() -> Story {
        let mut story = beginning();
        story.judge(|_| Verdict::Up);
        story.hear(at(100), &[EU, EU]);
        story.act(at(6000), Act::Kill, "eu-west");
        story.hear(at(6100), &[EU, EU]);
        story.hear(at(7300), &[US, EU]);
        story.hear(at(7400), &[US, US]);
        story.act(at(18_000), Act::Revive, "eu-west");
        story.hear(at(19_500), &[EU, EU]);
        story.act(at(28_000), Act::Kill, "us-east");
        story.act(at(29_000), Act::Kill, "eu-west");
        story.judge(|endpoint| if endpoint == 0 { Verdict::Down } else { Verdict::Up });
        story
    }

    fn texts(story: &Story) -> Vec<&str> {
        story.events.iter().map(|event| &*event.text).collect()
    }

    #[test]
    fn a_failover_and_its_end_are_told_with_their_times() {
        let story = failover();
        assert_eq!(
            texts(&story),
            [
                "London, Berlin -> eu-west",
                "eu-west is killed: its endpoints no longer answer",
                "London: eu-west -> us-east (1.3 s after the kill)",
                "Berlin: eu-west -> us-east (1.4 s after the kill)",
                "eu-west is back: its endpoints answer again",
                "London, Berlin: us-east -> eu-west (1.5 s after it came back)",
                "us-east is killed: its endpoints no longer answer",
                "eu-west is killed: its endpoints no longer answer",
            ]
        );
        assert_eq!(story.tally.failovers, [at(1300)], "counted once, when the first client moved");
        assert_eq!((story.tally.replies, story.tally.wrong), (10, 0));
    }

    #[test]
    fn answers_with_a_region_that_has_long_been_dead_are_wrong() {
        let mut story = beginning();
        story.act(at(1000), Act::Kill, "eu-west");
        let last_good = at(1000) + story.notice_max;
        for (millis, wrong) in [(0, 0), (1, 2)] {
            story.hear(last_good + at(millis), &[EU, EU]);
            assert_eq!(story.tally.wrong, wrong);
        }
        story.act(at(9000), Act::Revive, "eu-west");
        story.hear(at(9100), &[EU, NOBODY]);
        assert_eq!(story.tally.wrong, 3, "an address of nobody is wrong at any time");
    }

    #[test]
    fn clients_that_are_told_nothing_are_counted_and_said() {
        let mut story = beginning();
        story.hear(at(100), &[EU, EU]);
        story.hear(at(200), &[Reply::Empty, Reply::Lost]);
        story.hear(at(300), &[Reply::Lost, EU]);
        assert_eq!(
            texts(&story),
            ["London, Berlin -> eu-west", "London, Berlin: no answer", "Berlin -> eu-west"]
        );
        let Tally { replies, wrong, empty, lost, .. } = story.tally;
        assert_eq!((replies, wrong, empty, lost), (4, 0, 1, 2));
    }

    #[test]
    fn the_summary_has_the_median_and_the_worst() {
        let mut tally = Tally { replies: 90, ..Tally::default() };
        assert_eq!(
            tally.summary(at(5900)),
            "no failover in 5 s; 90 answers: 0 wrong, 0 empty, 0 lost"
        );
        tally.failovers = vec![at(1900), at(1100), at(1300)];
        assert_eq!(
            tally.summary(at(70_000)),
            "3 failovers in 70 s, kill to first changed answer: median 1.3 s, max 1.9 s; \
             90 answers: 0 wrong, 0 empty, 0 lost"
        );
    }
}
