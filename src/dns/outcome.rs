//! What became of one packet: a value to count, never logged or counted inside `dns`.

/// A response code (RFC 1035 §4.1.1, RFC 6895 §2.3); above 15 only with EDNS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rcode(pub u16);

#[expect(missing_docs, reason = "the names are the registry's own")]
impl Rcode {
    pub const NOERROR: Self = Self(0);
    pub const FORMERR: Self = Self(1);
    pub const SERVFAIL: Self = Self(2);
    pub const NXDOMAIN: Self = Self(3);
    pub const NOTIMP: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    pub const YXDOMAIN: Self = Self(6);
    pub const NOTAUTH: Self = Self(9);
    pub const BADVERS: Self = Self(16);
}

/// What kind of answer a packet got.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Records of a zone file.
    Static,
    /// Records that a rule chose.
    Steered,
    /// The name is there, the type is not.
    NoData,
    /// The name is not there.
    NxDomain,
    /// Others are authoritative.
    Referral,
    /// No zone of ours.
    NotOurs,
    /// Asked for something that we do not give.
    Refused,
    /// SERVFAIL, because a rule says so when all is down.
    ServFail,
    /// The packet is malformed.
    FormErr,
    /// The operation is not implemented.
    NotImp,
    /// The EDNS version is not implemented.
    BadVers,
    /// Its client has had too many: nothing is sent, or a truncated answer.
    Limited,
    /// Nothing is sent.
    Dropped,
}

impl Kind {
    /// All of them, in order: what metrics are indexed by.
    pub const ALL: [Self; 13] = [
        Self::Static,
        Self::Steered,
        Self::NoData,
        Self::NxDomain,
        Self::Referral,
        Self::NotOurs,
        Self::Refused,
        Self::ServFail,
        Self::FormErr,
        Self::NotImp,
        Self::BadVers,
        Self::Limited,
        Self::Dropped,
    ];

    /// The word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Steered => "steered",
            Self::NoData => "nodata",
            Self::NxDomain => "nxdomain",
            Self::Referral => "referral",
            Self::NotOurs => "not-ours",
            Self::Refused => "refused",
            Self::ServFail => "servfail",
            Self::FormErr => "formerr",
            Self::NotImp => "notimp",
            Self::BadVers => "badvers",
            Self::Limited => "limited",
            Self::Dropped => "dropped",
        }
    }
}

/// What became of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Octets of the reply; 0 when there is none.
    pub len: usize,
    /// What kind of answer it is.
    pub kind: Kind,
    /// Its response code.
    pub rcode: Rcode,
    /// Whether it was cut (TC), so that the client will come again over TCP.
    pub is_truncated: bool,
}

impl Outcome {
    pub(crate) const fn dropped() -> Self {
        Self { len: 0, kind: Kind::Dropped, rcode: Rcode::NOERROR, is_truncated: false }
    }
}
