//! How much the classes of a zone's rules ask for, from what has been answered and what pools report.
//!
//! Where capacities are in answers a second, demand is what was answered, smoothed. Where they are loads,
//! it is what pools have in all, split among classes as they ask:
//!
//! ```text
//! total = measured load of the pools with fresh reports
//!         ÷ their part of what is answered         by the plan that answers went by
//! ```
//!
//! so that a pool that is silent, or has no capacity, does not make its clients vanish. An answer to a
//! resolver with a million users is worth more than others, so that some pools carry more than is expected
//! of them: by that their room is *trimmed*, by two fifths of the way in a step. Like the
//! `controller`, a group takes one step a TTL + report period, at the same moments on all nodes; its total
//! rises at once and falls by at most an eighth a step, so that clients on their way from a failed pool
//! to another are not forgotten. Without any fresh report the last total stands.
//!
//! What fails at once looks idle. So a pool with more errors than its feed tolerates tells nothing of demand,
//! and loses two fifths of its room a step, down to a sixty-fourth: who got nothing could not show that it
//! works again. When it does, it gets a twelfth of all of it back a step. Errors that all pools have are no
//! matter of any one.

use std::time::Duration;

use super::planner::{Planner, scaled};
use super::{Demand, Group, GroupDemand, Plan, Rule, Setup, TRIM_ONE};
use crate::model::feed::Load;
use crate::model::{EndpointId, PoolId, Time, Zone};
use crate::steer::demand::DemandTable;
use crate::steer::load::pooled;
use crate::steer::scene::{Family, Scene};

/// A report is stale after this many report periods.
const STALE_PERIODS: u32 = 3;
/// Less than one in so many of all answers lead to pools with fresh reports: too few to tell of the rest.
const PART_MIN: u128 = 8;
/// Less of a pool's room tells nothing of how much its answers weigh.
const LITTLE: u64 = 16;
/// A trim goes two fifths of the way in a step, and no further than this.
const GAIN: u32 = 2;
const GAIN_WHOLE: u32 = 5;
/// It goes down when what a pool carries is a thirty-second more than was expected, and up only when it is
/// an eighth less: one resolver with very many users, who makes such a difference, would go to and fro.
const BAND_DOWN: u32 = 32;
const BAND_UP: u32 = 8;
/// The least that errors leave of a pool's room, and how much comes back in a step without any.
const SOUND_MIN: u32 = TRIM_ONE / 64;
const SOUND_STEP: u32 = TRIM_ONE / 12;
const TRIM_MIN: u32 = TRIM_ONE / 4;
const TRIM_MAX: u32 = TRIM_ONE * 4;

/// What is known of the demand of one zone.
#[derive(Clone, Debug)]
pub struct Estimate {
    groups: Vec<GroupEstimate>,
}

#[derive(Clone, Debug)]
struct GroupEstimate {
    /// The number of the last step: time since 1970 in the group's steps.
    epoch: u64,
    table: DemandTable,
    /// Answers to each class since the start.
    answers: Vec<u64>,
    /// The load of all pools together, in thousandths.
    total: u64,
    /// Pool by pool, what is expected of it by what it carries.
    trims: Vec<u32>,
    /// Pool by pool, what errors leave of its room.
    sound: Vec<u32>,
}

/// What is known of a group, to be written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedGroup {
    /// The hash of the rules, classes and pools of which it is known.
    pub of: u64,
    /// What each class asks for, in thousandths of the unit of capacities.
    pub amounts: Vec<u64>,
    /// Pool by pool, what is expected of it by what it carries, in 1024ths; none where that is not known.
    pub trims: Vec<u32>,
    /// Pool by pool, what errors leave of its room, in 1024ths.
    pub sound: Vec<u32>,
}

impl Demand {
    /// What there is to write down.
    #[must_use]
    pub fn saved(&self, setup: &Setup) -> Vec<SavedGroup> {
        let both = self.groups.iter().zip(&setup.groups);
        let group = |(own, group): (&GroupDemand, &Group)| SavedGroup {
            of: group.hash,
            amounts: own.amounts.clone(),
            trims: own.trims.clone(),
            sound: own.sound.clone(),
        };
        both.map(group).collect()
    }
}

/// What an estimate is made from.
pub struct Signals<'a> {
    /// The moment.
    pub now: Time,
    /// The same since 1970, as all nodes know it.
    pub unix: Duration,
    /// Adds what each class of the rule at this place among the zone's has been answered since the last
    /// call.
    pub take_answers: &'a mut dyn FnMut(usize, &mut [u64]),
    /// What was last reported of an endpoint.
    pub load: &'a dyn Fn(EndpointId) -> Option<Load>,
}

impl Estimate {
    /// Nothing is known.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let group = |group: &Group| GroupEstimate {
            epoch: 0,
            table: DemandTable::new(group.classes),
            answers: vec![0; group.classes],
            total: 0,
            trims: vec![TRIM_ONE; group.pools.len()],
            sound: vec![TRIM_ONE; group.pools.len()],
        };
        Self { groups: setup.groups.iter().map(group).collect() }
    }

    /// What an earlier life knew, of groups that are what they were; `None` when there is none.
    #[must_use]
    pub fn restored(setup: &Setup, saved: &[SavedGroup]) -> Option<Self> {
        let mut next = Self::new(setup);
        let mut is_any = false;
        for (own, group) in next.groups.iter_mut().zip(&setup.groups) {
            let is_it = |saved: &&SavedGroup| {
                saved.of == group.hash && saved.amounts.len() == group.classes
            };
            let Some(saved) = saved.iter().find(is_it) else { continue };
            is_any = true;
            // Where capacities are loads, so are amounts, and what was answered is of another kind.
            own.table = DemandTable::restored(&saved.amounts, !group.is_by_load);
            own.total = saved.amounts.iter().fold(0, |sum, amount| sum.saturating_add(*amount));
            for (trim, saved) in own.trims.iter_mut().zip(&saved.trims) {
                *trim = (*saved).clamp(TRIM_MIN, TRIM_MAX);
            }
            for (sound, saved) in own.sound.iter_mut().zip(&saved.sound) {
                *sound = (*saved).clamp(SOUND_MIN, TRIM_ONE);
            }
        }
        is_any.then_some(next)
    }

    /// What is left of it, which was made for `old`, when the zone is another: classes of the same order
    /// in rules of the same name ask for as much as before.
    #[must_use]
    pub fn carried(&self, old: &Setup, setup: &Setup) -> Self {
        let mut next = Self::new(setup);
        for (own, group) in next.groups.iter_mut().zip(&setup.groups) {
            let places = group.places_in(old);
            // A group may come of several: the one that most of its classes were in tells of the load.
            let count = |n: &usize| places.iter().flatten().filter(|(group, _)| group == n).count();
            let Some(from) = (0..self.groups.len()).max_by_key(count).filter(|n| count(n) > 0)
            else {
                continue;
            };
            let GroupEstimate { epoch, table, answers, total, .. } = &self.groups[from];
            let places: Vec<Option<usize>> = places
                .into_iter()
                .map(|place| place.filter(|(group, _)| *group == from).map(|(_, class)| class))
                .collect();
            let answers = places.iter().map(|place| place.map_or(0, |place| answers[place]));
            *own = GroupEstimate {
                epoch: *epoch,
                answers: answers.collect(),
                table: table.carried(&places),
                total: *total,
                trims: std::mem::take(&mut own.trims),
                sound: std::mem::take(&mut own.sound),
            };
        }
        next
    }

    /// Takes a step in each group for which one is due. Returns whether any was.
    pub fn step(
        &mut self,
        zone: &Zone,
        setup: &Setup,
        rules: &[Rule<'_>],
        scene: &Scene,
        signals: &mut Signals<'_>,
    ) -> bool {
        let mut is_any_due = false;
        for (n, (own, group)) in self.groups.iter_mut().zip(&setup.groups).enumerate() {
            let epoch = signals.unix.as_nanos() / group.step_time.as_nanos().max(1);
            let epoch = u64::try_from(epoch).unwrap_or(u64::MAX);
            if epoch == own.epoch {
                continue;
            }
            own.epoch = epoch;
            is_any_due = true;
            for member in &group.rules {
                (signals.take_answers)(member.place, &mut own.answers[member.classes()]);
            }
            own.table.observe(signals.now, &own.answers);
            let demand =
                &GroupDemand { amounts: own.table.rates().to_vec(), ..GroupDemand::default() };
            let planner = Planner { zone, setup, group, rules, scene, demand };
            let errors = planner.errors(signals.load);
            own.note_errors(&errors);
            if group.is_by_load {
                let is_honest = |place: usize| errors[place].is_none_or(|errors| errors == 0);
                let plan = scene.plan();
                let found =
                    plan.and_then(|plan| planner.measure(plan, n, signals.load, &is_honest));
                own.take_step(found);
            }
        }
        is_any_due
    }

    /// What it comes to.
    #[must_use]
    pub fn demand(&self, setup: &Setup) -> Demand {
        let group = |(own, group): (&GroupEstimate, &Group)| match group.is_by_load {
            true => GroupDemand {
                amounts: own.table.scaled(own.total),
                trims: own.trims.clone(),
                sound: own.sound.clone(),
            },
            false => GroupDemand {
                amounts: own.table.rates().to_vec(),
                trims: Vec::new(),
                sound: own.sound.clone(),
            },
        };
        Demand { groups: self.groups.iter().zip(&setup.groups).map(group).collect() }
    }
}

impl Group {
    /// Of each of its classes, the group and the place that it had in another setup.
    fn places_in(&self, old: &Setup) -> Vec<Option<(usize, usize)>> {
        let mut places = vec![None; self.classes];
        for own in &self.rules {
            let groups = old.groups.iter().enumerate();
            let mut all = groups.flat_map(|(n, group)| group.rules.iter().map(move |r| (n, r)));
            let Some((n, was)) = all.find(|(_, member)| member.owner == own.owner) else {
                continue;
            };
            for (preference, class) in &own.by_preference {
                let place = was.by_preference.get(preference);
                places[own.first + class] = place.map(|class| (n, was.first + class));
            }
        }
        places
    }
}

/// What was measured of a group.
struct Measured {
    /// The load of all pools together, also of those that do not tell.
    total: u64,
    /// Pool by pool, what was expected of it and what it carries; `None` where little is known.
    pools: Vec<Option<(u64, u64)>>,
}

impl GroupEstimate {
    /// Takes room from pools with errors of their own, and gives it back to those without.
    fn note_errors(&mut self, errors: &[Option<u64>]) {
        for (sound, errors) in self.sound.iter_mut().zip(errors) {
            *sound = match errors {
                None => *sound,
                Some(0) => (*sound + SOUND_STEP).min(TRIM_ONE),
                Some(_) => (*sound * (GAIN_WHOLE - GAIN) / GAIN_WHOLE).max(SOUND_MIN),
            };
        }
    }

    fn take_step(&mut self, found: Option<Measured>) {
        let Some(Measured { total, pools }) = found else { return };
        self.total = total.max(self.total - self.total / 8);
        for (trim, pool) in self.trims.iter_mut().zip(pools) {
            let Some((expected, carried)) = pool else { continue };
            let found = scaled(expected, TRIM_ONE, 1) / carried.max(1);
            let found = u32::try_from(found).unwrap_or(TRIM_MAX).clamp(TRIM_MIN, TRIM_MAX);
            let band = if found < *trim { *trim / BAND_DOWN } else { *trim / BAND_UP };
            if found.abs_diff(*trim) <= band {
                continue;
            }
            *trim = (*trim * (GAIN_WHOLE - GAIN) + found * GAIN) / GAIN_WHOLE;
        }
    }
}

impl Planner<'_> {
    /// The load of all pools of the group, by that of those with a fresh report, and what was expected of
    /// each. `amounts` are the rates of answers; `None` when too little is known.
    fn measure(
        &self,
        plan: &Plan,
        group: usize,
        load: &dyn Fn(EndpointId) -> Option<Load>,
        is_honest: &dyn Fn(usize) -> bool,
    ) -> Option<Measured> {
        let sent = self.loads(&plan.groups.get(group)?.shares);
        let pools = self.group.pools.iter().enumerate();
        let carried = |(place, pool): (usize, &PoolId)| {
            self.measured(*pool, load).filter(|_| is_honest(place))
        };
        let carried: Vec<_> = pools.map(carried).collect();
        let both = || sent.iter().zip(&carried);
        let sent_in_all: u128 = sent.iter().copied().map(u128::from).sum();
        let sent_there: u128 =
            both().filter(|(_, own)| own.is_some()).map(|(sent, _)| u128::from(*sent)).sum();
        let measured: u128 = carried.iter().flatten().copied().map(u128::from).sum();
        let total = match sent_in_all {
            _ if carried.iter().all(Option::is_none) => return None,
            0 => measured,
            _ if sent_there * PART_MIN < sent_in_all => return None,
            _ => measured.saturating_mul(sent_in_all) / sent_there,
        };
        let pools = self.group.pools.iter().zip(both()).map(|(pool, (sent, carried))| {
            let expected = u128::from(*sent).saturating_mul(total) / sent_in_all.max(1);
            let expected = u64::try_from(expected).unwrap_or(u64::MAX);
            let little = self.room(*pool) / LITTLE;
            carried.map(|own| (expected, own)).filter(|(a, b)| *a > little && *b > little)
        });
        let pools = pools.collect();
        Some(Measured { total: u64::try_from(total).unwrap_or(u64::MAX), pools })
    }

    /// What a pool carries, by fresh reports of what is alive of it.
    fn measured(&self, pool: PoolId, load: &dyn Fn(EndpointId) -> Option<Load>) -> Option<u64> {
        let capacity = self.zone.pools[pool.index()].capacity?;
        let own = self.reported(pool, load)?;
        let health = self.scene.pool(pool).health_millis;
        Some(scaled(own.value.of(capacity.get()), health, 1000))
    }

    /// Of each pool of the group, its errors beyond those that all have, in thousandths of what is tolerated;
    /// `None` where nothing fresh is known.
    fn errors(&self, load: &dyn Fn(EndpointId) -> Option<Load>) -> Vec<Option<u64>> {
        let own = |pool: &PoolId| Some(self.reported(*pool, load)?.errors.as_millis());
        let all: Vec<Option<u64>> = self.group.pools.iter().map(own).collect();
        let common = all.iter().flatten().min().copied().unwrap_or(0);
        all.into_iter().map(|errors| Some(errors? - common)).collect()
    }

    /// What was reported of what is alive of a pool, if it is fresh.
    fn reported(&self, pool: PoolId, load: &dyn Fn(EndpointId) -> Option<Load>) -> Option<Load> {
        let alive = self.scene.pool(pool).family(Family::Either).alive.iter();
        let own = alive.map(|id| (self.zone.endpoints[id.index()].weight, load(*id)));
        let own = pooled(&own.collect::<Vec<_>>(), true)?;
        (own.age <= self.group.period * STALE_PERIODS).then_some(own)
    }
}
