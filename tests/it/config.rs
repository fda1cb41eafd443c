//! Server and zone files: what broken ones are told, and what good ones mean.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::generate_simple_self_signed;
use windrose::config::{self, Encrypted, ServerConfig, Transport, ZoneFiles};
use windrose::model::check::{Carrier, DnsCheck, ExecCheck, GrpcCheck, TextCheck, TlsCheck};
use windrose::model::{CheckKind, Diagnostic, Limits, Name, RecordType, Report, Sources, Zone};

/// A zone directory in memory.
struct Files(BTreeMap<String, String>);

impl Files {
    fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.map(|(name, text)| (name.to_owned(), text.to_owned())).into())
    }
}

impl ZoneFiles for Files {
    fn directory(&self) -> &str {
        "zones"
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let text = self.0.get(name).ok_or("no such file")?;
        Ok(text.as_str().into())
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn server(path: &str, text: &str) -> (Report, Option<ServerConfig>) {
    let mut report = Report::new();
    let source = report.add_source(path, text);
    let config = config::read_server(&mut report, source);
    (report, config)
}

fn zones(files: &Files) -> (Report, Vec<Arc<Zone>>) {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, files);
    (report, zones)
}

/// The one zone of a directory without faults.
fn sound_zone(files: &Files) -> Arc<Zone> {
    let (report, mut zones) = zones(files);
    // Feeds are read, but no policy goes by them yet.
    let is_expected =
        |finding: &Diagnostic| finding.message.starts_with("no steer goes by the load");
    let found: Vec<_> = report.diagnostics().iter().filter(|found| !is_expected(found)).collect();
    assert!(found.is_empty(), "{report}");
    assert_eq!(zones.len(), 1);
    zones.remove(0)
}

#[test]
fn broken_server_files_are_told_everything_at_once() {
    insta::glob!("../data", "broken-server-*.toml", |path| {
        let (report, config) = server("windrose.toml", &read(path));
        assert_eq!(config, None);
        insta::assert_snapshot!(report);
    });
}

#[test]
fn a_doubtful_zone_file_is_warned_about_and_served() {
    let files = Files::of([("example.com.toml", &read("tests/data/doubtful-zone.toml"))]);
    let (report, zones) = zones(&files);
    assert_eq!((zones.len(), report.has_errors()), (1, false));
    insta::assert_snapshot!(report);
}

#[test]
fn broken_zone_files_are_told_everything_at_once() {
    insta::glob!("../data", "broken-zone-*.toml", |path| {
        let mut files = Files::of([("example.com.toml", &read(path))]);
        let master = path.with_extension("zone");
        if master.exists() {
            let name = master.file_name().unwrap().to_str().unwrap();
            files.0.insert(name.to_owned(), read(&master));
        }
        let (report, zones) = zones(&files);
        assert!(zones.is_empty() && report.has_errors());
        insta::assert_snapshot!(report);
    });
}

// ---- Good files ----

/// Forty pairs of steers, each of which leads to both of the next pair: 2⁴⁰ ways to the last.
#[test]
fn steers_that_share_steers_are_judged_in_no_time() {
    const PAIRS: usize = 40;
    let mut zone = "zone = 'pairs.test'\nnameservers = ['ns1.example.net.']\n\
        [regions.eu]\nlocation = [0, 0]\n[pools.eu]\nregion = 'eu'\n\
        endpoints = [{ address = '192.0.2.1' }]\n"
        .to_owned();
    for n in 0..PAIRS {
        let pools = match n + 1 {
            PAIRS => "'eu'".to_owned(),
            next => format!("'steer:a{next}', 'steer:b{next}'"),
        };
        for side in ["a", "b"] {
            zone += &format!("[steer.{side}{n}]\npolicy = 'failover'\npools = [{pools}]\n");
        }
    }
    let (report, _) = zones(&Files::of([("pairs.test.toml", &zone)]));
    // One of the last six pairs unfolds to 1 + 2 + 4 + 8 + 16 + 32 at most.
    let too_large = report.to_string().matches("unfolds to more than 64 steers").count();
    assert_eq!(too_large, (PAIRS - 6) * 2, "{report}");
}

/// The example of the design, with all that it may leave out or say otherwise.
fn example() -> Files {
    let (zone, master) = (read("tests/data/zone-example.toml"), read("tests/data/static.zone"));
    Files::of([("example.com.toml", &zone), ("static.zone", &master)])
}

#[test]
fn a_zone_file_becomes_the_zone_it_says() {
    let zone = sound_zone(&example());
    insta::assert_debug_snapshot!((
        &zone.regions,
        &zone.checks,
        &zone.feeds,
        &zone.pools,
        &zone.endpoints,
        &zone.steers,
    ));
    let claims: Vec<_> = zone.expectations.iter().map(|expectation| &expectation.claim).collect();
    insta::assert_debug_snapshot!("claims", claims);
}

#[test]
fn without_a_server_file_everything_is_at_its_default() {
    let (report, config) = server("windrose.toml", "version = 1\n");
    assert_eq!(report.to_string(), "");
    assert_eq!(config, Some(ServerConfig::default()));
    insta::assert_debug_snapshot!(ServerConfig::default());
}

#[test]
fn a_changed_section_that_counts_at_the_next_start_is_named() {
    let text = "version = 1\n[dns]\nthreads = 3\n[zones]\ndirectory = 'z'\n[log]\nlevel = 'warn'";
    let (_, config) = server("windrose.toml", text);
    let (old, new) = (ServerConfig::default(), config.unwrap());
    assert_eq!(old.fixed.changed_sections(&new.fixed), ["dns", "log"]);
    assert_eq!(new.reloadable.zones.directory, "z");
}

#[test]
fn limits_count_anew_at_a_reload() {
    let text = "version = 1\n[limits]\nanswers-per-second = 200\nburst = '10s'\nslip = 3\n\
                v6-prefix = 48\nexempt = ['192.0.2.0/24', '2001:db8::1']\n";
    let (report, config) = server("windrose.toml", text);
    let (old, new) = (ServerConfig::default(), config.unwrap());
    assert_eq!(report.to_string(), "");
    assert_eq!(old.fixed.changed_sections(&new.fixed), Vec::<&str>::new());
    let exempt = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::1/128".parse().unwrap()];
    let limits = Limits {
        answers_per_sec: 200,
        burst_secs: 10,
        slip: 3,
        v6_prefix: 48,
        exempt,
        ..Limits::default()
    };
    assert_eq!(new.reloadable.limits, limits);
}

#[test]
fn encrypted_listeners_are_read_from_their_tables() {
    let files = "certificate = 'cert.pem'\nkey = 'key.pem'\n";
    let text = format!(
        "version = 1\n[dns.quic]\nlisten = ['[::]:853']\n{files}\
         [dns.tls]\nlisten = ['[::]:853', '0.0.0.0:853']\n{files}\
         [dns.https]\nlisten = ['[::]:443']\n{files}path = '/q'\n"
    );
    let (report, config) = server("windrose.toml", &text);
    assert_eq!(report.to_string(), "");
    let table = |transport, listen: &[&str]| Encrypted {
        transport,
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        certificate: "cert.pem".to_owned(),
        key: "key.pem".to_owned(),
    };
    // TCP and UDP of one port do not meet.
    let https = Transport::Https { path: "/q".to_owned() };
    let expected = [
        table(Transport::Tls, &["[::]:853", "0.0.0.0:853"]),
        table(https, &["[::]:443"]),
        table(Transport::Quic, &["[::]:853"]),
    ];
    assert_eq!(config.unwrap().fixed.dns.encrypted, expected);
}

/// The kinds of the checks of a zone, by their names.
fn checks(text: &str) -> BTreeMap<String, CheckKind> {
    let text = [HEAD, "nameservers = ['ns1.example.net.']\n", text].concat();
    let (report, mut zones) = zones(&Files::of([("example.com.toml", &text)]));
    assert!(!report.has_errors(), "{report}");
    let checks = zones.remove(0).checks.clone().into_iter();
    checks.map(|check| (check.name, check.spec.kind.clone())).collect()
}

#[test]
fn checks_of_all_kinds_are_read() {
    let checks = checks(
        "[checks]\n\
         open = { kind = 'tcp', port = 22 }\n\
         banner = { kind = 'tcp', port = 22, expect = { text = 'SSH-2.0' } }\n\
         game = { kind = 'udp', port = 27015, send = 'ping' }\n\
         tls = { kind = 'tls' }\n\
         mx = { kind = 'dns', query = { name = 'www', type = 'mx' }, expect = { answer = '10 mail' } }\n\
         cart = { kind = 'grpc', port = 50051, service = 'shop.Cart', tls = true, host = 'cart.test' }\n\
         database = { kind = 'exec', command = ['database', '--deep'] }\n\
         ping = { kind = 'icmp' }\n\
         gone = { kind = 'dns', query = { name = 'gone.' }, expect = { rcode = 'NXDOMAIN' } }\n",
    );
    let text = |text: &str| Some(text.to_owned());
    let says = |over, send, expect| CheckKind::Text(TextCheck { over, send, expect });
    let asks = |qname: &str, qtype, rcode, answer: Option<&[u8]>| {
        let (qname, answer) = (qname.parse().unwrap(), answer.map(Into::into));
        CheckKind::Dns(DnsCheck { qname, qtype, over: Carrier::Udp, rcode, answer })
    };
    let service = "shop.Cart".to_owned();
    let cart = GrpcCheck { tls: true, host: text("cart.test"), verify: true, service };
    let arguments = vec!["--deep".to_owned()];
    let database = ExecCheck { program: "database".to_owned(), arguments };
    let mail = b"\x00\x0a\x04mail\x07example\x03com\x00";
    for (name, expected) in [
        ("open", CheckKind::Tcp),
        ("banner", says(Carrier::Tcp, None, text("SSH-2.0"))),
        ("game", says(Carrier::Udp, text("ping"), None)),
        ("tls", CheckKind::Tls(TlsCheck { host: None, verify: true })),
        ("mx", asks("www.example.com.", RecordType::MX, 0, Some(mail))),
        ("gone", asks("gone.", RecordType::A, 3, None)),
        ("cart", CheckKind::Grpc(cart)),
        ("database", CheckKind::Exec(database)),
        ("ping", CheckKind::Icmp),
    ] {
        assert_eq!(checks[name], expected, "{name}");
    }
}

#[test]
fn certificates_of_checks_are_read_and_judged() {
    let certified = || generate_simple_self_signed(["www.example.com".to_owned()]).unwrap();
    let (own, foreign) = (certified(), certified());
    let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let foreign = foreign.signing_key.serialize_pem();
    let zone = "zone = 'example.com'\nnameservers = ['ns1.example.net.']\n\
        checks.web = { kind = 'https', host = 'www.example.com', ca = 'ca.pem', certificate = 'own.pem', \
        key = 'own-key.pem', expiry-warning = '14d' }\n\
        regions.eu.location = 'IE'\n\
        pools.eu = { region = 'eu', check = 'web', endpoints = [{ address = '192.0.2.1' }] }\n\
        steer.www = { policy = 'failover', pools = ['eu'] }\n";
    let files = |ca: &str, own: &str, key: &str| {
        Files::of([
            ("example.com.toml", zone),
            ("ca.pem", ca),
            ("own.pem", own),
            ("own-key.pem", key),
        ])
    };
    let sound = sound_zone(&files(&cert, &cert, &key));
    let terms = sound.checks[0].spec.tls.as_deref().unwrap();
    let identity = terms.identity.as_ref().unwrap();
    assert_eq!(terms.roots.as_deref(), Some(&[own.cert.der().to_vec()][..]));
    assert_eq!(
        (&identity.chain[0][..], &identity.key),
        (&own.cert.der()[..], &own.signing_key.serialize_der())
    );
    assert_eq!(terms.margin, Some(Duration::from_secs(14 * 86_400)));
    assert!(!format!("{identity:?}").contains("key"), "a secret is nothing to print");
    let torn = &cert[..cert.len() / 2];
    for (ca, own, key, message) in [
        ("", &*cert, &*key, "there is no certificate in PEM form in zones/ca.pem"),
        (torn, &cert, &key, "the PEM form of zones/ca.pem is broken"),
        (&cert, &key, &key, "there is no certificate in PEM form in zones/own.pem"),
        (&cert, &cert, &cert, "there is no private key in PEM form in zones/own-key.pem"),
        (
            &cert,
            &cert,
            &foreign,
            "zones/own-key.pem is not the key of the certificate in zones/own.pem",
        ),
    ] {
        let (report, _) = zones(&files(ca, own, key));
        let messages: Vec<_> =
            report.diagnostics().iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, [message]);
        assert!(report.to_string().contains("--> zones/example.com.toml:3:"), "{report}");
    }
}

// ---- The reference files ----

/// The text with its options taken out of comments: `#key = value`.
fn uncommented(text: &str) -> String {
    let is_option = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if is_option(rest) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Whether the key at `path` occurs below `value`; `NAME` stands for any key.
fn has_key(value: &toml::Value, path: &[&str]) -> bool {
    let [key, rest @ ..] = path else { return true };
    match value {
        toml::Value::Array(list) => list.iter().any(|item| has_key(item, path)),
        toml::Value::Table(table) if *key == "NAME" => table.values().any(|v| has_key(v, rest)),
        toml::Value::Table(table) => table.get(*key).is_some_and(|value| has_key(value, rest)),
        _ => false,
    }
}

fn assert_complete(reference: &str, keys: Vec<String>) {
    let text = uncommented(&read(reference));
    let table: toml::Table = toml::from_str(&text).unwrap();
    let value = toml::Value::Table(table);
    let is_missing = |key: &String| !has_key(&value, &Vec::from_iter(key.split('.')));
    let missing: Vec<_> = keys.into_iter().filter(is_missing).collect();
    assert_eq!(missing, Vec::<String>::new(), "{reference} does not explain every option");
}

#[test]
fn the_reference_files_explain_every_option() {
    assert_complete("deploy/windrose.reference.toml", config::server_keys());
    assert_complete("deploy/zone.reference.toml", config::zone_keys());
}

#[test]
fn the_reference_files_hold_the_defaults() {
    let (report, config) = server("windrose.toml", &read("deploy/windrose.reference.toml"));
    assert_eq!(report.to_string(), "");
    assert_eq!(config, Some(ServerConfig::default()));

    let zone = |path| {
        let (report, mut zones) = zones(&Files::of([("example.com.toml", &read(path))]));
        assert!(!report.has_errors(), "{report}");
        let mut zone = Arc::unwrap_or_clone(zones.remove(0));
        // Both say the same in different places, and the serial tells their texts apart.
        (zone.names, zone.written) = (Arc::default(), Sources::default());
        let claims: Vec<_> = zone.expectations.drain(..).map(|expected| expected.claim).collect();
        (zone, claims)
    };
    assert_eq!(zone("deploy/zone.reference.toml"), zone("tests/data/zone-bare.toml"));
}

#[test]
fn the_files_of_the_fleet_to_deploy_are_read_without_a_finding() {
    for name in ["node-1", "node-2", "fra-1", "iad-1", "sin-1"] {
        let path = format!("deploy/fleet/{name}.toml");
        let (report, config) = server(&path, &read(&path));
        assert_eq!(report.to_string(), "", "{path}");
        let fleet = config.unwrap().fixed.fleet.unwrap();
        assert_eq!((&*fleet.name, &*fleet.servers[0]), (name, "tls://nats:4222"));
        assert!(fleet.tls.is_some(), "{path}");
    }
}

#[test]
fn the_anchors_that_vantages_to_deploy_leave_to_the_operator_only_want_their_own_addresses() {
    for name in ["fra-1", "iad-1", "sin-1"] {
        let path = format!("deploy/fleet/{name}.toml");
        let text = read(&path).replace("#[probe]", "[probe]").replace("#anchors", "anchors");
        let (report, config) = server(&path, &text);
        assert_eq!(report.to_string(), "", "{path}");
        assert!(config.unwrap().fixed.probe.anchors.len() >= 3, "{path}");
    }
}

// ---- SOA, NS and master files ----

const HEAD: &str = "zone = 'example.com'\n";

/// The data of all records of that type.
fn of_type(zone: &Zone, rtype: RecordType) -> Vec<Vec<u8>> {
    let records = windrose::zone::records(&zone.names).filter(|(_, known, ..)| *known == rtype);
    records.map(|(.., rdata)| rdata).collect()
}

/// The primary name server and the serial of a zone's SOA.
fn authority(zone: &Zone) -> (Name, u32) {
    let [soa] = &of_type(zone, RecordType::SOA)[..] else { panic!("one SOA") };
    let (mname, at) = Name::from_wire(soa).unwrap();
    let (_, len) = Name::from_wire(&soa[at..]).unwrap();
    let serial = soa[at + len..][..4].try_into().unwrap();
    (mname, u32::from_be_bytes(serial))
}

#[test]
fn soa_and_ns_are_made_from_the_zone_file() {
    let text = [HEAD, "nameservers = ['ns1.example.net.', 'ns2.example.net.']\n"].concat();
    let zone = sound_zone(&Files::of([("example.com.toml", &text)]));
    let (mname, serial) = authority(&zone);
    assert_eq!(mname.to_string(), "ns1.example.net.");
    assert_ne!(serial, 0);
    assert_eq!(of_type(&zone, RecordType::NS).len(), 2);
}

#[test]
fn a_made_serial_follows_the_zones_text_and_nothing_else() {
    let serial = |text: &str| {
        let text = [HEAD, "nameservers = ['ns1.example.net.']\n", text].concat();
        authority(&sound_zone(&Files::of([("example.com.toml", &text)]))).1
    };
    assert_eq!(serial(""), serial(""));
    assert_ne!(serial(""), serial("ttl = '31s'"));
}

#[test]
fn soa_and_ns_of_the_master_file_come_first() {
    let text = [HEAD, "records = 'x.zone'"].concat();
    let master = "$TTL 1h\n@ SOA ns1 root 7 1h 10m 7d 5m\n@ NS ns1\nns1 A 192.0.2.53\n";
    let zone = sound_zone(&Files::of([("a.toml", &text), ("x.zone", master)]));
    assert_eq!(authority(&zone), ("ns1.example.com.".parse().unwrap(), 7));
    assert_eq!(zone.names.record_count(), 3);
    // Without an SOA of its own, the first of its name servers is the primary one.
    let master = "$TTL 1h\n@ NS ns1\nns1 A 192.0.2.53\n";
    let zone = sound_zone(&Files::of([("a.toml", &text), ("x.zone", master)]));
    assert_eq!(authority(&zone).0.to_string(), "ns1.example.com.");
}

#[test]
fn a_master_file_that_no_zone_file_takes_is_a_zone_of_its_own() {
    let toml = [HEAD, "records = 'taken.zone'"].concat();
    let master = "$TTL 1h\n@ SOA ns1 root 7 1h 10m 7d 5m\n@ NS ns1\nns1 A 192.0.2.53\n";
    let (report, zones) = zones(&Files::of([
        ("a.toml", &toml),
        ("taken.zone", master),
        ("example.org.zone", master),
        ("notes.txt", "not a zone"),
    ]));
    assert_eq!(report.to_string(), "");
    let apexes: Vec<_> = zones.iter().map(|zone| zone.apex.to_string()).collect();
    assert_eq!(apexes, ["example.com.", "example.org."]);
}

#[test]
fn includes_stay_inside_the_zone_directory() {
    let toml = [HEAD, "records = 'x.zone'"].concat();
    let master = "$TTL 1h\n@ SOA ns1 root 7 1h 10m 7d 5m\n@ NS ns1\nns1 A 192.0.2.53\n";
    let good = [master, "$INCLUDE parts/mx.inc\n"].concat();
    let files = [("a.toml", &*toml), ("x.zone", &*good), ("parts/mx.inc", "@ MX 10 ns1\n")];
    assert_eq!(of_type(&sound_zone(&Files::of(files)), RecordType::MX).len(), 1);
    let bad = [master, "$INCLUDE ../passwd\n$INCLUDE /etc/passwd\n$INCLUDE none\n"].concat();
    let (report, zones) = zones(&Files::of([("a.toml", &toml), ("x.zone", &bad)]));
    assert!(zones.is_empty());
    insta::assert_snapshot!(report);
}

#[test]
fn faults_of_all_files_are_told_and_zones_defined_twice_name_both_places() {
    let toml = |zone| format!("zone = '{zone}'\nnameservers = ['ns1.example.net.']\n");
    let (report, _) = zones(&Files::of([
        ("a.toml", &toml("example.com")),
        ("b.toml", &toml("Example.COM.")),
        ("c.toml", "zone = 'example.net'\nnameservers = [\n"),
        // It belongs to c.toml, as far as can be told.
        ("c.zone", ""),
        ("d.toml", &[&*toml("example.org"), "color = 'red'"].concat()),
        ("example.com.zone", "$TTL 1h\n@ SOA ns1 root 7 1h 10m 7d 5m\n@ NS ns1.example.net.\n"),
        ("with space.zone", ""),
    ]));
    insta::assert_snapshot!(report);
}

#[test]
fn a_zone_of_a_thousand_steers_is_read() {
    use std::fmt::Write as _;
    let mut text =
        [HEAD, "nameservers = ['ns1.example.net.']\n[checks.tcp]\nkind = 'tcp'\nport = 80\n"]
            .concat();
    for n in 0..8 {
        write!(
            text,
            "[regions.r{n}]\nlocation = [{n}, {n}]\n[pools.r{n}]\nregion = 'r{n}'\ncheck = 'tcp'\n\
             endpoints = [{{ name = 'e', address = '192.0.2.{n}', weight = 10 }}]\n"
        )
        .unwrap();
    }
    let pools = "['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7']";
    for n in 0..1000 {
        write!(text, "[steer.w{n:06}]\npolicy = 'nearest'\npools = {pools}\n").unwrap();
    }
    let zone = sound_zone(&Files::of([("example.com.toml", &text)]));
    assert_eq!(zone.steers.len(), 1000);
    assert_eq!(zone.steers[999].owner.to_string(), "w000999.example.com.");
}
