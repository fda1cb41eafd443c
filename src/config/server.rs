//! The server file, `windrose.toml`: what belongs to a machine.
//!
//! Settings fall in two: [`Fixed`] ones are read once, when the process starts; [`Reloadable`] ones
//! count anew at every reload. Paths are given as written. They are meant relative to the directory
//! of the file, or to the working directory when there is none: whoever opens them joins the two.

use std::net::SocketAddr;
use std::time::Duration;

use super::document::{self, Findings};
use super::encrypted::{self, Encrypted, read_encrypted};
use super::fleet::{self, Fleet, read_fleet};
use super::probe::{self, Probe, read_probe};
use super::reader::{Keys, Table, Value};
use crate::model::{Limits, Prefix, Report, SourceId};

/// What the server file says; every option at its default when there is no file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerConfig {
    /// What only counts at the start of the process.
    pub fixed: Fixed,
    /// What counts anew at every reload.
    pub reloadable: Reloadable,
}

/// Settings that only count at the start of the process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fixed {
    /// `[dns]`
    pub dns: Dns,
    /// `[probe]`
    pub probe: Probe,
    /// `[alias]`
    pub alias: Alias,
    /// `[admin]`
    pub admin: Admin,
    /// `[state]`
    pub state: State,
    /// `[fleet]`; alone without.
    pub fleet: Option<Fleet>,
    /// `[log]`
    pub log: Log,
}

impl Fixed {
    /// The sections in which `new` differs: they count only after a restart.
    #[must_use]
    pub fn changed_sections(&self, new: &Self) -> Vec<&'static str> {
        let sections = [
            ("dns", self.dns != new.dns),
            ("probe", self.probe != new.probe),
            ("alias", self.alias != new.alias),
            ("admin", self.admin != new.admin),
            ("state", self.state != new.state),
            ("fleet", self.fleet != new.fleet),
            ("log", self.log != new.log),
        ];
        sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// Settings that count anew at every reload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reloadable {
    /// `[dns]`, as far as it is what answers say and not where they are given.
    pub answers: Answers,
    /// `[limits]`
    pub limits: Limits,
    /// `[zones]`
    pub zones: Zones,
    /// `[geoip]`
    pub geoip: Geoip,
}

/// `[dns]`: where and how questions are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dns {
    /// Addresses that are listened on, UDP and TCP each. Port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Threads that answer UDP; 0 means one for each core.
    pub threads: u16,
    /// Whether each of them stays on one processor.
    pub pin_threads: bool,
    /// The longest UDP response in octets, however much a client would take (RFC 6891 §6.2.3).
    pub udp_payload_max: u16,
    /// TCP connections that may be open at once; the idlest gives way to a new one.
    pub tcp_connections: u32,
    /// A connection without a question for so long is closed (RFC 7766 §6.2.3), encrypted or not.
    pub tcp_idle_timeout: Duration,
    /// Where questions are answered over TLS, HTTPS and QUIC; nowhere at first.
    pub encrypted: Vec<Encrypted>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from(([127, 0, 0, 1], 5300)),
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 5300)),
            ],
            threads: 0,
            pin_threads: false,
            udp_payload_max: 1232,
            tcp_connections: 4096,
            tcp_idle_timeout: Duration::from_secs(10),
            encrypted: Vec::new(),
        }
    }
}

/// `[dns]`: what a node says of itself and how it knows its clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answers {
    /// What NSID, `id.server` and `hostname.bind` tell; nothing when empty.
    pub server_id: String,
    /// What `version.bind` and `version.server` tell; nothing when empty.
    pub server_version: String,
    /// Whether DNS cookies are made and verified.
    pub cookies: bool,
    /// The file of their secrets; without it, a secret of this process alone.
    pub cookie_secrets: Option<String>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            server_id: String::new(),
            server_version: "windrose".to_owned(),
            cookies: true,
            cookie_secrets: None,
        }
    }
}

/// `[zones]`: what is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zones {
    /// The directory of zone files.
    pub directory: String,
}

impl Default for Zones {
    fn default() -> Self {
        Self { directory: "zones".to_owned() }
    }
}

/// `[geoip]`: where clients are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Geoip {
    /// The directory whose `*.mmdb` files are read when none are listed.
    pub directory: String,
    /// The databases to read; none means all of the directory.
    pub databases: Vec<String>,
}

impl Default for Geoip {
    fn default() -> Self {
        Self { directory: "geoip".to_owned(), databases: Vec::new() }
    }
}

/// `[admin]`: the HTTP endpoint for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Addresses that are listened on; none means that there is no such endpoint.
    pub listen: Vec<SocketAddr>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 5380))] }
    }
}

/// `[state]`: what survives a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// The directory it is kept in.
    pub directory: String,
    /// Verdicts older than this are not believed at a start.
    pub age_max: Duration,
}

impl Default for State {
    fn default() -> Self {
        Self { directory: "state".to_owned(), age_max: Duration::from_secs(3600) }
    }
}

/// `[alias]`: how the hosts of aliases are looked up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alias {
    /// The resolvers that are asked; when empty those of the system.
    pub resolvers: Vec<SocketAddr>,
}

/// `[log]`: what is told, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// The least important lines that are written.
    pub level: LogLevel,
    /// Their form.
    pub format: LogFormat,
}

/// How important a log line must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogLevel {
    /// What needs somebody to act.
    Error,
    /// What may soon.
    Warn,
    /// Life-cycle and changes of verdict.
    #[default]
    Info,
    /// Each probe.
    Debug,
    /// Each query.
    Trace,
}

impl LogLevel {
    /// All of them with their words.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// All of them with their words.
    pub const WORDS: [(&'static str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

const ROOT: Keys = Keys {
    place: "",
    known: &[
        "version", "dns", "limits", "zones", "geoip", "probe", "alias", "admin", "state", "fleet",
        "log",
    ],
    unbuilt: &[],
};
const DNS: Keys = Keys {
    place: "dns",
    known: &[
        "listen",
        "threads",
        "pin-threads",
        "udp-payload-max",
        "tcp-connections",
        "tcp-idle-timeout",
        "server-id",
        "server-version",
        "cookies",
        "cookie-secrets",
        "tls",
        "https",
        "quic",
    ],
    unbuilt: &[],
};
const LIMITS: Keys = Keys {
    place: "limits",
    known: &[
        "answers-per-second",
        "negatives-per-second",
        "errors-per-second",
        "burst",
        "slip",
        "v4-prefix",
        "v6-prefix",
        "exempt",
    ],
    unbuilt: &[],
};
const ZONES: Keys = Keys { place: "zones", known: &["directory"], unbuilt: &[] };
const GEOIP: Keys =
    Keys { place: "geoip", known: &["directory", "databases"], unbuilt: &["overrides"] };
const ALIAS: Keys = Keys { place: "alias", known: &["resolvers"], unbuilt: &[] };
const ADMIN: Keys = Keys { place: "admin", known: &["listen"], unbuilt: &["tokens", "tls"] };
const STATE: Keys = Keys { place: "state", known: &["directory", "age-max"], unbuilt: &[] };
const LOG: Keys = Keys { place: "log", known: &["level", "format"], unbuilt: &["dnstap"] };

/// Every kind of table of the server file.
pub(super) const KEYS: [&Keys; 15] = [
    &ROOT,
    &DNS,
    &encrypted::TLS,
    &encrypted::HTTPS,
    &encrypted::QUIC,
    &LIMITS,
    &ZONES,
    &GEOIP,
    &probe::PROBE,
    &ALIAS,
    &ADMIN,
    &STATE,
    &fleet::FLEET,
    &fleet::TLS,
    &LOG,
];

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Whether a text is meant to be a server file: it has a section that no zone file has.
#[must_use]
pub fn is_server_text(text: &str) -> bool {
    let sections = || ROOT.known.iter().chain(ROOT.unbuilt).filter(|key| **key != "version");
    text.lines().filter_map(|line| line.trim().strip_prefix('[')).any(|line| {
        sections().any(|section| {
            line.strip_prefix(section).is_some_and(|rest| rest.starts_with([']', '.']))
        })
    })
}

/// Reads the server file, which `report` already knows as `source`. Its faults go to `report`;
/// `None` when one of them is an error.
pub fn read_server(report: &mut Report, source: SourceId) -> Option<ServerConfig> {
    let text = report.text(source);
    let findings = Findings::new(source);
    let document = document::parse(&text, &findings);
    let config = document.map(|document| {
        let root = Table::root(&document, "the server file", &ROOT, &findings);
        read_root(&root)
    });
    let is_sound = !findings.has_errors();
    findings.finish(report);
    config.filter(|_| is_sound)
}

fn read_root(root: &Table<'_>) -> ServerConfig {
    if let Some(version) = root.require("version", "1") {
        read_version(version);
    }
    let admin = root.table("admin", &ADMIN).map(|table| read_admin(&table)).unwrap_or_default();
    let dns = root.table("dns", &DNS);
    ServerConfig {
        fixed: Fixed {
            dns: dns.as_ref().map(|table| read_dns(table, &admin)).unwrap_or_default(),
            probe: root
                .table("probe", &probe::PROBE)
                .map(|table| read_probe(&table))
                .unwrap_or_default(),
            alias: root.table("alias", &ALIAS).map(|table| read_alias(&table)).unwrap_or_default(),
            admin,
            state: root.table("state", &STATE).map(|table| read_state(&table)).unwrap_or_default(),
            fleet: root.table("fleet", &fleet::FLEET).and_then(|table| read_fleet(&table)),
            log: root.table("log", &LOG).map(|table| read_log(&table)).unwrap_or_default(),
        },
        reloadable: Reloadable {
            answers: dns.as_ref().map(read_answers).unwrap_or_default(),
            limits: root.table("limits", &LIMITS).map(|t| read_limits(&t)).unwrap_or_default(),
            zones: root.table("zones", &ZONES).map(|table| read_zones(&table)).unwrap_or_default(),
            geoip: root.table("geoip", &GEOIP).map(|table| read_geoip(&table)).unwrap_or_default(),
        },
    }
}

/// Refuses files that were written for another windrose.
pub(super) fn read_version(version: Value<'_>) {
    if version.is_integer() && version.as_number() != Some(1.0) {
        let error = version.error("this version of the file is not known");
        version.push(error.hint("this windrose reads version 1; a newer one may read this file"));
    } else {
        version.integer(1..=1);
    }
}

fn read_dns(table: &Table<'_>, admin: &Admin) -> Dns {
    let mut dns = Dns::default();
    table.read_into("listen", &mut dns.listen, |value| Some(some_addresses(value)));
    table.read_into("threads", &mut dns.threads, |value| value.short(0..=1024));
    table.read_into("pin-threads", &mut dns.pin_threads, Value::boolean);
    // RFC 6891 §6.2.3: values below 512 are treated as 512.
    table.read_into("udp-payload-max", &mut dns.udp_payload_max, |value| value.short(512..=4096));
    table.read_into("tcp-connections", &mut dns.tcp_connections, |v| v.integer(1..=1_000_000));
    table.read_into("tcp-idle-timeout", &mut dns.tcp_idle_timeout, |v| v.duration(SECOND..=HOUR));
    dns.encrypted = read_encrypted(table, &dns.listen, &admin.listen);
    dns
}

/// The longest text that a server tells of itself: it is in every answer that asks for it.
const SERVER_TEXT_MAX: usize = 64;

fn read_answers(table: &Table<'_>) -> Answers {
    let text = |value: Value<'_>| {
        value.parsed("a text", |text| match text {
            _ if text.len() > SERVER_TEXT_MAX => Err("it is longer than 64 octets"),
            _ if text.chars().any(char::is_control) => Err("it has control characters"),
            _ => Ok(text.to_owned()),
        })
    };
    let mut answers = Answers::default();
    table.read_into("server-id", &mut answers.server_id, text);
    table.read_into("server-version", &mut answers.server_version, text);
    table.read_into("cookies", &mut answers.cookies, Value::boolean);
    answers.cookie_secrets = table.get("cookie-secrets").and_then(path);
    answers
}

fn read_limits(table: &Table<'_>) -> Limits {
    let mut limits = Limits::default();
    let rates = [
        ("answers-per-second", &mut limits.answers_per_sec),
        ("negatives-per-second", &mut limits.negatives_per_sec),
        ("errors-per-second", &mut limits.errors_per_sec),
    ];
    for (key, rate) in rates {
        table.read_into(key, rate, |value| value.integer(Limits::PER_SEC));
    }
    table.read_into("burst", &mut limits.burst_secs, read_burst);
    let few = |value: Value<'_>, range| value.short(range).and_then(|few| u8::try_from(few).ok());
    table.read_into("slip", &mut limits.slip, |value| few(value, Limits::SLIP));
    table.read_into("v4-prefix", &mut limits.v4_prefix, |value| few(value, Limits::V4_PREFIX));
    table.read_into("v6-prefix", &mut limits.v6_prefix, |value| few(value, Limits::V6_PREFIX));
    table.read_into("exempt", &mut limits.exempt, read_subnets);
    limits
}

/// A list of subnets.
pub(super) fn read_subnets(value: Value<'_>) -> Option<Vec<Prefix>> {
    let subnet = |item: Value<'_>| item.parsed("a subnet such as `\"192.0.2.0/24\"`", str::parse);
    Some(value.list("subnets").into_iter().filter_map(subnet).collect())
}

/// A length of time in whole seconds.
fn read_burst(value: Value<'_>) -> Option<u32> {
    let [least, most] = [*Limits::BURST_SECS.start(), *Limits::BURST_SECS.end()];
    let seconds = |secs: u32| Duration::from_secs(secs.into());
    let burst = value.duration(seconds(least)..=seconds(most))?;
    if burst.subsec_nanos() != 0 {
        value.push(value.error("`burst` must be whole seconds"));
        return None;
    }
    u32::try_from(burst.as_secs()).ok()
}

fn read_zones(table: &Table<'_>) -> Zones {
    let mut zones = Zones::default();
    table.read_into("directory", &mut zones.directory, path);
    zones
}

fn read_geoip(table: &Table<'_>) -> Geoip {
    let mut geoip = Geoip::default();
    table.read_into("directory", &mut geoip.directory, path);
    table.read_into("databases", &mut geoip.databases, |value| {
        Some(value.list("paths").into_iter().filter_map(path).collect())
    });
    geoip
}

fn read_alias(table: &Table<'_>) -> Alias {
    let mut alias = Alias::default();
    table.read_into("resolvers", &mut alias.resolvers, |value| Some(addresses(value)));
    alias
}

fn read_admin(table: &Table<'_>) -> Admin {
    let mut admin = Admin::default();
    table.read_into("listen", &mut admin.listen, |value| Some(addresses(value)));
    admin
}

fn read_state(table: &Table<'_>) -> State {
    let mut state = State::default();
    table.read_into("directory", &mut state.directory, path);
    let ages = Duration::ZERO..=HOUR * 24 * 7;
    table.read_into("age-max", &mut state.age_max, |value| value.duration(ages));
    state
}

fn read_log(table: &Table<'_>) -> Log {
    let mut log = Log::default();
    table.read_into("level", &mut log.level, |value| value.choice(&LogLevel::WORDS, &[]));
    table.read_into("format", &mut log.format, |value| value.choice(&LogFormat::WORDS, &[]));
    log
}

/// [`addresses`], of which there must be one.
pub(super) fn some_addresses(value: Value<'_>) -> Vec<SocketAddr> {
    let listen = addresses(value);
    if listen.is_empty() && value.as_list().is_some_and(|list| list.is_empty()) {
        value.push(value.error("there must be an address to listen on"));
    }
    listen
}

/// A list of addresses with ports, none of them twice.
fn addresses(value: Value<'_>) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for item in value.list("addresses with ports") {
        let expected = "an address with a port, such as `127.0.0.1:5300` or `[::1]:5300`";
        let Some(address) = item.parsed(expected, |text| text.parse().map_err(|_| explain(text)))
        else {
            continue;
        };
        if found.contains(&address) && address.port() != 0 {
            item.push(item.error(format!("`{address}` is listed twice")));
        }
        found.push(address);
    }
    found
}

/// Why `text` is no address with a port.
fn explain(text: &str) -> &'static str {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => "the port is missing",
        Ok(std::net::IpAddr::V6(_)) => "the port is missing, or the brackets around the address",
        Err(_) if host.contains(|c: char| c.is_ascii_alphabetic()) && !host.contains(':') => {
            "host names are not looked up"
        }
        Err(_) => "not an address with a port",
    }
}

/// A path, as written.
pub(super) fn path(value: Value<'_>) -> Option<String> {
    value.parsed(
        "a path",
        |text| {
            if text.is_empty() { Err("it is empty") } else { Ok(text.to_owned()) }
        },
    )
}
