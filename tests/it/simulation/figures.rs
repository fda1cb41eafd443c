//! The score of many seeds, and what it came to last time.

use std::time::Duration;

use super::watch::Outcome;

/// What it came to last time: see there.
const LAST: &str = include_str!("figures.txt");
/// By so much it may become worse.
const TOLERANCE: f64 = 1.1;

/// The score of many seeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    seeds: usize,
    /// Bad-answer-seconds of a seed.
    p50: f64,
    p99: f64,
    worst: f64,
    needless: u64,
    turned: u64,
    looked_at: u64,
    violations: usize,
}

impl Figures {
    pub(super) fn of<'o>(outcomes: impl Iterator<Item = &'o Outcome> + Clone) -> Self {
        let mut bad: Vec<f64> = outcomes.clone().map(|outcome| outcome.bad_answer_secs).collect();
        bad.sort_by(f64::total_cmp);
        let percentile = |percent: usize| {
            bad.get(bad.len() * percent / 100).or_else(|| bad.last()).copied().unwrap_or_default()
        };
        let sum = |count: fn(&Outcome) -> u64| outcomes.clone().map(count).sum();
        Self {
            seeds: bad.len(),
            p50: percentile(50),
            p99: percentile(99),
            worst: percentile(100),
            needless: sum(|outcome| outcome.needless.into()),
            turned: sum(|outcome| outcome.turned.into()),
            looked_at: sum(|outcome| outcome.looked_at),
            violations: outcomes.map(|outcome| outcome.broken.len()).sum(),
        }
    }

    /// In words.
    pub(super) fn told(&self, length: Duration) -> String {
        let Self { seeds, p50, p99, worst, needless, turned, looked_at, violations } = self;
        format!(
            "{seeds} seeds of {} min: {violations} violations; bad-answer-seconds a seed: p50 {p50:.1}, \
             p99 {p99:.1}, worst {worst:.1}; {needless} needless of {turned} verdicts; {looked_at} answers \
             looked at\n{}",
            length.as_secs() / 60,
            self.row(),
        )
    }

    fn row(&self) -> String {
        let Self { seeds, p50, p99, worst, needless, violations, .. } = self;
        format!("{seeds:>6} {p50:>6.1} {p99:>6.1} {worst:>6.1} {needless:>8} {violations:>10}")
    }

    /// Compares with what as many seeds came to last time.
    pub(super) fn compare(&self) {
        let rows = LAST.lines().filter(|line| !line.starts_with('#'));
        let rows = rows.map(|line| line.split_whitespace().collect::<Vec<_>>());
        let seeds = self.seeds.to_string();
        let Some(row) = rows.into_iter().find(|row| row.first() == Some(&seeds.as_str())) else {
            return println!("of so many seeds figures.txt says nothing");
        };
        println!("last time {}", row[1..].join(" "));
        let needless = u32::try_from(self.needless).map_or(f64::MAX, f64::from);
        for (now, before) in [self.p50, self.p99, self.worst, needless].iter().zip(&row[1..]) {
            let before: f64 = before.parse().unwrap();
            let is_worse = *now > before * TOLERANCE + 0.1;
            assert!(
                !is_worse,
                "worse than last time: {now} instead of {before}; now\n{}",
                self.row()
            );
        }
    }
}
