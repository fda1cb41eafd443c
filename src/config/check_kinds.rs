//! What checks of each kind have of their own: `method`, `send`, `query`, …, `expect`.
//!
//! A key that means nothing in a kind is an error there: it would be taken for a promise.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};

use super::reader::{Keys, Table, Value};
use super::text;
use crate::model::check::{
    Carrier, Connection, DnsCheck, ExecCheck, GrpcCheck, HeartbeatCheck, HttpCheck, RCODES,
    TextCheck, TlsCheck,
};
use crate::model::formula::Formula;
use crate::model::{CheckKind, Name, RecordType, Verdict};
use crate::zone::rdata_from_text;

pub(super) const EXPECT_KEYS: Keys = Keys {
    place: "checks.NAME.expect",
    known: &["status", "body", "text", "rcode", "answer"],
    unbuilt: &[],
};
pub(super) const QUERY_KEYS: Keys =
    Keys { place: "checks.NAME.query", known: &["name", "type"], unbuilt: &[] };

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Udp,
    Tls,
    Http,
    Https,
    Dns,
    Grpc,
    Exec,
    Icmp,
    Heartbeat,
    Fixed,
    Calculated,
}

impl Kind {
    /// Whether anybody looks.
    pub(super) const fn is_probed(self) -> bool {
        !matches!(self, Self::Fixed | Self::Calculated)
    }
}

/// All kinds with their words.
pub(super) const KINDS: [(&str, Kind); 12] = [
    ("tcp", Kind::Tcp),
    ("udp", Kind::Udp),
    ("tls", Kind::Tls),
    ("http", Kind::Http),
    ("https", Kind::Https),
    ("dns", Kind::Dns),
    ("grpc", Kind::Grpc),
    ("exec", Kind::Exec),
    ("icmp", Kind::Icmp),
    ("heartbeat", Kind::Heartbeat),
    ("fixed", Kind::Fixed),
    ("calculated", Kind::Calculated),
];
pub(super) const KINDS_UNBUILT: [&str; 1] = ["smtp"];

/// A key and the kinds in which it means something.
type OwnKey = (&'static str, &'static [Kind]);

/// What has a port.
const WITH_PORT: [Kind; 8] =
    [Kind::Tcp, Kind::Udp, Kind::Tls, Kind::Http, Kind::Https, Kind::Dns, Kind::Grpc, Kind::Exec];

/// What may be over TLS.
const WITH_TLS: [Kind; 3] = [Kind::Tls, Kind::Https, Kind::Grpc];

const OWN_KEYS: [OwnKey; 27] = [
    ("port", &WITH_PORT),
    ("method", &[Kind::Http, Kind::Https]),
    ("path", &[Kind::Http, Kind::Https]),
    ("headers", &[Kind::Http, Kind::Https]),
    ("connection", &[Kind::Http, Kind::Https]),
    ("host", &[Kind::Tls, Kind::Http, Kind::Https, Kind::Grpc]),
    ("verify", &WITH_TLS),
    ("ca", &WITH_TLS),
    ("certificate", &WITH_TLS),
    ("key", &WITH_TLS),
    ("expiry-warning", &WITH_TLS),
    ("send", &[Kind::Tcp, Kind::Udp]),
    ("query", &[Kind::Dns]),
    ("transport", &[Kind::Dns]),
    ("tls", &[Kind::Grpc]),
    ("service", &[Kind::Grpc]),
    ("command", &[Kind::Exec]),
    ("period", &[Kind::Heartbeat]),
    ("token", &[Kind::Heartbeat]),
    ("verdict", &[Kind::Fixed]),
    ("all", &[Kind::Calculated]),
    ("any", &[Kind::Calculated]),
    ("none", &[Kind::Calculated]),
    ("of", &[Kind::Calculated]),
    ("weights", &[Kind::Calculated]),
    ("at-least", &[Kind::Calculated]),
    ("expect", &[Kind::Tcp, Kind::Udp, Kind::Http, Kind::Https, Kind::Dns]),
];
const OWN_EXPECT_KEYS: [OwnKey; 5] = [
    ("status", &[Kind::Http, Kind::Https]),
    ("body", &[Kind::Http, Kind::Https]),
    ("text", &[Kind::Tcp, Kind::Udp]),
    ("rcode", &[Kind::Dns]),
    ("answer", &[Kind::Dns]),
];

const METHODS: [(&str, &str); 4] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("POST", "POST")];

/// Octets of a text that is sent or expected: what goes into one datagram without being fragmented.
const TEXT_LEN_MAX: usize = 1232;

/// Reads what the kind has of its own; names are relative to `apex`.
pub(super) fn read_kind(table: &Table<'_>, kind: Kind, apex: &Name) -> CheckKind {
    refuse_others(table, kind, &OWN_KEYS);
    let expect = table.get("expect").filter(|_| is_own(kind, "expect", &OWN_KEYS));
    let expect = expect.and_then(|_| table.table("expect", &EXPECT_KEYS));
    if let Some(expect) = &expect {
        refuse_others(expect, kind, &OWN_EXPECT_KEYS);
    }
    let expect = expect.as_ref();
    match kind {
        Kind::Tcp => match read_text(table, Carrier::Tcp, expect) {
            TextCheck { send: None, expect: None, .. } => CheckKind::Tcp,
            text => CheckKind::Text(text),
        },
        Kind::Udp => {
            table.require("send", "\"ping\"");
            CheckKind::Text(read_text(table, Carrier::Udp, expect))
        }
        Kind::Tls => CheckKind::Tls(read_tls(table)),
        Kind::Http | Kind::Https => CheckKind::Http(read_http(table, kind == Kind::Https, expect)),
        Kind::Dns => CheckKind::Dns(read_dns(table, expect, apex)),
        Kind::Grpc => CheckKind::Grpc(read_grpc(table)),
        Kind::Exec => CheckKind::Exec(read_exec(table)),
        Kind::Icmp => CheckKind::Icmp,
        Kind::Heartbeat => CheckKind::Heartbeat(read_heartbeat(table)),
        Kind::Fixed => CheckKind::Fixed(read_verdict(table)),
        // Its members may be defined further down.
        Kind::Calculated => CheckKind::Calculated(Formula::default()),
    }
}

fn is_own(kind: Kind, key: &str, own: &[OwnKey]) -> bool {
    own.iter().any(|(own, kinds)| *own == key && kinds.contains(&kind))
}

/// Records keys that mean nothing in a check of that kind.
fn refuse_others(table: &Table<'_>, kind: Kind, own: &[OwnKey]) {
    for (key, kinds) in own.iter().filter(|(_, kinds)| !kinds.contains(&kind)) {
        let Some(value) = table.get(key) else { continue };
        let message = format!("`{key}` means nothing in a check of kind `{}`", word_of(kind));
        let words: Vec<_> = kinds.iter().map(|kind| format!("`{}`", word_of(*kind))).collect();
        let hint = format!("remove it, or use kind {}", words.join(" or "));
        value.push(value.error(message).hint(hint));
    }
}

/// How probes are made and counted means nothing where there are none, or where nobody is asked.
pub(super) fn refuse_probing(table: &Table<'_>, kind: Kind) {
    let keys = if kind.is_probed() { &PROBING_KEYS[..ASKING_KEYS] } else { &PROBING_KEYS };
    for key in keys.iter().copied() {
        let Some(value) = table.get(key) else { continue };
        let message = format!("`{key}` means nothing in a check of kind `{}`", word_of(kind));
        value.push(value.error(message).hint("remove it: nobody is asked"));
    }
}

fn word_of(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| *word)
}

const PROBING_KEYS: [&str; 8] =
    ["interval", "timeout", "invert", "slow", "slow-factor", "rise", "fall", "flap-damping"];
/// So many of these are about asking, the rest about counting.
const ASKING_KEYS: usize = 5;

/// Characters of a token: what nobody guesses, and a header can hold.
const TOKEN_LEN: RangeInclusive<usize> = 16..=256;

fn read_heartbeat(table: &Table<'_>) -> HeartbeatCheck {
    let period = table.require("period", "\"30s\"");
    let periods = Duration::from_secs(1)..=HeartbeatCheck::PERIOD_MAX;
    let period =
        period.and_then(|value| value.duration(periods)).unwrap_or(HeartbeatCheck::PERIOD_MAX);
    let token = table.get("token").and_then(|value| {
        value.parsed("a secret of 16 to 256 characters", |text| match text {
            _ if !TOKEN_LEN.contains(&text.len()) => Err("its length is another"),
            _ if !text.bytes().all(|octet| octet.is_ascii_graphic()) => {
                Err("printable ASCII without spaces")
            }
            _ => Ok(text.to_owned()),
        })
    });
    HeartbeatCheck { period, token }
}

fn read_verdict(table: &Table<'_>) -> Verdict {
    let verdict = table.require("verdict", "\"down\"");
    let words = [("up", Verdict::Up), ("down", Verdict::Down)];
    verdict.and_then(|value| value.choice(&words, &[])).unwrap_or_default()
}

// ---- Texts ----

fn read_text(table: &Table<'_>, over: Carrier, expect: Option<&Table<'_>>) -> TextCheck {
    TextCheck {
        over,
        send: table.get("send").and_then(read_line),
        expect: expect.and_then(|expect| expect.get("text")).and_then(read_line),
    }
}

fn read_line(value: Value<'_>) -> Option<String> {
    value.parsed("a text", |text| match text.len() {
        0 => Err("it is empty"),
        1..=TEXT_LEN_MAX => Ok(text.to_owned()),
        _ => Err("it is longer than 1232 octets"),
    })
}

// ---- TLS ----

fn read_tls(table: &Table<'_>) -> TlsCheck {
    let mut tls = TlsCheck { host: table.get("host").and_then(read_host), verify: true };
    table.read_into("verify", &mut tls.verify, Value::boolean);
    tls
}

// ---- HTTP ----

fn read_http(table: &Table<'_>, tls: bool, expect: Option<&Table<'_>>) -> HttpCheck {
    let mut http = HttpCheck {
        tls,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: table.get("host").and_then(read_host),
        verify: true,
        headers: Vec::new(),
        status: vec![200..=299],
        body: None,
        connection: Connection::Fresh,
    };
    table.read_into("connection", &mut http.connection, read_connection);
    table.read_into("method", &mut http.method, |value| {
        value.choice(&METHODS, &[]).map(str::to_owned)
    });
    table.read_into("path", &mut http.path, read_path);
    table.read_into("verify", &mut http.verify, Value::boolean);
    if let Some(value) = table.get("headers") {
        http.headers = read_headers(value);
    }
    if let Some(expect) = expect {
        read_http_expect(expect, &mut http);
    }
    http
}

/// `fresh`, `keepalive` or `mixed:30`.
fn read_connection(value: Value<'_>) -> Option<Connection> {
    let expected = "`\"fresh\"`, `\"keepalive\"` or `\"mixed:30\"`";
    value.parsed(expected, |text| match (text, text.strip_prefix("mixed:")) {
        ("fresh", _) => Ok(Connection::Fresh),
        ("keepalive", _) => Ok(Connection::Keepalive),
        (_, Some(of)) => match of.parse() {
            Ok(of @ 2..=1000) => Ok(Connection::Mixed(of)),
            _ => Err("one of 2 to 1000 is over a new connection"),
        },
        (_, None) => Err("there is no such policy"),
    })
}

/// Header fields that requests have anyway, or that would make them others than they seem.
const OWN_HEADERS: [&str; 6] =
    ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];

/// Header fields, in the order of their names: equal ones make equal checks.
fn read_headers(value: Value<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (key, value) in value.named("{ Authorization = \"Bearer …\" }") {
        let name = key.text.to_ascii_lowercase();
        let text = value.parsed("the value of a header field", |text| {
            HeaderValue::from_str(text)
                .map(|_| text)
                .map_err(|_| "no header field can have this value")
        });
        let fault = match name.as_str() {
            "host" => Some("requests have it from `host`"),
            name if OWN_HEADERS.contains(&name) => Some("requests have it as they need it"),
            name if HeaderName::from_bytes(name.as_bytes()).is_err() => Some("not a name of one"),
            name if headers.iter().any(|(known, _)| known == name) => Some("it is there already"),
            _ => None,
        };
        if let Some(fault) = fault {
            let message = format!("`{}` cannot be a header field of a check", key.text);
            value.push(value.at(key.span).error(message).label(fault));
        }
        headers.extend(text.map(|text| (name, text.to_owned())));
    }
    headers.sort_unstable();
    headers
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

fn read_http_expect(table: &Table<'_>, http: &mut HttpCheck) {
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

// ---- gRPC ----

/// Octets of a service's name.
const SERVICE_LEN_MAX: usize = 255;

fn read_grpc(table: &Table<'_>) -> GrpcCheck {
    let host = table.get("host").and_then(read_host);
    let mut grpc = GrpcCheck { tls: false, host, verify: true, service: String::new() };
    table.read_into("tls", &mut grpc.tls, Value::boolean);
    table.read_into("verify", &mut grpc.verify, Value::boolean);
    for key in ["verify", "ca", "certificate", "key", "expiry-warning"] {
        if let Some(value) = table.get(key).filter(|_| !grpc.tls) {
            let error = value.error(format!("`{key}` means nothing without TLS"));
            value.push(error.hint(format!("remove `{key}`, or add `tls = true`")));
        }
    }
    table.read_into("service", &mut grpc.service, |value| {
        value.parsed("a service such as `\"shop.Cart\"`", |text| match text.len() {
            0..=SERVICE_LEN_MAX => Ok(text.to_owned()),
            _ => Err("it is longer than 255 octets"),
        })
    });
    grpc
}

// ---- Programs ----

fn read_exec(table: &Table<'_>) -> ExecCheck {
    let none = ExecCheck { program: String::new(), arguments: Vec::new() };
    let Some(value) = table.require("command", "[\"database\", \"--deep\"]") else { return none };
    let items = value.list("a program and its arguments");
    let Some((program, arguments)) = items.split_first() else {
        if value.as_list().is_some() {
            value.push(value.error("a command begins with a program"));
        }
        return none;
    };
    let program = program.parsed("a text", |text| match text {
        "" | "." | ".." => Err("it is no name of a file"),
        _ if text.contains('/') => Err("a name alone: the server file says where programs lie"),
        _ if text.contains('\0') => Err("it is no name of a file"),
        _ => Ok(text.to_owned()),
    });
    let argument = |item: &Value<'_>| {
        item.parsed("a text", |text| match text.contains('\0') {
            true => Err("no program can be given this character"),
            false => Ok(text.to_owned()),
        })
    };
    ExecCheck {
        program: program.unwrap_or_default(),
        arguments: arguments.iter().filter_map(argument).collect(),
    }
}

// ---- DNS ----

const TRANSPORTS: [(&str, Carrier); 2] = [("udp", Carrier::Udp), ("tcp", Carrier::Tcp)];

fn read_dns(table: &Table<'_>, expect: Option<&Table<'_>>, apex: &Name) -> DnsCheck {
    let mut dns = DnsCheck {
        qname: apex.clone(),
        qtype: RecordType::A,
        over: Carrier::Udp,
        rcode: 0,
        answer: None,
    };
    table.require("query", "{ name = \"www\", type = \"A\" }");
    if let Some(query) = table.table("query", &QUERY_KEYS) {
        if let Some(name) = query.require("name", "\"www\"") {
            dns.qname = name.name(apex).unwrap_or(dns.qname);
        }
        query.read_into("type", &mut dns.qtype, read_type);
    }
    table.read_into("transport", &mut dns.over, |value| value.choice(&TRANSPORTS, &[]));
    let Some(expect) = expect else { return dns };
    expect.read_into("rcode", &mut dns.rcode, |value| value.choice(&RCODES, &[]));
    let Some(value) = expect.get("answer") else { return dns };
    if dns.rcode != 0 {
        let error = value.error("an answer with an error has no records that could be looked at");
        value.push(error.hint("remove `answer`, or expect `rcode = \"NOERROR\"`"));
    }
    let Some(text) = value.text("the data of a record, such as `\"192.0.2.1\"`") else {
        return dns;
    };
    match rdata_from_text(dns.qtype, text, apex, value.span) {
        Ok(rdata) => dns.answer = Some(rdata.into()),
        Err(error) => value.push(*error),
    }
    dns
}

/// The type of a query that gets records of that type.
fn read_type(value: Value<'_>) -> Option<RecordType> {
    value.parsed("a record type such as `\"A\"`", |text| match text.parse::<RecordType>() {
        Err(_) => Err("there is no such type"),
        Ok(rtype) if rtype.is_meta() => Err("records of zones have no such type"),
        Ok(rtype) => Ok(rtype),
    })
}
