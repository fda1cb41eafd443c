//! The servers: windrose and three that others made, each with the same zones on a port of loopback.
//!
//! Each is told to say as little as it may (`minimal-responses`), to limit nothing and to allow UDP
//! messages of 4096 octets. They are children of this process and end with it: [`Drop`] stops them, an
//! interrupt reaches the loop that asks, and a terminal's interrupt reaches them all.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::exchange::Line;
use crate::message::Question;
use crate::ports::free_port;
use crate::programs::find_program;
use crate::zones::ZoneFile;
use windrose::model::RecordType;

/// How often a starting server is asked whether it answers, each try taking a tenth of a second.
const TRIES: usize = 600;

/// Who is compared: windrose first, then its peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// This program.
    Windrose,
    /// BIND's `named`.
    Bind,
    /// NSD.
    Nsd,
    /// Knot DNS.
    Knot,
}

impl Kind {
    /// All, windrose first.
    pub(crate) const ALL: [Self; 4] = [Self::Windrose, Self::Bind, Self::Nsd, Self::Knot];

    /// Its name in what is printed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Windrose => "windrose",
            Self::Bind => "bind",
            Self::Nsd => "nsd",
            Self::Knot => "knot",
        }
    }

    /// The program that must be installed.
    pub(crate) fn program(self) -> io::Result<PathBuf> {
        let name = match self {
            // Started anew with `serve`, it is windrose.
            Self::Windrose => return std::env::current_exe(),
            Self::Bind => "named",
            Self::Nsd => "nsd",
            Self::Knot => "knotd",
        };
        find_program(name)
    }

    /// Writes its configuration into `directory` and says how it is started.
    fn configure(self, directory: &Path, port: u16, zones: &[ZoneFile]) -> io::Result<Command> {
        let mut command = Command::new(self.program()?);
        let shown = directory.display();
        let text = match self {
            Self::Windrose => windrose_config(port),
            Self::Bind => bind_config(directory, port, zones),
            Self::Nsd => nsd_config(directory, port, zones),
            Self::Knot => knot_config(directory, port, zones),
        };
        fs::create_dir_all(directory.join("geoip"))?;
        fs::create_dir_all(directory.join("knot"))?;
        let config = directory.join(format!("{}.conf", self.name()));
        fs::write(&config, text)?;
        match self {
            Self::Windrose => command.arg("serve").arg("--config").arg(&config),
            Self::Bind => command.args(["-f", "-n", "1", "-c"]).arg(&config),
            Self::Nsd => command.args(["-d", "-c"]).arg(&config),
            Self::Knot => command.arg("-c").arg(&config),
        };
        let log = fs::File::create(format!("{shown}/{}.log", self.name()))?;
        command.current_dir(directory).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}

fn windrose_config(port: u16) -> String {
    format!(
        "version = 1\n\
         [dns]\nlisten = [\"127.0.0.1:{port}\"]\nthreads = 1\nudp-payload-max = 4096\n\
         tcp-idle-timeout = \"1h\"\n\
         [zones]\ndirectory = \"zones\"\n\
         [geoip]\ndirectory = \"geoip\"\n\
         [probe]\nenabled = false\n\
         [admin]\nlisten = []\n\
         [state]\ndirectory = \"windrose-state\"\n"
    )
}

fn bind_config(directory: &Path, port: u16, zones: &[ZoneFile]) -> String {
    let mut config = format!(
        "options {{ directory \"{}\"; listen-on port {port} {{ 127.0.0.1; }};\n\
         listen-on-v6 {{ none; }}; pid-file none; session-keyfile none;\n\
         recursion no; notify no; allow-transfer {{ none; }}; empty-zones-enable no;\n\
         minimal-responses yes; minimal-any no; zero-no-soa-ttl no;\n\
         max-udp-size 4096; edns-udp-size 4096; dnssec-validation no;\n\
         check-names primary ignore; check-integrity no; check-wildcard no; check-sibling no;\n\
         check-mx ignore; check-mx-cname ignore; check-srv-cname ignore; }};\ncontrols {{ }};\n",
        directory.display()
    );
    for ZoneFile { apex, original, .. } in zones {
        let file = original.display();
        config += &format!("zone \"{apex}\" {{ type primary; file \"{file}\"; }};\n");
    }
    config
}

fn nsd_config(directory: &Path, port: u16, zones: &[ZoneFile]) -> String {
    let shown = directory.display();
    let mut config = format!(
        "server:\n  server-count: 1\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  \
         zonesdir: \"{shown}\"\n  database: \"\"\n  pidfile: \"{shown}/nsd.pid\"\n  \
         zonelistfile: \"{shown}/nsd.list\"\n  xfrdfile: \"{shown}/nsd.state\"\n  \
         xfrdir: \"{shown}\"\n  rrl-ratelimit: 0\n  minimal-responses: yes\n  refuse-any: no\n  \
         ipv4-edns-size: 4096\n  round-robin: no\nremote-control:\n  control-enable: no\n"
    );
    for ZoneFile { apex, plain, .. } in zones {
        config += &format!("zone:\n  name: \"{apex}\"\n  zonefile: \"{}\"\n", plain.display());
    }
    config
}

fn knot_config(directory: &Path, port: u16, zones: &[ZoneFile]) -> String {
    let shown = directory.display();
    let mut config = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n  rundir: {shown}\n  udp-max-payload: 4096\n  tcp-idle-timeout: 600\n\
         database:\n  storage: {shown}/knot\ncontrol:\n  listen: {shown}/knot.sock\n\
         template:\n  - id: default\n    zonefile-sync: -1\n    journal-content: none\n    \
         semantic-checks: off\nzone:\n"
    );
    for ZoneFile { apex, plain, .. } in zones {
        config += &format!("  - domain: \"{apex}\"\n    file: \"{}\"\n", plain.display());
    }
    config
}

/// A running server, stopped when dropped.
pub(crate) struct Contender {
    child: Child,
    kind: Kind,
    address: SocketAddr,
}

impl Contender {
    /// Starts it and waits until it answers for every zone.
    pub(crate) fn start(kind: Kind, directory: &Path, zones: &[ZoneFile]) -> io::Result<Self> {
        let port = free_port()?;
        let child = kind.configure(directory, port, zones)?.spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut started = Self { child, kind, address };
        started.wait_for(zones)?;
        Ok(started)
    }

    /// A line to it.
    pub(crate) fn line(&self) -> io::Result<Line> {
        Line::open(self.address)
    }

    fn wait_for(&mut self, zones: &[ZoneFile]) -> io::Result<()> {
        let mut line = self.line()?;
        for zone in zones {
            let question = Question {
                name: wire(&zone.apex),
                qtype: RecordType::SOA,
                class: 1,
                recursion: false,
                payload: None,
                dnssec_ok: false,
            };
            let mut tries = 0..TRIES;
            let is_served = |line: &mut Line| {
                let answers = line.ask(std::slice::from_ref(&question));
                answers.is_ok_and(|answers| answers[0].rcode == 0 && answers[0].is_authoritative)
            };
            while !is_served(&mut line) {
                if let Some(status) = self.child.try_wait()? {
                    return Err(self.failed(&format!("ended with {status}")));
                }
                if tries.next().is_none() {
                    return Err(self.failed(&format!("does not serve {}", zone.apex)));
                }
                pause();
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str) -> io::Error {
        io::Error::other(format!("{} {what}; see its log (--keep)", self.kind.name()))
    }
}

impl Drop for Contender {
    /// Asks it to end, so that it can end its own children; makes it when it does not.
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            pause();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is neither ready nor gone is looked at again after this.
#[expect(clippy::disallowed_methods, reason = "another process gives no event to wait for")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}

fn wire(apex: &str) -> Vec<u8> {
    let root = windrose::model::Name::root();
    let name = windrose::model::Name::parse(apex, &root).expect("a file is called like its zone");
    name.as_wire().to_vec()
}
