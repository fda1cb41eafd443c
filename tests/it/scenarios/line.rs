//! Reading one line of a scenario.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use windrose::config::parse_duration;
use windrose::model::health::{LocalError, ProbeOutcome};
use windrose::model::{FailureReason, OverrideKind, Prefix, RecordType, Time, Verdict};

/// A moment and what happens then.
pub(super) struct Step {
    pub(super) at: Time,
    pub(super) action: Action,
}

pub(super) enum Action {
    Probe {
        endpoints: Vec<String>,
        outcome: ProbeOutcome,
        times: usize,
    },
    Expect {
        endpoint: String,
        verdict: Verdict,
    },
    /// A group of vantages does not reach endpoints that others reach, or does again.
    Cut {
        endpoints: Vec<String>,
        group: String,
        is_cut: bool,
    },
    /// A group of vantages measures a round trip to a region; `None` for no more.
    Measure {
        region: String,
        group: String,
        took: Option<Duration>,
    },
    /// From now on a feed reports this of endpoints, every ten seconds; `None` for nothing any more.
    Report {
        feed: String,
        endpoints: Vec<String>,
        value: Option<f64>,
    },
    /// The host of an alias is looked up: its addresses and their TTL, or `None` when that fails.
    LookUp {
        host: String,
        found: Option<(Vec<IpAddr>, Duration)>,
    },
    /// An operator lets a pool fail back.
    Release {
        pool: String,
    },
    /// An operator drains, or forces up or down.
    Say {
        what: String,
        kind: OverrideKind,
        said: Spoken,
    },
    /// An operator takes that back.
    TakeBack {
        what: String,
    },
    /// An operator keeps health away from answers.
    Freeze(Spoken),
    Unfreeze,
    Ask(Ask),
}

/// For how long an operator's word is to count, and why it was said.
pub(super) struct Spoken {
    pub(super) length: Option<Duration>,
    pub(super) reason: String,
}

/// A query, how often it is made, and what must come back.
pub(super) struct Ask {
    pub(super) name: String,
    pub(super) qtype: RecordType,
    pub(super) subnet: Option<Prefix>,
    pub(super) resolver: IpAddr,
    pub(super) repeat: Repeat,
    /// Any of these will do.
    pub(super) answers: Vec<String>,
    /// Instead: each answer's share in percent.
    pub(super) shares: Vec<(String, f64)>,
    pub(super) ttl: Option<u32>,
    pub(super) scope: Option<u8>,
    pub(super) because: Option<String>,
}

pub(super) enum Repeat {
    Times(u32),
    /// Each query from a network of its own.
    Networks(u32),
}

/// The words of a line that are still to be read.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        if self.0.is_empty() { "" } else { self.0.remove(0) }
    }

    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.0.first() == Some(&word);
        if is_next {
            self.0.remove(0);
        }
        is_next
    }

    fn parse<T: FromStr>(&mut self) -> Result<T, String> {
        parse(self.next())
    }
}

fn parse<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` cannot be read"))
}

/// The step of a line; none of an empty one.
pub(super) fn read(line: &str) -> Result<Option<Step>, String> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = Words(line.split_whitespace().collect());
    if words.0.is_empty() {
        return Ok(None);
    }
    let moment = words.next();
    let secs: u64 =
        parse(moment.strip_suffix('s').ok_or_else(|| format!("`{moment}` is no moment"))?)?;
    let action = match words.next() {
        "probe" => read_probe(&mut words)?,
        "expect" => {
            let endpoint = words.next().to_owned();
            let word = words.next();
            let verdict =
                Verdict::from_word(word).ok_or_else(|| format!("`{word}` is no verdict"))?;
            Action::Expect { endpoint, verdict }
        }
        "cut" => read_cut(&mut words, true)?,
        "mend" => read_cut(&mut words, false)?,
        "measure" => read_measure(&mut words)?,
        "report" => read_report(&mut words)?,
        "lookup" => read_look_up(&mut words)?,
        "release" => Action::Release { pool: words.next().to_owned() },
        "drain" => {
            let what = words.next().to_owned();
            Action::Say { what, kind: OverrideKind::Drain, said: read_spoken(&mut words)? }
        }
        "force" => {
            let what = words.next().to_owned();
            let kind = match words.next() {
                "up" => OverrideKind::ForceUp,
                "down" => OverrideKind::ForceDown,
                word => return Err(format!("`{word}` is neither `up` nor `down`")),
            };
            Action::Say { what, kind, said: read_spoken(&mut words)? }
        }
        "undrain" | "clear" => Action::TakeBack { what: words.next().to_owned() },
        "freeze" => Action::Freeze(read_spoken(&mut words)?),
        "unfreeze" => Action::Unfreeze,
        "ask" => Action::Ask(read_ask(&mut words)?),
        word => return Err(format!("`{word}` is no step")),
    };
    if !words.0.is_empty() {
        return Err(format!("`{}` is too much", words.0.join(" ")));
    }
    Ok(Some(Step { at: Time::from_secs(secs), action }))
}

fn read_probe(words: &mut Words<'_>) -> Result<Action, String> {
    let mut endpoints = Vec::new();
    let outcome = loop {
        match words.next() {
            "succeeds" if words.skip("in") => {
                let word = words.next();
                break ProbeOutcome::Success(
                    parse_duration(word).map_err(|_| format!("`{word}` is no time"))?,
                );
            }
            "succeeds" => break ProbeOutcome::Success(Duration::from_millis(20)),
            "local-error" => break ProbeOutcome::LocalError(LocalError::Descriptors),
            "fails" => {
                let reasons =
                    [FailureReason::Timeout, FailureReason::Refused, FailureReason::Unreachable];
                let word = words.next();
                let reason = reasons.into_iter().find(|reason| reason.to_string() == word);
                break ProbeOutcome::Failure(
                    reason.ok_or_else(|| format!("`{word}` is no reason"))?,
                );
            }
            "" => return Err("a probe `succeeds`, `fails REASON` or is a `local-error`".to_owned()),
            endpoint => endpoints.push(endpoint.to_owned()),
        }
    };
    let times = match words.next() {
        "" => 1,
        word => parse(word.strip_prefix('x').unwrap_or(word))?,
    };
    Ok(Action::Probe { endpoints, outcome, times })
}

/// `eu-1 eu-2 from fra`
fn read_cut(words: &mut Words<'_>, is_cut: bool) -> Result<Action, String> {
    let mut endpoints = Vec::new();
    while !words.skip("from") {
        match words.next() {
            "" => return Err("it is cut `from` a group of vantages".to_owned()),
            endpoint => endpoints.push(endpoint.to_owned()),
        }
    }
    Ok(Action::Cut { endpoints, group: words.next().to_owned(), is_cut })
}

/// `eu from fra is 300ms` or `eu from fra stops`
fn read_measure(words: &mut Words<'_>) -> Result<Action, String> {
    let region = words.next().to_owned();
    if !words.skip("from") {
        return Err("it is measured `from` a group of vantages".to_owned());
    }
    let group = words.next().to_owned();
    let took = match words.next() {
        "is" => Some(parse_duration(words.next()).map_err(|_| "no time is measured".to_owned())?),
        "stops" => None,
        word => return Err(format!("what is measured `is` a time, or it `stops`, not `{word}`")),
    };
    Ok(Action::Measure { region, group, took })
}

/// `agents l-1 l-2 is 70` or `agents l-1 stops`
fn read_report(words: &mut Words<'_>) -> Result<Action, String> {
    let (feed, mut endpoints) = (words.next().to_owned(), Vec::new());
    loop {
        let value = match words.next() {
            "is" => Some(words.parse()?),
            "stops" => None,
            "" => return Err("what is reported `is` a number, or it `stops`".to_owned()),
            endpoint => {
                endpoints.push(endpoint.to_owned());
                continue;
            }
        };
        return Ok(Action::Report { feed, endpoints, value });
    }
}

/// `lb.vendor.test. is 192.0.2.7 2001:db8::7 ttl 60` or `lb.vendor.test. fails`
fn read_look_up(words: &mut Words<'_>) -> Result<Action, String> {
    let host = words.next().to_owned();
    let found = match words.next() {
        "fails" => None,
        "is" => {
            let mut addresses = Vec::new();
            while !words.skip("ttl") {
                addresses.push(words.parse()?);
            }
            Some((addresses, Duration::from_secs(words.parse()?)))
        }
        word => return Err(format!("a look-up `fails` or `is` something, not `{word}`")),
    };
    Ok(Action::LookUp { host, found })
}

/// `for 10m because new kernel`
fn read_spoken(words: &mut Words<'_>) -> Result<Spoken, String> {
    let length = words.skip("for").then(|| parse_duration(words.next())).transpose()?;
    let is_reasoned = words.skip("because");
    let reason = if is_reasoned { std::mem::take(&mut words.0).join(" ") } else { String::new() };
    Ok(Spoken { length, reason })
}

fn read_ask(words: &mut Words<'_>) -> Result<Ask, String> {
    let mut ask = Ask {
        name: words.next().to_owned(),
        qtype: words.parse()?,
        subnet: None,
        resolver: IpAddr::from([198, 18, 0, 53]),
        repeat: Repeat::Times(1),
        answers: Vec::new(),
        shares: Vec::new(),
        ttl: None,
        scope: None,
        because: None,
    };
    loop {
        match words.next() {
            "->" => break,
            "for" => ask.subnet = Some(words.parse()?),
            "from" if words.skip("each") && words.skip("of") => {
                ask.repeat = Repeat::Networks(words.parse()?);
                words.skip("networks");
            }
            "from" => ask.resolver = words.parse()?,
            "" => return Err("`->` and an answer are missing".to_owned()),
            word => {
                ask.repeat = Repeat::Times(parse(word)?);
                words.skip("times");
            }
        }
    }
    read_answer(words, &mut ask)?;
    Ok(ask)
}

fn read_answer(words: &mut Words<'_>, ask: &mut Ask) -> Result<(), String> {
    let mut answer: Vec<&str> = Vec::new();
    loop {
        match words.next() {
            "" => break,
            "ttl" => ask.ttl = Some(words.parse()?),
            "scope" => ask.scope = Some(words.parse()?),
            "because" => ask.because = Some(std::mem::take(&mut words.0).join(" ")),
            "or" => ask.answers.push(std::mem::take(&mut answer).join(" ")),
            word => match word.strip_suffix('%') {
                Some(share) => {
                    ask.shares.push((std::mem::take(&mut answer).join(" "), parse(share)?));
                }
                None => answer.push(word),
            },
        }
    }
    if !answer.is_empty() {
        ask.answers.push(answer.join(" "));
    }
    Ok(())
}
