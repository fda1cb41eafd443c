//! A small zone and its health in a few words.
//!
//! ```text
//! eu: a b/4 c/6          a pool with three endpoints: of both families, of IPv4, of IPv6
//! us min 50%: d*3 e*0    half of them must be usable; weights 3 and 0
//! ap share 2: h/host     the pool's weight in the rule; an endpoint under a host name
//! ```
//!
//! Every pool is in a region of its own, of the same name. All endpoints are up until told otherwise;
//! `a` means every way to reach endpoint `a`, `a/4` its IPv4 address.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use crate::model::topology::{
    AllDown, Branch, BranchTo, EndpointAt, Facts, MinHealthy, Pick, Policy, Region, TtlJitter,
    Where,
};
use crate::model::{
    Coordinates, Endpoint, EndpointHealth, EndpointId, Location, Name, Pool, PoolId, RegionId,
    Steer, SteerId, TargetHealth, Time, Verdict, Zone,
};
use crate::steer::trail::{PoolNote, trail};
use crate::steer::{
    Draw, Drawn, Evidence, Family, Outline, Pasts, PoolPast, Preference, Scene, Selected,
    Selection, draw, prefer, select,
};

/// The longest and the shortest TTL of every rule here. What comes out is not made shorter unless told.
pub(super) const TTL: u32 = 60;
pub(super) const TTL_MIN: u32 = 2;

const UP: TargetHealth = TargetHealth {
    verdict: Verdict::Up,
    since: Time::ZERO,
    next_change: Duration::from_secs(1000),
    agreed_by: 1,
    is_answering: false,
};

/// A zone with one rule, and what is known of its endpoints.
#[derive(Clone, Debug)]
pub(in crate::steer) struct World {
    pub(in crate::steer) zone: Zone,
    pub(in crate::steer) health: Vec<EndpointHealth>,
    pub(in crate::steer) past: Vec<PoolPast>,
    /// What endpoints have been through, where their pools start slowly.
    pub(in crate::steer) endpoint_past: Vec<PoolPast>,
    pub(in crate::steer) now: Time,
}

impl World {
    pub(in crate::steer) fn new(policy: Policy, pools: &str) -> Self {
        let mut zone = empty_zone(policy);
        for line in pools.lines().map(str::trim).filter(|line| !line.is_empty()) {
            add_pool(&mut zone, line);
        }
        let way = |has: bool| has.then_some(UP);
        let health = zone.endpoints.iter().map(|endpoint| match endpoint.at {
            EndpointAt::Addresses { v4, v6 } => EndpointHealth {
                v4: way(v4.is_some()),
                v6: way(v6.is_some()),
                ..Default::default()
            },
            EndpointAt::Host(_) | EndpointAt::Alias(_) => {
                EndpointHealth { host: way(true), ..Default::default() }
            }
        });
        let past = vec![PoolPast::Whole; zone.pools.len()];
        let endpoint_past = vec![PoolPast::Whole; zone.endpoints.len()];
        Self { health: health.collect(), zone, past, endpoint_past, now: Time::ZERO }
    }

    pub(in crate::steer) fn rule(&mut self) -> &mut Steer {
        &mut self.zone.steers[0]
    }

    pub(in crate::steer) fn pick(mut self, policy: Policy, answers: u8) -> Self {
        self.rule().pick =
            Pick { policy, is_sticky: false, answers: NonZeroU8::new(answers).unwrap() };
        self
    }

    pub(in crate::steer) fn all_down(mut self, all_down: AllDown) -> Self {
        self.rule().all_down = all_down;
        self
    }

    /// A `where` clause for these pools; it is the caller who says that it applies.
    pub(in crate::steer) fn clause(mut self, pools: &str, is_strict: bool) -> Self {
        let branches = pools.split_whitespace().map(|name| self.branch(name)).collect();
        self.rule().wheres.push(Where { branches, is_strict, ..Default::default() });
        self
    }

    /// The pools of the rule are these only; others can still be named by `all-down`.
    pub(in crate::steer) fn rule_pools(mut self, pools: &str) -> Self {
        let own: Vec<BranchTo> =
            pools.split_whitespace().map(|name| BranchTo::Pool(self.pool(name))).collect();
        self.rule().branches.retain(|branch| own.contains(&branch.to));
        self
    }

    /// Takes these down, since second `at`.
    pub(in crate::steer) fn down_at(mut self, at: u64, ways: &str) -> Self {
        self.each_way(ways, |way| {
            *way = TargetHealth { verdict: Verdict::Down, since: Time::from_secs(at), ..*way };
        });
        self
    }

    pub(in crate::steer) fn down(self, ways: &str) -> Self {
        self.down_at(1, ways)
    }

    pub(in crate::steer) fn verdict(mut self, ways: &str, verdict: Verdict) -> Self {
        self.each_way(ways, |way| way.verdict = verdict);
        self
    }

    /// These could change in so many seconds.
    pub(in crate::steer) fn next_change(mut self, secs: u64, ways: &str) -> Self {
        self.each_way(ways, |way| way.next_change = Duration::from_secs(secs));
        self
    }

    pub(in crate::steer) fn each_way(
        &mut self,
        ways: &str,
        mut change: impl FnMut(&mut TargetHealth),
    ) {
        for word in ways.split_whitespace() {
            let (name, family) = word.split_once('/').unwrap_or((word, "46host"));
            let place = self.zone.endpoints.iter().position(|endpoint| endpoint.name == name);
            let health = &mut self.health[place.expect("a test names its own endpoints")];
            let ways = [("4", &mut health.v4), ("6", &mut health.v6), ("host", &mut health.host)];
            let meant = ways.into_iter().filter(|(of, _)| family.contains(of));
            meant.filter_map(|(_, way)| way.as_mut()).for_each(&mut change);
        }
    }

    pub(in crate::steer) fn pool(&self, name: &str) -> PoolId {
        let place = self.zone.pools.iter().position(|pool| pool.name == name);
        PoolId::new(place.expect("a test names its own pools"))
    }

    /// The place of a pool among the rule's branches.
    pub(in crate::steer) fn branch(&self, name: &str) -> usize {
        let to = BranchTo::Pool(self.pool(name));
        let place = self.zone.steers[0].branches.iter().position(|branch| branch.to == to);
        place.expect("a test names the rule's own pools")
    }

    pub(in crate::steer) fn outline(&self) -> Outline {
        Outline::new(&self.zone, SteerId::new(0))
    }

    /// What clients get to whom clause `n` applies, or none; nearest first as written.
    pub(in crate::steer) fn preference(&self, clause: Option<usize>) -> Preference {
        let nearest: Vec<RegionId> = (0..self.zone.regions.len()).map(RegionId::new).collect();
        self.prefer(clause, Some(&nearest))
    }

    /// What clients get to whom clause `n` applies, or none, with the regions `nearest` first.
    pub(in crate::steer) fn prefer(
        &self,
        clause: Option<usize>,
        nearest: Option<&[RegionId]>,
    ) -> Preference {
        let subnets: Vec<bool> =
            (0..self.zone.steers[0].wheres.len()).map(|n| clause == Some(n)).collect();
        let location = Location::default();
        let evidence =
            Evidence { location: &location, subnets: &subnets, nearest, kilometres: &[] };
        prefer(&self.zone, &self.outline(), &evidence)
    }

    pub(in crate::steer) fn scene(&self) -> Scene {
        let past = Pasts {
            pools: self.past.clone(),
            endpoints: self.endpoint_past.clone(),
            ..Pasts::default()
        };
        Scene::new(&self.zone, &|id| self.health[id.index()], &past, self.now)
    }

    pub(in crate::steer) fn select_for(
        &self,
        preference: &Preference,
        family: Family,
    ) -> Selection {
        select(&self.zone, &self.outline(), preference, &self.scene(), family)
    }

    /// What became of each pool for clients to whom the first clause applies, if there is any.
    pub(in crate::steer) fn trail(&self, family: Family) -> Vec<PoolNote> {
        let preference = self.preference(self.first_clause());
        let selection = self.select_for(&preference, family);
        trail(&self.zone, &self.outline(), &preference, &self.scene(), family, &selection)
    }

    fn first_clause(&self) -> Option<usize> {
        (!self.zone.steers[0].wheres.is_empty()).then_some(0)
    }

    /// What clients get to whom the first clause applies, if there is any.
    pub(in crate::steer) fn select(&self, family: Family) -> Selection {
        self.select_for(&self.preference(self.first_clause()), family)
    }

    /// What may be answered, in words: `eu/a eu/b us/d`, `cname sorry.test.`, `nodata`, `servfail`.
    pub(in crate::steer) fn words(&self, selection: &Selection) -> String {
        match &selection.selected {
            Selected::Among(tree) => {
                tree.leaves().map(|id| self.name(*id)).collect::<Vec<_>>().join(" ")
            }
            Selected::Host(name) => format!("cname {name}"),
            Selected::NoData => "nodata".to_owned(),
            Selected::ServFail => "servfail".to_owned(),
        }
    }

    pub(in crate::steer) fn a(&self) -> String {
        self.words(&self.select(Family::V4))
    }

    pub(in crate::steer) fn aaaa(&self) -> String {
        self.words(&self.select(Family::V6))
    }

    pub(in crate::steer) fn name(&self, id: EndpointId) -> String {
        let endpoint = &self.zone.endpoints[id.index()];
        format!("{}/{}", self.zone.pools[endpoint.pool.index()].name, endpoint.name)
    }

    /// What the `turn`th answer to A for `key` names, as `eu/a eu/b`.
    pub(in crate::steer) fn drawn(&self, dice: Draw) -> String {
        match draw(&self.select(Family::V4), dice) {
            Drawn::Endpoints(endpoints) => {
                endpoints.iter().map(|id| self.name(*id)).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        }
    }
}

fn empty_zone(policy: Policy) -> Zone {
    let steer = Steer {
        pick: Pick { policy: Policy::All, is_sticky: false, answers: NonZeroU8::new(32).unwrap() },
        ttl: Duration::from_secs(TTL.into()),
        ttl_min: Duration::from_secs(TTL_MIN.into()),
        ttl_jitter: TtlJitter { share: 0, is_always: false },
        ..Steer::new("www.test.".parse().unwrap(), policy)
    };
    Zone { steers: vec![steer], ..Zone::empty("test.".parse().unwrap()) }
}

/// `us min 50% share 2: d*3 e*0`
fn add_pool(zone: &mut Zone, line: &str) {
    let (head, endpoints) = line.split_once(':').expect("POOL: ENDPOINTS");
    let mut head = head.split_whitespace();
    let name = head.next().expect("a pool has a name");
    let (mut min_healthy, mut share) = (MinHealthy::Count(1), 1);
    while let (Some(word), Some(value)) = (head.next(), head.next()) {
        match (word, value.strip_suffix('%')) {
            ("min", Some(percent)) => min_healthy = MinHealthy::Percent(percent.parse().unwrap()),
            ("min", None) => min_healthy = MinHealthy::Count(value.parse().unwrap()),
            ("share", _) => share = value.parse().unwrap(),
            _ => panic!("`{word}` is neither `min` nor `share`"),
        }
    }
    let id = PoolId::new(zone.pools.len());
    let first = zone.endpoints.len();
    for word in endpoints.split_whitespace() {
        add_endpoint(zone, id, word);
    }
    zone.steers[0].branches.push(Branch { to: BranchTo::Pool(id), weight: share });
    let region = Region {
        name: name.to_owned(),
        coordinates: Coordinates::new(0.0, 0.0).unwrap(),
        fallback: Vec::new(),
        bias: 0,
    };
    zone.regions.push(region);
    zone.pools.push(Pool {
        name: name.to_owned(),
        region: RegionId::new(zone.regions.len() - 1),
        check: None,
        capacity: None,
        feeds: Vec::new(),
        min_healthy,
        slow_start: Duration::ZERO,
        endpoints: first..zone.endpoints.len(),
    });
}

/// `d`, `d/4`, `d/6`, `d/host`, `d/alias`, each with `*3` for a weight.
fn add_endpoint(zone: &mut Zone, pool: PoolId, word: &str) {
    let (word, weight) = word.split_once('*').unwrap_or((word, "1"));
    let (name, family) = word.split_once('/').unwrap_or((word, "46"));
    let number = u8::try_from(zone.endpoints.len() + 1).unwrap();
    let v4 = Ipv4Addr::new(192, 0, 2, number);
    let v6 = Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number));
    let at = match family {
        "host" => EndpointAt::Host(Name::parse(name, &zone.apex).unwrap()),
        "alias" => EndpointAt::Alias(Name::parse(name, &zone.apex).unwrap()),
        _ => EndpointAt::Addresses {
            v4: family.contains('4').then_some(v4),
            v6: family.contains('6').then_some(v6),
        },
    };
    zone.endpoints.push(Endpoint {
        name: name.to_owned(),
        pool,
        at,
        check_address: None,
        weight: weight.parse().unwrap(),
        facts: Facts::default(),
    });
}
