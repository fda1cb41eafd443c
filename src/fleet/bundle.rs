//! Zone files as one thing that can be sent: packed, cut in pieces, named by what is in them.
//!
//! A [`Head`] names a version by the SHA-256 of its bundle, and is sealed by the fleet's key; the pieces are
//! named by theirs. So a node believes a head and nothing else, and may get pieces from anybody.
//!
//! ```text
//! zones.v.7        head: version 7, SHA-256, pieces, who pushed it, when, why
//! zones.p.4c1f…    piece: at most 256 KiB of the bundle
//! ```
//!
//! Nothing here reads a disk or a clock.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Component, Path};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::health::fleet::{Keys, Purpose};

/// Octets of a piece: well below what a broker takes at once.
const PIECE_LEN: usize = 256 * 1024;
/// Octets of all files: a million names take 60 MB.
const FILES_LEN_MAX: u64 = 1 << 30;
/// Octets of a bundle.
const BUNDLE_LEN_MAX: usize = 1 << 28;

/// What heads are kept under, before the version.
pub const HEADS: &str = "zones.v.";
/// What pieces are kept under, before their SHA-256.
pub const PIECES: &str = "zones.p.";

/// Files by their names, relative to the zone directory.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A version of the zone files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its number; a later one has a greater.
    pub version: u64,
    /// The SHA-256 of the bundle, in hexadecimal.
    pub sha256: String,
    /// Those of its pieces, in order.
    pub pieces: Vec<String>,
    /// Who pushed it.
    pub author: String,
    /// Why; may be empty.
    pub reason: String,
    /// When: milliseconds since 1970.
    pub at: u64,
    /// The earlier version whose files these are, if it is a way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
}

/// What decides between two versions: the number, and of equal ones, which an engine that has lost data may
/// come to, which was pushed later.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rank {
    /// The number.
    pub version: u64,
    at: u64,
    sha256: String,
}

impl Head {
    /// What decides between this and another.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank { version: self.version, at: self.at, sha256: self.sha256.clone() }
    }

    /// The head of the bundle `bundle`.
    #[must_use]
    pub fn new(version: u64, bundle: &[u8], author: String, reason: String, at: u64) -> Self {
        let pieces = pieces(bundle).map(|(name, _)| name).collect();
        Self { version, sha256: sha256(bundle), pieces, author, reason, at, back_to: None }
    }

    /// What it is kept under.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{HEADS}{}", self.version)
    }

    /// As it is kept.
    #[must_use]
    pub fn seal(&self, keys: &Keys) -> Vec<u8> {
        keys.seal(Purpose::Zones, serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what is kept under `key`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(keys: &Keys, key: &str, sealed: &[u8]) -> Result<Self, String> {
        let body =
            keys.open(Purpose::Zones, sealed).ok_or("it is not sealed by the fleet's key")?;
        let head: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        // Somebody who can write on the broker may have moved it.
        if head.key() == key { Ok(head) } else { Err(format!("it is the head of {}", head.key())) }
    }

    /// Puts pieces together again, and makes sure that they are these.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn join(&self, piece: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        let mut bundle = Vec::new();
        for name in &self.pieces {
            let piece = piece(name).ok_or_else(|| format!("piece {name} is missing"))?;
            if sha256(&piece) != *name {
                return Err(format!("piece {name} is not what it is called"));
            }
            bundle.extend(piece);
            if bundle.len() > BUNDLE_LEN_MAX {
                return Err(format!("it is longer than {BUNDLE_LEN_MAX} octets"));
            }
        }
        if sha256(&bundle) == self.sha256 {
            Ok(bundle)
        } else {
            Err("its pieces are not it".into())
        }
    }
}

/// The pieces of a bundle with their names.
pub fn pieces(bundle: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    bundle.chunks(PIECE_LEN).map(|piece| (sha256(piece), piece))
}

/// The SHA-256 of octets, in hexadecimal.
#[must_use]
pub fn sha256(octets: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, octets);
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Packs files: the same files come to the same octets.
///
/// # Errors
/// When they are too much, or a name is none.
pub fn pack(files: &Files) -> Result<Vec<u8>, String> {
    let total: u64 = files.values().map(|octets| octets.len() as u64).sum();
    if total > FILES_LEN_MAX {
        return Err(format!("the files are {total} octets, more than {FILES_LEN_MAX}"));
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    let written = files.iter().try_for_each(|(name, octets)| {
        judge_name(name).map_err(std::io::Error::other)?;
        packed.write_all(&(name.len() as u64).to_be_bytes())?;
        packed.write_all(name.as_bytes())?;
        packed.write_all(&(octets.len() as u64).to_be_bytes())?;
        packed.write_all(octets)
    });
    let bundle = written.and_then(|()| packed.finish()).map_err(|error| error.to_string())?;
    if bundle.len() > BUNDLE_LEN_MAX {
        return Err(format!("packed it is longer than {BUNDLE_LEN_MAX} octets"));
    }
    Ok(bundle)
}

/// Unpacks what [`pack`] has made.
///
/// # Errors
/// What is wrong with it.
pub fn unpack(bundle: &[u8]) -> Result<Files, String> {
    let mut octets = Vec::new();
    let mut reader = GzDecoder::new(bundle).take(FILES_LEN_MAX * 2);
    reader.read_to_end(&mut octets).map_err(|error| format!("it is torn: {error}"))?;
    let mut rest = &octets[..];
    let mut files = Files::new();
    while !rest.is_empty() {
        let torn = || "it is torn".to_owned();
        let name = take(&mut rest).and_then(|name| std::str::from_utf8(name).ok());
        let name = name.ok_or_else(torn)?.to_owned();
        judge_name(&name)?;
        let octets = take(&mut rest).ok_or_else(torn)?.to_vec();
        files.insert(name, octets);
    }
    Ok(files)
}

/// What follows its length.
fn take<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let (len, after) = rest.split_first_chunk()?;
    let len = usize::try_from(u64::from_be_bytes(*len)).ok()?;
    let (taken, after) = after.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// Whoever writes files by these names must stay below their directory.
fn judge_name(name: &str) -> Result<(), String> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_fit = !name.is_empty() && Path::new(name).components().all(is_plain);
    if is_fit { Ok(()) } else { Err(format!("`{name}` is no file below the zone directory")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let long: Vec<u8> =
            (0..600_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let all = [("a.test.toml", b"zone = 'a.test'".to_vec()), ("parts/b.zone", long)];
        all.map(|(name, octets)| (name.to_owned(), octets)).into()
    }

    #[test]
    fn files_come_out_as_they_went_in() {
        let bundle = pack(&files()).unwrap();
        assert_eq!(bundle, pack(&files()).unwrap());
        assert_eq!(unpack(&bundle).unwrap(), files());
        assert_eq!(unpack(&pack(&Files::new()).unwrap()).unwrap(), Files::new());
        assert!(unpack(&bundle[..bundle.len() / 2]).is_err());
        assert!(unpack(b"no bundle").is_err());
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        for name in ["", "/etc/passwd", "../zone", "a/../../b"] {
            assert!(pack(&Files::from([(name.to_owned(), Vec::new())])).is_err(), "{name}");
        }
    }

    #[test]
    fn a_head_stands_for_these_pieces_and_no_others() {
        let keys = Keys::new(&[[1; 32]], "windrose");
        let bundle = pack(&files()).unwrap();
        let head = Head::new(7, &bundle, "ann".to_owned(), String::new(), 0);
        let parts: BTreeMap<String, Vec<u8>> =
            pieces(&bundle).map(|(name, piece)| (name, piece.to_vec())).collect();
        assert!(parts.len() > 1);
        let sealed = head.seal(&keys);
        assert_eq!(Head::open(&keys, "zones.v.7", &sealed), Ok(head.clone()));
        assert!(Head::open(&keys, "zones.v.8", &sealed).is_err());
        assert!(Head::open(&Keys::new(&[[2; 32]], "windrose"), "zones.v.7", &sealed).is_err());
        assert_eq!(head.join(|name| parts.get(name).cloned()).as_deref(), Ok(&bundle[..]));
        assert!(head.join(|_| None).is_err());
        assert!(head.join(|_| Some(Vec::new())).is_err());
        let turned = Head { pieces: head.pieces.iter().rev().cloned().collect(), ..head };
        assert!(turned.join(|name| parts.get(name).cloned()).is_err());
    }
}
