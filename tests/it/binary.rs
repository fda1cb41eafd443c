//! The program itself: signals, exit codes, what it says on stderr.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use super::node::client::{A, query, said};
use super::node::{Files, PATIENCE, records, zone};

const SERVER: &str = r#"
[dns]
listen = ["127.0.0.1:0"]
threads = 1
[admin]
listen = []
"#;

/// A running program. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

/// `windrose serve`, not started yet.
pub(crate) fn serving(files: &Files) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windrose"));
    command.arg("--config").arg(files.path("windrose.toml")).arg("serve");
    command
}

impl Program {
    fn start(files: &Files) -> Self {
        Self::start_by(serving(files))
    }

    pub(crate) fn start_by(mut command: Command) -> Self {
        command.env_remove("RUST_LOG").env("NO_COLOR", "1").stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Reads stderr until a line has `text` in it; everything up to there.
    pub(crate) fn says(&mut self, text: &str) -> String {
        let mut read = String::new();
        let mut from = 0;
        while !read[from..].contains(text) {
            from = read.len();
            let len = self.stderr.read_line(&mut read).unwrap();
            assert!(len > 0, "ended without `{text}`:\n{read}");
        }
        read
    }

    /// Where it answers, once it does.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let said = self.says("answering on ");
        let (_, rest) = said.rsplit_once("answering on ").unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("kill -{name} {}", self.child.id())]);
        assert!(command.status().unwrap().success());
    }

    /// How it ends, and what it says until then.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended by itself in a test that has passed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn ask(server: SocketAddr, name: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&query(7, name, A), server).unwrap();
    let mut reply = [0; 512];
    let len = socket.recv(&mut reply).expect("a query is lost");
    said(&reply[..len])
}

/// Files with the zone, and the listeners that its two endpoints are.
pub(crate) fn served() -> (Files, [TcpListener; 2]) {
    let files = Files::new(SERVER);
    let endpoints = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [first, second] = endpoints.each_ref().map(|one| one.local_addr().unwrap());
    files.write("zones/example.com.zone", records("one"));
    files.write("zones/example.com.toml", zone("", first, second));
    (files, endpoints)
}

#[test]
fn a_broken_zone_on_sighup_is_told_in_full_while_queries_are_answered() {
    let (files, endpoints) = served();
    let mut program = Program::start(&files);
    let server = program.address();
    let is_over = Arc::new(AtomicBool::new(false));
    let asking = {
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(ask(server, "www.example.com"), "192.0.2.1");
                count += 1;
            }
            count
        })
    };
    let [first, second] = endpoints.each_ref().map(|one| one.local_addr().unwrap());
    let broken = zone("", first, second).replace("\"failover\"", "\"failovr\"");
    files.write("zones/example.com.toml", broken.replace("fall = 2", "fall = 0"));
    program.signal("HUP");
    program.says("reload refused: ");
    let report = program.says("failovr") + &program.says("reloading because of");
    for part in ["example.com.toml:", "did you mean", "fall"] {
        assert!(report.contains(part), "{part} is missing from\n{report}");
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(asking.join().unwrap() > 0);
    assert_eq!(ask(server, "www.example.com"), "192.0.2.1");
    program.signal("TERM");
    assert!(program.end().0.success());
}

#[test]
fn sigterm_ends_with_0_and_leaves_the_verdicts() {
    let (files, _endpoints) = served();
    let mut program = Program::start(&files);
    let server = program.address();
    assert_eq!(ask(server, "www.example.com"), "192.0.2.1");
    program.signal("TERM");
    let (status, rest) = program.end();
    assert_eq!(status.code(), Some(0), "{rest}");
    let verdicts = fs::read_to_string(files.path("state/verdicts.json")).unwrap();
    assert_eq!(verdicts.matches("\"verdict\": \"up\"").count(), 2, "{verdicts}");
}

#[test]
fn a_port_that_is_taken_is_said_and_ends_with_1() {
    let (files, _endpoints) = served();
    let mut first = Program::start(&files);
    let taken_by_windrose = first.address();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let cases = [
        ("TCP", taken_by_windrose),
        ("TCP", tcp.local_addr().unwrap()),
        ("UDP", udp.local_addr().unwrap()),
    ];
    for (transport, address) in cases {
        let server = SERVER.replace("127.0.0.1:0", &address.to_string());
        files.write("windrose.toml", format!("version = 1\n{server}"));
        let (status, said) = Program::start(&files).end();
        assert_eq!(status.code(), Some(1), "{said}");
        let expected = format!("error: cannot listen on {transport} {address}: ");
        assert!(
            said.contains(&expected) && said.contains("another server has this port"),
            "{said}"
        );
    }
    first.signal("INT");
    assert_eq!(first.end().0.code(), Some(0));
}

/// A deployment that reloads right after the start must not kill what it has just started.
#[test]
fn sighup_during_the_start_is_a_reload() {
    let files = Files::new(SERVER);
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = endpoint.local_addr().unwrap();
    files.write("zones/example.com.zone", records("one"));
    let patient = zone("", address, address)
        .replace("kind = \"tcp\"", "kind = \"http\"")
        .replace("\"200ms\"", "\"60s\"");
    files.write("zones/example.com.toml", patient);
    let mut program = Program::start(&files);
    // It probes, so it is past the reading; it does not answer before the probe does.
    let (mut probe, _) = endpoint.accept().unwrap();
    program.signal("HUP");
    probe.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    program.says("reloading because of SIGHUP");
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
}
