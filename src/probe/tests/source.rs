//! Probes from an address of the operator's choice: of the whole 127.0.0.0/8, which is the loopback's.

use std::net::{IpAddr, Ipv4Addr};

use tokio::net::UdpSocket;

use super::*;
use crate::config::Source;
use crate::model::RecordType;
use crate::model::check::{Connection, DnsCheck, ExecCheck, GrpcCheck, HttpCheck, TlsCheck};
use crate::model::health::LocalError;

const OWN: Source = Source { v4: Some(Ipv4Addr::new(127, 0, 0, 2)), v6: None };
/// An address of documentation (RFC 5737), which no machine has.
const LACKED: Source = Source { v4: Some(Ipv4Addr::new(192, 0, 2, 1)), v6: None };

fn prober(source: Source) -> Prober {
    Prober::new(Clock::start()).with_source(source)
}

fn text(over: Carrier) -> CheckKind {
    CheckKind::Text(TextCheck { over, send: Some("hello".to_owned()), expect: None })
}

fn dns(over: Carrier) -> CheckKind {
    let (qname, qtype) = ("www.example.test.".parse().unwrap(), RecordType::A);
    CheckKind::Dns(DnsCheck { qname, qtype, over, rcode: 0, answer: None })
}

fn http(tls: bool) -> CheckKind {
    CheckKind::Http(HttpCheck {
        tls,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: None,
        verify: false,
        headers: Vec::new(),
        status: vec![200..=299],
        body: None,
        connection: Connection::Fresh,
    })
}

fn grpc(tls: bool) -> CheckKind {
    CheckKind::Grpc(GrpcCheck { tls, host: None, verify: false, service: String::new() })
}

/// All kinds that open a connection.
fn over_tcp() -> [CheckKind; 8] {
    let tls = CheckKind::Tls(TlsCheck { host: None, verify: false });
    let [plain, https] = [false, true].map(http);
    let [grpc, grpc_over_tls] = [false, true].map(grpc);
    let [text, dns] = [text(Carrier::Tcp), dns(Carrier::Tcp)];
    [CheckKind::Tcp, text, tls, plain, https, dns, grpc, grpc_over_tls]
}

fn over_udp() -> [CheckKind; 2] {
    [text(Carrier::Udp), dns(Carrier::Udp)]
}

/// What `seen` tells of who asks there by `kind`.
async fn who_asks(
    address: SocketAddr,
    kind: CheckKind,
    seen: impl Future<Output = SocketAddr>,
) -> IpAddr {
    let mut probe = prober(OWN).prepare(target_at(address, kind));
    let probing = tokio::spawn(async move { probe.run().await });
    let peer = timeout(PATIENT, seen).await.expect("somebody comes");
    probing.abort();
    peer.ip()
}

#[tokio::test]
async fn every_kind_asks_from_the_address_that_was_chosen() {
    for kind in over_tcp() {
        let (listener, address) = listener().await;
        let seen = async { listener.accept().await.unwrap().1 };
        let case = format!("{kind:?}");
        assert_eq!(who_asks(address, kind, seen).await, IpAddr::from([127, 0, 0, 2]), "{case}");
    }
    for kind in over_udp() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let seen = async { server.recv_from(&mut [0; 512]).await.unwrap().1 };
        let case = format!("{kind:?}");
        assert_eq!(who_asks(address, kind, seen).await, IpAddr::from([127, 0, 0, 2]), "{case}");
    }
}

#[tokio::test]
async fn a_family_without_an_address_of_its_own_goes_as_the_system_has_it() {
    // Machines without IPv6 have nothing to show here.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let seen = async { listener.accept().await.unwrap().1 };
    let address = listener.local_addr().unwrap();
    assert_eq!(who_asks(address, http(false), seen).await, address.ip());
}

#[tokio::test]
async fn an_address_that_the_machine_lacks_is_said_and_no_fault_of_the_target() {
    let (_listener, address) = listener().await;
    let said = "this machine does not have the address 192.0.2.1, which `[probe] source` names";
    let ping = icmp_refusal().is_none().then_some(CheckKind::Icmp);
    for kind in over_tcp().into_iter().chain(over_udp()).chain(ping) {
        let mut probe = prober(LACKED).prepare(target_at(address, kind));
        let (outcome, account) = probe.run_telling().await;
        assert_eq!(outcome, ProbeOutcome::LocalError(LocalError::Other), "{account:?}");
        assert_eq!(account.facts, [said], "{:?}", probe.target);
    }
}

#[tokio::test]
async fn the_loopback_answers_a_ping_from_another_of_its_addresses() {
    let target = target_at("127.0.0.1:0".parse().unwrap(), CheckKind::Icmp);
    let outcome = probe_target(&prober(OWN), target).await;
    match icmp_refusal() {
        None => assert!(is_success(outcome), "{outcome:?}"),
        Some(_) => assert_eq!(outcome, ProbeOutcome::LocalError(LocalError::Other)),
    }
}

#[tokio::test]
async fn a_program_is_told_where_probes_come_from() {
    let directory = crate::testing::TempDir::new();
    std::os::unix::fs::symlink("/bin/sh", directory.path().join("shell")).unwrap();
    let script = "[ \"$WINDROSE_SOURCE\" = 127.0.0.2 ]".to_owned();
    let arguments = vec!["-c".to_owned(), script];
    let kind = CheckKind::Exec(ExecCheck { program: "shell".to_owned(), arguments });
    let target = target_at("127.0.0.1:80".parse().unwrap(), kind);
    let prober = prober(OWN).with_programs(Some(directory.path().to_owned()));
    assert_outcome(probe_target(&prober, target).await, None, "");
}
