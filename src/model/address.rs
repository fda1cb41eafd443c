//! Prefixes and client subnets.
//!
//! A [`Prefix`] is an address block of either family with no bit set past its length. A
//! [`ClientSubnet`] is what an answer may depend on: the subnet of RFC 7871 that came with the query,
//! or the resolver's own address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address block: an address whose bits past `len` are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// The block of `len` bits around `address`; `len` is cut to 32 or 128, and bits past it are
    /// cleared.
    #[must_use]
    pub fn new(address: IpAddr, len: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let len = len.min(32);
                Self { address: Ipv4Addr::from(u32::from(v4) & mask_v4(len)).into(), len }
            }
            IpAddr::V6(v6) => {
                let len = len.min(128);
                Self { address: Ipv6Addr::from(u128::from(v6) & mask_v6(len)).into(), len }
            }
        }
    }

    /// The block that holds `address` alone.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::new(address, 128)
    }

    /// Its first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits all its addresses share: 0..=32 or 0..=128.
    #[expect(clippy::len_without_is_empty, reason = "a length in bits, not a count of entries")]
    #[must_use]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether `address` lies in it. An address of the other family never does.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u32::from(own) == u32::from(other) & mask_v4(self.len)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                u128::from(own) == u128::from(other) & mask_v6(self.len)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether every address of `other` lies in it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.len <= other.len && self.contains(other.address)
    }
}

/// The leading `len` bits of an IPv4 address. `len` is at most 32.
const fn mask_v4(len: u8) -> u32 {
    if len == 0 { 0 } else { u32::MAX << (32 - len) }
}

/// The leading `len` bits of an IPv6 address. `len` is at most 128.
const fn mask_v6(len: u8) -> u128 {
    if len == 0 { 0 } else { u128::MAX << (128 - len) }
}

/// `192.0.2.0/24`.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// Why a text is not a [`Prefix`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrefixError {
    /// The part before the `/` is not an address.
    Address,
    /// The part behind it is not a length for that family.
    Length,
    /// Bits are set past the length; the block that was probably meant.
    HostBits(Prefix),
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("not an IPv4 or IPv6 address"),
            Self::Length => f.write_str("not a prefix length of that family"),
            Self::HostBits(meant) => {
                write!(f, "not a subnet: bits are set past its length; did you mean {meant}?")
            }
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or an address alone as the block of that address.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Address)?;
        let Some(len) = len else { return Ok(Self::host(address)) };
        let len_max = if address.is_ipv4() { 32 } else { 128 };
        let len: u8 = len.parse().map_err(|_| PrefixError::Length)?;
        if len > len_max {
            return Err(PrefixError::Length);
        }
        let prefix = Self::new(address, len);
        if prefix.address == address { Ok(prefix) } else { Err(PrefixError::HostBits(prefix)) }
    }
}

/// Whom an answer is for, as far as it may depend on that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientSubnet {
    /// The subnet; its length is the SOURCE PREFIX-LENGTH of RFC 7871, or the whole address when
    /// the query had no client subnet.
    pub prefix: Prefix,
    /// Whether the query carried it (RFC 7871), so that the response must carry a scope.
    pub from_query: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_parse_print_and_refuse_host_bits() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "10.1.2.3/32"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.1".parse::<Prefix>().unwrap().to_string(), "192.0.2.1/32");
        let meant = "192.0.2.0/24".parse().unwrap();
        assert_eq!("192.0.2.7/24".parse::<Prefix>(), Err(PrefixError::HostBits(meant)));
        assert_eq!("192.0.2.0/33".parse::<Prefix>(), Err(PrefixError::Length));
        assert_eq!("example/8".parse::<Prefix>(), Err(PrefixError::Address));
    }

    #[test]
    fn a_prefix_contains_its_own_family_only() {
        let block: Prefix = "10.0.0.0/8".parse().unwrap();
        assert!(block.contains("10.255.0.1".parse().unwrap()));
        assert!(!block.contains("11.0.0.0".parse().unwrap()));
        assert!(!block.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(block.covers("10.2.0.0/16".parse().unwrap()));
        assert!(!block.covers("0.0.0.0/0".parse().unwrap()));
    }
}
