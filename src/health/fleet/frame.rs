//! What a vantage says each second: everything that it holds, whole and sealed.
//!
//! A frame needs none before it and may come late, twice, out of order or not at all: the last of an epoch
//! counts, and of the last epoch. An epoch is one life of a vantage, named by when it began.
//!
//! ```text
//! octets   big-endian
//! 4        "WRV" and the version of this form, 1
//! 1        0 for a vantage alone, 1 for a node that answers DNS, too
//! 1 + n    name of the vantage              UTF-8, at most 64 octets
//! 1 + n    its group
//! 1 + n    why it does not trust its view; empty when it does
//! 8 8 8    epoch (ms since 1970), number in it, when it was sent (ms since 1970)
//! 8 8      hash of the targets that it was told of, hash of its state (0: it has none)
//! 8 8      where it is: latitude and longitude in degrees (IEEE 754), NaN when nobody has said
//! 2 2      which part this is, of how many
//! 4        rows
//! 13 each  votes: see `vote`
//! 32       seal
//! ```
//!
//! Targets that are too many for one frame are spread over parts by their ids, so that a target stays in
//! its part.

use super::seal::{Keys, Purpose, SEAL_LEN};
use super::vote::{ROW_LEN, Vote};
use crate::model::{Coordinates, TargetId};

/// Rows of one frame: half of what a broker takes at once (1 MiB).
pub(super) const ROWS_MAX: usize = 40_000;
/// Parts of what one vantage says: two and a half million targets.
pub(super) const PARTS_MAX: u16 = 64;
/// Octets of a name, of a group and of a reason.
pub const TEXT_MAX: usize = 64;

const MAGIC: [u8; 4] = *b"WRV\x01";

/// What a vantage says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Who says it.
    pub vantage: String,
    /// Whose view it shares: vantages of one group are likely to be wrong together.
    pub group: String,
    /// Whether it answers DNS, too.
    pub is_node: bool,
    /// When its life began: milliseconds since 1970.
    pub epoch: u64,
    /// The number of the frame in that life; parts share one.
    pub seq: u64,
    /// When it was sent: milliseconds since 1970.
    pub sent: u64,
    /// Why it does not trust its own view, if it does not.
    pub impaired: Option<String>,
    /// Of all targets that it was told of, not only its share.
    pub targets_hash: u64,
    /// Of what it has come to; 0 when it decides nothing.
    pub state_hash: u64,
    /// Where it is, if somebody has said.
    pub location: Option<Coordinates>,
    /// Which part of what it says this is.
    pub part: u16,
    /// Of how many.
    pub parts: u16,
    /// What it holds of the targets of its share.
    pub votes: Vec<(TargetId, Vote)>,
}

/// Which of `parts` parts a target is in.
#[must_use]
pub(super) fn part_of(target: TargetId, parts: u16) -> u16 {
    u16::try_from(target.0 % u64::from(parts.max(1))).unwrap_or_default()
}

/// How many parts so many votes take: a power of two, so that it seldom changes. `None` when there are too many.
#[must_use]
pub(super) fn parts_for(votes: usize) -> Option<u16> {
    // A part may get somewhat more than its share.
    let parts = votes.div_ceil(ROWS_MAX * 3 / 4).max(1).next_power_of_two();
    u16::try_from(parts).ok().filter(|parts| *parts <= PARTS_MAX)
}

impl Frame {
    /// As it is sent.
    #[must_use]
    pub fn seal(&self, keys: &Keys) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + SEAL_LEN + self.votes.len() * ROW_LEN);
        out.extend(MAGIC);
        out.push(self.is_node.into());
        for text in [&self.vantage, &self.group, self.impaired.as_ref().unwrap_or(&String::new())] {
            write_text(&mut out, text);
        }
        for number in [self.epoch, self.seq, self.sent, self.targets_hash, self.state_hash] {
            out.extend(number.to_be_bytes());
        }
        let at = self.location.map_or([f64::NAN; 2], |at| [at.latitude, at.longitude]);
        at.iter().for_each(|degrees| out.extend(degrees.to_be_bytes()));
        out.extend(self.part.to_be_bytes());
        out.extend(self.parts.to_be_bytes());
        out.extend(u32::try_from(self.votes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.votes.iter().for_each(|(target, vote)| vote.write(*target, &mut out));
        keys.seal(Purpose::Votes, out)
    }

    /// Reads what was sent; `None` when the seal is not the fleet's, or what is sealed is no frame.
    #[must_use]
    pub fn open(keys: &Keys, sealed: &[u8]) -> Option<Self> {
        let longest = 1024 + SEAL_LEN + ROWS_MAX * ROW_LEN;
        let body = Some(sealed).filter(|sealed| sealed.len() <= longest)?;
        Self::read(keys.open(Purpose::Votes, body)?)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let mut body = Reader(body);
        if body.take::<4>()? != MAGIC {
            return None;
        }
        let is_node = match body.take()? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let (vantage, group, impaired) = (body.text()?, body.text()?, body.text()?);
        if vantage.is_empty() {
            return None;
        }
        let mut number = || body.take().map(u64::from_be_bytes);
        let (epoch, seq, sent) = (number()?, number()?, number()?);
        let (targets_hash, state_hash) = (number()?, number()?);
        let mut degrees = || body.take().map(f64::from_be_bytes);
        let location = Coordinates::new(degrees()?, degrees()?);
        let mut short = || body.take().map(u16::from_be_bytes);
        let (part, parts) = (short()?, short()?);
        let count = usize::try_from(u32::from_be_bytes(body.take()?)).ok()?;
        let (rows, rest) = body.0.as_chunks::<ROW_LEN>();
        let is_whole = rest.is_empty() && rows.len() == count && count <= ROWS_MAX;
        if !is_whole || part >= parts || parts > PARTS_MAX {
            return None;
        }
        let impaired = Some(impaired).filter(|why| !why.is_empty());
        let votes = rows.iter().map(Vote::read).collect();
        Some(Self {
            vantage,
            group,
            is_node,
            epoch,
            seq,
            sent,
            impaired,
            targets_hash,
            state_hash,
            location,
            part,
            parts,
            votes,
        })
    }
}

/// As much of a text as a frame takes.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    let text = cut(text);
    out.push(u8::try_from(text.len()).unwrap_or_default());
    out.extend(text.as_bytes());
}

pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let [len] = self.take()?;
        let (text, rest) = self.0.split_at_checked(len.into())?;
        self.0 = rest;
        let text = std::str::from_utf8(text).ok()?;
        (text.len() <= TEXT_MAX && !text.contains(char::is_control)).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::fleet::vote::Opinion;

    fn keys() -> Keys {
        Keys::new(&[[7; 32]], "windrose")
    }

    fn frame(votes: usize, impaired: Option<&str>) -> Frame {
        let vote = Vote { opinion: Opinion::Down, ..Vote::default() };
        Frame {
            vantage: "fra-1".to_owned(),
            group: "fra".to_owned(),
            is_node: false,
            epoch: 1_790_000_000_000,
            seq: 17,
            sent: 1_790_000_017_000,
            impaired: impaired.map(str::to_owned),
            targets_hash: 1,
            state_hash: 2,
            location: Coordinates::new(50.11, 8.68).filter(|_| votes != 1),
            part: 0,
            parts: 1,
            votes: (0..votes).map(|n| (TargetId(n as u64), vote)).collect(),
        }
    }

    #[test]
    fn a_frame_reads_as_it_was_sealed_and_has_a_fixed_size() {
        for votes in [0, 1, 1000, ROWS_MAX] {
            let frame = frame(votes, (votes == 1).then_some("its anchors do not answer"));
            let sealed = frame.seal(&keys());
            assert_eq!(Frame::open(&keys(), &sealed), Some(frame));
        }
        let [of_1000, of_1001] = [1000, 1001].map(|votes| frame(votes, None).seal(&keys()).len());
        assert_eq!(of_1001 - of_1000, ROW_LEN);
        assert!(frame(ROWS_MAX, None).seal(&keys()).len() < 1 << 20, "a broker takes it");
    }

    #[test]
    fn what_is_too_much_is_no_frame() {
        let sealed = frame(ROWS_MAX + 1, None).seal(&keys());
        assert_eq!(Frame::open(&keys(), &sealed), None);
        let mut parts = frame(1, None);
        (parts.part, parts.parts) = (1, 1);
        assert_eq!(Frame::open(&keys(), &parts.seal(&keys())), None);
        let long = Frame { impaired: Some("ü".repeat(100)), ..frame(1, None) };
        let read = Frame::open(&keys(), &long.seal(&keys())).unwrap();
        assert_eq!(read.impaired, Some("ü".repeat(TEXT_MAX / 2)));
    }

    #[test]
    fn parts_are_few_and_take_what_falls_to_them() {
        let cases = [(0, Some(1)), (30_000, Some(1)), (30_001, Some(2)), (1_000_000, Some(64))];
        for (votes, parts) in cases {
            assert_eq!(parts_for(votes), parts, "{votes}");
        }
        assert_eq!(parts_for(4_000_000), None);
        assert!((0..1000).all(|id| part_of(TargetId(id), 64) < 64));
    }

    proptest! {
        /// Whoever has the key may still send anything.
        #[test]
        fn any_sealed_octets_are_a_frame_or_nothing(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::open(&keys(), &keys().seal(Purpose::Votes, body));
        }

        #[test]
        fn a_frame_with_any_octet_changed_is_a_frame_or_nothing(at in 0_usize..200, to: u8) {
            let sealed = frame(7, None).seal(&keys());
            let mut body = sealed[..sealed.len() - SEAL_LEN].to_vec();
            let len = body.len();
            body[at % len] = to;
            if let Some(read) = Frame::open(&keys(), &keys().seal(Purpose::Votes, body)) {
                prop_assert!(read.votes.len() <= ROWS_MAX && read.vantage.len() <= TEXT_MAX);
            }
        }
    }
}
