//! Which pools and endpoints are usable for a class now, and for how long.
//!
//! The stages, first hit wins; none of them ever yields nothing unless the rule says so:
//!
//! ```text
//! among the preferred pools                        answer from              why
//! ≥ 1 usable, and alive in the family              the first / all such     Preferred, Failover
//! none, but some endpoint alive in the family      the pools that have one  BelowMinHealthy
//! none; the same among the rule's other pools *    those                    Beyond
//! no endpoint alive in the family                  as `all-down` says       AllDown
//! no pool of the rule has the family               NODATA, for everybody    NoFamily
//!
//! * unless the client's `where` clause is strict (`only = true`) and has the family itself
//! ```
//!
//! The TTL is the least time in which anything that this answer depends on could change, within the
//! rule's bounds: the endpoints of the pools it comes from and of every pool that would be preferred
//! if it could serve.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::prefer::Preference;
use crate::model::topology::{AllDown, EndpointAt, Policy};
use crate::model::{
    Endpoint, EndpointHealth, EndpointId, Name, PoolId, Steer, TargetHealth, Time, Verdict, Zone,
};

/// An address family: what A and AAAA ask for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// A.
    V4,
    /// AAAA.
    V6,
}

/// What is possible for a class in a state of health.
#[derive(Clone, PartialEq, Debug)]
pub struct Selection {
    /// What an answer may name.
    pub selected: Selected,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Why it is this.
    pub why: Why,
    /// Every pool of the rule, in the client's order, with what became of it; behind them the one
    /// that `all-down` names, where that was looked at.
    pub trail: Vec<PoolNote>,
}

/// What an answer may name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Selected {
    /// Endpoints of these pools, drawn by the rule's policies. Never empty, and no group is.
    Groups {
        /// How one of the groups is drawn (all of them under `all`).
        between: Policy,
        /// How endpoints inside it are.
        inside: Policy,
        /// How many endpoints of a group one answer names at most.
        answers: usize,
        /// The groups, one a pool, in the order of preference.
        groups: Vec<Group>,
    },
    /// A CNAME to this name.
    Host(Name),
    /// No data.
    NoData,
    /// SERVFAIL, because the rule says so.
    ServFail,
}

/// What may be drawn from one pool.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Group {
    /// The pool.
    pub pool: PoolId,
    /// Its share among the groups.
    pub weight: u32,
    /// What makes its place in a sticky choice; the same on every node and after every reload.
    pub seed: u64,
    /// The endpoints; never empty.
    pub candidates: Vec<Candidate>,
}

/// What may be drawn from one group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Candidate {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its share among the candidates.
    pub weight: u32,
    /// What makes its place in a sticky choice.
    pub seed: u64,
}

/// Why an answer is what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// The first preference is usable.
    Preferred,
    /// So many better pools are not.
    Failover {
        /// Pools passed over.
        skipped: usize,
    },
    /// No pool has enough usable endpoints, so the few that there are serve.
    BelowMinHealthy,
    /// No pool of the client's `where` clause is alive, so the rule's others serve.
    Beyond,
    /// Nothing is usable: `all-down` decides.
    AllDown,
    /// No pool of the rule has an address of the family.
    NoFamily,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preferred => f.write_str("the first preference is usable"),
            Self::Failover { skipped: 1 } => f.write_str("failover: one better pool is not usable"),
            Self::Failover { skipped } => {
                write!(f, "failover: {skipped} better pools are not usable")
            }
            Self::BelowMinHealthy => {
                f.write_str("no pool has its min-healthy, so what is usable serves")
            }
            Self::Beyond => f.write_str(
                "failover: no pool of the client's `where` clause is alive, so another serves",
            ),
            Self::AllDown => f.write_str("nothing is usable, so all-down decides"),
            Self::NoFamily => f.write_str("no pool of the rule has an address of that family"),
        }
    }
}

/// What became of one pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolNote {
    /// The pool.
    pub pool: PoolId,
    /// What became of it.
    pub fate: Fate,
    /// Endpoints usable in any family.
    pub usable: usize,
    /// Endpoints that must be.
    pub wanted: usize,
    /// Endpoints in all.
    pub total: usize,
}

/// What became of a pool in a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Answers come from it.
    Kept,
    /// Fewer endpoints are usable than `min-healthy` asks for.
    NotEnough,
    /// It has no endpoint of the family.
    NoFamily,
    /// None of its endpoints is alive in the family, though the pool is usable.
    FamilyDown,
    /// A better one was kept.
    NotReached,
    /// Its weight is 0 and others are usable.
    ZeroWeight,
    /// The client's `where` clause does not name it.
    OutsideClause,
}

/// What is seen of one pool in one family.
struct PoolView {
    pool: PoolId,
    weight: u32,
    /// Endpoints usable in any family, wanted, and in all.
    usable: usize,
    wanted: usize,
    total: usize,
    /// Endpoints that have the family, and those among them that are alive in it.
    having: Vec<EndpointId>,
    alive: Vec<EndpointId>,
    /// The least time in which any of its endpoints could change.
    next_change: Duration,
    /// When its last endpoint went down, if none is alive: the latest is `last-good`.
    down_since: Time,
}

impl PoolView {
    fn is_usable(&self) -> bool {
        self.usable >= self.wanted
    }

    fn note(&self, fate: Fate) -> PoolNote {
        let Self { pool, usable, wanted, total, .. } = *self;
        PoolNote { pool, fate, usable, wanted, total }
    }
}

/// What is possible for a class, given the health of every endpoint of the zone.
#[must_use]
pub fn select(
    zone: &Zone,
    rule: &Steer,
    preference: &Preference,
    health: &[EndpointHealth],
    family: Family,
) -> Selection {
    let view = |pools: &[PoolId]| -> Vec<PoolView> {
        pools.iter().map(|pool| view_of(zone, rule, *pool, health, family)).collect()
    };
    let preferred = view(&preference.pools);
    let beyond = view(&preference.beyond);
    let has_family = |views: &[PoolView]| views.iter().any(|view| !view.having.is_empty());
    let may_go_beyond = !preference.is_strict || !has_family(&preferred);

    if let Some(mut selection) = select_alive(zone, rule, &preferred) {
        let fate = if may_go_beyond { Fate::NotReached } else { Fate::OutsideClause };
        selection.trail.extend(beyond.iter().map(|view| view.note(fate)));
        return selection;
    }
    if may_go_beyond && let Some(mut selection) = select_alive(zone, rule, &beyond) {
        selection.why = Why::Beyond;
        selection.ttl = selection.ttl.min(ttl_of(rule, &preferred));
        selection.trail.splice(0..0, trail_of(&preferred, &[], false, true));
        return selection;
    }
    let has_own = has_family(&preferred);
    if !has_own && !has_family(&beyond) {
        let views: Vec<PoolView> = preferred.into_iter().chain(beyond).collect();
        let trail = trail_of(&views, &[], false, true);
        let ttl = whole_secs(rule.ttl);
        return Selection { selected: Selected::NoData, ttl, why: Why::NoFamily, trail };
    }
    let own = preferred.len();
    let (mut views, outside) = if may_go_beyond {
        (preferred.into_iter().chain(beyond).collect(), Vec::new())
    } else {
        (preferred, beyond)
    };
    let as_up = if has_own { 0..own } else { own..views.len() };
    if let AllDown::Pool(pool) = rule.all_down
        && rule.pools.iter().all(|own| own.pool != pool)
    {
        views.push(view_of(zone, rule, pool, health, family));
    }
    let mut selection = select_all_down(zone, rule, &views, as_up);
    selection.trail.extend(outside.iter().map(|view| view.note(Fate::OutsideClause)));
    selection
}

/// The first two stages of the table above: an endpoint of the family is alive among `views`.
fn select_alive(zone: &Zone, rule: &Steer, views: &[PoolView]) -> Option<Selection> {
    let is_first_only = matches!(rule.policy, Policy::Nearest | Policy::Failover);
    for has_enough in [true, false] {
        let is_kept = |view: &PoolView| !view.alive.is_empty() && (!has_enough || view.is_usable());
        let mut kept: Vec<usize> = (0..views.len()).filter(|n| is_kept(&views[*n])).collect();
        set_weightless_aside(views, &mut kept);
        let Some(&first) = kept.first() else { continue };
        if is_first_only {
            kept.truncate(1);
        }
        let skipped = views[..first].iter().filter(|view| !is_kept(view)).count();
        let why = match (has_enough, skipped) {
            (false, _) => Why::BelowMinHealthy,
            (true, 0) => Why::Preferred,
            (true, skipped) => Why::Failover { skipped },
        };
        let groups = kept.iter().map(|n| group_of(zone, &views[*n], &views[*n].alive)).collect();
        // The first pool that has all it needs is not challenged by those behind it; one that only
        // stands in is.
        let is_settled = is_first_only && has_enough && views[first].weight > 0;
        let reach = if is_settled { first + 1 } else { views.len() };
        return Some(Selection {
            selected: groups_of(rule, groups),
            ttl: ttl_of(rule, &views[..reach]),
            why,
            trail: trail_of(views, &kept, is_first_only, has_enough),
        });
    }
    None
}

/// Pools of weight 0 stand back while another is there.
fn set_weightless_aside(views: &[PoolView], kept: &mut Vec<usize>) {
    if kept.iter().any(|n| views[*n].weight > 0) {
        kept.retain(|n| views[*n].weight > 0);
    }
}

/// No endpoint of the family is alive: the rule's last resort. It may name any of `views`, and would
/// choose among those of `as_up` if all were up.
fn select_all_down(
    zone: &Zone,
    rule: &Steer,
    views: &[PoolView],
    as_up: Range<usize>,
) -> Selection {
    let is_first_only = matches!(rule.policy, Policy::Nearest | Policy::Failover);
    let has_family = |n: &usize| !views[*n].having.is_empty();
    let having = || (0..views.len()).filter(has_family);
    let as_up = || {
        let mut kept: Vec<usize> = as_up.filter(has_family).collect();
        set_weightless_aside(views, &mut kept);
        if is_first_only {
            kept.truncate(1);
        }
        kept
    };
    let kept = match &rule.all_down {
        AllDown::AsUp => as_up(),
        AllDown::LastGood => {
            // The first of equals, so that nothing changes when all went down at once.
            let last = having().rev().max_by_key(|n| views[*n].down_since);
            last.map_or_else(as_up, |last| vec![last])
        }
        AllDown::Pool(pool) => {
            let named = having().find(|n| views[*n].pool == *pool);
            named.map_or_else(as_up, |named| vec![named])
        }
        AllDown::Host(_) | AllDown::NoData | AllDown::ServFail => Vec::new(),
    };
    let selected = match &rule.all_down {
        AllDown::Host(name) => Selected::Host(name.clone()),
        AllDown::NoData => Selected::NoData,
        AllDown::ServFail => Selected::ServFail,
        AllDown::AsUp | AllDown::LastGood | AllDown::Pool(_) => {
            let groups = kept.iter().map(|n| match &views[*n] {
                view if view.alive.is_empty() => group_of(zone, view, &view.having),
                view => group_of(zone, view, &view.alive),
            });
            groups_of(rule, groups.collect())
        }
    };
    Selection {
        selected,
        ttl: ttl_of(rule, views),
        why: Why::AllDown,
        trail: trail_of(views, &kept, false, false),
    }
}

fn groups_of(rule: &Steer, groups: Vec<Group>) -> Selected {
    let answers = usize::from(rule.pick.answers.get());
    Selected::Groups { between: rule.policy, inside: rule.pick.policy, answers, groups }
}

/// The endpoints of a pool that may be drawn: those with a weight, or all when none has.
fn group_of(zone: &Zone, view: &PoolView, endpoints: &[EndpointId]) -> Group {
    let pool = &zone.pools[view.pool.index()];
    let endpoint = |id: &EndpointId| &zone.endpoints[id.index()];
    let has_weight = endpoints.iter().any(|id| endpoint(id).weight > 0);
    let candidates = endpoints.iter().filter(|id| !has_weight || endpoint(id).weight > 0);
    let candidates = candidates.map(|id| Candidate {
        endpoint: *id,
        weight: endpoint(id).weight.max(1),
        seed: seed_of(&[&pool.name, &endpoint(id).name]),
    });
    Group {
        pool: view.pool,
        weight: view.weight.max(1),
        seed: seed_of(&[&pool.name]),
        candidates: candidates.collect(),
    }
}

/// A number that stands for a name: FNV-1a, which will be the same for ever on every node.
fn seed_of(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain(std::iter::once(0)) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

fn trail_of(
    views: &[PoolView],
    kept: &[usize],
    is_first_only: bool,
    has_enough: bool,
) -> Vec<PoolNote> {
    let first_kept = kept.first().copied();
    let fate = |n: usize, view: &PoolView| {
        if kept.contains(&n) {
            Fate::Kept
        } else if is_first_only && first_kept.is_some_and(|first| n > first) {
            Fate::NotReached
        } else if view.having.is_empty() {
            Fate::NoFamily
        } else if !view.is_usable() {
            Fate::NotEnough
        } else if view.alive.is_empty() {
            Fate::FamilyDown
        } else if has_enough {
            Fate::ZeroWeight
        } else {
            Fate::NotReached
        }
    };
    views.iter().enumerate().map(|(n, view)| view.note(fate(n, view))).collect()
}

/// The least time in which anything here could change, within the rule's bounds, in whole seconds.
fn ttl_of(rule: &Steer, views: &[PoolView]) -> u32 {
    let next_change = views.iter().map(|view| view.next_change).min().unwrap_or(Duration::MAX);
    whole_secs(next_change.max(rule.ttl_min).min(rule.ttl))
}

fn whole_secs(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(u32::MAX >> 1)
}

fn view_of(
    zone: &Zone,
    rule: &Steer,
    pool: PoolId,
    health: &[EndpointHealth],
    family: Family,
) -> PoolView {
    let total = zone.pools[pool.index()].endpoints.len();
    let weight = rule.pools.iter().find(|weighted| weighted.pool == pool).map_or(1, |w| w.weight);
    let mut view = PoolView {
        pool,
        weight,
        usable: 0,
        wanted: zone.pools[pool.index()].min_healthy.count(total),
        total,
        having: Vec::new(),
        alive: Vec::new(),
        next_change: Duration::MAX,
        down_since: Time::ZERO,
    };
    for (id, endpoint) in zone.endpoints_of(pool) {
        let known = ways_of(endpoint, &health[id.index()]);
        view.usable += usize::from(known.iter().any(|(_, way)| way.verdict.is_usable()));
        for (_, way) in &known {
            view.next_change = view.next_change.min(way.next_change);
            if way.verdict == Verdict::Down {
                view.down_since = view.down_since.max(way.since);
            }
        }
        if let Some((_, way)) = known.iter().find(|(of, _)| of.is_none_or(|of| of == family)) {
            view.having.push(id);
            if way.verdict.is_usable() {
                view.alive.push(id);
            }
        }
    }
    view
}

/// The ways to reach an endpoint with what is known of each. A host name serves every family.
fn ways_of(endpoint: &Endpoint, health: &EndpointHealth) -> Vec<(Option<Family>, TargetHealth)> {
    let known = |health: Option<TargetHealth>| health.unwrap_or(TargetHealth::UNCHECKED);
    match &endpoint.at {
        EndpointAt::Addresses { v4, v6 } => {
            let v4 = v4.map(|_| (Some(Family::V4), known(health.v4)));
            let v6 = v6.map(|_| (Some(Family::V6), known(health.v6)));
            v4.into_iter().chain(v6).collect()
        }
        EndpointAt::Host(_) => vec![(None, known(health.host))],
    }
}
