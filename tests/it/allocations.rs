//! Answering a query allocates nothing, whatever kind of answer it is.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use windrose::config::{self, ZoneFiles};
use windrose::dns::{Arrival, Buckets, Dice, Kind, Pairs, Read, handle};
use windrose::geo::Atlas;
use windrose::model::{Limits, Name, RecordType, Report, TargetHealth, Time, Verdict};
use windrose::snapshot::gate::Gate;
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

/// The system's allocator, counting what each thread asks of it.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no count any more, and nobody who would ask for it.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "there is no safe way to count allocations; all is passed on")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The zone that the unit tests of `dns` ask.
struct Files;

impl ZoneFiles for Files {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        ["example.test.toml", "example.test.zone"].map(str::to_owned).to_vec()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dns/tests/");
        let text = std::fs::read_to_string(format!("{directory}{name}"));
        text.map(Into::into).map_err(|error| error.to_string())
    }
}

fn snapshot() -> Snapshot {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, &Files);
    let down = TargetHealth {
        verdict: Verdict::Down,
        since: Time::ZERO,
        next_change: std::time::Duration::from_secs(20),
        agreed_by: 1,
        is_answering: false,
    };
    let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
    Snapshot::compile(blueprint, 1, &Conditions::new(Time::ZERO, &|_| down)).unwrap()
}

/// A query with a client subnet, or without EDNS.
fn packet(name: &str, qtype: RecordType, has_subnet: bool) -> Vec<u8> {
    let name = Name::parse(name, &"example.test.".parse().unwrap()).unwrap();
    let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(has_subnet)];
    packet.extend_from_slice(name.as_wire());
    packet.extend_from_slice(&qtype.0.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if has_subnet {
        packet.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 11]);
        packet.extend_from_slice(&[0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]);
    }
    packet
}

#[test]
fn no_kind_of_answer_allocates() {
    let table = [
        ("mail", RecordType::A, Kind::Static),
        ("a.b.wild", RecordType::MX, Kind::Static),
        ("chain", RecordType::A, Kind::Static),
        ("ring", RecordType::A, Kind::Static),
        ("steered", RecordType::A, Kind::Static),
        ("a.old", RecordType::TXT, Kind::Static),
        ("huge", RecordType::TXT, Kind::Static),
        ("mail", RecordType::ANY, Kind::Static),
        ("www", RecordType::A, Kind::Steered),
        ("keyed", RecordType::AAAA, Kind::Steered),
        ("counted", RecordType::A, Kind::Steered),
        ("turns", RecordType::A, Kind::Steered),
        ("many", RecordType::AAAA, Kind::Steered),
        ("x.app", RecordType::A, Kind::Steered),
        ("cdn", RecordType::A, Kind::Steered),
        ("sorry", RecordType::A, Kind::Steered),
        ("silent", RecordType::A, Kind::NoData),
        ("mail", RecordType::MX, Kind::NoData),
        ("nothing", RecordType::A, Kind::NxDomain),
        ("host.sub", RecordType::A, Kind::Referral),
        ("www.example.net.", RecordType::A, Kind::NotOurs),
        ("@", RecordType::AXFR, Kind::Refused),
        ("broken", RecordType::A, Kind::ServFail),
        ("www", RecordType::IXFR, Kind::NotOurs),
    ];
    let snapshot = snapshot();
    let mut dice = Dice::new(7).with_pairs(&Arc::new(Pairs::new(7)));
    let mut out = vec![0; 65_535];
    for (name, qtype, kind) in table {
        for (has_subnet, is_udp) in [(false, true), (true, true), (true, false)] {
            let packet = packet(name, qtype, has_subnet);
            let client = IpAddr::from([192, 0, 2, 1]);
            let arrival = Arrival { client, is_udp, unix_secs: 1_800_000_000 };
            let before = COUNT.get();
            let outcome = handle(&snapshot, &packet, arrival, &mut dice, &mut out);
            let allocations = COUNT.get() - before;
            assert_eq!((outcome.kind, allocations), (kind, 0), "{name} {qtype}");
        }
    }
    let before = COUNT.get();
    for broken in [&[0; 12][..], &[0; 11], &[0xff; 64], &[0, 1, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0]] {
        let arrival = Arrival { client: [192, 0, 2, 1].into(), is_udp: true, unix_secs: 0 };
        handle(&snapshot, broken, arrival, &mut dice, &mut out);
    }
    assert_eq!(COUNT.get() - before, 0);
}

#[test]
fn limiting_allocates_nothing() {
    let limits = Limits { answers_per_sec: 1, slip: 1, ..Limits::default() };
    let snapshot = snapshot().with_gate(Gate { limits, ..Gate::default() });
    let (buckets, mut dice, mut out) = (Buckets::new(7), Dice::new(7), vec![0; 1232]);
    let packet = packet("mail", RecordType::A, true);
    let arrival = Arrival { client: [192, 0, 2, 1].into(), is_udp: true, unix_secs: 7 };
    let before = COUNT.get();
    let mut limited = 0;
    for _ in 0..20 {
        let read = Read::new(&snapshot, &packet);
        let answered = read.answer(arrival, &mut dice, &mut out);
        let outcome = read.limit(answered, &buckets, arrival, &mut dice, &mut out);
        limited += usize::from(outcome.kind == Kind::Limited);
    }
    assert_eq!((limited, COUNT.get() - before), (15, 0));
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(COUNT.get() - before, 1);
}
