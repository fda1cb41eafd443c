//! How the story looks on a terminal: pure, from state to text.
//!
//! A frame is at most 80 columns wide and 23 lines high, so that a terminal of the usual size shows
//! all of it and the cursor below.

use std::fmt::Write as _;
use std::time::Duration;

use super::script::Cue;
use super::story::{Act, Client, Event, Region, Story, secs};
use crate::model::{RegionId, Verdict};

/// Events that are shown, the last ones.
const EVENTS_SHOWN: usize = 6;
/// Clients that were sent elsewhere stand out for so long.
const NEWS: Duration = Duration::from_secs(3);

/// Whether text may be coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    const BOLD: &str = "1";
    const DIM: &str = "2";
    const RED: &str = "31";
    const GREEN: &str = "32";
    const YELLOW: &str = "33";
    /// Each region has its own.
    const REGIONS: [&str; 4] = ["36", "33", "35", "34"];

    /// `text` in a style of ECMA-48's SGR.
    fn apply(self, style: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn of_region(id: RegionId) -> &'static str {
        Self::REGIONS[id.index() % Self::REGIONS.len()]
    }

    const fn of_verdict(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Up => Self::GREEN,
            Verdict::Degraded => Self::YELLOW,
            Verdict::Down => Self::RED,
            Verdict::Unknown => Self::DIM,
        }
    }
}

/// The table, the regions and the last events, at the time `now` of the story.
pub(super) fn frame(story: &Story, now: Duration, next: Option<Cue>, paint: Paint) -> String {
    let mut out = title(story, now, paint);
    out.push_str("\n\n");
    let head = format!(
        "{:<14}{:<18}{:<10}{:<16}{:>4}  {:>6}",
        "CLIENT", "SUBNET", "REGION", "ANSWER", "TTL", "SINCE"
    );
    out.push_str(&paint.apply(Paint::DIM, &head));
    out.push('\n');
    for client in &story.clients {
        out.push_str(&client_line(story, client, now, paint));
        out.push('\n');
    }
    out.push('\n');
    for (n, region) in story.regions.iter().enumerate() {
        let next = next.filter(|cue| cue.region == region.name);
        out.push_str(&region_line(RegionId::new(n), region, now, next, paint));
        out.push('\n');
    }
    out.push('\n');
    let from = story.events.len().saturating_sub(EVENTS_SHOWN);
    let mut events = story.events[from..].iter();
    for _ in 0..EVENTS_SHOWN {
        let line = events.next().map(event_line).unwrap_or_default();
        out.push_str(&clipped(&line));
        out.push('\n');
    }
    out
}

/// An event as a line, as it stands in the log and in a file.
pub(super) fn event_line(event: &Event) -> String {
    format!("{:>6} s  {}", secs(event.at), event.text)
}

fn title(story: &Story, now: Duration, paint: Paint) -> String {
    let took = story.tally.took().map_or_else(String::new, |took| format!("   {took}"));
    format!("{}   {}{took}", paint.apply(Paint::BOLD, "windrose demo"), clock(now))
}

fn client_line(story: &Story, client: &Client, now: Duration, paint: Paint) -> String {
    let [a, b, c] = client.place.subnet;
    let mut line = format!("{:<14}{:<18}", client.place.city, format!("{a}.{b}.{c}.0/24"));
    let since = now.saturating_sub(client.since);
    let Some(answer) = client.answer else {
        line.push_str(&paint.apply(Paint::RED, "no answer"));
        return line;
    };
    let region = &story.regions[answer.region.index()].name;
    line.push_str(&paint.apply(Paint::of_region(answer.region), &format!("{region:<10}")));
    let rest = format!("{:<16}{:>4}  {:>6}", answer.address, answer.ttl, clock(since));
    let is_news = since < NEWS && client.since >= NEWS;
    line.push_str(&if is_news { paint.apply(Paint::BOLD, &rest) } else { rest });
    line
}

fn region_line(
    id: RegionId,
    region: &Region,
    now: Duration,
    next: Option<Cue>,
    paint: Paint,
) -> String {
    let name = paint.apply(Paint::of_region(id), &format!("{:<10}", region.name));
    let verdict = if region.is_usable() { Verdict::Up } else { Verdict::Down };
    let verdict = paint.apply(Paint::of_verdict(verdict), &format!("{:<6}", verdict.word()));
    let words = region.endpoints.iter().map(|e| format!("{} {}", e.name, e.verdict));
    let mut line = format!("{name}{verdict}{:<24}", words.collect::<Vec<_>>().join(", "));
    let killed = match region.last {
        Some((Act::Kill, at)) => format!("killed {} s ago", now.saturating_sub(at).as_secs()),
        Some((Act::Revive, _)) | None => String::new(),
    };
    let coming = next.map_or_else(String::new, |cue| {
        let left = cue.at.saturating_sub(now).as_secs();
        let what = match cue.act {
            Act::Kill => "killed in",
            Act::Revive => "back in",
        };
        format!("{what} {left} s")
    });
    let between = if killed.is_empty() || coming.is_empty() { "" } else { ", " };
    let _ = write!(line, "{killed}{between}{coming}");
    line.trim_end().to_owned()
}

/// `1:05`: minutes and seconds.
fn clock(duration: Duration) -> String {
    format!("{}:{:02}", duration.as_secs() / 60, duration.as_secs() % 60)
}

/// The first 80 characters, with a mark where something is missing.
fn clipped(line: &str) -> String {
    const WIDTH: usize = 80;
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::story::tests::failover;
    use super::*;

    const NOW: Duration = Duration::from_millis(29_400);
    const NEXT: Cue = Cue { at: Duration::from_secs(46), act: Act::Revive, region: "us-east" };

    #[test]
    fn a_frame_shows_clients_regions_and_the_last_events() {
        insta::assert_snapshot!(frame(&failover(), NOW, Some(NEXT), Paint(false)));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let plain = frame(&failover(), NOW, Some(NEXT), Paint(false));
        let painted = frame(&failover(), NOW, Some(NEXT), Paint(true));
        let mut bare = String::new();
        for (n, part) in painted.split("\x1b[").enumerate() {
            bare.push_str(if n == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_ne!(painted, plain);
        assert_eq!(bare, plain);
    }

    #[test]
    fn frames_fit_on_a_terminal_of_the_usual_size() {
        let mut story = failover();
        let cities = super::super::script::PLACES.map(|place| place.city).join(", ");
        story.events.push(Event { at: NOW, text: cities });
        let frame = frame(&story, NOW, Some(NEXT), Paint(false));
        // Here are two clients, and there nine.
        assert!(frame.lines().count() + 7 <= 23);
        let widest = frame.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(80), "clipped:\n{frame}");
    }
}
