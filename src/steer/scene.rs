//! What is known of a zone's pools at a moment: the stage on which every rule chooses.
//!
//! A [`Scene`] is made from the health of endpoints, from what operators say of them, and from what
//! pools went through before ([`PoolPast`]). It knows nothing of rules or clients, so all rules of a
//! zone share it, and a change of one endpoint changes the view of one pool.

use std::sync::Arc;
use std::time::Duration;

use super::capacity::Plan;
use super::fitness::RECOVERY;
use super::load::LoadWeights;
use crate::model::topology::EndpointAt;
use crate::model::{
    AliasHealth, Aliases, Endpoint, EndpointHealth, EndpointId, Pool, PoolId, TargetHealth, Time,
    Verdict, Zone,
};

/// By which addresses an answer leads to endpoints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// By IPv4 addresses: A.
    V4,
    /// By IPv6 addresses: AAAA.
    V6,
    /// By either: types that name endpoints without an address family.
    Either,
}

impl Family {
    /// All of them, in the order of [`Scene`]'s views.
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Either];

    const fn place(self) -> usize {
        match self {
            Self::V4 => 0,
            Self::V6 => 1,
            Self::Either => 2,
        }
    }
}

/// What a pool has been through, as far as failback and ramps ask; or an endpoint, as far as a slow start
/// does.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PoolPast {
    /// Nobody has looked at it yet.
    #[default]
    New,
    /// It was never lost.
    Whole,
    /// It is lost: too few of its endpoints are alive.
    Lost {
        /// Since when; `None` when it was never known to be usable.
        since: Option<Time>,
    },
    /// It was lost and is usable again.
    Back {
        /// Since when, or since an operator released it.
        since: Time,
        /// Whether an operator has said that it may be used.
        is_released: bool,
    },
}

impl PoolPast {
    /// What comes of it when the pool is found usable, or not, at `now`.
    #[must_use]
    pub const fn next(self, is_usable: bool, now: Time) -> Self {
        match (self, is_usable) {
            (Self::New | Self::Whole, true) => Self::Whole,
            (Self::Lost { .. }, true) => Self::Back { since: now, is_released: false },
            (Self::Back { .. }, true) | (Self::Lost { .. }, false) => self,
            (Self::New, false) => Self::Lost { since: None },
            (Self::Whole | Self::Back { .. }, false) => Self::Lost { since: Some(now) },
        }
    }
}

/// What the pools of a zone have been through, and the endpoints of those that start slowly, by id. Those
/// beyond the end are new.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pasts {
    /// The pools.
    pub pools: Vec<PoolPast>,
    /// The endpoints; of no meaning in pools that do not start slowly.
    pub endpoints: Vec<PoolPast>,
    /// Those that are degraded, or were of late.
    pub degraded: Vec<Degraded>,
}

impl Pasts {
    /// What a pool has been through, and its endpoints by place in it.
    pub(crate) fn of(&self, zone: &Zone, pool: PoolId) -> (PoolPast, &[PoolPast]) {
        let own = self.pools.get(pool.index()).copied().unwrap_or_default();
        let endpoints = zone.pools[pool.index()].endpoints.clone();
        (own, self.endpoints.get(endpoints).unwrap_or_default())
    }
}

/// Tells what is known of an endpoint.
pub type HealthOf<'a> = dyn Fn(EndpointId) -> EndpointHealth + 'a;

/// What is known of all pools of a zone at a moment.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The moment.
    pub now: Time,
    /// Set while an operator has health kept away from answers.
    pub freeze: Option<Freeze>,
    /// The weights that follow load; `None` while nothing is known of any.
    pub loads: Option<Arc<LoadWeights>>,
    /// Where clients go while pools can carry only so much; only in zones where some can.
    pub(super) plan: Option<Arc<Plan>>,
    /// The addresses of aliases; `None` where nobody looks them up.
    pub aliases: Option<Arc<Aliases>>,
    pools: Vec<Arc<PoolViews>>,
}

/// While it lasts, health is what it was, and no pool comes back by time alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freeze {
    /// Since when.
    pub since: Time,
    /// Until when, if it ends by itself.
    pub until: Option<Time>,
}

/// What is seen of one pool.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PoolViews {
    /// Endpoints that are alive by any address, that must be, and that there are.
    pub(super) usable: usize,
    pub(super) wanted: usize,
    pub(super) total: usize,
    pub(super) past: PoolPast,
    /// How long its endpoints take to their whole weight; zero for no time.
    pub(super) slow_start: Duration,
    /// Its first endpoint.
    first: EndpointId,
    /// What its endpoints have been through, by place; empty when they do not start slowly.
    endpoint_pasts: Vec<PoolPast>,
    /// Those of its endpoints that are degraded, or were of late.
    pub(super) degraded: Vec<Degraded>,
    /// The least time in which any of its endpoints could change.
    pub(super) next_change: Duration,
    /// When its last endpoint went down, if none is alive: the latest is `last-good`.
    pub(super) down_since: Time,
    /// Endpoints that are not alive because operators say so.
    forced_down: usize,
    /// Whether two vantages or more agree on everything that is down of it.
    pub(super) is_agreed: bool,
    /// How much of what it can carry is alive and not being drained, in thousandths.
    pub(super) health_millis: u32,
    /// Whether any of its endpoints is being drained.
    pub(super) is_draining: bool,
    /// When the first of what operators say of its endpoints ends by itself.
    pub(super) until: Option<Time>,
    /// When the first of what was found of its aliases ends.
    pub(super) found_until: Option<Time>,
    families: [FamilyView; 3],
}

/// An endpoint that can be reached, but slowly or not for long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Degraded {
    /// The endpoint.
    pub id: EndpointId,
    /// When that ended, if it has.
    pub ended: Option<Time>,
}

/// What is seen of one pool in one family.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct FamilyView {
    /// Endpoints that have it.
    pub(super) having: Vec<EndpointId>,
    /// Those among them that are not being drained, alive or not.
    pub(super) open: Vec<EndpointId>,
    /// Those among them that are alive in it and not being drained.
    pub(super) alive: Vec<EndpointId>,
    /// Those that are alive and being drained.
    pub(super) drained: Vec<EndpointId>,
    /// Those among them that are down and not being drained, but answer: they are held back, as they come and go.
    pub(super) answering: Vec<EndpointId>,
    /// Whether there are endpoints besides of which nobody knows yet whether they have it.
    pub(super) is_unknown: bool,
}

impl PoolViews {
    pub(super) const fn is_usable(&self) -> bool {
        self.usable >= self.wanted
    }

    /// Since when too few of its endpoints have been alive; `None` when enough are, or were but for the
    /// words of operators, or when it was never known to be usable.
    pub(super) const fn lost_by_checks_since(&self) -> Option<Time> {
        match self.past {
            PoolPast::Lost { since } if self.usable + self.forced_down < self.wanted => since,
            _ => None,
        }
    }

    pub(super) const fn family(&self, family: Family) -> &FamilyView {
        &self.families[family.place()]
    }

    /// What one of its endpoints has been through, where that is looked at.
    pub(super) fn endpoint_past(&self, id: EndpointId) -> PoolPast {
        let place = id.index().checked_sub(self.first.index());
        place.and_then(|place| self.endpoint_pasts.get(place)).copied().unwrap_or_default()
    }
}

impl Degraded {
    /// What is to be remembered of an endpoint that is degraded now, or not.
    fn next(id: EndpointId, is_degraded: bool, before: Option<&Self>, now: Time) -> Option<Self> {
        if is_degraded {
            return Some(Self { id, ended: None });
        }
        let ended = before?.ended.unwrap_or(now);
        (now.since(ended) < RECOVERY).then_some(Self { id, ended: Some(ended) })
    }
}

impl FamilyView {
    /// Those of which answers may name any: the first list that is not empty.
    pub(super) fn candidates(&self) -> &[EndpointId] {
        let lists = [&self.alive, &self.drained, &self.answering, &self.open, &self.having];
        lists.into_iter().find(|list| !list.is_empty()).map_or(&[], Vec::as_slice)
    }
}

impl Scene {
    /// What is known of `zone`'s pools when this is the health of its endpoints, and `past` what they
    /// have been through.
    #[must_use]
    pub fn new(zone: &Zone, health: &HealthOf<'_>, past: &Pasts, now: Time) -> Self {
        let view = |n| {
            let pool = PoolId::new(n);
            Arc::new(view_of(zone, pool, health, past.of(zone, pool), &past.degraded, now))
        };
        let pools = (0..zone.pools.len()).map(view).collect();
        Self { now, freeze: None, loads: None, plan: None, aliases: None, pools }
    }

    /// The same under a freeze, or without.
    #[must_use]
    pub fn with_freeze(self, freeze: Option<Freeze>) -> Self {
        Self { freeze, ..self }
    }

    /// The same at another moment.
    #[must_use]
    pub fn at(self, now: Time) -> Self {
        Self { now, ..self }
    }

    /// The same with other weights that follow load.
    #[must_use]
    pub fn with_loads(self, loads: Option<Arc<LoadWeights>>) -> Self {
        Self { loads, ..self }
    }

    /// The same with other places for clients to go to.
    #[must_use]
    pub fn with_plan(self, plan: Option<Arc<Plan>>) -> Self {
        Self { plan, ..self }
    }

    /// Where clients go while pools can carry only so much.
    #[must_use]
    pub const fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// The same with the addresses of aliases. Which of them there are was told by health already.
    #[must_use]
    pub fn with_aliases(self, aliases: Option<Arc<Aliases>>) -> Self {
        Self { aliases, ..self }
    }

    /// The zone with every endpoint up and nothing remembered.
    #[must_use]
    pub fn all_up(zone: &Zone) -> Self {
        Self::new(zone, &|_| EndpointHealth::default(), &Pasts::default(), Time::ZERO)
    }

    /// The next scene, in which `changed` pools are seen anew and the others as before. `past` is what
    /// they have been through, where that is not what this scene says.
    #[must_use]
    pub fn next(
        &self,
        zone: &Zone,
        health: &HealthOf<'_>,
        past: Option<&Pasts>,
        changed: impl Iterator<Item = PoolId>,
        now: Time,
    ) -> Self {
        let mut pools = self.pools.clone();
        for pool in changed {
            let view = &mut pools[pool.index()];
            let own = (view.past, &*view.endpoint_pasts);
            let past = past.map_or(own, |past| past.of(zone, pool));
            *view = Arc::new(view_of(zone, pool, health, past, &view.degraded, now));
        }
        let (freeze, loads, plan) = (self.freeze, self.loads.clone(), self.plan.clone());
        Self { now, freeze, loads, plan, aliases: self.aliases.clone(), pools }
    }

    /// The same with what is seen of some pools in another scene of the zone.
    #[must_use]
    pub(crate) fn with_pools_of(mut self, other: &Self, pools: &[PoolId]) -> Self {
        for pool in pools {
            self.pools[pool.index()] = Arc::clone(&other.pools[pool.index()]);
        }
        self
    }

    /// The same where what is lost now and was not `before` is only supposed to be: it has been so for
    /// ever.
    #[must_use]
    pub fn supposed(mut self, before: &[PoolPast]) -> Self {
        for (pool, before) in self.pools.iter_mut().zip(before) {
            let is_lost = |past| matches!(past, PoolPast::Lost { .. });
            if is_lost(pool.past) && !is_lost(*before) {
                Arc::make_mut(pool).past = PoolPast::Lost { since: None };
            }
        }
        self
    }

    /// What each pool has been through, by id.
    pub fn past(&self) -> impl Iterator<Item = PoolPast> {
        self.pools.iter().map(|pool| pool.past)
    }

    /// What pools and endpoints have been through.
    #[must_use]
    pub fn pasts(&self) -> Pasts {
        let mut endpoints = Vec::with_capacity(self.pools.iter().map(|view| view.total).sum());
        for view in &self.pools {
            let end = endpoints.len() + view.total;
            endpoints.extend_from_slice(&view.endpoint_pasts);
            endpoints.resize(end, PoolPast::New);
        }
        let degraded = self.pools.iter().flat_map(|view| view.degraded.iter().copied()).collect();
        Pasts { pools: self.past().collect(), endpoints, degraded }
    }

    /// What an endpoint of `pool` has been through, where that is looked at.
    pub(crate) fn endpoint_past(&self, pool: PoolId, endpoint: EndpointId) -> PoolPast {
        self.pool(pool).endpoint_past(endpoint)
    }

    /// The moment by which pools come back: under a freeze none does.
    pub(super) fn stage_time(&self) -> Time {
        self.freeze.map_or(self.now, |freeze| freeze.since)
    }

    pub(super) fn pool(&self, pool: PoolId) -> &PoolViews {
        &self.pools[pool.index()]
    }

    /// The same scene in which nothing of some pools is alive, nor held by a `velocity`.
    pub(crate) fn without(&self, lost: &[PoolId]) -> Self {
        let mut scene = self.clone();
        for pool in lost {
            let view = Arc::make_mut(&mut scene.pools[pool.index()]);
            (view.usable, view.past) = (0, PoolPast::Lost { since: None });
            for family in &mut view.families {
                for list in [&mut family.alive, &mut family.drained, &mut family.answering] {
                    list.clear();
                }
            }
        }
        scene
    }

    /// Whether clients should be told that an endpoint of `pool` can be reached in a family: it is alive
    /// in it, or alive in none so that no family is better than the others.
    pub(crate) fn is_open(&self, pool: PoolId, endpoint: EndpointId, family: Family) -> bool {
        let is_alive = |family: Family| {
            let view = self.pool(pool).family(family);
            view.alive.iter().chain(&view.drained).any(|own| *own == endpoint)
        };
        is_alive(family) || !is_alive(Family::Either)
    }
}

fn view_of(
    zone: &Zone,
    pool: PoolId,
    health: &HealthOf<'_>,
    (past, endpoint_pasts): (PoolPast, &[PoolPast]),
    degraded: &[Degraded],
    now: Time,
) -> PoolViews {
    let Pool { min_healthy, slow_start, endpoints, .. } = &zone.pools[pool.index()];
    let total = endpoints.len();
    let mut view = PoolViews {
        usable: 0,
        wanted: min_healthy.count(total),
        total,
        past,
        slow_start: *slow_start,
        first: EndpointId::new(endpoints.start),
        endpoint_pasts: Vec::new(),
        degraded: Vec::new(),
        next_change: Duration::MAX,
        down_since: Time::ZERO,
        forced_down: 0,
        is_agreed: true,
        health_millis: 0,
        is_draining: false,
        until: None,
        found_until: None,
        families: Default::default(),
    };
    let (mut whole, mut sound) = (0, 0);
    for (id, endpoint) in zone.endpoints_of(pool) {
        let health = health(id);
        let known = ways_of(endpoint, &health);
        let ways = || known.iter().flatten();
        let is_there = named_by(health.alias, Family::Either);
        let is_usable = is_there && ways().any(|(_, way)| way.verdict.is_usable());
        view.usable += usize::from(is_usable);
        if !slow_start.is_zero() {
            let before = endpoint_pasts.get(view.endpoint_pasts.len()).copied();
            view.endpoint_pasts.push(before.unwrap_or_default().next(is_usable, now));
        }
        if is_usable {
            // One address is enough: A and AAAA are to name the same endpoint as often.
            let is_degraded = ways().any(|(_, way)| way.verdict == Verdict::Degraded);
            let before = degraded.iter().find(|slow| slow.id == id);
            view.degraded.extend(Degraded::next(id, is_degraded, before, now));
        }
        whole += u64::from(endpoint.weight);
        sound += u64::from(endpoint.weight) * u64::from(is_usable && !health.is_drained);
        view.forced_down += usize::from(!is_usable && health.is_forced);
        view.is_draining |= health.is_drained;
        view.until = [view.until, health.until].into_iter().flatten().min();
        if let AliasHealth::Found { until, .. } = health.alias {
            view.found_until = [view.found_until, until].into_iter().flatten().min();
        }
        for (_, way) in ways() {
            view.next_change = view.next_change.min(way.next_change);
            if way.verdict == Verdict::Down {
                view.down_since = view.down_since.max(way.since);
                view.is_agreed &= way.agreed_by >= 2 || health.is_forced;
            }
        }
        for family in Family::ALL {
            let in_family = || ways().filter(|(of, _)| serves(*of, family)).map(|(_, way)| way);
            let own = &mut view.families[family.place()];
            own.is_unknown |= health.alias == AliasHealth::Unknown;
            if !named_by(health.alias, family) {
                continue;
            }
            if in_family().next().is_some() {
                own.having.push(id);
                if !health.is_drained {
                    own.open.push(id);
                }
            }
            if in_family().any(|way| way.verdict.is_usable()) {
                let list = if health.is_drained { &mut own.drained } else { &mut own.alive };
                list.push(id);
            } else if !health.is_drained && in_family().any(|way| way.is_answering) {
                own.answering.push(id);
            }
        }
    }
    view.health_millis = u32::try_from(sound * 1000 / whole.max(1)).unwrap_or(1000);
    view.past = past.next(view.is_usable(), now);
    view
}

/// Whether a way to reach an endpoint is one of a family. A host name serves every family.
fn serves(way: Option<Family>, family: Family) -> bool {
    family == Family::Either || way.is_none_or(|way| way == family)
}

/// Whether there is an address of a family to answer by, as far as that is a matter of an alias.
const fn named_by(alias: AliasHealth, family: Family) -> bool {
    match (alias, family) {
        (AliasHealth::Assumed, _) => true,
        (AliasHealth::Unknown, _) => false,
        (AliasHealth::Found { v4, .. }, Family::V4) => v4,
        (AliasHealth::Found { v6, .. }, Family::V6) => v6,
        (AliasHealth::Found { v4, v6, .. }, Family::Either) => v4 || v6,
    }
}

/// The ways to reach an endpoint with what is known of each; the way of a host name or an alias has no
/// family.
fn ways_of(
    endpoint: &Endpoint,
    health: &EndpointHealth,
) -> [Option<(Option<Family>, TargetHealth)>; 2] {
    let known = |health: Option<TargetHealth>| health.unwrap_or(TargetHealth::UNCHECKED);
    match &endpoint.at {
        EndpointAt::Addresses { v4, v6 } => [
            v4.map(|_| (Some(Family::V4), known(health.v4))),
            v6.map(|_| (Some(Family::V6), known(health.v6))),
        ],
        EndpointAt::Host(_) | EndpointAt::Alias(_) => [Some((None, known(health.host))), None],
    }
}
