//! When a certificate ends: the one field of it that checks look at.
//!
//! A certificate is DER (X.690): values in values, each with its tag and length. What stands before its validity
//! (RFC 5280 §4.1) is skipped; the rest, names and signatures, is for whoever verifies it.

use std::time::Duration;

use crate::model::health::Flaw;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// The version, which stands first unless it is 1.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const DAY_SECS: u64 = 24 * 3600;

/// What is wrong with a certificate that should be good for `margin` from `now` (since 1970) on. Nothing is
/// with one that says of no time that we understand.
pub(super) fn judge(certificate: &[u8], margin: Duration, now: Duration) -> Option<Flaw> {
    let end = not_after(certificate)?;
    let left = end.checked_sub(now).filter(|left| !left.is_zero());
    match left {
        None => Some(Flaw::CertificateOver),
        Some(left) if left < margin => {
            let days = u16::try_from(left.as_secs() / DAY_SECS).unwrap_or(u16::MAX);
            Some(Flaw::CertificateEnds { days })
        }
        Some(_) => None,
    }
}

/// When it ends, since 1970.
pub(super) fn not_after(certificate: &[u8]) -> Option<Duration> {
    let mut body = expect(&mut &*certificate, SEQUENCE)?;
    let mut signed = expect(&mut body, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        expect(&mut signed, VERSION)?;
    }
    expect(&mut signed, INTEGER)?;
    let [_algorithm, _issuer, mut validity] = [
        expect(&mut signed, SEQUENCE)?,
        expect(&mut signed, SEQUENCE)?,
        expect(&mut signed, SEQUENCE)?,
    ];
    take(&mut validity)?;
    match take(&mut validity)? {
        (UTC_TIME, text) => {
            let (year, rest) = number::<2>(text)?;
            // RFC 5280 §4.1.2.5.1.
            let year = if year < 50 { year + 2000 } else { year + 1900 };
            time(year, rest)
        }
        (GENERALIZED_TIME, text) => {
            let (year, rest) = number::<4>(text)?;
            time(year, rest)
        }
        _ => None,
    }
}

/// The next value, which must have this tag.
fn expect<'d>(rest: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    take(rest).filter(|(found, _)| *found == tag).map(|(_, body)| body)
}

/// The next value and its tag.
fn take<'d>(rest: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let [tag, short, after @ ..] = *rest else { return None };
    let (len, after) = match *short {
        len @ 0..=0x7f => (usize::from(len), after),
        // So many octets of length follow.
        octets @ 0x81..=0x84 => {
            let (octets, after) = after.split_at_checked(usize::from(octets & 0x7f))?;
            let len = octets.iter().fold(0_usize, |len, octet| len << 8 | usize::from(*octet));
            (len, after)
        }
        _ => return None,
    };
    let (body, after) = after.split_at_checked(len)?;
    *rest = after;
    Some((*tag, body))
}

/// A number of so many digits, and what follows.
fn number<const DIGITS: usize>(text: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = text.split_at_checked(DIGITS)?;
    let is_fit = digits.iter().all(u8::is_ascii_digit);
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit & 0x0f));
    is_fit.then_some((value, rest))
}

/// `0102030405Z` of a year, since 1970; zero for what was before.
fn time(year: u64, text: &[u8]) -> Option<Duration> {
    let (month, rest) = number::<2>(text)?;
    let (day, rest) = number::<2>(rest)?;
    let (hour, rest) = number::<2>(rest)?;
    let (minute, rest) = number::<2>(rest)?;
    let (second, rest) = number::<2>(rest)?;
    if rest != b"Z" || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since the first of March of year 0, whose leap days stand at the ends of years.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const EPOCH: u64 = 719_468;
    let secs = days.saturating_sub(EPOCH) * DAY_SECS + hour * 3600 + minute * 60 + second;
    Some(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate that ends on that day.
    fn until(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["www.example.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn days(count: u64) -> Duration {
        Duration::from_secs(count * DAY_SECS)
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        for (year, month, day, since_1970) in [
            (1970, 1, 1, 0),
            (1999, 12, 31, 10_956),
            (2000, 2, 29, 11_016),
            (2026, 11, 30, 20_787),
            (2049, 12, 31, 29_219),
            // From here on in the longer form.
            (2050, 1, 1, 29_220),
            (2100, 3, 1, 47_541),
        ] {
            let end = not_after(&until(year, month, day));
            assert_eq!(end, Some(days(since_1970)), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn what_ends_within_the_margin_is_flawed() {
        let certificate = until(2026, 11, 30);
        let end = days(20_787);
        let second = Duration::from_secs(1);
        for (now, flaw) in [
            (end - days(14) - second, None),
            (end - days(14), None),
            (end - days(14) + second, Some(Flaw::CertificateEnds { days: 13 })),
            (end - second, Some(Flaw::CertificateEnds { days: 0 })),
            (end, Some(Flaw::CertificateOver)),
            (end + days(1), Some(Flaw::CertificateOver)),
        ] {
            assert_eq!(judge(&certificate, days(14), now), flaw, "{now:?}");
        }
    }

    #[test]
    fn what_is_cut_says_nothing() {
        let certificate = until(2026, 11, 30);
        for len in 0..certificate.len() {
            assert_eq!(not_after(&certificate[..len]), None, "{len} octets");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_to_an_end(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            not_after(&octets);
        }

        #[test]
        fn a_certificate_with_any_octet_changed_is_read_to_an_end(at: prop::sample::Index, octet: u8) {
            let mut certificate = until(2026, 11, 30);
            let at = at.index(certificate.len());
            certificate[at] = octet;
            not_after(&certificate);
        }
    }
}
