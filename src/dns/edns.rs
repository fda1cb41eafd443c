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
/// Octets of a client subnet before its address: family, source, scope.
const SUBNET_HEAD_LEN: usize = 4;

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
    /// Client subnet, if there was one.
    pub(super) subnet: Option<SubnetOption<'a>>,
    /// The cookie, if there was one.
    pub(super) cookie: Option<Cookie<'a>>,
    /// Whether the client wants to know which server this is.
    pub(super) wants_nsid: bool,
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

/// Why an OPT record is not answered as it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EdnsError {
    /// Options, a client subnet or a cookie are malformed.
    Malformed,
    /// A version that is not implemented.
    Version,
}

impl<'a> Edns<'a> {
    /// Reads what stands behind the OPT record's owner and type: class, TTL, and rdata.
    pub(super) fn parse(class: u16, ttl: u32, rdata: &'a [u8]) -> Result<Self, EdnsError> {
        let [_, version, flags, _] = ttl.to_be_bytes();
        if version != 0 {
            return Err(EdnsError::Version);
        }
        let mut edns = Self {
            payload: class,
            dnssec_ok: flags & 0x80 != 0,
            subnet: None,
            cookie: None,
            wants_nsid: false,
        };
        let mut rest = rdata;
        while let Some((head, behind)) = rest.split_first_chunk::<OPTION_HEAD_LEN>() {
            let [code @ .., _, _] = *head;
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let data = behind.get(..len).ok_or(EdnsError::Malformed)?;
            edns.option(u16::from_be_bytes(code), data)?;
            rest = &behind[len..];
        }
        if rest.is_empty() { Ok(edns) } else { Err(EdnsError::Malformed) }
    }

    /// Reads an option. Of several of one kind the first counts.
    fn option(&mut self, code: u16, data: &'a [u8]) -> Result<(), EdnsError> {
        match code {
            CLIENT_SUBNET if self.subnet.is_none() => {
                self.subnet = Some(SubnetOption::parse(data).ok_or(EdnsError::Malformed)?);
            }
            COOKIE if self.cookie.is_none() => {
                self.cookie = Some(Cookie::parse(data).ok_or(EdnsError::Malformed)?);
            }
            NSID => self.wants_nsid = true,
            _ => {}
        }
        Ok(())
    }
}

/// The OPT record that answers a query's.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptReply<'a> {
    edns: Edns<'a>,
    cookie: Option<[u8; COOKIE_LEN]>,
    /// Empty when it was not asked for or is not told.
    nsid: &'a [u8],
}

impl<'a> OptReply<'a> {
    /// What `gate` has to say to `edns`.
    pub(super) fn new(edns: Edns<'a>, gate: &'a Gate, arrival: Arrival) -> Self {
        let cookie = edns.cookie.and_then(|cookie| {
            cookie.reply(&gate.cookie_secrets, arrival.client, arrival.unix_secs)
        });
        let nsid = if edns.wants_nsid { gate.server_id.as_bytes() } else { &[] };
        Self { edns, cookie, nsid }
    }

    /// Octets that it takes, an extended error not counted.
    pub(super) fn len(&self) -> usize {
        let option = |len: usize| OPTION_HEAD_LEN + len;
        OPT_LEN
            + self.edns.subnet.map_or(0, |subnet| option(subnet.octets.len()))
            + self.cookie.map_or(0, |cookie| option(cookie.len()))
            + if self.nsid.is_empty() { 0 } else { option(self.nsid.len()) }
    }

    /// Writes it at the start of `out`, which has at least [`len`](Self::len) octets; an extended error is
    /// written if there is room. Returns the octets written.
    pub(super) fn write(&self, out: &mut [u8], scope: u8, error: Option<ExtendedError>) -> usize {
        let mut len = OPT_LEN;
        let mut option = |code: u16, parts: [&[u8]; 2]| {
            let data_len = parts[0].len() + parts[1].len();
            let Some(room) = out.get_mut(len..len + OPTION_HEAD_LEN + data_len) else { return };
            room[..2].copy_from_slice(&code.to_be_bytes());
            room[2..4].copy_from_slice(&short(data_len).to_be_bytes());
            let data = &mut room[OPTION_HEAD_LEN..];
            data[..parts[0].len()].copy_from_slice(parts[0]);
            data[parts[0].len()..].copy_from_slice(parts[1]);
            len += OPTION_HEAD_LEN + data_len;
        };
        if let Some(subnet) = &self.edns.subnet {
            let [family_0, family_1, source, _] = *subnet.head();
            option(CLIENT_SUBNET, [&[family_0, family_1, source, scope], subnet.address()]);
        }
        if let Some(cookie) = &self.cookie {
            option(COOKIE, [cookie, &[]]);
        }
        if !self.nsid.is_empty() {
            option(NSID, [self.nsid, &[]]);
        }
        if let Some(ExtendedError(code)) = error {
            option(EXTENDED_ERROR, [&code.to_be_bytes(), &[]]);
        }
        let dnssec_ok = self.edns.dnssec_ok;
        write_opt(&mut out[..OPT_LEN], 0, dnssec_ok, short(len - OPT_LEN));
        len
    }
}

fn short(len: usize) -> u16 {
    u16::try_from(len).expect("options are a few hundred octets")
}

/// Writes an OPT record's fixed part into `opt`, which has [`OPT_LEN`] octets.
pub(super) fn write_opt(opt: &mut [u8], rcode_high: u8, dnssec_ok: bool, options_len: u16) {
    opt[..3].copy_from_slice(&[0, 0, 41]);
    opt[3..5].copy_from_slice(&UDP_PAYLOAD_MAX.to_be_bytes());
    opt[5..9].copy_from_slice(&[rcode_high, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
    opt[9..11].copy_from_slice(&options_len.to_be_bytes());
}

/// A well-formed client subnet of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubnetOption<'a> {
    /// Family, source, scope and address as they came, to be echoed.
    octets: &'a [u8],
    /// The subnet; `None` when the client wants none to be used (source 0).
    pub(super) prefix: Option<Prefix>,
}

impl<'a> SubnetOption<'a> {
    /// Reads an option's data; `None` when it is malformed in any of the ways of RFC 7871 §6: a
    /// family other than 1 and 2, a length that the family does not have, a scope in a query, an
    /// address of more or fewer octets than the source length needs, or bits set behind it. A
    /// subnet of length 0 and family 0 is taken as what it means: use none.
    fn parse(octets: &'a [u8]) -> Option<Self> {
        let (head, address) = octets.split_first_chunk::<SUBNET_HEAD_LEN>()?;
        let [family @ .., source, scope] = *head;
        if scope != 0 || address.len() != usize::from(source).div_ceil(8) {
            return None;
        }
        let prefix = match (u16::from_be_bytes(family), source) {
            (0..=2, 0) => None,
            (1, 1..=32) => {
                let mut all = [0; 4];
                all[..address.len()].copy_from_slice(address);
                Some(exact(Ipv4Addr::from(all).into(), source)?)
            }
            (2, 1..=128) => {
                let mut all = [0; 16];
                all[..address.len()].copy_from_slice(address);
                Some(exact(Ipv6Addr::from(all).into(), source)?)
            }
            _ => return None,
        };
        Some(Self { octets, prefix })
    }
}

impl SubnetOption<'_> {
    /// Family, source and scope.
    fn head(&self) -> &[u8; SUBNET_HEAD_LEN] {
        self.octets.first_chunk().expect("it was read whole")
    }

    fn address(&self) -> &[u8] {
        &self.octets[SUBNET_HEAD_LEN..]
    }
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
            let read = SubnetOption::parse(octets).unwrap();
            assert_eq!(read.prefix, prefix.map(|text| text.parse().unwrap()), "{octets:?}");
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
            assert!(SubnetOption::parse(octets).is_none(), "{octets:?}");
        }
    }

    #[test]
    fn options_that_do_not_fill_the_record_are_malformed() {
        let parse = |rdata| Edns::parse(1232, 0, rdata).map(|edns| edns.subnet.is_some());
        assert_eq!(parse(&[]), Ok(false));
        assert_eq!(parse(&[0, 99, 0, 1, 7]), Ok(false)); // Unknown: ignored (RFC 6891 §6.1.2).
        assert_eq!(parse(&[0, 99, 0, 2, 7]), Err(EdnsError::Malformed));
        assert_eq!(parse(&[0, 99, 0]), Err(EdnsError::Malformed));
        let version_1 = Edns::parse(1232, 0x0001_0000, &[]).map(|_| ());
        assert_eq!(version_1, Err(EdnsError::Version));
    }
}
