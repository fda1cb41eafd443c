//! What steers choose among: pools and other steers.
//!
//! A [`BranchReader`] reads the `pools` of one steer and every list of some of them (`where`, `map`).
//! [`judge`] looks at the steers of a zone together: they must form trees of a bearable size.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::forms::FormValues;
use super::names::Names;
use super::pool::Families;
use super::reader::{Key, Table, Value, meant};
use crate::model::topology::{AllDown, Branch, BranchTo, LoadPolicy, Policy, WEIGHT_MAX};
use crate::model::{Diagnostic, PoolId, Span, Steer, SteerId};

/// What stands before the name of a steer in a list of pools.
const STEER: &str = "steer:";
/// Steers that one rule may unfold to: each costs every client's class its own order.
const NODES_MAX: usize = 64;
/// Branches of one steer; what is longer is a mistake, and places in lists are 16 bits.
const BRANCHES_MAX: usize = 1024;

/// The steers of a zone by name, as they may be branches of others.
pub(super) struct SteerNames<'d> {
    keys: Vec<Key<'d>>,
    positions: HashMap<&'d str, usize>,
}

impl<'d> SteerNames<'d> {
    pub(super) fn new(entries: &[(Key<'d>, Value<'d>)]) -> Self {
        let keys: Vec<_> = entries.iter().map(|(key, _)| *key).collect();
        let positions = keys.iter().enumerate().map(|(n, key)| (key.text, n)).collect();
        Self { keys, positions }
    }

    fn use_name(&self, user: &str, value: Value<'d>, name: &str) -> Option<SteerId> {
        let position = self.positions.get(name).copied();
        if position.is_none() {
            let message = format!("{user} names steer `{name}`, which is not defined");
            let error = value.error(message).label("not defined");
            value.push(error.hint(match meant(name, self.keys.iter().map(|key| key.text)) {
                Some(meant) => format!("did you mean `{STEER}{meant}`?"),
                None => format!("a steer is defined by a table `[steer.{name}]`"),
            }));
        }
        position.map(SteerId::new)
    }
}

/// The branches of a steer, and where each was first written.
#[derive(Default)]
pub(super) struct Branches {
    pub(super) list: Vec<Branch>,
    pub(super) spans: Vec<Span>,
}

/// Reads what one steer chooses among.
pub(super) struct BranchReader<'a, 'd> {
    /// What messages call the steer.
    pub(super) steer: &'a str,
    pub(super) pools: &'a Names<'d, PoolId>,
    pub(super) steers: &'a SteerNames<'d>,
}

impl<'d> BranchReader<'_, 'd> {
    /// The `pools` of a steer with their `weights`.
    pub(super) fn read(&self, table: &Table<'d>, list: Option<Value<'d>>) -> Branches {
        let mut branches = Branches::default();
        let Some(list) = list else { return branches };
        let items = list.list("pools");
        if items.is_empty() && list.as_list().is_some() {
            list.push(list.error(format!("{} has no pools to choose from", self.steer)));
        }
        if items.len() > BRANCHES_MAX {
            list.push(list.error(format!("{} has more than {BRANCHES_MAX} pools", self.steer)));
            return branches;
        }
        for item in items {
            let Some(to) = self.read_one(self.steer, item) else { continue };
            if branches.list.iter().any(|known| known.to == to) {
                let what = kind(to);
                item.push(item.error(format!("{} names this {what} twice", self.steer)));
            } else {
                branches.list.push(Branch { to, weight: 1 });
                branches.spans.push(item.span);
            }
        }
        self.read_weights(table, &mut branches.list);
        branches
    }

    /// `web-eu`, a pool, or `steer:canary`, a steer.
    fn read_one(&self, user: &str, item: Value<'d>) -> Option<BranchTo> {
        match item.as_text().and_then(|text| text.strip_prefix(STEER)) {
            Some(name) => self.steers.use_name(user, item, name).map(BranchTo::Steer),
            None => self.pools.use_by(user, item).map(BranchTo::Pool),
        }
    }

    /// Overwrites weights of 1 with those that are written.
    fn read_weights(&self, table: &Table<'d>, branches: &mut [Branch]) {
        for (Key { text: name, span }, value) in table.named("weights", "{ web-eu = 3 }") {
            let weight = value.integer(0..=WEIGHT_MAX).unwrap_or(1);
            let at = value.at(span);
            let to = match name.strip_prefix(STEER) {
                Some(name) => self.steers.use_name(self.steer, at, name).map(BranchTo::Steer),
                None => self.pools.use_name(self.steer, at, name).map(BranchTo::Pool),
            };
            let Some(to) = to else { continue };
            match branches.iter_mut().find(|known| known.to == to) {
                Some(known) => known.weight = weight,
                None => {
                    let what = kind(to);
                    let message =
                        format!("{what} `{name}` is not among the pools of {}", self.steer);
                    table.push(Diagnostic::error(span, message));
                }
            }
        }
    }

    /// Some of the steer's own branches, in an order of their own: places in `own`. A string stands for
    /// a list of one. `what` is who has this list.
    pub(super) fn read_some(&self, what: &str, value: Value<'d>, own: &[Branch]) -> Vec<usize> {
        let items = match value.as_text() {
            Some(_) => vec![value],
            None => value.list("pools"),
        };
        if items.is_empty() && value.as_list().is_some() {
            value.push(value.error(format!("{what} has no pools to choose from")));
        }
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            let Some(to) = self.read_one(what, item) else { continue };
            match own.iter().position(|branch| branch.to == to) {
                None if own.is_empty() => {}
                None => {
                    let kind = kind(to);
                    let error =
                        item.error(format!("this {kind} is not among those of {}", self.steer));
                    item.push(error.hint("add it to the `pools` of the steer"));
                }
                Some(place) if places.contains(&place) => {
                    item.push(item.error(format!("{what} names this {} twice", kind(to))));
                }
                Some(place) => places.push(place),
            }
        }
        places
    }
}

const fn kind(to: BranchTo) -> &'static str {
    match to {
        BranchTo::Pool(_) => "pool",
        BranchTo::Steer(_) => "steer",
    }
}

/// Weights must leave something to choose, and a policy that looks at them.
pub(super) fn judge_weights(table: &Table<'_>, policy: Option<Policy>, branches: &[Branch]) {
    let Some(value) = table.get("weights") else { return };
    if !branches.is_empty() && branches.iter().all(|branch| branch.weight == 0) {
        let error = value.error(format!("all pools of {} have weight 0", table.what));
        value.push(error.hint("weight 0 is for pools that only stand in for others"));
    }
    const WEIGHTED_BY_LOAD: Policy = Policy::Load(LoadPolicy::WeightedLeastConnections);
    let looks =
        |p: &Policy| matches!(p, Policy::Weighted | Policy::Sticky) || *p == WEIGHTED_BY_LOAD;
    if let Some(policy) = policy.filter(|policy| !looks(policy)) {
        let message = format!("`weights` mean nothing under policy `{}`", policy.word());
        let hint = "`weighted`, `sticky` and `weighted-least-connections` look at them";
        value.push(value.warning(message).hint(hint));
    }
}

/// A steer as it was read, with the places of its parts.
pub(super) struct SteerEntry<'d> {
    pub(super) key: Key<'d>,
    pub(super) steer: Steer,
    /// Where each of its branches was written.
    pub(super) spans: Vec<Span>,
    /// Where the pools of each of its clauses were.
    pub(super) where_spans: Vec<Span>,
    /// Where its `key-bits` were, if it has any.
    pub(super) key_bits_span: Option<Span>,
    /// Whether its name could be read.
    pub(super) has_owner: bool,
    /// What it answers besides addresses, still to be read.
    pub(super) forms: FormValues<'d>,
}

/// Cuts steers that lead back to themselves, which are errors as are trees that are too large and
/// steers that nothing leads to. After this, every steer is a tree.
pub(super) fn judge(root: &Table<'_>, entries: &mut [SteerEntry<'_>]) {
    cut_loops(root, entries);
    let used: HashSet<usize> =
        entries.iter().flat_map(|entry| below(&entry.steer)).map(|(_, id)| id).collect();
    for (place, entry) in entries.iter().enumerate() {
        let what = format!("steer `{}`", entry.key.text);
        if entry.steer.is_branch_only && !used.contains(&place) && entry.has_owner {
            let error = Diagnostic::error(entry.key.span, format!("{what} is never used"));
            let hint = format!("it is `branch-only`, and no steer has `{STEER}{}`", entry.key.text);
            root.push(error.hint(hint));
        }
        // A key that nothing is chosen by is probably a slip.
        if let Some(span) = entry.key_bits_span.filter(|_| !is_sticky(entries, place)) {
            let warning = Diagnostic::warning(span, format!("nothing in {what} is `sticky`"));
            root.push(warning.label("no client has a key here"));
        }
        let mut nodes = 0;
        count_nodes(entries, place, &mut nodes);
        if nodes > NODES_MAX {
            let message = format!("{what} unfolds to more than {NODES_MAX} steers");
            root.push(Diagnostic::error(entry.key.span, message));
        }
    }
}

/// The steers that a steer leads to: the branch's place, and the steer's.
fn below(steer: &Steer) -> impl Iterator<Item = (usize, usize)> {
    let branches = steer.branches.iter().enumerate();
    branches.filter_map(|(n, branch)| match branch.to {
        BranchTo::Steer(id) => Some((n, id.index())),
        BranchTo::Pool(_) => None,
    })
}

/// A steer on the way from one where a search began.
struct Visit {
    place: usize,
    /// The branches that are still to be followed, the last first.
    left: Vec<(usize, usize)>,
    /// Those that lead back to the way.
    looping: Vec<usize>,
}

/// Cuts off every branch that leads back to the way by which it was reached. Each steer is gone through once,
/// however many lead to it.
fn cut_loops(root: &Table<'_>, entries: &mut [SteerEntry<'_>]) {
    let mut is_seen = vec![false; entries.len()];
    for start in 0..entries.len() {
        let mut path: Vec<Visit> = Vec::new();
        let mut next = Some(start).filter(|start| !is_seen[*start]);
        loop {
            if let Some(place) = next.take() {
                is_seen[place] = true;
                let mut left: Vec<_> = below(&entries[place].steer).collect();
                left.reverse();
                path.push(Visit { place, left, looping: Vec::new() });
            }
            let Some(last) = path.last_mut() else { break };
            let from = last.place;
            let Some((branch, to)) = last.left.pop() else {
                let looping = path.pop().into_iter().flat_map(|visit| visit.looping);
                looping.rev().for_each(|branch| drop_branch(&mut entries[from], branch));
                continue;
            };
            if let Some(start) = path.iter().position(|visit| visit.place == to) {
                let turn = path[start..].iter().map(|visit| visit.place).chain([to]);
                let names: Vec<&str> = turn.map(|place| entries[place].key.text).collect();
                let what = format!("steer `{}` leads back to itself", entries[to].key.text);
                let error = Diagnostic::error(entries[from].spans[branch], what);
                root.push(error.label(names.join(" → ")));
                if let Some(visit) = path.last_mut() {
                    visit.looping.push(branch);
                }
            } else {
                next = Some(to).filter(|to| !is_seen[*to]);
            }
        }
    }
}

/// All steers that a steer leads to, each once: its tree may have them many times over.
fn reached(entries: &[SteerEntry<'_>], steer: &Steer) -> Vec<usize> {
    let (mut reached, mut is_seen) = (Vec::new(), HashSet::new());
    let mut add = |reached: &mut Vec<usize>, steer: &Steer| {
        reached.extend(below(steer).map(|(_, next)| next).filter(|next| is_seen.insert(*next)));
    };
    add(&mut reached, steer);
    let mut at = 0;
    while let Some(&place) = reached.get(at) {
        add(&mut reached, &entries[place].steer);
        at += 1;
    }
    reached
}

/// Takes a branch out; the steer is in error already, so places in its lists may be forgotten.
fn drop_branch(entry: &mut SteerEntry<'_>, branch: usize) {
    entry.steer.branches.remove(branch);
    entry.spans.remove(branch);
    entry.steer.wheres.clear();
    entry.steer.map.entries.clear();
    entry.steer.map.default.clear();
}

/// Whether anything that a steer leads to is chosen by a client's key.
fn is_sticky(entries: &[SteerEntry<'_>], place: usize) -> bool {
    let is_sticky = |steer: &Steer| steer.draws().contains(&Policy::Sticky);
    let steer = &entries[place].steer;
    let below = reached(entries, steer).into_iter();
    is_sticky(steer) || { below }.any(|place| is_sticky(&entries[place].steer))
}

fn count_nodes(entries: &[SteerEntry<'_>], place: usize, nodes: &mut usize) {
    *nodes += 1;
    for (_, next) in below(&entries[place].steer) {
        if *nodes > NODES_MAX {
            return;
        }
        count_nodes(entries, next, nodes);
    }
}

/// The pools that a steer may lead to, by id, its last resort included.
pub(super) fn pools_of(entries: &[SteerEntry<'_>], place: usize) -> BTreeSet<PoolId> {
    let mut pools = BTreeSet::new();
    if let AllDown::Pool(pool) = entries[place].steer.all_down {
        pools.insert(pool);
    }
    pools.extend(pools_below(entries, &entries[place].steer));
    pools
}

/// The pools that a steer leads to. Steers are trees by now.
pub(super) fn pools_below(entries: &[SteerEntry<'_>], steer: &Steer) -> BTreeSet<PoolId> {
    let below = reached(entries, steer).into_iter();
    let below = below.flat_map(|place| own_pools(&entries[place].steer));
    own_pools(steer).chain(below).collect()
}

/// The pools among a steer's own branches.
pub(super) fn own_pools(steer: &Steer) -> impl Iterator<Item = PoolId> {
    steer.branches.iter().filter_map(|branch| match branch.to {
        BranchTo::Pool(pool) => Some(pool),
        BranchTo::Steer(_) => None,
    })
}

/// The address families of everything that a steer may lead to.
pub(super) fn families_of(
    entries: &[SteerEntry<'_>],
    of_pools: &[Families],
    place: usize,
) -> Families {
    let pools = pools_below(entries, &entries[place].steer).into_iter();
    let of_each = pools.map(|pool| of_pools.get(pool.index()).copied().unwrap_or_default());
    of_each.fold(Families::default(), Families::or)
}

fn families_of_branch(
    entries: &[SteerEntry<'_>],
    of_pools: &[Families],
    branch: &Branch,
) -> Families {
    match branch.to {
        BranchTo::Pool(pool) => of_pools.get(pool.index()).copied().unwrap_or_default(),
        BranchTo::Steer(id) => families_of(entries, of_pools, id.index()),
    }
}

/// Clients of a clause whose pools lack a family that the rule has are sent elsewhere for it.
pub(super) fn warn_families(root: &Table<'_>, entries: &[SteerEntry<'_>], of_pools: &[Families]) {
    for (place, entry) in entries.iter().enumerate() {
        let own = families_of(entries, of_pools, place);
        let steer = &entry.steer;
        for (n, (clause, span)) in steer.wheres.iter().zip(&entry.where_spans).enumerate() {
            let branches = clause.branches.iter().map(|branch| &steer.branches[*branch]);
            let has = branches.map(|branch| families_of_branch(entries, of_pools, branch));
            let has = has.fold(Families::default(), Families::or);
            for (family, has, own) in [("IPv4", has.v4, own.v4), ("IPv6", has.v6, own.v6)] {
                if own && !has && !clause.branches.is_empty() {
                    let what = format!("steer `{}`", entry.key.text);
                    let message =
                        format!("no pool of `where` {} of {what} has an {family} address", n + 1);
                    let hint = format!("other pools of {what} have: clients may be sent there");
                    root.push(Diagnostic::warning(*span, message).hint(hint));
                }
            }
        }
    }
}
