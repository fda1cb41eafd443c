//! What is known of an endpoint's health, and how it came to be known.
//!
//! An [`Observation`] is one probe's result. The `health` layer turns a stream of them into a
//! [`TargetHealth`] per target and announces each change of verdict as a [`Transition`]; `steer`
//! looks at [`EndpointHealth`], which gathers an endpoint's targets by address family.

use std::fmt;
use std::time::Duration;

use super::check::RCODES;
use super::{AliasHealth, Target, Time};

/// The agreed state of a target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Verdict {
    /// It answers as it should.
    Up,
    /// It answers, but poorly: used while nothing better is at hand.
    Degraded,
    /// It does not answer as it should.
    Down,
    /// Nobody has looked yet. Never treated as down.
    #[default]
    Unknown,
}

impl Verdict {
    /// Whether an answer may name it without falling open: everything but `Down`.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        !matches!(self, Self::Down)
    }

    /// The word in logs, status and state files: `up`, `degraded`, `down`, `unknown`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    /// The verdict that [`word`](Self::word) prints as `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Up, Self::Degraded, Self::Down, Self::Unknown].into_iter().find(|v| v.word() == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which of the vantages that look at a target one is, so that they need not look at the same moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Turn {
    /// From 0.
    pub rank: u32,
    /// How many there are, at least 1.
    pub of: u32,
}

impl Turn {
    /// There is one vantage.
    pub const ALONE: Self = Self { rank: 0, of: 1 };
}

/// When the next probes of a target are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// From the start of the last probe to the start of the next.
    pub next: Duration,
    /// What to do while a probe is not answered; only to wait, if nothing.
    pub beside: Option<Beside>,
}

/// Other probes begin beside one that is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beside {
    /// So long after the one that is not answered.
    pub after: Duration,
    /// So long after each other.
    pub gap: Duration,
    /// So many may be under way, with the first.
    pub most: u32,
}

/// Why a probe failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureReason {
    /// No answer in time.
    Timeout,
    /// The connection was refused or reset.
    Refused,
    /// The network said that there is no way there.
    Unreachable,
    /// The TLS handshake failed for another reason than the certificate.
    Tls,
    /// The certificate is not valid for the name, the time or the trusted roots.
    Certificate,
    /// The HTTP status is not an expected one.
    Status(u16),
    /// The body does not contain the expected text.
    Body,
    /// The answer, or its records, are not those expected.
    Answer,
    /// The DNS response code is not the expected one.
    Rcode(u8),
    /// The gRPC status is not OK.
    Grpc(u8),
    /// The health that the server tells of itself or its service (`grpc.health.v1`) is not SERVING.
    NotServing(u8),
    /// The program ended with this status.
    Exit(u8),
    /// The program was ended by this signal.
    Signal(u8),
    /// The answer does not keep to the protocol, or broke off.
    Protocol,
    /// The host's name could not be resolved.
    Resolve,
    /// It succeeded, where the check wants that it does not.
    Success,
    /// The target did not report within the period.
    Missing,
}

impl FailureReason {
    /// The words of all reasons: their kinds, without their numbers.
    pub const WORDS: [&str; 17] = [
        "timeout",
        "refused",
        "unreachable",
        "tls",
        "certificate",
        "status",
        "body",
        "answer",
        "rcode",
        "grpc",
        "not-serving",
        "exit",
        "signal",
        "protocol",
        "resolve",
        "success",
        "missing",
    ];

    /// Its place among [`WORDS`](Self::WORDS).
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::Timeout => 0,
            Self::Refused => 1,
            Self::Unreachable => 2,
            Self::Tls => 3,
            Self::Certificate => 4,
            Self::Status(_) => 5,
            Self::Body => 6,
            Self::Answer => 7,
            Self::Rcode(_) => 8,
            Self::Grpc(_) => 9,
            Self::NotServing(_) => 10,
            Self::Exit(_) => 11,
            Self::Signal(_) => 12,
            Self::Protocol => 13,
            Self::Resolve => 14,
            Self::Success => 15,
            Self::Missing => 16,
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Refused => f.write_str("refused"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Tls => f.write_str("TLS handshake failed"),
            Self::Certificate => f.write_str("certificate not valid"),
            Self::Status(code) => write!(f, "status {code}"),
            Self::Body => f.write_str("body without the expected text"),
            Self::Answer => f.write_str("answer without what is expected"),
            Self::Rcode(code) => match RCODES.iter().find(|(_, known)| known == code) {
                Some((word, _)) => write!(f, "rcode {word}"),
                None => write!(f, "rcode {code}"),
            },
            Self::Grpc(code) => match GRPC_STATUSES.get(usize::from(*code)) {
                Some(word) => write!(f, "gRPC status {word}"),
                None => write!(f, "gRPC status {code}"),
            },
            Self::NotServing(code) => match GRPC_HEALTH.get(usize::from(*code)) {
                Some(word) => write!(f, "gRPC health {word}"),
                None => write!(f, "gRPC health {code}"),
            },
            Self::Exit(code) => write!(f, "exit status {code}"),
            Self::Signal(number) => write!(f, "ended by signal {number}"),
            Self::Protocol => f.write_str("answer breaks the protocol"),
            Self::Resolve => f.write_str("host name not resolved"),
            Self::Success => f.write_str("success, which is not wanted"),
            Self::Missing => f.write_str("no report within the period"),
        }
    }
}

/// What gRPC calls its statuses, by number.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What `grpc.health.v1` calls the health of a service, by number.
const GRPC_HEALTH: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// One probe's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// What was probed.
    pub target: Target,
    /// When the probe ended.
    pub at: Time,
    /// How it ended.
    pub outcome: ProbeOutcome,
    /// How long a round trip took, and nothing beside: until a connection was open, or an echo was back. None of
    /// what opened no connection of its own.
    pub round_trip: Option<Duration>,
}

/// How a probe ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeOutcome {
    /// The target answered as expected, after this long.
    Success(Duration),
    /// It did, but something is wrong with it.
    Flawed(Duration, Flaw),
    /// It did not.
    Failure(FailureReason),
    /// Our own machine could not ask (no descriptor, no address, no route of its own). Says
    /// nothing about the target and never counts against it.
    LocalError(LocalError),
}

/// What is wrong with a target that answers as expected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flaw {
    /// A certificate of its chain ends earlier than the check wants.
    CertificateEnds {
        /// Its place in the chain as it was sent: 0 is the target's own.
        place: u8,
        /// In so many whole days.
        days: u16,
    },
    /// A certificate of its chain has ended, which the check does not verify or finds a way around.
    CertificateOver {
        /// Its place in the chain.
        place: u8,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::CertificateEnds { place, .. } | Self::CertificateOver { place }) = self;
        f.write_str("certificate")?;
        if *place > 0 {
            write!(f, " {} of its chain", u16::from(*place) + 1)?;
        }
        match self {
            Self::CertificateEnds { days: 0, .. } => f.write_str(" ends within a day"),
            Self::CertificateEnds { days: 1, .. } => f.write_str(" ends in 1 day"),
            Self::CertificateEnds { days, .. } => write!(f, " ends in {days} days"),
            Self::CertificateOver { .. } => f.write_str(" has ended"),
        }
    }
}

/// Why a probe could not be made at all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LocalError {
    /// Out of file descriptors.
    Descriptors,
    /// No local address or port to send from.
    Address,
    /// Out of memory for what is sent and received.
    Buffers,
    /// Its time was over long before this machine got to see that: it was asleep, or overloaded.
    Late,
    /// Nobody has reported yet, and the first period is not over.
    Unheard,
    /// Any other refusal of our own kernel.
    Other,
}

impl ProbeOutcome {
    /// The same with success and failure in each other's place. A failure that is wanted took no time that
    /// would say anything of the target.
    #[must_use]
    pub const fn inverted(self) -> Self {
        match self {
            Self::Success(_) | Self::Flawed(..) => Self::Failure(FailureReason::Success),
            Self::Failure(_) => Self::Success(Duration::ZERO),
            Self::LocalError(error) => Self::LocalError(error),
        }
    }
}

impl LocalError {
    /// Whether the machine has too little of something, for all its probes alike.
    #[must_use]
    pub const fn is_scarcity(self) -> bool {
        matches!(self, Self::Descriptors | Self::Address | Self::Buffers | Self::Late)
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "out of file descriptors",
            Self::Address => "no local address or port",
            Self::Buffers => "out of buffers",
            Self::Late => "this machine was late to look",
            Self::Unheard => "no report yet",
            Self::Other => "refused by this machine",
        })
    }
}

/// A change of verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transition {
    /// Whose.
    pub target: Target,
    /// The verdict before.
    pub from: Verdict,
    /// The verdict after.
    pub to: Verdict,
    /// When.
    pub at: Time,
    /// In words for the log: `3 failures in a row, last: timeout`.
    pub why: String,
}

/// What is known of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetHealth {
    /// The verdict.
    pub verdict: Verdict,
    /// Since when.
    pub since: Time,
    /// The shortest time in which this verdict could change; `Duration::MAX` when nothing can
    /// change it. Answers that depend on it live no longer.
    pub next_change: Duration,
    /// How many vantages say so, all that look: 1 from one alone, 0 when they differ.
    pub agreed_by: u8,
    /// Whether it answers although it is down: it was lost so often of late that it is held back, by most of
    /// those for whom it is down.
    pub is_answering: bool,
}

impl TargetHealth {
    /// What is known of a target without a check: it is up and stays so.
    pub const UNCHECKED: Self = Self {
        verdict: Verdict::Up,
        since: Time::ZERO,
        next_change: Duration::MAX,
        agreed_by: 1,
        is_answering: false,
    };
}

/// What is known of one endpoint: one [`TargetHealth`] for each way to reach it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EndpointHealth {
    /// Of its IPv4 address, if it has one.
    pub v4: Option<TargetHealth>,
    /// Of its IPv6 address, if it has one.
    pub v6: Option<TargetHealth>,
    /// Of its host name, if it is one or an alias of it.
    pub host: Option<TargetHealth>,
    /// What was found of its host, if it is an alias.
    pub alias: AliasHealth,
    /// Whether an operator is draining it: new answers name it only when nothing else is alive.
    pub is_drained: bool,
    /// Whether an operator's word stands in the place of its verdict.
    pub is_forced: bool,
    /// When an operator's word that has made this what it is ends by itself.
    pub until: Option<Time>,
}
