//! Once a second this machine asks itself whether it may be believed.
//!
//! It asks its anchors, looks at how late it is, at its clocks and at probes that it could not make, and hears
//! what others of a fleet say of what went down for it. What that comes to stands in
//! [`SelfWatch`]; here it is put to the board, and said in the log when it changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::clock::{Clock, Moment};
use crate::config::{Anchor, Source};
use crate::fleet::Fleet;
use crate::health::{Falls, LOOK, SelfState, SelfWatch, Signs};
use crate::intake::Intake;
use crate::model::health::ProbeOutcome;
use crate::model::{CheckKind, CheckSpec, FailureReason, Target, TargetHost};
use crate::probe::{Prober, icmp_refusal};

/// An anchor answers in that time, or does not.
const ANSWER: Duration = Duration::from_millis(900);

/// What a machine asks itself, and by what.
#[derive(Debug)]
pub struct Conscience {
    /// Whom it is told.
    pub intake: Arc<Intake>,
    /// Machines that are there whenever this one is well: see `[probe] anchors`.
    pub anchors: Vec<Anchor>,
    /// Where it asks them from.
    pub source: Source,
    /// Others that look at the same targets.
    pub fleet: Option<Fleet>,
    /// By what time goes.
    pub clock: Clock,
}

impl Conscience {
    /// Asks until it is dropped.
    pub async fn run(self) {
        let mut anchors = Anchors::new(&self.anchors, self.source, self.clock);
        let mut watch = SelfWatch::default();
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let answered = anchors.take_round();
            anchors.ask();
            self.look(&mut watch, answered);
        }
    }

    fn look(&self, watch: &mut SelfWatch, anchors: Option<(usize, usize)>) {
        let Moment { time, unix } = self.clock.moment();
        let board = self.intake.board();
        let counts = self.intake.counts();
        let falls =
            self.fleet.as_ref().map_or_else(Falls::default, |fleet| fleet.falls(board, time));
        let signs = Signs {
            anchors,
            probes: counts.successes + counts.failures + counts.local_errors,
            local_errors: counts.scarcities,
            falls,
        };
        let (before, state) = (board.self_state(), watch.look(time, unix, &signs));
        board.set_self_state(state);
        match (before, state) {
            (SelfState::Fine, SelfState::Impaired(why)) => warn!(
                why = why.word(),
                "this vantage does not trust itself: {why}; what it sees is not held against targets"
            ),
            (SelfState::Impaired(_), SelfState::Fine) => info!("this vantage trusts itself again"),
            _ => {}
        }
    }
}

/// Those that are asked, and what they answer.
struct Anchors {
    targets: Vec<Target>,
    prober: Prober,
    round: JoinSet<bool>,
}

impl Anchors {
    fn new(anchors: &[Anchor], source: Source, clock: Clock) -> Self {
        let refusal = icmp_refusal();
        let (able, unable): (Vec<&Anchor>, Vec<&Anchor>) = anchors
            .iter()
            .partition(|anchor| matches!(anchor, Anchor::Tcp(_)) || refusal.is_none());
        // What cannot be asked must not seem to be silent.
        if let (Some(refusal), false) = (refusal, unable.is_empty()) {
            warn!("{} anchors without a port are not asked: {refusal}", unable.len());
        }
        let target = |anchor: &&Anchor| {
            let (kind, address, port) = match **anchor {
                Anchor::Ping(address) => (CheckKind::Icmp, address, 0),
                Anchor::Tcp(address) => (CheckKind::Tcp, address.ip(), address.port()),
            };
            let spec = CheckSpec { timeout: ANSWER, ..CheckSpec::new(kind, port) };
            Target { host: TargetHost::Address(address), spec: Arc::new(spec) }
        };
        let targets = able.iter().map(target).collect();
        // What an operator names as an anchor is not denied.
        let prober = Prober::new(clock).with_source(source);
        Self { targets, prober, round: JoinSet::new() }
    }

    /// How many have answered in the round that is over, and how many were asked; `None` before the first.
    fn take_round(&mut self) -> Option<(usize, usize)> {
        let asked = self.round.len();
        let mut answered = 0;
        while let Some(one) = self.round.try_join_next() {
            answered += usize::from(one.unwrap_or_default());
        }
        self.round.abort_all();
        (asked > 0).then_some((answered, asked))
    }

    fn ask(&mut self) {
        self.round = JoinSet::new();
        for target in &self.targets {
            let mut probe = self.prober.prepare(target.clone());
            self.round.spawn(async move { is_answer(probe.run().await) });
        }
    }
}

/// Who refuses is there, too.
const fn is_answer(outcome: ProbeOutcome) -> bool {
    matches!(
        outcome,
        ProbeOutcome::Success(_)
            | ProbeOutcome::Flawed(..)
            | ProbeOutcome::Failure(FailureReason::Refused)
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::health::{Board, Impairment};

    async fn round(addresses: &[Anchor]) -> Option<(usize, usize)> {
        let mut anchors = Anchors::new(addresses, Source::default(), Clock::start());
        assert_eq!(anchors.take_round(), None);
        anchors.ask();
        let mut answers = Vec::new();
        while let Some(one) = anchors.round.join_next().await {
            answers.push(one.unwrap());
        }
        (!addresses.is_empty()).then(|| (answers.iter().filter(|one| **one).count(), answers.len()))
    }

    #[tokio::test]
    async fn who_listens_or_refuses_is_there_and_who_is_silent_is_not() {
        assert!(!is_answer(ProbeOutcome::Failure(FailureReason::Timeout)));
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let anchors = [Anchor::Tcp(open.local_addr().unwrap()), Anchor::Tcp(closed)];
        assert_eq!(round(&anchors).await, Some((2, 2)));
        assert_eq!(round(&[]).await, None);
        // Where nobody may ping, nobody is asked, and nobody is silent.
        let ping = Anchor::Ping([127, 0, 0, 1].into());
        let answers = if icmp_refusal().is_some() { 2 } else { 3 };
        assert_eq!(round(&[anchors[0], ping, anchors[1]]).await, Some((answers, answers)));
    }

    #[tokio::test]
    async fn what_it_comes_to_is_put_to_the_board() {
        let intake = Arc::new(Intake::new(Arc::new(Board::new())));
        let clock = Clock::start();
        let conscience = Conscience {
            intake: Arc::clone(&intake),
            anchors: Vec::new(),
            source: Source::default(),
            fleet: None,
            clock,
        };
        let mut watch = SelfWatch::default();
        for answered in [3, 0] {
            conscience.look(&mut watch, Some((answered, 3)));
            assert_eq!(intake.board().self_state(), SelfState::Fine);
        }
        conscience.look(&mut watch, Some((0, 3)));
        let isolated = SelfState::Impaired(Impairment::Isolated);
        assert_eq!(intake.board().self_state(), isolated);
    }
}
