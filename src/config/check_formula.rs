//! What checks of kind `calculated` are made of: `all`, `any`, `none`, `of` or `weights` with `at-least`.
//!
//! Members are other checks of the same host by their names, the endpoints of a pool (`pool:NAME`), or one endpoint
//! (`endpoint:POOL/NAME`). They may be calculated in their turn, as a tree without loops.

use std::sync::Arc;

use super::names::Names;
use super::reader::{Table, Value, list_words};
use crate::model::formula::{Formula, Member, MemberOf};
use crate::model::topology::WEIGHT_MAX;
use crate::model::{Check, CheckId, CheckKind, Endpoint, Pool, PoolId, Target};

/// The ways to say what counts.
const RULES: [&str; 5] = ["all", "any", "none", "of", "weights"];
/// Targets that one check may come to: each is looked at whenever one of them changes.
const TARGETS_MAX: usize = 1000;
/// How deep checks may be made of checks.
const DEPTH_MAX: usize = 16;

/// A formula before it is known what its members are.
pub(super) struct Written<'d> {
    /// ``check `whole` ``.
    what: String,
    members: Vec<(Value<'d>, &'d str, u32)>,
    is_negated: bool,
    needed: u32,
}

impl<'d> Written<'d> {
    /// The formula of a check; `None` after a finding.
    pub(super) fn read(table: &Table<'d>) -> Option<Self> {
        let written: Vec<_> = RULES.into_iter().filter_map(|key| table.get(key)).collect();
        let value = match &written[..] {
            [] if RULES.iter().any(|key| table.is_misspelt(key)) => return None,
            [] => {
                let error = table.error(format!("{} is made of nothing", table.what));
                table.push(error.hint("add `all = [\"web\", \"database\"]`"));
                return None;
            }
            [one] => *one,
            [first, second, ..] => {
                let message = format!("{} has `{}` and `{}`", table.what, first.key, second.key);
                let hint = format!("keep one of {}", list_words(RULES));
                second.push(second.error(message).hint(hint));
                return None;
            }
        };
        let members = match value.key {
            "weights" => read_weights(value),
            _ => read_names(value),
        };
        let total = members.iter().fold(0_u32, |total, (.., weight)| total.saturating_add(*weight));
        let count = table.get("at-least");
        let needed = match (value.key, count) {
            ("of" | "weights", None) => {
                table.require("at-least", "2");
                return None;
            }
            ("of" | "weights", Some(count)) => read_needed(count, total)?,
            (_, Some(count)) => {
                let message = format!("`at-least` means nothing beside `{}`", value.key);
                count.push(count.error(message).hint("remove it, or use `of` or `weights`"));
                total
            }
            ("any", None) => 1,
            (_, None) => total,
        };
        let (what, is_negated) = (table.what.clone(), value.key == "none");
        (!members.is_empty()).then_some(Self { what, members, is_negated, needed })
    }
}

fn read_names<'d>(list: Value<'d>) -> Vec<(Value<'d>, &'d str, u32)> {
    let items = list.list("names of checks");
    if items.is_empty() && list.as_list().is_some() {
        list.push(list.error(format!("`{}` names nothing", list.key)));
    }
    let mut members: Vec<(Value<'_>, &str, u32)> = Vec::new();
    for item in items {
        let Some(name) = item.text("the name of a check, `pool:NAME` or `endpoint:POOL/NAME`")
        else {
            continue;
        };
        if members.iter().any(|(_, known, _)| *known == name) {
            item.push(item.error(format!("`{name}` is named twice")));
        }
        members.push((item, name, 1));
    }
    members
}

fn read_weights<'d>(table: Value<'d>) -> Vec<(Value<'d>, &'d str, u32)> {
    let entries = table.named("{ web = 2, \"pool:cache\" = 1 }");
    let member = |(key, value): (super::reader::Key<'d>, Value<'d>)| {
        let weight = value.integer(1..=WEIGHT_MAX)?;
        Some((value.at(key.span), key.text, weight))
    };
    entries.into_iter().filter_map(member).collect()
}

fn read_needed(value: Value<'_>, total: u32) -> Option<u32> {
    let needed = value.integer(1..=u32::MAX)?;
    if needed > total && total > 0 {
        let error = value.error("this could never be up");
        value.push(error.label(format!("all together come to {total}")));
        return None;
    }
    Some(needed)
}

/// What formulas refer to.
pub(super) struct FormulaReader<'a, 'd> {
    /// All checks.
    pub(super) checks: &'a Names<'d, CheckId>,
    /// All pools.
    pub(super) pools: &'a Names<'d, PoolId>,
    /// What those are.
    pub(super) of: &'a [Pool],
    /// All endpoints.
    pub(super) endpoints: &'a [Endpoint],
}

/// How far one check is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Begun,
    /// It is made of checks so deep; 0 for one that is made of none.
    Done(usize),
}

/// The formulas of a file on their way.
struct Work<'c, 'd> {
    written: Vec<Option<Written<'d>>>,
    checks: &'c mut [Check],
    progress: Vec<Progress>,
    /// How many are begun.
    begun: usize,
}

impl<'d> FormulaReader<'_, 'd> {
    /// Makes the formulas of all `checks` of what was written for each.
    pub(super) fn read_all(&self, written: Vec<Option<Written<'d>>>, checks: &mut [Check]) {
        let progress = vec![Progress::Waiting; checks.len()];
        let mut work = Work { written, checks, progress, begun: 0 };
        for place in 0..work.checks.len() {
            self.complete(&mut work, place);
        }
    }

    /// Completes a check, those that it is made of first. Loops end at the check that closes them.
    fn complete(&self, work: &mut Work<'_, 'd>, place: usize) {
        if work.progress[place] != Progress::Waiting {
            return;
        }
        work.progress[place] = Progress::Begun;
        work.begun += 1;
        let mut depth = 0;
        if let Some(Written { what, members, is_negated, needed }) = work.written[place].take() {
            let read = |(value, name, weight): (Value<'d>, &'d str, u32)| {
                let (of, below) = self.read_member(work, (&what, value, name))?;
                depth = depth.max(below + 1);
                Some(Member { name: name.to_owned(), weight, is_negated, of })
            };
            let places: Vec<Value<'d>> = members.iter().map(|(value, ..)| *value).collect();
            let members: Vec<Member> = members.into_iter().filter_map(read).collect();
            let count: usize = members.iter().map(count).sum();
            if let (true, Some(first)) = (count > TARGETS_MAX, places.first()) {
                let error = first.error(format!("{what} is made of {count} targets"));
                first.push(error.hint(format!("no more than {TARGETS_MAX} may be counted")));
            }
            let check = &mut work.checks[place];
            // After a finding it may lack members, and is never used.
            let members = if count > TARGETS_MAX { Vec::new() } else { members };
            Arc::make_mut(&mut check.spec).kind =
                CheckKind::Calculated(Formula { members, needed });
        }
        work.begun -= 1;
        work.progress[place] = Progress::Done(depth);
    }

    /// Completes a check that a formula needs, and says how deep it is made of others; `None` where that would
    /// be a loop, or too deep.
    fn need(
        &self,
        work: &mut Work<'_, 'd>,
        (what, value): (&str, Value<'d>),
        check: CheckId,
    ) -> Option<usize> {
        let place = check.index();
        if work.progress[place] == Progress::Waiting && work.begun < DEPTH_MAX {
            self.complete(work, place);
        }
        let message = match work.progress[place] {
            Progress::Done(depth) if depth < DEPTH_MAX => return Some(depth),
            Progress::Done(_) | Progress::Waiting => {
                format!("{what} is made of checks that are made of checks, {DEPTH_MAX} deep")
            }
            Progress::Begun => {
                let name = &work.checks[place].name;
                format!("{what} leads back to check `{name}`, which is made of it")
            }
        };
        value.push(value.error(message).hint("checks may be made of others, as a tree"));
        None
    }

    fn read_member(
        &self,
        work: &mut Work<'_, 'd>,
        (what, value, written): (&str, Value<'d>, &'d str),
    ) -> Option<(MemberOf, usize)> {
        if let Some(pool) = written.strip_prefix("pool:") {
            let pool = &self.of[self.pools.use_name(what, value, pool)?.index()];
            let endpoints = &self.endpoints[pool.endpoints.clone()];
            let needed = pool.min_healthy.count(endpoints.len());
            return self.read_endpoints(work, (what, value), (pool, endpoints), needed);
        }
        if let Some(endpoint) = written.strip_prefix("endpoint:") {
            let Some((pool, name)) = endpoint.split_once('/') else {
                let error = value.error(format!("`{written}` names no pool"));
                value.push(error.hint("write `endpoint:POOL/ENDPOINT`"));
                return None;
            };
            let pool = &self.of[self.pools.use_name(what, value, pool)?.index()];
            let mut own = self.endpoints[pool.endpoints.clone()].iter();
            let Some(endpoint) = own.find(|endpoint| endpoint.name == name) else {
                let message = format!("{what} names endpoint `{name}`, which is not defined");
                let own = self.endpoints[pool.endpoints.clone()].iter();
                let own = list_words(own.map(|endpoint| endpoint.name.as_str()));
                let hint = format!("pool `{}` has {own}", pool.name);
                value.push(value.error(message).label("not defined").hint(hint));
                return None;
            };
            let endpoints = std::slice::from_ref(endpoint);
            return self.read_endpoints(work, (what, value), (pool, endpoints), 1);
        }
        let check = self.checks.use_name(what, value, written)?;
        let depth = self.need(work, (what, value), check)?;
        Some((MemberOf::Check(Arc::clone(&work.checks[check.index()].spec)), depth))
    }

    fn read_endpoints(
        &self,
        work: &mut Work<'_, 'd>,
        (what, value): (&str, Value<'d>),
        (pool, endpoints): (&Pool, &[Endpoint]),
        needed: usize,
    ) -> Option<(MemberOf, usize)> {
        let Some(check) = pool.check else {
            let message = format!("{what} counts on pool `{}`, which has no check", pool.name);
            value.push(value.error(message).hint("what is not checked is always up"));
            return None;
        };
        let depth = self.need(work, (what, value), check)?;
        let spec = &work.checks[check.index()].spec;
        let targets = |endpoint: &Endpoint| endpoint.targets(spec).iter().cloned().collect();
        let each = endpoints.iter().map(targets).collect();
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        Some((MemberOf::Endpoints { needed, each }, depth))
    }
}

/// The targets that a member comes to, each as often as it counts.
fn count(member: &Member) -> usize {
    let of_spec = |kind: &CheckKind| match kind {
        CheckKind::Calculated(formula) => formula.members.iter().map(count).sum(),
        _ => 1,
    };
    match &member.of {
        MemberOf::Check(spec) => of_spec(&spec.kind),
        MemberOf::Endpoints { each, .. } => {
            each.iter().flatten().map(|target: &Target| of_spec(&target.spec.kind)).sum()
        }
    }
}
