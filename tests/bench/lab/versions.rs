//! Zone files that no node may take: bad ones from somebody whose own machine lets them pass, and old ones that
//! come again.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use windrose::fleet::Settings;
use windrose::fleet::nats::Bucket;
use windrose::load::{Place, read_server};
use windrose::model::Report;

use crate::asking::{Expected, Watch};
use crate::endpoints::{Manner, PORT};
use crate::engine::version;
use crate::network::{NODES, VANTAGES};
use crate::server::pause;
use crate::table::Row;
use crate::world::{World, must};
use crate::zones::Zone;

/// How long is waited for what must not happen.
const NOTHING: Duration = Duration::from_secs(15);
const RATE: u32 = 100;
/// The address at which clouds tell machines their secrets.
const SECRETS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// A version whose checks lead to 255 addresses that are denied by default, pushed by somebody who denies none.
pub(crate) fn bad(world: &World, zones: &[Zone]) -> io::Result<Row> {
    let Some(watched) = zones.last() else { return Err(io::Error::other("no zones")) };
    let canaries =
        Zone::new("canaries.test", "interval = \"1s\"\ntimeout = \"500ms\"", [169, 254, 169], 255);
    let addresses: Vec<Ipv4Addr> = (0..canaries.count).map(|n| canaries.address(n)).collect();
    for address in &addresses {
        world.endpoints.set(*address, Some(Manner::Good))?;
    }
    // They would be reached, if anybody tried.
    TcpStream::connect(SocketAddr::new(SECRETS.into(), PORT))?;
    world.until("the canary has sung", |world| Ok(world.endpoints.taken(SECRETS) == 1))?;

    let before = version(&world.status(NODES[0])?);
    let bad = [zones, std::slice::from_ref(&canaries)].concat();
    let (strict, is_pushed) = world.try_push(&bad, "windrose.toml")?;
    if is_pushed {
        return Err(io::Error::other(format!("it could be pushed: {strict}")));
    }
    let config = world.config_of(NODES[0]);
    let lax = fs::read_to_string(config.join("windrose.toml"))? + "[probe]\ndeny = []\n";
    fs::write(config.join("lax.toml"), lax)?;
    let watch = Watch::start(expected(watched), RATE, world.clock)?;
    must(world.try_push(&bad, "lax.toml")?)?;
    let refused = |world: &World| {
        let told = world.statuses()?;
        let by_nodes = told.iter().all(|status| {
            status["fleet"]["zones_refused"][0].as_u64() == Some(before + 1)
                && version(status) == before
        });
        let by_vantages = VANTAGES.into_iter().map(|vantage| world.log(vantage));
        let by_vantages = by_vantages.collect::<io::Result<Vec<String>>>()?;
        let line = format!("version {} of the zone files", before + 1);
        Ok(by_nodes && by_vantages.iter().all(|log| log.contains(&line) && log.contains("refused")))
    };
    world.until("all have refused it", refused)?;
    pause(NOTHING);
    let seen = watch.stop()?;
    let reached = addresses.iter().filter(|address| {
        let own = u64::from(**address == SECRETS);
        world.endpoints.taken(**address) > own
    });
    let reached = reached.count();
    world.push(zones)?;
    let told = format!(
        "refused by two nodes and three vantages, {reached} of {} canaries reached; of {} answers {} other, \
         {} empty, {} lost",
        addresses.len(),
        seen.asked,
        seen.other,
        seen.empty,
        seen.lost()
    );
    let is_met = reached == 0 && (seen.other, seen.empty, seen.lost()) == (0, 0, 0);
    let bar = Some("nothing changes, no canary is reached".to_owned());
    Ok(Row { what: "a bad version".to_owned(), told, bar, is_met })
}

/// Old versions, sealed by the fleet's key, given out for new; and the newest dropped.
pub(crate) fn old(world: &World, zones: &[Zone]) -> io::Result<Row> {
    let Some(watched) = zones.last() else { return Err(io::Error::other("no zones")) };
    // One that differs, so that there is an old one in any case.
    world.push(&zones[zones.len() - 1..])?;
    world.push(zones)?;
    let served = version(&world.status(NODES[0])?);
    let watch = Watch::start(expected(watched), RATE, world.clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let spoilt = runtime.block_on(async {
        let bucket = visit(world).await?;
        let old = format!("zones.v.{}", served - 1);
        let sealed = bucket.get(&old).await?.ok_or_else(|| format!("there is no {old}"))?;
        for ahead in 1..=20 {
            bucket.put(&format!("zones.v.{}", served + ahead), sealed.clone()).await?;
        }
        bucket.drop_key(&format!("zones.v.{served}")).await
    });
    spoilt.map_err(io::Error::other)?;
    pause(NOTHING);
    let versions: Vec<u64> = world.statuses()?.iter().map(version).collect();
    let seen = watch.stop()?;
    let tidied = runtime.block_on(async {
        let bucket = visit(world).await?;
        for ahead in 1..=20 {
            bucket.drop_key(&format!("zones.v.{}", served + ahead)).await?;
        }
        Ok::<_, String>(())
    });
    tidied.map_err(io::Error::other)?;
    let is_met = versions.iter().all(|version| *version == served)
        && (seen.other, seen.empty, seen.lost()) == (0, 0, 0);
    let told = format!(
        "20 replays as later versions, the newest dropped: nodes serve {versions:?} of {served}; of {} answers \
         {} other, {} empty, {} lost",
        seen.asked,
        seen.other,
        seen.empty,
        seen.lost()
    );
    let bar = Some("nothing changes".to_owned());
    Ok(Row { what: "an old version".to_owned(), told, bar, is_met })
}

/// The fleet's bucket, with all that the first node may do there.
async fn visit(world: &World) -> Result<Bucket, String> {
    let place = Place::new(Some(world.config_of(NODES[0]).join("windrose.toml")));
    let mut report = Report::new();
    let config = read_server(&place, &mut report).ok_or_else(|| report.to_string())?;
    let settings = Settings::read(&place, &config, false)?.ok_or("there is no [fleet]")?;
    settings.broker.visit().await
}

fn expected(zone: &Zone) -> Vec<Expected> {
    let expected = |n| Expected { name: zone.name(n), addresses: vec![zone.address(n)] };
    (0..zone.count).map(expected).collect()
}
