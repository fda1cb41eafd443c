//! The broker is killed for a minute and comes back: with what it had, and with what it had long before.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use windrose::model::Time;

use crate::asking::{Asker, Expected, Watch};
use crate::endpoints::Manner;
use crate::network::{NATS, NODES};
use crate::program::run;
use crate::server::pause;
use crate::table::Row;
use crate::world::{PATIENCE, World, must};
use crate::zones::{STAND_IN, Zone};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(60);
/// After so long of it an endpoint dies; nodes are islands by then.
const DEATH: Duration = Duration::from_secs(35);
/// How soon nodes must agree when it is back.
const AGREED_MAX: Duration = Duration::from_secs(2);
/// Queries a second meanwhile.
const RATE: u32 = 200;
/// How often nodes are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What the broker has when it is back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Return {
    /// All.
    Whole,
    /// What it had before zone files were pushed and something was drained.
    RolledBack,
}

/// Plays it on a fleet that serves `zones`; `zone` is the last of them.
pub(crate) fn play(world: &mut World, zones: &[Zone], back: Return) -> io::Result<Row> {
    let Some(zone) = zones.last() else { return Ok(nothing()) };
    world.until_all_up()?;
    let store = world.state_of(NATS);
    let early = store.with_extension("early");
    // What it has written a moment ago need not be whole on its disk, as after a power failure.
    copy(&store, &early)?;
    // A version beyond that copy, and a word.
    let added = Zone { count: zone.count + 1, ..zone.clone() };
    world.endpoints.set(added.address(zone.count), Some(Manner::Good))?;
    let newer = [&zones[..zones.len() - 1], std::slice::from_ref(&added)].concat();
    world.push(&newer)?;
    let drained = format!("p{}", zone.count);
    must(world.say(NODES[0], &["drain", &drained, "--zone", &zone.apex, "--reason", "the lab"])?)?;
    let mut asker = Asker::new()?;
    let last = added.name(zone.count);
    world.until("the drain counts on both nodes", |_| {
        Ok(asker.addresses(&last)? == [BTreeSet::from([STAND_IN]), BTreeSet::from([STAND_IN])])
    })?;
    let served = version(&world.status(NODES[0])?);

    let dies = zone.address(0);
    let allowed = |n| {
        let own = if n == zone.count { STAND_IN } else { zone.address(n) };
        let died = (n == 0).then_some(STAND_IN);
        Expected { name: added.name(n), addresses: [own].into_iter().chain(died).collect() }
    };
    let watch = Watch::start((0..added.count).map(allowed).collect(), RATE, world.clock)?;
    let mut lowest = served;
    let killed = world.clock.now();
    world.kill_nats()?;
    let mut moved = None;
    let mut has_died = false;
    while world.clock.now().since(killed) < AWAY {
        if !has_died && world.clock.now().since(killed) >= DEATH {
            world.endpoints.set(dies, None)?;
            has_died = true;
        }
        if has_died && moved.is_none() {
            let is_over = asker.addresses(&zone.name(0))?.iter().all(|a| a.contains(&STAND_IN));
            moved = is_over.then(|| world.clock.now().since(killed) - DEATH);
        }
        lowest = lowest.min(lowest_version(&world.statuses()?));
        pause(LOOK);
    }
    if back == Return::RolledBack {
        fs::remove_dir_all(&store)?;
        copy(&early, &store)?;
    }
    let returned = world.restart_nats()?;
    let agreed = agreed_since(world, returned, &mut lowest)?;
    // Whatever comes late.
    pause(Duration::from_secs(5));
    lowest = lowest.min(lowest_version(&world.statuses()?));
    let is_kept = kept(world, served)?;
    let seen = watch.stop()?;
    world.endpoints.set(dies, Some(Manner::Good))?;
    must(world.say(NODES[1], &["undrain", &drained, "--zone", &zone.apex])?)?;
    world.until_all_up()?;
    let told = format!(
        "{} s away; an endpoint that died meanwhile left after {}; all agreed {:.1} s after the return, on \
         version {lowest} of {served} at least, kept by the broker again: {is_kept}; of {} answers {} \
         other, {} empty, {} lost",
        AWAY.as_secs(),
        moved.map_or_else(|| "never".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())),
        agreed.as_secs_f64(),
        seen.asked,
        seen.other,
        seen.empty,
        seen.lost(),
    );
    let is_met = agreed <= AGREED_MAX
        && lowest == served
        && is_kept
        && moved.is_some()
        && (seen.other, seen.empty, seen.lost()) == (0, 0, 0);
    let bar = Some("no answer empty, no version back, agreed within 2 s".to_owned());
    let what = match back {
        Return::Whole => "the broker killed",
        Return::RolledBack => "… and its data rolled back",
    };
    Ok(Row { what: what.to_owned(), told, bar, is_met })
}

fn nothing() -> Row {
    Row { what: "the broker".to_owned(), told: "no zones".to_owned(), bar: None, is_met: false }
}

/// How long after its return all nodes heard each other again and had come to the same.
fn agreed_since(world: &World, returned: Time, lowest: &mut u64) -> io::Result<Duration> {
    loop {
        let at = world.clock.now();
        let statuses = world.statuses()?;
        *lowest = (*lowest).min(lowest_version(&statuses));
        let is_whole = |status: &Value| {
            let fleet = &status["fleet"];
            fleet["is_connected"] == true && fleet["link"] == "together"
        };
        let is_same = statuses[0]["fleet"]["state"] == statuses[1]["fleet"]["state"];
        let took = at.since(returned);
        if (is_same && statuses.iter().all(is_whole)) || took > PATIENCE {
            return Ok(took);
        }
        pause(LOOK);
    }
}

/// Whether the broker has that version, or a later one.
fn kept(world: &World, served: u64) -> io::Result<bool> {
    let (text, is_done) =
        world.say(NODES[0], &["push", "--rollback", &served.to_string(), "--dry-run"])?;
    Ok(is_done || text.contains("nothing has changed"))
}

pub(crate) fn version(status: &Value) -> u64 {
    status["fleet"]["zones"].as_u64().unwrap_or_default()
}

fn lowest_version(statuses: &[Value]) -> u64 {
    statuses.iter().map(version).min().unwrap_or_default()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    must(run("rm", &["-rf", &to])?)?;
    must(run("cp", &["-r", &from, &to])?)
}
