//! What is counted.
//!
//! Each thread that answers has [`Counters`] of its own, so that counting is an addition to memory
//! that nobody else writes; whoever wants to know sums them up. Rendering them for Prometheus is here,
//! too, so that names and meanings stand in one place.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::dns::{Kind, Outcome};
use crate::model::health::ProbeOutcome;
use crate::model::{FailureReason, OverrideKind};
use crate::probe::{Figures, LAG_MILLIS, Reading};

/// One thread's counts.
#[derive(Debug)]
#[repr(align(128))] // Two cache lines, so that neighbours' counters never share one.
pub struct Counters {
    transport: &'static str,
    answers: [AtomicU64; Kind::ALL.len()],
    truncated: AtomicU64,
    unsent: AtomicU64,
    panics: AtomicU64,
}

impl Counters {
    fn new(transport: &'static str) -> Self {
        Self {
            transport,
            answers: Default::default(),
            truncated: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// Counts a packet, for a thread that has these counters to itself: an addition in memory, where
    /// [`add`](Self::add) has to keep others out of it.
    pub fn add_alone(&self, outcome: &Outcome) {
        let add = |count: &AtomicU64| {
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        };
        add(&self.answers[outcome.kind as usize]);
        if outcome.is_truncated {
            add(&self.truncated);
        }
    }

    /// Counts a packet.
    pub fn add(&self, outcome: &Outcome) {
        self.answers[outcome.kind as usize].fetch_add(1, Ordering::Relaxed);
        if outcome.is_truncated {
            self.truncated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts replies that the kernel did not take.
    pub fn add_unsent(&self, count: usize) {
        if count > 0 {
            self.unsent.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Counts a packet that made us panic.
    pub fn add_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// What carries questions.
const TRANSPORTS: [&str; 5] = ["udp", "tcp", "tls", "https", "quic"];

/// How probes end.
const PROBES: [&str; 4] = ["success", "flawed", "failure", "local-error"];

/// All counters of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Mutex<Vec<Arc<Counters>>>,
    /// Snapshots that were swapped in.
    pub swaps: AtomicU64,
    /// Reloads that were refused.
    pub reloads_refused: AtomicU64,
    /// Probes by how they ended: well, nearly so, badly, or not made for want of something of our own.
    probes: [AtomicU64; PROBES.len()],
    /// Those that ended badly, by the place of the reason.
    probe_failures: [AtomicU64; FailureReason::WORDS.len()],
    /// Look-ups of the hosts of aliases that failed.
    pub alias_failures: AtomicU64,
    /// What operators say, by [`OverrideKind::ALL`].
    pub overrides: [AtomicU64; OverrideKind::ALL.len()],
    /// Whether answers are frozen: 0 or 1.
    pub frozen: AtomicU64,
    /// Pools that get more than they have room for.
    pub overloaded: AtomicU64,
    /// What the schedule of probes does, where there is one.
    pub probing: OnceLock<Arc<Figures>>,
    /// Whether this vantage does not trust itself: 0 or 1.
    pub impaired: AtomicU64,
}

/// The metrics: name, type, meaning.
pub const METRICS: [(&str, &str, &str); 18] = [
    ("windrose_answers_total", "counter", "Packets by transport and kind of answer."),
    ("windrose_truncated_total", "counter", "Answers that were cut (TC), by transport."),
    ("windrose_unsent_total", "counter", "Answers that the kernel did not take, by transport."),
    ("windrose_panics_total", "counter", "Packets that made the answering code panic: a bug."),
    ("windrose_swaps_total", "counter", "Snapshots that were swapped in."),
    ("windrose_reloads_refused_total", "counter", "Reloads refused because of errors."),
    ("windrose_probes_total", "counter", "Probes of endpoints, by how they ended."),
    ("windrose_probe_failures_total", "counter", "Probes that failed, by reason."),
    ("windrose_alias_failures_total", "counter", "Look-ups of hosts of aliases that failed."),
    ("windrose_overrides", "gauge", "What operators say over verdicts, by kind."),
    ("windrose_frozen", "gauge", "Whether operators keep changes of health away from answers."),
    ("windrose_overloaded_pools", "gauge", "Pools that get more than they have room for."),
    ("windrose_probes_started_total", "counter", "Probes that were started."),
    ("windrose_probes_dropped_total", "counter", "Extra probes that found no reserve or room."),
    ("windrose_probes_in_flight", "gauge", "Probes under way."),
    ("windrose_probes_waiting", "gauge", "Probes that are due and wait for room."),
    ("windrose_probe_lag_seconds", "histogram", "How late probes start."),
    (
        "windrose_vantage_impaired",
        "gauge",
        "Whether what this machine sees is not held against targets.",
    ),
];

impl Metrics {
    /// Counters for one more thread or service.
    pub fn counters(&self, transport: &'static str) -> Arc<Counters> {
        let counters = Arc::new(Counters::new(transport));
        self.all().push(Arc::clone(&counters));
        counters
    }

    /// Counts a probe.
    pub fn count_probe(&self, outcome: ProbeOutcome) {
        let ended = match outcome {
            ProbeOutcome::Success(_) => 0,
            ProbeOutcome::Flawed(..) => 1,
            ProbeOutcome::Failure(reason) => {
                self.probe_failures[reason.place()].fetch_add(1, Ordering::Relaxed);
                2
            }
            ProbeOutcome::LocalError(_) => 3,
        };
        self.probes[ended].fetch_add(1, Ordering::Relaxed);
    }

    /// Answers that were not sent, or sent truncated, because their clients had had too many.
    #[must_use]
    pub fn limited(&self) -> u64 {
        self.sum("udp", |counters| &counters.answers[Kind::Limited as usize])
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Counters>>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sum over all counters of `transport`.
    fn sum(&self, transport: &str, of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        let counters = self.all();
        let own = counters.iter().filter(|counters| counters.transport == transport);
        own.map(|counters| of(counters).load(Ordering::Relaxed)).sum()
    }

    /// Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, kind, help) in METRICS {
            // Writing into a string cannot fail.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            self.render_samples(&mut out, name);
        }
        out
    }

    fn render_samples(&self, out: &mut String, name: &str) {
        let plain = |out: &mut String, value: u64| {
            let _ = writeln!(out, "{name} {value}");
        };
        match name {
            "windrose_answers_total" => {
                for transport in TRANSPORTS {
                    for kind in Kind::ALL {
                        let value =
                            self.sum(transport, |counters| &counters.answers[kind as usize]);
                        let word = kind.word();
                        let _ = writeln!(
                            out,
                            "{name}{{transport=\"{transport}\",kind=\"{word}\"}} {value}"
                        );
                    }
                }
            }
            "windrose_truncated_total" => self.by_transport(out, name, |c| &c.truncated),
            "windrose_unsent_total" => self.by_transport(out, name, |c| &c.unsent),
            "windrose_panics_total" => self.by_transport(out, name, |c| &c.panics),
            "windrose_swaps_total" => plain(out, self.swaps.load(Ordering::Relaxed)),
            "windrose_reloads_refused_total" => {
                plain(out, self.reloads_refused.load(Ordering::Relaxed));
            }
            "windrose_probes_total" => by_label(out, name, "outcome", &PROBES, &self.probes),
            "windrose_probe_failures_total" => {
                by_label(out, name, "reason", &FailureReason::WORDS, &self.probe_failures);
            }
            "windrose_alias_failures_total" => {
                plain(out, self.alias_failures.load(Ordering::Relaxed));
            }
            "windrose_overrides" => {
                for (kind, count) in OverrideKind::ALL.iter().zip(&self.overrides) {
                    let (kind, count) = (kind.word(), count.load(Ordering::Relaxed));
                    let _ = writeln!(out, "{name}{{kind=\"{kind}\"}} {count}");
                }
            }
            "windrose_overloaded_pools" => plain(out, self.overloaded.load(Ordering::Relaxed)),
            "windrose_probes_started_total" => plain(out, self.probing().started),
            "windrose_probes_dropped_total" => plain(out, self.probing().dropped),
            "windrose_probes_in_flight" => plain(out, self.probing().in_flight),
            "windrose_probes_waiting" => plain(out, self.probing().waiting),
            "windrose_probe_lag_seconds" => self.render_lags(out, name),
            "windrose_vantage_impaired" => plain(out, self.impaired.load(Ordering::Relaxed)),
            "windrose_frozen" => plain(out, self.frozen.load(Ordering::Relaxed)),
            _ => unreachable!("METRICS names only these"),
        }
    }

    /// What the schedule of probes does; all zero where there is none.
    #[must_use]
    pub fn probing(&self) -> Reading {
        self.probing.get().map(|figures| figures.read()).unwrap_or_default()
    }

    fn render_lags(&self, out: &mut String, name: &str) {
        let lags = self.probing().lags;
        let mut sum = 0;
        for (count, bound) in lags.iter().zip(LAG_MILLIS) {
            sum += count;
            let bound = Duration::from_millis(bound).as_secs_f64();
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let count: u64 = lags.iter().sum();
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_count {count}");
    }

    fn by_transport(&self, out: &mut String, name: &str, of: impl Fn(&Counters) -> &AtomicU64) {
        for transport in TRANSPORTS {
            let _ =
                writeln!(out, "{name}{{transport=\"{transport}\"}} {}", self.sum(transport, &of));
        }
    }
}

/// A sample for each word of a label.
fn by_label(out: &mut String, name: &str, label: &str, words: &[&str], counts: &[AtomicU64]) {
    for (word, count) in words.iter().zip(counts) {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}{{{label}=\"{word}\"}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::health::{Flaw, LocalError};

    #[test]
    fn probes_are_counted_by_their_end_and_failures_by_their_reason() {
        let metrics = Metrics::default();
        metrics.count_probe(ProbeOutcome::Success(Duration::from_millis(3)));
        metrics
            .count_probe(ProbeOutcome::Flawed(Duration::ZERO, Flaw::CertificateOver { place: 0 }));
        metrics.count_probe(ProbeOutcome::LocalError(LocalError::Address));
        for reason in [
            FailureReason::Timeout,
            FailureReason::Refused,
            FailureReason::Unreachable,
            FailureReason::Tls,
            FailureReason::Certificate,
            FailureReason::Status(503),
            FailureReason::Body,
            FailureReason::Answer,
            FailureReason::Rcode(2),
            FailureReason::Grpc(14),
            FailureReason::NotServing(2),
            FailureReason::Exit(1),
            FailureReason::Signal(9),
            FailureReason::Protocol,
            FailureReason::Resolve,
            FailureReason::Success,
            FailureReason::Missing,
        ] {
            metrics.count_probe(ProbeOutcome::Failure(reason));
        }
        let text = metrics.render();
        for (outcome, count) in PROBES.iter().zip([1, 1, 17, 1]) {
            let line = format!("windrose_probes_total{{outcome=\"{outcome}\"}} {count}\n");
            assert!(text.contains(&line), "{line}");
        }
        for reason in FailureReason::WORDS {
            let line = format!("windrose_probe_failures_total{{reason=\"{reason}\"}} 1\n");
            assert!(text.contains(&line), "{line}");
        }
    }
}
