//! What is measured of a server in one round, and what many rounds come to.

use serde::Deserialize;

/// What became of the questions: shares of all answers, and records in each on average.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) no_error: f64,
    pub(crate) no_such_name: f64,
    pub(crate) records: f64,
}

impl Shares {
    /// Whether these are the same answers, to a hundredth: which questions a round asks is chance.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let is_near = |own: f64, other: f64| (own - other).abs() <= 0.01;
        is_near(self.no_error, other.no_error)
            && is_near(self.no_such_name, other.no_such_name)
            && is_near(self.records, other.records)
    }
}

/// One server in one round.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Figures {
    /// Processor time an answer at the top rate, in µs.
    pub(crate) cost: f64,
    /// Answers a second at the top rate.
    pub(crate) rate: f64,
    /// How much of its processor the server had then, of 1.
    pub(crate) busy: f64,
    /// What half of the answers, and 99 of a hundred, took at most at half of that rate, in µs.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Questions without an answer within a second, at either rate.
    pub(crate) lost: u64,
    pub(crate) shares: Shares,
}

/// A server's rounds, the first one first.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rounds {
    pub(crate) server: String,
    pub(crate) figures: Vec<Figures>,
}

/// Puts what was measured round by round together by server, in the order in which they were measured.
pub(crate) fn by_server(measured: impl IntoIterator<Item = (String, Figures)>) -> Vec<Rounds> {
    let mut all: Vec<Rounds> = Vec::new();
    for (server, figures) in measured {
        match all.iter_mut().find(|rounds| rounds.server == server) {
            Some(rounds) => rounds.figures.push(figures),
            None => all.push(Rounds { server, figures: vec![figures] }),
        }
    }
    all
}

// ---- The lines of the peers' bench ----

/// A line that the peers' bench writes with `--raw`, as far as we want to know.
#[derive(Deserialize)]
struct RawLine {
    name: String,
    /// At the top rate, and at half of it.
    top: RawLoad,
    half: RawLoad,
}

#[derive(Deserialize)]
struct RawLoad {
    qps: f64,
    cpu_us_per_q: f64,
    server_busy: f64,
    p50_us: f64,
    p99_us: f64,
    lost: u64,
    noerror: f64,
    nxdomain: f64,
    answers: f64,
}

/// Reads the lines of the peers' bench: a server's name and its figures of one round each.
///
/// # Errors
/// Names the line that is not one.
pub(crate) fn read_raw(text: &str) -> Result<Vec<(String, Figures)>, String> {
    let read = |(n, line): (usize, &str)| {
        let RawLine { name, top, half } = serde_json::from_str(line)
            .map_err(|error| format!("line {} of the peers' bench: {error}", n + 1))?;
        let shares =
            Shares { no_error: top.noerror, no_such_name: top.nxdomain, records: top.answers };
        let figures = Figures {
            cost: top.cpu_us_per_q,
            rate: top.qps,
            busy: top.server_busy,
            p50: half.p50_us,
            p99: half.p99_us,
            lost: top.lost + half.lost,
            shares,
        };
        Ok((name, figures))
    };
    text.lines().enumerate().map(read).collect()
}

// ---- Many rounds ----

/// The least, the one in the middle, and the most of some figures.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` of no figures.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let median = *sorted.get(sorted.len() / 2)?;
        Some(Self { least: *sorted.first()?, median, most: *sorted.last()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_peers_bench_are_read_and_others_are_named() {
        let load = |cost: f64, lost: u64| {
            format!(
                "{{\"qps\":300000,\"sent\":1,\"lost\":{lost},\"cpu_us_per_q\":{cost},\"server_busy\":0.9,\
                 \"p50_us\":22.5,\"p99_us\":80,\"answers\":0.9,\"noerror\":0.95,\"nxdomain\":0.05}}"
            )
        };
        let line = |name: &str, cost| {
            let (top, half) = (load(cost, 1), load(9.0, 2));
            format!(
                "{{\"round\":0,\"name\":\"{name}\",\"top\":{top},\"half\":{half},\"same\":{half}}}\n"
            )
        };
        let text = line("echo", 2.5) + &line("windrose", 2.75) + &line("echo", 3.0);
        let all = by_server(read_raw(&text).unwrap());
        let names: Vec<&str> = all.iter().map(|rounds| rounds.server.as_str()).collect();
        assert_eq!(names, ["echo", "windrose"]);
        let costs: Vec<f64> = all[0].figures.iter().map(|figures| figures.cost).collect();
        assert_eq!(costs, [2.5, 3.0]);
        let one = all[1].figures[0];
        assert_eq!((one.lost, one.p50, one.shares.records), (3, 22.5, 0.9));

        let error = read_raw(&(text + "Traceback")).unwrap_err();
        assert!(error.starts_with("line 4 of the peers' bench: "), "{error}");
    }

    #[test]
    fn answers_are_the_same_to_a_hundredth() {
        let right = Shares { no_error: 0.95, no_such_name: 0.05, records: 0.90 };
        assert!(right.is_like(&Shares { no_error: 0.955, no_such_name: 0.045, records: 0.905 }));
        for broken in [
            Shares { no_error: 1.0, ..right },
            Shares { no_such_name: 0.0, ..right },
            Shares { records: 0.0, ..right },
            Shares { records: f64::NAN, ..right },
        ] {
            assert!(!right.is_like(&broken), "{broken:?}");
        }
    }

    #[test]
    fn a_spread_is_least_median_and_most() {
        let spread = Spread { least: 1.0, median: 3.0, most: 9.0 };
        assert_eq!(Spread::of([9.0, 1.0, 3.0]), Some(spread));
        assert_eq!(Spread::of([]), None);
    }
}
