//! From files to a snapshot that may be served, or to everything that is wrong with them.
//!
//! Used by `check`, by the start, and by every reload, so that what `check` accepts is what will be
//! served. Nothing is changed by loading: what comes back either replaces all that was, or nothing.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use crate::clock::unix_now;
use crate::config::{self, ReadFile, ReadZones, ServerConfig, ZoneFiles};
use crate::feed;
use crate::files::{DatabaseFile, KnownZones, ZoneDirectory, database_files, open_databases};
use crate::fleet::shelf::Shelf;
use crate::geo::Atlas;
use crate::listen::certificate::Certificate;
use crate::memory::prefer_huge_pages;
use crate::model::topology::ProgramUse;
use crate::model::{
    Check, CheckKind, Diagnostic, EndpointId, RegionKey, Report, Severity, Steer, Target,
    TargetHealth, TargetHost, TargetId, Time, Zone,
};
use crate::probe::{Denied, icmp_refusal, lacking_sources};
use crate::snapshot::gate::{Gate, SECRET_LEN};
use crate::snapshot::subjects::surveyed_regions;
use crate::snapshot::{Blueprint, Conditions, Snapshot, expect, targets_of};

/// Where the server file is and what its relative paths start from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The server file, if there is one.
    pub file: Option<PathBuf>,
    /// What relative paths in it start from.
    pub base: PathBuf,
}

/// The name of the server file in the working directory.
pub const SERVER_FILE: &str = "windrose.toml";

impl Place {
    /// The file given, or `windrose.toml` in the working directory when there is one.
    #[must_use]
    pub fn new(given: Option<PathBuf>) -> Self {
        let file = given.or_else(|| Some(PathBuf::from(SERVER_FILE)).filter(|path| path.is_file()));
        let base = file.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        Self { file, base }
    }

    /// A path of the server file, as it is to be opened.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }
}

/// Databases as they were read, to be used again while their files stay the same.
#[derive(Clone, Debug)]
pub struct Geo {
    files: Vec<DatabaseFile>,
    /// What they say.
    pub atlas: Arc<Atlas>,
}

impl Default for Geo {
    /// No databases.
    fn default() -> Self {
        Self { files: Vec::new(), atlas: Arc::new(Atlas::empty()) }
    }
}

/// What a load leaves to the next: files that have not changed by then need not be read again.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The databases.
    pub geo: Geo,
    /// What came of the zone files.
    pub zones: Arc<KnownZones>,
}

/// What a load goes by that is not the first.
#[derive(Clone, Debug)]
pub struct Before {
    /// What is served. What of it stays the same is taken over as it is compiled.
    pub snapshot: Arc<Snapshot>,
    /// What the load left that this was made by.
    pub known: Known,
}

/// Everything that was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The server file.
    pub config: ServerConfig,
    /// The snapshot. Endpoints of zones that were not there before, or not so, are taken for up.
    pub snapshot: Snapshot,
    /// For the next load.
    pub known: Known,
    /// Warnings; no errors.
    pub report: Report,
}

/// Reads the server file. Findings go to `report`; `None` when one is an error.
pub fn read_server(place: &Place, report: &mut Report) -> Option<ServerConfig> {
    let Some(path) = &place.file else { return Some(ServerConfig::default()) };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let source = report.add_source(path.display().to_string(), text);
            config::read_server(report, source)
        }
        Err(error) => {
            let message = format!("cannot read the server file {}: {error}", path.display());
            report.push(Diagnostic::error_without_place(message));
            None
        }
    }
}

/// The directory of the zone files: what the fleet has given, or else what the server file names.
#[must_use]
pub fn zone_directory(place: &Place, config: &ServerConfig) -> PathBuf {
    let state = place.resolve(&config.fixed.state.directory);
    let given = config.fixed.fleet.as_ref().and_then(|_| Shelf::below(&state).zones());
    given.unwrap_or_else(|| place.resolve(&config.reloadable.zones.directory))
}

/// Judges zone files as if they were to be served, expectations and all: what there is.
///
/// # Errors
/// Everything that is wrong.
pub fn judge_zones(place: &Place, directory: &Path) -> Result<Snapshot, Report> {
    let mut report = Report::new();
    let Some(config) = read_server(place, &mut report) else { return Err(report) };
    let mut geo_of = |zones: &[Arc<Zone>], report: &mut Report| {
        if zones.is_empty() {
            report.push(nothing_to_serve(&directory.display().to_string(), true));
        }
        judge_programs(place, &config, zones, report);
        judge_targets(&config, zones, report);
        let needs_places = needs_places(zones);
        if needs_places { load_geo(place, &config, None, report) } else { Geo::default() }
    };
    match load_zones(directory, &mut geo_of, &mut report) {
        Some((snapshot, _)) if !report.has_errors() => Ok(snapshot),
        _ => Err(report),
    }
}

/// What zone files have somebody look at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LookedAt {
    /// Every target.
    pub targets: HashSet<Target>,
    /// The regions to which round trips matter, with the targets in each.
    pub regions: Vec<(RegionKey, Vec<TargetId>)>,
}

/// What zone files have somebody look at who does not serve them.
///
/// # Errors
/// Everything that is wrong.
pub fn read_targets(place: &Place, directory: &Path) -> Result<LookedAt, Report> {
    let mut report = Report::new();
    let Some(config) = read_server(place, &mut report) else { return Err(report) };
    let Some(read) = read_zones(&ZoneDirectory::new(directory), &mut report) else {
        return Err(report);
    };
    judge_programs(place, &config, &read.zones, &mut report);
    judge_targets(&config, &read.zones, &mut report);
    if report.has_errors() {
        return Err(report);
    }
    let (targets, regions) = (targets_of(&read.zones), surveyed_regions(&read.zones));
    Ok(LookedAt { targets, regions })
}

/// The directory of the programs that checks may run, as an absolute path; none may be run without.
#[must_use]
pub fn programs(place: &Place, config: &ServerConfig) -> Option<PathBuf> {
    let directory = place.resolve(config.fixed.probe.programs.as_deref()?);
    Some(std::path::absolute(&directory).unwrap_or(directory))
}

/// Judges the programs that checks of `zones` run: the server file must allow them, and they must be there.
/// Where nothing is probed nothing is run, and nothing is said.
pub fn judge_programs(
    place: &Place,
    config: &ServerConfig,
    zones: &[Arc<Zone>],
    report: &mut Report,
) {
    if !config.fixed.probe.enabled {
        return;
    }
    let directory = programs(place, config);
    for zone in zones.iter().filter(|zone| !zone.programs.is_empty()) {
        let moved = report.add_sources(&zone.written);
        for ProgramUse { span, check, program } in &zone.programs {
            let name = &zone.checks[check.index()].name;
            let what = format!("check `{name}` runs the program `{program}`");
            let (message, hint) = match &directory {
                None => (
                    format!("{what}, but this server lets checks run none"),
                    "say where they lie: `programs = \"DIRECTORY\"` in `[probe]` of the server file".to_owned(),
                ),
                Some(directory) if !is_program(&directory.join(program)) => (
                    format!("{what}, which is no program there"),
                    format!("it must be an executable file in {}", directory.display()),
                ),
                Some(_) => continue,
            };
            report.push(Diagnostic::error(*span, message).hint(hint).moved(moved));
        }
    }
}

/// Judges where endpoints of `zones` are checked: no probe may go where the server file denies it. What host
/// names lead to is judged when they are looked up. Feeds are judged alike.
pub fn judge_targets(config: &ServerConfig, zones: &[Arc<Zone>], report: &mut Report) {
    if !config.fixed.probe.enabled {
        return;
    }
    let denied = Denied::new(config);
    for zone in zones {
        let mut moved = None;
        for (place, endpoint) in zone.endpoints.iter().enumerate() {
            let id = EndpointId::new(place);
            let (checked, fetched) = asked_at(zone, id);
            let name = || format!("{}/{}", zone.pools[endpoint.pool.index()].name, endpoint.name);
            let asked = [(checked, "checked"), (fetched, "asked for its load")];
            for (addresses, how) in asked {
                let mut judged = addresses.into_iter();
                let Some((address, reason)) =
                    judged.find_map(|address| Some((address, denied.reason(address)?)))
                else {
                    continue;
                };
                let message = format!(
                    "endpoint `{}` is {how} at {}, where nobody is asked",
                    name(),
                    address.ip()
                );
                let moved = *moved.get_or_insert_with(|| report.add_sources(&zone.written));
                let place = zone.places.endpoints.get(place).copied();
                let error = match place {
                    Some(span) => Diagnostic::error(span, message).moved(moved),
                    None => Diagnostic::error_without_place(message),
                };
                report.push(error.hint(reason));
            }
        }
    }
    report.complete(&mut |path| std::fs::read_to_string(path).ok().map(Into::into));
}

/// The addresses at which an endpoint is probed, and those from which its load is fetched, as far as they stand
/// in the zone file.
fn asked_at(zone: &Zone, id: EndpointId) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
    let mut probed = zone.targets_of(id).probed();
    probed.retain(|target| target.spec.kind.is_asked());
    let address = |target: &Target| match target.host {
        TargetHost::Address(address) => Some(SocketAddr::new(address, target.spec.port)),
        TargetHost::Name(_) => None,
    };
    let checked = probed.iter().filter_map(address).collect();
    let fetched = zone.feed_targets_of(id).filter_map(|target| feed::literal(&target.url()?));
    (checked, fetched.collect())
}

/// Warns of checks that send ICMP where this process may not; `refusal` says so.
pub fn judge_icmp(zones: &[Arc<Zone>], refusal: Option<&str>, report: &mut Report) {
    let Some(refusal) = refusal else { return };
    for zone in zones {
        let mut moved = None;
        let is_icmp = |(_, check): &(usize, &Check)| check.spec.kind == CheckKind::Icmp;
        for (place, check) in zone.checks.iter().enumerate().filter(is_icmp) {
            let message = format!("check `{}` cannot be made: {refusal}", check.name);
            let warning = match zone.places.checks.get(place) {
                Some(span) => {
                    let moved = *moved.get_or_insert_with(|| report.add_sources(&zone.written));
                    Diagnostic::warning(*span, message).moved(moved)
                }
                None => Diagnostic::warning_without_place(message),
            };
            report.push(warning.hint(
                "name its group in the sysctl: `net.ipv4.ping_group_range = \"0 2147483647\"` is everybody's; or \
                 give it CAP_NET_RAW, as by `AmbientCapabilities` of the unit",
            ));
        }
    }
    report.complete(&mut |path| std::fs::read_to_string(path).ok().map(Into::into));
}

/// Warns of addresses that probes are to come from and that this machine does not have. It may get them later.
fn judge_source(config: &ServerConfig, report: &mut Report) {
    for problem in lacking_sources(config.fixed.probe.source) {
        let warning = Diagnostic::warning_without_place(problem);
        report.push(warning.hint("until it has it, no probe of that family can be made"));
    }
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Reads the certificates of all encrypted listeners, in the order of the server file's tables. What is
/// wrong with them goes to `report`; then some are missing.
pub fn load_certificates(
    place: &Place,
    config: &ServerConfig,
    report: &mut Report,
) -> Vec<Arc<Certificate>> {
    let mut certificates = Vec::new();
    for table in &config.fixed.dns.encrypted {
        let (chain, key) = (place.resolve(&table.certificate), place.resolve(&table.key));
        match Certificate::open(chain, key) {
            Ok(certificate) => certificates.push(Arc::new(certificate)),
            Err(problem) => {
                let message = format!("[dns.{}] {problem}", table.transport.word());
                report.push(Diagnostic::error_without_place(message));
            }
        }
    }
    certificates
}

/// Loads everything. What has not changed since the load `before` is not read or compiled again, and a
/// database that cannot be read now does not replace what was read then; otherwise what comes of it is the
/// same as without.
///
/// # Errors
/// Everything that is wrong.
pub fn load(place: &Place, before: Option<&Before>) -> Result<Loaded, Report> {
    load_at(place, before, unix_now())
}

/// Loads everything as [`load`] does, at `now` (since 1970).
///
/// # Errors
/// Everything that is wrong.
pub fn load_at(place: &Place, before: Option<&Before>, now: Duration) -> Result<Loaded, Report> {
    let mut report = Report::new();
    let Some(config) = read_server(place, &mut report) else { return Err(report) };
    let gate = load_gate(place, &config, &mut report);
    let directory = zone_directory(place, &config);
    let known = before.map(|before| Arc::clone(&before.known.zones)).unwrap_or_default();
    let files = ZoneDirectory::after(&directory, known, now);
    let Some(read) = read_zones(&files, &mut report) else { return Err(report) };
    judge_programs(place, &config, &read.zones, &mut report);
    judge_targets(&config, &read.zones, &mut report);
    if config.fixed.probe.enabled {
        judge_icmp(&read.zones, icmp_refusal(), &mut report);
        judge_source(&config, &mut report);
    }
    let mut geo_of = |zones: &[Arc<Zone>], report: &mut Report| {
        if zones.is_empty() {
            report.push(nothing_to_serve(files.directory(), before.is_some()));
        }
        let before = before.map(|before| &before.known.geo);
        if needs_places(zones) {
            load_geo(place, &config, before, report)
        } else {
            before.cloned().unwrap_or_default()
        }
    };
    let snapshot = before.map(|before| &*before.snapshot);
    match compile(read.zones, snapshot, &mut geo_of, &mut report) {
        Some((snapshot, geo)) if !report.has_errors() => {
            let known = Known { geo, zones: Arc::new(files.known_after(&read.files)) };
            Ok(Loaded { config, snapshot: snapshot.with_gate(gate), known, report })
        }
        _ => Err(report),
    }
}

/// Reads the zone files of a directory, but for those that are known. What is not known yet is read by as
/// many threads as there are processors: then nobody is waiting for answers.
fn read_zones(files: &ZoneDirectory, report: &mut Report) -> Option<ReadZones> {
    if let Err(error) = files.probe() {
        let message = format!("cannot read the zone directory {}: {error}", files.directory());
        report.push(Diagnostic::error_without_place(message));
        return None;
    }
    let read = |names: &[&str]| match files.knows_any() {
        true => names
            .iter()
            .map(|name| files.known(name).unwrap_or_else(|| read(files, name)))
            .collect(),
        false => read_side_by_side(files, names),
    };
    Some(config::read_directory(report, files, &read))
}

fn read(files: &ZoneDirectory, name: &str) -> Arc<ReadFile> {
    Arc::new(ReadFile::read(files, name))
}

/// Reads files by as many threads as there are processors.
fn read_side_by_side(files: &ZoneDirectory, names: &[&str]) -> Vec<Arc<ReadFile>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    if threads == 1 || names.len() < 2 {
        return names.iter().map(|name| read(files, name)).collect();
    }
    // One after the other, as some may be much larger than others.
    let next = AtomicUsize::new(0);
    let read_some = || {
        let places = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let own = places.map_while(|place| Some((place, read(files, names.get(place)?))));
        own.collect::<Vec<_>>()
    };
    let mut all = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(read_some)).collect();
        let mut all = read_some();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, file)| file).collect()
}

/// Queries jump about in the names of large zones and in the classes of large databases: has these moved
/// into large pages. Takes time in proportion to them, the first time that it is done to one.
pub fn place_in_memory(snapshot: &Snapshot) {
    for classes in snapshot.class_maps() {
        let (groups, leaves, starts, kinds) = classes.tables();
        prefer_huge_pages(groups);
        prefer_huge_pages(leaves);
        prefer_huge_pages(starts);
        prefer_huge_pages(kinds);
    }
    prefer_huge_pages(snapshot.name_slots());
    snapshot.zones().iter().for_each(|zone| prefer_huge_pages(zone.names.octets()));
}

/// Whether any rule asks where clients are. Where none does, databases would be read, and kept in memory,
/// for nothing.
fn needs_places(zones: &[Arc<Zone>]) -> bool {
    zones.iter().flat_map(|zone| &zone.steers).any(Steer::needs_places)
}

/// What the node says of itself, and its cookie secrets.
fn load_gate(place: &Place, config: &ServerConfig, report: &mut Report) -> Gate {
    let answers = &config.reloadable.answers;
    let cookie_secrets = match &answers.cookie_secrets {
        _ if !answers.cookies => Vec::new(),
        None => vec![own_secret()],
        Some(path) => {
            let path = place.resolve(path);
            let secrets = std::fs::read_to_string(&path)
                .map_err(|error| error.to_string())
                .and_then(|text| parse_secrets(&text));
            secrets.unwrap_or_else(|problem| {
                let message = format!("cookie secrets {}: {problem}", path.display());
                let hint =
                    "one or two lines of 32 hex digits, such as `openssl rand -hex 16` makes";
                report.push(Diagnostic::error_without_place(message).hint(hint));
                Vec::new()
            })
        }
    };
    Gate {
        server_id: answers.server_id.as_str().into(),
        server_version: answers.server_version.as_str().into(),
        cookie_secrets,
        limits: config.reloadable.limits.clone(),
    }
}

/// Reads one or two secrets, a line each.
fn parse_secrets(text: &str) -> Result<Vec<[u8; SECRET_LEN]>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let parse = |(n, line): (usize, &str)| {
        let digits = u128::from_str_radix(line, 16).ok().filter(|_| line.len() == 2 * SECRET_LEN);
        digits
            .map(u128::to_be_bytes)
            .ok_or_else(|| format!("secret {} is not 32 hex digits", n + 1))
    };
    let secrets = lines.enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
    match secrets.len() {
        1 | 2 => Ok(secrets),
        0 => Err("there is no secret in it".to_owned()),
        count => Err(format!("there are {count} secrets in it, at most two are used")),
    }
}

/// The secret of a process without a file of them: the same for every load.
fn own_secret() -> [u8; SECRET_LEN] {
    static SECRET: OnceLock<[u8; SECRET_LEN]> = OnceLock::new();
    // Keys of the system's own random numbers, through a keyed hash.
    let half = || RandomState::new().build_hasher().finish().to_be_bytes();
    *SECRET.get_or_init(|| {
        let mut secret = [0; SECRET_LEN];
        secret[..8].copy_from_slice(&half());
        secret[8..].copy_from_slice(&half());
        secret
    })
}

/// A directory without zones: a node may start with it and wait, but one that serves would rather go
/// on. It is more likely to be half of a deployment than what anybody wants.
fn nothing_to_serve(directory: &str, is_serving: bool) -> Diagnostic {
    let message = format!("there are no zone files in {directory}");
    let severity = if is_serving { Severity::Error } else { Severity::Warning };
    let hint = "a zone file is called like its zone: `example.com.toml`";
    Diagnostic { severity, ..Diagnostic::error_without_place(message).hint(hint) }
}

/// Gives the databases that zones need.
pub type GeoOf<'g> = dyn FnMut(&[Arc<Zone>], &mut Report) -> Geo + 'g;

/// Loads all zone files of a directory to look at them; see [`load_files`].
pub fn load_zones(
    directory: &Path,
    geo_of: &mut GeoOf<'_>,
    report: &mut Report,
) -> Option<(Snapshot, Geo)> {
    let read = read_zones(&ZoneDirectory::new(directory), report)?;
    compile(read.zones, None, geo_of, report)
}

/// Loads zone files to look at them, and runs their expectations. `geo_of` gives the databases that the
/// zones need. Findings go to `report`.
pub fn load_files(
    files: &dyn ZoneFiles,
    geo_of: &mut GeoOf<'_>,
    report: &mut Report,
) -> Option<(Snapshot, Geo)> {
    let zones = config::read_zones(report, files);
    compile(zones, None, geo_of, report)
}

/// Compiles zones that have been read and runs their expectations, both only where something differs from
/// `before`; `None` when anything in `report` is an error.
pub fn compile(
    zones: Vec<Arc<Zone>>,
    before: Option<&Snapshot>,
    geo_of: &mut GeoOf<'_>,
    report: &mut Report,
) -> Option<(Snapshot, Geo)> {
    if report.has_errors() {
        return None;
    }
    let geo = geo_of(&zones, report);
    let blueprint = Blueprint { zones, atlas: Arc::clone(&geo.atlas) };
    let all_up = Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED);
    let compiled = match before {
        Some(before) => before.compile_next(blueprint, &all_up),
        None => Snapshot::compile(blueprint, 1, &all_up),
    };
    match compiled {
        Ok(snapshot) => {
            match before {
                Some(before) => expect::check_next(&snapshot, before, report),
                None => expect::check(&snapshot, report),
            }
            Some((snapshot, geo))
        }
        Err(error) => {
            report.push(Diagnostic::error_without_place(error.to_string()));
            None
        }
    }
}

/// The databases, read again only when a file has changed. One that cannot be read is a warning: what
/// was known before serves on, and without it clients are told apart by less.
#[must_use]
pub fn load_geo(
    place: &Place,
    config: &ServerConfig,
    before: Option<&Geo>,
    report: &mut Report,
) -> Geo {
    let geoip = &config.reloadable.geoip;
    let listed: Vec<PathBuf> = geoip.databases.iter().map(|path| place.resolve(path)).collect();
    let (files, mut problems) = database_files(&place.resolve(&geoip.directory), &listed);
    let same = before.filter(|before| before.files == files && problems.is_empty());
    if let Some(same) = same {
        return same.clone();
    }
    let has_files = |files: &[DatabaseFile]| files.iter().any(DatabaseFile::is_on_disk);
    if !has_files(&files) && before.is_some_and(|before| has_files(&before.files)) {
        problems.push("there are no database files any more; restart to go without".to_owned());
    }
    let (databases, broken) = open_databases(&files);
    problems.extend(broken);
    let atlas = Atlas::build(databases).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Atlas::empty()
    });
    let is_broken = !problems.is_empty();
    for problem in problems {
        let consequence =
            if before.is_some() { "the databases read before stay" } else { "left out" };
        let message = format!("{problem} ({consequence})");
        report.push(Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error_without_place(message)
        });
    }
    match before {
        Some(before) if is_broken => before.clone(),
        _ => Geo { files, atlas: Arc::new(atlas) },
    }
}
