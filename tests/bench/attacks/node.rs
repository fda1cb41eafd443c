//! The node that is attacked: this program again as `serve`, with a zone made for it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::packets;

/// How often a node is asked whether it answers, every tenth of a second.
const TRIES: u32 = 300;

/// A running node, stopped when dropped.
pub(crate) struct Node {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time.
    pub(crate) time: Duration,
    /// Resident memory in KiB.
    pub(crate) memory_kib: i64,
}

impl Node {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> io::Result<Self> {
        let directory =
            std::env::temp_dir().join(format!("windrose-attacks-{}", std::process::id()));
        fs::create_dir_all(directory.join("zones"))?;
        let port = free_port()?;
        fs::write(directory.join("windrose.toml"), server_file(port))?;
        fs::write(directory.join("zones/attacks.test.toml"), ZONE_FILE)?;
        fs::write(directory.join("zones/attacks.test.zone"), records())?;
        let log = fs::File::create(directory.join("log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--config").arg(directory.join("windrose.toml"));
        command.current_dir(&directory).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let node = Self { child: command.spawn()?, address, directory };
        for _ in 0..TRIES {
            if node.check_alive().is_ok() {
                return Ok(node);
            }
            thread::park_timeout(Duration::from_millis(100));
        }
        let log = fs::read_to_string(node.directory.join("log"))?;
        Err(io::Error::other(format!("the node does not answer:\n{log}")))
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it one thing.
    pub(crate) fn check_alive(&self) -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send(&packets::query("www", 1))?;
        socket.recv(&mut [0; 512])?;
        Ok(())
    }

    /// What it has used so far (proc(5)).
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let odd = || io::Error::other("/proc is not as it should be");
        let pid = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the name, which is in parentheses: user and system time are the 14th and 15th field.
        let (_, fields) = stat.rsplit_once(") ").ok_or_else(odd)?;
        let ticks: u64 = fields.split(' ').skip(11).take(2).flat_map(str::parse::<u64>).sum();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.split_whitespace().next());
        let memory_kib = resident.and_then(|text| text.parse().ok()).ok_or_else(odd)?;
        // A tick is a hundredth of a second wherever Linux tells it to programs.
        Ok(Usage { time: Duration::from_millis(10 * ticks), memory_kib })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already, and what is left in a temporary directory is the system's to clean.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A port that is free for both transports, as far as anybody can tell.
fn free_port() -> io::Result<u16> {
    for _ in 0..TRIES {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no port is free"))
}

fn server_file(port: u16) -> String {
    format!(
        "version = 1\n[dns]\nlisten = [\"127.0.0.1:{port}\"]\nthreads = 1\n[geoip]\ndirectory = \"geoip\"\n\
         [probe]\nenabled = false\n[admin]\nlisten = []\n[state]\ndirectory = \"state\"\n"
    )
}

/// A steered name for the good client, and one by place for client subnets.
const ZONE_FILE: &str = r#"
zone    = "attacks.test"
records = "attacks.test.zone"
[regions.eu]
location = [53.35, -6.26]
[regions.us]
location = [38.95, -77.45]
[pools.eu]
region    = "eu"
endpoints = [{ name = "eu-1", address = ["192.0.2.10", "2001:db8:1::10"] }]
[pools.us]
region    = "us"
endpoints = [{ name = "us-1", address = ["198.51.100.10", "2001:db8:2::10"] }]
[steer.www]
policy = "failover"
pools  = ["eu", "us"]
[steer.placed]
policy = "failover"
pools  = ["eu", "us"]
[[steer.placed.where]]
subnet = ["203.0.113.0/24", "2001:db8:99::/48"]
pools  = ["us"]
"#;

/// What is there to be attacked: chains, loops, large sets, deep names.
fn records() -> String {
    let mut text =
        "$TTL 300\n@ SOA ns hostmaster 1 7200 900 1209600 60\n  NS ns\nns A 192.0.2.53\n\
                    self CNAME self\n*.wild CNAME x.y.wild\nr1 DNAME r2\nr2 DNAME r1\n\
                    wide DNAME attacks.test.\ngrow DNAME a.worg\nworg DNAME b.grow\n"
            .to_owned();
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("a String takes all");
    };
    for n in 0..100 {
        line(format_args!("c{n} CNAME c{}", n + 1));
    }
    for n in 0..3900 {
        line(format_args!("huge A 10.0.{}.{}", n / 256, n % 256));
    }
    for n in 0..13 {
        line(format_args!("sub NS ns{n}.sub"));
        line(format_args!("ns{n}.sub A 192.0.2.{n}"));
        line(format_args!("ns{n}.sub AAAA 2001:db8::{n}"));
    }
    line(format_args!("{}deep A 192.0.2.1", "d.".repeat(110)));
    text
}
