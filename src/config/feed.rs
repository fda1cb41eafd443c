//! `[feeds.NAME]`: what says how busy endpoints are.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::reader::{Key, Keys, Table, Value};
use super::text;
use crate::model::feed::{
    Combine, FeedSource, FeedUrl, LabelMatch, Measure, MetricQuery, MetricValue, Scrape, Selector,
};
use crate::model::{Feed, FeedSpec, Utilisation};

pub(super) const KEYS: Keys = Keys {
    place: "feeds.NAME",
    known: &[
        "kind", "url", "verify", "metric", "labels", "per", "value", "series", "path", "limit",
        "budget", "interval", "timeout",
    ],
    unbuilt: &[],
};
pub(super) const PER_KEYS: Keys =
    Keys { place: "feeds.NAME.per", known: &["metric", "labels"], unbuilt: &[] };

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Prometheus,
    Json,
    Push,
    ResponseTime,
}

const KINDS: [(&str, Kind); 4] = [
    ("prometheus", Kind::Prometheus),
    ("json", Kind::Json),
    ("push", Kind::Push),
    ("response-time", Kind::ResponseTime),
];

impl Kind {
    fn word(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map(|(word, _)| *word).expect("KINDS lists every kind")
    }

    /// The keys that mean something in it beside `kind`, `limit`, `budget` and `interval`.
    const fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus => {
                &["url", "verify", "metric", "labels", "per", "value", "series", "timeout"]
            }
            Self::Json => &["url", "verify", "path", "timeout"],
            Self::Push | Self::ResponseTime => &[],
        }
    }
}

/// Keys that mean nothing in feeds of some kind.
const OWN_KEYS: [&str; 9] =
    ["url", "verify", "metric", "labels", "per", "value", "series", "path", "timeout"];

const VALUES: [(&str, MetricValue); 2] =
    [("gauge", MetricValue::Gauge), ("rate", MetricValue::Rate)];
const SERIES: [(&str, Combine); 2] = [("sum", Combine::Sum), ("max", Combine::Max)];

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Reads one feed. After a finding the result is only good for going on.
pub(super) fn read<'d>((key, value): (Key<'d>, Value<'d>)) -> Feed {
    let table = value.table(format!("feed `{}`", key.text), &KEYS);
    let spec = table.map_or_else(placeholder, |table| read_spec(&table));
    Feed { name: key.text.to_owned(), spec: Arc::new(spec) }
}

fn placeholder() -> FeedSpec {
    FeedSpec {
        source: FeedSource::Push,
        measure: Measure::Load { limit: None },
        interval: INTERVAL,
        timeout: TIMEOUT,
    }
}

fn read_spec(table: &Table<'_>) -> FeedSpec {
    let mut spec = placeholder();
    let kind = table.require("kind", "\"prometheus\"").and_then(|value| value.choice(&KINDS, &[]));
    if let Some(kind) = kind {
        judge_own_keys(table, kind);
        spec.source = read_source(table, kind).unwrap_or(spec.source);
    }
    spec.measure = read_measure(table, kind);
    let intervals = Duration::from_secs(1)..=Duration::from_secs(3600);
    table.read_into("interval", &mut spec.interval, |value| value.duration(intervals));
    spec.timeout = read_timeout(table, spec.interval);
    spec
}

fn judge_own_keys(table: &Table<'_>, kind: Kind) {
    let foreign = OWN_KEYS.into_iter().filter(|key| !kind.own_keys().contains(key));
    for value in foreign.filter_map(|key| table.get(key)) {
        let word = kind.word();
        let message = format!("`{}` means nothing in a feed of kind `{word}`", value.key);
        value.push(value.error(message).hint("remove it, or use another kind"));
    }
}

fn read_source(table: &Table<'_>, kind: Kind) -> Option<FeedSource> {
    Some(match kind {
        Kind::Push => FeedSource::Push,
        Kind::ResponseTime => FeedSource::ResponseTime,
        Kind::Json => {
            let scrape = read_scrape(table);
            let path = table.require("path", "\"$.load\"");
            let expected = "a path to one value, such as `\"$.load\"`";
            let path = path.and_then(|value| value.parsed(expected, str::parse));
            FeedSource::Json { scrape: scrape?, path: path? }
        }
        Kind::Prometheus => {
            let (scrape, query) = (read_scrape(table), read_query(table));
            FeedSource::Prometheus { scrape: scrape?, query: query? }
        }
    })
}

fn read_scrape(table: &Table<'_>) -> Option<Scrape> {
    let url = table.require("url", "\"http://{address}:9101/metrics\"")?;
    let expected = "a URL such as `\"http://{address}:9101/metrics\"`";
    let url: FeedUrl = url.parsed(expected, str::parse)?;
    let mut verify = true;
    table.read_into("verify", &mut verify, Value::boolean);
    if let Some(value) = table.get("verify").filter(|_| !url.is_https()) {
        let error = value.error("`verify` means nothing for a URL of `http`");
        value.push(error.hint("there is no certificate without TLS: remove it, or use `https`"));
    }
    Some(Scrape { url, verify })
}

// ---- Metrics ----

fn read_query(table: &Table<'_>) -> Option<MetricQuery> {
    let of = read_selector(table);
    let per = table.table("per", &PER_KEYS).map(|table| read_selector(&table));
    let (mut value, mut series) = (MetricValue::Gauge, Combine::Sum);
    table.read_into("value", &mut value, |value| value.choice(&VALUES, &[]));
    table.read_into("series", &mut series, |value| value.choice(&SERIES, &[]));
    let query =
        MetricQuery { of: of?, per: per.map_or(Some(None), |per| per.map(Some))?, value, series };
    if let Some(value) = table.get("metric")
        && query.value == MetricValue::Gauge
        && query.of.metric.ends_with("_total")
    {
        let message = format!("`{}` is a counter by its name: it only ever grows", query.of.metric);
        let hint = "add `value = \"rate\"` to go by its growth a second";
        value.push(value.warning(message).hint(hint));
    }
    Some(query)
}

fn read_selector(table: &Table<'_>) -> Option<Selector> {
    let metric = table.require("metric", "\"haproxy_frontend_current_sessions\"");
    let metric = metric.and_then(|value| value.parsed("the name of a metric", read_metric));
    let labels = table.named("labels", "{ proxy = \"www\" }").into_iter();
    let labels: Option<Vec<LabelMatch>> =
        labels.map(|(key, value)| read_label(key, value)).collect();
    Some(Selector { metric: metric?, labels: labels? })
}

fn read_metric(text: &str) -> Result<String, &'static str> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    match text {
        "" => Err("it is empty"),
        _ if text.contains('{') => Err("labels are written in `labels`"),
        _ if text.contains('(') => Err("a metric alone, not an expression"),
        _ if text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(is_fit) => {
            Err("only ASCII letters, digits, `_` and `:` may stand in it, and no digit first")
        }
        _ => Ok(text.to_owned()),
    }
}

fn read_label<'d>(key: Key<'d>, value: Value<'d>) -> Option<LabelMatch> {
    let items = value.as_list().unwrap_or_else(|| vec![value]);
    if items.is_empty() {
        value.push(value.error(format!("no value of label `{}` would ever match", key.text)));
        return None;
    }
    let expected = "a value, the beginning of one (`\"5*\"`), or a list of such";
    let any_of = items.into_iter().map(|item| item.text(expected).map(str::to_owned));
    Some(LabelMatch { label: key.text.to_owned(), any_of: any_of.collect::<Option<_>>()? })
}

// ---- What it means ----

fn read_measure(table: &Table<'_>, kind: Option<Kind>) -> Measure {
    let limit = table.get("limit");
    let budget = table.get("budget");
    if let (Some(_), Some(value)) = (limit, budget) {
        let message = format!("{} has both `limit` and `budget`", table.what);
        let hint = "a feed measures load against a limit, or the share of errors against a budget";
        value.push(value.error(message).hint(hint));
    }
    if kind == Some(Kind::ResponseTime) {
        for value in limit.into_iter().chain(budget) {
            let message =
                format!("`{}` means nothing in a feed of kind `response-time`", value.key);
            let hint = "times are measured against those of quiet hours: remove it";
            value.push(value.error(message).hint(hint));
        }
    }
    match budget {
        Some(budget) => Measure::Errors { budget: read_budget(budget).unwrap_or(NonZeroU64::MIN) },
        None => Measure::Load { limit: limit.and_then(read_limit) },
    }
}

/// A number above 0, in thousandths.
fn read_limit(value: Value<'_>) -> Option<NonZeroU64> {
    const EXPECTED: &str = "a number above 0: what the signal shows when the endpoint is full";
    let Some(number) = value.as_number() else {
        value.wrong_type(EXPECTED);
        return None;
    };
    let millis = Utilisation::ratio(number, 1.0).map(Utilisation::as_millis);
    let limit = millis.filter(|millis| *millis < u64::MAX).and_then(NonZeroU64::new);
    if limit.is_none() {
        value.push(value.error(format!("`limit` must be {EXPECTED}")).label("out of range"));
    }
    limit
}

/// A share of all answers, in thousandths.
fn read_budget(value: Value<'_>) -> Option<NonZeroU64> {
    value.parsed("the share of errors that is tolerated, such as `\"1%\"`", |text| {
        let percent = text.strip_suffix('%').ok_or("a share is written with %")?;
        let share = percent.parse().ok().and_then(|percent| Utilisation::ratio(percent, 100.0));
        let millis = share.map(Utilisation::as_millis).filter(|millis| *millis <= 1000);
        millis.and_then(NonZeroU64::new).ok_or("a share is a number from 0.1% to 100%")
    })
}

/// The timeout, which is never longer than the interval; the default gives way to that.
fn read_timeout(table: &Table<'_>, interval: Duration) -> Duration {
    let Some(value) = table.get("timeout") else { return TIMEOUT.min(interval) };
    let timeouts = Duration::from_millis(10)..=Duration::from_secs(60);
    let Some(timeout) = value.duration(timeouts) else { return TIMEOUT };
    if timeout > interval {
        let (timeout, interval) = (text::show(timeout), text::show(interval));
        let error = value.error(format!("{} has a timeout longer than its interval", table.what));
        value.push(error.label(format!("{timeout} is longer than {interval}")));
    }
    timeout
}
