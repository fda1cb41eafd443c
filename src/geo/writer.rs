//! Writes MMDB files: an operator's own map, the demo's, and every vendor's schema for tests.
//!
//! The file follows the MaxMind DB specification 2.0 with records of 32 bits. Equal records, and equal
//! maps inside of records, are stored once. Reading is [`database`](super::database)'s.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::Prefix;

/// A value in a record.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// A 64-bit float.
    Double(f64),
    /// A 32-bit float.
    Float(f32),
    /// An unsigned number of 16 bits.
    Uint16(u16),
    /// An unsigned number of 32 bits.
    Uint32(u32),
    /// An unsigned number of 64 bits.
    Uint64(u64),
    /// Keys and values, in order.
    Map(Vec<(String, Self)>),
    /// Values in order.
    List(Vec<Self>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Uint32(number)
    }
}

impl<const N: usize> From<[(&str, Self); N]> for Value {
    fn from(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

/// A record that is in a file already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored(u32);

/// Where a branch of the search tree leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    Nothing,
    Node(u32),
    /// A record's offset in the data section.
    Record(u32),
}

/// Collects networks and their records, then makes the file of them.
pub struct Writer {
    database_type: String,
    description: String,
    is_v6: bool,
    nodes: Vec<[Branch; 2]>,
    data: Vec<u8>,
    offsets: HashMap<Vec<u8>, u32>,
}

impl Writer {
    /// An empty file for IPv4 alone.
    #[must_use]
    pub fn v4(database_type: &str) -> Self {
        Self {
            database_type: database_type.to_owned(),
            description: String::new(),
            is_v6: false,
            nodes: vec![[Branch::Nothing; 2]],
            data: Vec::new(),
            offsets: HashMap::new(),
        }
    }

    /// An empty file for both families; IPv4 lies at `::/96`.
    #[must_use]
    pub fn v6(database_type: &str) -> Self {
        Self { is_v6: true, ..Self::v4(database_type) }
    }

    /// Sets the English description.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// Gives a network a record, over whatever was there before. An IPv6 network in a file for IPv4
    /// is left out.
    pub fn insert(&mut self, network: Prefix, record: &Value) {
        let record = self.store(record);
        self.insert_stored(network, record);
    }

    /// Puts a record into the file, once, for networks that share it.
    pub fn store(&mut self, record: &Value) -> Stored {
        let mut bytes = Vec::new();
        self.encode_shared(&mut bytes, record);
        if let Some(&offset) = self.offsets.get(&bytes) {
            return Stored(offset);
        }
        let offset = u32::try_from(self.data.len()).expect("less data than 32 bits number");
        self.data.extend_from_slice(&bytes);
        self.offsets.insert(bytes, offset);
        Stored(offset)
    }

    /// Gives a network a record of this file, as [`insert`](Self::insert) does.
    pub fn insert_stored(&mut self, network: Prefix, record: Stored) {
        let (bits, len) = match network.address() {
            IpAddr::V4(v4) if self.is_v6 => (u128::from(u32::from(v4)), network.len() + 96),
            IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, network.len()),
            IpAddr::V6(v6) if self.is_v6 => (v6.into(), network.len()),
            IpAddr::V6(_) => return,
        };
        let record = Branch::Record(record.0);
        if len == 0 {
            self.nodes = vec![[record; 2]];
            return;
        }
        let mut node = 0;
        for depth in 0..len - 1 {
            node = self.descend(node, bit(bits, depth));
        }
        self.nodes[node][bit(bits, len - 1)] = record;
    }

    /// The file.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let node_count = u32::try_from(self.nodes.len()).expect("fewer nodes than 32 bits number");
        let mut file = Vec::with_capacity(self.nodes.len() * 8 + self.data.len() + 512);
        for branch in self.nodes.iter().flatten() {
            let pointer = match branch {
                Branch::Nothing => node_count,
                Branch::Node(node) => *node,
                Branch::Record(offset) => node_count + SEPARATOR_LEN + offset,
            };
            file.extend_from_slice(&pointer.to_be_bytes());
        }
        file.resize(file.len() + SEPARATOR_LEN as usize, 0);
        file.extend_from_slice(&self.data);
        file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        encode(&mut file, &self.metadata(node_count));
        file
    }

    fn metadata(&self, node_count: u32) -> Value {
        Value::from([
            ("binary_format_major_version", Value::Uint16(2)),
            ("binary_format_minor_version", Value::Uint16(0)),
            ("build_epoch", Value::Uint64(1_700_000_000)),
            ("database_type", Value::from(self.database_type.as_str())),
            ("description", Value::from([("en", Value::from(self.description.as_str()))])),
            ("ip_version", Value::Uint16(if self.is_v6 { 6 } else { 4 })),
            ("languages", Value::List(Vec::new())),
            ("node_count", Value::Uint32(node_count)),
            ("record_size", Value::Uint16(32)),
        ])
    }

    /// The node below `node` on that side; what covered it is passed on to both its sides.
    fn descend(&mut self, node: usize, side: usize) -> usize {
        if let Branch::Node(below) = self.nodes[node][side] {
            return below as usize;
        }
        let below = self.nodes.len();
        self.nodes.push([self.nodes[node][side]; 2]);
        self.nodes[node][side] =
            Branch::Node(u32::try_from(below).expect("fewer nodes than 32 bits number"));
        below
    }

    /// Encodes a value with pointers in place of the maps inside of it.
    fn encode_shared(&mut self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Map(entries) => {
                control(out, 7, entries.len());
                for (key, value) in entries {
                    control(out, 2, key.len());
                    out.extend_from_slice(key.as_bytes());
                    self.encode_part(out, value);
                }
            }
            Value::List(values) => {
                control(out, 11, values.len());
                values.iter().for_each(|value| self.encode_part(out, value));
            }
            plain => encode(out, plain),
        }
    }

    /// Encodes what stands inside of a map or a list.
    fn encode_part(&mut self, out: &mut Vec<u8>, part: &Value) {
        if matches!(part, Value::Map(_)) {
            let Stored(offset) = self.store(part);
            pointer(out, offset);
        } else {
            self.encode_shared(out, part);
        }
    }
}

/// Zeros between the search tree and the data.
const SEPARATOR_LEN: u32 = 16;

const fn bit(bits: u128, depth: u8) -> usize {
    if bits << depth >> 127 == 0 { 0 } else { 1 }
}

fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            control(out, 2, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Double(number) => {
            control(out, 3, 8);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Float(number) => {
            control(out, 15, 4);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Uint16(number) => unsigned(out, 5, &number.to_be_bytes()),
        Value::Uint32(number) => unsigned(out, 6, &number.to_be_bytes()),
        Value::Uint64(number) => unsigned(out, 9, &number.to_be_bytes()),
        Value::Map(entries) => {
            control(out, 7, entries.len());
            for (key, value) in entries {
                control(out, 2, key.len());
                out.extend_from_slice(key.as_bytes());
                encode(out, value);
            }
        }
        Value::List(values) => {
            control(out, 11, values.len());
            values.iter().for_each(|value| encode(out, value));
        }
    }
}

/// An unsigned number is written without its leading zeros.
fn unsigned(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    control(out, kind, bytes.len() - zeros);
    out.extend_from_slice(&bytes[zeros..]);
}

/// The control byte: type in three bits (0 means: in the next byte, less 7), size in five.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    // Sizes from 29 on go on in one, two or three bytes, each form starting where the last one ends.
    let size = u32::try_from(size).expect("a value fits its file");
    let (short, rest): (u8, &[u8]) = match size {
        0..29 => (size.to_be_bytes()[3], &[]),
        29..285 => (29, &(size - 29).to_be_bytes()[3..]),
        285..65_821 => (30, &(size - 285).to_be_bytes()[2..]),
        _ => (31, &(size - 65_821).to_be_bytes()[1..]),
    };
    if kind < 8 {
        out.push(kind << 5 | short);
    } else {
        out.extend_from_slice(&[short, kind - 7]);
    }
    out.extend_from_slice(rest);
}

/// A pointer into the data section, in the longest form: type 1 with size 3, then 32 bits.
fn pointer(out: &mut Vec<u8>, offset: u32) {
    out.push(1 << 5 | 3 << 3);
    out.extend_from_slice(&offset.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_at_every_size() {
        for size in [0, 1, 28, 29, 284, 285, 65_820, 65_821, 70_000] {
            let text = "x".repeat(size);
            let mut writer = Writer::v6("Test");
            let network = "2001:db8::/32".parse().unwrap();
            writer.insert(network, &Value::from([("t", Value::from(text.as_str()))]));
            let reader = maxminddb::Reader::from_source(writer.finish()).unwrap();
            let found = reader.lookup("2001:db8::1".parse().unwrap()).unwrap();
            assert_eq!(found.network().unwrap().to_string(), "2001:db8::/32");
            let path = [maxminddb::PathElement::Key("t")];
            assert_eq!(found.decode_path::<&str>(&path).unwrap(), Some(text.as_str()), "{size}");
        }
    }

    #[test]
    fn equal_maps_are_stored_once() {
        let mut writer = Writer::v6("Test");
        let country = Value::from([("names", [("en", "x".repeat(1000).as_str().into())].into())]);
        for n in 0..4_u32 {
            let record = [("n", n.into()), ("country", country.clone())].into();
            writer.insert(Prefix::new(std::net::Ipv4Addr::from(n << 24).into(), 8), &record);
        }
        let file = writer.finish();
        assert!(file.len() < 4000, "{}", file.len());
        let reader = maxminddb::Reader::from_source(file).unwrap();
        reader.verify().unwrap();
        let found = reader.lookup("3.0.0.1".parse().unwrap()).unwrap();
        let path = ["country", "names", "en"].map(maxminddb::PathElement::Key);
        assert_eq!(found.decode_path::<&str>(&path).unwrap().map(str::len), Some(1000));
    }

    #[test]
    fn files_are_whole_and_longer_networks_win() {
        let mut writer = Writer::v6("Test").description("a test");
        for (network, number) in [("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("2001:db8::/32", 3)] {
            writer.insert(network.parse().unwrap(), &Value::from([("n", Value::from(number))]));
        }
        let reader = maxminddb::Reader::from_source(writer.finish()).unwrap();
        reader.verify().unwrap();
        let path = [maxminddb::PathElement::Key("n")];
        for (address, number) in [
            ("10.0.0.1", Some(1)),
            ("10.1.2.3", Some(2)),
            ("10.2.0.0", Some(1)),
            ("11.0.0.0", None),
            ("2001:db8::9", Some(3)),
        ] {
            let found = reader.lookup(address.parse().unwrap()).unwrap();
            assert_eq!(found.decode_path::<u32>(&path).unwrap(), number, "{address}");
        }
    }
}
