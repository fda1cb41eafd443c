//! HTTP/1.1 with as little as will do: a request is written, an answer read as far as it matters.
//!
//! Most checks are of this kind, and there may be hundreds of thousands of them. Here a probe is one connection,
//! over TLS or not, and two buffers. Answers are read with bounds: so much head, so much body, and nothing beyond.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;

use httparse::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::fault::Fault;
use super::way::Way;
use crate::model::FailureReason;

/// No head of an answer is longer.
const HEAD_OCTETS_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 100;
/// What is read at once, and the longest line before a chunk.
const CHUNK_OCTETS: usize = 2048;

const BROKEN: Fault = Fault::Failure(FailureReason::Protocol);

/// What requests and answers go over.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets).await,
            Self::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
        }
    }

    /// How many octets came. Who leaves TLS without goodbye, as many do, has come to the end as well: what was
    /// to come says whether that was too soon.
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let before = into.len();
        into.resize(before + CHUNK_OCTETS, 0);
        let room = &mut into[before..];
        let read = match self {
            Self::Plain(stream) => stream.read(room).await,
            Self::Tls(stream) => stream.read(room).await,
        };
        let read = match read {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        };
        into.truncate(before + read.as_ref().map_or(0, |len| *len));
        read
    }
}

/// A connection over `way` that broke.
fn broken(error: &io::Error, way: Way) -> Fault {
    match error.raw_os_error() {
        Some(_) => Fault::of_socket(error, way),
        // TLS has something to say.
        None => Fault::of_causes(error, way).unwrap_or(BROKEN),
    }
}

/// An answer whose head was read.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    stream: Stream,
    way: Way,
    body: Body,
    /// Whether another request may follow.
    is_persistent: bool,
}

/// A body that comes piece by piece.
#[derive(Debug)]
struct Body {
    /// What came and was not looked at yet.
    unread: Vec<u8>,
    frame: Frame,
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frame {
    /// So many octets are to come.
    Length(u64),
    /// A chunk's head comes next.
    Chunk,
    /// So many octets of a chunk are to come, its line end with them.
    InChunk(u64),
    /// The body ends with the connection.
    Close,
    /// What may follow chunks, up to an empty line.
    Trailer,
    /// Nothing is to come.
    End,
}

/// Sends `request` over `stream`, which goes over `way`, and reads the head of the answer.
pub(super) async fn send(
    request: &[u8],
    is_head: bool,
    mut stream: Stream,
    way: Way,
) -> Result<Response, Fault> {
    let fault = |error| broken(&error, way);
    stream.write_all(request).await.map_err(fault)?;
    let mut unread = Vec::new();
    loop {
        if !unread.is_empty()
            && let Some(Head { len, status, frame, is_persistent }) = parse(&unread, is_head)?
        {
            unread.drain(..len);
            // RFC 9110 §15.2: any number of interim answers may come first.
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let body = Body { unread, frame };
            return Ok(Response { status, stream, way, body, is_persistent });
        }
        let is_over = unread.len() >= HEAD_OCTETS_MAX;
        if is_over || stream.read(&mut unread).await.map_err(fault)? == 0 {
            return Err(BROKEN);
        }
    }
}

/// The head of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Head {
    len: usize,
    status: u16,
    frame: Frame,
    is_persistent: bool,
}

/// The head at the beginning of `octets`, if it is whole.
fn parse(octets: &[u8], is_head: bool) -> Result<Option<Head>, Fault> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let parsed = parser.parse_response_with_uninit_headers(&mut response, octets, &mut headers);
    let len = match parsed {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(BROKEN),
    };
    let status = response.code.ok_or(BROKEN)?;
    let has_body = !is_head && !matches!(status, 100..200 | 204 | 304);
    let frame = if has_body { frame(response.headers)? } else { Frame::End };
    // RFC 9112 §9.3: of HTTP/1.0 it would have to be asked for.
    let is_closed = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("connection")
            && header.value.to_ascii_lowercase().windows(5).any(|word| word == b"close")
    });
    let is_persistent = response.version == Some(1) && !is_closed;
    Ok(Some(Head { len, status, frame, is_persistent }))
}

fn frame(headers: &[httparse::Header<'_>]) -> Result<Frame, Fault> {
    let values = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.trim_ascii())
    };
    if let Some(coding) = values("transfer-encoding").next_back() {
        let is_chunked = coding.to_ascii_lowercase().ends_with(b"chunked");
        return Ok(if is_chunked { Frame::Chunk } else { Frame::Close });
    }
    let mut lengths = values("content-length");
    let Some(length) = lengths.next() else { return Ok(Frame::Close) };
    if !length.iter().all(u8::is_ascii_digit) || lengths.any(|other| other != length) {
        return Err(BROKEN);
    }
    let number = std::str::from_utf8(length).ok().and_then(|digits| digits.parse().ok());
    number.map(Frame::Length).ok_or(BROKEN)
}

impl Response {
    /// What comes next of the body; nothing at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            if let Some(part) = self.body.take()? {
                return Ok(Some(part));
            }
            if self.body.is_whole() {
                return Ok(None);
            }
            let read = self.stream.read(&mut self.body.unread).await;
            match (read.map_err(|error| broken(&error, self.way))?, self.body.frame) {
                (0, Frame::Close) => return Ok(None),
                // It broke off.
                (0, _) => return Err(BROKEN),
                (_, _) => {}
            }
        }
    }
}

impl Response {
    /// The connection, if its answer has come to its end and another request may follow.
    pub(super) fn into_connection(self) -> Option<Stream> {
        let is_over = self.body.is_whole() && self.body.unread.is_empty();
        (self.is_persistent && is_over).then_some(self.stream)
    }
}

impl Body {
    /// Whether nothing is to come.
    const fn is_whole(&self) -> bool {
        matches!(self.frame, Frame::End | Frame::Length(0))
    }

    /// What of it has come, if anything has.
    fn take(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        while !self.unread.is_empty() {
            match self.frame {
                Frame::End | Frame::Length(0) => return Ok(None),
                Frame::Close => return Ok(Some(std::mem::take(&mut self.unread))),
                Frame::Length(left) => {
                    let part = self.cut(left);
                    self.frame = Frame::Length(left - part.len() as u64);
                    return Ok(Some(part));
                }
                Frame::Chunk => match httparse::parse_chunk_size(&self.unread) {
                    Ok(Status::Complete((len, 0))) => {
                        self.unread.drain(..len);
                        self.frame = Frame::Trailer;
                    }
                    Ok(Status::Complete((len, size))) => {
                        self.unread.drain(..len);
                        self.frame = Frame::InChunk(size.saturating_add(2));
                    }
                    Ok(Status::Partial) if self.unread.len() < CHUNK_OCTETS => return Ok(None),
                    Ok(Status::Partial) | Err(_) => return Err(BROKEN),
                },
                Frame::Trailer => match end_of_trailer(&self.unread) {
                    Some(len) => {
                        self.unread.drain(..len);
                        self.frame = Frame::End;
                    }
                    None if self.unread.len() < CHUNK_OCTETS => return Ok(None),
                    None => return Err(BROKEN),
                },
                Frame::InChunk(left) => {
                    let mut part = self.cut(left);
                    let left = left - part.len() as u64;
                    self.frame = if left == 0 { Frame::Chunk } else { Frame::InChunk(left) };
                    // The line end belongs to nobody; it may come in two parts.
                    let line_end = usize::try_from(2_u64.saturating_sub(left)).unwrap_or_default();
                    part.truncate(part.len().saturating_sub(line_end));
                    if !part.is_empty() {
                        return Ok(Some(part));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The first octets of what has come.
    fn cut(&mut self, max: u64) -> Vec<u8> {
        let len = usize::try_from(max).unwrap_or(usize::MAX).min(self.unread.len());
        self.unread.drain(..len).collect()
    }
}

/// How long the trailer at the beginning of `octets` is, with its empty line, if that is there.
fn end_of_trailer(octets: &[u8]) -> Option<usize> {
    if octets.starts_with(b"\r\n") {
        return Some(2);
    }
    octets.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body behind a head when it comes in such pieces, and whether its end has come.
    fn body_of(head: &str, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Fault> {
        let Head { frame, .. } = parse(head.as_bytes(), false)?.expect("a whole head");
        let (mut body, mut seen) = (Body { unread: Vec::new(), frame }, Vec::new());
        for piece in pieces {
            body.unread.extend_from_slice(piece);
            while let Some(part) = body.take()? {
                seen.extend(part);
            }
        }
        Ok((seen, body.is_whole() && body.unread.is_empty()))
    }

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let (mut wire, whole) = (Vec::new(), chunks.concat());
            for chunk in &chunks {
                wire.extend(format!("{:x};ext=1\r\n", chunk.len()).into_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\nAge: 1\r\n\r\n");
            let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
            for (head, wire) in [(CHUNKED, &wire), (&long, &whole)] {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
                cuts.sort_unstable();
                let starts = std::iter::once(0).chain(cuts.iter().copied());
                let ends = cuts.iter().copied().chain([wire.len()]);
                let pieces: Vec<&[u8]> = starts.zip(ends).map(|(from, to)| &wire[from..to]).collect();
                prop_assert_eq!(body_of(head, &pieces).unwrap(), (whole.clone(), true));
            }
        }

        #[test]
        fn no_answer_is_too_strange(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&octets, false);
            let _ = body_of(CHUNKED, &[&octets]);
        }
    }

    #[test]
    fn heads_say_how_the_body_ends() {
        let frame = |head: &str, is_head| {
            let head = format!("HTTP/1.1 {head}\r\n\r\n");
            parse(head.as_bytes(), is_head).map(|parsed| parsed.expect("a whole head").frame)
        };
        assert_eq!(frame("200 OK", false), Ok(Frame::Close));
        assert_eq!(frame("200 OK\r\nContent-Length: 5", false), Ok(Frame::Length(5)));
        assert_eq!(frame("200 OK\r\nContent-Length: 5", true), Ok(Frame::End));
        assert_eq!(frame("204 No Content\r\nContent-Length: 5", false), Ok(Frame::End));
        let both = "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, chunked";
        assert_eq!(frame(both, false), Ok(Frame::Chunk), "RFC 9112 §6.3: the coding counts");
        let twice = "200 OK\r\nContent-Length: 5\r\nContent-Length: 6";
        for broken in ["200 OK\r\nContent-Length: -1", "200 OK\r\nContent-Length: x", twice] {
            assert_eq!(frame(broken, false), Err(BROKEN), "{broken}");
        }
    }
}
