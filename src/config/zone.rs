//! One zone file, `NAME.toml`: what belongs to a zone.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::authority::{self, Authority};
use super::branches::{self, SteerEntry, SteerNames};
use super::check_formula::{FormulaReader, Written};
use super::clash::{self, Steered};
use super::client_map;
use super::document::{self, Findings};
use super::expect::{self, ExpectReader};
use super::forms::{self, FormReader};
use super::names::Names;
use super::pool::{self, Families, PoolReader};
use super::reader::{Key, Keys, Table, Value};
use super::steer::{self, SteerReader};
use super::{
    ZoneFiles, by_load, capacity, check, check_kinds, failback, feed, master, region, rtt, server,
    slow_start, wheres,
};
use crate::model::topology::{AllDown, EndpointAt, Places, ProgramUse, TtlJitter};
use crate::model::{
    Check, CheckId, CheckKind, Endpoint, Feed, FeedId, Name, Pool, PoolId, RecordType, Region,
    RegionId, Report, Severity, SourceId, Sources, Span, Zone,
};
use crate::zone::NamesBuilder;

const ROOT: Keys = Keys {
    place: "",
    known: &[
        "version",
        "zone",
        "nameservers",
        "records",
        "ttl",
        "ttl-jitter",
        "soa",
        "regions",
        "checks",
        "feeds",
        "pools",
        "steer",
        "rtt",
        "expect",
    ],
    unbuilt: &["dnssec", "transfer", "maps", "vantages"],
};

/// Every kind of table of a zone file.
pub(super) const KEYS: [&Keys; 21] = [
    &ROOT,
    &authority::SOA_KEYS,
    &region::KEYS,
    &check::KEYS,
    &check_kinds::QUERY_KEYS,
    &check_kinds::EXPECT_KEYS,
    &feed::KEYS,
    &feed::PER_KEYS,
    &pool::KEYS,
    &pool::ENDPOINT_KEYS,
    &pool::CHECK_ADDRESS_KEYS,
    &steer::KEYS,
    &steer::PICK_KEYS,
    &steer::KEY_BITS_KEYS,
    &failback::VELOCITY_KEYS,
    &forms::HTTPS_KEYS,
    &forms::SVCB_KEYS,
    &client_map::KEYS,
    &rtt::KEYS,
    &wheres::KEYS,
    &expect::KEYS,
];

const TTL: Duration = Duration::from_secs(30);

/// What a zone file was found to say.
pub(super) struct ZoneFile {
    /// The apex and where it was written, if it could be read.
    pub(super) apex: Option<(Name, Span)>,
    /// The master file that it names.
    pub(super) records: Option<String>,
    /// The zone; `None` when anything in it is an error.
    pub(super) zone: Option<Zone>,
}

/// Reads the zone file `source`, the first of `report`, whose name without `.toml` is `stem`. `None` when
/// its syntax is broken.
pub(super) fn read(
    report: &mut Report,
    files: &dyn ZoneFiles,
    source: SourceId,
    stem: &str,
) -> Option<ZoneFile> {
    let text = report.text(source);
    let errors = report.count(Severity::Error);
    let findings = Findings::new(source);
    let Some(document) = document::parse(&text, &findings) else {
        findings.finish(report);
        return None;
    };
    let root = Table::root(&document, "the zone file", &ROOT, &findings);
    if let Some(version) = root.get("version") {
        server::read_version(version);
    }
    let apex = read_apex(&root, stem);
    let named = root.get("records").and_then(|value| value.text("a file name").map(|n| (value, n)));
    let names = match (&apex, named) {
        (None, _) => None,
        (Some((apex, _)), None) => Some(NamesBuilder::new(apex)),
        (Some((apex, _)), Some((value, file))) => {
            let master = master::read(report, files, file, apex, Some(value.span));
            master.and_then(|master| master.names)
        }
    };
    // A zone without a name is read to its end, as the root, for the sake of its other faults.
    let name = apex.as_ref().map_or_else(Name::root, |(name, _)| name.clone());
    let (mut zone, mut names) = read_body(&root, files, name, &text, names);
    let records = named.map(|(_, file)| file.to_owned());
    findings.finish(report);
    // Without an SOA the records are not all known, or their want of one has been reported.
    if let Some(names) = &mut names
        && names.types_at(&zone.apex).iter().any(|(rtype, _)| *rtype == RecordType::SOA)
    {
        names.check(report, apex.as_ref().map(|(_, span)| *span));
    }
    let is_sound = apex.is_some() && report.count(Severity::Error) == errors;
    let zone = names.filter(|_| is_sound).map(|names| {
        zone.names = Arc::new(names.finish(zone.steered()));
        if !zone.expectations.is_empty() || !zone.programs.is_empty() {
            zone.written = report.sources().first();
        } else if !zone.checks.is_empty() {
            // What is wrong with where endpoints are checked is found when it is served.
            zone.written = report.sources().first().bare();
        }
        zone
    });
    Some(ZoneFile { apex, records, zone })
}

fn read_apex(root: &Table<'_>, stem: &str) -> Option<(Name, Span)> {
    let value = root.require("zone", &format!("\"{stem}\""))?;
    Some((value.name(&Name::root())?, value.span))
}

/// Everything below the head of the file. `names` are those of the master file; `None` when it
/// could not be read, so that nothing can be said about what it lacks.
fn read_body(
    root: &Table<'_>,
    files: &dyn ZoneFiles,
    apex: Name,
    text: &str,
    mut names: Option<NamesBuilder>,
) -> (Zone, Option<NamesBuilder>) {
    let entries = |key, shape| root.named(key, shape);
    let (regions, checks) =
        (entries("regions", "[regions.eu-west]"), entries("checks", "[checks.web]"));
    let (pools, steers) = (entries("pools", "[pools.web-eu]"), entries("steer", "[steer.www]"));
    let feeds = entries("feeds", "[feeds.sessions]");
    let region_names = Names::new("region", root, &regions, RegionId::new);
    let check_names = Names::new("check", root, &checks, CheckId::new);
    let pool_names = Names::new("pool", root, &pools, PoolId::new);

    let feed_names = Names::new("feed", root, &feeds, FeedId::new);
    let mut feeds: Vec<Feed> = feeds.into_iter().map(feed::read).collect();
    let (places, timed) = (RefCell::default(), RefCell::default());
    let reader = PoolReader {
        apex: &apex,
        regions: &region_names,
        checks: &check_names,
        feeds: &feed_names,
        feed_specs: &feeds,
        timed: &timed,
        places: &places,
    };
    let check_keys: Vec<_> = checks.iter().map(|(key, _)| *key).collect();
    let pool_keys: Vec<_> = pools.iter().map(|(key, _)| *key).collect();
    let (mut pools, endpoints) = read_pools(&reader, pools);
    let families: Vec<_> =
        pools.iter().map(|pool| Families::of(&endpoints[pool.endpoints.clone()])).collect();

    let mut ttl = TTL;
    root.read_into("ttl", &mut ttl, steer::read_ttl);
    let mut ttl_jitter = TtlJitter::default();
    root.read_into("ttl-jitter", &mut ttl_jitter, steer::read_ttl_jitter);
    let regions: Vec<Region> =
        regions.into_iter().map(|entry| region::read(entry, &region_names)).collect();
    let biased = regions.iter().enumerate().filter(|(_, region)| region.bias != 0);
    let biases: Vec<_> = biased.map(|(n, region)| (RegionId::new(n), region.bias)).collect();
    let steer_names = SteerNames::new(&steers);
    let reader = SteerReader {
        apex: &apex,
        pools: &pool_names,
        steers: &steer_names,
        regions: &region_names,
        biases: &biases,
        ttl,
        ttl_jitter,
    };
    let mut steers: Vec<_> = steers.into_iter().map(|entry| reader.read(entry)).collect();
    branches::judge(root, &mut steers);
    by_load::judge(root, &steers, &pool_keys, &mut pools, &mut feeds);
    let reader =
        FormReader { apex: &apex, regions: &regions, pools: &pools, endpoints: &endpoints };
    reader.read_all(root, &mut steers);
    forms::warn_underscored(root, &steers);

    let authority = Authority::read(root, &apex);
    if let Some(names) = &mut names {
        authority.complete(root, &apex, text, names);
    }
    branches::warn_families(root, &steers, &families);
    capacity::judge(root, &steers, &pools, &feeds);
    slow_start::judge(root, &steers, &pools);
    let of_entries: Vec<_> = steers.iter().map(|entry| &entry.steer).collect();
    let rtts = rtt::read(root, &region_names, &of_entries);
    judge_clashes(root, &apex, names.as_mut(), &steers, &families);

    let (mut checks, formulas) = read_checks(checks, (&apex, files), &pools, &endpoints);
    pool::judge_timed(root, timed.into_inner(), &feeds, &checks);
    let reader = FormulaReader {
        checks: &check_names,
        pools: &pool_names,
        of: &pools,
        endpoints: &endpoints,
    };
    reader.read_all(formulas, &mut checks);
    let mut zone = Zone {
        names: Arc::default(),
        programs: programs_of(&check_keys, &checks),
        places: Places {
            checks: check_keys.iter().map(|key| key.span).collect(),
            endpoints: places.into_inner(),
        },
        checks,
        apex,
        regions,
        feeds,
        pools,
        endpoints,
        steers: steers.into_iter().map(|entry| entry.steer).collect(),
        rtts,
        expectations: Vec::new(),
        written: Sources::default(),
    };
    // After errors half of what seems unused is only misspelt.
    if !root.has_errors() {
        warn_unused(root, &region_names, &check_names, &feed_names, &pool_names);
    }
    let reader = ExpectReader { zone: &zone, regions: &region_names, pools: &pool_names };
    let expectations = root.get("expect").map(|list| reader.read_all(list));
    zone.expectations = expectations.unwrap_or_default();
    (zone, names)
}

fn read_pools<'d>(
    reader: &PoolReader<'_, 'd>,
    entries: Vec<(Key<'d>, Value<'d>)>,
) -> (Vec<Pool>, Vec<Endpoint>) {
    let mut endpoints = Vec::new();
    let entries = entries.into_iter().enumerate();
    let pools =
        entries.map(|(index, entry)| reader.read(entry, PoolId::new(index), &mut endpoints));
    (pools.collect(), endpoints)
}

fn read_checks<'d>(
    entries: Vec<(Key<'d>, Value<'d>)>,
    (apex, files): (&Name, &dyn ZoneFiles),
    pools: &[Pool],
    endpoints: &[Endpoint],
) -> (Vec<Check>, Vec<Option<Written<'d>>>) {
    let is_addressed = |pool: &Pool| {
        let mut own = endpoints[pool.endpoints.clone()].iter();
        own.any(|endpoint| matches!(endpoint.at, EndpointAt::Addresses { .. }))
    };
    let addressed: HashSet<CheckId> =
        pools.iter().filter(|pool| is_addressed(pool)).filter_map(|pool| pool.check).collect();
    let entries = entries.into_iter().enumerate();
    let checks = entries.map(|(index, entry)| {
        let (check, formula) = check::read(entry, apex, files);
        check::warn_unnamed(entry, &check, addressed.contains(&CheckId::new(index)));
        (check, formula)
    });
    checks.unzip()
}

/// The programs that checks run; `keys` are the checks' names.
fn programs_of(keys: &[Key<'_>], checks: &[Check]) -> Vec<ProgramUse> {
    let of_checks = keys.iter().zip(checks).enumerate();
    let used = of_checks.filter_map(|(index, (key, check))| match &check.spec.kind {
        CheckKind::Exec(exec) => Some(ProgramUse {
            span: key.span,
            check: CheckId::new(index),
            program: exec.program.clone(),
        }),
        _ => None,
    });
    used.collect()
}

fn judge_clashes(
    root: &Table<'_>,
    apex: &Name,
    names: Option<&mut NamesBuilder>,
    steers: &[SteerEntry<'_>],
    of_pools: &[Families],
) {
    let names_only = steers.iter().enumerate().filter(|(_, entry)| !entry.steer.is_branch_only);
    let steered = names_only.map(|(place, entry)| {
        let families = branches::families_of(steers, of_pools, place);
        let families = match entry.steer.all_down {
            AllDown::Pool(pool) => families.or(of_pools[pool.index()]),
            _ => families,
        };
        Steered { steer: &entry.steer, span: entry.key.span, families }
    });
    let steered: Vec<_> = steered.collect();
    clash::find(apex, names, &steered).into_iter().for_each(|found| root.push(found));
}

/// What is defined but leads nowhere is probably a slip.
fn warn_unused<'d>(
    root: &Table<'d>,
    regions: &Names<'d, RegionId>,
    checks: &Names<'d, CheckId>,
    feeds: &Names<'d, FeedId>,
    pools: &Names<'d, PoolId>,
) {
    regions.warn_unused(root, "pool");
    checks.warn_unused(root, "pool or check");
    feeds.warn_unused(root, "pool");
    pools.warn_unused(root, "steer");
}
