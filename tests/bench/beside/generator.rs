//! The load: asks a server from one processor, faster than a server of one thread can answer.
//!
//! At the top rate some questions are always on their way and each answer makes room for the next: nothing
//! is lost and the server always has work. At a given rate questions come when chance says (Poisson), and
//! an answer's time counts from when its question was due, so that a server that stalls is not flattered.
//! The kernel cuts many questions out of one buffer (UDP_SEGMENT), which spares this side only: the server
//! receives them one by one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Child;
use std::time::Duration;

use socket2::SockRef;
use windrose::clock::Clock;
use windrose::model::Time;

use crate::chance::Chance;
use crate::figures::Shares;
use crate::process::processor_time;
use crate::queries::Queries;
use crate::udp_batch::{BATCH, Batch};

/// Sockets, as of so many clients.
const SOCKETS: usize = 16;
/// Questions that are on their way from each of them at the top rate: 192 in all.
const WINDOW: usize = 12;
/// Room for questions on their way at a given rate: a long stall. Its number is in a question's ID.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 12;
/// How long the load goes on before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);
/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const RECEIVE_BUFFER: usize = 4 << 20;

/// How fast to ask.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pace {
    /// As fast as answers come.
    Top,
    /// So many a second.
    Rate(f64),
}

/// What came of a load.
pub(crate) struct Outcome {
    /// How long was measured, and how much of that the server was running.
    pub(crate) took: Duration,
    pub(crate) processor_time: Duration,
    pub(crate) tally: Tally,
}

/// What was counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) lost: u64,
    pub(crate) octets: u64,
    no_error: u64,
    no_such_name: u64,
    records: u64,
    /// One for each answer.
    latencies: Vec<Duration>,
}

impl Tally {
    pub(crate) fn answered(&self) -> usize {
        self.latencies.len()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of seconds are far below 2^53")]
    pub(crate) fn shares(&self) -> Shares {
        let of_all = |count: u64| count as f64 / self.answered() as f64;
        Shares {
            no_error: of_all(self.no_error),
            no_such_name: of_all(self.no_such_name),
            records: of_all(self.records),
        }
    }

    /// What so many hundredths of the answers took at most; zero without any.
    pub(crate) fn latency(&mut self, hundredths: usize) -> Duration {
        if self.latencies.is_empty() {
            return Duration::ZERO;
        }
        let place = self.latencies.len() * hundredths / 100;
        *self.latencies.select_nth_unstable(place).1
    }

    fn note(&mut self, answer: &[u8], header: [u8; 12], latency: Duration) {
        self.octets += u64::try_from(answer.len()).unwrap_or(u64::MAX);
        match header[3] & 0xf {
            0 => self.no_error += 1,
            3 => self.no_such_name += 1,
            _ => {}
        }
        self.records += u64::from(u16::from_be_bytes([header[6], header[7]]));
        self.latencies.push(latency);
    }
}

/// Asks `server`, which listens at `address`, for so long.
pub(crate) fn run(
    server: &Child,
    address: SocketAddr,
    queries: &mut Queries,
    pace: Pace,
    lasts: Duration,
) -> io::Result<Outcome> {
    let slots = if pace == Pace::Top { WINDOW } else { SLOTS };
    let lines = (0..SOCKETS).map(|_| Line::open(address, queries.len(), slots));
    let mut lines = lines.collect::<io::Result<Vec<Line>>>()?;
    let (clock, mut batch, mut tally) = (Clock::start(), Batch::new(), Tally::default());
    let mut timetable = Timetable { pace, due: clock.now(), chance: Chance(5), turn: 0 };
    let mut look_at = clock.now();
    let warm_at = clock.now() + WARM_UP;
    let mut begun: Option<(Time, Duration)> = None;
    loop {
        let now = clock.now();
        match begun {
            None if now >= warm_at => {
                tally = Tally::default();
                begun = Some((clock.now(), processor_time(server)?));
            }
            Some((began, before)) if now.since(began) >= lasts => {
                let processor_time = processor_time(server)?.saturating_sub(before);
                return Ok(Outcome { took: now.since(began), processor_time, tally });
            }
            None | Some(_) => {}
        }
        if now >= look_at {
            look_at = now + BETWEEN_LOOKS;
            tally.lost += lines.iter_mut().map(|line| line.give_up(now)).sum::<u64>();
        }
        let mut is_idle = true;
        for line in &mut lines {
            is_idle &= line.receive(&mut batch, clock, &mut tally)? == 0;
        }
        is_idle &= timetable.ask(&mut lines, queries, clock.now())? == 0;
        if is_idle {
            std::hint::spin_loop();
        }
    }
}

/// Says when to ask.
struct Timetable {
    pace: Pace,
    /// When the next question is due at a given rate, and the line that asks it.
    due: Time,
    chance: Chance,
    turn: usize,
}

impl Timetable {
    /// Asks what is due; how many were asked.
    fn ask(&mut self, lines: &mut [Line], queries: &mut Queries, now: Time) -> io::Result<usize> {
        match self.pace {
            Pace::Top => {
                let mut asked = 0;
                for line in lines.iter_mut().filter(|line| line.free.len() == WINDOW) {
                    (0..WINDOW).for_each(|_| line.add(queries, now));
                    asked += line.send()?;
                }
                Ok(asked)
            }
            Pace::Rate(rate) => {
                self.turn = (self.turn + 1) % lines.len();
                let line = &mut lines[self.turn];
                while self.due <= now && line.free.len() > SLOTS - BATCH {
                    line.add(queries, self.due);
                    self.due = self.due + self.interval(rate);
                }
                line.send()
            }
        }
    }

    /// To the next question.
    fn interval(&mut self, rate: f64) -> Duration {
        let share = (f64::from(self.chance.next_u32()) + 1.0) / (f64::from(u32::MAX) + 1.0);
        Duration::from_secs_f64(-share.ln() / rate)
    }
}

/// A socket and what is on its way from it.
struct Line {
    socket: UdpSocket,
    /// By slot: a question's ID, and when it was due.
    waiting: Vec<Option<(u16, Time)>>,
    free: Vec<u16>,
    /// Changes with every question, so that a late answer to another one is not taken.
    turn: u16,
    /// Questions that are not sent yet.
    out: Vec<u8>,
    asked: usize,
}

impl Line {
    fn open(server: SocketAddr, segment: usize, slots: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        set_segment(&socket, segment)?;
        let free = (0..u16::try_from(slots).map_err(io::Error::other)?).rev().collect();
        Ok(Self { socket, waiting: vec![None; slots], free, turn: 0, out: Vec::new(), asked: 0 })
    }

    /// Adds a question to those that are sent next.
    fn add(&mut self, queries: &mut Queries, due: Time) {
        let Some(slot) = self.free.pop() else { return };
        self.turn = self.turn.wrapping_add(1);
        let id = self.turn << SLOT_BITS | slot;
        self.waiting[usize::from(slot)] = Some((id, due));
        queries.push_next(id, &mut self.out);
        self.asked += 1;
    }

    fn send(&mut self) -> io::Result<usize> {
        let asked = std::mem::take(&mut self.asked);
        if asked > 0 {
            self.socket.send(&self.out)?;
            self.out.clear();
        }
        Ok(asked)
    }

    /// Takes what has come; how many packets there were.
    fn receive(&mut self, batch: &mut Batch, clock: Clock, tally: &mut Tally) -> io::Result<usize> {
        if self.free.len() == self.waiting.len() {
            return Ok(0);
        }
        let count = match batch.receive(&self.socket) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let now = clock.now();
        let (packets, _) = batch.split();
        for (answer, _) in (0..count).filter_map(|n| packets.get(n)) {
            self.take(answer, now, tally);
        }
        Ok(count)
    }

    /// Takes an answer to a question that is waiting; of others, and of what is no answer, nothing.
    fn take(&mut self, answer: &[u8], now: Time, tally: &mut Tally) {
        let Some(&header) = answer.first_chunk::<12>() else { return };
        let id = u16::from_be_bytes([header[0], header[1]]);
        let slot = id & ((1 << SLOT_BITS) - 1);
        let Some(waiting) = self.waiting.get_mut(usize::from(slot)) else { return };
        let is_answer = header[2] & 0x80 != 0;
        if let Some((_, due)) = waiting.take_if(|(asked, _)| *asked == id && is_answer) {
            self.free.push(slot);
            tally.note(answer, header, now.since(due));
        }
    }

    /// Gives up what has been waiting for too long; how many that were.
    fn give_up(&mut self, now: Time) -> u64 {
        let mut lost = 0;
        for (slot, waiting) in (0_u16..).zip(&mut self.waiting) {
            if waiting.take_if(|(_, due)| now.since(*due) > PATIENCE).is_some() {
                self.free.push(slot);
                lost += 1;
            }
        }
        lost
    }
}

/// Has the kernel cut what is sent into packets of so many octets.
#[expect(unsafe_code, reason = "setsockopt for an option that socket2 does not know")]
fn set_segment(socket: &UdpSocket, octets: usize) -> io::Result<()> {
    let octets = libc::c_int::try_from(octets).map_err(io::Error::other)?;
    let len = libc::socklen_t::try_from(size_of_val(&octets)).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for the whole call, and the option's value is `len` octets of an
    // initialised integer.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const octets).cast(),
            len,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
