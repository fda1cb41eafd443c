//! Tools that people look into DNS with: `zonemaster-cli`, `delv`, `drill`, `kdig`, `dig`.

use std::fs;
use std::io;
use std::path::Path;

use crate::program::run;

/// What `zonemaster-cli` says at NOTICE that is due to this world, and why. At WARNING and above nothing is
/// expected.
const EXPECTED: [(&str, &str); 6] = [
    ("NEITHER_DNSKEY_NOR_DS", "nothing here is signed"),
    ("NOT_SIGNED", "nothing here is signed"),
    ("RNAME_MAIL_DOMAIN_INVALID", "nobody here reads mail for nic.test"),
    ("Z09_MISSING_MAIL_TARGET", "nor for these zones"),
    (
        "NAMESERVER_IP_PTR_MISMATCH",
        "elsewhere.test has names of its own for servers whose addresses lead back to others",
    ),
    ("EXTRA_ADDRESS_CHILD", "the root has no parent that could tell the addresses of its servers"),
];

/// The zones that it looks at.
pub(crate) const ZONES: [&str; 8] = [
    ".",
    "test",
    "arpa",
    "net",
    "example.test",
    "team.example.test",
    "elsewhere.test",
    "glueless.test",
];

/// A zone that its servers know nothing of.
pub(crate) const LAME: &str = "lame.test";

/// A tool's run: what it was told, and texts that it must print. A text that begins with `!` must not be there.
struct Run {
    program: &'static str,
    arguments: &'static str,
    wanted: &'static [&'static str],
}

const fn tool(
    program: &'static str,
    arguments: &'static str,
    wanted: &'static [&'static str],
) -> Run {
    Run { program, arguments, wanted }
}

/// At authoritative servers.
const RUNS: &[Run] = &[
    tool(
        "dig",
        "@5.5.0.1 www.example.test A",
        &["status: NOERROR", "flags: qr aa rd;", "192.0.2.1", "!WARNING: Message"],
    ),
    tool(
        "dig",
        "@5.5.0.1 www.example.test AAAA +subnet=8.8.8.0/24",
        &["2001:db8:2::1", "CLIENT-SUBNET: 8.8.8.0/24/24"],
    ),
    tool(
        "dig",
        "@2a05:6::1 thirty.example.test TXT",
        &["status: NOERROR", ";; Truncated, retrying in TCP mode.", "ANSWER: 30"],
    ),
    tool("dig", "@5.5.0.1 example.test ANY +notcp", &["status: NOERROR"]),
    tool("dig", "@5.5.0.1 version.bind CH TXT +short", &["windrose"]),
    tool("dig", "@5.5.0.1 example.test SOA +nsid", &["(\"ns1\")"]),
    tool(
        "dig",
        "@5.5.0.1 nothing.example.test A +dnssec",
        &["status: NXDOMAIN", "flags: do;", "SOA"],
    ),
    tool("dig", "@5.5.0.1 example.com A", &["status: REFUSED"]),
    tool("dig", "@5.5.0.1 example.test AXFR", &["Transfer failed."]),
    tool("kdig", "@5.5.0.1 example.test MX", &["status: NOERROR", "mail.example.test.", "(UDP)"]),
    tool(
        "kdig",
        "@2a05:5::1 example.test MX +tcp",
        &["status: NOERROR", "mail.example.test.", "(TCP)"],
    ),
    tool("kdig", "@5.5.0.1 www.example.test HTTPS +tls +keepopen", &["status: NOERROR", "(TLS"]),
    tool(
        "kdig",
        "@5.5.0.1 www.example.test A +https=/dns-query",
        &["status: NOERROR", "(HTTP/2", "192.0.2.1"],
    ),
    tool("kdig", "@5.5.0.1 thirty.example.test TXT +tls", &["status: NOERROR", "ANSWER: 30"]),
    tool(
        "kdig",
        "@5.5.0.1 www.example.test A +subnet=49.36.0.0/24 +cookie +nsid +padding",
        &["203.0.113.10", "COOKIE", "NSID"],
    ),
    tool("kdig", "@5.5.0.1 example.test ANY +noedns", &["status: NOERROR", "!WARNING"]),
    tool("kdig", "@5.5.0.1 x.example.test +edns=1", &["BADVERS"]),
    tool("drill", "-D www.example.test @5.5.0.1 A", &["rcode: NOERROR", "192.0.2.1", "do"]),
    tool("drill", "-t thirty.example.test @5.6.0.1 TXT", &["rcode: NOERROR", "ANSWER: 30"]),
    tool("drill", "-b 512 hundred.example.test @5.6.0.1 A", &["rcode: NOERROR"]),
    tool("drill", "-T -r hints www.example.test", &["192.0.2.1", "!error", "!Error"]),
    tool("drill", "-T -r hints www.far.example.test", &["192.0.2.80", "!error", "!Error"]),
    tool("drill", "-x 5.5.0.1 @5.3.0.1", &["ns1.example.test."]),
    tool(
        "delv",
        "-i @5.5.0.1 plain.example.test A",
        &["192.0.2.30", "192.0.2.31", "!resolution failed"],
    ),
    tool("delv", "-i @5.5.0.1 a.tree.example.test A", &["DNAME", "192.0.2.50"]),
    tool("delv", "-i @5.5.0.1 nothing.example.test A", &["ncache nxdomain"]),
    tool("delv", "-i @5.5.0.1 leaf.ent.example.test TXT", &["ncache nxrrset"]),
    tool("delv", "-i @5.5.0.1 thirty.example.test TXT", &["\"number\" \"30\""]),
];

/// Through a resolver, whose address stands for `RESOLVER`.
const RUNS_BEHIND: &[Run] = &[
    tool("delv", "-i @RESOLVER www.example.test A", &["192.0.2.1", "!resolution failed"]),
    tool("delv", "+noroot @RESOLVER www.example.test A", &["192.0.2.1", "!resolution failed"]),
    tool("dig", "@RESOLVER to-thirty.example.test TXT", &["status: NOERROR", "ANSWER: 31"]),
    tool(
        "dig",
        "@RESOLVER +trace to-far.example.test A",
        &["CNAME\twww.far.example.test.", "!couldn't get address", "!BAD", "!resolution failed"],
    ),
    tool(
        "dig",
        "@RESOLVER +trace www.glueless.test A",
        &["192.0.2.95", "!couldn't get address", "!BAD"],
    ),
    tool("kdig", "@RESOLVER example.test HTTPS", &["status: NOERROR"]),
    tool("drill", "@RESOLVER c1.example.test AAAA", &["rcode: NOERROR", "2001:db8:1::1"]),
];

/// One row of the table.
pub(crate) struct Row {
    pub(crate) tool: String,
    pub(crate) runs: usize,
    pub(crate) faults: Vec<String>,
    /// What was said and is known to be due to this world.
    pub(crate) explained: usize,
}

/// Runs all tools at the authoritative servers; `directory` holds the hints.
pub(crate) fn at_servers(directory: &Path) -> io::Result<Vec<Row>> {
    rows(RUNS, |word| match word {
        "hints" => directory.join("hints").display().to_string(),
        other => other.to_owned(),
    })
}

/// Lets the system's resolver be one of ours, by a file that can be written anew: `dig +trace` asks it for
/// the addresses of servers.
pub(crate) fn take_resolver_file(directory: &Path) -> io::Result<()> {
    let path = directory.join("resolv.conf");
    fs::write(&path, "")?;
    let (text, is_done) =
        run("mount", &["--bind", &path.display().to_string(), "/etc/resolv.conf"])?;
    if is_done { Ok(()) } else { Err(io::Error::other(text)) }
}

/// Runs those that ask through a resolver.
pub(crate) fn behind(resolver: &str, directory: &Path) -> io::Result<Vec<Row>> {
    fs::write(directory.join("resolv.conf"), format!("nameserver {resolver}\n"))?;
    rows(RUNS_BEHIND, |word| word.replace("RESOLVER", resolver))
}

fn rows(runs: &[Run], fill: impl Fn(&str) -> String) -> io::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for Run { program, arguments, wanted } in runs {
        let arguments: Vec<String> = arguments.split(' ').map(&fill).collect();
        let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (text, _) = run(program, &borrowed)?;
        let is_met = |wanted: &&&str| match wanted.strip_prefix('!') {
            Some(unwanted) => !text.contains(unwanted),
            None => text.contains(**wanted),
        };
        let missed: Vec<&&str> = wanted.iter().filter(|wanted| !is_met(wanted)).collect();
        let place = rows.iter().position(|row| row.tool == *program).unwrap_or_else(|| {
            rows.push(Row {
                tool: (*program).to_owned(),
                runs: 0,
                faults: Vec::new(),
                explained: 0,
            });
            rows.len() - 1
        });
        rows[place].runs += 1;
        if !missed.is_empty() {
            let line = arguments.join(" ");
            rows[place].faults.push(format!("{program} {line}: expected {missed:?} in\n{text}"));
        }
    }
    Ok(rows)
}

/// Has `zonemaster-cli` look at a zone.
pub(crate) fn zonemaster(zone: &str, directory: &Path) -> io::Result<Row> {
    let hints = directory.join("hints").display().to_string();
    let arguments = [
        "--hints",
        &hints,
        "--level",
        "NOTICE",
        "--json-stream",
        "--json-translate",
        "--no-progress",
        zone,
    ];
    let (text, is_done) = run("zonemaster-cli", &arguments)?;
    let mut row =
        Row { tool: format!("zonemaster-cli {zone}"), runs: 0, faults: Vec::new(), explained: 0 };
    for line in text.lines().filter(|line| !line.is_empty()) {
        let Ok(said) = serde_json::from_str::<serde_json::Value>(line) else {
            row.faults.push(line.to_owned());
            continue;
        };
        let of = |key: &str| said[key].as_str().unwrap_or_default();
        row.runs += 1;
        if of("level") == "NOTICE" && EXPECTED.iter().any(|(tag, _)| *tag == of("tag")) {
            row.explained += 1;
        } else {
            row.faults.push(format!("{} {}: {}", of("level"), of("tag"), of("message")));
        }
    }
    if !is_done {
        row.faults.push("it did not end well".to_owned());
    }
    Ok(row)
}
