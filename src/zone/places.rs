//! Where the records of a zone were written, in a few octets each.
//!
//! Places are only looked at when something is to be said of them, or when a file comes back to a name, but
//! they are kept of every record while a zone is built. So they are kept small, and are searched for:
//!
//! ```text
//! octets: name*     name:   how far `at` rose │ records │ record*
//!                   record: from the start of the one before │ length, with a bit for: another file │ file?
//! marks:  every so many names, from where to read
//! ```
//!
//! Numbers are of seven bits an octet, the lowest first; the eighth says that more follow.

use crate::model::{SourceId, Span};

/// Names between two marks.
const MARK_EVERY: usize = 32;

/// Places of records, by the names that they belong to.
#[derive(Debug, Default)]
pub(super) struct Places {
    octets: Vec<u8>,
    marks: Vec<Mark>,
    names: usize,
    last: State,
}

/// From where names can be read: what is known before the next one.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    offset: usize,
    before: State,
}

/// What differences are counted from.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    at: u32,
    start: u32,
    source: Option<SourceId>,
}

impl Places {
    /// Notes the places of the records of a name. `at` rises from name to name.
    pub(super) fn add(&mut self, at: u32, places: &[Span]) {
        if self.names.is_multiple_of(MARK_EVERY) {
            self.marks.push(Mark { offset: self.octets.len(), before: self.last });
        }
        self.names += 1;
        self.push(at - self.last.at);
        self.push(u32::try_from(places.len()).expect("fewer than 2^32 records"));
        self.last.at = at;
        for place in places {
            self.push_place(*place);
        }
    }

    fn push_place(&mut self, place: Span) {
        let rise = place.start.wrapping_sub(self.last.start).cast_signed();
        // Small numbers in either direction become small ones.
        self.push(((rise << 1) ^ (rise >> 31)).cast_unsigned());
        let is_other = Some(place.source) != self.last.source;
        // A place has less than 2 GiB: longer ones do not fit into memory beside all else.
        let len = place.end.saturating_sub(place.start).min(u32::MAX >> 1);
        self.push(len << 1 | u32::from(is_other));
        if is_other {
            self.push(place.source.number());
        }
        (self.last.start, self.last.source) = (place.start, Some(place.source));
    }

    fn push(&mut self, mut number: u32) {
        while number > 0x7f {
            self.octets.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
            number >>= 7;
        }
        self.octets.push(u8::try_from(number).expect("seven bits"));
    }

    /// The places of the records of the name at `at`, in the order in which they were noted; none if none
    /// were.
    pub(super) fn of(&self, at: u32) -> Vec<Span> {
        let behind = self.marks.partition_point(|mark| mark.before.at < at);
        // The name at a mark's own `at` stands before it; only the first mark may come before any name.
        let Some(mark) = self.marks.get(behind.saturating_sub(1)) else { return Vec::new() };
        let mut reader = Reader { octets: &self.octets[mark.offset..], state: mark.before };
        while !reader.octets.is_empty() {
            let places = reader.name();
            if reader.state.at >= at {
                return if reader.state.at == at { places } else { Vec::new() };
            }
        }
        Vec::new()
    }
}

/// Reads names from a mark on.
struct Reader<'a> {
    octets: &'a [u8],
    state: State,
}

impl Reader<'_> {
    fn name(&mut self) -> Vec<Span> {
        self.state.at += self.number();
        let count = self.number();
        (0..count).map(|_| self.place()).collect()
    }

    fn place(&mut self) -> Span {
        let rise = self.number();
        let rise = (rise >> 1) ^ (rise & 1).wrapping_neg();
        self.state.start = self.state.start.wrapping_add(rise);
        let len = self.number();
        if len & 1 == 1 {
            self.state.source = Some(SourceId::of_number(self.number()));
        }
        let source = self.state.source.expect("the first place says its file");
        let end = self.state.start.saturating_add(len >> 1);
        Span { source, start: self.state.start, end }
    }

    fn number(&mut self) -> u32 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (octet, rest) = self.octets.split_first().expect("whole names are written");
            self.octets = rest;
            number |= u32::from(octet & 0x7f) << shift;
            if *octet < 0x80 {
                break;
            }
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span() -> impl Strategy<Value = Span> {
        let start = prop_oneof![0..400_u32, any::<u32>()];
        (0..3_u32, start, 0..3000_u32).prop_map(|(source, start, len)| {
            let source = SourceId::of_number(source);
            Span { source, start, end: start.saturating_add(len) }
        })
    }

    proptest! {
        #[test]
        fn every_place_is_found_again(
            names in prop::collection::vec(
                (1..300_u32, prop::collection::vec(span(), 0..4)), 0..200,
            ),
            first in 0..2_u32,
        ) {
            let mut places = Places::default();
            let mut at = first;
            let mut noted = Vec::new();
            for (rise, spans) in names {
                places.add(at, &spans);
                noted.push((at, spans));
                at += rise;
            }
            for (at, spans) in &noted {
                prop_assert_eq!(&places.of(*at), spans);
            }
            for at in 0..at.min(600) {
                let known = noted.iter().find(|(own, _)| *own == at);
                prop_assert_eq!(places.of(at), known.map(|(_, s)| s.clone()).unwrap_or_default());
            }
        }
    }
}
