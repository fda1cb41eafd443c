//! How often chance alone takes a target down that lives: by count.
//!
//! Three vantages look at one endpoint every ten seconds, each with a real tracker and a real rhythm, in turn; each
//! probe is lost with a probability of its own; a first failure has the others called to look. The verdict is the
//! real quorum's. While nothing is doubted only successes happen, so these are skipped: how many probes pass before
//! the next is lost is drawn at once (a geometric number), trackers are fed as many successes as they remember, and
//! only the neighbourhood of a loss is played, until nothing is doubted any more.
//!
//! A verdict needs two vantages, and that is rare: so at the moment at which a first vantage holds the endpoint for
//! down, the neighbourhood is split ([splitting](https://doi.org/10.1287/opre.47.4.585)): it is played to its end
//! many times, each with other luck, and each verdict counts for so much less. The mean is that of a plain count,
//! which a test shows where verdicts are frequent enough for one; only its error is smaller.
//!
//! Where it is not exact it counts too many: a vote counts for 1.2 s longer than its vantage holds it, which is as
//! long as a frame can stand, and no call is lost.

use std::sync::Arc;
use std::time::Duration;

use windrose::clock::Moment;
use windrose::health::Tracker;
use windrose::health::fleet::{Ballot, Quorum, Voter, decide};
use windrose::model::health::{ProbeOutcome, Turn};
use windrose::model::{CheckSpec, FailureReason, Target, Time, Verdict};
use windrose::probe::{Plan, Rhythm};

use super::served::common;
use super::wanted;
use crate::random::Random;

const VANTAGES: usize = 3;
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);
const ROUND_TRIP: Duration = Duration::from_millis(30);
/// What is called for is looked at so much later.
const CALL: Duration = Duration::from_millis(160);
/// A vote that is taken back may still stand for so long.
const STANDS: Duration = Duration::from_millis(1200);
/// As many successes as a tracker remembers.
const REMEMBERED: u32 = 20;
const DAY: Duration = Duration::from_hours(24);

/// One vantage.
#[derive(Clone)]
struct Lane {
    tracker: Tracker,
    rhythm: Rhythm,
    /// What is due, if anything is.
    plan: Option<Plan>,
    /// When probes under way end, and whether they were lost.
    under_way: Vec<(Time, bool)>,
    /// When a call of another is heard.
    called_at: Option<Time>,
    /// When it last called.
    calls_from: Time,
    /// Until when its vote may stand for down.
    down_until: Time,
}

/// One endpoint, and those who look.
#[derive(Clone)]
struct Neighbourhood {
    lanes: [Lane; VANTAGES],
    now: Time,
}

/// What a count came to.
#[derive(Clone, Copy, Default, Debug)]
struct Count {
    days: f64,
    /// How often a first vantage held it for down, and how often the quorum did.
    first: f64,
    agreed: f64,
    /// How often the latter was seen.
    seen: u64,
}

/// What comes of the next thing that happens.
enum Step {
    Nothing,
    /// Nothing is doubted any more.
    Calm,
    /// A vantage holds it for down, or several do and the quorum, too.
    Down {
        is_agreed: bool,
    },
}

/// One whose check is as it comes, but for damping.
fn target(damping: bool) -> Target {
    let target = &common().targets[0];
    let spec = CheckSpec { damping, ..CheckSpec::clone(&target.spec) };
    Target { host: target.host.clone(), spec: Arc::new(spec) }
}

impl Neighbourhood {
    /// All is well and has been so for long.
    fn calm(target: &Target) -> Self {
        let now = Moment { time: Time::from_secs(1000), unix: Duration::from_secs(1_800_000_000) };
        let of = u32::try_from(VANTAGES).unwrap();
        let lane = |rank: usize| {
            let turn = Turn { rank: u32::try_from(rank).unwrap(), of };
            let mut rhythm = Rhythm::new(target, turn, now, Duration::from_secs(1));
            let mut tracker = Tracker::new(&target.spec);
            for _ in 0..REMEMBERED {
                tracker.observe(ProbeOutcome::Success(ROUND_TRIP), now.time);
            }
            rhythm.start(now.time);
            let plan = rhythm.end(Some(tracker.pace()));
            let (under_way, down_until) = (Vec::new(), now.time);
            let (called_at, calls_from) = (None, now.time);
            Lane { tracker, rhythm, plan, under_way, called_at, calls_from, down_until }
        };
        Self { lanes: std::array::from_fn(lane), now: now.time }
    }

    /// Has `count` ordinary probes succeed, and begins the next, which is lost.
    fn skip(&mut self, count: u64) {
        let mut order: Vec<usize> = (0..VANTAGES).collect();
        order.sort_by_key(|n| self.lanes[*n].plan.expect("it is calm").at);
        let (rounds, unlucky) = (count / VANTAGES as u64, count % VANTAGES as u64);
        for (place, n) in (0..).zip(order) {
            let probes = u32::try_from(rounds + u64::from(place < unlucky)).unwrap_or(u32::MAX);
            let lane = &mut self.lanes[n];
            let first = lane.plan.expect("it is calm").at;
            if let Some(before) = probes.checked_sub(1) {
                let last = first + INTERVAL * before;
                for _ in 0..probes.min(REMEMBERED) {
                    lane.tracker.observe(ProbeOutcome::Success(ROUND_TRIP), last);
                }
                lane.rhythm.start(last);
                lane.plan = lane.rhythm.end(Some(lane.tracker.pace()));
            }
            if place == unlucky {
                self.now = lane.plan.expect("it is calm").at;
                lane.start(self.now, true);
            }
        }
    }

    /// Plays the next thing that happens; each probe is lost by `is_lost`.
    fn step(&mut self, is_lost: &mut impl FnMut() -> bool) -> Step {
        if self.lanes.iter().all(Lane::is_calm) {
            return Step::Calm;
        }
        let next = |(n, lane): (usize, &Lane)| lane.next().map(|at| (at, n));
        let (at, n) = self.lanes.iter().enumerate().filter_map(next).min().expect("plans");
        self.now = at;
        let lane = &mut self.lanes[n];
        if lane.called_at.is_some_and(|called| called <= at) {
            lane.called_at = None;
            lane.plan = lane.rhythm.hasten(at).or(lane.plan);
        } else if let Some(place) = lane.under_way.iter().position(|(ends, _)| *ends <= at) {
            let (_, was_lost) = lane.under_way.swap_remove(place);
            return self.end(n, was_lost);
        } else if lane.plan.is_some_and(|plan| plan.at <= at) {
            lane.start(at, is_lost());
        }
        Step::Nothing
    }

    fn end(&mut self, n: usize, was_lost: bool) -> Step {
        let now = self.now;
        let lane = &mut self.lanes[n];
        let (before, doubts) = (lane.tracker.verdict(), lane.tracker.failures());
        let outcome = match was_lost {
            true => ProbeOutcome::Failure(FailureReason::Timeout),
            false => ProbeOutcome::Success(ROUND_TRIP),
        };
        lane.tracker.observe(outcome, now);
        lane.plan = lane.rhythm.end(Some(lane.tracker.pace()));
        if lane.tracker.verdict() == Verdict::Down {
            lane.down_until = Time::from_nanos(u64::MAX);
        } else if before == Verdict::Down {
            lane.down_until = now + STANDS;
        }
        if doubts == 0 && lane.tracker.failures() > 0 && now >= lane.calls_from {
            lane.calls_from = now + INTERVAL;
            let others = self.lanes.iter_mut().enumerate().filter(|(other, _)| *other != n);
            others.for_each(|(_, other)| other.called_at = Some(now + CALL));
        }
        let has_fallen =
            before != Verdict::Down && self.lanes[n].tracker.verdict() == Verdict::Down;
        match has_fallen {
            true => Step::Down { is_agreed: self.is_agreed() },
            false => Step::Nothing,
        }
    }

    fn is_agreed(&self) -> bool {
        let voter = |(group, lane): (u16, &Lane)| {
            let is_down = lane.down_until > self.now;
            let ballot = if is_down { Ballot::Down } else { Ballot::Up };
            Voter { group, ballot, soon: Duration::MAX, grounds: None }
        };
        let voters: Vec<Voter> = (0..).zip(&self.lanes).map(voter).collect();
        decide(Quorum::Majority, &voters, Verdict::Up).verdict == Verdict::Down
    }

    /// Plays on to the end; whether the quorum came to down.
    fn play(&mut self, is_lost: &mut impl FnMut() -> bool) -> bool {
        loop {
            match self.step(is_lost) {
                Step::Down { is_agreed: true } => return true,
                Step::Calm => return false,
                Step::Nothing | Step::Down { .. } => {}
            }
        }
    }
}

impl Lane {
    fn is_calm(&self) -> bool {
        self.tracker.verdict() == Verdict::Up
            && self.tracker.failures() == 0
            && self.under_way.is_empty()
            && self.called_at.is_none()
    }

    fn next(&self) -> Option<Time> {
        let plan = self.plan.map(|plan| plan.at);
        self.under_way.iter().map(|(ends, _)| *ends).chain(plan).chain(self.called_at).min()
    }

    fn start(&mut self, now: Time, is_lost: bool) {
        self.plan = self.rhythm.start(now);
        let takes = if is_lost { TIMEOUT } else { ROUND_TRIP };
        self.under_way.push((now + takes, is_lost));
    }
}

/// Counts over so many days of one endpoint, each first vantage that holds it for down played on so often.
fn count(target: &Target, days: u32, loss: f64, (splits, seed): (u32, u64)) -> Count {
    let mut random = Random::new(seed);
    let mut count = Count { days: days.into(), ..Count::default() };
    let length = DAY * days;
    let mut one = Neighbourhood::calm(target);
    let end = one.now + length;
    while one.now < end {
        let passed = (random.fraction().ln() / (1.0 - loss).ln()).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        one.skip(passed as u64);
        let mut is_lost = || random.fraction() < loss;
        let fallen = loop {
            match one.step(&mut is_lost) {
                Step::Down { is_agreed } => break Some(is_agreed),
                Step::Calm => break None,
                Step::Nothing => {}
            }
        };
        let Some(is_agreed) = fallen else { continue };
        assert!(!is_agreed, "one of three decides nothing");
        count.first += 1.0;
        for _ in 0..splits {
            if one.clone().play(&mut is_lost) {
                count.seen += 1;
                count.agreed += 1.0 / f64::from(splits);
            }
        }
        // What comes of it here decides what follows, and no more.
        while !matches!(one.step(&mut is_lost), Step::Calm) {}
    }
    count
}

#[test]
fn chance_takes_less_than_one_of_a_hundred_thousand_endpoints_down_a_day() {
    let days = wanted("ENDPOINT_DAYS").map_or(1500, |days| u32::try_from(days).unwrap());
    let Count { days, first, agreed, seen } = count(&target(true), days, 0.01, (1000, 1));
    let per_day = |of: f64| of / days * 1e5;
    let (alone, together) = (per_day(first) / 3.0, per_day(agreed));
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let error = together / (seen.max(1) as f64).sqrt();
    println!(
        "at 1 % loss, of 100,000 endpoints a day one vantage holds {alone:.0} for down that live, and two of \
         three agree on {together:.2} ± {error:.2} ({days} endpoint-days, {seen} of {first} × 1000)"
    );
    assert!(together < 1.0, "{together}");
}

/// Where verdicts are frequent a plain count comes to the same.
#[test]
fn a_split_count_is_a_plain_count() {
    // Held back, vantages would agree in clusters, and both counts be far off.
    let target = target(false);
    let plain = count(&target, 150, 0.08, (1, 2));
    let split = count(&target, 15, 0.08, (40, 3));
    let (one, other) = (plain.agreed / plain.days, split.agreed / split.days);
    println!("{one:.2} and {other:.2} a day: {} and {} of {}", plain.seen, split.seen, split.first);
    assert!(plain.seen > 300 && split.seen > 300);
    assert!((one / other - 1.0).abs() < 0.15, "{one} and {other}");
}
