//! Locations (RFC 1876).
//!
//! On the wire: version 0; size and two precisions as a digit times a power of ten, in centimetres;
//! latitude and longitude in thousandths of an arc second around 2³¹; altitude in centimetres above
//! 100 km below sea level.

use crate::zone::lexer::Fault;

use super::fields::Fields;
use super::parse;
use super::print::{Malformed, Printer, Wire};

/// Equator and prime meridian.
const ANGLE_ZERO: u32 = 1 << 31;
const DEGREE: u32 = 3_600_000;
const MINUTE: u32 = 60_000;
const SECOND: u32 = 1000;
/// Sea level, in centimetres.
const ALTITUDE_ZERO: u32 = 10_000_000;
/// The largest size or precision, in centimetres.
const SIZE_MAX: u64 = 9_000_000_000;
/// Size, horizontal and vertical precision when they are not written: 1 m, 10 km, 10 m.
const SIZES: [(&str, u64); 3] =
    [("size", 100), ("horizontal precision", 1_000_000), ("vertical precision", 1000)];

/// One of the two angles.
struct Axis {
    name: &'static str,
    what: &'static str,
    positive: &'static str,
    negative: &'static str,
    degrees_max: u32,
}

const LATITUDE: Axis = Axis {
    name: "latitude",
    what: "degrees up to 90, perhaps minutes and seconds, then `N` or `S`",
    positive: "N",
    negative: "S",
    degrees_max: 90,
};
const LONGITUDE: Axis = Axis {
    name: "longitude",
    what: "degrees up to 180, perhaps minutes and seconds, then `E` or `W`",
    positive: "E",
    negative: "W",
    degrees_max: 180,
};

/// Reads `52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m`.
pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = angle(fields, &LATITUDE)?;
    let longitude = angle(fields, &LONGITUDE)?;
    let what = "metres from -100000.00 to 42849672.95";
    let altitude = fields.parse("altitude", what, altitude)?;
    out.push(0);
    for (name, default) in SIZES {
        let mut centimetres = default;
        if let Some(token) = fields.next()? {
            let what = "metres up to 90000000.00";
            let size = metres(fields.lexer.text(token)).filter(|size| *size <= SIZE_MAX);
            centimetres = size.ok_or_else(|| fields.bad(token, name, what))?;
        }
        out.push(digit_and_power(centimetres));
    }
    for number in [latitude, longitude, altitude] {
        out.extend(number.to_be_bytes());
    }
    Ok(())
}

fn angle(fields: &mut Fields<'_, '_>, axis: &Axis) -> Result<u32, Fault> {
    let mut angle = 0;
    // Minutes and seconds may be missing.
    let mut units = [DEGREE, MINUTE, SECOND].into_iter();
    loop {
        let token = fields.required(axis.name, axis.what)?;
        let text = fields.lexer.text(token);
        let can_end = units.len() < 3 && angle <= axis.degrees_max * DEGREE;
        if can_end && text.eq_ignore_ascii_case(axis.positive) {
            return Ok(ANGLE_ZERO + angle);
        }
        if can_end && text.eq_ignore_ascii_case(axis.negative) {
            return Ok(ANGLE_ZERO - angle);
        }
        let part = units.next().and_then(|unit| match unit {
            DEGREE => {
                parse::digits(text).filter(|n| *n <= axis.degrees_max).map(|n: u32| n * DEGREE)
            }
            MINUTE => parse::digits(text).filter(|n| *n < 60).map(|n: u32| n * MINUTE),
            _ => u32::try_from(decimal(text, 3)?).ok().filter(|n| *n < 60 * SECOND),
        });
        angle += part.ok_or_else(|| fields.bad(token, axis.name, axis.what))?;
    }
}

/// Centimetres above 100 km below sea level.
fn altitude(text: &str) -> Option<u32> {
    match text.strip_prefix('-') {
        Some(below) => ALTITUDE_ZERO.checked_sub(u32::try_from(metres(below)?).ok()?),
        None => u32::try_from(metres(text)?.checked_add(ALTITUDE_ZERO.into())?).ok(),
    }
}

/// `12.34m` in centimetres; the `m` may be missing.
fn metres(text: &str) -> Option<u64> {
    decimal(text.strip_suffix(['m', 'M']).unwrap_or(text), 2)
}

/// A decimal fraction with at most `places` digits behind the point, times 10^`places`.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = parse::digits::<u32>(whole)?.into();
    let missing = places.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { parse::digits(fraction)? };
    Some(whole * 10_u64.pow(places) + fraction * 10_u64.pow(missing))
}

/// `centimetres` as a digit and a power of ten; what lies between is cut.
fn digit_and_power(centimetres: u64) -> u8 {
    let (mut digit, mut power) = (centimetres, 0_u8);
    while digit > 9 {
        digit /= 10;
        power += 1;
    }
    u8::try_from(digit).expect("at most 9") << 4 | power
}

pub(super) fn print(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    if wire.u8()? != 0 {
        return Err(Malformed);
    }
    let sizes: [u8; 3] = wire.array()?;
    print_angle(wire.u32()?, &LATITUDE, printer)?;
    print_angle(wire.u32()?, &LONGITUDE, printer)?;
    let altitude = wire.u32()?;
    let sign = if altitude < ALTITUDE_ZERO { "-" } else { "" };
    let centimetres = altitude.abs_diff(ALTITUDE_ZERO);
    printer.word(format_args!("{sign}{}.{:02}m", centimetres / 100, centimetres % 100));
    for size in sizes {
        let (digit, power) = (size >> 4, size & 0x0F);
        if digit > 9 || power > 9 || (digit == 0 && power != 0) {
            return Err(Malformed);
        }
        let centimetres = u64::from(digit) * 10_u64.pow(power.into());
        printer.word(format_args!("{}.{:02}m", centimetres / 100, centimetres % 100));
    }
    Ok(())
}

fn print_angle(wire: u32, axis: &Axis, printer: &mut Printer) -> Result<(), Malformed> {
    let angle = wire.abs_diff(ANGLE_ZERO);
    if angle > axis.degrees_max * DEGREE {
        return Err(Malformed);
    }
    let direction = if wire < ANGLE_ZERO { axis.negative } else { axis.positive };
    let (degrees, minutes) = (angle / DEGREE, angle % DEGREE / MINUTE);
    let (seconds, thousandths) = (angle % MINUTE / SECOND, angle % SECOND);
    printer.word(format_args!("{degrees} {minutes} {seconds}.{thousandths:03} {direction}"));
    Ok(())
}
