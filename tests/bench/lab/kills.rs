//! How long it takes from the death of an endpoint to the first answer that leads elsewhere.
//!
//! Many endpoints are killed one after the other, each at its own moment of its interval, and until it has led
//! elsewhere each node is asked for its name every 50 ms.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use windrose::model::Time;

use crate::asking::{Answer, Asker, LOOK};
use crate::chance::Chance;
use crate::endpoints::Manner;
use crate::network::Fault;
use crate::server::pause;
use crate::table::{Bar, Row, at_most};
use crate::world::World;
use crate::zones::{STAND_IN, Zone};

/// From one death to the next. A series lasts six intervals, so that about a third of an interval's work is ill
/// at a time.
const GAP: Duration = Duration::from_millis(300);
/// How often it is asked.
const ASK: Duration = Duration::from_millis(50);
/// What has not been noticed so long after the last death is not.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// The nodes of the fleet.
pub(crate) const FLEET: [usize; 2] = [0, 1];
/// The node without one.
pub(crate) const ALONE: [usize; 1] = [2];

/// How endpoints die.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Death {
    /// The port is closed.
    Refused,
    /// What is sent there is lost.
    Blackhole,
    /// A router says that they cannot be reached.
    Unreachable,
    /// They answer, in this manner.
    Manner(Manner),
}

impl Death {
    fn befall(self, world: &World, address: Ipv4Addr) -> io::Result<()> {
        match self {
            Self::Refused => world.endpoints.set(address, None),
            Self::Blackhole => Fault::Blackhole(address).begin(),
            Self::Unreachable => Fault::Unreachable(address).begin(),
            Self::Manner(manner) => world.endpoints.set(address, Some(manner)),
        }
    }

    fn end(self, world: &World, address: Ipv4Addr) -> io::Result<()> {
        match self {
            Self::Blackhole => Fault::Blackhole(address).end(),
            Self::Unreachable => Fault::Unreachable(address).end(),
            Self::Refused | Self::Manner(_) => world.endpoints.set(address, Some(Manner::Good)),
        }
    }
}

/// One that is to die.
struct Victim {
    name: String,
    address: Ipv4Addr,
    due: Time,
    died: Option<Time>,
    /// How long it took, at each node.
    moved: Vec<Option<Duration>>,
}

impl Victim {
    fn is_open(&self) -> bool {
        self.died.is_some() && self.moved.contains(&None)
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'s> {
    /// Whose endpoints die.
    pub(crate) zone: &'s Zone,
    pub(crate) death: Death,
    /// The nodes that are asked, by their places in [`SERVERS`](crate::network::SERVERS).
    pub(crate) nodes: &'s [usize],
    /// For the table.
    pub(crate) what: &'s str,
    pub(crate) bar: Option<Bar>,
}

/// Kills all endpoints of a zone, and revives each once all nodes have noticed.
pub(crate) fn play(world: &World, series: Series<'_>) -> io::Result<Row> {
    let Series { zone, death, nodes, what, bar } = series;
    let mut asker = Asker::new()?;
    let mut chance = Chance(u64::from(zone.network[2]));
    let start = world.clock.now();
    let mut victims: Vec<Victim> = (0..zone.count)
        .map(|n| {
            let jitter = Duration::from_millis(u64::from(chance.next_u32()) % 300);
            Victim {
                name: zone.name(n),
                address: zone.address(n),
                due: start + GAP * u32::from(n) + jitter,
                died: None,
                moved: vec![None; nodes.len()],
            }
        })
        .collect();
    let last = start + GAP * u32::from(zone.count) + GIVEN_UP;
    let mut asked: HashMap<u16, usize> = HashMap::new();
    let (mut next_ask, mut odd) = (start, 0_u64);
    while world.clock.now() < last && victims.iter().any(|victim| victim.moved.contains(&None)) {
        let now = world.clock.now();
        for victim in victims.iter_mut().filter(|victim| victim.died.is_none() && victim.due <= now)
        {
            victim.died = Some(world.clock.now());
            death.befall(world, victim.address)?;
        }
        if now >= next_ask {
            next_ask = now + ASK;
            for (n, victim) in victims.iter().enumerate().filter(|(_, victim)| victim.is_open()) {
                for node in nodes {
                    asked.insert(asker.ask(*node, &victim.name)?, n);
                }
            }
        }
        while let Some(Answer { id, node, addresses }) = asker.hear()? {
            let Some(victim) = asked.remove(&id).map(|n| &mut victims[n]) else { continue };
            let place = nodes.iter().position(|asked| *asked == node).unwrap_or_default();
            let (Some(died), None) = (victim.died, victim.moved[place]) else { continue };
            if addresses == BTreeSet::from([STAND_IN]) {
                victim.moved[place] = Some(world.clock.now().since(died));
                if !victim.is_open() {
                    death.end(world, victim.address)?;
                }
            } else if addresses != BTreeSet::from([victim.address]) {
                odd += 1;
            }
        }
        pause(LOOK);
    }
    for victim in victims.iter().filter(|victim| victim.is_open()) {
        death.end(world, victim.address)?;
    }
    for victim in &victims {
        let slowest = victim.moved.iter().flatten().max();
        if let Some(took) = slowest.filter(|took| bar.is_some_and(|bar| !bar.is_met(&[**took]))) {
            eprintln!("{what}: {} took {:.1} s: beyond the bar", victim.name, took.as_secs_f64());
        }
    }
    let mut times: Vec<Duration> =
        victims.iter().flat_map(|victim| &victim.moved).flatten().copied().collect();
    times.sort_unstable();
    let unnoticed = victims.len() * nodes.len() - times.len();
    let told = format!(
        "{} kills: {}; {unnoticed} not noticed, {odd} odd answers",
        victims.len(),
        at_most(&times)
    );
    let is_met = bar.is_none_or(|bar| bar.is_met(&times)) && unnoticed == 0 && odd == 0;
    Ok(Row { what: what.to_owned(), told, bar: bar.map(|bar| bar.to_string()), is_met })
}
