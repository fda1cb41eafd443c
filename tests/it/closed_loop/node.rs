//! The node that steers: everything of windrose but sockets, files and a clock.
//!
//! A zone from its TOML, verdicts from probes, loads from what is pushed, weights from those, and answers
//! to packets. Time is the world's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use windrose::clock::Moment;
use windrose::config::{self, ZoneFiles};
use windrose::dns::{Arrival, Dice, handle};
use windrose::feed::{LoadBoard, Push};
use windrose::geo::Atlas;
use windrose::health::Board;
use windrose::intake::Intake;
use windrose::model::health::ProbeOutcome;
use windrose::model::{
    EndpointId, FailureReason, Observation, Report, SteerId, Target, Time, Zone,
};
use windrose::snapshot::demand::Estimator;
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

use super::world::{Answer, PERIOD_SECS, Steering, Told};

/// The world's zero, since 1970.
const START: u64 = 1_800_000_000;
/// What a feed says of a region at a load of 1.0.
const LIMIT: f64 = 1000.0;
/// Of the answers that are remembered, one in so many is asked for again and must be the same.
const DOUBTED: u64 = 64;
/// `www.loop.test. A IN`, as it stands in a packet.
const QUESTION: &[u8] = b"\x03www\x04loop\x04test\0\0\x01\0\x01";

/// What its zone says.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    /// The lines of the rule that are not `ttl`, `pools` and `weights`.
    pub(super) policy: &'a str,
    pub(super) ttl: u64,
    /// The static weights of the regions.
    pub(super) weights: &'a [u32],
    /// Their capacities; empty when nobody says.
    pub(super) capacities: &'a [f64],
    /// Whether reports are parts of a limit; else they are bare numbers, twice as high where a region of
    /// twice the weight is as full.
    pub(super) has_limit: bool,
    /// Of a hundred clients, how many are at home in each region: their addresses begin with 10, 11 and
    /// so on. Empty when that does not matter.
    pub(super) homes: &'a [u32],
}

impl Rule<'_> {
    /// Whether anything goes by what regions report.
    fn is_by_load(&self) -> bool {
        !self.capacities.is_empty() || self.policy.contains("least-")
    }

    fn zone(&self) -> String {
        let Self { policy, ttl, weights, capacities, has_limit, .. } = *self;
        let limit = if has_limit { format!("limit = {LIMIT}\n") } else { String::new() };
        let mut text = "zone = 'loop.test'\nnameservers = ['ns1.example.net.']\n\
             [checks.web]\nkind = 'tcp'\nport = 443\n"
            .to_owned();
        let feed = if self.is_by_load() { "feed = ['agents', 'failures']\n" } else { "" };
        if self.is_by_load() {
            text += &format!(
                "[feeds.agents]\nkind = 'push'\ninterval = '{PERIOD_SECS}s'\n{limit}\
                 [feeds.failures]\nkind = 'push'\ninterval = '{PERIOD_SECS}s'\nbudget = '1%'\n"
            );
        }
        for n in 0..weights.len() {
            let capacity = capacities.get(n).map(|capacity| format!("capacity = {capacity}\n"));
            text += &format!(
                "[regions.r{n}]\nlocation = [0, {n}]\n[pools.r{n}]\nregion = 'r{n}'\ncheck = 'web'\n\
                 {feed}endpoints = [{{ address = '192.0.2.{n}' }}]\n{}",
                capacity.unwrap_or_default()
            );
        }
        let list = |one: &dyn Fn(usize, &u32) -> String| {
            let all = weights.iter().enumerate().map(|(n, weight)| one(n, weight));
            all.collect::<Vec<_>>().join(", ")
        };
        text += &format!("[steer.www]\nttl = '{ttl}s'\n{policy}\n");
        text += &format!("pools = [{}]\n", list(&|n, _| format!("'r{n}'")));
        if weights.iter().any(|weight| *weight != 1) {
            text += &format!("weights = {{ {} }}\n", list(&|n, weight| format!("r{n} = {weight}")));
        }
        text
    }
}

pub(super) struct Node {
    intake: Intake,
    loads: LoadBoard,
    estimator: Estimator,
    snapshot: Snapshot,
    dice: Dice,
    now: u64,
    /// What each region's feed says at a load of 1.0.
    full: Vec<f64>,
    is_by_load: bool,
    homes: Vec<u32>,
    /// The last answer to each cache, and the snapshot that it is from.
    answers: Vec<Option<(u64, Answer)>>,
    remembered: u64,
}

impl Node {
    pub(super) fn new(rule: &Rule<'_>) -> Self {
        let mut report = Report::new();
        let zone = rule.zone();
        let zones = config::read_zones(&mut report, &OneFile(&zone));
        assert_eq!(report.to_string(), "", "{zone}");
        let board = Arc::new(Board::new());
        let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::build(Vec::new()).unwrap()) };
        let of_target = |target: &Target| board.health(target);
        let conditions = Conditions::new(Time::ZERO, &of_target);
        let snapshot = Snapshot::compile(blueprint, 1, &conditions).unwrap();
        board.track(&snapshot.targets(), Time::ZERO);
        let (intake, loads) = (Intake::new(board), LoadBoard::default());
        loads.use_zones(snapshot.zones());
        let full = |weight: &u32| if rule.has_limit { LIMIT } else { LIMIT * f64::from(*weight) };
        let full = rule.weights.iter().map(full).collect();
        Self {
            intake,
            loads,
            estimator: Estimator::default(),
            snapshot,
            dice: Dice::new(42),
            now: 0,
            full,
            is_by_load: rule.is_by_load(),
            homes: rule.homes.to_vec(),
            answers: Vec::new(),
            remembered: 0,
        }
    }

    /// The weights of regions as they are now.
    pub(super) fn weights(&self) -> Option<&[u32]> {
        let loads = self.snapshot.scene(0).loads.as_ref()?;
        loads.of_branches(SteerId::new(0))
    }

    fn moment(&self) -> Moment {
        Moment { time: Time::from_secs(self.now), unix: Duration::from_secs(START + self.now) }
    }

    /// Compiles what has changed, as the publisher does.
    fn compile(&mut self) {
        let (moment, of_target) = (self.moment(), self.intake.health());
        let load_of = |zone: &Zone, endpoint| self.loads.load(zone, endpoint, moment.time);
        let demands = self.estimator.step(&self.snapshot, moment.time, moment.unix, &load_of);
        let conditions =
            Conditions { demands: demands.as_ref(), ..Conditions::new(moment.time, &of_target) };
        if let Some(next) = self.snapshot.next(&conditions) {
            self.snapshot = next;
        }
        let others = self.loads.step(&self.snapshot, moment);
        if !others.is_empty() {
            self.snapshot = self.snapshot.with_loads(&others, moment.time);
        }
    }

    fn push(&self, feed: &str, region: usize, value: f64) {
        let push = Push {
            zone: "loop.test".to_owned(),
            feed: feed.to_owned(),
            pool: format!("r{region}"),
            endpoint: None,
            value,
        };
        for report in push.reports([&*self.snapshot.zones()[0]], self.moment().time).unwrap() {
            assert!(self.loads.note(&report), "nothing goes by {push:?}");
        }
    }

    /// A client in the network of its home, if it has any.
    fn at_home(&self, client: Ipv4Addr) -> Ipv4Addr {
        let [a, b, c, d] = client.octets();
        let mut left = u32::from(a) * 100 / 256;
        let home = self.homes.iter().position(|part| match left.checked_sub(*part) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        home.map_or(client, |home| Ipv4Addr::new(10 + u8::try_from(home).unwrap(), b, c, d))
    }

    fn ask(&mut self, client: Ipv4Addr) -> Answer {
        let packet = [&[0xca, 0xfe, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat();
        let unix_secs = u32::try_from(START + self.now).unwrap();
        let arrival = Arrival { client: IpAddr::V4(self.at_home(client)), is_udp: true, unix_secs };
        let mut reply = [0; 512];
        let outcome = handle(&self.snapshot, &packet, arrival, &mut self.dice, &mut reply);
        // One answer, whose name is the question's: type, class, TTL and an address of four octets.
        let (head, record) = reply[..outcome.len].split_at(packet.len());
        assert_eq!((&head[6..8], &record[..6]), (&[0, 1][..], &[0xc0, 12, 0, 1, 0, 1][..]));
        let [_, _, _, _, _, _, t0, t1, t2, t3, 0, 4, 192, 0, 2, region] = *record else {
            panic!("an address of a region is expected: {record:?}")
        };
        Answer { region: usize::from(region), ttl: u64::from(u32::from_be_bytes([t0, t1, t2, t3])) }
    }
}

impl Steering for Node {
    fn probe(&mut self, now: u64, region: usize, is_up: bool) -> u64 {
        self.now = now;
        let outcome = match is_up {
            true => ProbeOutcome::Success(Duration::from_millis(20)),
            false => ProbeOutcome::Failure(FailureReason::Timeout),
        };
        let targets = self.snapshot.zones()[0].targets_of(EndpointId::new(region));
        let at = self.moment().time;
        let paces = targets.iter().map(|target| {
            self.intake
                .observe(&Observation { target: target.clone(), at, outcome, round_trip: None })
                .next
        });
        let pace = paces.min().unwrap();
        self.compile();
        pace.as_secs().max(1)
    }

    fn hear(&mut self, now: u64, region: usize, told: Told) {
        self.now = now;
        if !self.is_by_load {
            return;
        }
        self.push("agents", region, told.load * self.full[region]);
        self.push("failures", region, told.errors);
    }

    fn look(&mut self, now: u64) {
        // What became due since the last second.
        let last = self.moment();
        self.now = now;
        let is_due =
            self.loads.due_in(last.unix).is_some_and(|left| left <= Duration::from_secs(1))
                || self.snapshot.due().is_some_and(|due| due <= self.moment().time);
        if is_due {
            self.compile();
        }
    }

    fn answer(&mut self, cache: usize, client: Ipv4Addr) -> Answer {
        if self.answers.len() <= cache {
            self.answers.resize(cache + 1, None);
        }
        // The rules here are sticky: from one snapshot a client always gets the same.
        let generation = self.snapshot.generation();
        if let Some((of, answer)) = self.answers[cache]
            && of == generation
        {
            self.remembered += 1;
            if self.remembered.is_multiple_of(DOUBTED) {
                assert_eq!(self.ask(client), answer, "{client}");
            }
            return answer;
        }
        let answer = self.ask(client);
        self.answers[cache] = Some((generation, answer));
        answer
    }
}

/// A directory with the one zone.
struct OneFile<'a>(&'a str);

impl ZoneFiles for OneFile<'_> {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["loop.test.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(self.0.into())
    }
}
