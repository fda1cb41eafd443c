//! The resolvers: how each is set up, as strictly as it can be, and what it would write if it found
//! something odd about a server.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use crate::ask::Asker;
use crate::programs::find_program;
use crate::server::Server;
use crate::world::{resolver_v4, resolver_v6};
use windrose::model::RecordType;

/// The zones that stub resolvers are led to; the rest they find from the root.
const STUBS: [&str; 4] = ["example.test", "elsewhere.test", "glueless.test", "team.example.test"];

/// A program and a way to set it up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// BIND from the root, queries minimised strictly.
    Bind,
    /// BIND with `static-stub` zones.
    BindStub,
    /// Unbound from the root: minimised strictly, all hardening, letters of names in random case.
    Unbound,
    /// Unbound with stub zones.
    UnboundStub,
    /// Unbound that tells servers the network of its client.
    UnboundSubnet,
    /// Knot Resolver from the root.
    Knot,
    /// PowerDNS Recursor from the root, which tells servers the network of its client.
    PowerDns,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Bind,
        Self::BindStub,
        Self::Unbound,
        Self::UnboundStub,
        Self::UnboundSubnet,
        Self::Knot,
        Self::PowerDns,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::BindStub => "bind-stub",
            Self::Unbound => "unbound",
            Self::UnboundStub => "unbound-stub",
            Self::UnboundSubnet => "unbound-subnet",
            Self::Knot => "knot-resolver",
            Self::PowerDns => "pdns-recursor",
        }
    }

    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Bind | Self::BindStub => "named",
            Self::Unbound | Self::UnboundStub | Self::UnboundSubnet => "unbound",
            Self::Knot => "kresd",
            Self::PowerDns => "pdns_recursor",
        }
    }

    /// Whether it sends client subnets.
    pub(crate) const fn is_subnet(self) -> bool {
        matches!(self, Self::UnboundSubnet | Self::PowerDns)
    }

    /// What its log says, in small letters, when something is wrong with a server. Where an alias leads
    /// into another zone of the same server, all of them take only what they asked for and look for the
    /// rest where it belongs ("sanitize", "normalize", "Removing record"): that is no complaint.
    pub(crate) const fn complaints(self) -> &'static [&'static str] {
        match self {
            Self::Bind | Self::BindStub => &[
                "lame",
                "formerr",
                "format error",
                "servfail",
                "refused",
                "notimp",
                "disabling",
                "disabled",
                "reducing",
                "edns",
                "unexpected",
                "broken",
                "insecurity",
                "timed out",
                "error",
                "warning",
                "loop",
                "mismatch",
                "unreachable",
                "failed",
            ],
            Self::Unbound | Self::UnboundStub | Self::UnboundSubnet => &[
                " error:",
                " warning:",
                "lame",
                "formerr",
                "malformed",
                "mismatch",
                "fallback",
                "edns fail",
                "without edns",
                "no edns",
                "capsforid",
                "throwaway",
                "unwanted",
                "unexpected",
                "servfail",
                "bad 0x20",
                "bogus",
                "event_noreply",
                "module_event_error",
                "parse",
                "poor",
                "failed",
                "recursion_lame",
                "refused",
            ],
            Self::Knot => &[
                "[error]",
                "warning",
                "lame",
                "formerr",
                "mismatch",
                "malformed",
                "disabling",
                "servfail",
                "refused",
                "notimpl",
                "badvers",
                "failed",
                "unusable",
                "timed out",
                "timeouts",
                "broken",
                "unexpected",
                "invalid",
                "bogus",
                "without edns",
                "no edns",
                "upstream",
            ],
            Self::PowerDns => &[
                "lame",
                "formerr",
                "unable to parse",
                "discarding",
                "wonky",
                "error resolving",
                "timeout resolving",
                "hit a local resource",
                "throttling",
                "is throttled",
                "no!",
                "without edns",
                "not responding",
                "servfail",
                "refused",
                "does not support",
            ],
        }
    }

    /// Lines that hold such words and mean something else.
    const fn innocent(self) -> &'static [&'static str] {
        match self {
            Self::PowerDns => &["msg="],
            Self::Bind | Self::BindStub => &["not using config file logging"],
            Self::Unbound | Self::UnboundStub | Self::UnboundSubnet => {
                &["answer from the cache failed"]
            }
            Self::Knot => &[],
        }
    }

    fn config(self, directory: &Path, at: u8) -> String {
        let shown = directory.display();
        let (v4, v6) = (resolver_v4(at), resolver_v6(at));
        match self {
            Self::Bind | Self::BindStub => bind(self, &shown.to_string(), v4, &v6),
            Self::Unbound | Self::UnboundStub | Self::UnboundSubnet => {
                unbound(self, &shown.to_string(), v4, &v6)
            }
            Self::Knot => format!(
                "net.listen('{v4}', 53)\nnet.outgoing_v4('{v4}')\nnet.outgoing_v6('{v6}')\n\
                 trust_anchors.remove('.')\n\
                 policy.add(policy.suffix(policy.PASS, {{todname('test.')}}))\n\
                 modules.load('hints')\nhints.root_file('{shown}/hints')\n\
                 mode('strict')\ncache.size = 20 * MB\ncache.min_ttl(0)\nlog_level('debug')\n"
            ),
            Self::PowerDns => format!(
                "local-address={v4}\nquery-local-address={v4},{v6}\nallow-from=0.0.0.0/0\ndnssec=off\n\
                 hint-file={shown}/hints\nsocket-dir={shown}\nthreads=1\nloglevel=7\ntrace=yes\n\
                 dont-query=127.0.0.0/8\nedns-subnet-allow-list=0.0.0.0/0,test\necs-ipv4-bits=24\n\
                 ecs-add-for=0.0.0.0/0\nqname-minimization=yes\nsecurity-poll-suffix=\n\
                 root-nx-trust=yes\nminimum-ttl-override=0\ndisable-packetcache=yes\nserve-rfc1918=no\n\
                 quiet=no\n"
            ),
        }
    }

    fn command(self, directory: &Path) -> io::Result<Command> {
        let mut command = Command::new(find_program(self.program())?);
        let config = directory.join(format!("{}.conf", self.name()));
        match self {
            Self::Bind | Self::BindStub => command.args(["-f", "-n", "1", "-c"]).arg(config),
            Self::Unbound | Self::UnboundStub | Self::UnboundSubnet => {
                command.args(["-d", "-c"]).arg(config)
            }
            Self::Knot => command.args(["-n", "-c"]).arg(config).arg(directory.join("kresd")),
            Self::PowerDns => {
                fs::rename(config, directory.join("recursor.conf"))?;
                command.arg(format!("--config-dir={}", directory.display()))
            }
        };
        Ok(command)
    }
}

fn bind(kind: Kind, shown: &str, v4: Ipv4Addr, v6: &str) -> String {
    let mut config = format!(
        "options {{ directory \"{shown}\"; listen-on port 53 {{ {v4}; }}; listen-on-v6 {{ none; }};\n\
         query-source address {v4}; query-source-v6 address {v6};\n\
         pid-file none; session-keyfile none; recursion yes; allow-query {{ any; }};\n\
         dnssec-validation no; empty-zones-enable no; qname-minimization {};\n\
         managed-keys-directory \"{shown}\"; }};\n\
         controls {{ }};\n\
         logging {{ channel all {{ stderr; severity info; print-category yes; print-severity yes; }};\n\
         category default {{ all; }}; }};\n",
        // Where it is led by the hand there is nothing to minimise for.
        if kind == Kind::Bind { "strict" } else { "off" }
    );
    config += &format!("zone \".\" {{ type hint; file \"{shown}/hints\"; }};\n");
    if kind == Kind::BindStub {
        for zone in STUBS {
            config += &format!(
                "zone \"{zone}\" {{ type static-stub; server-addresses \
                 {{ 5.5.0.1; 5.6.0.1; 2a05:5::1; 2a05:6::1; }}; }};\n"
            );
        }
    }
    config
}

fn unbound(kind: Kind, shown: &str, v4: Ipv4Addr, v6: &str) -> String {
    let modules = if kind == Kind::UnboundSubnet { "subnetcache iterator" } else { "iterator" };
    let mut config = format!(
        "server:\n  directory: \"{shown}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n\
         \x20 interface: {v4}\n  outgoing-interface: {v4}\n  outgoing-interface: {v6}\n\
         \x20 access-control: 0.0.0.0/0 allow\n  num-threads: 1\n  verbosity: 4\n  module-config: \"{modules}\"\n\
         \x20 qname-minimisation: yes\n  qname-minimisation-strict: yes\n  use-caps-for-id: yes\n\
         \x20 harden-glue: yes\n  harden-below-nxdomain: yes\n  harden-referral-path: yes\n\
         \x20 harden-large-queries: yes\n  harden-short-bufsize: yes\n  harden-algo-downgrade: yes\n\
         \x20 unwanted-reply-threshold: 10000\n  minimal-responses: no\n  do-not-query-localhost: yes\n\
         \x20 local-zone: \"test.\" nodefault\n  log-servfail: yes\n\
         \x20 root-hints: \"{shown}/hints\"\n"
    );
    if kind == Kind::UnboundSubnet {
        config += "  send-client-subnet: 0.0.0.0/0\n  send-client-subnet: ::/0\n  max-client-subnet-ipv4: 24\n";
    }
    config += "remote-control:\n  control-enable: no\n";
    if kind == Kind::UnboundStub {
        for zone in STUBS {
            config += &format!("stub-zone:\n  name: \"{zone}\"\n");
            for address in ["5.5.0.1", "5.6.0.1", "2a05:5::1", "2a05:6::1"] {
                config += &format!("  stub-addr: {address}\n");
            }
        }
    }
    config
}

/// A running resolver.
pub(crate) struct Resolver {
    pub(crate) kind: Kind,
    pub(crate) address: IpAddr,
    server: Server,
    /// How much of its log is not about what it was asked here.
    read: usize,
}

impl Resolver {
    /// Starts it in `directory` as the n-th.
    pub(crate) fn start(kind: Kind, directory: &Path, at: u8) -> io::Result<Self> {
        let config = directory.join(format!("{}.conf", kind.name()));
        fs::create_dir_all(directory.join("kresd"))?;
        fs::write(config, kind.config(directory, at))?;
        let mut server = Server::start(kind.name(), kind.command(directory)?, directory)?;
        let address = resolver_v4(at).into();
        let asker = Asker::new(address);
        let name = b"\x05short\x07example\x04test\0";
        server.wait_until(|| {
            asker.ask(address, name, RecordType::A, true).rcode == 0
                && asker.ask(address, name, RecordType::A, true).len > 0
        })?;
        let read = server.log()?.len();
        Ok(Self { kind, address, server, read })
    }

    /// Lines of its log that complain of a server.
    pub(crate) fn complaints(&self) -> io::Result<Vec<String>> {
        let log = self.server.log()?;
        let is_odd = |line: &&str| {
            let line = line.to_lowercase();
            let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
            has(self.kind.complaints()) && !has(self.kind.innocent())
        };
        Ok(log[self.read..].lines().filter(is_odd).map(str::to_owned).collect())
    }
}

/// Delegated to servers that know nothing of it.
const LAME: &[u8] = b"\x04lame\x04test\0";

impl Resolver {
    /// Whether it does complain where there is reason to: otherwise its silence means nothing.
    pub(crate) fn complains_of_lame_servers(&self) -> io::Result<bool> {
        let before = self.complaints()?.len();
        let answer = Asker::new(self.address).ask(self.address, LAME, RecordType::A, true);
        Ok(answer.rcode == 2 && self.complaints()?.len() > before)
    }
}
