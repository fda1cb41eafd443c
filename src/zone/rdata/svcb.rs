//! Service parameters of SVCB and HTTPS (RFC 9460 §2), with `dohpath` (RFC 9461), `ohttp`
//! (RFC 9540) and `ech` (RFC 9848).
//!
//! Parameters may be written in any order; on the wire they stand by number, none twice. Every
//! parameter that `mandatory` names must be there, and `no-default-alpn` makes sense only beside
//! `alpn`.

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::zone::lexer::{Fault, Token, TokenKind};

use super::fields::Fields;
use super::print::{Malformed, Printer, Wire};
use super::{parse, text};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;
/// Reserved as "invalid key" (RFC 9460 §14.3.2).
const INVALID: u16 = 65_535;

/// The keys' names, by number.
const KEYS: [&str; 9] = [
    "mandatory",
    "alpn",
    "no-default-alpn",
    "port",
    "ipv4hint",
    "ech",
    "ipv6hint",
    "dohpath",
    "ohttp",
];

/// A parameter in wire form.
struct Param {
    key: u16,
    value: Vec<u8>,
}

/// What a value must be; why it is not accepted.
struct Expected(&'static str);

/// Reads parameters up to the end of the entry; there may be none.
pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut params = Vec::new();
    let mut tokens = Vec::new();
    loop {
        let token = fields.lexer.parameter()?;
        if token.kind == TokenKind::End {
            break;
        }
        let param = read_param(fields, token)?;
        tokens.push((param.key, token));
        params.push(param);
    }
    params.sort_by_key(|param| param.key);
    if let Some((key, message)) = conflict(&params) {
        // The last one with that key: of two, the second is the one too many.
        let place = tokens.iter().rfind(|(written, _)| *written == key);
        let (_, token) = place.expect("a conflict names a parameter that was read");
        let message = format!("{} record: {message}", fields.rtype);
        return Err(fields.lexer.fault(*token, message).into());
    }
    for Param { key, value } in params {
        let Ok(len) = u16::try_from(value.len()) else {
            let token = fields.lexer.token()?;
            let message = format!("{} record: `{}` is too long", fields.rtype, key_text(key));
            return Err(fields.lexer.fault(token, message).into());
        };
        out.extend(key.to_be_bytes());
        out.extend(len.to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

fn read_param(fields: &Fields<'_, '_>, token: Token) -> Result<Param, Fault> {
    let raw = fields.lexer.raw(token);
    let (key_written, value) = raw.split_once('=').unwrap_or((raw, ""));
    let Some(key) = key_number(key_written) else {
        let fault = fields.bad(token, "parameter", "a key like `alpn=…`, `port=…` or `key65280=…`");
        let near = crate::model::diagnostic::closest(cut(key_written), KEYS);
        return Err(match near {
            Some(near) => fault.hint(format!("did you mean `{near}`?")).into(),
            None => fault.into(),
        });
    };
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let mut octets = Vec::new();
    let is_unescaped = text::unescape(unquoted.unwrap_or(value), &mut octets).is_ok();
    let is_named = key_written == KEYS.get(usize::from(key)).copied().unwrap_or_default();
    let value = match is_unescaped {
        false => Err(Expected(r"a character or three digits up to 255 behind each `\`")),
        true if is_named => from_text(key, octets),
        // `key3=\000\080`: the value itself, which must be well-formed all the same.
        true => match value_text(key, &octets) {
            Ok(_) => Ok(octets),
            Err(Malformed) => Err(Expected("the well-formed octets of that parameter")),
        },
    };
    let value =
        value.map_err(|Expected(what)| fields.bad(token, &format!("`{key_written}`"), what))?;
    Ok(Param { key, value })
}

/// As much of a long word as is worth comparing.
fn cut(word: &str) -> &str {
    word.char_indices().nth(24).map_or(word, |(end, _)| &word[..end])
}

/// `port`, or `key3` without leading zeros.
fn key_number(text: &str) -> Option<u16> {
    if let Some(number) = KEYS.iter().position(|key| *key == text) {
        return u16::try_from(number).ok();
    }
    let digits = text.strip_prefix("key")?;
    let is_canonical = digits == "0" || !digits.starts_with('0');
    is_canonical.then(|| parse::digits(digits))?.filter(|key| *key != INVALID)
}

fn key_text(key: u16) -> String {
    KEYS.get(usize::from(key)).map_or_else(|| format!("key{key}"), |name| (*name).into())
}

/// The wire form of a value whose escapes are undone.
fn from_text(key: u16, value: Vec<u8>) -> Result<Vec<u8>, Expected> {
    match key {
        MANDATORY => mandatory(&value).ok_or(Expected("other keys with `,` between, none twice")),
        ALPN => alpn(&value).ok_or(Expected("protocols of 1 to 255 octets with `,` between")),
        NO_DEFAULT_ALPN | OHTTP if value.is_empty() => Ok(value),
        NO_DEFAULT_ALPN | OHTTP => Err(Expected("no value")),
        PORT => str::from_utf8(&value)
            .ok()
            .and_then(parse::digits::<u16>)
            .map(|port| port.to_be_bytes().into())
            .ok_or(Expected("a number up to 65535")),
        IPV4HINT => list(&value, |text| Some(text.parse::<Ipv4Addr>().ok()?.octets()))
            .ok_or(Expected("IPv4 addresses with `,` between")),
        IPV6HINT => list(&value, |text| Some(text.parse::<Ipv6Addr>().ok()?.octets()))
            .ok_or(Expected("IPv6 addresses with `,` between")),
        ECH => str::from_utf8(&value)
            .ok()
            .and_then(text::from_base64)
            .filter(|octets| !octets.is_empty())
            .ok_or(Expected("base 64")),
        DOHPATH if is_dohpath(&value) => Ok(value),
        DOHPATH => Err(Expected("a template like `/dns-query{?dns}`")),
        _ => Ok(value),
    }
}

/// The items of a list, each made octets.
fn list<const N: usize>(value: &[u8], item: impl Fn(&str) -> Option<[u8; N]>) -> Option<Vec<u8>> {
    let items: Option<Vec<_>> = str::from_utf8(value).ok()?.split(',').map(item).collect();
    Some(items?.concat())
}

fn mandatory(value: &[u8]) -> Option<Vec<u8>> {
    let keys: Option<Vec<_>> = str::from_utf8(value).ok()?.split(',').map(key_number).collect();
    let mut keys = keys?;
    keys.sort_unstable();
    let is_strict = keys[0] != MANDATORY && keys.windows(2).all(|pair| pair[0] != pair[1]);
    is_strict.then(|| keys.iter().flat_map(|key| key.to_be_bytes()).collect())
}

/// A list of counted items, in which `\` protects `,` and `\` (RFC 9460 §A.1).
fn alpn(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0];
    let mut count_at = 0;
    let mut octets = value.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' => out.push(*octets.next()?),
            b',' => {
                close_item(count_at, &mut out)?;
                count_at = out.len();
                out.push(0);
            }
            _ => out.push(*octet),
        }
    }
    close_item(count_at, &mut out)?;
    Some(out)
}

/// Writes the count of the item that was begun at `count_at`; `None` when it is empty or too long.
fn close_item(count_at: usize, out: &mut [u8]) -> Option<()> {
    out[count_at] = u8::try_from(out.len() - count_at - 1).ok().filter(|len| *len > 0)?;
    Some(())
}

/// A path that expands `dns` (RFC 9461 §5).
fn is_dohpath(value: &[u8]) -> bool {
    let template = str::from_utf8(value).unwrap_or_default();
    let variables = template.split_once('{').map_or("", |(_, variables)| variables);
    template.starts_with('/') && variables.contains("dns")
}

/// What is wrong with `params`, which are sorted: the key, and a message.
fn conflict(params: &[Param]) -> Option<(u16, String)> {
    let has = |key| params.binary_search_by_key(&key, |param: &Param| param.key).is_ok();
    if let Some(pair) = params.windows(2).find(|pair| pair[0].key == pair[1].key) {
        return Some((pair[0].key, format!("`{}` is given twice", key_text(pair[0].key))));
    }
    if has(NO_DEFAULT_ALPN) && !has(ALPN) {
        return Some((NO_DEFAULT_ALPN, "`no-default-alpn` without `alpn`".into()));
    }
    let mandatory = params.first().filter(|param| param.key == MANDATORY)?;
    let mut keys = mandatory.value.chunks_exact(2).map(|key| u16::from_be_bytes([key[0], key[1]]));
    let missing = keys.find(|key| !has(*key))?;
    Some((MANDATORY, format!("`{}` is mandatory, but not there", key_text(missing))))
}

pub(super) fn print(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    let mut params: Vec<Param> = Vec::new();
    while !wire.0.is_empty() {
        let (key, len) = (wire.u16()?, wire.u16()?);
        let value = wire.take(len.into())?;
        if key == INVALID || params.last().is_some_and(|last| last.key >= key) {
            return Err(Malformed);
        }
        match value_text(key, value)? {
            text if text.is_empty() => printer.word(key_text(key)),
            text => printer.word(format_args!("{}={text}", key_text(key))),
        }
        params.push(Param { key, value: value.into() });
    }
    if conflict(&params).is_some() { Err(Malformed) } else { Ok(()) }
}

/// A value in presentation form, quoted where that is needed; empty for none.
fn value_text(key: u16, value: &[u8]) -> Result<String, Malformed> {
    let mut wire = Wire(value);
    Ok(match key {
        MANDATORY => {
            let keys = items(&mut wire, Wire::u16)?;
            if keys[0] == MANDATORY || !keys.is_sorted_by(|a, b| a < b) {
                return Err(Malformed);
            }
            joined(keys.into_iter().map(key_text))
        }
        ALPN => {
            let protocols = items(&mut wire, Wire::counted)?;
            if protocols.iter().any(|protocol| protocol.is_empty()) {
                return Err(Malformed);
            }
            let escaped: Vec<_> = protocols.into_iter().map(list_item).collect();
            string(&escaped.join(&b','))
        }
        NO_DEFAULT_ALPN | OHTTP if value.is_empty() => String::new(),
        NO_DEFAULT_ALPN | OHTTP => return Err(Malformed),
        PORT => match value {
            [high, low] => u16::from_be_bytes([*high, *low]).to_string(),
            _ => return Err(Malformed),
        },
        IPV4HINT => joined(items(&mut wire, Wire::array)?.into_iter().map(Ipv4Addr::from)),
        IPV6HINT => joined(items(&mut wire, Wire::array)?.into_iter().map(Ipv6Addr::from)),
        ECH => text::to_base64(wire.some_rest()?),
        DOHPATH if !is_dohpath(value) => return Err(Malformed),
        _ if value.is_empty() => String::new(),
        _ => string(value),
    })
}

/// At least one item, up to the end.
fn items<'a, T>(
    wire: &mut Wire<'a>,
    item: impl Fn(&mut Wire<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut items = vec![item(wire)?];
    while !wire.0.is_empty() {
        items.push(item(wire)?);
    }
    Ok(items)
}

fn joined(items: impl Iterator<Item = impl Display>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

/// An item with what is special in a list protected.
fn list_item(item: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(item.len());
    for &octet in item {
        if matches!(octet, b',' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out
}

/// `octets` as they are when they are plain, else quoted.
fn string(octets: &[u8]) -> String {
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~/,:+?{}".contains(octet);
    match str::from_utf8(octets) {
        Ok(text) if octets.iter().all(is_plain) => text.into(),
        _ => text::quoted(octets),
    }
}
