//! Rules compiled ahead: for each class of clients, a finished answer to each type.
//!
//! A [`RuleMap`] holds what depends on zone file and geo data alone: which class a client is in, and
//! what each class prefers. A [`CompiledRule`] adds what the scene makes of it: answers whose records
//! are ready and need only be drawn. Rules that say the same share both, however many names they steer,
//! and rules over different pools in the same places share the map.

use std::net::IpAddr;
use std::sync::Arc;

use super::record::{Scribe, SteeredRecords};
use super::regional::{Acted, is_theirs};
use super::tally::Tally;
use crate::geo::ClassMap;
use crate::model::topology::EndpointAt;
use crate::model::{ClientSubnet, Prefix, RecordType, RegionId, Time, Zone};
use crate::steer::capacity::Rule;
use crate::steer::depths::Depths;
use crate::steer::ladder::{Rungs, rungs};
use crate::steer::latency::Trip;
use crate::steer::select::Leaves;
use crate::steer::walk::{Decision, Ground, Outcome, decide};
use crate::steer::{Draw, DrawTree, Family, Outline, Preference, Scene, Selected};

/// Which class a client is in, and what each class prefers.
#[derive(Debug)]
pub(crate) struct RuleMap {
    /// What class `n` prefers, whatever vantages measure; never empty.
    pub(crate) preferences: Arc<[Preference]>,
    /// All classes, those whose orders begin alike behind one another.
    pub(crate) alike: Box<[u16]>,
    /// By class and region: how long the way there is for its clients, on average. None where no steer goes by
    /// that; nothing of a class of whose clients nobody knows where they are.
    pub(crate) trips: Vec<Box<[Trip]>>,
    /// The region that is nearest to the clients of class `n`, if it is one and the rule tells.
    pub(crate) nearest: Box<[Option<RegionId>]>,
    /// Client to class; `None` when all clients are in class 0.
    pub(crate) classes: Option<ClassMap>,
}

/// What is known of a client before an answer is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    /// The class: an index of [`RuleMap::preferences`].
    pub(crate) class: usize,
    /// The scope to return (RFC 7871 §7.2.1): everybody within it gets the same decision.
    pub(crate) scope: u8,
}

/// Where a compiled rule comes from.
#[derive(Clone, Debug)]
pub(crate) struct RuleSource {
    /// The zone, by place in the blueprint.
    pub(crate) zone: usize,
    pub(crate) outline: Outline,
    pub(crate) map: Arc<RuleMap>,
    /// What its classes have been answered, if that matters to the capacity of a pool.
    pub(crate) tally: Option<Arc<Tally>>,
}

/// One rule, ready.
#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub(crate) source: Arc<RuleSource>,
    /// That of its source.
    tally: Option<Arc<Tally>>,
    /// That of its source.
    map: Arc<RuleMap>,
    /// What each class prefers: what the map says, unless vantages have measured otherwise.
    preferences: Arc<[Preference]>,
    /// Leading bits that make a client's key, IPv4 and IPv6; none if nothing in the rule is sticky.
    key_bits: (u8, u8),
    /// What it answers, type by type.
    columns: Vec<Arc<Column>>,
    /// Whether the types that a client asks for together must be drawn together to come from one region.
    is_drawn_together: bool,
    /// Whether every answer is a CNAME: then the name behaves like one for every type.
    is_alias: bool,
    /// When it is to be compiled anew though nothing has happened.
    pub(crate) due: Option<Time>,
}

/// What every class gets for one type.
#[derive(Debug)]
struct Column {
    rtype: RecordType,
    family: Family,
    /// By class: which of `entries`.
    by_class: Box<[u16]>,
    /// What classes get; more than one may hold the same answer.
    entries: Vec<Entry>,
}

/// What some classes get, and what that depends on.
#[derive(Clone, Debug)]
struct Entry {
    answer: Arc<Answer>,
    looked_at: Leaves,
    due: Option<Time>,
}

/// What a class gets for one type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Records to draw from.
    Among(DrawTree<SteeredRecords>),
    /// Records to draw from, and behind them those for clients that go on by themselves.
    Ladder(Vec<DrawTree<SteeredRecords>>),
    /// This CNAME.
    Host(SteeredRecords),
    /// No data.
    NoData {
        /// For so many seconds at most.
        ttl: u32,
    },
    /// SERVFAIL, because the rule says so.
    ServFail,
}

impl RuleSource {
    /// The rule, and what its classes prefer.
    pub(crate) fn as_rule<'a>(&'a self, preferences: &'a [Preference]) -> Rule<'a> {
        Rule { outline: &self.outline, preferences }
    }

    /// Whether the rule looks at health without acting on it.
    pub(crate) fn is_observe_only(&self, zone: &Zone) -> bool {
        self.outline.rule(zone).is_observe_only
    }
}

impl CompiledRule {
    /// Compiles a rule of `zone` for what it acts on.
    pub(crate) fn new(zone: &Zone, source: &Arc<RuleSource>, acted: Acted<'_>) -> Self {
        let has = families_of(zone, &source.outline);
        let addresses =
            [(RecordType::A, Family::V4, has.v4), (RecordType::AAAA, Family::V6, has.v6)];
        let addresses = addresses.into_iter().filter(|(.., has_any)| *has_any);
        let forms = source.outline.rule(zone).forms.iter();
        let forms = forms.map(|form| (form.rtype, Family::Either, true));
        let columns = addresses.chain(forms);
        let compiler = Compiler { zone, source, acted };
        let columns =
            columns.map(|(rtype, family, _)| compiler.column(rtype, family)).map(Arc::new);
        let columns: Vec<Arc<Column>> = columns.collect();
        let rule = source.outline.rule(zone);
        let is_sticky = source.outline.is_sticky(zone);
        Self {
            source: Arc::clone(source),
            tally: source.tally.clone(),
            map: Arc::clone(&source.map),
            preferences: Arc::clone(acted.preferences),
            key_bits: if is_sticky { (rule.key_bits.v4, rule.key_bits.v6) } else { (0, 0) },
            is_drawn_together: columns.len() > 1 && source.outline.draws_regions(zone),
            is_alias: has.only_hosts,
            due: due_of(&columns),
            columns,
        }
    }

    /// The rule for scenes in which only what was seen in `changed` leaves is different, or time has
    /// gone on; `None` when that changes nothing.
    pub(crate) fn next(&self, zone: &Zone, acted: Acted<'_>, changed: Leaves) -> Option<Self> {
        let compiler = Compiler { zone, source: &self.source, acted };
        let mut columns = self.columns.clone();
        let mut is_changed = false;
        for column in &mut columns {
            if let Some(next) = compiler.next_column(column, changed) {
                *column = Arc::new(next);
                is_changed = true;
            }
        }
        let preferences = Arc::clone(acted.preferences);
        is_changed.then(|| Self { due: due_of(&columns), columns, preferences, ..self.clone() })
    }

    /// What each class prefers.
    pub(crate) fn preferences(&self) -> &[Preference] {
        &self.preferences
    }

    /// The rule as those see it who plan.
    pub(crate) fn as_rule(&self) -> Rule<'_> {
        self.source.as_rule(&self.preferences)
    }

    /// The same as a rule of `source`, which says the same of another place.
    pub(crate) fn of_source(self: &Arc<Self>, source: &Arc<RuleSource>) -> Arc<Self> {
        if Arc::ptr_eq(&self.source, source) {
            return Arc::clone(self);
        }
        let map = Arc::clone(&source.map);
        Arc::new(Self { source: Arc::clone(source), map, ..(**self).clone() })
    }

    /// The column that answers a type; `None` when the rule never has records of that type, whoever
    /// asks.
    pub(crate) fn column_of(&self, qtype: RecordType) -> Option<usize> {
        let own = self.columns.iter().position(|column| column.rtype == qtype);
        // A CNAME is the answer to every type; where only some endpoints are host names, other types
        // must not exist for some clients and not for others.
        own.or_else(|| self.is_alias.then_some(0))
    }

    /// The family in which endpoints count for a column.
    pub(crate) fn family(&self, column: usize) -> Family {
        self.columns.get(column).map_or(Family::V4, |column| column.family)
    }

    /// The type that a column answers.
    pub(crate) fn rtype(&self, column: usize) -> RecordType {
        self.columns.get(column).map_or(RecordType::A, |column| column.rtype)
    }

    /// Whether the types that a client asks for together must be drawn together to come from one region.
    pub(crate) const fn is_drawn_together(&self) -> bool {
        self.is_drawn_together
    }

    /// How many types it answers.
    pub(crate) fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// The class and scope of a client. `resolver` is who sent the query: it decides for subnets that
    /// say nothing, such as private ones (RFC 7871 §10, §11.3).
    #[inline]
    pub(crate) fn place(&self, subnet: ClientSubnet, resolver: IpAddr) -> Placed {
        let Some(classes) = &self.map.classes else {
            return Placed { class: 0, scope: self.scope_of(subnet.prefix, 0) };
        };
        let hit = classes.find(subnet.prefix);
        let class = if hit.is_private && subnet.from_query {
            classes.find(Prefix::host(resolver)).class
        } else {
            hit.class
        };
        Placed { class: usize::from(class.0), scope: self.scope_of(subnet.prefix, hit.scope) }
    }

    /// Counts an answer to a class, if that matters to the capacity of a pool. `seat` is that of whoever
    /// answers.
    pub(crate) fn count(&self, seat: usize, class: usize) {
        if let Some(tally) = &self.tally {
            tally.count(seat, class);
        }
    }

    /// Starts to fetch what [`place`](Self::place) will read.
    pub(crate) fn prefetch(&self, subnet: ClientSubnet) {
        if let Some(classes) = &self.map.classes {
            classes.prefetch(subnet.prefix);
        }
    }

    /// A sticky answer is the same for everybody within `key-bits` only.
    fn scope_of(&self, prefix: Prefix, class_scope: u8) -> u8 {
        let (v4, v6) = self.key_bits;
        class_scope.max(if prefix.address().is_ipv4() { v4 } else { v6 })
    }

    /// What makes a client sticky: its prefix up to `key-bits`, as a number.
    #[inline]
    pub(crate) fn key(&self, prefix: Prefix) -> u64 {
        let (v4, v6) = self.key_bits;
        // Behind its length a prefix has no bits.
        let (high, bits, family) = match prefix.address() {
            IpAddr::V4(address) => (u64::from(u32::from(address)) << 32, v4, 4),
            IpAddr::V6(address) => {
                let [high @ .., _, _, _, _, _, _, _, _] = address.octets();
                (u64::from_be_bytes(high), v6, 6)
            }
        };
        let mask = !u64::MAX.checked_shr(bits.into()).unwrap_or(0);
        high & mask ^ family
    }

    /// What a class gets from a column; `column` comes from [`column_of`](Self::column_of).
    pub(crate) fn answer(&self, class: usize, column: usize) -> &Answer {
        let column = &self.columns[column];
        let entry = column.by_class.get(class).copied().unwrap_or(0);
        &column.entries[usize::from(entry)].answer
    }
}

fn due_of(columns: &[Arc<Column>]) -> Option<Time> {
    columns.iter().flat_map(|column| &column.entries).filter_map(|entry| entry.due).min()
}

/// Makes columns for one rule and what it acts on.
struct Compiler<'a> {
    zone: &'a Zone,
    source: &'a RuleSource,
    acted: Acted<'a>,
}

impl Compiler<'_> {
    fn column(&self, rtype: RecordType, family: Family) -> Column {
        let growing = Growing::new(self, rtype, family, Vec::new());
        growing.column(rtype, vec![0; self.source.map.preferences.len()].into(), &[None])
    }

    /// The column for this scene, if any of it depends on leaves in `changed` or is due.
    fn next_column(&self, old: &Column, changed: Leaves) -> Option<Column> {
        let is_due = |due: Option<Time>| due.is_some_and(|due| due <= self.acted.scene.now);
        let is_stale = |entry: &Entry| entry.looked_at.meets(changed) || is_due(entry.due);
        if !old.entries.iter().any(is_stale) {
            return None;
        }
        let mut place = 0;
        let kept = |entry: &Entry| (!is_stale(entry)).then(|| (place, place += 1).0);
        let kept: Vec<Option<u16>> = old.entries.iter().map(kept).collect();
        let mut fresh = Vec::with_capacity(old.entries.len() + FRESH);
        fresh.extend(old.entries.iter().filter(|entry| !is_stale(entry)).cloned());
        let growing = Growing::new(self, old.rtype, old.family, fresh);
        Some(growing.column(old.rtype, old.by_class.clone(), &kept))
    }
}

/// Room for so many new entries is made at once.
const FRESH: usize = 4;

/// A column that gets entries class by class.
struct Growing<'a> {
    compiler: &'a Compiler<'a>,
    /// The scene of all, and those near groups that do not reach what others do.
    stages: Vec<Stage<'a>>,
    family: Family,
    entries: Vec<Entry>,
    /// Decisions made here. They are few: most classes come to one that others have come to.
    made: Vec<Made>,
    /// How the last class came to its own.
    walked: Option<Walked>,
}

/// A scene, ready to decide and to write in.
struct Stage<'a> {
    scene: &'a Scene,
    ground: Ground<'a>,
    scribe: Scribe<'a>,
}

/// A decision on one of the stages, the rungs behind it, and the place of its entry.
struct Made {
    stage: usize,
    decision: Decision,
    rungs: Vec<Outcome>,
    entry: u16,
}

/// How far one had to look to find what a class gets, and what that is.
struct Walked {
    class: usize,
    near: Option<usize>,
    depths: Depths,
    entry: u16,
}

impl<'a> Growing<'a> {
    fn new(
        compiler: &'a Compiler<'a>,
        rtype: RecordType,
        family: Family,
        entries: Vec<Entry>,
    ) -> Self {
        let Compiler { zone, source, acted } = *compiler;
        let views = acted.regional.into_iter().flat_map(|regional| regional.views());
        let scenes = std::iter::once(acted.scene).chain(views.map(|view| &*view.scene));
        let stage = |scene| Stage {
            scene,
            ground: Ground::new(zone, &source.outline, scene, family),
            scribe: Scribe::new(zone, source.outline.rule(zone), scene, rtype),
        };
        let stages = scenes.map(stage).collect();
        let made = Vec::with_capacity(FRESH);
        Self { compiler, stages, family, entries, made, walked: None }
    }

    /// The column in which each class has what became of its entry before, or else what it comes to now.
    fn column(mut self, rtype: RecordType, before: Box<[u16]>, kept: &[Option<u16>]) -> Column {
        let mut by_class = before;
        for class in &self.compiler.source.map.alike {
            let class = usize::from(*class);
            let before = usize::from(by_class[class]);
            by_class[class] = kept[before].unwrap_or_else(|| self.entry_for(class));
        }
        Column { rtype, family: self.family, by_class, entries: self.entries }
    }

    /// What a class comes to that sees what is `near`, and on which stage.
    fn decide(&self, preference: &Preference, near: Option<usize>) -> (usize, Decision) {
        let of_all = || decide(&self.stages[0].ground, preference);
        let Some(place) = near else { return (0, of_all()) };
        let own = decide(&self.stages[place + 1].ground, preference);
        if is_theirs(&own) {
            return (place + 1, own);
        }
        // It holds for as long as nothing is left to them, too.
        let mut of_all = of_all();
        of_all.looked_at = of_all.looked_at.or(own.looked_at);
        of_all.due = [of_all.due, own.due].into_iter().flatten().min();
        of_all.ttl = of_all.ttl.min(own.ttl);
        of_all.depths = of_all.depths.or(&own.depths);
        (0, of_all)
    }

    /// The place of what a class gets.
    fn entry_for(&mut self, class: usize) -> u16 {
        let Compiler { source, acted, .. } = *self.compiler;
        let preference = &acted.preferences[class];
        let near = acted.regional.and_then(|own| own.place_of(&source.map, class));
        let leads_here = |walked: &&Walked| {
            let other = &acted.preferences[walked.class];
            walked.near == near && walked.depths.are_same_for(other, preference)
        };
        if let Some(walked) = self.walked.as_ref().filter(leads_here) {
            return walked.entry;
        }
        let (place, mut decision) = self.decide(preference, near);
        let stage = &self.stages[place];
        let rungs = match stage.scribe.ladder() {
            0 => Vec::new(),
            count => self.climb(stage, &mut decision, preference, count),
        };
        let depths = decision.depths.clone();
        let entry = self.entry_of(place, decision, rungs);
        self.walked = Some(Walked { class, near, depths, entry });
        entry
    }

    /// The place of what a decision on a stage and the rungs behind it lead to.
    fn entry_of(&mut self, place: usize, decision: Decision, rungs: Vec<Outcome>) -> u16 {
        let stage = &self.stages[place];
        let is_known =
            |made: &&Made| made.is_of(place, &rungs) && made.decision.is_alike(&decision);
        if let Some(made) = self.made.iter().find(is_known) {
            return made.entry;
        }
        let (&Compiler { zone, source, .. }, scene) = (self.compiler, stage.scene);
        let is_same = |made: &&Made| {
            let Decision { outcome, ttl, .. } = &made.decision;
            made.is_of(place, &rungs) && (outcome, *ttl) == (&decision.outcome, decision.ttl)
        };
        let answer = match self.made.iter().find(is_same) {
            Some(made) => Arc::clone(&self.entries[usize::from(made.entry)].answer),
            None => {
                let selected =
                    |of: &Outcome| of.selected(zone, &source.outline, scene, self.family);
                let behind: Vec<_> = rungs.iter().map(selected).collect();
                let first = selected(&decision.outcome);
                Arc::new(Answer::new(&stage.scribe, &first, &behind, decision.ttl))
            }
        };
        let entry = u16::try_from(self.entries.len()).expect("no more entries than classes");
        let due = decision.due.map(|left| scene.now + left);
        self.entries.push(Entry { answer, looked_at: decision.looked_at, due });
        self.made.push(Made { stage: place, decision, rungs, entry });
        entry
    }

    /// What a client may go on to behind `first`, which comes to depend on that as well.
    #[cold]
    fn climb(
        &self,
        stage: &Stage<'_>,
        first: &mut Decision,
        preference: &Preference,
        count: usize,
    ) -> Vec<Outcome> {
        let (&Compiler { zone, source, .. }, scene) = (self.compiler, stage.scene);
        let lost = first.outcome.pools(&source.outline);
        let Rungs { decisions, looked_at, due, depths } =
            rungs(zone, &source.outline, preference, scene, self.family, lost, count);
        first.looked_at = first.looked_at.or(looked_at);
        first.due = [first.due, due].into_iter().flatten().min();
        first.depths = first.depths.or(&depths);
        first.ttl = decisions.iter().map(|rung| rung.ttl).fold(first.ttl, u32::min);
        decisions.into_iter().map(|rung| rung.outcome).collect()
    }
}

impl Made {
    /// Whether it was made on a stage and has these rungs behind it.
    fn is_of(&self, stage: usize, rungs: &[Outcome]) -> bool {
        self.stage == stage && self.rungs == rungs
    }
}

/// What a rule can answer at all, whoever asks and whatever is down.
struct Families {
    v4: bool,
    v6: bool,
    /// All endpoints are host names.
    only_hosts: bool,
}

fn families_of(zone: &Zone, outline: &Outline) -> Families {
    if !outline.rule(zone).has_addresses {
        return Families { v4: false, v6: false, only_hosts: false };
    }
    let endpoints = || outline.leaves().iter().flat_map(|pool| zone.endpoints_of(*pool));
    let has = |is_meant: &dyn Fn(&EndpointAt) -> bool| endpoints().any(|(_, e)| is_meant(&e.at));
    let is_host = |at: &EndpointAt| matches!(at, EndpointAt::Host(_));
    let may_have = |at: &EndpointAt, family: Family| match at {
        EndpointAt::Addresses { v4, v6 } => match family {
            Family::V4 => v4.is_some(),
            Family::V6 => v6.is_some(),
            Family::Either => true,
        },
        EndpointAt::Host(_) | EndpointAt::Alias(_) => true,
    };
    Families {
        v4: has(&|at| may_have(at, Family::V4)),
        v6: has(&|at| may_have(at, Family::V6)),
        only_hosts: !has(&|at| !is_host(at)),
    }
}

impl Answer {
    /// What is drawn from `selected` and, where a client is given more than one choice, from `rungs`.
    pub(super) fn new(
        scribe: &Scribe<'_>,
        selected: &Selected,
        rungs: &[Selected],
        ttl: u32,
    ) -> Self {
        let records = |(rung, selected): (usize, &Selected)| match selected {
            Selected::Among(tree) => Some(tree.map(|id| scribe.records(*id, rung, ttl))),
            Selected::Host(_) | Selected::NoData | Selected::ServFail => None,
        };
        match selected {
            Selected::Among(tree) if rungs.is_empty() => {
                Self::Among(tree.map(|id| scribe.records(*id, 0, ttl)))
            }
            Selected::Among(_) => {
                let all = std::iter::once(selected).chain(rungs).enumerate();
                Self::Ladder(all.filter_map(records).collect())
            }
            Selected::Host(name) => Self::Host(SteeredRecords::cname(name, ttl)),
            Selected::NoData => Self::NoData { ttl },
            Selected::ServFail => Self::ServFail,
        }
    }

    /// Whether two answers to one client may differ: whether random numbers and turns count.
    #[inline]
    pub(crate) fn draws_anew(&self) -> bool {
        match self {
            Self::Among(tree) => tree.draws_anew(),
            Self::Ladder(trees) => trees.iter().any(DrawTree::draws_anew),
            Self::Host(_) | Self::NoData { .. } | Self::ServFail => false,
        }
    }

    /// Hands every record of one answer to `name`, in order. A CNAME stands alone: if one is drawn
    /// first, it is all that is named; drawn later, it is left out.
    pub(crate) fn draw<'a>(&'a self, dice: Draw, name: &mut impl FnMut(&'a SteeredRecords)) {
        match self {
            Self::Among(tree) => Queue::default().draw(tree, dice, name),
            Self::Ladder(trees) => draw_ladder(trees, dice, name),
            Self::Host(record) => name(record),
            Self::NoData { .. } | Self::ServFail => {}
        }
    }
}

// Code of its own, so that what nearly every answer goes through is not called but part of its caller.
#[cold]
fn draw_ladder<'a>(
    trees: &'a [DrawTree<SteeredRecords>],
    dice: Draw,
    mut name: &mut dyn FnMut(&'a SteeredRecords),
) {
    let mut queue = Queue::default();
    for tree in trees {
        queue.draw(tree, dice, &mut name);
    }
}

/// What has been named of an answer.
#[derive(Default)]
struct Queue {
    is_begun: bool,
    /// Whether it begins with a CNAME.
    is_alone: bool,
}

impl Queue {
    #[inline]
    fn draw<'a>(
        &mut self,
        tree: &'a DrawTree<SteeredRecords>,
        dice: Draw,
        name: &mut impl FnMut(&'a SteeredRecords),
    ) {
        tree.draw(dice, &mut |record: &'a SteeredRecords| {
            if !(self.is_begun && (record.is_cname || self.is_alone)) {
                name(record);
            }
            self.is_alone |= !self.is_begun && record.is_cname;
            self.is_begun = true;
        });
    }
}
