//! The table: what each server costs, windrose's part of that, and whether the bars were met.

use std::fmt::Write as _;

use crate::figures::{Figures, Rounds, Spread};
use crate::work::Work;

/// Whose figures the others are laid beside.
pub(crate) const WINDROSE: &str = "windrose";

/// The table of all that was measured; whether all bars were met.
pub(crate) fn table(measured: &[(Work, Vec<Rounds>)]) -> (String, bool) {
    let mut text = format!(
        "{:<26} {:<9} {:>22} {:>22} {:>7} {:<7} {:>5} {:>5} {:>7} {:>7} {:>6}\n",
        "work",
        "server",
        "us an answer",
        "windrose to it",
        "bar",
        "",
        "kq/s",
        "busy",
        "p50 us",
        "p99 us",
        "lost",
    );
    let mut is_met = true;
    for (work, servers) in measured {
        let own = servers.iter().find(|rounds| rounds.server == WINDROSE);
        for rounds in servers {
            let (row, is_row_met) = row(*work, rounds, own);
            is_met &= is_row_met;
            text += &row;
        }
    }
    (text, is_met)
}

/// The row of one server, and whether its bar was met.
fn row(work: Work, rounds: &Rounds, windrose: Option<&Rounds>) -> (String, bool) {
    let of = |figure: fn(&Figures) -> f64| Spread::of(rounds.figures.iter().map(figure));
    let median = |figure| of(figure).map_or(f64::NAN, |spread| spread.median);
    let ratio = windrose.filter(|_| rounds.server != WINDROSE).and_then(|own| ratio(own, rounds));
    let bar = work.bar(&rounds.server);
    let is_met = bar.zip(ratio).is_none_or(|(most, ratio)| ratio.median <= most);
    let verdict = match bar.zip(ratio) {
        None => "",
        Some(_) if is_met => "met",
        Some(_) => "MISSED",
    };
    let is_right = rounds.figures.iter().all(|figures| figures.shares.is_like(&work.right()));
    let mut row = format!(
        "{:<26} {:<9} {:>22} {:>22} {:>7} {:<7} {:>5.0} {:>5.2} {:>7.0} {:>7.0} {:>6}",
        work.name(),
        rounds.server,
        of(|figures| figures.cost).map_or_else(String::new, |cost| shown(cost, micros)),
        ratio.map_or_else(String::new, |ratio| shown(ratio, part)),
        bar.map_or_else(String::new, part),
        verdict,
        median(|figures| figures.rate / 1000.0),
        median(|figures| figures.busy),
        median(|figures| figures.p50),
        median(|figures| figures.p99),
        rounds.figures.iter().map(|figures| figures.lost).sum::<u64>(),
    );
    if !is_right && rounds.server != "echo" {
        let _ = write!(row, "  other answers");
    }
    row.push('\n');
    (row, is_met)
}

/// Windrose's cost to another's, round by round: what slows both in one round leaves their ratio as it is.
fn ratio(windrose: &Rounds, other: &Rounds) -> Option<Spread> {
    let rounds = windrose.figures.iter().zip(&other.figures);
    Spread::of(rounds.map(|(own, other)| own.cost / other.cost))
}

/// Median, least and most.
fn shown(spread: Spread, show: fn(f64) -> String) -> String {
    format!("{} ({} to {})", show(spread.median), show(spread.least), show(spread.most))
}

fn micros(micros: f64) -> String {
    if micros < 100.0 { format!("{micros:.2}") } else { format!("{micros:.0}") }
}

/// A ratio; small ones as a part of one.
fn part(ratio: f64) -> String {
    if ratio < 0.05 { format!("1/{:.0}", 1.0 / ratio) } else { format!("{ratio:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(server: &str, costs: [f64; 3], work: Work) -> Rounds {
        let figures = |cost| Figures { cost, shares: work.right(), ..Figures::default() };
        Rounds { server: server.to_owned(), figures: costs.map(figures).to_vec() }
    }

    fn row_of(text: &str, server: &str) -> String {
        let mut rows = text.lines().skip(1);
        let line = rows.find(|line| line.contains(server)).expect("a row of the server");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ratios_are_taken_round_by_round_and_held_against_the_bars() {
        let work = Work::Names10k;
        let windrose = rounds(WINDROSE, [2.0, 3.0, 6.0], work);
        // All in one round were slow, which is no difference between them.
        let gdnsd = rounds("gdnsd", [2.5, 3.75, 7.5], work);
        let (text, is_met) = table(&[(work, vec![windrose.clone(), gdnsd])]);
        assert!(is_met, "{text}");
        let row = row_of(&text, "gdnsd");
        assert!(row.contains("3.75 (2.50 to 7.50) 0.80 (0.80 to 0.80) 0.96 met"), "{row}");
        assert!(!row_of(&text, WINDROSE).contains("met"));

        let nsd = rounds("nsd", [2.0, 4.0, 9.0], work);
        let (text, is_met) = table(&[(work, vec![windrose, nsd])]);
        assert!(!is_met, "{text}");
        let row = row_of(&text, "nsd");
        assert!(row.contains("0.75 (0.67 to 1.00) 0.72 MISSED"), "{row}");
    }

    #[test]
    fn a_peer_without_a_bar_misses_none_and_one_that_answers_otherwise_is_marked() {
        let work = Work::Names10k;
        let windrose = rounds(WINDROSE, [2.0; 3], work);
        let mut bind = rounds("bind", [1.0; 3], work);
        bind.figures[1].shares.records = 0.0;
        let (text, is_met) = table(&[(work, vec![windrose, bind])]);
        assert!(is_met);
        assert!(row_of(&text, "bind").ends_with("other answers"), "{text}");
    }

    #[test]
    fn small_ratios_are_parts_of_one() {
        assert_eq!(part(1.0 / 163.0), "1/163");
        assert_eq!(part(0.65), "0.65");
    }
}
