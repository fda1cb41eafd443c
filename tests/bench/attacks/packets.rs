//! The packets of each attack, made ahead: the same ones in every run.

/// Different packets of one flood. Many enough that they are no pattern, few enough for a cache.
const COUNT: usize = 4096;

const ZONE: &[u8] = b"\x07attacks\x04test\x00";

/// A header of these flags and counts, and what comes behind it. The flood numbers it.
fn message(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let counts = counts.map(u16::to_be_bytes).concat();
    [&[0, 0][..], &flags.to_be_bytes(), &counts, body].concat()
}

/// A name below the zone; dots part labels.
fn name(own: &str) -> Vec<u8> {
    let labels = own.split('.').filter(|label| !label.is_empty());
    let mut wire = Vec::new();
    for label in labels {
        wire.push(u8::try_from(label.len()).unwrap_or(63));
        wire.extend(label.as_bytes());
    }
    [&wire, ZONE].concat()
}

/// A plain query of class IN.
pub(crate) fn query(own: &str, qtype: u16) -> Vec<u8> {
    message(0, [1, 0, 0, 0], &question(own, qtype, 1))
}

fn question(own: &str, qtype: u16, class: u16) -> Vec<u8> {
    [&name(own)[..], &qtype.to_be_bytes(), &class.to_be_bytes()].concat()
}

/// An OPT record with these options.
fn opt(options: &[u8]) -> Vec<u8> {
    let len = u16::try_from(options.len()).unwrap_or(u16::MAX);
    [&[0, 0, 41, 4, 208, 0, 0, 0, 0][..], &len.to_be_bytes(), options].concat()
}

/// A random generator (SplitMix64): chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap_or(0) % limit
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Row 1: good queries with some octets spoilt, cut off, or made longer; and noise.
pub(crate) fn malformed(seed: u64) -> Vec<Vec<u8>> {
    let mut chance = Chance(seed);
    let option = [0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113];
    let good = [
        query("www", 1),
        message(0, [1, 0, 0, 1], &[question("placed", 1, 1), opt(&option)].concat()),
        message(0, [1, 0, 0, 1], &[question("c0", 28, 1), opt(&[0, 3, 0, 0])].concat()),
        query("x.wide.x.wild", 16),
    ];
    let spoilt = |n: usize| {
        let mut packet = good[n % good.len()].clone();
        for _ in 0..=chance.below(4) {
            let at = chance.below(packet.len().max(1));
            match chance.below(5) {
                0 => packet.truncate(at),
                1 => packet.extend((0..chance.below(60)).map(|_| chance.octet())),
                2 => packet = (0..chance.below(200)).map(|_| chance.octet()).collect(),
                _ => packet.iter_mut().skip(at).take(2).for_each(|octet| *octet = chance.octet()),
            }
        }
        packet
    };
    (0..COUNT).map(spoilt).collect()
}

/// Row 2: questions whose names are pointers, to themselves, each other, the header, the end.
pub(crate) fn loops() -> Vec<Vec<u8>> {
    let names: [&[u8]; 6] = [
        &[0xc0, 12],
        &[0xc0, 14, 0xc0, 12],
        &[0xc0, 0],
        &[0xff, 0xff],
        &[1, b'x', 0xc0, 12],
        &[63; 64],
    ];
    // A chain of 100 pointers, each to the one before.
    let chain: Vec<u8> = (0..100_u8).flat_map(|n| [0xc0, 12 + 2 * n.saturating_sub(1)]).collect();
    let of_name = |name: &[u8]| message(0, [1, 0, 0, 0], &[name, &[0, 1, 0, 1]].concat());
    names.into_iter().chain([&chain[..]]).map(of_name).collect()
}

/// Row 3: responses of every operation and code, to a question or none; and what is no message.
pub(crate) fn responses() -> Vec<Vec<u8>> {
    let of = |low: usize| {
        let low = u16::try_from(low).unwrap_or(0);
        // Operation and code take turns with the other flags clear and set.
        let flags =
            0x8000 | (low & 0xf0) << 7 | low & 0xf | if low & 0x100 == 0 { 0 } else { 0x7b0 };
        let packet = message(flags, [1, 0, 0, 0], &question("www", 1, 1));
        match low % 4 {
            0 => packet[..12].to_vec(),
            1 => packet[..usize::from(low % 12)].to_vec(),
            _ => packet,
        }
    };
    (0..512).map(of).collect()
}

/// Row 17: every operation but QUERY and every kind of class; queries of other classes.
pub(crate) fn operations() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for opcode in 0..16_u16 {
        for class in [0, 2, 3, 4, 254, 255] {
            for qtype in [1, 6, 252, 255] {
                let body = [question("www", qtype, class), opt(&[])].concat();
                all.push(message(opcode << 11, [1, 0, 0, 1], &body));
            }
        }
    }
    all
}

/// Row 17: updates that add, delete and require.
pub(crate) fn updates() -> Vec<Vec<u8>> {
    let record = |rtype: u16, class: u16, rdata: &[u8]| {
        let len = u16::try_from(rdata.len()).unwrap_or(0);
        let fixed = [rtype.to_be_bytes(), class.to_be_bytes(), [0; 2], [0; 2], len.to_be_bytes()];
        [&name("www")[..], &fixed.concat(), rdata].concat()
    };
    let records = [
        record(1, 1, &[192, 0, 2, 99]),
        record(1, 255, &[]),
        record(255, 255, &[]),
        record(1, 254, &[192, 0, 2, 10]),
    ];
    let body = |record: &Vec<u8>| [&question("", 6, 1)[..], record].concat();
    let of = |record| message(5 << 11, [1, 0, 1, 0], &body(record));
    records.iter().map(of).collect()
}

/// Row 18: chains longer than anybody follows, loops of every kind, names that grow.
pub(crate) fn chains() -> Vec<Vec<u8>> {
    let names = ["c0", "c50", "self", "q.wild", "x.r1", "c0.wide", "x.grow"];
    names.into_iter().flat_map(|name| [query(name, 1), query(name, 15)]).collect()
}

/// Row 19: a referral with 13 servers and 26 addresses, whole and truncated.
pub(crate) fn referrals() -> Vec<Vec<u8>> {
    let whole = message(0, [1, 0, 0, 1], &[question("x.sub", 1, 1), opt(&[])].concat());
    vec![whole, query("x.sub", 1), query("huge", 1)]
}

/// Row 20: 120 labels of one letter, never the same; beside, below and above a name that is there.
pub(crate) fn deep_names() -> Vec<Vec<u8>> {
    let mut chance = Chance(20);
    let mut of = |n: usize| {
        let letters = |chance: &mut Chance| char::from(b'a' + chance.octet() % 26);
        let own: Vec<String> = match n % 3 {
            0 => (0..118).map(|_| letters(&mut chance).to_string()).collect(),
            1 => (0..5)
                .map(|_| letters(&mut chance).to_string())
                .chain((0..108).map(|_| "d".to_owned()))
                .chain(["deep".to_owned()])
                .collect(),
            // Three labels of 63 octets: the other way to fill a name.
            _ => (0..3).map(|_| (0..63).map(|_| letters(&mut chance)).collect()).collect(),
        };
        query(&own.join("."), 1)
    };
    (0..COUNT).map(&mut of).collect()
}

/// Row 22: client subnets of any address and length, good ones and malformed ones.
pub(crate) fn client_subnets() -> Vec<Vec<u8>> {
    let mut chance = Chance(22);
    let mut of = |n: usize| {
        let (family, source_max) = if n.is_multiple_of(2) { (1, 34) } else { (2, 130) };
        let source = u8::try_from(chance.below(source_max)).unwrap_or(0);
        let mut data = vec![0, family, source, 0];
        data.extend((0..usize::from(source).div_ceil(8)).map(|_| chance.octet()));
        // Bits past the length are cleared in three of four.
        if !n.is_multiple_of(4)
            && !source.is_multiple_of(8)
            && let Some(last) = data.last_mut()
        {
            *last &= 0xff << (8 - source % 8);
        }
        let len = u8::try_from(data.len()).unwrap_or(0);
        let option = [&[0, 8, 0, len], &data[..]].concat();
        message(0, [1, 0, 0, 1], &[question("placed", 1, 1), opt(&option)].concat())
    };
    (0..COUNT).map(&mut of).collect()
}

/// Row 21: queries of almost 64 KB, over TCP.
pub(crate) fn large_messages() -> Vec<(&'static str, Vec<u8>)> {
    let junk = [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0].repeat(5900);
    let asked = question("www", 1, 1);
    let options = opt(&[0xff, 0xee, 0, 0].repeat(15_000));
    vec![
        ("5,900 records", message(0, [1, 0, 0, 5900], &[&asked[..], &junk].concat())),
        (
            "5,900 records and OPT",
            message(0, [1, 0, 0, 5901], &[&asked[..], &junk, &opt(&[])].concat()),
        ),
        ("15,000 options", message(0, [1, 0, 0, 1], &[&asked[..], &options].concat())),
        ("13,000 questions", message(0, [13_000, 0, 0, 0], &[0, 0, 1, 0, 1].repeat(13_000))),
    ]
}
