//! Where no probe goes, as the default has it.

use tokio::net::TcpStream;

use super::*;
use crate::config::ServerConfig;
use crate::model::Prefix;
use crate::model::health::LocalError;

fn denied(change: impl FnOnce(&mut ServerConfig)) -> Denied {
    let mut config = ServerConfig::default();
    change(&mut config);
    Denied::new(&config)
}

#[test]
fn twenty_places_that_are_nobody_s_business_are_not_asked() {
    let denied = denied(|_| ());
    for address in [
        "169.254.169.254:80",
        "169.254.170.2:80",
        "169.254.0.1:443",
        "[::ffff:169.254.169.254]:80",
        "[fd00:ec2::254]:80",
        "[fe80::1]:80",
        "[fe80::a9fe:a9fe]:80",
        "100.100.100.200:80",
        "168.63.129.16:32526",
        "192.0.0.192:80",
        "0.0.0.0:80",
        "0.1.2.3:80",
        "[::]:80",
        "224.0.0.1:53",
        "239.255.255.250:1900",
        "255.255.255.255:80",
        "240.0.0.1:80",
        "[ff02::1]:80",
        // The listeners of the default.
        "127.0.0.1:5380",
        "[::1]:5300",
    ] {
        assert!(denied.reason(address.parse().unwrap()).is_some(), "{address}");
    }
    for address in ["127.0.0.1:80", "10.0.0.1:80", "192.0.2.1:80", "[2001:db8::1]:80", "[::1]:80"] {
        assert_eq!(denied.reason(address.parse().unwrap()), None, "{address}");
    }
}

#[test]
fn whoever_listens_everywhere_is_met_on_the_loopback() {
    let denied = denied(|config| config.fixed.dns.listen = vec!["0.0.0.0:53".parse().unwrap()]);
    let reason = |address: &str| denied.reason(address.parse().unwrap());
    assert_eq!(reason("127.0.0.1:53").unwrap(), "this server itself listens there");
    assert_eq!((reason("127.0.0.1:54"), reason("192.0.2.1:53")), (None, None));
}

#[tokio::test]
async fn a_host_name_that_leads_to_a_denied_address_is_not_asked() {
    let (canary, address) = listener().await;
    let loopback = ["127.0.0.0/8", "::1/128"].map(|prefix| prefix.parse::<Prefix>().unwrap());
    let denied = denied(|config| config.fixed.probe.deny.extend(loopback));
    let prober = Prober::new(Clock::start()).with_denied(denied);
    let by_name = TargetHost::Name("localhost.".parse().unwrap());
    for host in [by_name, TargetHost::Address(address.ip())] {
        let target = target(host, address.port(), PATIENT, CheckKind::Tcp);
        let (outcome, account) = prober.prepare(target).run_telling().await;
        assert_eq!(outcome, ProbeOutcome::LocalError(LocalError::Other), "{account:?}");
        let [fact] = &account.facts[..] else { panic!("{account:?}") };
        assert!(fact.starts_with("no probe goes to "), "{fact}");
    }
    // The first to come to the canary is who comes now.
    let own = TcpStream::connect(address).await.unwrap();
    assert_eq!(canary.accept().await.unwrap().1, own.local_addr().unwrap());
}
