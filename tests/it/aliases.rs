//! Aliases: a node that looks their hosts up at another one.

use std::net::SocketAddr;

use windrose::config::{self, ZoneFiles};
use windrose::model::Report;
use windrose::server::Node;

use super::node::client::{A, AAAA, ask};
use super::node::{Files, SERVER, until};

/// The other node's zone: where `lb` is.
fn vendor(addresses: &[&str]) -> String {
    let record = |address: &&str| {
        let rtype = if address.contains(':') { "AAAA" } else { "A" };
        format!("lb 5 {rtype} {address}\nreal.lb 5 {rtype} {address}\n")
    };
    let records: String = addresses.iter().map(record).collect();
    format!("$TTL 5\n@ SOA ns a 1 2h 1h 2w 5\n@ NS ns.example.net.\nwww 5 CNAME real.lb\n{records}")
}

const VENDOR: &str = "zones/vendor.test.zone";

const SHOP: &str = r#"
zone = "shop.test"
nameservers = ["ns1.example.net."]
records = "shop.test.zone"
[regions.eu]
location = "IE"
[regions.us]
location = "US"
[pools.eu]
region = "eu"
endpoints = [{ name = "lb", alias = "www.vendor.test." }]
[pools.us]
region = "us"
endpoints = [{ address = "198.51.100.1" }]
[steer."@"]
policy = "failover"
pools  = ["eu", "us"]
https  = { alpn = ["h2"] }
[steer.only]
policy = "failover"
pools  = ["eu"]
"#;

const CHAIN: &str = "$TTL 30\nchain CNAME only\n";

async fn shop(resolver: SocketAddr) -> (Files, Node) {
    let server = format!(
        "{SERVER}[probe]\nfirst-verdicts = \"3s\"\n[alias]\nresolvers = [\"{resolver}\"]\n"
    );
    let files = Files::new(&server);
    files.write("zones/shop.test.toml", SHOP);
    files.write("zones/shop.test.zone", CHAIN);
    let node = files.start().await;
    (files, node)
}

async fn becomes(node: &Node, name: &str, rtype: u16, expected: &str) {
    let look = async || (ask(node.addresses.dns[0], name, rtype).await == expected).then_some(());
    until(&format!("{name} becomes {expected}"), look).await;
}

#[tokio::test]
async fn an_alias_is_answered_by_what_its_host_has_and_goes_on_when_nobody_tells() {
    let vendor_files = Files::new(SERVER);
    vendor_files.write(VENDOR, vendor(&["192.0.2.20", "192.0.2.3", "2001:db8::3"]));
    let vendor_node = vendor_files.start().await;
    let (_files, node) = shop(vendor_node.addresses.dns[0]).await;
    let dns = node.addresses.dns[0];
    // At the apex, in order, from the first answer on.
    assert_eq!(ask(dns, "shop.test", A).await, "192.0.2.3 192.0.2.20");
    assert_eq!(ask(dns, "shop.test", AAAA).await, "2001:db8::3");
    let chain = ask(dns, "chain.shop.test", A).await;
    assert_eq!(chain, "only.shop.test. 192.0.2.3 192.0.2.20");

    vendor_files.write(VENDOR, vendor(&["192.0.2.4"]));
    becomes(&node, "shop.test", A, "192.0.2.4").await;
    becomes(&node, "only.shop.test", AAAA, "No Error").await;

    let metrics = async || {
        let url = format!("http://{}/metrics", node.addresses.admin[0]);
        reqwest::get(url).await.expect("the node answers").text().await.expect("text")
    };
    assert!(metrics().await.contains("\nwindrose_alias_failures_total 0\n"));
    vendor_node.shut_down().await;
    let has_failed =
        async || (!metrics().await.contains("\nwindrose_alias_failures_total 0\n")).then_some(());
    until("a look-up has failed", has_failed).await;
    assert_eq!(ask(dns, "shop.test", A).await, "192.0.2.4", "what was found last stays");
    node.shut_down().await;
}

#[tokio::test]
async fn others_serve_while_a_host_was_never_found() {
    // Nobody is there.
    let resolver = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("bound")
    };
    let (_files, node) = shop(resolver).await;
    let dns = node.addresses.dns[0];
    assert_eq!(ask(dns, "shop.test", A).await, "198.51.100.1");
    assert_eq!(ask(dns, "only.shop.test", A).await, "Server Failure");

    let vendor_files = Files::new(&SERVER.replacen("127.0.0.1:0", &resolver.to_string(), 1));
    vendor_files.write(VENDOR, vendor(&["192.0.2.3"]));
    let vendor_node = vendor_files.start().await;
    becomes(&node, "only.shop.test", A, "192.0.2.3").await;
    becomes(&node, "shop.test", A, "192.0.2.3").await;
    vendor_node.shut_down().await;
    node.shut_down().await;
}

/// Files by name.
struct Zones(Vec<(&'static str, String)>);

impl ZoneFiles for Zones {
    fn directory(&self) -> &'static str {
        "zones/"
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn read(&self, name: &str) -> Result<std::sync::Arc<str>, String> {
        let file = self.0.iter().find(|(own, _)| *own == name).ok_or("not there")?;
        Ok(file.1.as_str().into())
    }
}

#[test]
fn an_alias_that_would_be_looked_up_at_ourselves_is_an_error() {
    let told = |host: &str| {
        let other =
            "$TTL 5\n@ SOA ns a 1 2h 1h 2w 5\n@ NS ns.example.net.\nsub NS ns.example.net.\n";
        let files = Zones(vec![
            ("shop.test.toml", SHOP.replace("www.vendor.test.", host)),
            ("shop.test.zone", CHAIN.to_owned()),
            ("other.test.zone", other.to_owned()),
        ]);
        let mut report = Report::new();
        config::read_zones(&mut report, &files);
        report.to_string()
    };
    for host in ["www.vendor.test.", "lb.sub.other.test.", "test."] {
        assert_eq!(told(host), "", "{host}");
    }
    for (host, zone) in
        [("www", "shop.test."), ("@", "shop.test."), ("a.other.test.", "other.test.")]
    {
        let told = told(host);
        assert!(told.contains(&format!("a name of our zone `{zone}`")), "{host}: {told}");
        assert!(told.contains("zones/shop.test.toml:2:8"), "{host}: {told}");
    }
}
