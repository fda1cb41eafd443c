//! What endpoints and disks may do to nodes: lies, flapping, all of them down; no room, and no writing.

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use crate::asking::{Expected, Seen, Watch};
use crate::endpoints::Manner;
use crate::kills::{self, Death, FLEET, Series};
use crate::network::NODES;
use crate::program::run;
use crate::server::pause;
use crate::table::{Bar, Row, at};
use crate::world::{World, must};
use crate::zones::{STAND_IN, Zone};

const RATE: u32 = 200;
/// How long answers are watched in peace.
const PEACE: Duration = Duration::from_secs(10);
/// What 99 of 100 answers may take while endpoints lie: as long as in peace, and a time slice.
const SLICE: Duration = Duration::from_millis(5);

fn expected(zone: &Zone, dead: bool) -> Vec<Expected> {
    let of = |n| {
        let stand_in = dead.then_some(STAND_IN);
        let addresses = [zone.address(n)].into_iter().chain(stand_in).collect();
        Expected { name: zone.name(n), addresses }
    };
    (0..zone.count).map(of).collect()
}

fn told(seen: &Seen) -> String {
    format!(
        "of {} answers {} other, {} empty, {} lost",
        seen.asked,
        seen.other,
        seen.empty,
        seen.lost()
    )
}

fn is_fine(seen: &Seen) -> bool {
    (seen.other, seen.empty, seen.lost()) == (0, 0, 0)
}

// ---- Endpoints ----

/// Endpoints that begin to lie or to stall, while others are asked for.
pub(crate) fn lies(
    world: &World,
    liars: &Zone,
    calm: &Zone,
    tell: &mut impl FnMut(Row),
) -> io::Result<()> {
    world.until_all_up()?;
    let p99 = |seen: &Seen| {
        let mut took = seen.took.clone();
        took.sort_unstable();
        at(&took, 99)
    };
    let watch = Watch::start(expected(calm, false), RATE, world.clock)?;
    pause(PEACE);
    let before = watch.stop()?;
    let watch = Watch::start(expected(calm, false), RATE, world.clock)?;
    for manner in [Manner::Stalling, Manner::Dripping, Manner::Endless, Manner::Garbled] {
        // Three intervals and a timeout.
        let bar = Some(Bar::Max(Duration::from_secs(32)));
        let what = &format!("an endpoint turned {manner:?}").to_lowercase();
        let death = Death::Manner(manner);
        let series = Series { zone: liars, death, nodes: &FLEET, what, bar };
        tell(kills::play(world, series)?);
        world.until_all_up()?;
    }
    let during = watch.stop()?;
    let (before, while_lying) = (p99(&before), p99(&during));
    let is_met = is_fine(&during) && while_lying <= before + SLICE;
    let told = format!(
        "p99 of answers {:.1} ms before, {:.1} ms meanwhile; {}",
        before.as_secs_f64() * 1e3,
        while_lying.as_secs_f64() * 1e3,
        told(&during)
    );
    let bar = Some("p99 5 ms more at most".to_owned());
    tell(Row { what: "… and answers meanwhile".to_owned(), told, bar, is_met });
    Ok(())
}

/// An endpoint that dies and comes back every two seconds.
pub(crate) fn flapping(world: &World, zone: &Zone, rise: Duration) -> io::Result<Row> {
    const LASTS: Duration = Duration::from_secs(60);
    world.until_all_up()?;
    let one = Zone { count: 1, ..zone.clone() };
    let watch = Watch::start(expected(&one, true), RATE, world.clock)?;
    let end = world.clock.now() + LASTS;
    let mut manner = None;
    while world.clock.now() < end {
        world.endpoints.set(one.address(0), manner)?;
        manner = if manner.is_none() { Some(Manner::Good) } else { None };
        pause(Duration::from_secs(2));
    }
    world.endpoints.set(one.address(0), Some(Manner::Good))?;
    let seen = watch.stop()?;
    world.until_all_up()?;
    let most = u64::try_from(LASTS.as_millis() / rise.as_millis()).unwrap_or_default() * 2;
    let told =
        format!("for 60 s: answers of two nodes changed {} times; {}", seen.changes, told(&seen));
    let is_met = is_fine(&seen) && seen.changes <= most;
    let bar = Some(format!("never empty, {most} changes at most"));
    Ok(Row { what: "an endpoint flaps".to_owned(), told, bar, is_met })
}

/// Half of the endpoints die, then all that there are.
pub(crate) fn all_down(world: &World, zone: &Zone) -> io::Result<Row> {
    world.until_all_up()?;
    let watch = Watch::start(expected(zone, true), RATE, world.clock)?;
    let verdicts_are_down = |world: &World, count: usize| {
        let statuses = world.statuses()?;
        let down = |status: &serde_json::Value| {
            let targets = status["targets"].as_array().map_or(0, |targets| {
                targets.iter().filter(|target| target["verdict"] == "down").count()
            });
            targets >= count
        };
        Ok(statuses.iter().all(down))
    };
    let half = zone.count / 2;
    for n in 0..half {
        world.endpoints.set(zone.address(n), None)?;
    }
    world.until("half are down", |world| verdicts_are_down(world, half.into()))?;
    for address in zone.addresses() {
        world.endpoints.set(address, None)?;
    }
    let all = usize::from(zone.count) + 1;
    world.until("all are down", |world| verdicts_are_down(world, all))?;
    pause(PEACE);
    for address in zone.addresses() {
        world.endpoints.set(address, Some(Manner::Good))?;
    }
    world.until_all_up()?;
    let seen = watch.stop()?;
    let bar = Some("never empty".to_owned());
    Ok(Row {
        what: "half, then all are down".to_owned(),
        told: told(&seen),
        bar,
        is_met: is_fine(&seen),
    })
}

// ---- Disks ----

/// The second node's disk is full, then it cannot be written to, then it is not there at a start.
pub(crate) fn disks(world: &mut World, zone: &Zone) -> io::Result<Row> {
    world.until_all_up()?;
    let node = NODES[1];
    let state = world.state_of(node).display().to_string();
    let watch = Watch::start(expected(zone, true), RATE, world.clock)?;
    let filler = world.state_of(node).join("filler");
    fill(&filler)?;
    let follows_when_full = follows(world, zone, 0)?;
    must(run("mount", &["-o", "remount,ro", &state])?)?;
    let follows_when_read_only = follows(world, zone, 1)?;
    let seen = watch.stop()?;
    world.restart(node)?;
    world.until("it serves with a disk that it cannot write to", |world| world.is_together())?;
    let again = Watch::start(expected(zone, false), RATE, world.clock)?;
    pause(PEACE);
    let again = again.stop()?;
    must(run("mount", &["-o", "remount,rw", &state])?)?;
    fs::remove_file(filler)?;
    let told = format!(
        "full: failover and a drain followed: {follows_when_full}; read-only: {follows_when_read_only}; {}; \
         after a restart with it {}",
        told(&seen),
        told(&again)
    );
    let is_met = follows_when_full && follows_when_read_only && is_fine(&seen) && is_fine(&again);
    let bar = Some("all answers".to_owned());
    Ok(Row { what: "a disk full and read-only".to_owned(), told, bar, is_met })
}

/// Leaves no room.
fn fill(filler: &std::path::Path) -> io::Result<()> {
    let mut file = fs::File::create(filler)?;
    loop {
        match file.write(&[0; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Whether all nodes follow the death of an endpoint, its return, and a word said on the second node.
fn follows(world: &World, zone: &Zone, n: u8) -> io::Result<bool> {
    let mut asker = crate::asking::Asker::new()?;
    let mut lead_to = |name: &str, address| {
        world.until("answers follow", |_| {
            Ok(asker.addresses(name)?.iter().all(|addresses| addresses.contains(&address)))
        })
    };
    let (name, address) = (zone.name(n), zone.address(n));
    world.endpoints.set(address, None)?;
    lead_to(&name, STAND_IN)?;
    world.endpoints.set(address, Some(Manner::Good))?;
    lead_to(&name, address)?;
    let pool = format!("p{n}");
    must(world.say(NODES[1], &["drain", &pool, "--zone", &zone.apex])?)?;
    lead_to(&name, STAND_IN)?;
    must(world.say(NODES[1], &["undrain", &pool, "--zone", &zone.apex])?)?;
    lead_to(&name, address)?;
    Ok(true)
}
