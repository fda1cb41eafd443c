//! Times to live and other periods in master files: `3600`, `1h30m`, `2W`.
//!
//! The units are BIND's: `w`, `d`, `h`, `m`, `s`, in either case. What a period is for, and how
//! long it may be there, is the caller's business.

/// The longest time to live: 2³¹ − 1 seconds (RFC 2181 §8).
pub(super) const TTL_MAX: u32 = 0x7FFF_FFFF;

/// Reads a period in seconds; `None` when the text is none. More than `u64` holds is `u64::MAX`.
pub(super) fn parse(text: &str) -> Option<u64> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let mut total = 0_u64;
    let mut count = None;
    let mut has_unit = false;
    for byte in text.bytes() {
        if byte.is_ascii_digit() {
            let digit = u64::from(byte - b'0');
            count = Some(count.unwrap_or(0_u64).saturating_mul(10).saturating_add(digit));
        } else {
            total = total.saturating_add(count.take()?.saturating_mul(unit_secs(byte)?));
            has_unit = true;
        }
    }
    match count {
        // `1h30` is a typing error more often than 3,630 seconds.
        Some(_) if has_unit => None,
        Some(secs) => Some(secs),
        None => Some(total),
    }
}

const fn unit_secs(unit: u8) -> Option<u64> {
    match unit.to_ascii_lowercase() {
        b's' => Some(1),
        b'm' => Some(60),
        b'h' => Some(3600),
        b'd' => Some(86_400),
        b'w' => Some(604_800),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_units_or_are_seconds() {
        let cases = [
            ("0", Some(0)),
            ("3600", Some(3600)),
            ("1h30m", Some(5400)),
            ("1w2d", Some(777_600)),
            ("1W2D3H4M5S", Some(788_645)),
            ("1h30", None),
            ("h", None),
            ("1x", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("99999999999999999999999w", Some(u64::MAX)),
        ];
        for (text, secs) in cases {
            assert_eq!(parse(text), secs, "{text}");
        }
    }
}
