//! `[checks.NAME]`: what "healthy" means.
//!
//! Here stands what checks of all kinds have; what each kind has of its own is read by
//! [`check_kinds`](super::check_kinds).

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use super::check_formula::Written;
use super::check_kinds::{KINDS, KINDS_UNBUILT, Kind, read_kind, refuse_probing};
use super::reader::{Key, Keys, Table, Value};
use super::{ZoneFiles, check_tls, text};
use crate::model::check::{Connection, Slow};
use crate::model::{Check, CheckKind, CheckSpec, Name};

pub(super) const KEYS: Keys = Keys {
    place: "checks.NAME",
    known: &[
        "kind",
        "port",
        "method",
        "path",
        "host",
        "verify",
        "ca",
        "certificate",
        "key",
        "expiry-warning",
        "send",
        "query",
        "tls",
        "service",
        "command",
        "period",
        "token",
        "verdict",
        "all",
        "any",
        "none",
        "of",
        "weights",
        "at-least",
        "headers",
        "connection",
        "transport",
        "expect",
        "interval",
        "timeout",
        "rise",
        "fall",
        "invert",
        "slow",
        "slow-factor",
        "flap-damping",
    ],
    unbuilt: &["quorum"],
};

/// The shortest and the longest time between two looks at what was reported.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
const MILLISECOND: Duration = Duration::from_millis(1);
/// `slow`, when nothing is.
const NEVER: &str = "never";

/// Reads one check, and the formula that it is calculated by, if it is; names in it are relative to `apex`, and
/// files are `files`. After a finding the result is only good for going on.
pub(super) fn read<'d>(
    (key, value): (Key<'d>, Value<'d>),
    apex: &Name,
    files: &dyn ZoneFiles,
) -> (Check, Option<Written<'d>>) {
    let what = format!("check `{}`", key.text);
    let table = value.table(what, &KEYS);
    let spec = table.as_ref().map_or_else(default_spec, |table| read_spec(table, apex, files));
    let is_calculated = matches!(spec.kind, CheckKind::Calculated(_));
    let written = table.filter(|_| is_calculated).and_then(|table| Written::read(&table));
    (Check { name: key.text.to_owned(), spec: Arc::new(spec) }, written)
}

/// What a check is before its table says anything.
fn default_spec() -> CheckSpec {
    CheckSpec::new(CheckKind::Tcp, 0)
}

fn read_spec(table: &Table<'_>, apex: &Name, files: &dyn ZoneFiles) -> CheckSpec {
    let mut spec = default_spec();
    let kind = table.require("kind", "\"https\"");
    if let Some(kind) = kind.and_then(|value| value.choice(&KINDS, &KINDS_UNBUILT)) {
        spec.kind = read_kind(table, kind, apex);
        if !kind.is_probed() {
            refuse_probing(table, kind);
            return spec;
        }
        if let CheckKind::Heartbeat(check) = &spec.kind {
            refuse_probing(table, kind);
            // The period is what counts; how often it is looked is nobody's matter.
            spec.interval = (check.period / 4).clamp(LOOKS[0], LOOKS[1]);
            spec.timeout = spec.interval;
            (spec.rise, spec.fall, spec.slow) = (NonZeroU8::MIN, NonZeroU8::MIN, None);
            read_counts(table, &mut spec);
            return spec;
        }
        spec.port = read_port(table, kind);
        if let Some(verify) = spec.kind.verifies() {
            spec.tls = check_tls::read(table, verify, files);
        }
    }
    let intervals = MILLISECOND * 100..=Duration::from_secs(3600);
    table.read_into("interval", &mut spec.interval, |value| value.duration(intervals));
    spec.timeout = read_timeout(table, spec.timeout, spec.interval);
    read_counts(table, &mut spec);
    warn_of_one_failure(table, &spec);
    table.read_into("invert", &mut spec.invert, Value::boolean);
    spec.slow = if spec.invert { refuse_quality(table) } else { read_slow(table) };
    spec
}

fn read_counts(table: &Table<'_>, spec: &mut CheckSpec) {
    table.read_into("rise", &mut spec.rise, count);
    table.read_into("fall", &mut spec.fall, count);
    table.read_into("flap-damping", &mut spec.damping, Value::boolean);
}

/// Warns where a connection that was forgotten on the way, by a firewall, is all that it takes to be down.
fn warn_of_one_failure(table: &Table<'_>, spec: &CheckSpec) {
    let is_kept =
        matches!(&spec.kind, CheckKind::Http(http) if http.connection != Connection::Fresh);
    if let (true, 1, Some(fall)) = (is_kept, spec.fall.get(), table.get("fall")) {
        let message =
            format!("one failure over a connection that is kept takes {} down", table.what);
        let hint = "a firewall that forgets the connection is one: `fall = 2`, or `connection = \"fresh\"`";
        fall.push(fall.warning(message).hint(hint));
    }
}

/// What counts as slow; nothing if the zone file says so.
fn read_slow(table: &Table<'_>) -> Option<Slow> {
    let mut slow = Slow::default();
    table.read_into("slow-factor", &mut slow.factor, |value| value.small(0..=100));
    let Some(value) = table.get("slow") else { return Some(slow) };
    if value.is_text(NEVER) {
        if let Some(factor) = table.get("slow-factor") {
            let error = factor.error("`slow-factor` means nothing when nothing is slow");
            factor.push(error.label(format!("`slow` is \"{NEVER}\"")));
        }
        return None;
    }
    slow.floor = value.duration(MILLISECOND * 10..=Duration::from_secs(60)).unwrap_or(slow.floor);
    Some(slow)
}

/// What is wanted not to answer is never slow, and shows no certificate.
fn refuse_quality(table: &Table<'_>) -> Option<Slow> {
    for value in
        ["slow", "slow-factor", "expiry-warning"].into_iter().filter_map(|key| table.get(key))
    {
        let error = value.error(format!("`{}` means nothing in an inverted check", value.key));
        value.push(error.hint("remove it: what is wanted not to answer cannot do so poorly"));
    }
    None
}

fn read_port(table: &Table<'_>, kind: Kind) -> u16 {
    let written = table.get("port").map(|value| value.short(1..=u16::MAX));
    match (written, kind) {
        (None, Kind::Exec) | (_, Kind::Icmp | Kind::Heartbeat | Kind::Fixed | Kind::Calculated) => {
            0
        }
        (Some(port), _) => port.unwrap_or_default(),
        (None, Kind::Http) => 80,
        (None, Kind::Https | Kind::Tls) => 443,
        (None, Kind::Dns) => 53,
        (None, Kind::Tcp | Kind::Udp | Kind::Grpc) => {
            table.require("port", "8080");
            0
        }
    }
}

/// The timeout, which is never longer than the interval; the default gives way to that.
fn read_timeout(table: &Table<'_>, default: Duration, interval: Duration) -> Duration {
    let Some(value) = table.get("timeout") else { return default.min(interval) };
    let timeouts = MILLISECOND * 10..=Duration::from_secs(60);
    let Some(timeout) = value.duration(timeouts) else { return default };
    if timeout > interval {
        let (timeout, interval) = (text::show(timeout), text::show(interval));
        let error = value.error(format!("{} has a timeout longer than its interval", table.what));
        value.push(error.label(format!("{timeout} is longer than {interval}")));
    }
    timeout
}

fn count(value: Value<'_>) -> Option<NonZeroU8> {
    value.small(1..=u8::MAX).and_then(NonZeroU8::new)
}

/// Warns of a certificate that is verified against an address, which few certificates name.
/// `is_addressed` says whether the check looks at endpoints with addresses.
pub(super) fn warn_unnamed((key, value): (Key<'_>, Value<'_>), check: &Check, is_addressed: bool) {
    let is_unnamed = match &check.spec.kind {
        CheckKind::Http(http) => http.tls && http.verify && http.host.is_none(),
        CheckKind::Tls(tls) => tls.verify && tls.host.is_none(),
        CheckKind::Grpc(grpc) => grpc.tls && grpc.verify && grpc.host.is_none(),
        CheckKind::Tcp
        | CheckKind::Text(_)
        | CheckKind::Dns(_)
        | CheckKind::Exec(_)
        | CheckKind::Icmp
        | CheckKind::Heartbeat(_)
        | CheckKind::Fixed(_)
        | CheckKind::Calculated(_) => false,
    };
    if is_unnamed && is_addressed {
        let message = format!("check `{}` verifies certificates against addresses", key.text);
        let hint = "add `host = \"www.example.com\"`, or `verify = false`";
        value.push(value.at(key.span).warning(message).hint(hint));
    }
}
