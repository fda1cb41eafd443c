//! Why a client gets the answer it gets.
//!
//! [`explain`] takes the same decision that a query takes, by the same functions, and keeps every reason:
//! where the client is and which row says so, its class and scope, what became of each pool, what was
//! drawn, and how long it lives. With outages given, it tells what would be. The result is plain data for
//! a terminal, a JSON reader or a test; what it looks like is theirs.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::find::{Found, QueryName};
use super::quickest::{FoundNear, found_near};
use super::record::{Scribe, SteeredRecords};
use super::regional::is_theirs;
use super::rules::{Answer, CompiledRule, RuleMap};
use super::{Snapshot, ZoneState};
use crate::geo::{Located, distance};
use crate::model::names::{Flags, NameRecord, Rrset};
use crate::model::topology::{EndpointAt, Outage, Policy};
use crate::model::{
    AliasHealth, ClientSubnet, Coordinates, EndpointHealth, EndpointId, Name, Override,
    OverrideKind, PoolId, Prefix, Reach, RecordType, Steer, TargetHealth, Verdict, Zone,
};
use crate::steer::capacity::PoolLoad;
use crate::steer::ladder::rungs;
use crate::steer::latency::{Trip, times_of};
use crate::steer::outline::To;
use crate::steer::prefer::NamedBy;
use crate::steer::select::TtlBy;
use crate::steer::trail::{Fate, PoolNote};
use crate::steer::walk::Ground;
use crate::steer::{
    Choice, Draw, Drawn, Evidence, Family, Lessened, Outline, Pasts, Preference, Scene, Selected,
    Selection, Why, choose, trail, walk,
};

/// A question to be explained.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The name asked for.
    pub name: &'a Name,
    /// The type asked for.
    pub qtype: RecordType,
    /// The client: an address or a subnet, as in a client subnet option.
    pub client: Prefix,
    /// What is to be taken for down, besides what is.
    pub down: &'a [Outage],
    /// What a draw goes by that changes from query to query.
    pub random: u64,
}

/// A decision with its reasons.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub qtype: String,
    /// The client asked for.
    pub client: String,
    /// Where the client is.
    pub location: Whereabouts,
    /// The zone that answers, if any.
    pub zone: Option<String>,
    /// What the name is: `steered`, `static`, `delegated to other servers`, `not there`, `not ours`, …
    pub found: String,
    /// How it is answered: `NOERROR`, `NODATA`, `NXDOMAIN`, `REFERRAL`, `REFUSED`, `NOTAUTH`,
    /// `SERVFAIL`.
    pub result: String,
    /// For a steered name: the decision.
    pub decision: Option<Decision>,
    /// What is answered: records without their owner.
    pub answer: Vec<String>,
}

/// Where a client is, as the databases say.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Continent code.
    pub continent: Option<String>,
    /// Country code.
    pub country: Option<String>,
    /// Latitude and longitude in degrees.
    pub coordinates: Option<(f64, f64)>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// Database and network of each row that was used.
    pub rows: Vec<(String, String)>,
}

/// How a rule came to its answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// The rule's policy between pools.
    pub policy: String,
    /// Its policy inside a pool.
    pub pick: String,
    /// The steers between which the rule chooses, if it has any among its branches.
    pub steers: Vec<String>,
    /// The class of the client.
    pub class: usize,
    /// What of the rule names the client: `where` clause 1, the entry of its map; none when the policy
    /// alone decides.
    pub named_by: Option<String>,
    /// The scope that a client subnet gets back.
    pub scope: u8,
    /// Every pool of the rule, in the order of this client's preference.
    pub pools: Vec<PoolFate>,
    /// The region of the first endpoint that is answered.
    pub region: Option<String>,
    /// The endpoints that are answered.
    pub endpoints: Vec<EndpointNamed>,
    /// How often, in percent, answers to such clients name each endpoint first, `POOL/ENDPOINT`; when
    /// there is more than one.
    pub shares: Vec<(String, f64)>,
    /// Time to live in seconds.
    pub ttl: u32,
    /// What makes it so long.
    pub ttl_by: String,
    /// Why the answer is this.
    pub why: String,
    /// The pools that would answer if those that do were lost.
    pub next: Vec<String>,
    /// The pools that the client is given to go on to by itself, rung by rung.
    pub ladder: Vec<Vec<String>>,
    /// Under `observe-only`: the pools that would answer if health were acted on.
    pub observed: Option<Vec<String>>,
    /// Under a freeze: by whom and why, as `by ann: reason`.
    pub frozen: Option<String>,
}

/// What became of a pool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PoolFate {
    /// The steers below the rule that lead to it, from the top.
    pub path: Vec<String>,
    /// Its name.
    pub pool: String,
    /// Its region.
    pub region: String,
    /// Kilometres from the client, when it is known where it is.
    pub kilometres: Option<u32>,
    /// Whether answers come from it.
    pub is_kept: bool,
    /// Why or why not.
    pub reason: String,
    /// What operators say of its endpoints: `region eu-west drained by ann: new kernel`.
    pub overrides: Vec<String>,
    /// Its endpoints with their verdicts.
    pub endpoints: Vec<(String, String)>,
}

/// An endpoint that is answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EndpointNamed {
    /// Its pool.
    pub pool: String,
    /// Its name.
    pub name: String,
    /// Its verdict.
    pub verdict: String,
}

/// Explains the answer to `question`.
#[must_use]
pub fn explain(snapshot: &Snapshot, question: &Question<'_>) -> Explanation {
    let located = snapshot.atlas().locate(question.client.address());
    let mut explanation = Explanation {
        name: question.name.to_string(),
        qtype: question.qtype.to_string(),
        client: question.client.to_string(),
        location: whereabouts_of(&located),
        zone: None,
        found: String::new(),
        result: String::new(),
        decision: None,
        answer: Vec::new(),
    };
    let Some(name) = QueryName::parse(question.name.as_wire()) else { return explanation };
    let found = snapshot.names().find(&name, question.qtype);
    let (found, result, zone) = match found {
        _ if matches!(question.qtype, RecordType::AXFR | RecordType::IXFR) => {
            let is_apex = snapshot.zones().iter().any(|zone| zone.apex == *question.name);
            ("transfers are not given", if is_apex { "REFUSED" } else { "NOTAUTH" }, None)
        }
        Found::NotOurs => ("not ours", "REFUSED", None),
        Found::Name(record) => {
            let (found, result) =
                explain_name(snapshot, question, record, &located, &mut explanation);
            (found, result, Some(record.zone()))
        }
        Found::Referral(cut) => ("delegated to other servers", "REFERRAL", Some(cut.zone())),
        Found::Dname(record) => ("redirected by a DNAME", "NOERROR", Some(record.zone())),
        Found::NxDomain(zone) => ("not there", "NXDOMAIN", Some(zone)),
    };
    found.clone_into(&mut explanation.found);
    result.clone_into(&mut explanation.result);
    explanation.zone = zone.map(|place| snapshot.zones()[place].apex.to_string());
    explanation
}

/// What a name that is there answers: what it is, and how.
fn explain_name(
    snapshot: &Snapshot,
    question: &Question<'_>,
    record: NameRecord<'_>,
    located: &Located<'_>,
    explanation: &mut Explanation,
) -> (&'static str, &'static str) {
    let is_steered = is_steered(record, question.qtype);
    let found = if is_steered { "steered" } else { "static" };
    if question.qtype == RecordType::ANY && !record.flags().has(Flags::CNAME) {
        explanation.answer = vec!["HINFO \"RFC8482\" \"\"".to_owned()];
        return (found, "NOERROR");
    }
    if !is_steered {
        explanation.answer = static_records(record, question.qtype);
        return (found, if explanation.answer.is_empty() { "NODATA" } else { "NOERROR" });
    }
    let rule = snapshot.rule(snapshot.rule_of(record));
    let Some(column) = rule.column_of(question.qtype) else { return (found, "NODATA") };
    let state = snapshot.state(rule.source.zone);
    let decided = decide(snapshot, question, rule, column, &state);
    explanation.answer = decided.records().iter().flat_map(SteeredRecords::texts).collect();
    if explanation.answer.is_empty() {
        explanation.answer = decided.aliases();
    }
    explanation.decision = Some(decision_of(&decided, located));
    let result = match decided.choice.drawn {
        Drawn::Endpoints(_) | Drawn::Host => "NOERROR",
        Drawn::NoData => "NODATA",
        Drawn::ServFail => "SERVFAIL",
    };
    (found, result)
}

/// Whether a rule answers that type: no static rrset comes first.
fn is_steered(record: NameRecord<'_>, qtype: RecordType) -> bool {
    record.flags().has(Flags::STEERED) && record.rrset(qtype).is_none()
}

/// One decision and what it was made from.
pub(super) struct Decided<'a> {
    pub(super) zone: &'a Zone,
    pub(super) outline: &'a Outline,
    pub(super) preference: &'a Preference,
    pub(super) class: usize,
    pub(super) scope: u8,
    pub(super) client: Prefix,
    /// What counts for known of endpoints, with what is taken for down.
    pub(super) health: Vec<EndpointHealth>,
    /// What probes say of them.
    real: Vec<EndpointHealth>,
    /// What operators say of them.
    said: Vec<Option<&'a Override>>,
    frozen: Option<String>,
    /// Near which group of vantages that does not reach what others do the client is.
    near: Option<Near<'a>>,
    /// What the group near the client has found of round trips, and those of its class, where the rule goes by them.
    found: Option<(FoundNear<'a>, &'a [Trip])>,
    /// What is known, with what is taken for down.
    pub(super) scene: Scene,
    /// What is acted on: `scene`, or under `observe-only` a scene in which all is up.
    pub(super) acted: Scene,
    pub(super) rtype: RecordType,
    pub(super) family: Family,
    pub(super) dice: Draw,
    pub(super) choice: Choice,
    /// What a client may go on to by itself.
    pub(super) rungs: Vec<walk::Decision>,
    /// Who plans where the clients of which zone go while pools can carry only so much.
    plans: Option<(&'a Snapshot, usize)>,
}

/// A client near a group of vantages that does not reach what others do.
struct Near<'a> {
    group: &'a str,
    /// What the group does not reach, but for what is taken for down anyway.
    down: Vec<EndpointId>,
    /// Where nothing alive would be left to it, so that it is answered as all others are: what it would be
    /// told then.
    in_vain: Option<walk::Decision>,
}

/// Decides as a query would in `state`, with `question.down` taken for down.
pub(super) fn decide<'a>(
    snapshot: &'a Snapshot,
    question: &Question<'_>,
    rule: &'a CompiledRule,
    column: usize,
    state: &'a ZoneState<'a>,
) -> Decided<'a> {
    let (rtype, family) = (rule.rtype(column), rule.family(column));
    let (zone, outline) = (snapshot.zone(rule.source.zone), &rule.source.outline);
    let (class, scope, key) = place(rule, question.client);
    let map = &rule.source.map;
    let (preference, found) = match state.reach {
        Some(reach) => (&rule.preferences()[class], found_for(zone, map, class, reach)),
        None => (&map.preferences[class], None),
    };
    let scene_when = |health: &[EndpointHealth], past: &Pasts| {
        let scene = Scene::new(zone, &|id| health[id.index()], past, state.now);
        let scene = scene.supposed(&past.pools).with_freeze(state.freeze);
        scene.with_loads(state.loads.clone()).with_aliases(state.aliases.clone())
    };
    let mut health = with_outages(zone, &state.health, question.down);
    let scene = scene_when(&health, &state.past);
    let plans = state.plan.is_some().then_some((snapshot, rule.source.zone));
    let mut scene = match (&state.plan, plans) {
        (Some(plan), _) if question.down.is_empty() => scene.with_plan(Some(Arc::clone(plan))),
        (_, Some((snapshot, zone))) => snapshot.planned(zone, scene),
        (_, None) => scene,
    };
    let mut near = None;
    let regional = state.regional.as_deref().filter(|_| !rule.source.is_observe_only(zone));
    let view = regional
        .and_then(|regional| Some(&regional.views()[regional.place_of(&rule.source.map, class)?]));
    if let Some(view) = view {
        let own = with_outages(zone, &view.health(&state.health, &state.said), question.down);
        let there = scene_when(&own, &view.scene.pasts()).with_plan(scene.plan().cloned());
        let decision = walk::decide(&Ground::new(zone, outline, &there, family), preference);
        let is_hit = |id| question.down.iter().any(|outage| zone.is_hit(id, *outage));
        let down = view.down.keys().copied().filter(|id| !is_hit(*id)).collect();
        let in_vain = if is_theirs(&decision) {
            (health, scene) = (own, there);
            None
        } else {
            Some(decision)
        };
        near = Some(Near { group: &view.group, down, in_vain });
    }
    let observed = || match &state.observed {
        Some(observed) => Scene::clone(observed),
        None => Scene::all_up(zone),
    };
    let acted = if rule.source.is_observe_only(zone) { observed() } else { scene.clone() };
    let dice = Draw { random: question.random, turn: 0, key };
    let choice = choose(zone, outline, preference, &acted, family, dice);
    let lost = pools_of(zone, &choice.selection);
    let ladder = Scribe::new(zone, outline.rule(zone), &acted, rtype).ladder();
    let rungs = rungs(zone, outline, preference, &acted, family, lost, ladder).decisions;
    Decided {
        zone,
        outline,
        preference,
        class,
        scope,
        client: question.client,
        health,
        real: state.real.clone(),
        said: state.said.clone(),
        frozen: state.frozen.clone(),
        near,
        found,
        scene,
        acted,
        rtype,
        family,
        dice,
        choice,
        rungs,
        plans,
    }
}

/// What is found of round trips near a class, and its own.
fn found_for<'a>(
    zone: &Zone,
    map: &'a RuleMap,
    class: usize,
    reach: &'a Reach,
) -> Option<(FoundNear<'a>, &'a [Trip])> {
    let trips = map.trips.get(class).filter(|trips| !trips.is_empty())?;
    let region = map.nearest[class].filter(|_| !reach.round_trips.is_empty())?;
    Some((found_near(zone, reach).swap_remove(region.index())?, trips))
}

impl Decided<'_> {
    /// The pools that answers come from, each once.
    pub(super) fn pools(&self) -> Vec<PoolId> {
        pools_of(self.zone, &self.choice.selection)
    }

    /// The records that are answered.
    pub(super) fn records(&self) -> Vec<SteeredRecords> {
        let Self { zone, outline, acted, family, .. } = self;
        let scribe = Scribe::new(zone, outline.rule(zone), acted, self.rtype);
        let of_rung = |rung: &walk::Decision| rung.outcome.selected(zone, outline, acted, *family);
        let rungs: Vec<Selected> = self.rungs.iter().map(of_rung).collect();
        let answer = Answer::new(&scribe, &self.choice.selection.selected, &rungs, self.ttl().0);
        let mut records = Vec::new();
        answer.draw(self.dice, &mut |record| records.push(record.clone()));
        records
    }

    /// Whose addresses are answered, where nobody looks them up.
    fn aliases(&self) -> Vec<String> {
        let Drawn::Endpoints(drawn) = &self.choice.drawn else { return Vec::new() };
        let host = |id: &EndpointId| match &self.zone.endpoints[id.index()].at {
            EndpointAt::Alias(host) => Some(format!("{} as of {host}", self.rtype)),
            EndpointAt::Addresses { .. } | EndpointAt::Host(_) => None,
        };
        drawn.iter().filter_map(host).collect()
    }

    /// How long the answer lives, what makes it so long, and by how much it is shorter than that.
    fn ttl(&self) -> (u32, TtlBy, u32) {
        let Selection { ttl, ttl_by, jitter, .. } = self.choice.selection;
        let in_vain = self.near.as_ref().and_then(|near| near.in_vain.as_ref());
        let others = self.rungs.iter().chain(in_vain);
        let others = others.map(|other| (other.ttl, other.ttl_by, other.jitter));
        others.fold(
            (ttl, ttl_by, jitter),
            |least, other| if other.0 < least.0 { other } else { least },
        )
    }

    /// The pools that would answer in another scene.
    fn pools_in(&self, scene: &Scene) -> Vec<PoolId> {
        let choice =
            choose(self.zone, self.outline, self.preference, scene, self.family, self.dice);
        pools_of(self.zone, &choice.selection)
    }

    /// The pools that would answer if those that do were lost; none when they would answer still.
    fn next_pools(&self) -> Vec<PoolId> {
        let own = self.pools();
        let lost: Vec<Outage> = own.iter().copied().map(Outage::Pool).collect();
        let health = with_outages(self.zone, &self.health, &lost);
        let past = self.scene.pasts();
        let next = Scene::new(self.zone, &|id| health[id.index()], &past, self.scene.now);
        let next = next.supposed(&past.pools).with_freeze(self.scene.freeze);
        let next = next.with_aliases(self.scene.aliases.clone());
        let next = next.with_loads(self.scene.loads.clone());
        let next = match self.plans {
            Some((snapshot, zone)) => snapshot.planned(zone, next),
            None => next,
        };
        let next = self.pools_in(&next);
        if next == own { Vec::new() } else { next }
    }
}

/// The pools that a selection may answer from, each once.
pub(super) fn pools_of(zone: &Zone, selection: &Selection) -> Vec<PoolId> {
    let Selected::Among(tree) = &selection.selected else { return Vec::new() };
    once_each(tree.leaves().map(|endpoint| zone.endpoints[endpoint.index()].pool))
}

/// The same without those that have been there before.
fn once_each(pools: impl IntoIterator<Item = PoolId>) -> Vec<PoolId> {
    let mut all: Vec<PoolId> = Vec::new();
    for pool in pools {
        if !all.contains(&pool) {
            all.push(pool);
        }
    }
    all
}

fn place(rule: &CompiledRule, client: Prefix) -> (usize, u8, u64) {
    let is_subnet = client != Prefix::host(client.address());
    // An address alone stands for a resolver that sends the subnet it would send: /24 or /56.
    let cap = if client.address().is_ipv4() { 24 } else { 56 };
    let prefix = if is_subnet { client } else { Prefix::new(client.address(), cap) };
    let placed = rule.place(ClientSubnet { prefix, from_query: true }, client.address());
    (placed.class, placed.scope, rule.key(prefix))
}

/// `known` with every endpoint that an outage hits down for good.
pub(super) fn with_outages(
    zone: &Zone,
    known: &[EndpointHealth],
    outages: &[Outage],
) -> Vec<EndpointHealth> {
    let down = |health: Option<TargetHealth>| {
        let health = health.unwrap_or(TargetHealth::UNCHECKED);
        Some(TargetHealth { verdict: Verdict::Down, is_answering: false, ..health })
    };
    let one = |(n, health): (usize, &EndpointHealth)| {
        let id = EndpointId::new(n);
        if outages.iter().any(|outage| zone.is_hit(id, *outage)) {
            let (v4, v6, host) = (down(health.v4), down(health.v6), down(health.host));
            EndpointHealth { v4, v6, host, ..*health }
        } else {
            *health
        }
    };
    known.iter().enumerate().map(one).collect()
}

/// Where a client is, as data.
pub(crate) fn whereabouts_of(located: &Located<'_>) -> Whereabouts {
    let location = &located.location;
    Whereabouts {
        continent: location.continent.map(|continent| continent.to_string()),
        country: location.country.map(|country| country.to_string()),
        coordinates: location.coordinates.map(|at| (at.latitude, at.longitude)),
        asn: location.asn,
        rows: located
            .rows
            .iter()
            .map(|(name, network)| ((*name).to_owned(), network.to_string()))
            .collect(),
    }
}

fn decision_of(decided: &Decided<'_>, located: &Located<'_>) -> Decision {
    let Decided { zone, outline, choice, .. } = decided;
    let steer = outline.rule(zone);
    let endpoints = match &choice.drawn {
        Drawn::Endpoints(endpoints) => endpoints.clone(),
        Drawn::Host | Drawn::NoData | Drawn::ServFail => Vec::new(),
    };
    let pool_of = |id: &EndpointId| &zone.pools[zone.endpoints[id.index()].pool.index()];
    let region = endpoints.first().map(|id| zone.regions[pool_of(id).region.index()].name.clone());
    let named = |id: &EndpointId| EndpointNamed {
        pool: pool_of(id).name.clone(),
        name: zone.endpoints[id.index()].name.clone(),
        verdict: verdict_text(decided, *id),
    };
    let names = |pools: Vec<PoolId>| -> Vec<String> {
        pools.iter().map(|pool| zone.pools[pool.index()].name.clone()).collect()
    };
    let rung_pools = |rung: &walk::Decision| once_each(rung.outcome.pools(outline));
    let selection = &choice.selection;
    let (ttl, ttl_by, jitter) = decided.ttl();
    let notes = trail(zone, outline, decided.preference, &decided.acted, decided.family, selection);
    Decision {
        policy: steer.policy.word().to_owned(),
        pick: steer.pick.policy.word().to_owned(),
        steers: outline.steers(zone).skip(1).map(|below| below.owner.to_string()).collect(),
        class: decided.class,
        named_by: named_by(steer, decided.preference),
        scope: decided.scope,
        pools: notes.iter().map(|note| fate_of(decided, note, located)).collect(),
        region,
        endpoints: endpoints.iter().map(named).collect(),
        shares: shares_of(zone, selection),
        ttl,
        ttl_by: ttl_text(zone, steer, ttl_by, jitter),
        why: why_text(decided, &notes),
        next: names(decided.next_pools()),
        ladder: decided.rungs.iter().map(|rung| names(rung_pools(rung))).collect(),
        observed: steer.is_observe_only.then(|| names(decided.pools_in(&decided.scene))),
        frozen: decided.frozen.clone(),
    }
}

/// How often answers name each endpoint first, if there is a choice.
fn shares_of(zone: &Zone, selection: &Selection) -> Vec<(String, f64)> {
    let Selected::Among(tree) = &selection.selected else { return Vec::new() };
    // The same endpoint may stand in several branches.
    let mut shares: Vec<(EndpointId, u64)> = Vec::new();
    for (endpoint, share) in tree.shares().into_iter().filter(|(_, share)| *share > 0) {
        match shares.iter_mut().find(|(known, _)| known == endpoint) {
            Some((_, sum)) => *sum += share,
            None => shares.push((*endpoint, share)),
        }
    }
    if shares.len() < 2 {
        return Vec::new();
    }
    let shown = |(id, share): (EndpointId, u64)| {
        let endpoint = &zone.endpoints[id.index()];
        let name = format!("{}/{}", zone.pools[endpoint.pool.index()].name, endpoint.name);
        (name, f64::from(u32::try_from(share).unwrap_or(u32::MAX)) / 1e4)
    };
    shares.into_iter().map(shown).collect()
}

/// What of the rule itself names the client.
pub(super) fn named_by(steer: &Steer, preference: &Preference) -> Option<String> {
    match preference.orders.first()?.named {
        NamedBy::Policy => None,
        NamedBy::Where(n) => Some(format!("`where` clause {}", n + 1)),
        NamedBy::Map(n) => {
            let entry = steer.map.entries.get(usize::from(n))?;
            Some(format!("`{}` of its map", entry.clients))
        }
        NamedBy::MapDefault => Some("`default` of its map".to_owned()),
    }
}

/// Why the answer is this, with the names of pools that are full.
fn why_text(decided: &Decided<'_>, notes: &[PoolNote]) -> String {
    let why = decided.choice.selection.why;
    let name = |note: &PoolNote| decided.zone.pools[note.pool.index()].name.clone();
    let last = notes.iter().rposition(|note| note.fate == Fate::Kept).unwrap_or(0);
    let full = notes[..last].iter().filter(|note| matches!(note.fate, Fate::Full | Fate::Kept));
    let full: Vec<String> = full.map(name).collect();
    let mut text = match &full[..] {
        [only] if why == Why::Spilled => format!("{only} is full: "),
        [_, ..] if why == Why::Spilled => format!("{} are full: ", full.join(" and ")),
        _ => why.to_string(),
    };
    if why == Why::Spilled {
        let moved = notes.iter().skip(1).filter_map(|note| Some((note.percent?, name(note))));
        let moved: Vec<_> =
            moved.map(|(percent, pool)| format!("{percent} % go to {pool}")).collect();
        text.push_str("of these clients ");
        text.push_str(&moved.join(", "));
    }
    if let Some(Near { group, in_vain: Some(_), .. }) = &decided.near {
        text.push_str(&format!(
            "; what {group} reaches is not enough, so all of it is answered from"
        ));
    }
    let plan = decided.acted.plan();
    if plan.is_some_and(|plan| plan.is_overloaded(decided.outline)) {
        text.push_str("; OVERLOAD: there is not enough room for all");
    }
    text
}

fn ttl_text(zone: &Zone, steer: &Steer, ttl_by: TtlBy, jitter: u32) -> String {
    let mut text = match ttl_by {
        TtlBy::Rule => "the rule's ttl: nothing that counts can change sooner".to_owned(),
        TtlBy::Change(pool) => {
            format!("pool {} could change by then", zone.pools[pool.index()].name)
        }
        TtlBy::Floor => {
            format!("something could change sooner, but ttl-min is {:?}", steer.ttl_min)
        }
        TtlBy::Drain(pool) => format!("pool {} is being drained", zone.pools[pool.index()].name),
        TtlBy::End(pool) => {
            format!("what an operator says of pool {} ends then", zone.pools[pool.index()].name)
        }
        TtlBy::Alias(pool) => {
            let pool = &zone.pools[pool.index()].name;
            format!("the host of an alias in pool {pool} is to be looked up again by then")
        }
        TtlBy::Thaw => "the freeze ends then".to_owned(),
    };
    if jitter > 0 {
        text.push_str(&format!(", less {jitter} s of jitter: answers are not to expire in step"));
    }
    text
}

fn fate_of(decided: &Decided<'_>, note: &PoolNote, located: &Located<'_>) -> PoolFate {
    let zone = decided.zone;
    let pool = &zone.pools[note.pool.index()];
    let region = &zone.regions[pool.region.index()];
    let counts = format!("{} of {} endpoints usable", note.usable, note.total);
    let overrides = overrides_of(decided, note.pool);
    let reason = match note.fate {
        Fate::Kept => match note.percent {
            Some(percent) => format!("{counts}; {percent} % of these clients"),
            None => counts,
        },
        Fate::Returning => format!("{counts}, but it waits to fail back"),
        Fate::NotEnough => format!("{counts}, {} wanted", note.wanted),
        Fate::Drained => format!("{counts}, but all of it is being drained"),
        Fate::Flapping => format!("{counts}; what answers is held back, as it comes and goes"),
        Fate::NoFamily => "no endpoint with an address of that family".to_owned(),
        Fate::Unfound => format!("{counts}: hosts of its aliases were not found yet"),
        Fate::FamilyDown => format!("{counts}, but none in that family"),
        Fate::Full => format!("{counts}, but it is full"),
        Fate::NotReached => format!("{counts}; a better pool answers"),
        Fate::ZeroWeight => format!("{counts}, but its weight is 0"),
        Fate::OutsideClause => "not among the pools of the client's `where` clause".to_owned(),
    };
    let mut reason = reason;
    if note.is_held {
        reason.push_str("; would be lost, but velocity holds it");
    }
    let loads = decided.acted.plan().into_iter().flat_map(|plan| plan.loads(zone));
    let lessened = { loads }.find(|own| own.pool == note.pool && own.sound_percent < 100);
    if let Some(PoolLoad { sound_percent, .. }) = lessened {
        reason.push_str(&format!("; errors leave it {sound_percent} % of its room"));
    }
    reason.extend(rtt_text(decided, note, located).map(|rtt| format!("; {rtt}")));
    let reason = [&[reason], &overrides[..]].concat().join("; ");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20,016 km")]
    let kilometres = |at| distance::kilometres(at, region.coordinates).round() as u32;
    let endpoints = zone
        .endpoints_of(note.pool)
        .map(|(id, endpoint)| (endpoint.name.clone(), verdict_text(decided, id)));
    PoolFate {
        path: note.path.iter().map(|id| zone.steers[id.index()].owner.to_string()).collect(),
        pool: pool.name.clone(),
        region: region.name.clone(),
        kilometres: located.location.coordinates.map(kilometres),
        is_kept: note.fate == Fate::Kept,
        reason,
        overrides,
        endpoints: endpoints.collect(),
    }
}

/// Under `latency`: how far away a pool's region is, and who says so.
fn rtt_text(decided: &Decided<'_>, note: &PoolNote, located: &Located<'_>) -> Option<String> {
    let (zone, location) = (decided.zone, &located.location);
    let region = zone.pools[note.pool.index()].region;
    let kilometres = |at: Coordinates| {
        zone.regions.iter().map(|region| distance::kilometres(at, region.coordinates)).collect()
    };
    let kilometres: Vec<f64> = location.coordinates.map(kilometres).unwrap_or_default();
    let sets = decided.outline.subnet_sets(zone);
    let is_within = |set: &Vec<Prefix>| set.iter().any(|subnet| subnet.covers(decided.client));
    let subnets: Vec<bool> = sets.iter().map(is_within).collect();
    let evidence = Evidence { location, subnets: &subnets, nearest: None, kilometres: &kilometres };
    let times = times_of(zone, decided.outline, &evidence);
    let (time, by) = (*times.get(region.index())?)?;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    if let Some(entry) = by {
        return Some(format!("{:.0} ms measured for {}", millis(time), zone.rtts[entry].clients));
    }
    let Some((FoundNear { group, found }, trips)) = &decided.found else {
        return Some(format!("{:.0} ms by distance", millis(time)));
    };
    let trip = trips[region.index()];
    let own = found.time(region, trip);
    let beside = millis(own) - millis(trip.time);
    let by = match found.has_measured(region) {
        true => format!("and {beside:+.0} ms by what {group} measures"),
        false => format!("and {beside:+.0} ms as {group} measures elsewhere, but not there"),
    };
    Some(format!(
        "{:.0} ms for its class: {:.0} ms by distance {by}",
        millis(own),
        millis(trip.time)
    ))
}

/// What operators say of the endpoints of a pool, each word once.
fn overrides_of(decided: &Decided<'_>, pool: PoolId) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for (id, _) in decided.zone.endpoints_of(pool) {
        let Some(Override { what, kind, said, .. }) = decided.said[id.index()] else { continue };
        let text = format!("{what} {} {said}", kind.done());
        if !told.contains(&text) {
            told.push(text);
        }
    }
    told
}

/// An endpoint's verdict in words, with what probes say where an operator says otherwise.
fn verdict_text(decided: &Decided<'_>, id: EndpointId) -> String {
    let verdict = verdict_of(decided.zone, id, &decided.health);
    let verdict =
        if is_stale(decided, id) { format!("{verdict}, at its last addresses") } else { verdict };
    let verdict = match lessened(decided, id) {
        None => verdict,
        Some(Lessened::Starting(percent)) => {
            format!("{verdict}, with {percent} % of its weight as it starts slowly")
        }
        Some(Lessened::Degraded(percent)) => {
            format!("{verdict}, with {percent} % of its weight as others are not")
        }
        Some(Lessened::Recovering(percent)) => {
            format!("{verdict}, with {percent} % of its weight as it was degraded of late")
        }
    };
    let is_forced = decided.health[id.index()].is_forced;
    let verdict = match &decided.near {
        Some(Near { group, down, in_vain }) if down.contains(&id) && !is_forced => {
            let down = if in_vain.is_some() { ", but down" } else { "" };
            format!("{verdict}{down} from {group}: its vantages do not reach it; others do")
        }
        _ => verdict,
    };
    match decided.said[id.index()].map(|said| said.kind) {
        None => verdict,
        Some(OverrideKind::Drain) => format!("{verdict} but drained"),
        Some(OverrideKind::ForceUp | OverrideKind::ForceDown) => {
            let real = verdict_of(decided.zone, id, &decided.real);
            format!("forced {verdict} over {real}")
        }
    }
}

/// Why an endpoint has less of its weight than others, where answers go by weights.
fn lessened(decided: &Decided<'_>, id: EndpointId) -> Option<Lessened> {
    let Decided { zone, outline, acted, .. } = decided;
    let pool = zone.endpoints[id.index()].pool;
    let lessened = acted.lessened(pool, id)?;
    let goes_by_it = |policy: Policy| match policy {
        Policy::Weighted | Policy::Sticky | Policy::RoundRobin | Policy::Random => true,
        Policy::Load(_) => matches!(lessened, Lessened::Starting(_)),
        Policy::Nearest | Policy::Latency | Policy::Failover | Policy::Map | Policy::All => false,
    };
    let picks = outline.nodes().iter().zip(outline.steers(zone)).filter_map(|(node, steer)| {
        let mut leaves = node.branches.iter().filter_map(|to| match to {
            To::Leaf(leaf) => Some(outline.leaves()[*leaf]),
            To::Node(_) => None,
        });
        leaves.any(|leaf| leaf == pool).then_some(steer.pick.policy)
    });
    { picks }.any(goes_by_it).then_some(lessened)
}

/// Whether an endpoint is an alias whose host could not be looked up again in time.
fn is_stale(decided: &Decided<'_>, id: EndpointId) -> bool {
    let EndpointAt::Alias(host) = &decided.zone.endpoints[id.index()].at else { return false };
    let aliases = decided.acted.aliases.as_ref();
    aliases.and_then(|aliases| aliases.get(host)).is_some_and(|found| found.is_stale)
}

/// An endpoint's verdict in a word; with two families that differ, both.
fn verdict_of(zone: &Zone, id: EndpointId, health: &[EndpointHealth]) -> String {
    let health = &health[id.index()];
    let word = |known: Option<TargetHealth>| match known {
        Some(known) => known.verdict.word(),
        None => "no check",
    };
    match &zone.endpoints[id.index()].at {
        EndpointAt::Host(_) => word(health.host).to_owned(),
        EndpointAt::Alias(host) => match health.alias {
            AliasHealth::Assumed | AliasHealth::Found { until: Some(_), .. } => {
                word(health.host).to_owned()
            }
            AliasHealth::Unknown => format!("{host} was not found yet"),
            AliasHealth::Found { until: None, .. } => format!("{host} has no addresses"),
        },
        EndpointAt::Addresses { v4: Some(_), v6: None } => word(health.v4).to_owned(),
        EndpointAt::Addresses { v4: None, .. } => word(health.v6).to_owned(),
        EndpointAt::Addresses { v4: Some(_), v6: Some(_) } => {
            match (word(health.v4), word(health.v6)) {
                (v4, v6) if v4 == v6 => v4.to_owned(),
                (v4, v6) => format!("IPv4 {v4}, IPv6 {v6}"),
            }
        }
    }
}

fn static_records(record: NameRecord<'_>, qtype: RecordType) -> Vec<String> {
    let is_meant = |rrset: &Rrset<'_>| rrset.rtype == qtype || rrset.rtype == RecordType::CNAME;
    let texts = |rrset: Rrset<'_>| {
        let records = crate::zone::unfold(record.name(), rrset).into_iter();
        let text = move |rdata: &[u8]| crate::zone::rdata_to_text(rrset.rtype, rdata);
        records.map(move |(_, rdata)| format!("{} {}", rrset.rtype, text(&rdata)))
    };
    record.rrsets().filter(is_meant).flat_map(texts).collect()
}
