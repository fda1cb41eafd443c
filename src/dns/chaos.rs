//! Questions about the server itself: class CH, type TXT (RFC 4892).

use super::edns::ExtendedError;
use super::outcome::{Kind, Outcome, Rcode};
use super::query::Query;
use super::reply::{Reply, Section};
use crate::model::names::is_asked;
use crate::model::{RecordClass, RecordType};
use crate::snapshot::gate::Gate;

/// Octets of the record before its text: owner `C0 0C`, type, class, TTL 0, two lengths.
const HEAD_LEN: usize = 13;
/// The longest character string.
const TEXT_MAX: usize = 255;

/// Answers what `gate` tells; everything else is refused.
pub(super) fn answer(query: &Query<'_>, gate: &Gate, mut reply: Reply<'_>) -> Outcome {
    let texts: [(&[u8], &str); 4] = [
        (b"\x07version\x04bind\0", &gate.server_version),
        (b"\x07version\x06server\0", &gate.server_version),
        (b"\x02id\x06server\0", &gate.server_id),
        (b"\x08hostname\x04bind\0", &gate.server_id),
    ];
    let name = query.name.as_wire();
    let text = texts.into_iter().find(|(known, _)| is_asked(known, name));
    let text = text.map_or("", |(_, text)| text);
    let is_told = query.class == RecordClass::CH
        && matches!(query.qtype, RecordType::TXT | RecordType::ANY)
        && !text.is_empty();
    let Some(text) = text.as_bytes().get(..text.len().min(TEXT_MAX)).filter(|_| is_told) else {
        return reply.refuse(Rcode::REFUSED, Kind::Refused, ExtendedError::NOT_AUTHORITATIVE);
    };
    let len = u8::try_from(text.len()).expect("cut to 255");
    let mut record = [0; HEAD_LEN + TEXT_MAX];
    record[..HEAD_LEN].copy_from_slice(&[0xc0, 0x0c, 0, 16, 0, 3, 0, 0, 0, 0, 0, 0, len]);
    record[10..12].copy_from_slice(&(u16::from(len) + 1).to_be_bytes());
    record[HEAD_LEN..HEAD_LEN + text.len()].copy_from_slice(text);
    reply.set_authoritative();
    if !reply.push(Section::Answer, 1, &record[..HEAD_LEN + text.len()]) {
        reply.truncate();
    }
    reply.finish(Rcode::NOERROR, Kind::Static)
}
