//! The DNS check: a query is answered as expected, over UDP or TCP.
//!
//! Recursion is asked for, which a resolver needs and an authoritative server ignores. There is no EDNS in
//! the query, so that every server can answer it: in 512 octets over UDP, and what does not fit is asked for
//! again over TCP (RFC 7766 §5).

use std::io::{self, ErrorKind};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, Restrict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fault::Fault;
use super::tcp;
use super::trace::Trace;
use super::udp::Talk;
use super::way::Way;
use crate::model::FailureReason;
use crate::model::check::{Carrier, DnsCheck};

/// Octets of a message before its question (RFC 1035 §4.1.1).
const HEADER_LEN: usize = 12;

/// A query and what must come back.
struct Exchange<'c> {
    check: &'c DnsCheck,
    query: Message,
    /// The data that a record of the answer must have.
    wanted: Option<RData>,
}

/// Sends a query and judges what answers it.
pub(super) async fn probe(check: &DnsCheck, way: Way, trace: &mut Trace) -> Result<(), Fault> {
    let exchange = Exchange::new(check).map_err(Fault::Unable)?;
    let query = exchange.query.to_vec().map_err(|error| Fault::Unable(error.to_string()))?;
    if check.over == Carrier::Udp {
        let mut talk = Talk::over(way).await?;
        talk.send(&query).await?;
        let datagram = loop {
            let datagram = talk.receive().await?;
            // Whatever answers another query is somebody's mistake or attack, and the answer still to come.
            if datagram.len() >= HEADER_LEN && datagram[..2] == query[..2] {
                break datagram;
            }
        };
        trace.step("answered");
        if !is_truncated(datagram) {
            return exchange.judge(datagram, trace).map_err(Fault::Failure);
        }
        trace.fact(|| "truncated".to_owned());
    }
    let message = ask_by_tcp(&query, way, trace).await?;
    exchange.judge(&message, trace).map_err(Fault::Failure)
}

/// The answer to a query over a connection of its own.
async fn ask_by_tcp(query: &[u8], way: Way, trace: &mut Trace) -> Result<Vec<u8>, Fault> {
    let of_socket = |error| Fault::of_socket(&error, way);
    let mut stream = tcp::connect(way, trace).await?;
    let len = u16::try_from(query.len()).expect("a name and little else");
    stream.write_all(&[&len.to_be_bytes()[..], query].concat()).await.map_err(of_socket)?;
    // Whoever hangs up in the middle of a message does not keep to the protocol.
    let of_read = |error: io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => Fault::Failure(FailureReason::Protocol),
        _ => of_socket(error),
    };
    let len = stream.read_u16().await.map_err(of_read)?;
    let mut message = vec![0; len.into()];
    stream.read_exact(&mut message).await.map_err(of_read)?;
    trace.step("answered over TCP");
    if message.len() < HEADER_LEN || message[..2] != query[..2] {
        return Err(Fault::Failure(FailureReason::Protocol));
    }
    Ok(message)
}

/// Whether a response, with a header, says that it is not all there is (TC).
const fn is_truncated(response: &[u8]) -> bool {
    response[2] & 0x82 == 0x82
}

impl<'c> Exchange<'c> {
    fn new(check: &'c DnsCheck) -> Result<Self, String> {
        let qname = Name::from_bytes(check.qname.as_wire()).map_err(|error| error.to_string())?;
        let qtype = RecordType::from(check.qtype.0);
        let mut query = Message::query();
        query.add_query(Query::query(qname, qtype)).metadata.recursion_desired = true;
        let wanted = check.answer.as_ref().map(|rdata| {
            let len = u16::try_from(rdata.len()).map_err(|error| error.to_string())?;
            let mut decoder = BinDecoder::new(rdata);
            let read = RData::read(&mut decoder, qtype, Restrict::new(len));
            read.map_err(|error| error.to_string())
        });
        Ok(Self { check, query, wanted: wanted.transpose()? })
    }

    /// Names are compared without regard to case, other data octet by octet.
    fn judge(&self, datagram: &[u8], trace: &mut Trace) -> Result<(), FailureReason> {
        let response = Message::from_vec(datagram).map_err(|_| FailureReason::Protocol)?;
        let is_answer = response.metadata.message_type == hickory_proto::op::MessageType::Response;
        let rcode = response.metadata.response_code.low();
        // A server that did not understand the question need not repeat it.
        let is_asked =
            response.queries == self.query.queries || (response.queries.is_empty() && rcode != 0);
        if !is_answer || !is_asked {
            return Err(FailureReason::Protocol);
        }
        trace.fact(|| format!("rcode {:?}", response.metadata.response_code));
        for record in &response.answers {
            trace.fact(|| record.to_string());
        }
        if rcode != self.check.rcode {
            return Err(FailureReason::Rcode(rcode));
        }
        match &self.wanted {
            Some(wanted) if !response.answers.iter().any(|record| record.data == *wanted) => {
                Err(FailureReason::Answer)
            }
            _ => Ok(()),
        }
    }
}
