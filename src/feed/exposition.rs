//! Metrics in Prometheus' text format (0.0.4), read line by line.
//!
//! Only lines of the metric that is asked for are looked into; what else a document holds is nobody's
//! business here, be it broken. OpenMetrics' additions are tolerated: `# EOF`, fractions in timestamps,
//! exemplars.

use std::borrow::Cow;
use std::fmt;

/// One value of one series.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sample<'t> {
    /// Its labels, in the order written.
    pub(super) labels: Vec<(&'t str, Cow<'t, str>)>,
    /// Its value; may be no number.
    pub(super) value: f64,
}

impl Sample<'_> {
    /// The value of a label; empty when it has no such label, which is the same to Prometheus.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| *label == name);
        found.map_or("", |(_, value)| value.as_ref())
    }
}

/// A line of the metric that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BadLine {
    /// Its number, counted from 1.
    line: usize,
    reason: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Every sample of `metric` in a document.
pub(super) fn samples<'t>(
    document: &'t str,
    metric: &str,
) -> impl Iterator<Item = Result<Sample<'t>, BadLine>> {
    document.lines().enumerate().filter_map(move |(index, line)| {
        let rest = line.trim_start_matches(BLANK).strip_prefix(metric)?;
        // Another metric whose name only begins so.
        if !rest.starts_with(['{', ' ', '\t']) {
            return None;
        }
        Some(read(rest).map_err(|reason| BadLine { line: index + 1, reason }))
    })
}

const BLANK: [char; 2] = [' ', '\t'];

/// Reads what follows the name: `{a="b"} 1.5 1700000000`.
fn read(rest: &str) -> Result<Sample<'_>, &'static str> {
    let rest = rest.trim_matches(BLANK);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None => (Vec::new(), rest),
    };
    let (value, rest) = token(rest);
    let value = value.parse().map_err(|_| "the value is not a number")?;
    let (timestamp, rest) = if rest.starts_with('#') { ("", rest) } else { token(rest) };
    if !timestamp.is_empty() && timestamp.parse::<f64>().is_err() {
        return Err("the timestamp is not a number");
    }
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err("something follows the timestamp");
    }
    Ok(Sample { labels, value })
}

/// What stands before the next blank, and what stands behind it.
fn token(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(BLANK);
    let (token, rest) = text.split_at(text.find(BLANK).unwrap_or(text.len()));
    (token, rest.trim_start_matches(BLANK))
}

type Labels<'t> = Vec<(&'t str, Cow<'t, str>)>;

/// Reads labels up to the closing brace, and returns what follows it.
fn read_labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(BLANK);
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok((labels, behind));
        }
        let (name, behind) = rest.split_once('=').ok_or("`=` is missing behind a label")?;
        let quoted = behind.trim_start_matches(BLANK).strip_prefix('"');
        let (value, behind) = read_quoted(quoted.ok_or("a label's value is not quoted")?)?;
        labels.push((name.trim_end_matches(BLANK), value));
        let behind = behind.trim_start_matches(BLANK);
        rest = match behind.strip_prefix(',') {
            Some(behind) => behind,
            None if behind.starts_with('}') => behind,
            None => return Err("`,` or `}` is missing behind a label"),
        };
    }
}

/// Reads up to the closing quotation mark, and returns what follows it.
fn read_quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut value = Cow::Borrowed("");
    let mut plain_from = 0;
    let mut octets = text.bytes().enumerate();
    while let Some((at, octet)) = octets.next() {
        if octet != b'"' && octet != b'\\' {
            continue;
        }
        let plain = &text[plain_from..at];
        if octet == b'"' {
            value = if value.is_empty() { Cow::Borrowed(plain) } else { value + plain };
            return Ok((value, &text[at + 1..]));
        }
        let (_, escaped) = octets.next().ok_or("a label's value does not end")?;
        plain_from = at + 2;
        value += plain;
        value += match escaped {
            b'n' => "\n",
            b'"' => "\"",
            b'\\' => "\\",
            _ => return Err("only `\\\\`, `\\\"` and `\\n` are escapes"),
        };
    }
    Err("a label's value does not end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(document: &str) -> Vec<Sample<'_>> {
        samples(document, "m").map(|sample| sample.unwrap()).collect()
    }

    #[test]
    fn what_gateways_write_is_read() {
        let haproxy = "# HELP haproxy_frontend_current_sessions Number of current sessions.\n\
             # TYPE haproxy_frontend_current_sessions gauge\n\
             haproxy_frontend_current_sessions{proxy=\"www\"} 17\n\
             haproxy_frontend_current_sessions{proxy=\"stats\"} 1\n\
             haproxy_frontend_current_sessions_other 5\n";
        let found = samples(haproxy, "haproxy_frontend_current_sessions");
        let found: Vec<_> = found.map(|s| s.unwrap()).collect();
        let read: Vec<_> = found.iter().map(|s| (s.label("proxy"), s.value)).collect();
        assert_eq!(read, [("www", 17.0), ("stats", 1.0)]);
        assert_eq!(found[0].label("absent"), "");

        let nginx = "nginx_connections_active 291\r\n# EOF\n";
        let value = samples(nginx, "nginx_connections_active").next();
        assert_eq!(value, Some(Ok(Sample { labels: vec![], value: 291.0 })));
    }

    #[test]
    fn every_form_of_a_line_is_read() {
        for (line, labels, value) in [
            ("m 1", &[][..], 1.0),
            ("  m\t1e3  ", &[], 1000.0),
            ("m{} -0.5", &[], -0.5),
            ("m {a=\"b\"}1", &[("a", "b")], 1.0),
            ("m{ a = \"b\" , c=\"d\" , } 1", &[("a", "b"), ("c", "d")], 1.0),
            ("m{a=\"x\\\\y\\\"z\\n\"} 1", &[("a", "x\\y\"z\n")], 1.0),
            ("m{a=\"}, m=\"} 1", &[("a", "}, m=")], 1.0),
            ("m{a=\"ü\"} +Inf", &[("a", "ü")], f64::INFINITY),
            ("m 1 1700000000000", &[], 1.0),
            ("m 1 1700000000.123 # {trace=\"x\"} 0.5 1.2", &[], 1.0),
            ("m 1 # {trace=\"x\"} 0.5", &[], 1.0),
        ] {
            let sample = all(line).remove(0);
            let read: Vec<_> = sample.labels.iter().map(|(n, v)| (*n, v.as_ref())).collect();
            assert_eq!((read.as_slice(), sample.value), (labels, value), "{line}");
        }
        assert!(all("m NaN")[0].value.is_nan());
        assert_eq!(all("# m 1\nmm 1\nn 1\nn{m=\"1\"} 2\nm\n\n"), []);
    }

    #[test]
    fn broken_lines_are_told_by_their_number() {
        for (line, reason) in [
            ("m x", "the value is not a number"),
            ("m ", "the value is not a number"),
            ("m 1 x", "the timestamp is not a number"),
            ("m 1 2 3", "something follows the timestamp"),
            ("m{a} 1", "`=` is missing behind a label"),
            ("m{a=b} 1", "a label's value is not quoted"),
            ("m{a=\"b 1", "a label's value does not end"),
            ("m{a=\"b\\", "a label's value does not end"),
            ("m{a=\"b\" c=\"d\"} 1", "`,` or `}` is missing behind a label"),
            ("m{a=\"\\t\"} 1", "only `\\\\`, `\\\"` and `\\n` are escapes"),
        ] {
            let document = format!("m 1\n{line}\n");
            let last = samples(&document, "m").last();
            assert_eq!(last, Some(Err(BadLine { line: 2, reason })), "{line}");
        }
    }

    /// A label's value as Prometheus' libraries write it.
    fn escaped(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), r#"(m|[{}="\\, n1#]){0,20}"#]) {
            prop_assert!(samples(&text, "m").count() <= text.lines().count());
        }

        #[test]
        fn what_is_written_is_read(
            labels in prop::collection::vec(("[a-z_][a-z0-9_]{0,5}", "[^\r]{0,8}"), 0..4),
            value in any::<f64>(),
        ) {
            let written: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            // `lines` also ends a line at CR LF, which is no part of the format.
            let document = format!("m{{{}}} {value:?}\n", written.join(","));
            let sample = all(&document).remove(0);
            let read = sample.labels.into_iter().map(|(n, v)| (n.to_owned(), v.into_owned()));
            prop_assert_eq!(read.collect::<Vec<_>>(), labels);
            prop_assert!(sample.value == value || (sample.value.is_nan() && value.is_nan()));
        }
    }
}
