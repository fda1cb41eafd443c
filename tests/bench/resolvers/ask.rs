//! Asking: one server, or one after the other from the root on.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::message::{Answer, Question, Record};
use windrose::model::RecordType;

/// How long an answer may take: resolvers try several servers before they give up.
const PATIENCE: Duration = Duration::from_secs(8);
/// Referrals and aliases that are followed for one question.
const STEPS: usize = 30;

/// Who asks, by address.
pub(crate) struct Asker {
    v4: IpAddr,
}

impl Asker {
    pub(crate) const fn new(v4: IpAddr) -> Self {
        Self { v4 }
    }

    /// Asks by UDP, and by TCP if that was cut; silence when nothing usable comes.
    pub(crate) fn ask(
        &self,
        server: IpAddr,
        name: &[u8],
        qtype: RecordType,
        recursion: bool,
    ) -> Answer {
        let name = name.to_vec();
        let question =
            Question { name, qtype, class: 1, recursion, payload: Some(1232), dnssec_ok: false };
        let server = SocketAddr::new(server, 53);
        let answer = self.by_udp(server, &question).unwrap_or_default();
        if answer.is_truncated {
            self.by_tcp(server, &question).unwrap_or_default()
        } else {
            answer
        }
    }

    fn by_udp(&self, server: SocketAddr, question: &Question) -> io::Result<Answer> {
        let source = if server.is_ipv4() { self.v4 } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((source, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let packet = question.packet(socket.local_addr()?.port());
        socket.send(&packet)?;
        let mut message = vec![0; 4096];
        let len = socket.recv(&mut message)?;
        Ok(Answer::parse(&message[..len], &packet).unwrap_or_default())
    }

    fn by_tcp(&self, server: SocketAddr, question: &Question) -> io::Result<Answer> {
        // From loopback or the address that the system takes: who is told apart is not asked by TCP.
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let packet = question.packet(1);
        let len = u16::try_from(packet.len()).expect("a question is short");
        stream.write_all(&[&len.to_be_bytes(), &packet[..]].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut message)?;
        Ok(Answer::parse(&message, &packet).unwrap_or_default())
    }

    /// What a resolver should find: the answers of authoritative servers alone, put together.
    pub(crate) fn resolve(
        &self,
        roots: &[IpAddr],
        name: &[u8],
        qtype: RecordType,
    ) -> io::Result<Found> {
        let mut found = Found::default();
        let (mut name, mut servers) = (name.to_vec(), roots.to_vec());
        for _ in 0..STEPS {
            let answer = self.ask(servers[0], &name, qtype, false);
            if answer.len == 0 || !matches!(answer.rcode, 0 | 3) {
                return Err(io::Error::other(format!(
                    "{} at {}: {answer}",
                    crate::message::name_text(&name),
                    servers[0]
                )));
            }
            let [answers, authority, _] = &answer.sections;
            found.answers.extend(answers.iter().cloned());
            let end = end_of(&name, answers);
            let is_there =
                answers.iter().any(|record| record.owner == end && record.rtype == qtype);
            let is_negative = authority.iter().any(|record| record.rtype == RecordType::SOA);
            if is_there || is_negative || qtype == RecordType::CNAME && !answers.is_empty() {
                found.rcode = answer.rcode;
                found.authority = authority
                    .iter()
                    .filter(|record| record.rtype == RecordType::SOA)
                    .cloned()
                    .collect();
                return Ok(found);
            }
            if !answer.is_authoritative {
                servers = self.servers(roots, &answer)?;
            } else if end == name {
                return Err(io::Error::other(format!("neither answer nor end: {answer}")));
            } else {
                servers = roots.to_vec();
            }
            name = end;
        }
        Err(io::Error::other("it never ends"))
    }

    /// The addresses that a referral leads to.
    fn servers(&self, roots: &[IpAddr], referral: &Answer) -> io::Result<Vec<IpAddr>> {
        let glue: Vec<IpAddr> = referral.sections[2].iter().filter_map(address).collect();
        if !glue.is_empty() {
            return Ok(glue);
        }
        let server = referral.sections[1].iter().find(|record| record.rtype == RecordType::NS);
        let server = server.ok_or_else(|| io::Error::other(format!("no referral: {referral}")))?;
        let found = self.resolve(roots, &server.rdata, RecordType::A)?;
        Ok(found.answers.iter().filter_map(address).collect())
    }
}

/// What was found for a question.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) rcode: u16,
    pub(crate) answers: BTreeSet<Record>,
    /// The SOA record, where there is no answer.
    pub(crate) authority: Vec<Record>,
}

/// The name at the end of a chain of aliases.
fn end_of(name: &[u8], answers: &[Record]) -> Vec<u8> {
    let mut end = name.to_ascii_lowercase();
    for _ in 0..answers.len() {
        let alias =
            answers.iter().find(|record| record.owner == end && record.rtype == RecordType::CNAME);
        let Some(alias) = alias else { break };
        end = alias.rdata.clone();
    }
    end
}

/// The address in a record, if it is one.
pub(crate) fn address(record: &Record) -> Option<IpAddr> {
    match record.rtype {
        RecordType::A => <[u8; 4]>::try_from(&record.rdata[..]).ok().map(IpAddr::from),
        RecordType::AAAA => <[u8; 16]>::try_from(&record.rdata[..]).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A page of a server on loopback.
pub(crate) fn get(path: &str, port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    match stream.read_to_string(&mut text) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(text),
    }
}
