//! Records at random, as far as an oracle understands them, in all the ways in which they may be written.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{domain, hickory, ours};

/// What an oracle understands of what may be written.
#[derive(Clone, Copy)]
struct Skill {
    /// Periods like `1h30m`.
    units: bool,
    /// `\.` and `\046` in names and strings, and strings without quotation marks.
    escapes: bool,
    /// Upper case and `_` in names; it keeps neither everywhere.
    case: bool,
    /// Quoted strings inside parentheses.
    strings_in_parentheses: bool,
    /// DS and service parameters.
    newer_types: bool,
}

const OF_HICKORY: Skill = Skill {
    units: true,
    escapes: false,
    case: false,
    strings_in_parentheses: false,
    newer_types: false,
};
const OF_DOMAIN: Skill = Skill {
    units: false,
    escapes: true,
    case: true,
    strings_in_parentheses: true,
    newer_types: true,
};

fn period(skill: Skill) -> BoxedStrategy<String> {
    let secs = (0..100_000_u32).prop_map(|secs| secs.to_string()).boxed();
    if !skill.units {
        return secs;
    }
    let units = (1..5_u32, 0..7_u32, 0..24_u32, 0..60_u32)
        .prop_map(|(w, d, h, m)| format!("{w}w{d}D{h}h{m}M"));
    prop_oneof![secs, units].boxed()
}

/// An octet as it may stand in a word, in quotation marks or not.
fn escaped(octet: u8, how: u8) -> String {
    let is_plain = octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
    match how % 3 {
        _ if is_plain && !how.is_multiple_of(4) => char::from(octet).into(),
        // A digit behind a `\` begins a number; what is no ASCII is not one octet in UTF-8.
        0 if octet.is_ascii_graphic() && !octet.is_ascii_digit() => {
            format!("\\{}", char::from(octet))
        }
        _ => format!("\\{octet:03}"),
    }
}

fn escaped_octets(len: std::ops::Range<usize>) -> BoxedStrategy<String> {
    let octet = any::<(u8, u8)>().prop_map(|(octet, how)| escaped(octet, how));
    prop::collection::vec(octet, len).prop_map(|octets| octets.concat()).boxed()
}

fn name(skill: Skill) -> BoxedStrategy<String> {
    let plain = if skill.case {
        "[a-zA-Z0-9_][a-zA-Z0-9_-]{0,9}"
    } else {
        "[a-z0-9]{1,3}(-[a-z0-9]{1,3})?"
    };
    let label = if skill.escapes {
        prop_oneof![3 => plain.boxed(), 1 => escaped_octets(1..5)].boxed()
    } else {
        plain.boxed()
    };
    (prop::collection::vec(label, 1..5), any::<bool>())
        .prop_map(|(labels, is_complete)| labels.join(".") + if is_complete { "." } else { "" })
        .boxed()
}

fn string(skill: Skill) -> BoxedStrategy<String> {
    // Printable characters but `"` and `\`.
    let plain = "[ !#-\\[\\]-~]{0,20}".prop_map(|text| format!("\"{text}\""));
    if !skill.escapes {
        return plain.boxed();
    }
    let quoted = escaped_octets(0..20).prop_map(|text| format!("\"{text}\""));
    prop_oneof![plain, quoted, escaped_octets(1..20)].boxed()
}

fn hex(len: usize) -> BoxedStrategy<String> {
    prop::collection::vec(any::<u8>(), len)
        .prop_map(|octets| octets.iter().map(|octet| format!("{octet:02x}")).collect())
        .boxed()
}

/// The words of a record behind TTL and class.
fn data(skill: Skill) -> BoxedStrategy<Vec<String>> {
    let words = |rtype: &str, fields: Vec<BoxedStrategy<String>>| {
        let rtype = rtype.to_owned();
        fields.prop_map(move |fields| [vec![rtype.clone()], fields].concat()).boxed()
    };
    let u8 = || any::<u8>().prop_map(|n| n.to_string()).boxed();
    let u16 = || any::<u16>().prop_map(|n| n.to_string()).boxed();
    let u32 = || any::<u32>().prop_map(|n| n.to_string()).boxed();
    let name = || name(skill);
    let string = || string(skill);
    let period = || period(skill);
    let ipv4 = any::<Ipv4Addr>().prop_map(|address| address.to_string()).boxed();
    let ipv6 = any::<Ipv6Addr>().prop_map(|address| address.to_string()).boxed();
    let tag = prop::sample::select(vec!["issue", "issuewild", "iodef"]).prop_map(String::from);
    let critical = prop::sample::select(vec!["0", "128"]).prop_map(String::from).boxed();
    let strings = prop::collection::vec(string(), 1..4);
    let mut all = vec![
        words("A", vec![ipv4.clone()]),
        words("AAAA", vec![ipv6.clone()]),
        words("NS", vec![name()]),
        words("CNAME", vec![name()]),
        words("PTR", vec![name()]),
        words("MX", vec![u16(), name()]),
        words("SRV", vec![u16(), u16(), u16(), name()]),
        words("SOA", vec![name(), name(), u32(), period(), period(), period(), period()]),
        words("CAA", vec![critical, tag.boxed(), string()]),
        words("HINFO", vec![string(), string()]),
        words("TLSA", vec![u8(), u8(), u8(), hex(32)]),
        words("SSHFP", vec![u8(), u8(), hex(20)]),
        strings.prop_map(|strings| [vec!["TXT".into()], strings].concat()).boxed(),
    ];
    if skill.newer_types {
        let port = any::<u16>().prop_map(|port| format!("port={port}")).boxed();
        let hints = prop::collection::vec(ipv4, 1..4)
            .prop_map(|list| format!("ipv4hint={}", list.join(",")));
        let alpn = prop::sample::select(vec!["alpn=h2", "alpn=\"h2,h3\"", "alpn=h3,http/1.1"]);
        let alpn = alpn.prop_map(String::from).boxed();
        all.extend([
            words("DS", vec![u16(), u8(), u8(), hex(32)]),
            words("DNAME", vec![name()]),
            words("HTTPS", vec![u16(), name(), port, hints.boxed(), alpn]),
        ]);
    }
    prop::strategy::Union::new(all).boxed()
}

/// A record on one line or, in parentheses, on several.
fn record(skill: Skill) -> BoxedStrategy<String> {
    let blanks = prop::sample::select(vec![" ", "\t", "  \t "]);
    let breaks = prop::sample::select(vec![" ", "\t", "\n", " ; a \"comment (\n\t", "\n\n  "]);
    let separators = (prop::collection::vec(blanks, 12), prop::collection::vec(breaks, 12));
    (name(skill), any::<(bool, bool, bool)>(), period(skill), data(skill), separators)
        .prop_map(
            move |(owner, (is_class_first, has_class, is_open), ttl, data, (blanks, breaks))| {
                let is_open =
                    is_open && (skill.strings_in_parentheses || !data.concat().contains('"'));
                let class = if has_class { "IN" } else { "" };
                let mut head = if is_class_first { [class, &ttl] } else { [&ttl, class] }.to_vec();
                head.retain(|word| !word.is_empty());
                let mut text = owner;
                for (word, blank) in head.into_iter().chain([&*data[0]]).zip(&blanks) {
                    text.extend([blank, word]);
                }
                text += if is_open { " (" } else { "" };
                for (word, blank) in data[1..].iter().zip(if is_open { &breaks } else { &blanks }) {
                    text.extend([blank, &**word]);
                }
                text + if is_open { "\n )\n" } else { " ; end\n" }
            },
        )
        .boxed()
}

proptest! {
    #[test]
    fn hickory_reads_the_same_records(text in record(OF_HICKORY)) {
        let ours = ours(&text);
        prop_assert!(ours.is_some(), "{}", text);
        prop_assert_eq!(ours, hickory(&text), "{}", text);
    }

    #[test]
    fn domain_reads_the_same_records(text in record(OF_DOMAIN)) {
        let ours = ours(&text);
        prop_assert!(ours.is_some(), "{}", text);
        prop_assert_eq!(ours, domain(&text), "{}", text);
    }
}
