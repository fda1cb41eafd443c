//! `[dns.tls]`, `[dns.https]` and `[dns.quic]`: where questions are answered encrypted.
//!
//! All three say where to listen and with which certificate. Whether the files are there and fit is for
//! whoever opens them to say.

use std::net::SocketAddr;

use super::reader::{Keys, Table, Value};
use super::server::{path, some_addresses};

/// One of the three tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encrypted {
    /// Which one.
    pub transport: Transport,
    /// Addresses that are listened on. Port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// The file of the certificate and of those that vouch for it, in PEM form.
    pub certificate: String,
    /// The file of its private key, in PEM form.
    pub key: String,
}

/// What carries the messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transport {
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484), HTTP/2 only.
    Https {
        /// The path that is asked; others are not answered.
        path: String,
    },
    /// DNS over QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// The table's name below `[dns]`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Https { .. } => "https",
            Self::Quic => "quic",
        }
    }

    /// Whether it runs over UDP; otherwise over TCP.
    #[must_use]
    pub const fn is_udp(&self) -> bool {
        matches!(self, Self::Quic)
    }
}

pub(super) const TLS: Keys =
    Keys { place: "dns.tls", known: &["listen", "certificate", "key"], unbuilt: &[] };
pub(super) const HTTPS: Keys =
    Keys { place: "dns.https", known: &["listen", "certificate", "key", "path"], unbuilt: &[] };
pub(super) const QUIC: Keys =
    Keys { place: "dns.quic", known: &["listen", "certificate", "key"], unbuilt: &[] };

/// The path when none is written: the one that clients try first.
const PATH: &str = "/dns-query";

/// Reads the tables that there are below `[dns]`. `dns` and `admin` are the addresses of those two.
pub(super) fn read_encrypted(
    table: &Table<'_>,
    dns: &[SocketAddr],
    admin: &[SocketAddr],
) -> Vec<Encrypted> {
    let tables = [
        table.table("tls", &TLS).map(|table| (Transport::Tls, table)),
        table.table("https", &HTTPS).map(|table| (read_https(&table), table)),
        table.table("quic", &QUIC).map(|table| (Transport::Quic, table)),
    ];
    let mut claims = Claims(Vec::new());
    for (is_udp, addresses, by) in
        [(true, dns, "dns"), (false, dns, "dns"), (false, admin, "admin")]
    {
        claims.add(is_udp, addresses, by);
    }
    let tables = tables.into_iter().flatten();
    tables.filter_map(|(transport, table)| read_one(transport, &table, &mut claims)).collect()
}

fn read_one(transport: Transport, table: &Table<'_>, claims: &mut Claims) -> Option<Encrypted> {
    let example = match transport {
        Transport::Tls | Transport::Quic => "[\"0.0.0.0:853\", \"[::]:853\"]",
        Transport::Https { .. } => "[\"0.0.0.0:443\", \"[::]:443\"]",
    };
    let written = table.require("listen", example);
    let certificate = table.require("certificate", "\"cert.pem\"").and_then(path);
    let key = table.require("key", "\"key.pem\"").and_then(path);
    let listen = written.map(some_addresses).unwrap_or_default();
    if let Some(written) = written {
        claims.judge(written, transport.is_udp(), &listen);
    }
    claims.add(transport.is_udp(), &listen, table.place());
    Some(Encrypted { transport, listen, certificate: certificate?, key: key? })
}

fn read_https(table: &Table<'_>) -> Transport {
    let mut path = PATH.to_owned();
    table.read_into("path", &mut path, |value| {
        value.parsed("a path such as `/dns-query`", |text| {
            let is_fit = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '{' | '}');
            match text {
                _ if !text.starts_with('/') => Err("it must begin with `/`"),
                _ if !text.chars().all(is_fit) => Err("it must be the path of a URL alone"),
                _ => Ok(text.to_owned()),
            }
        })
    });
    Transport::Https { path }
}

/// What tables listen on. An address can be had once, so a second table that asks for it could not be
/// started.
struct Claims(Vec<Claim>);

struct Claim {
    is_udp: bool,
    address: SocketAddr,
    by: &'static str,
}

impl Claims {
    fn add(&mut self, is_udp: bool, addresses: &[SocketAddr], by: &'static str) {
        self.0.extend(addresses.iter().map(|address| Claim { is_udp, address: *address, by }));
    }

    /// Records every address of the list `written` that is claimed already.
    fn judge(&self, written: Value<'_>, is_udp: bool, addresses: &[SocketAddr]) {
        for address in addresses.iter().filter(|address| address.port() != 0) {
            let is_same = |claim: &&Claim| claim.is_udp == is_udp && claim.address == *address;
            if let Some(Claim { by, .. }) = self.0.iter().find(is_same) {
                let protocol = if is_udp { "UDP" } else { "TCP" };
                let message = format!("`[{by}]` listens on {protocol} {address} already");
                written.push(written.error(message));
            }
        }
    }
}
