//! What only windrose does, seen through resolvers: clients of other networks, and a region that fails.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::ask::{Asker, address};
use crate::resolvers::Resolver;
use crate::server::pause;
use crate::world::{CLIENT_FIRST, CLIENTS, NODES, PLACES, World, region_of};
use windrose::clock::Clock;
use windrose::model::RecordType;

const NEAR: &[u8] = b"\x04near\x07example\x04test\0";
const WWW: &[u8] = b"\x03www\x07example\x04test\0";
const FAST: &[u8] = b"\x04fast\x07example\x04test\0";

/// How many clients asked, how often the servers were asked for it, and what was wrong.
pub(crate) struct Subnets {
    pub(crate) clients: usize,
    pub(crate) asked: u64,
    pub(crate) faults: Vec<String>,
}

/// Answers that the leaf zones' nodes gave so far.
pub(crate) fn asked() -> io::Result<u64> {
    let mut sum = 0;
    for node in NODES.iter().filter(|node| node.name.starts_with("ns")) {
        sum += node.answers()?.values().sum::<u64>();
    }
    Ok(sum)
}

/// Has clients of all places ask: many of one network each, for a name that tells networks apart, and many
/// neighbouring networks each, for one that tells countries apart.
pub(crate) fn subnets(
    resolver: &Resolver,
    name: &[u8],
    is_one_network: bool,
) -> io::Result<Subnets> {
    let before = asked()?;
    let mut result = Subnets { clients: 0, asked: 0, faults: Vec::new() };
    for n in 0..CLIENTS {
        for place in &PLACES {
            let [a, b, c] = place.v4;
            let client = if is_one_network {
                Ipv4Addr::new(a, b, c, CLIENT_FIRST + n)
            } else {
                Ipv4Addr::new(a, b, n + 100, CLIENT_FIRST)
            };
            result.clients += 1;
            let got = regions(resolver.address, client.into(), name);
            let direct =
                regions(NODES[2].addresses[0].parse().expect("an address"), client.into(), name);
            // The direct question is one that windrose was asked, too.
            if got != direct || got.len() != 1 {
                result.faults.push(format!("{client} got {got:?}, not {direct:?}"));
            } else if is_one_network && !got.contains(place.region) {
                result.faults.push(format!("{client} got {got:?}, not {}", place.region));
            }
        }
    }
    result.asked = asked()? - before - result.clients as u64;
    Ok(result)
}

/// What is tried: a name for it, the name asked for, and whether the clients of a place share a network.
pub(crate) const SUBNET_RUNS: [(&str, &[u8], bool); 2] =
    [("one network each", WWW, true), ("many networks each", NEAR, false)];

fn regions(server: IpAddr, client: IpAddr, name: &[u8]) -> BTreeSet<&'static str> {
    let answer = Asker::new(client).ask(server, name, RecordType::A, true);
    let addresses = answer.sections[0].iter().filter(|record| address(record).is_some());
    addresses.map(|record| region_of(&record.rdata).unwrap_or("elsewhere")).collect()
}

/// A resolver that does not follow in this time never will.
const GIVEN_UP: Duration = Duration::from_secs(15);

/// Kills the resolvers' region; for each resolver, how long it went on to send clients there.
pub(crate) fn failover(
    world: &World,
    resolvers: &[Resolver],
) -> io::Result<Vec<(usize, Duration)>> {
    let clock = Clock::start();
    let place = &PLACES[0];
    let [a, b, c] = place.v4;
    let client = IpAddr::from(Ipv4Addr::new(a, b, c, CLIENT_FIRST));
    let mut took = Vec::new();
    let mut open: Vec<usize> = (0..resolvers.len()).collect();
    for resolver in resolvers {
        let got = regions(resolver.address, client, FAST);
        if !got.contains(place.region) {
            return Err(io::Error::other(format!(
                "{} sends {got:?} before anything failed",
                resolver.kind.name()
            )));
        }
    }
    world.endpoints.kill(0);
    let start = clock.now();
    while !open.is_empty() {
        let now = clock.now().since(start);
        if now > GIVEN_UP {
            break;
        }
        open.retain(|at| {
            let got = regions(resolvers[*at].address, client, FAST);
            let is_gone = !got.contains(place.region) && !got.is_empty();
            if is_gone {
                took.push((*at, now));
            }
            !is_gone
        });
        pause(Duration::from_millis(50));
    }
    world.endpoints.revive(0)?;
    Ok(took)
}
