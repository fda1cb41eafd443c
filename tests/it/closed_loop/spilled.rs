//! windrose as it answers: a zone whose pools have capacities and feeds, its snapshots, `handle`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use windrose::config::{self, ZoneFiles};
use windrose::dns::{Arrival, Dice, handle};
use windrose::geo::Atlas;
use windrose::model::feed::Load;
use windrose::model::{
    EndpointId, Name, Report, Target, TargetHealth, TargetHost, Time, Verdict, Zone,
};
use windrose::snapshot::demand::Estimator;
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

use super::world::{Region, Steering};

/// `failover` with capacities, and clauses by which the clients of each region prefer it.
pub(super) struct Spilled {
    snapshot: Snapshot,
    estimator: Estimator,
    dice: Dice,
    down: HashSet<usize>,
    /// Of a hundred clients, how many are in each region.
    homes: Vec<u64>,
}

struct OneFile(String);

impl ZoneFiles for OneFile {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["shop.test.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(self.0.as_str().into())
    }
}

impl Spilled {
    pub(super) fn new(ttl: u64, capacities: &[f64], homes: &[u64]) -> Self {
        let mut report = Report::new();
        let zones = config::read_zones(&mut report, &OneFile(zone(ttl, capacities)));
        assert_eq!(report.to_string(), "");
        let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::build(Vec::new()).unwrap()) };
        let up = |_: &Target| TargetHealth::UNCHECKED;
        let snapshot = Snapshot::compile(blueprint, 1, &Conditions::new(Time::ZERO, &up)).unwrap();
        Self {
            snapshot,
            estimator: Estimator::default(),
            dice: Dice::new(42),
            down: HashSet::new(),
            homes: homes.to_vec(),
        }
    }
}

fn zone(ttl: u64, capacities: &[f64]) -> String {
    let mut zone = format!(
        "zone = 'shop.test'\nnameservers = ['ns1.example.net.']\nttl = '{ttl}s'\n\
         [regions.all]\nlocation = [0, 0]\n\
         [checks.web]\nkind = 'tcp'\nport = 443\n\
         [feeds.load]\nkind = 'push'\nlimit = 1\n"
    );
    let pools: Vec<String> = (0..capacities.len()).map(|n| format!("'p{n}'")).collect();
    for (n, capacity) in capacities.iter().enumerate() {
        zone += &format!(
            "[pools.p{n}]\nregion = 'all'\ncheck = 'web'\nfeed = 'load'\ncapacity = {capacity}\n\
             endpoints = [{{ address = '192.0.2.{n}' }}]\n"
        );
    }
    zone += &format!("[steer.www]\npolicy = 'failover'\npools = [{}]\n", pools.join(", "));
    for n in 0..pools.len() {
        let mut order = pools.clone();
        order.rotate_left(n);
        zone += &format!(
            "[[steer.www.where]]\nsubnet = ['{}.0.0.0/8']\npools = [{}]\n",
            10 + n,
            order.join(", ")
        );
    }
    zone
}

impl Steering for Spilled {
    fn look(&mut self, now: u64, regions: &[Region], loads: &[Option<Load>]) {
        self.down = (0..regions.len()).filter(|n| !regions[*n].is_up).collect();
        let of_target = |target: &Target| {
            let down = TargetHealth { verdict: Verdict::Down, ..TargetHealth::UNCHECKED };
            match &target.host {
                TargetHost::Address(IpAddr::V4(address))
                    if self.down.contains(&usize::from(address.octets()[3])) =>
                {
                    down
                }
                _ => TargetHealth::UNCHECKED,
            }
        };
        let load_of = |zone: &Zone, id: EndpointId| loads[zone.endpoints[id.index()].pool.index()];
        let (time, unix) = (Time::from_secs(now), Duration::from_secs(now));
        let demands = self.estimator.step(&self.snapshot, time, unix, &load_of);
        let conditions =
            Conditions { demands: demands.as_ref(), ..Conditions::new(time, &of_target) };
        if let Some(next) = self.snapshot.next(&conditions) {
            self.snapshot = next;
        }
    }

    fn choose(&mut self, key: u64) -> usize {
        let mut left = key % 100;
        let home = self.homes.iter().position(|part| match left.checked_sub(*part) {
            Some(rest) => (left = rest, false).1,
            None => true,
        });
        let [a, b, ..] = key.to_be_bytes();
        let home = u8::try_from(home.unwrap()).unwrap();
        let mut packet = vec![0xca, 0xfe, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        packet.extend_from_slice(Name::parse("www.shop.test.", &Name::root()).unwrap().as_wire());
        packet.extend_from_slice(&[0, 1, 0, 1]);
        // OPT with a client subnet of 24 bits.
        packet.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 11]);
        packet.extend_from_slice(&[0, 8, 0, 7, 0, 1, 24, 0, 10 + home, a, b]);
        let client = IpAddr::from([198, 18, 0, 53]);
        let arrival = Arrival { client, is_udp: true, unix_secs: 0 };
        let mut reply = [0; 512];
        let outcome = handle(&self.snapshot, &packet, arrival, &mut self.dice, &mut reply);
        // The one record is the last before OPT, which has the subnet.
        let end = outcome.len - 11 - 11;
        usize::from(reply[end - 1])
    }
}
