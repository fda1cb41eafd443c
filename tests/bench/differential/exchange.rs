//! Asking a server many things at once by UDP, and again by TCP what did not fit.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::message::{Answer, Question};

/// How long an answer may take before the question is sent again.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often it is sent.
const TRIES: usize = 3;

/// A line to one server.
pub(crate) struct Line {
    address: SocketAddr,
    udp: UdpSocket,
    tcp: Option<TcpStream>,
    /// The last identifier that was used.
    id: u16,
}

impl Line {
    /// Opens it.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind((address.ip(), 0))?;
        udp.connect(address)?;
        udp.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { address, udp, tcp: None, id: 0 })
    }

    /// Asks by UDP; the answers are in the order of the questions. What is not answered after some
    /// tries, or is answered by something that is no answer, is silence.
    pub(crate) fn ask(&mut self, questions: &[Question]) -> io::Result<Vec<Answer>> {
        let packets = self.send(questions)?;
        self.receive(&packets)
    }

    /// Sends questions.
    pub(crate) fn send(&mut self, questions: &[Question]) -> io::Result<Vec<Vec<u8>>> {
        let mut packets = Vec::with_capacity(questions.len());
        for question in questions {
            self.id = self.id.wrapping_add(1);
            let packet = question.packet(self.id);
            self.udp.send(&packet)?;
            packets.push(packet);
        }
        Ok(packets)
    }

    /// Receives the answers to what was sent.
    pub(crate) fn receive(&mut self, packets: &[Vec<u8>]) -> io::Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = packets.iter().map(|_| None).collect();
        let mut missing = packets.len();
        let mut tries = 1;
        let mut message = vec![0; 65_535];
        while missing > 0 {
            let len = match self.udp.recv(&mut message) {
                Ok(len) => len,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if tries == TRIES {
                        break;
                    }
                    tries += 1;
                    let open = answers.iter().zip(packets).filter(|(answer, _)| answer.is_none());
                    for (_, packet) in open {
                        self.udp.send(packet)?;
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let place = packets.iter().position(|packet| packet[..2] == message[..2]);
            // What comes twice or belongs to an earlier question is of no interest.
            if let Some(place) = place.filter(|place| answers[*place].is_none()) {
                answers[place] =
                    Some(Answer::parse(&message[..len], &packets[place]).unwrap_or_default());
                missing -= 1;
            }
        }
        Ok(answers.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Asks by TCP.
    pub(crate) fn ask_by_tcp(&mut self, question: &Question) -> io::Result<Answer> {
        self.id = self.id.wrapping_add(1);
        let packet = question.packet(self.id);
        // A server may have closed the connection in the meantime: then a new one is made, once.
        let message = match self.tcp.take().map(|stream| exchange(stream, &packet)) {
            Some(Ok(done)) => done,
            Some(Err(_)) | None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(10 * PATIENCE))?;
                exchange(stream, &packet)?
            }
        };
        let (stream, message) = message;
        self.tcp = Some(stream);
        Ok(Answer::parse(&message, &packet).unwrap_or_default())
    }
}

fn exchange(mut stream: TcpStream, packet: &[u8]) -> io::Result<(TcpStream, Vec<u8>)> {
    let len = u16::try_from(packet.len()).expect("a question is short");
    stream.write_all(&[&len.to_be_bytes(), packet].concat())?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message)?;
    Ok((stream, message))
}
