//! `[checks.NAME]`: what "healthy" means.

use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::reader::{Key, Keys, Table, Value};
use super::text;
use crate::model::check::HttpCheck;
use crate::model::{Check, CheckKind, CheckSpec};

pub(super) const KEYS: Keys = Keys {
    place: "checks.NAME",
    known: &[
        "kind", "port", "method", "path", "host", "verify", "expect", "interval", "timeout",
        "rise", "fall",
    ],
    unbuilt: &["invert", "quorum", "certificate-expiry"],
};
pub(super) const EXPECT_KEYS: Keys =
    Keys { place: "checks.NAME.expect", known: &["status", "body"], unbuilt: &[] };

/// Keys that mean something in HTTP checks alone.
const HTTP_KEYS: [&str; 5] = ["method", "path", "host", "verify", "expect"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http,
    Https,
}

const KINDS: [(&str, Kind); 3] = [("tcp", Kind::Tcp), ("http", Kind::Http), ("https", Kind::Https)];
const KINDS_UNBUILT: [&str; 9] =
    ["dns", "exec", "grpc", "heartbeat", "icmp", "smtp", "tls", "udp", "calculated"];

const METHODS: [(&str, &str); 4] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("POST", "POST")];

const MILLISECOND: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);
const COUNT: NonZeroU8 = NonZeroU8::new(3).expect("3 is not 0");

/// Reads one check. After a finding the result is only good for going on.
pub(super) fn read<'d>((key, value): (Key<'d>, Value<'d>)) -> Check {
    let what = format!("check `{}`", key.text);
    let spec = value.table(what, &KEYS).map_or_else(placeholder, |table| read_spec(&table));
    Check { name: key.text.to_owned(), spec: Arc::new(spec) }
}

fn placeholder() -> CheckSpec {
    CheckSpec {
        kind: CheckKind::Tcp,
        port: 0,
        interval: INTERVAL,
        timeout: TIMEOUT,
        rise: COUNT,
        fall: COUNT,
    }
}

fn read_spec(table: &Table<'_>) -> CheckSpec {
    let mut spec = placeholder();
    let kind = table.require("kind", "\"https\"");
    if let Some(kind) = kind.and_then(|value| value.choice(&KINDS, &KINDS_UNBUILT)) {
        spec.kind = read_kind(table, kind);
        spec.port = read_port(table, kind);
    }
    let intervals = MILLISECOND * 100..=Duration::from_secs(3600);
    table.read_into("interval", &mut spec.interval, |value| value.duration(intervals));
    spec.timeout = read_timeout(table, spec.interval);
    table.read_into("rise", &mut spec.rise, count);
    table.read_into("fall", &mut spec.fall, count);
    spec
}

fn read_port(table: &Table<'_>, kind: Kind) -> u16 {
    let written = table.get("port").map(|value| value.short(1..=u16::MAX));
    match (written, kind) {
        (Some(port), _) => port.unwrap_or_default(),
        (None, Kind::Http) => 80,
        (None, Kind::Https) => 443,
        (None, Kind::Tcp) => {
            table.require("port", "8080");
            0
        }
    }
}

/// The timeout, which is never longer than the interval; the default gives way to that.
fn read_timeout(table: &Table<'_>, interval: Duration) -> Duration {
    let Some(value) = table.get("timeout") else { return TIMEOUT.min(interval) };
    let timeouts = MILLISECOND * 10..=Duration::from_secs(60);
    let Some(timeout) = value.duration(timeouts) else { return TIMEOUT };
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

fn read_kind(table: &Table<'_>, kind: Kind) -> CheckKind {
    if kind == Kind::Tcp {
        for value in HTTP_KEYS.into_iter().filter_map(|key| table.get(key)) {
            let message = format!("`{}` means nothing in a check of kind `tcp`", value.key);
            value.push(value.error(message).hint("remove it, or use kind `http` or `https`"));
        }
        return CheckKind::Tcp;
    }
    let mut http = HttpCheck {
        tls: kind == Kind::Https,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: table.get("host").and_then(read_host),
        verify: true,
        status: vec![200..=299],
        body: None,
    };
    table.read_into("method", &mut http.method, |value| {
        value.choice(&METHODS, &[]).map(str::to_owned)
    });
    table.read_into("path", &mut http.path, read_path);
    read_verify(table, &mut http);
    if let Some(expect) = table.table("expect", &EXPECT_KEYS) {
        read_expect(&expect, &mut http);
    }
    CheckKind::Http(http)
}

fn read_path(value: Value<'_>) -> Option<String> {
    value.parsed("a path such as `\"/healthz\"`", |text| match text {
        _ if !text.starts_with('/') => Err("it must begin with `/`"),
        _ if text.contains(|c: char| !c.is_ascii_graphic() || c == '#') => {
            Err("characters beside printable ASCII, and `#`, must be percent-encoded")
        }
        _ => Ok(text.to_owned()),
    })
}

/// A host name, without a dot at its end, or an address.
fn read_host(value: Value<'_>) -> Option<String> {
    value.parsed("a host name", |text| {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        match text {
            _ if text.is_empty() => Err("it is empty"),
            _ if text.contains("://") || text.contains('/') => Err("a name alone, not a URL"),
            _ if !text.chars().all(is_fit) => Err("not a host name"),
            _ => Ok(text.trim_end_matches('.').to_owned()),
        }
    })
}

fn read_verify(table: &Table<'_>, http: &mut HttpCheck) {
    let written = table.get("verify");
    table.read_into("verify", &mut http.verify, Value::boolean);
    if let Some(value) = written.filter(|_| !http.tls) {
        let error = value.error("`verify` means nothing in a check of kind `http`");
        value.push(error.hint("there is no certificate without TLS: remove it, or use `https`"));
    }
}

/// Warns of a certificate that is verified against an address, which few certificates name.
/// `is_addressed` says whether the check looks at endpoints with addresses.
pub(super) fn warn_unnamed((key, value): (Key<'_>, Value<'_>), check: &Check, is_addressed: bool) {
    let CheckKind::Http(http) = &check.spec.kind else { return };
    if http.tls && http.verify && http.host.is_none() && is_addressed {
        let message = format!("check `{}` verifies certificates against addresses", key.text);
        let hint = "add `host = \"www.example.com\"`, or `verify = false`";
        value.push(value.at(key.span).warning(message).hint(hint));
    }
}

fn read_expect(table: &Table<'_>, http: &mut HttpCheck) {
    table.read_into("status", &mut http.status, |value| {
        let expected = "status codes such as `\"2xx\"`, `\"301\"` or `\"200-204\"`";
        let items = value.list("status codes");
        if items.is_empty() && value.as_list().is_some() {
            value.push(value.error("no status code would ever count as healthy"));
        }
        let ranges: Vec<RangeInclusive<u16>> =
            items.into_iter().filter_map(|item| item.parsed(expected, text::status)).collect();
        Some(ranges)
    });
    if let Some(value) = table.get("body") {
        http.body = value.text("a text that the body must contain").map(str::to_owned);
        if http.method == "HEAD" {
            let error = value.error("a response to HEAD has no body that could be looked at");
            value.push(error.hint("use `method = \"GET\"`"));
        }
        if http.body.as_deref() == Some("") {
            value.push(value.error("every body contains the empty text").hint("remove it"));
        }
    }
}
