//! One MMDB file.
//!
//! [`Database`] reads any vendor's file from bytes, which it never trusts: a torn or hostile file is an
//! error or has less in it, and never a panic or endless work. Reading files, watching them and knowing
//! how old is too old are the shell's business.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use maxminddb::{LookupResult, MaxMindDbError, Reader};

use super::locations::Locations;
use super::ranges::{Collapse, Families, Ranges};
use super::row::Record;
use super::tree::{End, Tree, WalkError};
use crate::model::{Location, Prefix};

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

/// What a database says of one address.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The network that the database says it of.
    pub network: Prefix,
    /// What it says; nothing is filled in.
    pub location: Location,
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

/// One database compiled: what it says of each block, as indexes and numbers.
pub(super) struct Survey {
    /// Distinct locations without ASN; the first is the empty one, for unknown.
    pub(super) locations: Vec<Location>,
    /// For each block the index of its location.
    pub(super) places: Families<Ranges>,
    /// For each block its ASN; 0 is unknown.
    pub(super) asns: Families<Ranges>,
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

    /// What it says of `address`, read as it stands; `None` when it says nothing, or has only the other
    /// family. Transition mechanisms are the caller's to read.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<Row> {
        let found = self.reader.lookup(address).ok()?;
        let location = decode(&found)?;
        let network = network(&found)?;
        network.contains(address).then_some(Row { network, location })
    }

    /// Finds out what it gives, from its first networks.
    fn sample(&mut self) -> Result<(), DatabaseErrorKind> {
        let mut records = Records::new(&self.reader);
        let mut left = SAMPLE;
        self.tree().walk(|end| {
            records.read(&end);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let Records { locations, has_asn, .. } = records;
        let locations = locations.into_vec();
        self.info.has_country = locations.iter().any(|location| location.country.is_some());
        self.info.has_coordinates = locations.iter().any(|location| location.coordinates.is_some());
        self.info.has_asn = has_asn;
        let is_useful = has_asn || self.info.has_country || self.info.has_coordinates;
        if is_useful { Ok(()) } else { Err(DatabaseErrorKind::Useless) }
    }

    /// Walks the whole tree once.
    pub(super) fn survey(&self) -> Result<Survey, DatabaseError> {
        let mut records = Records::new(&self.reader);
        let mut places = Families::make(Collapse::new);
        let mut asns = Families::make(Collapse::new);
        let walked = self.tree().walk(|end| {
            let (place, asn) = records.read(&end);
            places.get_mut(end.family).add(end.start, end.len, place);
            asns.get_mut(end.family).add(end.start, end.len, asn);
            ControlFlow::Continue(())
        });
        walked
            .map_err(|error| DatabaseError { name: self.info.name.clone(), kind: error.into() })?;
        Ok(Survey {
            locations: records.locations.into_vec(),
            places: Families { v4: places.v4.finish(), v6: places.v6.finish() },
            asns: Families { v4: asns.v4.finish(), v6: asns.v6.finish() },
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

/// The tree's records, each decoded once however many networks share it.
struct Records<'a> {
    reader: &'a Reader<Bytes>,
    known: HashMap<u32, (u32, u32)>,
    last: Option<(u32, (u32, u32))>,
    locations: Locations,
    has_asn: bool,
}

impl<'a> Records<'a> {
    fn new(reader: &'a Reader<Bytes>) -> Self {
        let (known, locations) = (HashMap::new(), Locations::default());
        Self { reader, known, last: None, locations, has_asn: false }
    }

    /// The place's number and the ASN of an end's record; 0 for what it does not tell.
    fn read(&mut self, end: &End) -> (u32, u32) {
        if let Some((last, value)) = self.last
            && last == end.pointer
        {
            return value;
        }
        let value = match self.known.get(&end.pointer) {
            Some(&value) => value,
            None => self.decode(end),
        };
        self.last = Some((end.pointer, value));
        value
    }

    fn decode(&mut self, end: &End) -> (u32, u32) {
        let found = self.reader.lookup(end.family.address(end.start));
        let mut location = found.ok().and_then(|found| decode(&found)).unwrap_or_default();
        let asn = location.asn.take().unwrap_or(0);
        self.has_asn |= asn != 0;
        let value = (self.locations.index_of(location), asn);
        self.known.insert(end.pointer, value);
        value
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

/// A record that does not decode is as good as none: the rest of the file may still be right.
fn decode(found: &LookupResult<'_, Bytes>) -> Option<Location> {
    found.decode::<Record<'_>>().ok()?.map(|record| record.location())
}

fn network(found: &LookupResult<'_, Bytes>) -> Option<Prefix> {
    let network = found.network().ok()?;
    Some(Prefix::new(network.ip(), network.prefix()))
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
