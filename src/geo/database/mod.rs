//! One MMDB file.
//!
//! [`Database`] reads any vendor's file from bytes, which it never trusts: a torn or hostile file is an
//! error or has less in it, and never a panic or endless work. Reading files, watching them and knowing
//! how old is too old are the shell's business.

mod records;

use std::fmt;
use std::sync::Arc;

use maxminddb::{LookupResult, MaxMindDbError, Reader};

use self::records::{Records, Told};
use super::locations::Numbering;
use super::networks::Networks;
use super::ranges::{Collapse, Families, Ranges};
use super::row::Record;
use super::tree::{Tree, WalkError};
use crate::model::Location;

/// Networks that [`Database::open`] looks at to tell what a database gives.
const SAMPLE: usize = 20_000;

/// Characters of a description that are kept.
const DESCRIPTION_LEN_MAX: usize = 500;

/// The file, shared by the reader of records and the walker of the tree.
#[derive(Clone)]
struct Bytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An open database.
pub struct Database {
    bytes: Bytes,
    reader: Reader<Bytes>,
    info: DatabaseInfo,
}

/// What a database says of itself, and what was found in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseInfo {
    /// The name that it was opened under.
    pub name: Box<str>,
    /// The vendor's name for the kind of file, such as `GeoLite2-City`.
    pub database_type: Box<str>,
    /// The vendor's description, in English if there is one.
    pub description: Option<Box<str>>,
    /// The description, if it names a licence, an owner or an address: what is to be shown wherever
    /// the data is.
    pub attribution: Option<Box<str>>,
    /// When it was built, in seconds since 1970.
    pub build_epoch_secs: u64,
    /// 4, or 6 for a file that has both families.
    pub ip_version: u16,
    /// Nodes of its search tree.
    pub node_count: u32,
    /// Whether it tells countries.
    pub has_country: bool,
    /// Whether it tells coordinates.
    pub has_coordinates: bool,
    /// Whether it tells autonomous systems.
    pub has_asn: bool,
}

/// Why bytes are not a usable database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseError {
    /// The name that it was to be opened under.
    pub name: Box<str>,
    /// What is wrong.
    pub kind: DatabaseErrorKind,
}

/// What is wrong with a database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseErrorKind {
    /// The bytes are not an MMDB file, or it is torn; the reader's words.
    Malformed(Box<str>),
    /// The branches of the search tree meet again and again, so that it would take too long to walk.
    Tangled,
    /// No network in it could be decoded to a country, coordinates or an ASN.
    Useless,
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "geo database `{}`: ", self.name)?;
        match &self.kind {
            DatabaseErrorKind::Malformed(why) => write!(f, "not a whole MMDB file: {why}"),
            DatabaseErrorKind::Tangled => f.write_str("its search tree is tangled"),
            DatabaseErrorKind::Useless => {
                f.write_str("no country, coordinates or ASN could be read from it")
            }
        }
    }
}

impl std::error::Error for DatabaseError {}

/// One database compiled.
pub(super) struct Survey {
    /// For each block the number of its location.
    pub(super) places: Families<Ranges>,
    /// For each block its ASN; 0 is unknown.
    pub(super) asns: Families<Ranges>,
    /// The networks that it has records of.
    pub(super) networks: Networks,
}

impl Database {
    /// Opens a database; `name` is for messages.
    ///
    /// # Errors
    /// When the bytes are not an MMDB file, or nothing of use can be read from its first networks.
    /// Damage further behind shows when the [`Atlas`](super::Atlas) is built.
    pub fn open(name: &str, bytes: Vec<u8>) -> Result<Self, DatabaseError> {
        let fail = |kind| DatabaseError { name: name.into(), kind };
        let bytes = Bytes(Arc::new(bytes));
        let reader = Reader::from_source(bytes.clone()).map_err(|error| fail(malformed(&error)))?;
        let info = describe(name, &reader);
        let mut database = Self { bytes, reader, info };
        database.sample().map_err(fail)?;
        Ok(database)
    }

    /// What it says of itself.
    #[must_use]
    pub const fn info(&self) -> &DatabaseInfo {
        &self.info
    }

    /// What it says of itself, all else let go.
    pub(super) fn into_info(self) -> DatabaseInfo {
        self.info
    }

    /// Finds out what it gives, from its first networks.
    fn sample(&mut self) -> Result<(), DatabaseErrorKind> {
        let mut locations = Numbering::default();
        let records = Records::read(&self.reader, &self.tree(), &mut locations, SAMPLE)?;
        let info = &mut self.info;
        info.has_country = locations.iter().any(|location| location.country.is_some());
        info.has_coordinates = locations.iter().any(|location| location.coordinates.is_some());
        info.has_asn = records.told().any(|told| told.asn != 0);
        let is_useful = info.has_asn || info.has_country || info.has_coordinates;
        if is_useful { Ok(()) } else { Err(DatabaseErrorKind::Useless) }
    }

    /// Reads the whole file: once for its records, once for its networks.
    pub(super) fn survey(&self, locations: &mut Numbering) -> Result<Survey, DatabaseError> {
        let fail =
            |error: WalkError| DatabaseError { name: self.info.name.clone(), kind: error.into() };
        let tree = self.tree();
        let records = Records::read(&self.reader, &tree, locations, usize::MAX).map_err(fail)?;
        let has_asns = records.told().any(|told| told.asn != 0);
        let has_places = records.told().any(|told| told.place != 0);
        let mut places = Families::make(Collapse::new);
        let mut asns = Families::make(Collapse::new);
        let mut networks = Networks::new(self.info.ip_version == 6);
        let walked = records.walk(&tree, |end, told| {
            if told.is_some() {
                networks.add(end);
            }
            let Told { place, asn } = told.unwrap_or_default();
            if has_places {
                places.get_mut(end.family).add(end.start, end.len, place);
            }
            if has_asns {
                asns.get_mut(end.family).add(end.start, end.len, asn);
            }
        });
        walked.map_err(fail)?;
        networks.shrink();
        Ok(Survey {
            places: Families { v4: places.v4.finish(), v6: places.v6.finish() },
            asns: Families { v4: asns.v4.finish(), v6: asns.v6.finish() },
            networks,
        })
    }

    fn tree(&self) -> Tree<'_> {
        Tree::new(self.bytes.as_ref(), self.reader.metadata())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.info).finish()
    }
}

fn malformed(error: &MaxMindDbError) -> DatabaseErrorKind {
    let words: String = error.to_string().chars().take(DESCRIPTION_LEN_MAX).collect();
    DatabaseErrorKind::Malformed(words.into())
}

impl From<WalkError> for DatabaseErrorKind {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Torn => Self::Malformed("its search tree leads out of the file".into()),
            WalkError::Tangled => Self::Tangled,
        }
    }
}

fn decode(found: &LookupResult<'_, Bytes>) -> Option<Location> {
    found.decode::<Record<'_>>().ok()?.map(|record| record.location())
}

fn describe(name: &str, reader: &Reader<Bytes>) -> DatabaseInfo {
    let metadata = reader.metadata();
    let cut = |text: &String| -> Box<str> {
        text.chars().take(DESCRIPTION_LEN_MAX).collect::<String>().into()
    };
    let description =
        metadata.description.get("en").or_else(|| metadata.description.values().next());
    let description = description.filter(|text| !text.trim().is_empty()).map(cut);
    let names_its_owner = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["http", "www.", "©", "(c)", "copyright", "licen", "cc by", "attribution"]
            .iter()
            .any(|mark| text.contains(mark))
    };
    DatabaseInfo {
        name: name.into(),
        database_type: cut(&metadata.database_type),
        attribution: description.clone().filter(|text| names_its_owner(text)),
        description,
        build_epoch_secs: metadata.build_epoch,
        ip_version: metadata.ip_version,
        node_count: metadata.node_count,
        has_country: false,
        has_coordinates: false,
        has_asn: false,
    }
}

#[cfg(test)]
mod tests;
