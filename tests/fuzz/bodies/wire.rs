//! A reader of messages that shares nothing with what it judges. It skips names and follows no pointer.

/// Octets of a header.
const HEADER_LEN: usize = 12;
/// The type of an OPT record (RFC 6891).
const OPT: u16 = 41;

/// One record, its owner left out.
pub(super) struct Record<'a> {
    /// 0 to 2: answer, authority, additional.
    pub(super) section: usize,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) rdata: &'a [u8],
    /// Whether its owner is the root.
    is_root: bool,
}

impl Record<'_> {
    /// Whether it is an OPT record where one may stand.
    pub(super) const fn is_opt(&self) -> bool {
        self.rtype == OPT && self.section == 2 && self.is_root
    }
}

/// A message whose records could all be read.
pub(super) struct Message<'a> {
    pub(super) records: Vec<Record<'a>>,
    /// Where the last one ends.
    pub(super) end: usize,
}

/// The 16-bit number at `at`, or 0 behind the end.
pub(super) fn u16_at(octets: &[u8], at: usize) -> u16 {
    octets.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]))
}

/// Octets of the question, when there is exactly one and it is well-formed: a name of at most 255 octets
/// without pointers, type, class.
pub(super) fn question_len(message: &[u8]) -> Option<usize> {
    if u16_at(message, 4) != 1 {
        return None;
    }
    let mut len = 0;
    loop {
        let label = usize::from(*message.get(HEADER_LEN + len)?);
        len += 1 + label;
        match label {
            0 if len > 255 => return None,
            0 => break,
            1..=63 => {}
            _ => return None,
        }
    }
    (message.len() >= HEADER_LEN + len + 4).then_some(len + 4)
}

/// Reads the records behind a question of `question_len` octets.
pub(super) fn read(message: &[u8], question_len: usize) -> Option<Message<'_>> {
    let mut at = HEADER_LEN + question_len;
    let mut records = Vec::new();
    for section in 0..3 {
        for _ in 0..u16_at(message, 6 + 2 * section) {
            let owner_len = name_len(message, at)?;
            let fixed = message.get(at + owner_len..at + owner_len + 10)?;
            let rdata_at = at + owner_len + 10;
            let rdata = message.get(rdata_at..rdata_at + usize::from(u16_at(fixed, 8)))?;
            records.push(Record {
                section,
                rtype: u16_at(fixed, 0),
                class: u16_at(fixed, 2),
                ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                rdata,
                is_root: owner_len == 1,
            });
            at = rdata_at + rdata.len();
        }
    }
    Some(Message { records, end: at })
}

/// Octets of the name at `at`, which a pointer ends.
fn name_len(message: &[u8], at: usize) -> Option<usize> {
    let mut len = 0;
    loop {
        match *message.get(at + len)? {
            0 => return Some(len + 1),
            label @ 1..=63 => len += 1 + usize::from(label),
            0xc0.. => return Some(len + 2),
            _ => return None,
        }
    }
}

/// Code and data of each option of an OPT record; `None` when they do not fill it.
pub(super) fn options(mut rdata: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut options = Vec::new();
    while !rdata.is_empty() {
        let data = rdata.get(4..4 + usize::from(u16_at(rdata, 2)))?;
        options.push((u16_at(rdata, 0), data));
        rdata = &rdata[4 + data.len()..];
    }
    Some(options)
}
