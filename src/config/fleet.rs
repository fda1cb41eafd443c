//! `[fleet]`: with whom a machine shares votes, operators' words and zone files.

use std::num::NonZeroU8;

use super::reader::{Keys, Table, Value};
use super::region::read_location;
use super::server::path;
use crate::health::fleet::{Quorum, TEXT_MAX};
use crate::model::Coordinates;

/// `[fleet]`: the broker, who this machine is there, and how many must agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fleet {
    /// NATS servers, such as `nats://10.0.0.1:4222`; any of them will do.
    pub servers: Vec<String>,
    /// The name of this machine, which no other of the fleet has.
    pub name: String,
    /// Its group: those that are likely to be wrong together.
    pub group: String,
    /// Where it is: answers to clients near its group follow what the group reaches.
    pub location: Option<Coordinates>,
    /// What subjects and buckets on the broker begin with.
    pub prefix: String,
    /// The file of the fleet's keys.
    pub key_file: String,
    /// How this machine shows the broker who it is.
    pub login: Login,
    /// The certificates of TLS to the broker; as servers ask for it when `None`.
    pub tls: Option<FleetTls>,
    /// How many must agree on a verdict.
    pub quorum: Quorum,
    /// How many vantages look at each target.
    pub vantages: u8,
    /// On how many servers of the broker what it keeps is stored.
    pub replicas: u8,
}

/// How a machine shows the broker who it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Login {
    /// Not at all.
    #[default]
    None,
    /// By a file of credentials, as `nsc` makes them.
    Credentials(String),
    /// By a name and the password in a file.
    Password {
        /// The name.
        user: String,
        /// The file.
        file: String,
    },
}

/// `[fleet.tls]`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FleetTls {
    /// The certificate authority that servers are verified by; those of the system when `None`.
    pub ca: Option<String>,
    /// The certificate of this machine and its private key, where servers ask for one.
    pub identity: Option<(String, String)>,
}

pub(super) const FLEET: Keys = Keys {
    place: "fleet",
    known: &[
        "servers",
        "name",
        "group",
        "location",
        "prefix",
        "key-file",
        "credentials",
        "user",
        "password-file",
        "tls",
        "quorum",
        "vantages",
        "replicas",
    ],
    unbuilt: &[],
};
pub(super) const TLS: Keys =
    Keys { place: "fleet.tls", known: &["ca", "certificate", "key"], unbuilt: &[] };

/// What the fleet is called on the broker unless told otherwise.
const PREFIX: &str = "windrose";
/// How many vantages look at a target unless told otherwise: the fewest of which one can be wrong.
const VANTAGES: u8 = 3;

pub(super) fn read_fleet(table: &Table<'_>) -> Option<Fleet> {
    let servers = table.require("servers", "[\"nats://127.0.0.1:4222\"]").map(read_servers);
    let name = table.require("name", "\"node-1\"").and_then(read_name);
    let key_file = table.require("key-file", "\"fleet-key\"").and_then(path);
    let group = table.get("group").and_then(read_name);
    let location = table.get("location").and_then(read_location);
    let mut prefix = PREFIX.to_owned();
    table.read_into("prefix", &mut prefix, read_prefix);
    let mut quorum = Quorum::default();
    table.read_into("quorum", &mut quorum, read_quorum);
    let (mut vantages, mut replicas) = (VANTAGES, 1);
    table.read_into("vantages", &mut vantages, |value| value.small(1..=15));
    table.read_into("replicas", &mut replicas, |value| value.small(1..=5));
    let login = read_login(table);
    let tls = table.table("tls", &TLS).map(|table| read_tls(&table));
    let name = name?;
    Some(Fleet {
        servers: servers?,
        group: group.unwrap_or_else(|| name.clone()),
        name,
        location,
        prefix,
        key_file: key_file?,
        login,
        tls,
        quorum,
        vantages,
        replicas,
    })
}

fn read_servers(value: Value<'_>) -> Vec<String> {
    let expected = "an address such as `nats://127.0.0.1:4222` or `tls://nats.example.net`";
    let server = |item: Value<'_>| {
        item.parsed(expected, |text| {
            let (scheme, host) = text.split_once("://").unwrap_or(("nats", text));
            match scheme {
                "nats" | "tls" if host.is_empty() => Err("the host is missing"),
                "nats" | "tls" if host.contains('@') => Err("the login belongs in its own keys"),
                "nats" | "tls" if host.contains(char::is_whitespace) => Err("it has a space"),
                "nats" | "tls" => Ok(format!("{scheme}://{host}")),
                _ => Err("it is neither `nats` nor `tls`"),
            }
        })
    };
    let list = value.list("addresses");
    if value.as_list().is_some_and(|list| list.is_empty()) {
        value.push(value.error("there must be a server to connect to"));
    }
    list.into_iter().filter_map(server).collect()
}

/// A name that stands in subjects, logs and tables.
fn read_name(value: Value<'_>) -> Option<String> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    value.parsed("a name such as `node-1`", |text| match text {
        "" => Err("it is empty"),
        _ if text.len() > TEXT_MAX => Err("it is longer than 64 octets"),
        _ if !text.chars().all(is_fit) => Err("letters, digits, `-` and `_` only"),
        _ => Ok(text.to_owned()),
    })
}

/// What subjects and buckets begin with.
fn read_prefix(value: Value<'_>) -> Option<String> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_token = |token: &str| !token.is_empty() && token.chars().all(is_fit);
    value.parsed("the beginning of a subject, such as `windrose`", |text| match text {
        _ if text.len() > TEXT_MAX => Err("it is longer than 64 octets"),
        _ if !text.split('.').all(is_token) => Err("letters, digits, `-` and `_`, dots between"),
        _ => Ok(text.to_owned()),
    })
}

fn read_quorum(value: Value<'_>) -> Option<Quorum> {
    if value.is_integer() {
        let least = value.small(1..=15).and_then(NonZeroU8::new);
        return least.map(Quorum::AtLeast);
    }
    let words = [("majority", Quorum::Majority), ("any", Quorum::Any), ("all", Quorum::All)];
    value.choice(&words, &[])
}

fn read_login(table: &Table<'_>) -> Login {
    let credentials = table.get("credentials");
    let (user, file) = (table.get("user"), table.get("password-file"));
    if let (Some(credentials), Some(user)) = (credentials, user.or(file)) {
        let both = user.error(format!("`credentials` and `{}` exclude each other", user.key));
        user.push(both.hint("the broker asks for one of them"));
        return credentials
            .text("a path")
            .map_or(Login::None, |file| Login::Credentials(file.into()));
    }
    match (credentials, user, file) {
        (Some(credentials), ..) => path(credentials).map_or(Login::None, Login::Credentials),
        (None, Some(user), Some(file)) => {
            let user = user.text("a name").map(str::to_owned);
            let both = user.zip(path(file));
            both.map_or(Login::None, |(user, file)| Login::Password { user, file })
        }
        (None, Some(one), None) => lonely(one, "password-file", "\"nats-password\""),
        (None, None, Some(one)) => lonely(one, "user", "\"windrose\""),
        (None, None, None) => Login::None,
    }
}

fn lonely(one: Value<'_>, other: &str, example: &str) -> Login {
    let error = one.error(format!("`{}` means nothing without `{other}`", one.key));
    one.push(error.hint(format!("add `{other} = {example}`")));
    Login::None
}

fn read_tls(table: &Table<'_>) -> FleetTls {
    let (certificate, key) = (table.get("certificate"), table.get("key"));
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => path(certificate).zip(path(key)),
        (Some(one), None) => {
            lonely(one, "key", "\"key.pem\"");
            None
        }
        (None, Some(one)) => {
            lonely(one, "certificate", "\"cert.pem\"");
            None
        }
        (None, None) => None,
    };
    FleetTls { ca: table.get("ca").and_then(path), identity }
}
