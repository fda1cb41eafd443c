//! One number out of a document.
//!
//! A [`Reader`] remembers the counters of the document before, so that their growth can be told; it knows
//! neither where documents come from nor what the number means.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::exposition::{BadLine, samples};
use crate::model::Time;
use crate::model::feed::{Combine, MetricQuery, MetricValue, Selector};
use crate::model::json_path::JsonPath;

/// More series than this are a selector that is too wide.
const SERIES_MAX: usize = 10_000;

/// Why a document gives no number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum BadReading {
    /// A line of the metric is broken.
    Line(BadLine),
    /// No series is selected.
    NoSeries(String),
    /// Too many are.
    ManySeries(String),
    /// What it is to be divided by is 0.
    Zero(String),
    /// Not JSON.
    NotJson(String),
    /// Nothing there.
    NoValue(JsonPath),
    /// Something there that is no number.
    NoNumber(JsonPath),
}

impl fmt::Display for BadReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => line.fmt(f),
            Self::NoSeries(metric) => {
                write!(f, "there is no `{metric}` with these labels and a number for value")
            }
            Self::ManySeries(metric) => {
                write!(f, "there are more than {SERIES_MAX} series of `{metric}`")
            }
            Self::Zero(metric) => write!(f, "`{metric}`, by which it is divided, is 0"),
            Self::NotJson(reason) => write!(f, "not JSON: {reason}"),
            Self::NoValue(path) => write!(f, "there is nothing at {path}"),
            Self::NoNumber(path) => write!(f, "what is at {path} is not a number"),
        }
    }
}

/// The number at `path`, which may be written as a string.
pub(super) fn read_json(document: &[u8], path: &JsonPath) -> Result<f64, BadReading> {
    let document: Value =
        serde_json::from_slice(document).map_err(|error| BadReading::NotJson(error.to_string()))?;
    let value = path.find(&document).ok_or_else(|| BadReading::NoValue(path.clone()))?;
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    };
    number.ok_or_else(|| BadReading::NoNumber(path.clone()))
}

/// Reads one query's number from documents that come one after the other.
#[derive(Debug, Default)]
pub(super) struct Reader {
    of: Series,
    per: Series,
    at: Option<Time>,
}

impl Reader {
    /// The number in a document of `at`; `None` when it is the growth since a document before, and there
    /// was none or it could not be read.
    pub(super) fn read(
        &mut self,
        query: &MetricQuery,
        document: &str,
        at: Time,
    ) -> Result<Option<f64>, BadReading> {
        let of = select(&query.of, document)?;
        let Some(selector) = &query.per else {
            if of.is_empty() {
                return Err(BadReading::NoSeries(query.of.metric.clone()));
            }
            let secs = self.secs_since_last(query, at);
            return Ok(self.of.taken(query, of, secs));
        };
        // Without anything to divide, it is 0: counters of errors often appear with the first error.
        let per = select(selector, document)?;
        if per.is_empty() {
            return Err(BadReading::NoSeries(selector.metric.clone()));
        }
        let secs = self.secs_since_last(query, at);
        match (self.of.taken(query, of, secs), self.per.taken(query, per, secs)) {
            (Some(of), Some(per)) if per > 0.0 => Ok(Some(of / per)),
            // Nothing of nothing: no requests, no errors.
            (Some(0.0), Some(_)) => Ok(Some(0.0)),
            (Some(_), Some(_)) => Err(BadReading::Zero(selector.metric.clone())),
            (None, _) | (_, None) => Ok(None),
        }
    }

    /// The time since the document before, where that counts; `None` where there was none.
    fn secs_since_last(&mut self, query: &MetricQuery, at: Time) -> Option<f64> {
        if query.value == MetricValue::Gauge {
            return None;
        }
        let before = self.at.replace(at)?;
        Some(at.since(before).as_secs_f64()).filter(|secs| *secs > 0.0)
    }
}

/// The last value of each series, by its labels.
#[derive(Debug, Default)]
struct Series(HashMap<String, f64>);

impl Series {
    /// Takes what a document says as `query` wants it. For a rate that is the growth in `secs`, and `None`
    /// without those.
    fn taken(
        &mut self,
        query: &MetricQuery,
        now: HashMap<String, f64>,
        secs: Option<f64>,
    ) -> Option<f64> {
        if query.value == MetricValue::Gauge {
            return Some(combine(query.series, now.into_values()));
        }
        // A counter that is lower than before began anew; one that was not there tells nothing yet.
        let grown = now.iter().filter_map(|(labels, value)| {
            let before = *self.0.get(labels)?;
            let grown = if *value >= before { value - before } else { *value };
            Some(grown / secs?)
        });
        let rate = combine(query.series, grown);
        self.0 = now;
        secs.map(|_| rate)
    }
}

/// The series of a selector that have a number, by their labels.
fn select(selector: &Selector, document: &str) -> Result<HashMap<String, f64>, BadReading> {
    let mut series = HashMap::new();
    for sample in samples(document, &selector.metric) {
        let sample = sample.map_err(BadReading::Line)?;
        let is_meant =
            selector.labels.iter().all(|wanted| wanted.matches(sample.label(&wanted.label)));
        if !is_meant || !sample.value.is_finite() {
            continue;
        }
        if series.len() == SERIES_MAX {
            return Err(BadReading::ManySeries(selector.metric.clone()));
        }
        let key: Vec<String> =
            sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        series.insert(key.join(","), sample.value);
    }
    Ok(series)
}

fn combine(how: Combine, values: impl Iterator<Item = f64>) -> f64 {
    match how {
        Combine::Sum => values.sum(),
        Combine::Max => values.reduce(f64::max).unwrap_or(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::LabelMatch;

    fn selector(metric: &str, labels: &[(&str, &str)]) -> Selector {
        let label = |(label, value): &(&str, &str)| LabelMatch {
            label: (*label).to_owned(),
            any_of: vec![(*value).to_owned()],
        };
        Selector { metric: metric.to_owned(), labels: labels.iter().map(label).collect() }
    }

    fn query(value: MetricValue, series: Combine, labels: &[(&str, &str)]) -> MetricQuery {
        MetricQuery { of: selector("m", labels), per: None, value, series }
    }

    fn read(query: &MetricQuery, documents: &[&str]) -> Result<Option<f64>, BadReading> {
        let mut reader = Reader::default();
        let mut last = Ok(None);
        for (n, document) in (0..).zip(documents) {
            last = reader.read(query, document, Time::from_secs(100 + 10 * n));
        }
        last
    }

    const TWO: &str = "m{p=\"a\",c=\"1\"} 3\nm{p=\"a\",c=\"2\"} 5\nm{p=\"b\",c=\"1\"} 100\nm NaN\n";

    #[test]
    fn series_are_selected_and_combined() {
        let of = |series, labels: &[_]| read(&query(MetricValue::Gauge, series, labels), &[TWO]);
        assert_eq!(of(Combine::Sum, &[("p", "a")]), Ok(Some(8.0)));
        assert_eq!(of(Combine::Max, &[("p", "a")]), Ok(Some(5.0)));
        assert_eq!(of(Combine::Sum, &[("c", "1*")]), Ok(Some(103.0)));
        assert_eq!(of(Combine::Sum, &[("p", "a"), ("c", "2")]), Ok(Some(5.0)));
        assert_eq!(of(Combine::Sum, &[("p", "x")]), Err(BadReading::NoSeries("m".into())));
    }

    #[test]
    fn counters_are_read_by_their_growth() {
        let rate = query(MetricValue::Rate, Combine::Sum, &[]);
        assert_eq!(read(&rate, &["m 5"]), Ok(None), "nothing to compare with");
        assert_eq!(read(&rate, &["m 5", "m 25"]), Ok(Some(2.0)));
        assert_eq!(read(&rate, &["m 5", "x 1", "m 25"]), Ok(Some(1.0)), "over twenty seconds");
        assert_eq!(read(&rate, &["m 500", "m 20"]), Ok(Some(2.0)), "began anew");
        let two = ["m{a=\"1\"} 5\nm{a=\"2\"} 900", "m{a=\"1\"} 15\nm{a=\"2\"} 10\nm{a=\"3\"} 70"];
        assert_eq!(read(&rate, &two), Ok(Some(2.0)), "each series by itself");
    }

    #[test]
    fn a_share_is_one_metric_by_another() {
        let mut share = query(MetricValue::Rate, Combine::Sum, &[("code", "5*")]);
        share.per = Some(selector("m", &[]));
        let document = |good, bad| format!("m{{code=\"200\"}} {good}\nm{{code=\"503\"}} {bad}\n");
        let (first, second) = (document(100, 10), document(190, 20));
        assert_eq!(read(&share, &[&first, &second]), Ok(Some(0.1)));
        assert_eq!(read(&share, &[&first, &first]), Ok(Some(0.0)), "no requests, no errors");
        let no_error_yet = ["m{code=\"200\"} 1", "m{code=\"200\"} 11"];
        assert_eq!(read(&share, &no_error_yet), Ok(Some(0.0)));
        assert_eq!(read(&share, &["x 1"]), Err(BadReading::NoSeries("m".into())));

        let mut of_limit = query(MetricValue::Gauge, Combine::Sum, &[]);
        of_limit.per = Some(selector("limit", &[]));
        assert_eq!(read(&of_limit, &["m 50\nlimit 200"]), Ok(Some(0.25)));
        assert_eq!(read(&of_limit, &["m 50\nlimit 0"]), Err(BadReading::Zero("limit".into())));
    }

    #[test]
    fn a_number_is_found_in_json() {
        let path: JsonPath = "$.stats.load".parse().unwrap();
        let read = |document: &str| read_json(document.as_bytes(), &path);
        assert_eq!(read(r#"{"stats": {"load": 0.25}}"#), Ok(0.25));
        assert_eq!(read(r#"{"stats": {"load": "0.25"}}"#), Ok(0.25));
        assert_eq!(read(r#"{"stats": {}}"#), Err(BadReading::NoValue(path.clone())));
        for other in ["true", "null", "\"NaN\"", "[]"] {
            let document = format!("{{\"stats\": {{\"load\": {other}}}}}");
            assert_eq!(read(&document), Err(BadReading::NoNumber(path.clone())), "{other}");
        }
        assert!(matches!(read("ok"), Err(BadReading::NotJson(_))));
        let deep = "[".repeat(100_000);
        assert!(matches!(read(&deep), Err(BadReading::NotJson(_))), "no stack is that deep");
    }
}
