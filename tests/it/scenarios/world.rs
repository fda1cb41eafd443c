//! The node that scenarios are played against: everything but sockets, files and a clock.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder};
use windrose::alias::Book;
use windrose::clock::Moment;
use windrose::config::{self, ZoneFiles};
use windrose::dns::{Arrival, Dice, Pairs, handle};
use windrose::feed::{LoadBoard, Push};
use windrose::geo::writer::{Value, Writer};
use windrose::geo::{Atlas, Database};
use windrose::health::Board;
use windrose::intake::Intake;
use windrose::model::{
    Coordinates, DownFrom, EndpointId, Name, Observation, Override, Prefix, Reach, RecordType,
    RegionKey, Report, Said, Target, TargetHealth, TargetHost, Time, Verdict, Zone,
};
use windrose::snapshot::demand::Estimator;
use windrose::snapshot::explain::{Question, explain};
use windrose::snapshot::{Blueprint, Conditions, Snapshot};
use windrose::zone::rdata_to_text;

use super::line::{Action, Ask, Repeat, Spoken, Step};

/// How far a share may be off, in percent of all.
const SHARE_ERROR: f64 = 1.0;

/// Where groups of vantages are.
const GROUPS: [(&str, f64, f64); 3] =
    [("fra", 50.11, 8.68), ("iad", 38.95, -77.45), ("sin", 1.35, 103.99)];

/// When scenarios begin, since 1970.
const START: Duration = Duration::from_secs(1_800_000_000);

pub(super) struct World {
    intake: Intake,
    loads: LoadBoard,
    estimator: Estimator,
    book: Book,
    /// What each feed reports of endpoints, every ten seconds.
    reports: BTreeMap<(String, String), f64>,
    /// What groups of vantages do not reach.
    reach: Reach,
    snapshot: Snapshot,
    dice: Dice,
    now: Time,
}

/// What came back.
struct Answer {
    text: String,
    ttl: Option<u32>,
    scope: Option<u8>,
}

impl World {
    pub(super) fn new(directory: &Path) -> Self {
        let zone = fs::read_to_string(directory.join("shop.test.toml")).unwrap();
        let mut report = Report::new();
        let zones = config::read_zones(&mut report, &OneFile(zone));
        assert_eq!(report.to_string(), "");
        let clients = fs::read_to_string(directory.join("clients.txt")).unwrap();
        let database = Database::open("clients", database(&clients)).unwrap();
        let atlas = Arc::new(Atlas::build(vec![database]).unwrap());
        let board = Arc::new(Board::new());
        let blueprint = Blueprint { zones, atlas };
        let of_target = |target: &Target| board.health(target);
        // Nothing is found yet of any host.
        let aliases = Arc::default();
        let conditions = Conditions::new(Time::ZERO, &of_target).with_aliases(&aliases);
        let snapshot = Snapshot::compile(blueprint, 1, &conditions).unwrap();
        board.track(&snapshot.targets(), Time::ZERO);
        let snapshot = snapshot.next(&conditions).unwrap_or(snapshot);
        let (intake, loads) = (Intake::new(board), LoadBoard::default());
        loads.use_zones(snapshot.zones());
        let (reports, estimator) = (BTreeMap::new(), Estimator::default());
        let book = Book::new(Arc::default());
        book.use_hosts(&snapshot.alias_hosts());
        let dice = Dice::new(42).with_pairs(&Arc::new(Pairs::new(42)));
        let place = |(name, north, east): (&str, f64, f64)| {
            (name.to_owned(), Coordinates::new(north, east).unwrap())
        };
        let reach = Reach { places: GROUPS.map(place).into(), ..Reach::default() };
        Self { intake, loads, estimator, book, reports, reach, snapshot, dice, now: Time::ZERO }
    }

    /// Compiles what has changed, as the publisher does.
    fn compile(&mut self) {
        self.intake.end_overdue(self.now);
        let (of_target, overrides) = (self.intake.health(), self.intake.overrides());
        let load_of = |zone: &Zone, endpoint| self.loads.load(zone, endpoint, self.now);
        let unix = self.moment().unix;
        let demands = self.estimator.step(&self.snapshot, self.now, unix, &load_of);
        let aliases = self.book.aliases();
        let reach = self.intake.reach();
        let conditions = Conditions {
            reach: reach.as_ref(),
            demands: demands.as_ref(),
            aliases: Some(&aliases),
            ..Conditions::new(self.now, &of_target).with_overrides(&overrides)
        };
        if let Some(next) = self.snapshot.next(&conditions) {
            self.snapshot = next;
        }
        let others = self.loads.step(&self.snapshot, self.moment());
        if !others.is_empty() {
            self.snapshot = self.snapshot.with_loads(&others, self.now);
        }
    }

    fn moment(&self) -> Moment {
        Moment { time: self.now, unix: START + self.now.since(Time::ZERO) }
    }

    /// When something happens of itself next.
    fn due(&self) -> Option<Time> {
        let unix = self.moment().unix;
        let by_load = [self.loads.due_in(unix), self.snapshot.demand_due_in(unix)];
        let by_load = by_load.into_iter().flatten().map(|left| self.now + left);
        self.snapshot.due().into_iter().chain(by_load).min()
    }

    /// Has feeds report.
    fn report(&self) {
        for ((feed, endpoint), value) in &self.reports {
            let zone = &self.snapshot.zones()[0];
            let pool = zone.endpoints.iter().find(|own| own.name == *endpoint).unwrap().pool;
            let told = Push {
                zone: "shop.test".to_owned(),
                feed: feed.clone(),
                pool: zone.pools[pool.index()].name.clone(),
                endpoint: Some(endpoint.clone()),
                value: *value,
            };
            for report in told.reports([&**zone], self.now).unwrap() {
                self.loads.note(&report);
            }
        }
    }

    pub(super) fn take(&mut self, step: &Step) -> Result<(), String> {
        if step.at < self.now {
            return Err(format!("time goes back from {:?}", self.now));
        }
        // What the publisher does while nothing else happens.
        while let Some(due) = self.due().filter(|due| *due <= step.at) {
            self.now = due;
            self.report();
            self.compile();
        }
        self.now = step.at;
        match &step.action {
            Action::Probe { endpoints, outcome, times } => {
                for endpoint in endpoints {
                    for target in self.targets(endpoint)? {
                        let observation = Observation {
                            target,
                            at: self.now,
                            outcome: *outcome,
                            round_trip: None,
                        };
                        for _ in 0..*times {
                            self.intake.observe(&observation);
                        }
                    }
                }
                self.compile();
                Ok(())
            }
            Action::Expect { endpoint, verdict } => {
                for target in self.targets(endpoint)? {
                    let found = self.intake.board().health(&target).verdict;
                    if found != *verdict {
                        return Err(format!(
                            "expected {endpoint} to be {verdict}, but {target} is {found}"
                        ));
                    }
                }
                Ok(())
            }
            Action::Report { feed, endpoints, value } => {
                for endpoint in endpoints {
                    self.targets(endpoint)?;
                    let of = (feed.clone(), endpoint.clone());
                    match value {
                        Some(value) => drop(self.reports.insert(of, *value)),
                        None => drop(self.reports.remove(&of)),
                    }
                }
                Ok(())
            }
            Action::LookUp { host, found } => {
                let Ok(host) = host.parse() else { return Err(format!("`{host}` is no host")) };
                let (mut v4, mut v6) = (Vec::new(), Vec::new());
                for address in found.iter().flat_map(|(addresses, _)| addresses) {
                    match address {
                        IpAddr::V4(address) => v4.push(*address),
                        IpAddr::V6(address) => v6.push(*address),
                    }
                }
                let ttl = found.as_ref().map(|(_, ttl)| *ttl).ok_or_else(|| "timeout".to_owned());
                let (v4, v6) = (ttl.clone().map(|ttl| (v4, ttl)), ttl.map(|ttl| (v6, ttl)));
                let known = self.book.note(&host, v4, v6, self.now);
                known.ok_or_else(|| format!("nothing is an alias of {host}"))?;
                self.compile();
                Ok(())
            }
            Action::Release { pool } => {
                let (of_target, overrides) = (self.intake.health(), self.intake.overrides());
                let conditions = Conditions::new(self.now, &of_target).with_overrides(&overrides);
                let apex = self.snapshot.zones()[0].apex.clone();
                let next = self.snapshot.released(&apex, pool, &conditions);
                self.snapshot = next.ok_or_else(|| format!("pool `{pool}` does not wait"))?;
                Ok(())
            }
            Action::Say { what, kind, said } => {
                for (zone, what) in self.snapshot.subjects_named(None, what)? {
                    self.intake.say(Override { zone, what, kind: *kind, said: self.said(said) });
                }
                self.compile();
                Ok(())
            }
            Action::TakeBack { what } => {
                for (zone, subject) in self.snapshot.subjects_named(None, what)? {
                    let taken = self.intake.take_back(&zone, &subject, None, "ann");
                    taken.ok_or_else(|| format!("nothing is said of {subject}"))?;
                }
                self.compile();
                Ok(())
            }
            Action::Freeze(said) => {
                self.intake.freeze(self.said(said));
                self.compile();
                Ok(())
            }
            Action::Unfreeze => {
                let was_frozen = self.intake.unfreeze("ann");
                self.compile();
                if was_frozen { Ok(()) } else { Err("answers were not frozen".to_owned()) }
            }
            Action::Cut { endpoints, group, is_cut } => {
                let mut reach = self.reach.clone();
                for endpoint in endpoints {
                    for target in self.targets(endpoint)? {
                        let from = reach.down.entry(target).or_default();
                        from.retain(|from| from.group != *group);
                        from.extend(is_cut.then(|| down_from(group, self.now)));
                    }
                }
                reach.down.retain(|_, from| !from.is_empty());
                self.reach_is(reach);
                Ok(())
            }
            Action::Measure { region, group, took } => {
                let zone = &self.snapshot.zones()[0];
                if !zone.regions.iter().any(|own| own.name == *region) {
                    return Err(format!("no region is called `{region}`"));
                }
                let key = RegionKey::new(&zone.apex, region);
                let mut reach = self.reach.clone();
                let own = Arc::make_mut(&mut reach.round_trips).entry(group.clone()).or_default();
                match took {
                    Some(took) => drop(own.insert(key, *took)),
                    None => drop(own.remove(&key)),
                }
                self.reach_is(reach);
                Ok(())
            }
            Action::Ask(ask) => self.ask(ask),
        }
    }

    fn reach_is(&mut self, reach: Reach) {
        self.reach = reach.clone();
        let is_nothing = reach.is_whole() && reach.round_trips.is_empty();
        self.intake.set_reach(if is_nothing { Reach::default() } else { reach });
        self.compile();
    }

    fn said(&self, spoken: &Spoken) -> Said {
        let until = spoken.length.map(|length| self.now + length);
        Said { author: "ann".to_owned(), reason: spoken.reason.clone(), at: self.now, until }
    }

    /// The targets of `eu-1`, or of `eu-1/4` alone.
    fn targets(&self, word: &str) -> Result<Vec<Target>, String> {
        let (name, family) = word.split_once('/').unwrap_or((word, ""));
        let zone = &self.snapshot.zones()[0];
        let place = zone.endpoints.iter().position(|endpoint| endpoint.name == name);
        let place = place.ok_or_else(|| format!("no endpoint is called `{name}`"))?;
        let is_meant = |target: &&Target| match (family, &target.host) {
            ("4", TargetHost::Address(address)) => address.is_ipv4(),
            ("6", TargetHost::Address(address)) => address.is_ipv6(),
            _ => true,
        };
        let targets = zone.targets_of(EndpointId::new(place));
        Ok(targets.iter().filter(is_meant).cloned().collect())
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), String> {
        if !ask.shares.is_empty() {
            return self.ask_often(ask);
        }
        let answer = self.answer(ask, ask.subnet);
        let is_right = ask.answers.contains(&answer.text)
            && ask.ttl.is_none_or(|ttl| answer.ttl == Some(ttl))
            && ask.scope.is_none_or(|scope| answer.scope.unwrap_or(0) == scope);
        if !is_right {
            let expected = shown(&ask.answers.join(" or "), ask.ttl, ask.scope);
            let got = shown(&answer.text, answer.ttl.filter(|_| ask.ttl.is_some()), answer.scope);
            return Err(format!("expected {expected}, got {got}"));
        }
        let Some(because) = &ask.because else { return Ok(()) };
        let why = self.why(ask);
        if why.contains(because) {
            Ok(())
        } else {
            Err(format!("expected because {because}, got {why}"))
        }
    }

    fn ask_often(&mut self, ask: &Ask) -> Result<(), String> {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let (Repeat::Times(times) | Repeat::Networks(times)) = ask.repeat;
        for n in 0..times {
            let subnet = match ask.repeat {
                Repeat::Times(_) => ask.subnet,
                Repeat::Networks(_) => {
                    Some(Prefix::new(IpAddr::from((20 << 24 | n << 8).to_be_bytes()), 24))
                }
            };
            let answer = self.answer(ask, subnet);
            if ask.scope.is_some_and(|scope| answer.scope != Some(scope)) {
                return Err(format!("expected scope {:?}, got {:?}", ask.scope, answer.scope));
            }
            *counts.entry(answer.text).or_default() += 1;
        }
        let share = |answer: &String| {
            f64::from(counts.get(answer).copied().unwrap_or(0)) * 100.0 / f64::from(times)
        };
        let is_right =
            |(answer, wanted): &(String, f64)| (share(answer) - wanted).abs() <= SHARE_ERROR;
        let is_whole =
            counts.keys().all(|answer| ask.shares.iter().any(|(known, _)| known == answer));
        if is_whole && ask.shares.iter().all(is_right) {
            return Ok(());
        }
        let got: Vec<_> =
            counts.keys().map(|answer| format!("{answer} {:.1}%", share(answer))).collect();
        Err(format!("expected {:?}, got {}", ask.shares, got.join(" ")))
    }

    fn answer(&mut self, ask: &Ask, subnet: Option<Prefix>) -> Answer {
        let packet = packet(&self.name(ask), ask, subnet);
        let arrival = Arrival { client: ask.resolver, is_udp: true, unix_secs: 1_800_000_000 };
        let mut reply = [0; 1232];
        let outcome = handle(&self.snapshot, &packet, arrival, &mut self.dice, &mut reply);
        let reply = &reply[..outcome.len];
        let message = Message::from_vec(reply).unwrap();
        let records: Vec<String> = message
            .answers
            .iter()
            .map(|record| match record.record_type().to_string().as_str() {
                "A" | "AAAA" => record.data.to_string(),
                rtype => format!("{} {}", rtype.to_lowercase(), text(record)),
            })
            .collect();
        let text = match message.metadata.response_code {
            ResponseCode::NoError if records.is_empty() => "nodata".to_owned(),
            ResponseCode::NoError => records.join(" "),
            rcode => format!("{rcode:?}").to_lowercase(),
        };
        let ttl =
            message.answers.iter().chain(&message.authorities).next().map(|record| record.ttl);
        let scope = subnet.map(|subnet| {
            // The subnet comes first among the options, octet for octet but for its scope.
            let option = subnet_option(subnet);
            let at = reply.windows(7).rposition(|octets| octets == &option[..7]).unwrap();
            reply[at + 7]
        });
        Answer { text, ttl, scope }
    }

    fn why(&self, ask: &Ask) -> String {
        let client = ask.subnet.unwrap_or_else(|| Prefix::host(ask.resolver));
        let name = self.name(ask);
        let question = Question { name: &name, qtype: ask.qtype, client, down: &[], random: 0 };
        let Some(decision) = explain(&self.snapshot, &question).decision else {
            return String::new();
        };
        let reasons = decision.pools.into_iter().flat_map(|pool| {
            let endpoints = pool.endpoints.into_iter();
            let endpoints = endpoints.map(|(endpoint, verdict)| format!("{endpoint} {verdict}"));
            [pool.reason].into_iter().chain(endpoints)
        });
        [decision.why, decision.ttl_by].into_iter().chain(reasons).collect::<Vec<_>>().join(" | ")
    }

    fn name(&self, ask: &Ask) -> Name {
        Name::parse(&ask.name, &self.snapshot.zones()[0].apex).unwrap()
    }
}

/// Down from a group, which could say otherwise in ten seconds.
fn down_from(group: &str, now: Time) -> DownFrom {
    let health = TargetHealth {
        is_answering: false,
        verdict: Verdict::Down,
        since: now,
        next_change: Duration::from_secs(10),
        agreed_by: 1,
    };
    DownFrom { group: group.to_owned(), health }
}

/// The data of a record as a master file has it.
fn text(record: &Record) -> String {
    let mut wire = Vec::new();
    record.data.emit(&mut BinEncoder::new(&mut wire)).unwrap();
    rdata_to_text(RecordType(record.record_type().into()), &wire)
}

fn shown(answer: &str, ttl: Option<u32>, scope: Option<u8>) -> String {
    let ttl = ttl.map_or_else(String::new, |ttl| format!(" ttl {ttl}"));
    let scope = scope.map_or_else(String::new, |scope| format!(" scope {scope}"));
    format!("{answer}{ttl}{scope}")
}

/// A directory with the one zone.
struct OneFile(String);

impl ZoneFiles for OneFile {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["shop.test.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(self.0.as_str().into())
    }
}

/// `NETWORK COUNTRY CONTINENT LATITUDE LONGITUDE ASN` a line, as a database.
fn database(clients: &str) -> Vec<u8> {
    let mut writer = Writer::v6("Clients");
    for line in clients.lines() {
        let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().collect();
        let [network, country, continent, latitude, longitude, asn] = words[..] else { continue };
        let number = |text: &str| Value::Double(text.parse().unwrap());
        let record = Value::from([
            ("country_code", country.into()),
            ("continent_code", continent.into()),
            ("latitude", number(latitude)),
            ("longitude", number(longitude)),
            ("autonomous_system_number", asn.parse::<u32>().unwrap().into()),
        ]);
        writer.insert(network.parse().unwrap(), &record);
    }
    writer.finish()
}

/// A query, with an OPT record if there is a client subnet.
fn packet(name: &Name, ask: &Ask, subnet: Option<Prefix>) -> Vec<u8> {
    let mut packet = vec![0xca, 0xfe, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(subnet.is_some())];
    packet.extend_from_slice(name.as_wire());
    packet.extend_from_slice(&ask.qtype.0.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if let Some(subnet) = subnet {
        let option = subnet_option(subnet);
        let len = u8::try_from(option.len()).unwrap();
        packet.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, len]);
        packet.extend_from_slice(&option);
    }
    packet
}

/// RFC 7871 §6, with code and length.
fn subnet_option(subnet: Prefix) -> Vec<u8> {
    let (family, octets) = match subnet.address() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let octets = &octets[..usize::from(subnet.len()).div_ceil(8)];
    let len = u8::try_from(4 + octets.len()).unwrap();
    [&[0, 8, 0, len, 0, family, subnet.len(), 0], octets].concat()
}
