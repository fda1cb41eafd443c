//! `[steer.NAME.records]`: record data with gaps that every endpoint fills with what it is.
//!
//! ```text
//! SRV = "{priority} {weight} {port} {host}"        with host "sip1", port 5060, priority 10
//!        10 1 5060 sip1.example.com.
//! ```
//!
//! A [`Template`] knows text alone. What it makes is read as a master file's data would be, by the
//! caller, so that it takes every type that master files take.

use crate::model::topology::EndpointAt;
use crate::model::{Endpoint, Pool, Region};

/// Data with gaps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Gap(Gap),
}

/// What an endpoint fills a gap with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gap {
    Host,
    Port,
    Priority,
    Weight,
    Text,
    V4,
    V6,
    Endpoint,
    Pool,
    Region,
}

impl Gap {
    /// All of them with their words.
    pub(super) const WORDS: [(&'static str, Self); 10] = [
        ("host", Self::Host),
        ("port", Self::Port),
        ("priority", Self::Priority),
        ("weight", Self::Weight),
        ("text", Self::Text),
        ("v4", Self::V4),
        ("v6", Self::V6),
        ("endpoint", Self::Endpoint),
        ("pool", Self::Pool),
        ("region", Self::Region),
    ];

    /// What an endpoint has to say, to fill it.
    pub(super) const fn wants(self) -> &'static str {
        match self {
            Self::Host => "`host`",
            Self::Port => "`port`",
            Self::Priority => "`priority`",
            Self::Text => "`text`",
            Self::V4 => "IPv4 address",
            Self::V6 => "IPv6 address",
            Self::Weight | Self::Endpoint | Self::Pool | Self::Region => "name",
        }
    }
}

/// Why a text is no template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum TemplateError {
    /// A `{` without its `}`, or the other way round.
    Brace(char),
    /// There is no such gap.
    Unknown(String),
    /// It is more than one line.
    Lines,
}

impl Template {
    /// Reads `text {gap} text`; `{{` and `}}` stand for braces.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.contains(['\n', '\r']) {
            return Err(TemplateError::Lines);
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = if rest[at..].starts_with('{') { '{' } else { '}' };
            let behind = &rest[at + 1..];
            if let Some(tail) = behind.strip_prefix(brace) {
                literal.push(brace);
                rest = tail;
                continue;
            }
            let (word, tail) = behind
                .split_once('}')
                .filter(|_| brace == '{')
                .ok_or(TemplateError::Brace(brace))?;
            let gap = Gap::WORDS.iter().find(|(known, _)| *known == word);
            let (_, gap) = gap.ok_or_else(|| TemplateError::Unknown(word.to_owned()))?;
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
            pieces.push(Piece::Gap(*gap));
            rest = tail;
        }
        literal.push_str(rest);
        pieces.push(Piece::Text(literal));
        Ok(Self { pieces })
    }

    /// The data that it makes of an endpoint.
    ///
    /// # Errors
    /// The gap that the endpoint has nothing for.
    pub(super) fn fill(
        &self,
        endpoint: &Endpoint,
        pool: &Pool,
        region: &Region,
    ) -> Result<String, Gap> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Gap(gap) => {
                    out.push_str(&filling(*gap, endpoint, pool, region).ok_or(*gap)?);
                }
            }
        }
        Ok(out)
    }
}

/// What an endpoint fills a gap with; `None` when it has nothing for it.
fn filling(gap: Gap, endpoint: &Endpoint, pool: &Pool, region: &Region) -> Option<String> {
    let (v4, v6) = match endpoint.at {
        EndpointAt::Addresses { v4, v6 } => (v4, v6),
        EndpointAt::Host(_) | EndpointAt::Alias(_) => (None, None),
    };
    match gap {
        // A name prints itself with what escapes it needs.
        Gap::Host => endpoint.host().map(ToString::to_string),
        Gap::Port => endpoint.facts.port.map(|port| port.to_string()),
        Gap::Priority => endpoint.facts.priority.map(|priority| priority.to_string()),
        Gap::Weight => Some(endpoint.weight.to_string()),
        Gap::Text => endpoint.facts.text.as_deref().map(escaped),
        Gap::V4 => v4.map(|address| address.to_string()),
        Gap::V6 => v6.map(|address| address.to_string()),
        Gap::Endpoint => Some(escaped(&endpoint.name)),
        Gap::Pool => Some(escaped(&pool.name)),
        Gap::Region => Some(escaped(&region.name)),
    }
}

/// `text` so that it means itself whether it stands in quotes or not (RFC 1035 §5.1).
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/=+,~%".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("\\{byte:03}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_gaps_unless_they_are_doubled() {
        let template = Template::parse("{{{port}}} {host}").unwrap();
        let text = |text: &str| Piece::Text(text.to_owned());
        let pieces =
            [text("{"), Piece::Gap(Gap::Port), text("} "), Piece::Gap(Gap::Host), text("")];
        assert_eq!(template.pieces, pieces);
        for (bad, error) in [
            ("{port", TemplateError::Brace('{')),
            ("port}", TemplateError::Brace('}')),
            ("{prot}", TemplateError::Unknown("prot".to_owned())),
            ("a\nb", TemplateError::Lines),
        ] {
            assert_eq!(Template::parse(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn texts_mean_themselves_in_and_out_of_quotes() {
        assert_eq!(escaped("a b;\"\\é"), "a\\032b\\059\\034\\092\\195\\169");
        assert_eq!(escaped("v=spf1/24"), "v=spf1/24");
    }
}
