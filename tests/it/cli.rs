//! The command line as its users meet it: the real program, its words and its exit codes.
//!
//! Every run has a working directory of its own or one that nobody writes to, so that tests do not
//! meet, whatever directory they are started in.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// London.
const CLIENT: &str = "81.2.69.142";

/// What a run came to.
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs `windrose` in the directory of the repository, which has zones and databases.
fn windrose(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    windrose_in(Path::new(env!("CARGO_MANIFEST_DIR")), arguments)
}

fn windrose_in(directory: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windrose"));
    command.current_dir(directory).args(arguments);
    command.env_remove("WINDROSE_CONFIG").env_remove("RUST_LOG").env("NO_COLOR", "1");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// An empty directory for one test.
fn scratch(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

impl Run {
    /// What a command that went well printed; it said nothing else.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        self.out
    }

    /// What a command that failed with `code` said; it printed no data.
    #[track_caller]
    fn failed(self, code: i32) -> String {
        assert_eq!((self.code, &*self.out), (code, ""), "{}", self.err);
        self.err
    }
}

// ---- Usage ----

#[test]
fn help_names_every_command() {
    let help = windrose(["--help"]).ok();
    let commands = ["serve", "check", "explain", "status", "geo", "demo"];
    let to_operate = ["drain", "undrain", "override", "freeze", "unfreeze", "failback"];
    for command in commands.iter().chain(&to_operate) {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing:\n{help}");
    }
}

#[test]
fn wrong_usage_is_said_on_stderr() {
    let cases: [(&[&str], &str); 5] = [
        (&["cehck"], "a similar subcommand exists: 'check'"),
        (&["explain", "www.example.com"], "--client <ADDRESS>"),
        (&["explain", "www.example.com", "--client", "London"], "client `London` is "),
        (&["explain", "www..com", "--client", CLIENT], "`www..com` is not a name"),
        (&["geo", "London"], "`London` is neither an IP address nor `info`"),
    ];
    for (arguments, words) in cases {
        let said = windrose(arguments).failed(2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

// ---- check ----

#[test]
fn sound_zones_are_summed_up_in_a_line() {
    let out = windrose(["check", "zones/"]).ok();
    assert!(out.starts_with("ok: 1 zone, "), "{out}");
    assert!(out.ends_with(" 4 expectations met; 0 errors, 0 warnings\n"), "{out}");
}

#[test]
fn a_file_that_is_no_zone_is_not_ok() {
    let Run { code, out, err } = windrose(["check", "README.md"]);
    assert_eq!((code, &*out), (1, "not ok: 1 error, 0 warnings\n"));
    assert!(err.contains("README.md is no zone file"), "{err}");
}

#[test]
fn broken_zones_are_reported_with_their_places() {
    let directory = scratch("broken_zones_are_reported_with_their_places");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    let zone = fs::read_to_string(examples.join("example.com.toml")).unwrap();
    let zone = zone.replace("region    = \"eu-west\"", "region    = \"eu-wset\"");
    let zone = zone.replace("interval = \"1s\"", "interval = \"often\"");
    fs::create_dir(directory.join("zones")).unwrap();
    fs::write(directory.join("zones/example.com.toml"), zone).unwrap();
    fs::copy(examples.join("example.com.zone"), directory.join("zones/example.com.zone")).unwrap();

    let Run { code, out, err } = windrose_in(&directory, ["check"]);
    assert_eq!((code, &*out), (1, "not ok: 2 errors, 0 warnings\n"), "{err}");
    insta::assert_snapshot!(err);

    let Run { code, out, err } = windrose_in(&directory, ["check", "--json"]);
    let findings: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &*err), (1, ""));
    assert_eq!(findings.as_array().unwrap().len(), 2, "{out}");
    assert_eq!(findings[0]["severity"], "error");
    assert!(findings[0]["place"].as_str().unwrap().starts_with("zones/example.com.toml:"), "{out}");
}

#[test]
fn master_files_are_told_everything_with_places() {
    insta::glob!("../data/master", "*.zone", |path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Run { code, out, err } = windrose(["check", &format!("tests/data/master/{name}")]);
        let is_broken = name.starts_with(|first: char| first.is_ascii_digit());
        assert_eq!(code, i32::from(is_broken), "{err}");
        insta::assert_snapshot!(err + &out);
    });
}

#[test]
fn the_zone_of_a_master_file_is_what_it_says_or_what_is_said() {
    let directory = scratch("the_zone_of_a_master_file_is_what_it_says_or_what_is_said");
    let records =
        "$TTL 1h\n@ SOA ns1 admin 1 4h 1h 4w 5m\n@ NS ns1\nns1.example.com. A 192.0.2.53\n";
    let said = format!("$ORIGIN example.com.\n{records}");
    for (name, text) in [("db.x", records), ("example.com.zone", records), ("said.zone", &said)] {
        fs::write(directory.join(name), text).unwrap();
    }
    for arguments in [
        &["check", "db.x", "--origin", "example.com"][..],
        &["check", "example.com.zone"],
        &["check", "said.zone"],
        &["check", "said.zone", "--origin", "EXAMPLE.com."],
    ] {
        let out = windrose_in(&directory, arguments).ok();
        assert!(out.starts_with("ok: 1 zone, 3 records, "), "{arguments:?}: {out}");
    }
    let Run { code, err, .. } = windrose_in(&directory, ["check", "db.x"]);
    assert_eq!(code, 1);
    assert!(err.contains("hint: if it is a master file, say of which zone: `--origin "), "{err}");
    let Run { code, err, .. } =
        windrose_in(&directory, ["check", "said.zone", "--origin", "other."]);
    assert_eq!(code, 1);
    assert!(err.contains("`example.com.` is not in zone `other.`"), "{err}");
    let said = windrose_in(&directory, ["check", ".", "--origin", "example.com"]).failed(2);
    assert!(said.contains("says which zone a master file is"), "{said}");
    let said = windrose_in(&directory, ["check", "db.x", "--origin", "a..b"]).failed(2);
    assert!(said.contains("a label is empty"), "{said}");
}

#[test]
fn a_directory_without_zones_is_an_error() {
    let directory = scratch("a_directory_without_zones_is_an_error");
    let Run { code, err, .. } = windrose_in(&directory, ["check"]);
    assert_eq!(code, 1);
    assert!(err.contains("cannot read the zone directory zones"), "{err}");
}

// ---- explain ----

/// What is explained for a client in London.
fn explain(rest: &[&str]) -> Run {
    windrose([&["explain", "www.example.com", "--client", CLIENT], rest].concat())
}

#[test]
fn a_client_is_told_why_it_goes_where_it_goes() {
    insta::assert_snapshot!(explain(&[]).ok());
}

#[test]
fn a_client_is_told_where_it_goes_when_a_region_fails() {
    insta::assert_snapshot!(explain(&["--down", "eu-west"]).ok());
}

#[test]
fn names_without_a_rule_are_explained_as_well() {
    let names = ["mail.example.com", "docs.example.com", "no.example.com", "example.net"];
    let explained = names.map(|name| windrose(["explain", name, "--client", CLIENT]).ok());
    insta::assert_snapshot!(explained.join("\n"));
}

#[test]
fn types_that_no_rule_gives_are_explained_as_they_are_answered() {
    let questions = [
        ("www.example.com", "TXT", "NODATA"),
        ("www.example.com", "HTTPS", "NODATA"),
        ("www.example.com", "ANY", "HINFO \"RFC8482\" \"\""),
        ("x.team.example.com", "A", "REFERRAL"),
        ("example.com", "AXFR", "REFUSED"),
        ("www.example.com", "AXFR", "NOTAUTH"),
        ("docs.example.com", "ANY", "CNAME www.example.com."),
    ];
    for (name, qtype, answer) in questions {
        let out = windrose(["explain", name, qtype, "--client", CLIENT]).ok();
        assert!(out.contains(&format!("\n  answer   {answer}\n")), "{name} {qtype}: {out}");
    }
}

#[test]
fn explanations_come_as_json() {
    let region = |rest: &[&str]| {
        let out = explain(rest).ok();
        let explanation: serde_json::Value = serde_json::from_str(&out).unwrap();
        explanation["decision"]["region"].as_str().unwrap().to_owned()
    };
    assert_eq!(region(&["--json"]), "eu-west");
    assert_eq!(region(&["--json", "--down", "eu-west"]), "us-east");
    assert_eq!(region(&["--json", "--down", "eu-west", "--down", "web-us/us-1"]), "us-east");
    assert_eq!(region(&["--json", "--down", "web-eu", "--down", "us-east"]), "ap-south");
}

#[test]
fn a_slip_in_what_is_down_gets_a_suggestion() {
    let said = explain(&["--down", "eu-wst"]).failed(2);
    assert!(said.contains("did you mean `eu-west`?"), "{said}");
}

// ---- geo ----

#[test]
fn an_address_is_placed() {
    insta::assert_snapshot!(windrose(["geo", CLIENT]).ok());
    let out = windrose(["geo", CLIENT, "--json"]).ok();
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["country"], "GB");
}

#[test]
fn an_address_that_no_database_knows_is_an_exit_code() {
    let Run { code, out, err } = windrose(["geo", "192.0.2.1"]);
    assert_eq!((code, &*err), (1, ""));
    assert_eq!(out, "192.0.2.1: nowhere that a database knows\n");
}

#[test]
fn databases_are_shown_with_their_attribution_from_any_directory() {
    let directory = scratch("databases_are_shown_with_their_attribution_from_any_directory");
    let here = windrose(["geo", "info"]).ok();
    let there = windrose_in(&directory, ["geo"]).ok();
    assert!(here.starts_with("windrose-city.mmdb.gz: "), "{here}");
    assert!(there.starts_with("windrose-city.mmdb.gz (built in): "), "{there}");
    for out in [here, there] {
        assert!(out.contains("IP Geolocation by DB-IP (https://db-ip.com)"), "{out}");
    }
}

// ---- status ----

#[test]
fn a_node_that_is_not_there_is_an_exit_code() {
    // The address is ours for as long as the test runs, and nothing listens there.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let status = windrose(["status", "--server", &address]).failed(4);
    assert!(status.contains(&format!("cannot reach a running node at http://{address}")));
    let said = explain(&["--server", &address]).failed(4);
    assert_eq!(said, status, "both say it in the same words");
}

// ---- demo ----

#[test]
fn the_demo_shows_a_failover() {
    let directory = scratch("the_demo_shows_a_failover");
    let out = windrose_in(&directory, ["demo", "--seconds", "10"]).ok();
    let line = |words: &[&str]| out.lines().find(|line| words.iter().all(|w| line.contains(w)));
    assert!(line(&["London", "-> eu-west"]).is_some(), "{out}");
    assert!(line(&["eu-west is killed"]).is_some(), "{out}");
    assert!(line(&["London: eu-west -> us-east", "s after the kill"]).is_some(), "{out}");
    let summary = out.lines().last().unwrap();
    assert!(summary.starts_with("1 failover in "), "{out}");
    assert!(summary.contains(" 0 wrong, 0 empty, 0 lost"), "{out}");
    assert!(!out.contains('\x1b'), "a pipe gets lines only");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "nothing is left behind");
}

// ---- Probes ----

const CHECKED: &str = "zone = 'ZONE'
nameservers = ['ns1.test.']
regions.eu.location = [50, 8]
steer.www = { policy = 'failover', pools = ['eu'] }
[checks.web]
kind = 'tcp'
port = PORT
send = \"ping\\n\"
expect = { text = 'pong' }
[pools.eu]
region = 'eu'
check = 'web'
endpoints = [{ name = 'e', address = '127.0.0.1' }]
";

/// A directory whose zones have a check `web` of that port.
fn checked(test: &str, port: u16, zones: &[&str]) -> PathBuf {
    let directory = scratch(test);
    fs::create_dir(directory.join("zones")).unwrap();
    for zone in zones {
        let text = CHECKED.replace("ZONE", zone).replace("PORT", &port.to_string());
        fs::write(directory.join(format!("zones/{zone}.toml")), text).unwrap();
    }
    directory
}

/// Answers every line with `answer` until the test is over.
fn answering(answer: &'static str) -> u16 {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            if BufReader::new(&stream).read_line(&mut line).is_ok() && line == "ping\n" {
                // Whoever has seen enough hangs up.
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    port
}

/// A text with its times and ports taken out.
fn timeless(text: &str, port: u16) -> String {
    let line = |line: &str| match line.trim_end().strip_suffix(" ms") {
        Some(timed) => {
            let what = timed.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
            format!("{what} TIME\n")
        }
        None => format!("{line}\n"),
    };
    text.replace(&format!(":{port}"), ":PORT").lines().map(line).collect()
}

#[test]
fn a_probe_says_what_it_asks_and_sees() {
    let port = answering("pong 7\r\n");
    let directory = checked("probe", port, &["a.test"]);
    let all = windrose_in(&directory, ["probe", "web"]).ok();
    insta::assert_snapshot!(timeless(&all, port));
    let one = windrose_in(&directory, ["probe", "a.test/web", "--target", "127.0.0.1", "--json"]);
    let one: serde_json::Value = serde_json::from_str(&one.ok()).unwrap();
    assert_eq!((&one[0]["verdict"], &one[0]["said"]), (&"up".into(), &"pong 7\\r\\n".into()));
    let often = windrose_in(&directory, ["probe", "web", "--count", "3", "--json"]).ok();
    let often: Vec<serde_json::Value> = serde_json::from_str(&often).unwrap();
    assert_eq!(often.len(), 3);
}

#[test]
fn a_probe_that_is_no_success_has_its_reason_and_exit_code() {
    let port = answering("busy\n");
    let run = windrose_in(&checked("probe-down", port, &["a.test"]), ["probe", "web"]);
    assert_eq!((run.code, &*run.err), (1, ""));
    assert!(
        run.out.ends_with("  says \"busy\\n\"\n  down: answer without what is expected\n"),
        "{}",
        run.out
    );
}

#[test]
fn a_check_is_found_by_name_or_it_is_said_why_not() {
    let directory = checked("probe-names", 9, &["a.test", "b.test"]);
    let probe = |check: &str| windrose_in(&directory, ["probe", check]).failed(2);
    insta::assert_snapshot!([probe("web"), probe("wbe"), probe("c.test/web")].concat());
}

/// A verdict made of a check that is up and of one that is down.
const MADE: &str = "zone = 'a.test'\nnameservers = ['ns.example.net.']\nregions.eu.location = 'IE'\n\
    checks.web = { kind = 'tcp', port = PORT, send = \"ping\\n\" }\n\
    checks.off = { kind = 'fixed', verdict = 'down' }\n\
    checks.either = { kind = 'calculated', any = ['web', 'off'] }\n\
    checks.whole = { kind = 'calculated', all = ['either', 'off', 'pool:eu'] }\n\
    pools.eu = { region = 'eu', check = 'either', endpoints = [{ name = 'a', address = '127.0.0.1' }] }\n\
    pools.us = { region = 'eu', check = 'whole', endpoints = [{ name = 'b', address = '127.0.0.1' }] }\n\
    steer.www = { policy = 'failover', pools = ['eu', 'us'] }\n";

#[test]
fn a_verdict_that_is_made_of_others_is_probed_by_its_members() {
    let port = answering("pong\n");
    let directory = scratch("probe-made");
    fs::create_dir(directory.join("zones")).unwrap();
    let text = MADE.replace("PORT", &port.to_string());
    fs::write(directory.join("zones/a.test.toml"), text).unwrap();
    let up = windrose_in(&directory, ["probe", "either"]).ok();
    let down = windrose_in(&directory, ["probe", "whole"]);
    assert_eq!((down.code, &*down.err), (1, ""));
    let fixed = windrose_in(&directory, ["probe", "off", "--target", "127.0.0.1"]);
    assert_eq!(fixed.code, 1);
    insta::assert_snapshot!(timeless(&[up, down.out, fixed.out].join("\n"), port));
}
