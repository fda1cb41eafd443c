//! EDNS as it comes in and goes out (RFC 6891): client subnet (RFC 7871), cookies (RFC 7873), NSID (RFC 5001)
//! and extended errors (RFC 8914).
//!
//! Strict where resolvers rely on it: a malformed client subnet or cookie is a FORMERR (RFC 7871 §7.1.2,
//! RFC 7873 §5.2.2), a well-formed client subnet is echoed octet for octet with a scope. Options that we do
//! not know are ignored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie::{COOKIE_LEN, Cookie};
use super::{Arrival, UDP_PAYLOAD_MAX};
use crate::model::Prefix;
use crate::snapshot::gate::Gate;

/// Octets of an OPT record without options.
pub(super) const OPT_LEN: usize = 11;
/// Octets of an option's code and length.
const OPTION_HEAD_LEN: usize = 4;
/// Octets of a client subnet before its address: those, family, source, scope.
const SUBNET_HEAD_LEN: usize = 8;
/// Where among them the scope stands.
const SCOPE_AT: usize = 7;

/// Option codes.
const NSID: u16 = 3;
const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const EXTENDED_ERROR: u16 = 15;

/// The OPT record of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edns<'a> {
    /// The largest UDP message that the client takes.
    pub(super) payload: u16,
    /// The DO bit, echoed (RFC 3225).
    pub(super) dnssec_ok: bool,
    /// What it says besides, if anything.
    options: Option<Options<'a>>,
}

/// The options of a query that an answer looks at.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'a> {
    subnet: Option<SubnetOption<'a>>,
    cookie: Option<Cookie<'a>>,
    /// Whether the client wants to know which server this is.
    wants_nsid: bool,
}

/// Why an answer is not what was hoped for (RFC 8914 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ExtendedError(u16);

impl ExtendedError {
    /// The query is for no zone of ours, or a zone transfer that we do not give.
    pub(super) const NOT_AUTHORITATIVE: Self = Self(20);
    pub(super) const PROHIBITED: Self = Self(18);
    /// A rule says SERVFAIL when all is down.
    pub(super) const NO_REACHABLE_AUTHORITY: Self = Self(22);
}

/// An OPT record as it stands in a query: what is behind its owner and type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt<'a> {
    pub(super) class: u16,
    pub(super) ttl: [u8; 4],
    pub(super) rdata: &'a [u8],
}

/// Why an OPT record is not answered as it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EdnsError {
    /// Options, a client subnet or a cookie are malformed.
    Malformed,
    /// A version that is not implemented.
    Version,
}

impl<'a> Edns<'a> {
    /// Reads an OPT record.
    #[inline]
    pub(super) fn parse(opt: Opt<'a>) -> Result<Self, EdnsError> {
        let [_, version, flags, _] = opt.ttl;
        if version != 0 {
            return Err(EdnsError::Version);
        }
        let options = if opt.rdata.is_empty() { None } else { Some(Options::parse(opt.rdata)?) };
        Ok(Self { payload: opt.class, dnssec_ok: flags & 0x80 != 0, options })
    }

    /// Whether a cookie shows that the client is where it says.
    pub(super) fn has_good_cookie(&self, gate: &Gate, arrival: &Arrival) -> bool {
        let cookie = self.options.as_ref().and_then(|options| options.cookie.as_ref());
        let (secrets, client) = (&gate.cookie_secrets, arrival.client);
        cookie.is_some_and(|cookie| cookie.is_good(secrets, client, arrival.unix_secs))
    }

    /// Client subnet, if there was one.
    #[inline]
    pub(super) fn subnet(&self) -> Option<&SubnetOption<'a>> {
        self.options.as_ref()?.subnet.as_ref()
    }
}

impl<'a> Options<'a> {
    fn parse(rdata: &'a [u8]) -> Result<Self, EdnsError> {
        let mut options = Self::default();
        let mut rest = rdata;
        while let Some((head, _)) = rest.split_first_chunk::<OPTION_HEAD_LEN>() {
            let [code @ .., len_high, len_low] = *head;
            let len = OPTION_HEAD_LEN + usize::from(u16::from_be_bytes([len_high, len_low]));
            let (option, behind) = rest.split_at_checked(len).ok_or(EdnsError::Malformed)?;
            options.read(u16::from_be_bytes(code), option)?;
            rest = behind;
        }
        if rest.is_empty() { Ok(options) } else { Err(EdnsError::Malformed) }
    }

    /// Reads an option: head and data. Of several of one kind the first counts.
    #[inline]
    fn read(&mut self, code: u16, option: &'a [u8]) -> Result<(), EdnsError> {
        match code {
            CLIENT_SUBNET if self.subnet.is_none() => {
                self.subnet = Some(SubnetOption::parse(option).ok_or(EdnsError::Malformed)?);
            }
            COOKIE if self.cookie.is_none() => {
                let data = &option[OPTION_HEAD_LEN..];
                self.cookie = Some(Cookie::parse(data).ok_or(EdnsError::Malformed)?);
            }
            NSID => self.wants_nsid = true,
            _ => {}
        }
        Ok(())
    }
}

// ---- Replying ----

/// What is told in the OPT record of a reply beside what the query itself says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// The scope of a client subnet.
    pub(super) scope: u8,
    /// Why the answer is not what was hoped for.
    pub(super) error: Option<ExtendedError>,
}

impl Edns<'_> {
    /// Octets that the OPT record of the reply takes, an extended error not counted.
    #[inline]
    pub(super) fn reply_len(&self, gate: &Gate) -> usize {
        OPT_LEN + self.options.as_ref().map_or(0, |options| options.reply_len(gate))
    }

    /// Writes the OPT record of the reply at the start of `out`, which has room for
    /// [`reply_len`](Self::reply_len) octets; an extended error is written if there is room for it, too.
    /// Returns the octets written.
    #[inline]
    pub(super) fn write_reply(
        &self,
        out: &mut [u8],
        gate: &Gate,
        arrival: &Arrival,
        told: Told,
    ) -> usize {
        let (opt, room) = out.split_first_chunk_mut().expect("room for it was set aside");
        let mut writer = OptionWriter { out: room, len: 0 };
        if let Some(options) = &self.options {
            options.write_reply(&mut writer, gate, arrival, told.scope);
        }
        if let Some(ExtendedError(code)) = told.error {
            writer.push(EXTENDED_ERROR, &code.to_be_bytes());
        }
        *opt = opt_head(0, self.dnssec_ok, short(writer.len));
        OPT_LEN + writer.len
    }
}

impl Options<'_> {
    fn reply_len(&self, gate: &Gate) -> usize {
        let option = |len: usize| OPTION_HEAD_LEN + len;
        let is_cookie_told = self.cookie.is_some() && !gate.cookie_secrets.is_empty();
        self.subnet.map_or(0, |subnet| subnet.option.len())
            + if is_cookie_told { option(COOKIE_LEN) } else { 0 }
            + self.nsid(gate).map_or(0, |nsid| option(nsid.len()))
    }

    fn write_reply(&self, out: &mut OptionWriter<'_>, gate: &Gate, arrival: &Arrival, scope: u8) {
        if let Some(subnet) = &self.subnet
            && let Some(option) = out.repeat(subnet.option)
        {
            option[SCOPE_AT] = scope;
        }
        if let Some(cookie) = &self.cookie {
            let (client, unix_secs) = (arrival.client, arrival.unix_secs);
            if let Some(cookie) = cookie.reply(&gate.cookie_secrets, client, unix_secs) {
                out.push(COOKIE, &cookie);
            }
        }
        if let Some(nsid) = self.nsid(gate) {
            out.push(NSID, nsid);
        }
    }

    /// The server's id, if it was asked for and is told.
    fn nsid<'g>(&self, gate: &'g Gate) -> Option<&'g [u8]> {
        (self.wants_nsid && !gate.server_id.is_empty()).then_some(gate.server_id.as_bytes())
    }
}

/// Options of an OPT record in the making.
struct OptionWriter<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl OptionWriter<'_> {
    /// Appends an option, if there is room for it.
    #[inline]
    fn push(&mut self, code: u16, data: &[u8]) {
        let Some(rest) = self.out.get_mut(self.len..) else { return };
        let Some((head, behind)) = rest.split_first_chunk_mut::<OPTION_HEAD_LEN>() else { return };
        let Some(room) = behind.get_mut(..data.len()) else { return };
        let [code_high, code_low] = code.to_be_bytes();
        let [len_high, len_low] = short(data.len()).to_be_bytes();
        *head = [code_high, code_low, len_high, len_low];
        room.copy_from_slice(data);
        self.len += OPTION_HEAD_LEN + data.len();
    }

    /// Appends an option of the query as it came; returns it there, or nothing when there is no room for
    /// it.
    #[inline]
    fn repeat(&mut self, option: &[u8]) -> Option<&mut [u8]> {
        let room = self.out.get_mut(self.len..self.len + option.len())?;
        room.copy_from_slice(option);
        self.len += option.len();
        Some(room)
    }
}

fn short(len: usize) -> u16 {
    u16::try_from(len).expect("options are a few hundred octets")
}

/// The fixed part of an OPT record.
#[inline]
pub(super) const fn opt_head(rcode_high: u8, dnssec_ok: bool, options_len: u16) -> [u8; OPT_LEN] {
    let [payload_high, payload_low] = UDP_PAYLOAD_MAX.to_be_bytes();
    let flags = if dnssec_ok { 0x80 } else { 0 };
    let [len_high, len_low] = options_len.to_be_bytes();
    [0, 0, 41, payload_high, payload_low, rcode_high, 0, flags, 0, len_high, len_low]
}

/// A well-formed client subnet of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubnetOption<'a> {
    /// Code, length, family, source, scope and address as they came, to be echoed.
    option: &'a [u8],
    /// The subnet; `None` when the client wants none to be used (source 0).
    pub(super) prefix: Option<Prefix>,
}

impl<'a> SubnetOption<'a> {
    /// Reads an option, head and data; `None` when it is malformed in any of the ways of RFC 7871 §6: a
    /// family other than 1 and 2, a length that the family does not have, a scope in a query, an
    /// address of more or fewer octets than the source length needs, or bits set behind it. A
    /// subnet of length 0 and family 0 is taken as what it means: use none.
    fn parse(option: &'a [u8]) -> Option<Self> {
        let (head, address) = option.split_first_chunk::<SUBNET_HEAD_LEN>()?;
        let [_, _, _, _, family @ .., source, scope] = *head;
        if scope != 0 || address.len() != usize::from(source).div_ceil(8) {
            return None;
        }
        let prefix = match (u16::from_be_bytes(family), source) {
            (0..=2, 0) => None,
            (1, 1..=32) => Some(exact(v4_of(address)?.into(), source)?),
            (2, 1..=128) => Some(exact(v6_of(address).into(), source)?),
            _ => return None,
        };
        Some(Self { option, prefix })
    }
}

/// The first octets of an address, and zeros behind them.
#[inline]
fn v4_of(octets: &[u8]) -> Option<Ipv4Addr> {
    // Nearly all subnets are /24s.
    let (a, b, c, d) = match *octets {
        [a, b, c] => (a, b, c, 0),
        [a, b, c, d] => (a, b, c, d),
        [a, b] => (a, b, 0, 0),
        [a] => (a, 0, 0, 0),
        _ => return None,
    };
    Some(Ipv4Addr::new(a, b, c, d))
}

/// The same of at most 16.
#[inline]
fn v6_of(octets: &[u8]) -> Ipv6Addr {
    std::array::from_fn::<u8, 16, _>(|n| octets.get(n).copied().unwrap_or(0)).into()
}

/// The prefix, unless bits are set behind its length.
fn exact(address: IpAddr, len: u8) -> Option<Prefix> {
    let prefix = Prefix::new(address, len);
    (prefix.address() == address).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_subnets_are_read_strictly() {
        let option = |data: &[u8]| [&[0, 8, 0, u8::try_from(data.len()).unwrap()], data].concat();
        // The table of RFC 7871 §6 and §7.1.2.
        let good: [(&[u8], Option<&str>); 6] = [
            (&[0, 1, 24, 0, 192, 0, 2], Some("192.0.2.0/24")),
            (&[0, 1, 20, 0, 192, 0, 16], Some("192.0.16.0/20")),
            (&[0, 2, 32, 0, 0x20, 1, 0xd, 0xb8], Some("2001:db8::/32")),
            (&[0, 1, 0, 0], None),
            (&[0, 2, 0, 0], None),
            (&[0, 0, 0, 0], None),
        ];
        for (octets, prefix) in good {
            let read = SubnetOption::parse(&option(octets)).unwrap().prefix;
            assert_eq!(read, prefix.map(|text| text.parse().unwrap()), "{octets:?}");
        }
        let bad: [&[u8]; 10] = [
            &[],
            &[0, 1, 24],
            &[0, 1, 24, 0, 192, 0],          // An octet too few.
            &[0, 1, 24, 0, 192, 0, 2, 0],    // An octet too many.
            &[0, 1, 20, 0, 192, 0, 0x18],    // Bits behind the source length.
            &[0, 1, 24, 24, 192, 0, 2],      // A scope in a query.
            &[0, 1, 33, 0, 192, 0, 2, 0, 0], // Longer than the family has.
            &[0, 3, 8, 0, 10],               // A family that does not exist.
            &[0, 0, 8, 0, 10],               // A length without a family.
            &[0, 3, 0, 0],                   // The same without a length.
        ];
        for octets in bad {
            assert!(SubnetOption::parse(&option(octets)).is_none(), "{octets:?}");
        }
    }

    #[test]
    fn options_that_do_not_fill_the_record_are_malformed() {
        let opt = |rdata, version| Opt { class: 1232, ttl: [0, version, 0, 0], rdata };
        let parse = |rdata| Edns::parse(opt(rdata, 0)).map(|edns| edns.subnet().is_some());
        assert_eq!(parse(&[]), Ok(false));
        assert_eq!(parse(&[0, 99, 0, 1, 7]), Ok(false)); // Unknown: ignored (RFC 6891 §6.1.2).
        assert_eq!(parse(&[0, 99, 0, 2, 7]), Err(EdnsError::Malformed));
        assert_eq!(parse(&[0, 99, 0]), Err(EdnsError::Malformed));
        let version_1 = Edns::parse(opt(&[], 1)).map(|_| ());
        assert_eq!(version_1, Err(EdnsError::Version));
    }
}
