//! Who watches that nothing is broken, and keeps the score.

use std::collections::BTreeMap;
use std::time::Duration;

use windrose::dns::Dice;
use windrose::fleet::bundle::{Head, Rank};
use windrose::health::fleet::Link;
use windrose::model::{OverrideKind, Verdict};
use windrose::steer::overrides::by_endpoint;

use super::faults::Kind;
use super::machine::{GROUP_NAMES, Machine};
use super::served::{ENDPOINTS, NAMES, first_address, packet};
use super::world::{GROUPS, MACHINES, NODES, TICK, World};

/// So long after the last fault everybody must agree.
const SETTLED: Duration = Duration::from_secs(60);
/// For so long before a verdict turns down, most of those who look must have been able to see it alive for
/// the verdict to be wrong.
const MEMORY: Duration = Duration::from_secs(45);
/// A doubt that one node has heard of and another not yet shortens TTLs: nodes are alike if they were so once
/// within this.
const ALIKE_WITHIN: Duration = Duration::from_secs(5);
/// Clients that ask: each from another network.
const CLIENTS: u8 = 4;

/// First and last.
type Span = (Duration, Duration);

/// What came of a seed.
#[derive(Default, Debug)]
pub(super) struct Outcome {
    /// Sentences, each with its time.
    pub(super) broken: Vec<String>,
    /// For how long a node's answers led to the dead, times their share of the answers looked at. While an
    /// operator wants it so nobody counts.
    pub(super) bad_answer_secs: f64,
    /// Verdicts on a node that turned down while the endpoint was alive.
    pub(super) needless: u32,
    /// Verdicts on nodes that turned up or down, but for the first.
    pub(super) turned: u32,
    pub(super) looked_at: u64,
    /// How long after the last return of the engine all nodes had come to the same.
    pub(super) agreed_after: Option<Duration>,
    /// By group and endpoint: when each of the nodes held it for down from there.
    pub(super) down_from: BTreeMap<(usize, usize), [Option<Span>; NODES]>,
}

/// Who watches.
pub(super) struct Watch {
    dice: Dice,
    packets: Vec<Vec<u8>>,
    is_told: bool,
    /// Verdicts count from then on.
    pub(super) counts_from: Duration,
    /// For no longer may the dead be named.
    pub(super) oldest: Option<Duration>,
    /// By node: what was held at the last look.
    verdicts: [[Verdict; ENDPOINTS]; NODES],
    words: [BTreeMap<String, u64>; NODES],
    served: [Option<Rank>; NODES],
    /// By node: since when it hears others.
    together_since: [Option<Duration>; NODES],
    /// Since when each endpoint is dead.
    dead_since: [Option<Duration>; ENDPOINTS],
    alike_at: Option<Duration>,
    pub(super) outcome: Outcome,
}

impl Watch {
    pub(super) fn new(seed: u64, is_told: bool) -> Self {
        let packets = |name: &str| (0..CLIENTS).map(|client| packet(name, client)).collect();
        Self {
            dice: Dice::new(seed),
            packets: NAMES.iter().flat_map(|name| -> Vec<_> { packets(name) }).collect(),
            is_told,
            counts_from: Duration::ZERO,
            oldest: None,
            verdicts: [[Verdict::Unknown; ENDPOINTS]; NODES],
            words: Default::default(),
            served: Default::default(),
            together_since: [None; NODES],
            dead_since: [None; ENDPOINTS],
            alike_at: None,
            outcome: Outcome::default(),
        }
    }

    fn broken(&mut self, world: &World, what: &str) {
        let at = world.elapsed();
        self.outcome.broken.push(format!("{at:.1?}: {what}"));
    }

    pub(super) fn look(&mut self, world: &World) {
        let at = world.elapsed();
        for endpoint in 0..ENDPOINTS {
            let since = &mut self.dead_since[endpoint];
            *since = if world.is_alive(endpoint) { None } else { since.or(Some(at)) };
        }
        for node in 0..NODES {
            if world.until(Kind::Stopped, node).is_some() {
                continue;
            }
            let Some(machine) = &world.machines[node] else { continue };
            let verdicts = machine.verdicts();
            let since = &mut self.together_since[node];
            let is_together = machine.member.link(world.now) == Link::Together;
            *since = since.or(Some(at)).filter(|_| is_together);
            self.look_at_verdicts(world, machine, &verdicts);
            self.look_at_answers(world, machine, &verdicts);
            self.look_at_kept(world, machine);
            self.look_at_paths(world, machine);
        }
        let is_mended = world.faults.all.iter().all(|fault| fault.until < at);
        if is_mended && self.are_alike(world) {
            self.alike_at = Some(at);
        }
    }

    /// After the engine's return: whether all nodes have come to the same.
    pub(super) fn look_at_return(&mut self, world: &World) {
        if self.outcome.agreed_after.is_none() && has_one_hash(world) {
            self.outcome.agreed_after = world.returned.map(|at| world.elapsed() - at);
        }
    }

    fn look_at_verdicts(
        &mut self,
        world: &World,
        machine: &Machine,
        verdicts: &[Verdict; ENDPOINTS],
    ) {
        let node = machine.number;
        for (endpoint, verdict) in verdicts.iter().copied().enumerate() {
            let before = std::mem::replace(&mut self.verdicts[node][endpoint], verdict);
            let is_first = before == Verdict::Unknown || verdict == Verdict::Unknown;
            if verdict == before || is_first || world.elapsed() < self.counts_from {
                continue;
            }
            self.outcome.turned += 1;
            let is_alive = world.is_alive(endpoint);
            if self.is_told {
                let (at, truth) = (world.elapsed(), if is_alive { "alive" } else { "dead" });
                println!(
                    "{at:>8.1?}: node {node} holds endpoint {endpoint} for {verdict}; it is {truth}"
                );
            }
            if verdict == Verdict::Down && is_alive {
                self.outcome.needless += 1;
                self.judge_needless(world, machine, endpoint);
            }
        }
    }

    /// A verdict has turned down of what is alive: that is wrong if it was alive all the time, and all machines
    /// but one, at each moment, could see that.
    fn judge_needless(&mut self, world: &World, machine: &Machine, endpoint: usize) {
        let (end, step) = (world.elapsed(), Duration::from_millis(500));
        let Some(mut at) = end.checked_sub(MEMORY) else { return };
        while at <= end {
            let could_see = |machine: &usize| world.faults.could_see(*machine, endpoint, at);
            let blind = MACHINES - (0..MACHINES).filter(could_see).count();
            if world.faults.death(endpoint, at).is_some() || blind > 1 {
                return;
            }
            at += step;
        }
        // What goes by itself on an island goes by one pair of eyes.
        let node = machine.number;
        if self.together_since[node].is_some_and(|since| since + TICK * 2 <= end) {
            self.broken(
                world,
                &format!("node {node} holds endpoint {endpoint} for down, which nearly all could see alive"),
            );
        }
    }

    fn look_at_answers(
        &mut self,
        world: &World,
        machine: &Machine,
        verdicts: &[Verdict; ENDPOINTS],
    ) {
        let node = machine.number;
        let overrides = machine.intake.overrides();
        let zones = machine.snapshot.as_ref().map(|snapshot| snapshot.zones());
        let zone = zones.and_then(|zones| zones.first()).expect("a node serves it");
        let said = by_endpoint(zone, &overrides, world.now);
        let is_frozen = overrides.freeze_at(world.now).is_some();
        let kind_of = |endpoint: usize| -> Option<OverrideKind> {
            let name = format!("e{endpoint}");
            let place = zone.endpoints.iter().position(|one| one.name == name)?;
            said[place].map(|said| said.kind)
        };
        let kinds: [Option<OverrideKind>; ENDPOINTS] = match overrides.all.is_empty() {
            true => [None; ENDPOINTS],
            false => std::array::from_fn(kind_of),
        };
        let is_shunned = |endpoint: usize| match kinds[endpoint] {
            Some(OverrideKind::Drain | OverrideKind::ForceDown) => true,
            Some(OverrideKind::ForceUp) => false,
            None => verdicts[endpoint] == Verdict::Down,
        };
        let is_any_left = (0..ENDPOINTS).any(|endpoint| !is_shunned(endpoint));
        let (mut bad, mut all) = (0_u32, 0_u32);
        let mut reply = [0; 1232];
        for place in 0..self.packets.len() {
            let name = NAMES[place / usize::from(CLIENTS)];
            let reply = machine.answer(&self.packets[place], &mut self.dice, &mut reply);
            all += 1;
            let Some(endpoint) = first_address(reply) else {
                self.broken(world, &format!("node {node} answers {name} by nothing"));
                continue;
            };
            if is_any_left && is_shunned(endpoint) && !is_frozen {
                let (why, verdict) = (kinds[endpoint], verdicts[endpoint]);
                let what = format!(
                    "node {node} answers {name} by endpoint {endpoint}, which it holds for {verdict} ({why:?})"
                );
                self.broken(world, &what);
            }
            bad += u32::from(!world.is_alive(endpoint));
            let age = self.dead_since[endpoint].map(|since| world.elapsed() - since);
            let age = age.filter(|_| !is_frozen && kinds[endpoint].is_none());
            if age > self.oldest.or(Some(Duration::MAX)) {
                let what = format!(
                    "node {node} answers {name} by endpoint {endpoint}, dead for {age:.1?}"
                );
                self.broken(world, &what);
            }
        }
        self.outcome.looked_at += u64::from(all);
        if !is_frozen && !kinds.contains(&Some(OverrideKind::ForceUp)) {
            self.outcome.bad_answer_secs += TICK.as_secs_f64() * f64::from(bad) / f64::from(all);
        }
    }

    /// Neither a word of operators nor what is served goes back to what was before.
    fn look_at_kept(&mut self, world: &World, machine: &Machine) {
        let node = machine.number;
        for word in machine.keeper.words().iter() {
            let before = self.words[node].insert(word.key(), word.version);
            if before.is_some_and(|before| before > word.version) {
                let what = format!("node {node} went back to version {} of {word:?}", word.version);
                self.broken(world, &what);
            }
        }
        let served = machine.keeper.served().map(Head::rank);
        if served < self.served[node] {
            self.broken(world, &format!("node {node} went back to {served:?} of the zone files"));
        }
        self.served[node] = served;
    }

    fn look_at_paths(&mut self, world: &World, machine: &Machine) {
        let Some(reach) = machine.intake.reach() else { return };
        for (target, from) in &reach.down {
            let endpoint = world.common.targets.iter().position(|one| one == target);
            for from in from {
                let group = GROUP_NAMES.iter().position(|name| *name == from.group);
                let (group, endpoint) = (group.unwrap_or(GROUPS), endpoint.unwrap_or(ENDPOINTS));
                let seen = self.outcome.down_from.entry((group, endpoint)).or_default();
                let (at, seen) = (world.elapsed(), &mut seen[machine.number]);
                *seen = Some((seen.map_or(at, |(first, _)| first), at));
            }
        }
    }

    /// Whether all nodes answer alike, octet for octet, what they do not draw.
    fn are_alike(&mut self, world: &World) -> bool {
        if !has_one_hash(world) {
            return false;
        }
        let nodes: Vec<&Machine> = world.machines.iter().take(NODES).flatten().collect();
        let (mut one, mut other) = ([0; 1232], [0; 1232]);
        let first = usize::from(CLIENTS);
        let packets = self.packets[first..].iter();
        let dice = &mut self.dice;
        packets.into_iter().all(|packet| {
            let answer = nodes[0].answer(packet, dice, &mut one);
            nodes[1..].iter().all(|node| node.answer(packet, dice, &mut other) == answer)
        })
    }

    // ---- In the end ----

    /// What came and went is not trusted for up to twenty minutes (flap damping).
    fn may_be_held_back(world: &World, endpoint: usize) -> bool {
        let own = world.faults.all.iter().filter(|fault| {
            fault.kind.is_of_endpoint() && fault.machine == endpoint
                || fault.kind == Kind::PathCut && fault.machine % ENDPOINTS == endpoint
        });
        let own: Vec<Kind> = own.map(|fault| fault.kind).collect();
        own.contains(&Kind::Flapping) || own.len() >= 3
    }

    /// All is mended: everybody holds what is true, knows the same, and answers alike.
    pub(super) fn settle(&mut self, world: &World) {
        let last = world.faults.all.iter().map(|fault| fault.until).max().unwrap_or_default();
        if world.elapsed() < last + SETTLED {
            self.broken(world, "faults did not end in time");
        }
        let nodes: Vec<&Machine> = world.machines.iter().take(NODES).flatten().collect();
        if nodes.len() < NODES {
            return self.broken(world, "a node is off in the end");
        }
        for machine in &nodes {
            for (endpoint, verdict) in machine.verdicts().into_iter().enumerate() {
                if verdict != Verdict::Up && !Self::may_be_held_back(world, endpoint) {
                    let node = machine.number;
                    let what =
                        format!("in the end node {node} holds endpoint {endpoint} for {verdict}");
                    self.broken(world, &what);
                }
            }
        }
        self.settle_kept(world, &nodes);
        let since = world.elapsed().saturating_sub(ALIKE_WITHIN);
        if self.alike_at.is_none_or(|alike| alike < since) {
            self.broken(world, &format!("in the end nodes differ, since {:.1?}", self.alike_at));
        }
    }

    fn settle_kept(&mut self, world: &World, nodes: &[&Machine]) {
        let newest = world.engines[0].newest(&world.common.keys);
        for machine in nodes {
            let node = machine.number;
            if machine.keeper.words().hash() != nodes[0].keeper.words().hash() {
                self.broken(
                    world,
                    &format!("in the end node {node} knows other words than node 0"),
                );
            }
            let served = machine.keeper.served();
            if served != nodes[0].keeper.served() {
                self.broken(
                    world,
                    &format!("in the end node {node} serves other files than node 0"),
                );
            }
            // What the engine has last, or something before that which could be served.
            let is_fit = newest.as_ref().is_some_and(|newest| world.is_fit(newest));
            if is_fit && served != newest.as_ref() {
                self.broken(
                    world,
                    &format!("in the end node {node} does not serve what is newest"),
                );
            }
            if machine.intake.overrides().freeze.is_some() {
                self.broken(world, &format!("in the end node {node} is frozen"));
            }
        }
    }
}

/// Whether all nodes run and have come to the same.
fn has_one_hash(world: &World) -> bool {
    let nodes = world.machines.iter().take(NODES).flatten();
    let hashes: Vec<u64> = nodes.map(Machine::state_hash).collect();
    hashes.len() == NODES && hashes.iter().all(|hash| *hash == hashes[0])
}
