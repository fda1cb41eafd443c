//! The network of the lab: each machine in a namespace of its own, behind one router, which is where the lab
//! itself runs.
//!
//! ```text
//! nats 10.0.1.2 ──┐                            ┌── endpoints 10.0.7.2
//! node-1 .2.2 ────┤                            │   and all of 198.18.0.0/15
//! node-2 .3.2 ────┼── router, the lab, 10.0.N.1 ──┘
//! fra-1 .4.2 ─────┤
//! iad-1 .5.2 ─────┤
//! sin-1 .6.2 ─────┤
//! alone .8.2 ─────┘
//! ```
//! What is lost without a word is a `blackhole` route on the router: on the machine that sends, such a route
//! would be an error at once. Kernels as small as ours have no `netem`, so nothing is delayed.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::program::run;

/// Where endpoints are: the networks for benchmarks (RFC 2544).
const ENDPOINTS: &str = "198.18.0.0/15";
/// What no endpoint may be at, which leads to the machine of the endpoints all the same: whatever is sent there
/// is to be seen.
pub(crate) const CANARIES: &str = "169.254.0.0/16";

/// A machine. Its number stands in its addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    number: u8,
}

pub(crate) const NATS: Machine = Machine { name: "nats", number: 1 };
pub(crate) const NODES: [Machine; 2] =
    [Machine { name: "node-1", number: 2 }, Machine { name: "node-2", number: 3 }];
pub(crate) const VANTAGES: [Machine; 3] = [
    Machine { name: "fra-1", number: 4 },
    Machine { name: "iad-1", number: 5 },
    Machine { name: "sin-1", number: 6 },
];
pub(crate) const ENDPOINT_HOST: Machine = Machine { name: "endpoints", number: 7 };

/// A node without a fleet.
pub(crate) const ALONE: Machine = Machine { name: "alone", number: 8 };
/// All that answer DNS.
pub(crate) const SERVERS: [Machine; 3] = [NODES[0], NODES[1], ALONE];

/// All machines.
pub(crate) fn machines() -> impl Iterator<Item = Machine> {
    [NATS].into_iter().chain(SERVERS).chain(VANTAGES).chain([ENDPOINT_HOST])
}

impl Machine {
    /// Where it is.
    pub(crate) const fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, self.number, 2)
    }
}

/// Makes the namespaces of all machines and the wires between them.
///
/// The names of namespaces are files below `/run`, which is therefore an empty one of our own.
pub(crate) fn lay_wires() -> io::Result<()> {
    call("mount", "-t tmpfs none /run")?;
    call("ip", "link set lo up")?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    // Whoever asks for what cannot be reached is told each time, not once a second.
    fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0")?;
    for Machine { name, number } in machines() {
        let router = Ipv4Addr::new(10, 0, number, 1);
        call("ip", &format!("netns add {name}"))?;
        call("ip", &format!("link add {name} type veth peer name wire netns {name}"))?;
        call("ip", &format!("address add {router}/30 dev {name}"))?;
        call("ip", &format!("link set {name} up"))?;
        call("ip", &format!("-n {name} address add 10.0.{number}.2/30 dev wire"))?;
        call("ip", &format!("-n {name} link set wire up"))?;
        call("ip", &format!("-n {name} link set lo up"))?;
        call("ip", &format!("-n {name} route add default via {router}"))?;
    }
    let Machine { name, .. } = ENDPOINT_HOST;
    for network in [ENDPOINTS, CANARIES] {
        call("ip", &format!("-n {name} route add local {network} dev lo"))?;
        call("ip", &format!("route add {network} via {}", ENDPOINT_HOST.address()))?;
    }
    Ok(())
}

/// A fault of the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// What is sent to an address is lost without a word.
    Blackhole(Ipv4Addr),
    /// Whoever sends to an address is told that it cannot be reached.
    Unreachable(Ipv4Addr),
    /// A machine hears nobody, and thereby reaches nobody.
    Cut(Machine),
    /// A machine does not hear the endpoints, but everybody else.
    Blind(Machine),
}

impl Fault {
    fn apply(self, verb: &str) -> io::Result<()> {
        call(
            "ip",
            &match self {
                Self::Blackhole(address) => format!("route {verb} blackhole {address}/32"),
                Self::Unreachable(address) => format!("route {verb} unreachable {address}/32"),
                Self::Cut(machine) => format!("route {verb} blackhole {}/32", machine.address()),
                // Only for what comes in by the endpoints' wire.
                Self::Blind(machine) => format!(
                    "rule {verb} iif {} to {}/32 blackhole",
                    ENDPOINT_HOST.name,
                    machine.address()
                ),
            },
        )
    }

    /// From now on.
    pub(crate) fn begin(self) -> io::Result<()> {
        self.apply("add")
    }

    /// No longer.
    pub(crate) fn end(self) -> io::Result<()> {
        self.apply("del")
    }
}

/// What is laid over `/etc` and `/var/lib` of all machines: places for each machine's own files, and where the
/// broker is.
pub(crate) fn lay_files(directory: &Path) -> io::Result<()> {
    let (etc, var) = (directory.join("etc"), directory.join("var"));
    for below in [&etc, &var] {
        fs::create_dir_all(below.join("windrose"))?;
        fs::create_dir_all(below.join("nats"))?;
    }
    fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n{} nats\n", NATS.address()))?;
    fs::write(etc.join("nsswitch.conf"), "hosts: files\n")?;
    for (over, under) in [(etc, "/etc"), (var, "/var/lib")] {
        let option = format!("lowerdir={}:{under}", over.display());
        let (text, is_done) = run("mount", &["-t", "overlay", "none", "-o", &option, under])?;
        if !is_done {
            return Err(io::Error::other(format!("{under}: {text}")));
        }
    }
    Ok(())
}

/// Runs a program with `arguments`, parted by spaces; an error is what it says if it is not content.
fn call(program: &str, arguments: &str) -> io::Result<()> {
    let parts: Vec<&str> = arguments.split(' ').collect();
    match run(program, &parts)? {
        (_, true) => Ok(()),
        (text, false) => Err(io::Error::other(format!("{program} {arguments}: {}", text.trim()))),
    }
}
