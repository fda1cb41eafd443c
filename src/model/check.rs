//! What "healthy" means, and for whom it is asked.
//!
//! A [`Check`] is what an operator wrote; its [`CheckSpec`] is what has to be done. A [`Target`] is
//! one endpoint address under one spec: two pools, even of two zones, that name the same address
//! under equal specs name the same target, and it is probed once. How a probe is made is
//! `probe`'s business; what its results mean is `health`'s.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::formula::Formula;
use super::health::Verdict;
use super::{Name, RecordType};

/// A named check of a zone file (`[checks.NAME]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// The name it is called by.
    pub name: String,
    /// What it does. Shared, so that targets of many pools hold the same one.
    pub spec: Arc<CheckSpec>,
}

/// What a probe does and how its results are counted. Equal specs are the same check, whatever they
/// are called.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CheckSpec {
    /// What is tried.
    pub kind: CheckKind,
    /// The port that is asked, TCP or UDP; 0 for ICMP, and for a program that was told none.
    pub port: u16,
    /// Time between the starts of two probes of a target that is steady.
    pub interval: Duration,
    /// A probe that takes longer has failed. Never longer than `interval`.
    pub timeout: Duration,
    /// Successes in a row that bring a target back up.
    pub rise: NonZeroU8,
    /// Failures that take a target down.
    pub fall: NonZeroU8,
    /// Whether success and failure change places.
    pub invert: bool,
    /// What of its answers are slow; none are without.
    pub slow: Option<Slow>,
    /// Whether a target that goes down again and again is held back before it comes up once more.
    pub damping: bool,
    /// What checks over TLS go by beside names; none where all of it is at its default.
    pub tls: Option<Arc<TlsTerms>>,
}

impl CheckSpec {
    /// A check of this kind, with everything else at its default.
    #[must_use]
    pub fn new(kind: CheckKind, port: u16) -> Self {
        const COUNT: NonZeroU8 = NonZeroU8::new(3).expect("3 is not 0");
        Self {
            kind,
            port,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            rise: COUNT,
            fall: COUNT,
            invert: false,
            slow: Some(Slow::default()),
            damping: true,
            tls: None,
        }
    }
}

/// Whom a check over TLS trusts, who it is itself, and what it wants of certificates.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct TlsTerms {
    /// The certificates, in DER, that may vouch for the target's; those that the machine trusts when absent.
    pub roots: Option<Vec<Vec<u8>>>,
    /// What is shown to targets that ask for it.
    pub identity: Option<TlsIdentity>,
    /// The target's certificate should be good for so long; as long as it is good when absent.
    pub margin: Option<Duration>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TlsIdentity {
    /// The certificate, followed by those that vouch for it, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its private key, in DER: PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

/// Without the key, which is nothing to print.
impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// Answers that are right, but slow: longer than both of these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slow {
    /// So many times what is usual for the target; 0 when `floor` alone counts.
    pub factor: u8,
    /// At least so long.
    pub floor: Duration,
}

impl Default for Slow {
    fn default() -> Self {
        Self { factor: 3, floor: Duration::from_millis(250) }
    }
}

/// What a probe tries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CheckKind {
    /// A TCP connection can be opened.
    Tcp,
    /// A text is answered as expected, over TCP or UDP.
    Text(TextCheck),
    /// A TLS handshake comes to its end.
    Tls(TlsCheck),
    /// An HTTP request is answered as expected.
    Http(HttpCheck),
    /// A DNS query is answered as expected.
    Dns(DnsCheck),
    /// A gRPC server says that it serves.
    Grpc(GrpcCheck),
    /// A program ends with success.
    Exec(ExecCheck),
    /// An ICMP echo request is answered.
    Icmp,
    /// Nobody is asked: the target reports by itself.
    Heartbeat(HeartbeatCheck),
    /// Nothing: the verdict is this one.
    Fixed(Verdict),
    /// Nothing: the verdict is made of others.
    Calculated(Formula),
}

/// What is said first, and what must be heard.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TextCheck {
    /// What carries it.
    pub over: Carrier,
    /// What is sent. Over TCP nothing when absent: many servers speak first. Over UDP always there.
    pub send: Option<String>,
    /// Text that the first 64 KiB of the answer must contain; any octet will do when absent.
    pub expect: Option<String>,
}

/// What carries texts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// A TCP connection; the answer is what comes until it is closed.
    Tcp,
    /// Datagrams: for texts, one each way.
    Udp,
}

/// One TLS handshake.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TlsCheck {
    /// The name asked for (SNI) and verified. The endpoint's address when absent.
    pub host: Option<String>,
    /// Whether the certificate chain and name are verified.
    pub verify: bool,
}

/// One DNS query and the answer that counts as healthy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DnsCheck {
    /// The name asked for.
    pub qname: Name,
    /// The type asked for.
    pub qtype: RecordType,
    /// What carries it. What is truncated over UDP is asked for over TCP as well.
    pub over: Carrier,
    /// The response code that counts as healthy.
    pub rcode: u8,
    /// Data, in wire form, that one of the answer's records of that type must have.
    pub answer: Option<Box<[u8]>>,
}

/// One question to a server's gRPC health service (`grpc.health.v1`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrpcCheck {
    /// Over TLS.
    pub tls: bool,
    /// The authority that the request names and, over TLS, the name asked for (SNI) and verified. The
    /// endpoint's address when absent.
    pub host: Option<String>,
    /// Whether the certificate chain and name are verified.
    pub verify: bool,
    /// The service that is asked about; the server as a whole when empty.
    pub service: String,
}

/// Reports that come by themselves.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HeartbeatCheck {
    /// There must be one within such a time.
    pub period: Duration,
    /// What whoever reports must show; they must be on the same machine where there is none.
    pub token: Option<String>,
}

impl HeartbeatCheck {
    /// No period is longer.
    pub const PERIOD_MAX: Duration = Duration::from_secs(24 * 3600);
}

/// Without the token, which is nothing to print.
impl fmt::Debug for HeartbeatCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeartbeatCheck").field("period", &self.period).finish_non_exhaustive()
    }
}

/// One run of a program.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExecCheck {
    /// The name of a file in the directory that the server allows programs in.
    pub program: String,
    /// What it is called with.
    pub arguments: Vec<String>,
}

/// Response codes that a server without EDNS may give, with their mnemonics (RFC 1035 §4.1.1, RFC 2136
/// §2.2).
pub const RCODES: [(&str, u8); 11] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
];

/// Over which connections requests go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Connection {
    /// Each over a new one: a success means that a new client would be served.
    Fresh,
    /// One of so many over a new one, the others over that of the one before.
    Mixed(u16),
    /// Over one connection for as long as it holds.
    Keepalive,
}

/// One HTTP request and the answer that counts as healthy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpCheck {
    /// Over TLS (`kind = "https"`).
    pub tls: bool,
    /// `GET`, `HEAD`, …
    pub method: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// The `Host` header and, over TLS, the name asked for (SNI) and verified. The endpoint's
    /// address when absent.
    pub host: Option<String>,
    /// Whether the certificate chain and name are verified.
    pub verify: bool,
    /// Further header fields, by names in small letters, in their order.
    pub headers: Vec<(String, String)>,
    /// The status codes that count as healthy.
    pub status: Vec<RangeInclusive<u16>>,
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
    /// Over which connections it goes.
    pub connection: Connection,
}

/// One endpoint address under one check: what is probed, once, however many pools share it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Where.
    pub host: TargetHost,
    /// What.
    pub spec: Arc<CheckSpec>,
}

/// By what nearly always tells targets apart: a spec is long, and each result of a probe is looked up by this.
impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let CheckSpec { kind, port, .. } = &*self.spec;
        self.host.hash(state);
        (std::mem::discriminant(kind), port).hash(state);
    }
}

/// Where a target is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TargetHost {
    /// At an address.
    Address(IpAddr),
    /// At whatever addresses the machine's resolver knows the name by.
    Name(Name),
}

impl CheckKind {
    /// Whether certificates are verified; `None` where there are none.
    #[must_use]
    pub const fn verifies(&self) -> Option<bool> {
        match self {
            Self::Tls(TlsCheck { verify, .. })
            | Self::Http(HttpCheck { tls: true, verify, .. })
            | Self::Grpc(GrpcCheck { tls: true, verify, .. }) => Some(*verify),
            Self::Http(HttpCheck { tls: false, .. })
            | Self::Grpc(GrpcCheck { tls: false, .. })
            | Self::Tcp
            | Self::Text(_)
            | Self::Dns(_)
            | Self::Exec(_)
            | Self::Icmp
            | Self::Heartbeat(_)
            | Self::Fixed(_)
            | Self::Calculated(_) => None,
        }
    }

    /// The word in zone files: `tcp`, `http`, `dns`, …
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Tcp | Self::Text(TextCheck { over: Carrier::Tcp, .. }) => "tcp",
            Self::Text(TextCheck { over: Carrier::Udp, .. }) => "udp",
            Self::Tls(_) => "tls",
            Self::Dns(_) => "dns",
            Self::Grpc(_) => "grpc",
            Self::Exec(_) => "exec",
            Self::Icmp => "icmp",
            Self::Heartbeat(_) => "heartbeat",
            Self::Fixed(_) => "fixed",
            Self::Calculated(_) => "calculated",
            Self::Http(HttpCheck { tls: false, .. }) => "http",
            Self::Http(HttpCheck { tls: true, .. }) => "https",
        }
    }
}

impl CheckSpec {
    /// Whether what it takes to be answered says anything of the target.
    #[must_use]
    pub const fn measures_time(&self) -> bool {
        let is_asked = !matches!(
            self.kind,
            CheckKind::Heartbeat(_) | CheckKind::Fixed(_) | CheckKind::Calculated(_)
        );
        is_asked && !self.invert
    }
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// `https 192.0.2.10:443 /healthz` or `tcp [2001:db8::1]:8080`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.spec.kind.word())?;
        match (&self.host, self.spec.port) {
            (host, 0) => host.fmt(f)?,
            (TargetHost::Address(IpAddr::V6(address)), port) => write!(f, "[{address}]:{port}")?,
            (host, port) => write!(f, "{host}:{port}")?,
        }
        match &self.spec.kind {
            CheckKind::Tcp | CheckKind::Text(_) | CheckKind::Tls(_) | CheckKind::Icmp => Ok(()),
            CheckKind::Http(http) => write!(f, " {}", http.path),
            CheckKind::Dns(dns) => write!(f, " {} {}", dns.qname, dns.qtype),
            CheckKind::Grpc(grpc) if grpc.service.is_empty() => Ok(()),
            CheckKind::Grpc(grpc) => write!(f, " {}", grpc.service),
            CheckKind::Exec(exec) => write!(f, " {}", exec.program),
            CheckKind::Heartbeat(check) => write!(f, " every {:?}", check.period),
            CheckKind::Fixed(verdict) => write!(f, " {verdict}"),
            CheckKind::Calculated(formula) => write!(f, " {formula}"),
        }
    }
}
