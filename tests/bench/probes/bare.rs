//! The bare limit: the system calls of a probe and nothing else, in one loop over epoll.
//!
//! What each probe costs here is what the kernel takes for a connection, a request, an answer and a reset, the
//! targets' share of the loopback with it. No timeouts, no verdicts, and whatever is odd ends it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, SockRef, Socket, Type};
use windrose::clock::Clock;

use super::{INTERVAL, Result, Used, address};

/// So often probes are started, those together that are due.
const TICK: Duration = Duration::from_millis(10);
const REQUEST: &[u8] =
    b"GET /healthz HTTP/1.1\r\nHost: www.example.com\r\nuser-agent: windrose-check/0.1.0\r\n\
    accept: */*\r\nconnection: close\r\n\r\n";

/// One probe under way.
struct Probe {
    stream: TcpStream,
    has_asked: bool,
}

/// Probes `count` targets once each, in an interval; processor microseconds a probe.
pub(crate) fn run(count: u32, port: u16) -> Result<f64> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    // By place; a place that is free is used again.
    let mut probes: Vec<Option<Probe>> = Vec::new();
    let mut free = Vec::new();
    let (mut started, mut ended) = (0, 0);
    let mut events = [EpollEvent::empty(); 256];
    let (clock, used) = (Clock::start(), Used::by("self")?);
    let begun = clock.now();
    while ended < count {
        let passed = clock.now().since(begun);
        let due = f64::from(count) * (passed + TICK).as_secs_f64() / INTERVAL.as_secs_f64();
        while started < count && f64::from(started) < due {
            let place = free.pop().unwrap_or_else(|| {
                probes.push(None);
                probes.len() - 1
            });
            probes[place] = Some(start(&epoll, place, (address(started), port).into())?);
            started += 1;
        }
        let next = TICK * u32::try_from(passed.as_millis() / TICK.as_millis() + 1)?;
        let rest = EpollTimeout::try_from(next.saturating_sub(clock.now().since(begun)))?;
        let heard = epoll.wait(&mut events, rest)?;
        for event in &events[..heard] {
            let place = usize::try_from(event.data())?;
            let Some(probe) = &mut probes[place] else { continue };
            if go_on(probe, event.events())? {
                epoll.delete(&probe.stream)?;
                probes[place] = None;
                free.push(place);
                ended += 1;
            }
        }
    }
    Ok(Used::by("self")?.since(used).all() / f64::from(count) * 1e6)
}

fn start(epoll: &Epoll, place: usize, target: SocketAddr) -> Result<Probe> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), None)?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error.into()),
        _ => {}
    }
    let wanted = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
    epoll.add(socket.as_fd(), EpollEvent::new(wanted, place as u64))?;
    Ok(Probe { stream: socket.into(), has_asked: false })
}

/// Goes on with a probe; whether that was its end.
fn go_on(probe: &mut Probe, events: EpollFlags) -> Result<bool> {
    if !probe.has_asked && events.contains(EpollFlags::EPOLLOUT) {
        if let Some(error) = probe.stream.take_error()? {
            return Err(error.into());
        }
        SockRef::from(&probe.stream).set_linger(Some(Duration::ZERO))?;
        probe.stream.write_all(REQUEST)?;
        probe.has_asked = true;
    }
    if !events.contains(EpollFlags::EPOLLIN) {
        return Ok(false);
    }
    match probe.stream.read(&mut [0; 2048]) {
        Ok(0) => Err("a target hung up".into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}
