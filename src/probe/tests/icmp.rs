//! Echo requests over the loopback, where the machine lets us send any.

use super::*;
use crate::model::health::LocalError;

#[tokio::test]
async fn the_loopback_address_answers_or_we_may_not_ask() {
    for address in ["127.0.0.1", "::1"] {
        let host = TargetHost::Address(address.parse().unwrap());
        let target = target(host, 0, PATIENT, CheckKind::Icmp);
        assert_eq!(target.to_string(), format!("icmp {address}"));
        let prober = Prober::new(Clock::start());
        let (outcome, account) = prober.prepare(target).run_telling().await;
        match outcome {
            ProbeOutcome::Success(_) => assert_eq!(account.steps[0].0, "answered"),
            // A machine without the right, or without IPv6, has nothing to say of the target.
            other => assert_eq!(other, ProbeOutcome::LocalError(LocalError::Other), "{account:?}"),
        }
    }
}

#[tokio::test]
async fn an_address_that_nobody_can_have_is_no_fault_of_the_target() {
    // A broadcast: the kernel refuses before anything is sent.
    let host = TargetHost::Address("255.255.255.255".parse().unwrap());
    let outcome =
        probe_target(&Prober::new(Clock::start()), target(host, 0, PATIENT, CheckKind::Icmp)).await;
    assert!(matches!(outcome, ProbeOutcome::LocalError(_)), "{outcome:?}");
}
