//! When certificates end: the one field of them that checks look at, and by whom they are called.
//!
//! A certificate is DER (X.690): values in values, each with its tag and length. What stands before its subject
//! (RFC 5280 §4.1) is read as far as it matters; keys and signatures are for whoever verifies it.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::model::health::Flaw;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The version, which stands first unless it is 1.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The object identifier of a common name: 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

const DAY_SECS: u64 = 24 * 3600;

/// What is wrong with a chain of certificates, the target's own first, that should be good for `margin` from
/// `now` (since 1970) on: with that one of it that ends first. Nothing is with those that say of no time that
/// we understand. Roots count for nothing, as everybody has their own copies of them.
pub(super) fn judge(chain: &[CertificateDer<'_>], margin: Duration, now: Duration) -> Option<Flaw> {
    let read = |(place, der): (usize, &CertificateDer<'_>)| {
        let certificate = Certificate::read(der)?;
        let counts = place == 0 || !certificate.is_root();
        counts.then(|| (certificate.not_after, u8::try_from(place).unwrap_or(u8::MAX)))
    };
    let (end, place) = chain.iter().enumerate().filter_map(read).min()?;
    let left = end.checked_sub(now).filter(|left| !left.is_zero());
    match left {
        None => Some(Flaw::CertificateOver { place }),
        Some(left) if left < margin => {
            let days = u16::try_from(left.as_secs() / DAY_SECS).unwrap_or(u16::MAX);
            Some(Flaw::CertificateEnds { place, days })
        }
        Some(_) => None,
    }
}

/// What is looked at of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Certificate<'d> {
    issuer: &'d [u8],
    /// When it ends, since 1970.
    pub(super) not_after: Duration,
    subject: &'d [u8],
}

impl<'d> Certificate<'d> {
    /// `None` of what is no certificate, or cut.
    pub(super) fn read(der: &'d [u8]) -> Option<Self> {
        let mut body = expect(&mut &*der, SEQUENCE)?;
        let mut signed = expect(&mut body, SEQUENCE)?;
        if signed.first() == Some(&VERSION) {
            expect(&mut signed, VERSION)?;
        }
        expect(&mut signed, INTEGER)?;
        let _algorithm = expect(&mut signed, SEQUENCE)?;
        let issuer = expect(&mut signed, SEQUENCE)?;
        let not_after = not_after(expect(&mut signed, SEQUENCE)?)?;
        let subject = expect(&mut signed, SEQUENCE)?;
        Some(Self { issuer, not_after, subject })
    }

    /// Whether nobody else vouches for it.
    fn is_root(self) -> bool {
        self.issuer == self.subject
    }

    /// The common name of its subject, if it has one that can be printed.
    pub(super) fn common_name(self) -> Option<&'d str> {
        let mut names = self.subject;
        while let Some(mut set) = expect(&mut names, SET) {
            let mut name = expect(&mut set, SEQUENCE)?;
            if expect(&mut name, OBJECT_IDENTIFIER)? == COMMON_NAME {
                let (_, text) = take(&mut name)?;
                let text = std::str::from_utf8(text).ok()?;
                return Some(text).filter(|text| !text.contains(char::is_control));
            }
        }
        None
    }
}

/// The second of two times, since 1970.
fn not_after(mut validity: &[u8]) -> Option<Duration> {
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
    use rcgen::{CertificateParams, DnType, Issuer, KeyPair, date_time_ymd};

    use super::*;

    /// What makes a certificate for `name` that ends on that day.
    fn params(name: &str, (year, month, day): (i32, u8, u8)) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["www.example.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// A certificate that ends on that day, by nobody else.
    fn until(year: i32, month: u8, day: u8) -> CertificateDer<'static> {
        let params = params("www.example.test", (year, month, day));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn end_of(certificate: &[u8]) -> Option<Duration> {
        Certificate::read(certificate).map(|certificate| certificate.not_after)
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
            let end = end_of(&until(year, month, day));
            assert_eq!(end, Some(days(since_1970)), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn what_ends_within_the_margin_is_flawed() {
        let chain = [until(2026, 11, 30)];
        let end = days(20_787);
        let second = Duration::from_secs(1);
        for (now, flaw) in [
            (end - days(14) - second, None),
            (end - days(14), None),
            (end - days(14) + second, Some(Flaw::CertificateEnds { place: 0, days: 13 })),
            (end - second, Some(Flaw::CertificateEnds { place: 0, days: 0 })),
            (end, Some(Flaw::CertificateOver { place: 0 })),
            (end + days(1), Some(Flaw::CertificateOver { place: 0 })),
        ] {
            assert_eq!(judge(&chain, days(14), now), flaw, "{now:?}");
        }
    }

    #[test]
    fn what_is_cut_says_nothing() {
        let certificate = until(2026, 11, 30);
        for len in 0..certificate.len() {
            assert_eq!(Certificate::read(&certificate[..len]), None, "{len} octets");
        }
    }

    #[test]
    fn of_a_chain_the_one_counts_that_ends_first_but_no_root() {
        const LATE: (i32, u8, u8) = (2026, 12, 30);
        let (now, key) = (days(20_780), || KeyPair::generate().unwrap());
        // The root, two that vouch, and the target's own, which end on these days.
        let chain = |root, upper, lower, own| {
            let (root, upper) = (params("Root", root), params("Upper", upper));
            let lower = params("Lower", lower);
            let own = params("www.example.test", own);
            let [root_key, upper_key, lower_key] = [key(), key(), key()];
            let sign = |params: &CertificateParams,
                        of: &KeyPair,
                        by: &CertificateParams,
                        with: &KeyPair| {
                params.signed_by(of, &Issuer::from_params(by, with)).unwrap().der().clone()
            };
            [
                sign(&own, &key(), &lower, &lower_key),
                sign(&lower, &lower_key, &upper, &upper_key),
                sign(&upper, &upper_key, &root, &root_key),
                root.self_signed(&root_key).unwrap().der().clone(),
            ]
        };
        let soon = (2026, 11, 30);
        let flaw = |place| Some(Flaw::CertificateEnds { place, days: 7 });
        for (chain, expected) in [
            (chain(LATE, LATE, LATE, LATE), None),
            (chain(LATE, LATE, LATE, soon), flaw(0)),
            (chain(LATE, LATE, soon, LATE), flaw(1)),
            (chain(LATE, soon, LATE, LATE), flaw(2)),
            (chain(soon, LATE, LATE, LATE), None),
            // Of those that end together the target's own is told.
            (chain(soon, soon, soon, soon), flaw(0)),
            (chain(LATE, (2026, 11, 1), LATE, soon), Some(Flaw::CertificateOver { place: 2 })),
        ] {
            assert_eq!(judge(&chain, days(14), now), expected);
            let names =
                chain.map(|der| Certificate::read(&der).unwrap().common_name().map(str::to_owned));
            let expected = ["www.example.test", "Lower", "Upper", "Root"];
            assert_eq!(names.map(Option::unwrap), expected);
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_to_an_end(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            Certificate::read(&octets).map(Certificate::common_name);
        }

        #[test]
        fn a_certificate_with_any_octet_changed_is_read_to_an_end(at: prop::sample::Index, octet: u8) {
            let mut certificate = until(2026, 11, 30).to_vec();
            let at = at.index(certificate.len());
            certificate[at] = octet;
            Certificate::read(&certificate).map(Certificate::common_name);
        }
    }
}
