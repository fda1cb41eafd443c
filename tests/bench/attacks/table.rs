//! The table of what became of the good client and of the node, and whether the bars were met.

use std::time::Duration;

use crate::good::Service;
use crate::node::Usage;

/// What must hold under an attack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// So many of a hundred answers to the good client are right and in time, at least.
    Good(f64),
    /// Half of them take at most so long.
    P50(Duration),
    /// Of a hundred, 99 take at most so long.
    P99(Duration),
    /// So many of a hundred packets of the attack are answered, at least.
    Answered(f64),
    /// None is.
    Silent,
    /// One costs at most so much of a processor, system calls and the good client's share included.
    Cost(Duration),
    /// The node grows by so many KiB at most.
    Growth(i64),
}

/// One attack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// The row of the attack table.
    pub(crate) row: &'static str,
    pub(crate) what: &'static str,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) good: Service,
    /// Processor time for each packet sent; zero if none was.
    pub(crate) cost: Duration,
    pub(crate) growth_kib: i64,
    pub(crate) bars: Vec<Bar>,
}

impl Row {
    pub(crate) fn new(
        sent: u64,
        answered: u64,
        good: Service,
        before: Usage,
        after: Usage,
    ) -> Self {
        let used = after.time.saturating_sub(before.time);
        let cost = used.checked_div(u32::try_from(sent).unwrap_or(u32::MAX)).unwrap_or_default();
        let growth_kib = after.memory_kib - before.memory_kib;
        Self { sent, answered, good, cost, growth_kib, ..Self::default() }
    }

    fn good_percent(&self) -> f64 {
        percent(self.good.latencies.len(), self.good.asked)
    }

    /// What so many hundredths of the right answers took at most; `None` without any.
    fn latency(&self, hundredths: usize) -> Option<Duration> {
        let latencies = &self.good.latencies;
        let place = latencies.len() * hundredths / 100;
        latencies.get(place.min(latencies.len().saturating_sub(1))).copied()
    }

    fn is_met(&self, bar: Bar) -> bool {
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        match bar {
            Bar::Good(least) => self.good_percent() >= least,
            Bar::P50(most) => self.latency(50).is_some_and(|latency| latency <= most),
            Bar::P99(most) => self.latency(99).is_some_and(|latency| latency <= most),
            Bar::Answered(least) => percent(whole(self.answered), whole(self.sent)) >= least,
            Bar::Silent => self.answered == 0,
            Bar::Cost(most) => self.cost <= most,
            Bar::Growth(most) => self.growth_kib <= most,
        }
    }
}

/// A part of a whole in percent; of nothing it is none, so that no bar is met by asking nothing.
fn percent(part: usize, whole: usize) -> f64 {
    // Counts of a few seconds are far below 2^53.
    100.0 * part as f64 / whole.max(1) as f64
}

/// All attacks.
#[derive(Debug)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Prints it; whether all bars were met.
    pub(crate) fn print(&self) -> bool {
        println!(
            "{:>3}  {:<28} {:>7} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9}  bars",
            "row", "attack", "sent", "answered", "good %", "p50", "p99", "cost", "growth"
        );
        let mut is_met = true;
        for row in &self.0 {
            let (met, missed): (Vec<Bar>, Vec<Bar>) =
                row.bars.iter().partition(|bar| row.is_met(**bar));
            is_met &= missed.is_empty();
            println!(
                "{:>3}  {:<28} {:>7} {:>8} {:>7.2} {:>9} {:>9} {:>9} {:>5} KiB  {}",
                row.row,
                row.what,
                row.sent,
                row.answered,
                row.good_percent(),
                micros(row.latency(50).unwrap_or_default()),
                micros(row.latency(99).unwrap_or_default()),
                micros(row.cost),
                row.growth_kib,
                if missed.is_empty() {
                    format!("{} met", met.len())
                } else {
                    format!("MISSED {missed:?}")
                },
            );
        }
        println!("{}", if is_met { "all bars met" } else { "a bar was MISSED" });
        is_met
    }
}

fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}
