//! The zone files of the lab: many names, each with an endpoint of its own and one that stands in for it.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// Where clients go whose endpoint is dead.
pub(crate) const STAND_IN: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 1);

/// A zone of such names.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) apex: String,
    /// How endpoints are checked: lines of `[checks.web]` beside its kind and path.
    pub(crate) check: &'static str,
    /// The network of its endpoints, a /24.
    pub(crate) network: [u8; 3],
    pub(crate) count: u8,
}

impl Zone {
    /// What nodes have before anything is pushed to them.
    pub(crate) fn before_the_first_push() -> Self {
        Self::new("first.test", "", [198, 19, 254], 1)
    }

    pub(crate) fn new(apex: &str, check: &'static str, network: [u8; 3], count: u8) -> Self {
        Self { apex: apex.to_owned(), check, network, count }
    }

    /// The name of an endpoint.
    pub(crate) fn name(&self, n: u8) -> String {
        format!("n{n}.{}", self.apex)
    }

    /// Where it is.
    pub(crate) fn address(&self, n: u8) -> Ipv4Addr {
        let [first, second, third] = self.network;
        Ipv4Addr::new(first, second, third, n)
    }

    /// All that its zone file names.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        (0..self.count).map(|n| self.address(n)).chain([STAND_IN])
    }

    fn text(&self) -> String {
        let mut text = format!(
            "zone = \"{}\"\nnameservers = [\"ns1.lab.test.\", \"ns2.lab.test.\"]\nttl = \"30s\"\n\
             [regions.here]\nlocation = [50.1, 8.7]\n[regions.there]\nlocation = [39.0, -77.5]\n\
             [checks.web]\nkind = \"http\"\npath = \"/healthz\"\nexpect = {{ body = \"ok\" }}\n{}\n\
             [pools.stand-in]\nregion = \"there\"\ncheck = \"web\"\nendpoints = [{{ address = \"{STAND_IN}\" }}]\n",
            self.apex, self.check
        );
        for n in 0..self.count {
            let address = self.address(n);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "[pools.p{n}]\nregion = \"here\"\ncheck = \"web\"\nendpoints = [{{ address = \"{address}\" }}]\n\
                 [steer.n{n}]\npolicy = \"failover\"\npools = [\"p{n}\", \"stand-in\"]\n"
            );
        }
        text
    }
}

/// Writes zone files into a directory, and nothing else that was there stays.
pub(crate) fn write(directory: &Path, zones: &[Zone]) -> io::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    for zone in zones {
        fs::write(directory.join(format!("{}.toml", zone.apex)), zone.text())?;
    }
    Ok(())
}
