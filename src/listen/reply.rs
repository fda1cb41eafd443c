//! A ready reply, taken apart into what hickory puts messages together from.
//!
//! Nothing may be lost on the way, whatever the types of records and options: their data stays the
//! octets that it is (RFC 3597 §3). Only the names that we compress ourselves are unfolded, since
//! pointers mean nothing in another message.

use hickory_proto::op::{Edns, Header, Metadata};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::{NULL, OPT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError, Restrict};
use hickory_server::zone_handler::Queries;

use crate::model;
use crate::zone::compressible;

/// The parts of one reply.
pub(super) struct Reply {
    pub(super) metadata: Metadata,
    pub(super) queries: Queries,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
    pub(super) edns: Option<Edns>,
}

impl Reply {
    /// Takes a message of ours apart.
    pub(super) fn read(message: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = BinDecoder::new(message);
        let Header { mut metadata, counts } = Header::read(&mut decoder)?;
        let queries = Queries::read(&mut decoder, usize::from(counts.queries))?;
        let mut section = |count| -> Result<Vec<Record>, DecodeError> {
            (0..count).map(|_| read_record(&mut decoder)).collect()
        };
        let answers = section(counts.answers)?;
        let authorities = section(counts.authorities)?;
        let mut additionals = section(counts.additionals)?;
        let is_opt = |record: &mut Record| record.record_type() == RecordType::OPT;
        let edns = additionals.extract_if(.., is_opt).next().map(|opt| Edns::from(&opt));
        if let Some(edns) = &edns {
            metadata.merge_response_code(edns.rcode_high());
        }
        Ok(Self { metadata, queries, answers, authorities, additionals, edns })
    }
}

fn read_record(decoder: &mut BinDecoder<'_>) -> Result<Record, DecodeError> {
    let owner = Name::read(decoder)?;
    let rtype = any(decoder.read_u16()?);
    let class = any(decoder.read_u16()?);
    let ttl = any(decoder.read_u32()?);
    let len = any(decoder.read_u16()?);
    let mut record = Record::from_rdata(owner, ttl, read_rdata(decoder, rtype, len)?);
    record.dns_class = DNSClass::from(class);
    Ok(record)
}

fn read_rdata(decoder: &mut BinDecoder<'_>, rtype: u16, len: u16) -> Result<RData, DecodeError> {
    let code = RecordType::from(rtype);
    let end = decoder.index() + usize::from(len);
    if code == RecordType::OPT {
        return read_options(decoder, end).map(RData::OPT);
    }
    let (fixed, names) = compressible(model::RecordType(rtype));
    let mut rdata = NULL::new();
    rdata.anything.extend_from_slice(any(decoder.read_slice(fixed)?));
    for _ in 0..names {
        push_unfolded(&mut rdata.anything, &Name::read(decoder)?);
    }
    let rest = end.checked_sub(decoder.index()).ok_or(DecodeError::InsufficientBytes)?;
    rdata.anything.extend_from_slice(any(decoder.read_slice(rest)?));
    Ok(RData::Unknown { code, rdata })
}

fn read_options(decoder: &mut BinDecoder<'_>, end: usize) -> Result<OPT, DecodeError> {
    let mut opt = OPT::default();
    while decoder.index() < end {
        let code = any(decoder.read_u16()?);
        let len = any(decoder.read_u16()?);
        let data = any(decoder.read_slice(usize::from(len))?).to_vec();
        opt.options.push((EdnsCode::from(code), EdnsOption::Unknown(code, data)));
    }
    Ok(opt)
}

/// Appends a name in wire form without pointers.
fn push_unfolded(octets: &mut Vec<u8>, name: &Name) {
    for label in name.iter() {
        octets.push(u8::try_from(label.len()).expect("a label has at most 63 octets"));
        octets.extend_from_slice(label);
    }
    octets.push(0);
}

/// Any value will do.
fn any<T>(read: Restrict<T>) -> T {
    read.unverified()
}
