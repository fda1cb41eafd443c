//! Response rate limiting, as clients see it.

use super::server::{Ask, Server, arrival, judge, opt, shown};
use crate::dns::{Arrival, Buckets, Kind, Outcome, Rcode};
use crate::model::Limits;

const ASKED: usize = 1000;

fn strict() -> Limits {
    Limits { answers_per_sec: 10, negatives_per_sec: 10, errors_per_sec: 10, ..Limits::default() }
}

fn from(client: &str) -> Arrival {
    arrival(client.parse().unwrap(), true)
}

/// What one client gets that asks [`ASKED`] times at once.
fn asked_often(server: &mut Server, packet: &[u8], arrival: Arrival) -> Vec<(Outcome, Vec<u8>)> {
    let buckets = Buckets::new(7);
    (0..ASKED).map(|_| server.send_limited(packet, arrival, &buckets)).collect()
}

#[test]
fn beyond_the_limit_answers_are_truncated_or_not_sent() {
    // What is asked, slip, how many are sent truncated of those beyond the limit.
    let table = [
        ("www A", 0, 0..=0),
        ("www A", 1, 950..=950),
        ("www A", 2, 425..=525),
        ("www A +edns 1232", 10, 60..=130),
        ("missing A", 1, 950..=950),
        ("www MX", 1, 950..=950),
        ("host.sub A", 1, 950..=950),
    ];
    for (what, slip, truncated) in table {
        let ask = Ask::read(what);
        let packet = ask.packet();
        let mut server = Server::new().with_limits(Limits { slip, ..strict() });
        let sent = asked_often(&mut server, &packet, from("192.0.2.1"));
        // A burst of five seconds is answered in full.
        let (within, beyond) = sent.split_at(50);
        assert!(within.iter().all(|(outcome, _)| outcome.kind != Kind::Limited), "{what}");
        assert!(beyond.iter().all(|(outcome, _)| outcome.kind == Kind::Limited), "{what}");
        let slipped: Vec<_> = beyond.iter().filter(|(outcome, _)| outcome.len > 0).collect();
        assert!(truncated.contains(&slipped.len()), "{what}: {}", slipped.len());
        for (outcome, reply) in slipped {
            judge(&packet, true, outcome, reply);
            assert!(outcome.is_truncated && reply.len() <= packet.len(), "{what}");
        }
    }
}

#[test]
fn an_error_slips_as_it_is() {
    // No OPT record of ours is of version 1.
    let mut broken = Ask::read("www A").packet();
    broken[11] = 1;
    broken.extend_from_slice(&opt(1232, 1, &[]));
    let table =
        [(Ask::read("elsewhere.test. A").packet(), Rcode::REFUSED), (broken, Rcode::BADVERS)];
    for (packet, rcode) in table {
        let mut server = Server::new().with_limits(strict());
        let sent = asked_often(&mut server, &packet, from("192.0.2.1"));
        let count = sent.iter().filter(|(outcome, _)| outcome.len > 0).count();
        assert!((475..=575).contains(&count), "{rcode:?}: {count}");
        assert!(sent.iter().all(|(outcome, _)| outcome.rcode == rcode && !outcome.is_truncated));
    }
}

#[test]
fn who_is_exempt_or_shows_a_good_cookie_is_never_limited() {
    let exempt = vec!["198.51.100.0/24".parse().unwrap()];
    let mut server = Server::new().with_limits(Limits { exempt, ..strict() });
    let plain = Ask::read("www A").packet();
    // A client's part alone makes us send ours, which it shows from then on.
    let with_cookie = |cookie: &[u8]| {
        let mut packet = plain.clone();
        packet[11] = 1;
        let len = u8::try_from(cookie.len()).unwrap();
        packet.extend_from_slice(&opt(1232, 0, &[&[0, 10, 0, len], cookie].concat()));
        packet
    };
    let new = with_cookie(b"a client");
    let (_, reply) = server.send(&new, from("192.0.2.1"), 1232);
    let good = with_cookie(&reply[reply.len() - 24..]);
    let table = [
        ("nobody special", &plain, "192.0.2.1", false),
        ("exempt", &plain, "198.51.100.7", true),
        ("a cookie of its own alone", &new, "192.0.2.1", false),
        ("our cookie", &good, "192.0.2.1", true),
        ("our cookie, from elsewhere", &good, "192.0.2.2", false),
    ];
    for (who, packet, client, is_exempt) in table {
        let sent = asked_often(&mut server, packet, from(client));
        let limited = sent.iter().filter(|(outcome, _)| outcome.kind == Kind::Limited).count();
        assert_eq!(limited, if is_exempt { 0 } else { 950 }, "{who}");
    }
}

#[test]
fn silence_takes_nothing_from_anybody() {
    let mut server = Server::new().with_limits(strict());
    let buckets = Buckets::new(7);
    let mut response = Ask::read("www A").packet();
    response[2] |= 0x80;
    for _ in 0..ASKED {
        server.send_limited(&response, from("192.0.2.1"), &buckets);
    }
    let (outcome, reply) =
        server.send_limited(&Ask::read("nowhere.test. A").packet(), from("192.0.2.1"), &buckets);
    assert_eq!(outcome.kind, Kind::NotOurs, "{}", shown(&reply));
}
