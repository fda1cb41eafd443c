//! EDNS as it comes in and goes out (RFC 6891), and client subnet (RFC 7871).
//!
//! Strict where resolvers rely on it: a malformed client subnet is a FORMERR (RFC 7871 §7.1.2, §11.3),
//! a well-formed one is echoed octet for octet with a scope. Options that we do not know are ignored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Prefix;

/// Octets of an OPT record without options.
pub(super) const OPT_LEN: usize = 11;
/// Octets of an option's code and length.
const OPTION_HEAD_LEN: usize = 4;
/// Octets of a client subnet before its address: family, source, scope.
const SUBNET_HEAD_LEN: usize = 4;
/// The option code of client subnet.
const CLIENT_SUBNET: u16 = 8;

/// The OPT record of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edns<'a> {
    /// The largest UDP message that the client takes.
    pub(super) payload: u16,
    /// The DO bit, echoed (RFC 3225).
    pub(super) dnssec_ok: bool,
    /// Client subnet, if there was one.
    pub(super) subnet: Option<SubnetOption<'a>>,
}

/// A well-formed client subnet of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubnetOption<'a> {
    /// Family, source, scope and address as they came, to be echoed.
    octets: &'a [u8],
    /// The subnet; `None` when the client wants none to be used (source 0).
    pub(super) prefix: Option<Prefix>,
}

/// Why an OPT record is not answered as it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EdnsError {
    /// Options or a client subnet are malformed.
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
        let mut edns = Self { payload: class, dnssec_ok: flags & 0x80 != 0, subnet: None };
        let mut rest = rdata;
        while let Some((head, behind)) = rest.split_first_chunk::<OPTION_HEAD_LEN>() {
            let [code @ .., _, _] = *head;
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let data = behind.get(..len).ok_or(EdnsError::Malformed)?;
            // Of several, the first counts.
            if u16::from_be_bytes(code) == CLIENT_SUBNET && edns.subnet.is_none() {
                edns.subnet = Some(SubnetOption::parse(data).ok_or(EdnsError::Malformed)?);
            }
            rest = &behind[len..];
        }
        if rest.is_empty() { Ok(edns) } else { Err(EdnsError::Malformed) }
    }

    /// Octets of the OPT record that answers it.
    pub(super) fn reply_len(&self) -> usize {
        OPT_LEN + self.subnet.map_or(0, |subnet| OPTION_HEAD_LEN + subnet.octets.len())
    }

    /// Writes the OPT record that answers it into `out`, which has [`reply_len`](Self::reply_len)
    /// octets.
    pub(super) fn write_reply(&self, out: &mut [u8], payload: u16, scope: u8) {
        let (opt, options) = out.split_at_mut(OPT_LEN);
        let options_len = u16::try_from(options.len()).expect("one option of at most 24 octets");
        write_opt(opt, payload, 0, self.dnssec_ok, options_len);
        let Some(subnet) = &self.subnet else { return };
        let len = u16::try_from(subnet.octets.len()).expect("at most 20 octets");
        options[..2].copy_from_slice(&CLIENT_SUBNET.to_be_bytes());
        options[2..4].copy_from_slice(&len.to_be_bytes());
        options[OPTION_HEAD_LEN..].copy_from_slice(subnet.octets);
        options[OPTION_HEAD_LEN + 3] = scope;
    }
}

/// Writes an OPT record's fixed part into `opt`, which has [`OPT_LEN`] octets.
pub(super) fn write_opt(
    opt: &mut [u8],
    payload: u16,
    rcode_high: u8,
    dnssec_ok: bool,
    options_len: u16,
) {
    opt[..3].copy_from_slice(&[0, 0, 41]);
    opt[3..5].copy_from_slice(&payload.to_be_bytes());
    opt[5..9].copy_from_slice(&[rcode_high, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
    opt[9..11].copy_from_slice(&options_len.to_be_bytes());
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
