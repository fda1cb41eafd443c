//! What a target is called where it is written down or told to others.
//!
//! A [`Target`] has a canonical text, the same in every release that keeps the format of state files and
//! frames. State files hold it; a [`TargetId`] is its hash, short enough to be sent for each target every
//! second.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use super::check::{
    Carrier, Connection, DnsCheck, ExecCheck, GrpcCheck, HeartbeatCheck, HttpCheck, Slow,
    TextCheck, TlsCheck, TlsTerms,
};
use super::formula::{Formula, Member, MemberOf};
use super::{CheckKind, CheckSpec, Target, TargetHost};

/// A target by the hash of its canonical text: the same on every machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u64);

impl fmt::Debug for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Target {
    /// It in one line, the same in every release that keeps the format: other targets, or the same host
    /// under another check, have other lines.
    #[must_use]
    pub fn key(&self) -> String {
        let CheckSpec { kind, port, interval, timeout, rise, fall, invert, slow, damping, tls } =
            &*self.spec;
        let (word, host) = (kind.word(), &self.host);
        let (interval, timeout) = (interval.as_nanos(), timeout.as_nanos());
        let mut common = format!(
            "{word} {host} port={port} interval={interval}ns timeout={timeout}ns rise={rise} fall={fall}"
        );
        common.push_str(if *invert { " invert=true" } else { "" });
        common.push_str(&added(*slow, *damping));
        common.push_str(&tls.as_deref().map(terms_key).unwrap_or_default());
        match own_key(kind, &self.host) {
            own if own.is_empty() => common,
            own => format!("{common} {own}"),
        }
    }

    /// Its name in frames.
    #[must_use]
    pub fn id(&self) -> TargetId {
        TargetId(hash(&[self.key().as_bytes()]))
    }
}

/// A hash that is the same on every machine and in every release: SipHash-2-4 with a key of zeros, over
/// each part with its length.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

/// What checks have since the first release: nothing while it is at its default.
fn added(slow: Option<Slow>, damping: bool) -> String {
    let slow = match slow {
        Some(slow) if slow == Slow::default() => String::new(),
        Some(Slow { factor, floor }) => format!(" slow={factor}x,{}ns", floor.as_nanos()),
        None => " slow=never".to_owned(),
    };
    slow + if damping { "" } else { " damping=false" }
}

/// What a check over TLS goes by: certificates are known by their hashes, and so is the key, which is nothing to
/// write down.
fn terms_key(terms: &TlsTerms) -> String {
    let TlsTerms { roots, identity, margin } = terms;
    let hash_of = |parts: &[Vec<u8>]| hash(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let roots = roots.as_ref().map(|roots| format!(" ca={:016x}", hash_of(roots)));
    let identity = identity.as_ref().map(|own| {
        format!(" certificate={:016x} key={:016x}", hash_of(&own.chain), hash(&[&own.key]))
    });
    let margin = margin.map(|margin| format!(" margin={}ns", margin.as_nanos()));
    [roots, identity, margin].into_iter().flatten().collect()
}

/// What a check's kind has of its own. Texts are quoted and escaped, so that none can pass for another
/// field.
fn own_key(kind: &CheckKind, host: &TargetHost) -> String {
    let quoted = |text: &Option<String>| text.as_ref().map(|text| format!("{text:?}"));
    match kind {
        CheckKind::Tcp | CheckKind::Icmp => String::new(),
        // The word says what carries it.
        CheckKind::Text(TextCheck { over: _, send, expect }) => {
            let [send, expect] = [send, expect].map(|text| quoted(text).unwrap_or_default());
            format!("send={send} expect={expect}")
        }
        CheckKind::Tls(TlsCheck { host, verify }) => {
            format!("host={} verify={verify}", quoted(host).unwrap_or_default())
        }
        // The word says whether it is over TLS.
        CheckKind::Http(HttpCheck {
            tls: _,
            method,
            path,
            host,
            verify,
            headers,
            status,
            body,
            connection,
        }) => {
            let [host, body] = [host, body].map(|text| quoted(text).unwrap_or_default());
            let status: Vec<String> =
                status.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
            let status = status.join(",");
            // Values may be secrets, which are nothing to write down.
            let header = |(name, value): &(String, String)| {
                format!(" header={name}:{:016x}", hash(&[value.as_bytes()]))
            };
            let headers: String = headers.iter().map(header).collect();
            let connection = match connection {
                Connection::Fresh => String::new(),
                Connection::Mixed(of) => format!(" connection=mixed:{of}"),
                Connection::Keepalive => " connection=keepalive".to_owned(),
            };
            format!(
                "method={method:?} path={path:?} host={host} verify={verify} status={status} body={body}{headers}{connection}"
            )
        }
        CheckKind::Dns(DnsCheck { qname, qtype, over, rcode, answer }) => {
            let answer = answer.as_ref().map(|answer| format!("{answer:02x?}"));
            let answer = answer.unwrap_or_default();
            let over = match over {
                Carrier::Udp => "",
                Carrier::Tcp => " over=tcp",
            };
            format!("qname={qname} qtype={qtype} rcode={rcode} answer={answer}{over}")
        }
        CheckKind::Grpc(GrpcCheck { tls, host, verify, service }) => {
            let host = quoted(host).unwrap_or_default();
            format!("tls={tls} host={host} verify={verify} service={service:?}")
        }
        CheckKind::Heartbeat(HeartbeatCheck { period, token }) => {
            let token = token.as_ref().map(|token| format!("{:016x}", hash(&[token.as_bytes()])));
            format!("period={}ns token={}", period.as_nanos(), token.unwrap_or_default())
        }
        CheckKind::Fixed(verdict) => format!("verdict={verdict}"),
        CheckKind::Calculated(Formula { members, needed }) => {
            let members: String = members.iter().map(|member| member_key(member, host)).collect();
            format!("needed={needed}{members}")
        }
        CheckKind::Exec(ExecCheck { program, arguments }) => {
            format!("program={program:?} arguments={arguments:?}")
        }
    }
}

/// A member of a formula by the hash of the targets that it is, and by their groups.
fn member_key(member: &Member, host: &TargetHost) -> String {
    let Member { name, weight, is_negated, of } = member;
    let not = if *is_negated { "!" } else { "" };
    let of = match of {
        MemberOf::Check(spec) => {
            let target = Target { host: host.clone(), spec: Arc::clone(spec) };
            format!("{:016x}", target.id().0)
        }
        MemberOf::Endpoints { needed, each } => {
            let id = |target: &Target| format!("{:016x}", target.id().0);
            let endpoint = |ways: &Vec<Target>| ways.iter().map(id).collect::<Vec<_>>().join("|");
            let each: Vec<String> = each.iter().map(endpoint).collect();
            format!("{needed}/{}", each.join(","))
        }
    };
    format!(" member={name:?}*{weight}:{not}{of}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_same_for_ever_and_tell_parts_apart() {
        assert_eq!(
            hash(&[b"tcp 192.0.2.1"]),
            12_204_555_764_167_244_219,
            "frames of earlier releases say so"
        );
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
