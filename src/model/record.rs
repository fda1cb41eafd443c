//! Resource records in wire form.
//!
//! A [`Record`] holds its rdata uncompressed, as RFC 3597 §4 wants unknown types kept; which names
//! in it may be compressed is `snapshot`'s business. Mnemonics of types are read and printed here;
//! rdata in presentation form is read by `zone`.

use std::fmt;
use std::str::FromStr;

use super::{Name, Span};

/// A record type, by number (RFC 1035 §3.2.2 and the registry that followed).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

/// A record class, by number. Zones are of class `IN`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RecordClass(pub u16);

impl RecordClass {
    /// The Internet.
    pub const IN: Self = Self(1);
    /// Chaosnet; used for questions about the server itself.
    pub const CH: Self = Self(3);
    /// Any class (queries only).
    pub const ANY: Self = Self(255);
}

/// One record of a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The name it belongs to.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
    /// Time to live in seconds, at most 2³¹ − 1 (RFC 2181 §8).
    pub ttl: u32,
    /// Its data, names in it uncompressed: at most 65,535 octets.
    pub rdata: Box<[u8]>,
    /// Where it was written.
    pub span: Span,
}

macro_rules! record_types {
    ($($name:ident = $number:literal $text:literal),* $(,)?) => {
        #[expect(missing_docs, reason = "the names are the registry's own")]
        impl RecordType {
            $(pub const $name: Self = Self($number);)*
        }

        /// Mnemonics and numbers of the registry's types.
        const MNEMONICS: &[(&str, RecordType)] = &[$(($text, RecordType::$name)),*];
    };
}

record_types! {
    A = 1 "A", NS = 2 "NS", MD = 3 "MD", MF = 4 "MF", CNAME = 5 "CNAME", SOA = 6 "SOA", MB = 7 "MB",
    MG = 8 "MG", MR = 9 "MR", NULL = 10 "NULL", WKS = 11 "WKS", PTR = 12 "PTR", HINFO = 13 "HINFO",
    MINFO = 14 "MINFO", MX = 15 "MX", TXT = 16 "TXT", RP = 17 "RP", AFSDB = 18 "AFSDB", X25 = 19 "X25",
    ISDN = 20 "ISDN", RT = 21 "RT", NSAP = 22 "NSAP", NSAP_PTR = 23 "NSAP-PTR", SIG = 24 "SIG",
    KEY = 25 "KEY", PX = 26 "PX", GPOS = 27 "GPOS", AAAA = 28 "AAAA", LOC = 29 "LOC", NXT = 30 "NXT",
    EID = 31 "EID", NIMLOC = 32 "NIMLOC", SRV = 33 "SRV", ATMA = 34 "ATMA", NAPTR = 35 "NAPTR",
    KX = 36 "KX", CERT = 37 "CERT", A6 = 38 "A6", DNAME = 39 "DNAME", SINK = 40 "SINK", OPT = 41 "OPT",
    APL = 42 "APL", DS = 43 "DS", SSHFP = 44 "SSHFP", IPSECKEY = 45 "IPSECKEY", RRSIG = 46 "RRSIG",
    NSEC = 47 "NSEC", DNSKEY = 48 "DNSKEY", DHCID = 49 "DHCID", NSEC3 = 50 "NSEC3",
    NSEC3PARAM = 51 "NSEC3PARAM", TLSA = 52 "TLSA", SMIMEA = 53 "SMIMEA", HIP = 55 "HIP",
    NINFO = 56 "NINFO", RKEY = 57 "RKEY", TALINK = 58 "TALINK", CDS = 59 "CDS", CDNSKEY = 60 "CDNSKEY",
    OPENPGPKEY = 61 "OPENPGPKEY", CSYNC = 62 "CSYNC", ZONEMD = 63 "ZONEMD", SVCB = 64 "SVCB",
    HTTPS = 65 "HTTPS", DSYNC = 66 "DSYNC", HHIT = 67 "HHIT", BRID = 68 "BRID", SPF = 99 "SPF", NID = 104 "NID", L32 = 105 "L32",
    L64 = 106 "L64", LP = 107 "LP", EUI48 = 108 "EUI48", EUI64 = 109 "EUI64", NXNAME = 128 "NXNAME",
    TKEY = 249 "TKEY", TSIG = 250 "TSIG", IXFR = 251 "IXFR", AXFR = 252 "AXFR", MAILB = 253 "MAILB",
    MAILA = 254 "MAILA", ANY = 255 "ANY", URI = 256 "URI", CAA = 257 "CAA", AVC = 258 "AVC",
    DOA = 259 "DOA", AMTRELAY = 260 "AMTRELAY", RESINFO = 261 "RESINFO", WALLET = 262 "WALLET",
    CLA = 263 "CLA", IPN = 264 "IPN",
    TA = 32768 "TA", DLV = 32769 "DLV",
}

impl RecordType {
    /// The types that have a mnemonic, with it, by number.
    pub(crate) fn named() -> impl Iterator<Item = (&'static str, Self)> {
        MNEMONICS.iter().copied()
    }

    /// Whether it may only stand in questions or messages, never in a zone (RFC 6895 §3.1): the
    /// meta types and the question types.
    #[must_use]
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }
}

/// The mnemonic, or `TYPE65280` (RFC 3597 §5).
impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MNEMONICS.iter().find(|(_, rtype)| rtype == self) {
            Some((text, _)) => f.write_str(text),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no record type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownRecordType;

impl FromStr for RecordType {
    type Err = UnknownRecordType;

    /// Reads a mnemonic in either case, or `TYPE65280`.
    fn from_str(text: &str) -> Result<Self, UnknownRecordType> {
        // Most records of most zones are addresses.
        match text {
            "A" => return Ok(Self::A),
            "AAAA" => return Ok(Self::AAAA),
            _ => {}
        }
        if let Some((_, rtype)) = MNEMONICS.iter().find(|(t, _)| t.eq_ignore_ascii_case(text)) {
            return Ok(*rtype);
        }
        let digits = text.get(..4).filter(|head| head.eq_ignore_ascii_case("TYPE"));
        let number = digits.and_then(|_| text[4..].parse().ok());
        number.map(Self).ok_or(UnknownRecordType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mnemonics_round_trip_and_unknown_types_are_numbers() {
        for number in 0..=u16::MAX {
            let rtype = RecordType(number);
            assert_eq!(rtype.to_string().parse(), Ok(rtype));
        }
        assert_eq!("aaaa".parse(), Ok(RecordType::AAAA));
        assert_eq!("type65280".parse(), Ok(RecordType(65280)));
        assert_eq!("TYPE65536".parse::<RecordType>(), Err(UnknownRecordType));
        assert_eq!("AAAAA".parse::<RecordType>(), Err(UnknownRecordType));
    }
}
