//! Addresses that are not what they look like.
//!
//! Transition mechanisms carry an IPv4 address inside an IPv6 one; a client behind them is where its
//! IPv4 address is. Special-purpose blocks say nothing of where a client is.
//!
//! ```text
//! block            what                        the IPv4 address starts at bit
//! ::ffff:0:0/96    v4-mapped (RFC 4291)        96
//! 64:ff9b::/96     NAT64 (RFC 6052)            96
//! 2002::/16        6to4 (RFC 3056)             16
//! 2001::/32        Teredo (RFC 4380)           96, all bits inverted
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Prefix;

/// What a subnet means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Itself.
    Plain(Prefix),
    /// The IPv4 subnet in it, and how many bits come before: what is to be added to a scope.
    Embedded {
        /// The IPv4 subnet.
        subnet: Prefix,
        /// Bits of the IPv6 address in front of it.
        offset: u8,
    },
    /// Part of a transition mechanism's block (or too close to one), without telling an IPv4 address.
    Opaque(Prefix),
}

/// A transition mechanism's block.
struct Transition {
    block: Ipv6Addr,
    block_len: u8,
    offset: u8,
    is_inverted: bool,
}

const TRANSITIONS: [Transition; 4] = [
    Transition {
        block: Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        block_len: 96,
        offset: 96,
        is_inverted: false,
    },
    Transition {
        block: Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0),
        block_len: 96,
        offset: 96,
        is_inverted: false,
    },
    Transition {
        block: Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),
        block_len: 16,
        offset: 16,
        is_inverted: false,
    },
    Transition {
        block: Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        block_len: 32,
        offset: 96,
        is_inverted: true,
    },
];

/// The transition blocks as far as a class map can tell them apart: cut to `len_max` bits.
pub(super) fn transition_blocks(len_max: u8) -> impl Iterator<Item = Prefix> {
    TRANSITIONS.iter().map(move |t| Prefix::new(t.block.into(), t.block_len.min(len_max)))
}

/// Whether the prefix is a whole transition block.
pub(super) fn is_transition_block(bits: Ipv6Addr, len: u8) -> bool {
    TRANSITIONS.iter().any(|t| t.block_len == len && t.block == bits)
}

/// Reads a subnet. Nothing shorter than 16 bits is ever more than itself; an IPv4 subnet is plain.
#[must_use]
pub fn read(subnet: Prefix) -> Reading {
    let IpAddr::V6(address) = subnet.address() else { return Reading::Plain(subnet) };
    let [first, ..] = address.segments();
    if TRANSITIONS.iter().all(|transition| transition.block.segments()[0] != first) {
        // All but a few clients; a shorter prefix of those blocks is plain below.
        return Reading::Plain(subnet);
    }
    let bits = u128::from(address);
    for transition in &TRANSITIONS {
        let block = Prefix::new(transition.block.into(), transition.block_len);
        if block.covers(subnet) && subnet.len() >= transition.offset {
            let low = 128 - 32 - u32::from(transition.offset);
            let embedded = u32::try_from(bits >> low & u128::from(u32::MAX)).expect("32 bits");
            let embedded = if transition.is_inverted { !embedded } else { embedded };
            // An inverted prefix has ones past its length; `Prefix::new` clears them.
            let subnet =
                Prefix::new(Ipv4Addr::from(embedded).into(), subnet.len() - transition.offset);
            return Reading::Embedded { subnet, offset: transition.offset };
        }
    }
    let is_opaque = transition_blocks(super::ranges::V6.cap()).any(|block| block.covers(subnet));
    if is_opaque { Reading::Opaque(subnet) } else { Reading::Plain(subnet) }
}

/// Reads an address: the IPv4 address that it carries, or itself.
#[must_use]
pub fn read_address(address: IpAddr) -> IpAddr {
    match read(Prefix::host(address)) {
        Reading::Embedded { subnet, .. } => subnet.address(),
        Reading::Plain(_) | Reading::Opaque(_) => address,
    }
}

/// The blocks whose addresses are used anew in every network. Documentation blocks are not among
/// them: in examples and tests they stand for public ones.
const PRIVATE_BLOCKS: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8), // RFC 1918
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10), // carrier-grade NAT, RFC 6598
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8), // loopback
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16), // link-local, RFC 3927
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12), // RFC 1918
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16), // RFC 1918
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7), // unique local, RFC 4193
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10), // link-local, RFC 4291
];

/// All private blocks.
pub(super) fn private_blocks() -> impl Iterator<Item = Prefix> {
    PRIVATE_BLOCKS.into_iter().map(|(address, len)| Prefix::new(address, len))
}

/// The private block that `subnet` lies in, if any. Transition mechanisms are the caller's to
/// [`read`] first.
#[must_use]
pub fn private_block(subnet: Prefix) -> Option<Prefix> {
    private_blocks().find(|block| block.covers(subnet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn transition_addresses_are_read_as_ipv4() {
        let cases = [
            ("::ffff:192.0.2.0/120", "192.0.2.0/24", 96),
            ("::ffff:192.0.2.7", "192.0.2.7/32", 96),
            ("::ffff:0:0/96", "0.0.0.0/0", 96),
            ("64:ff9b::c000:207", "192.0.2.7/32", 96),
            ("2002:c000:207::/48", "192.0.2.7/32", 16),
            ("2002:c000:200::/40", "192.0.2.0/24", 16),
            ("2002:c000:207:1::/64", "192.0.2.7/32", 16),
            ("2002::/16", "0.0.0.0/0", 16),
            // RFC 4380 §4: 192.0.2.45 behind server 65.54.227.120.
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45/32", 96),
            ("2001:0:4136:e378:8000:63bf:3fff:fd00/120", "192.0.2.0/24", 96),
        ];
        for (text, v4, offset) in cases {
            let expected = Reading::Embedded { subnet: prefix(v4), offset };
            assert_eq!(read(prefix(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_tells_no_ipv4_address_is_opaque_or_plain() {
        for text in ["2001:0:4136:e378::/64", "2001::/32", "::1", "::/56", "64:ff9b::/64"] {
            assert_eq!(read(prefix(text)), Reading::Opaque(prefix(text)), "{text}");
        }
        for text in ["2001:db8::/32", "2002::/15", "::/0", "2a00:1450::/32", "192.0.2.0/24"] {
            assert_eq!(read(prefix(text)), Reading::Plain(prefix(text)), "{text}");
        }
    }

    #[test]
    fn private_blocks_are_told_and_documentation_is_not_private() {
        let cases = [
            ("10.1.2.3", Some("10.0.0.0/8")),
            ("172.31.0.0/16", Some("172.16.0.0/12")),
            ("172.32.0.0/16", None),
            ("192.168.7.0/24", Some("192.168.0.0/16")),
            ("100.127.0.1", Some("100.64.0.0/10")),
            ("169.254.0.1", Some("169.254.0.0/16")),
            ("127.0.0.1", Some("127.0.0.0/8")),
            ("10.0.0.0/7", None),
            ("192.0.2.1", None),
            ("2001:db8::1", None),
            ("::1", Some("::1/128")),
            ("fd12::/48", Some("fc00::/7")),
            ("fe80::1", Some("fe80::/10")),
        ];
        for (subnet, block) in cases {
            assert_eq!(private_block(prefix(subnet)), block.map(prefix), "{subnet}");
        }
    }
}
