//! Vantages that see what is not: cut off, blind, stopped, starved. No verdict may change by any of them.

use std::io;
use std::time::Duration;

use serde_json::Value;
use windrose::model::Time;

use crate::asking::{Expected, Watch};
use crate::chance::Chance;
use crate::network::{Fault, Machine, VANTAGES};
use crate::server::pause;
use crate::table::Row;
use crate::world::World;
use crate::zones::Zone;

/// How often each is done.
const TIMES: u32 = 20;
/// Each so many'th lasts until the others no longer wait for the vantage: more than half a minute.
const LONG_EACH: u32 = 10;
/// Longer than a probe takes to fail which was under way.
const UNDER_WAY: Duration = Duration::from_secs(4);
/// Queries a second meanwhile.
const RATE: u32 = 200;
/// A starved vantage runs for so long in each [`STARVED_PERIOD`]: 2 % of a processor.
const STARVED_RUNS: Duration = Duration::from_millis(5);
const STARVED_PERIOD: Duration = Duration::from_millis(250);

/// What a vantage suffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Suffering {
    /// Nothing reaches it.
    Cut,
    /// No endpoint's answer reaches it; it goes on to be heard.
    Blind,
    /// Its process stands still.
    Stopped,
    /// Its process hardly gets to run.
    Starved,
}

impl Suffering {
    const fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut off",
            Self::Blind => "cut off from endpoints",
            Self::Stopped => "stopped",
            Self::Starved => "starved",
        }
    }

    /// Has a vantage suffer for so long.
    fn last(self, world: &World, vantage: Machine, time: Duration) -> io::Result<()> {
        let fault = match self {
            Self::Cut => Fault::Cut(vantage),
            Self::Blind => Fault::Blind(vantage),
            Self::Stopped => {
                world.signal(vantage, "STOP")?;
                pause(time);
                return world.signal(vantage, "CONT");
            }
            Self::Starved => return starve(world, vantage, time),
        };
        fault.begin()?;
        pause(time);
        fault.end()
    }
}

fn starve(world: &World, vantage: Machine, time: Duration) -> io::Result<()> {
    let end = world.clock.now() + time;
    while world.clock.now() < end {
        world.signal(vantage, "STOP")?;
        pause(STARVED_PERIOD - STARVED_RUNS);
        world.signal(vantage, "CONT")?;
        pause(STARVED_RUNS);
    }
    Ok(())
}

/// Has one vantage after the other suffer.
pub(crate) fn series(world: &World, zone: &Zone, suffering: Suffering) -> io::Result<Row> {
    world.until_all_up()?;
    let start = world.clock.now();
    // What status says of ages is in whole seconds.
    pause(Duration::from_secs(2));
    let expected = |n| Expected { name: zone.name(n), addresses: vec![zone.address(n)] };
    let watch = Watch::start((0..zone.count).map(expected).collect(), RATE, world.clock)?;
    let mut chance = Chance(suffering as u64);
    let doubts_before = doubts(world)?;
    for time in 0..TIMES {
        let vantage = VANTAGES[time as usize % VANTAGES.len()];
        let millis = match time % LONG_EACH {
            n if n + 1 == LONG_EACH => 33_000,
            _ => 3_000 + u64::from(chance.next_u32() % 6_000),
        };
        suffering.last(world, vantage, Duration::from_millis(millis))?;
        // Until then it is ill, and no other may be: what it sent fails only now.
        pause(UNDER_WAY);
        world.until_all_up()?;
    }
    let seen = watch.stop()?;
    let changed = changed_since(world, start)?;
    let doubts = doubts(world)? - doubts_before;
    let told = format!(
        "{TIMES} times: {changed} verdicts changed; {doubts} times it did not trust itself; \
         of {} answers {} other, {} empty, {} lost",
        seen.asked,
        seen.other,
        seen.empty,
        seen.lost()
    );
    let is_met = changed == 0 && seen.other == 0 && seen.empty == 0 && seen.lost() == 0;
    let bar = Some("no verdict and no answer changes".to_owned());
    Ok(Row { what: format!("a vantage {}", suffering.word()), told, bar, is_met })
}

/// How often vantages have told in their logs that they do not trust themselves.
fn doubts(world: &World) -> io::Result<usize> {
    let logs = VANTAGES.into_iter().map(|vantage| world.log(vantage));
    logs.map(|log| Ok(log?.matches("does not trust itself").count())).sum()
}

/// How many verdicts of the nodes, taken together, are younger than that.
fn changed_since(world: &World, start: Time) -> io::Result<usize> {
    let lasted = world.clock.now().since(start).as_secs();
    let is_young = |target: &&Value| target["age_secs"].as_u64().is_none_or(|age| age < lasted);
    let statuses = world.statuses()?;
    let targets = statuses.iter().flat_map(|status| status["targets"].as_array());
    Ok(targets.flatten().filter(is_young).count())
}
