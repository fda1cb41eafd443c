//! What `[fleet]` and its files come to.

use std::fs;
use std::path::PathBuf;

use super::nats::Broker;
use super::shelf::Shelf;
use crate::config::{Fleet, Login, ServerConfig};
use crate::health::fleet::{KEY_LEN, Keys, Rules};
use crate::load::Place;

/// All that a member needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who it is.
    pub rules: Rules,
    /// The fleet's keys.
    pub keys: Keys,
    /// How the engine is reached.
    pub broker: Broker,
    /// Where it keeps what it is told.
    pub shelf: Shelf,
}

impl Settings {
    /// Reads the files that `[fleet]` names; `None` where there is no such section.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(
        place: &Place,
        config: &ServerConfig,
        is_node: bool,
    ) -> Result<Option<Self>, String> {
        let Some(fleet) = &config.fixed.fleet else { return Ok(None) };
        let Fleet { servers, name, group, location, prefix, quorum, vantages, replicas, .. } =
            fleet.clone();
        let path = place.resolve(&fleet.key_file);
        let text = fs::read_to_string(&path).map_err(|error| error.to_string());
        let secrets = text.and_then(|text| parse_keys(&text)).map_err(|problem| {
            let how = "`openssl rand -hex 32` makes one";
            format!("[fleet] key-file {}: {problem}; {how}", path.display())
        })?;
        let (mut credentials, mut password) = (None, None);
        match &fleet.login {
            Login::None => {}
            Login::Credentials(file) => credentials = Some(read(place, "credentials", file)?),
            Login::Password { user, file } => {
                let word = read(place, "password-file", file)?;
                password = Some((user.clone(), word.trim_end().to_owned()));
            }
        }
        let tls = fleet.tls.clone();
        let resolve = |path: String| -> Result<PathBuf, String> {
            let path = place.resolve(&path);
            let file = fs::File::open(&path);
            file.map(|_| path.clone()).map_err(|e| format!("[fleet.tls] {}: {e}", path.display()))
        };
        let is_tls = tls.is_some() || servers.iter().any(|server| server.starts_with("tls://"));
        let tls = tls.unwrap_or_default();
        let identity = match tls.identity {
            Some((certificate, key)) => Some((resolve(certificate)?, resolve(key)?)),
            None => None,
        };
        let keys = Keys::new(&secrets, &prefix);
        let broker = Broker {
            servers,
            name: name.clone(),
            prefix,
            credentials,
            password,
            is_tls,
            ca: tls.ca.map(resolve).transpose()?,
            identity,
            replicas: replicas.into(),
            makes_bucket: is_node,
        };
        let vantages = vantages.into();
        let rules = Rules { name, group, location, is_node, quorum, vantages };
        let shelf = Shelf::below(&place.resolve(&config.fixed.state.directory));
        Ok(Some(Self { rules, keys, broker, shelf }))
    }
}

fn read(place: &Place, key: &str, file: &str) -> Result<String, String> {
    let path = place.resolve(file);
    fs::read_to_string(&path).map_err(|e| format!("[fleet] {key} {}: {e}", path.display()))
}

/// Reads one or two keys, a line each.
fn parse_keys(text: &str) -> Result<Vec<[u8; KEY_LEN]>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if !(1..=2).contains(&lines.len()) {
        return Err(format!("there are {} keys in it, and one or two are wanted", lines.len()));
    }
    let parse = |line: &&str| {
        let octet = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))
        };
        let octets: Option<Vec<u8>> = line.as_bytes().chunks(2).map(octet).collect();
        octets.and_then(|octets| <[u8; KEY_LEN]>::try_from(octets).ok())
    };
    let keys: Option<Vec<_>> = lines.iter().map(parse).collect();
    keys.ok_or_else(|| "a key is 64 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_digits_and_there_are_one_or_two() {
        let key = "0f".repeat(32);
        assert_eq!(parse_keys(&format!("{key}\n")), Ok(vec![[15; KEY_LEN]]));
        assert_eq!(parse_keys(&format!("{key}\n\n {key} \n")).map(|keys| keys.len()), Ok(2));
        for bad in ["", "0f0f", &"0g".repeat(32), &"+f".repeat(32), &format!("{key}\n{key}\n{key}")]
        {
            assert!(parse_keys(bad).is_err(), "{bad}");
        }
    }
}
