//! A zone as an operator means it: static records, regions, checks, pools, and the rules (steers)
//! that choose among them.
//!
//! A [`Zone`] is made by `config` from a zone file and never changes. Everything in it is checked:
//! ids are in range, every steer has a pool, every pool an endpoint. What it leads to, the answers,
//! is decided by `steer` and compiled by `snapshot`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU32};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::Sources;
use super::{
    Check, CheckId, CheckSpec, Continent, Coordinates, Country, EndpointId, Feed, FeedId, Form,
    Name, PoolId, Prefix, RecordType, RegionId, SteerId, Subdivision, Target, TargetHost,
    ZoneNames,
};

/// Everything that one zone's files say.
#[derive(Clone, PartialEq, Debug)]
pub struct Zone {
    /// The apex.
    pub apex: Name,
    /// Its names with their static records: the master file's, and the SOA and NS made from the zone
    /// file. Steered names lead to [`steers`](Self::steers).
    pub names: Arc<ZoneNames>,
    /// Places that we serve from.
    pub regions: Vec<Region>,
    /// What "healthy" means.
    pub checks: Vec<Check>,
    /// What says how busy endpoints are.
    pub feeds: Vec<Feed>,
    /// Endpoints of one region that serve the same thing.
    pub pools: Vec<Pool>,
    /// What answers can name. Those of one pool stand together.
    pub endpoints: Vec<Endpoint>,
    /// How names choose among pools.
    pub steers: Vec<Steer>,
    /// Round-trip times between clients and regions, for [`Policy::Latency`].
    pub rtts: Arc<[RttEntry]>,
    /// What must hold before this zone may be served.
    pub expectations: Vec<Expectation>,
    /// The programs that checks run, which the server must allow.
    pub programs: Vec<ProgramUse>,
    /// Where it was written.
    pub places: Places,
    /// The file that the places of these lie in; none when there are none.
    pub written: Sources,
}

impl Zone {
    /// A zone in which there is nothing.
    #[must_use]
    pub fn empty(apex: Name) -> Self {
        Self {
            apex,
            names: Arc::default(),
            regions: Vec::new(),
            checks: Vec::new(),
            feeds: Vec::new(),
            pools: Vec::new(),
            endpoints: Vec::new(),
            steers: Vec::new(),
            rtts: Arc::default(),
            expectations: Vec::new(),
            programs: Vec::new(),
            places: Places::default(),
            written: Sources::default(),
        }
    }
}

/// Where the things of a zone were written, which makes no zone another.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Checks, by id.
    pub checks: Vec<super::Span>,
    /// The addresses of endpoints, by id.
    pub endpoints: Vec<super::Span>,
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A place that we serve from.
#[derive(Clone, PartialEq, Debug)]
pub struct Region {
    /// The name it is called by.
    pub name: String,
    /// Where it is.
    pub coordinates: Coordinates,
    /// The regions to turn to first when it fails, before the next nearest.
    pub fallback: Vec<RegionId>,
    /// How much nearer (1..=99) or farther (−99..=−1) than it is it is to seem, in percent.
    pub bias: i8,
}

/// Endpoints of one region that serve the same thing.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// The name it is called by.
    pub name: String,
    /// Where it is.
    pub region: RegionId,
    /// What "healthy" means for its endpoints. Without one they are always up.
    pub check: Option<CheckId>,
    /// What says how busy its endpoints are.
    pub feeds: Vec<FeedId>,
    /// How much it can carry when all of it is well: where it is [by load](Zone::is_by_load), that is a
    /// load of 1.0, in whatever unit the operator likes; elsewhere it is in answers a second of this node.
    pub capacity: Option<NonZeroU32>,
    /// How many endpoints must be usable for the pool to be.
    pub min_healthy: MinHealthy,
    /// How long an endpoint that comes back takes to its whole weight; zero for no time.
    pub slow_start: Duration,
    /// Its endpoints in [`Zone::endpoints`]; never empty.
    pub endpoints: Range<usize>,
}

impl Pool {
    /// Whether `feeds`, which are its zone's, say how busy it is, in parts of what it can carry.
    #[must_use]
    pub fn is_by_load(&self, feeds: &[Feed]) -> bool {
        let mut own = self.feeds.iter().map(|feed| &feeds[feed.index()].spec);
        own.any(|spec| spec.measures_load() && spec.has_scale())
    }
}

/// How many of a pool's endpoints must be usable for the pool to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinHealthy {
    /// This many; at least 1.
    Count(u32),
    /// This share of them, in percent (1..=100), rounded up.
    Percent(u8),
}

impl MinHealthy {
    /// The count it asks for in a pool of `total` endpoints: 1..=`total`.
    #[must_use]
    pub fn count(self, total: usize) -> usize {
        let wanted = match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => (total * usize::from(percent)).div_ceil(100),
        };
        wanted.clamp(1, total.max(1))
    }
}

/// One thing that an answer can name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The name it is called by; unique in its pool.
    pub name: String,
    /// The pool it belongs to.
    pub pool: PoolId,
    /// What an answer says.
    pub at: EndpointAt,
    /// Where it is probed, if not at the addresses that answers name: a management address, say.
    pub check_address: Option<CheckAddress>,
    /// Its share among the pool's endpoints, at most [`WEIGHT_MAX`]. One of weight 0 is used only
    /// when all others are down.
    pub weight: u32,
    /// What records of other types than addresses say of it.
    pub facts: Facts,
}

impl Endpoint {
    /// Its targets under a check: one for each way to reach it.
    #[must_use]
    pub fn targets(&self, spec: &Arc<CheckSpec>) -> EndpointTargets {
        let target = |host| Some(Target { host, spec: Arc::clone(spec) });
        match &self.at {
            EndpointAt::Addresses { v4, v6 } => {
                let at = |address| target(TargetHost::Address(self.probed_for(address)));
                let (v4, v6) = (v4.map(IpAddr::V4), v6.map(IpAddr::V6));
                EndpointTargets { v4: v4.and_then(at), v6: v6.and_then(at), host: None }
            }
            EndpointAt::Host(name) | EndpointAt::Alias(name) => {
                EndpointTargets { host: target(self.probed_for_name(name)), ..Default::default() }
            }
        }
    }

    /// Where it is probed for an address that answers name.
    #[must_use]
    pub fn probed_for(&self, address: IpAddr) -> IpAddr {
        let at = match (self.check_address, address) {
            (None, _) => None,
            (Some(CheckAddress::One(at)), _) => Some(at),
            (Some(CheckAddress::Each { v4, .. }), IpAddr::V4(_)) => v4.map(IpAddr::V4),
            (Some(CheckAddress::Each { v6, .. }), IpAddr::V6(_)) => v6.map(IpAddr::V6),
        };
        at.unwrap_or(address)
    }

    /// Where it is probed if it is found by a name.
    #[must_use]
    pub fn probed_for_name(&self, name: &Name) -> TargetHost {
        match self.check_address {
            Some(CheckAddress::One(at)) => TargetHost::Address(at),
            Some(CheckAddress::Each { .. }) | None => TargetHost::Name(name.clone()),
        }
    }

    /// The name under which it alone is found, if it has one.
    #[must_use]
    pub const fn host(&self) -> Option<&Name> {
        match &self.at {
            EndpointAt::Host(name) | EndpointAt::Alias(name) => Some(name),
            EndpointAt::Addresses { .. } => self.facts.host.as_ref(),
        }
    }
}

/// Where an endpoint is probed that is not probed where answers lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckAddress {
    /// At one address for all of it: as one target.
    One(IpAddr),
    /// For each of its families at an address of that family: at its own where there is none.
    Each {
        /// For its IPv4 address.
        v4: Option<Ipv4Addr>,
        /// For its IPv6 address.
        v6: Option<Ipv6Addr>,
    },
}

/// What records of other types than addresses say of an endpoint.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Facts {
    /// The name that leads to its addresses.
    pub host: Option<Name>,
    /// The port at which it serves.
    pub port: Option<u16>,
    /// Its place in an order: smaller is better, as in SRV and MX.
    pub priority: Option<u16>,
    /// Anything else.
    pub text: Option<String>,
}

/// How an endpoint is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndpointAt {
    /// At addresses: at least one of the two.
    Addresses {
        /// Answers to A.
        v4: Option<Ipv4Addr>,
        /// Answers to AAAA.
        v6: Option<Ipv6Addr>,
    },
    /// Under a host name, answered as CNAME.
    Host(Name),
    /// At the addresses of a host, which are looked up while answers are given.
    Alias(Name),
}

/// One rule: how one name chooses among pools.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Steer {
    /// The name that is steered.
    pub owner: Name,
    /// Whether it is only a branch of other steers: then its owner is no name of the zone.
    pub is_branch_only: bool,
    /// How it chooses between its branches.
    pub policy: Policy,
    /// What it chooses among, in the order written; never empty.
    pub branches: Vec<Branch>,
    /// How it chooses inside a pool.
    pub pick: Pick,
    /// First match wins, before the policy.
    pub wheres: Vec<Where>,
    /// Which clients get which branches, under [`Policy::Map`].
    pub map: ClientMap,
    /// Regions that are to seem nearer (1..=99) or farther (−99..=−1) than they are, under
    /// [`Policy::Nearest`], in percent as Route 53 defines it.
    pub bias: Vec<(RegionId, i8)>,
    /// When a pool that was lost is used again.
    pub failback: Failback,
    /// How long a branch that comes back takes to its full share; zero for at once.
    pub ramp: Duration,
    /// Of a thousand answers that the first choice would give, how many the next one gives instead,
    /// to keep it warm; under policies that name one branch only.
    pub trickle: u16,
    /// How fast it gives up pools that are lost; `None` for at once.
    pub velocity: Option<Velocity>,
    /// Whether health is looked at and reported but not acted on.
    pub is_observe_only: bool,
    /// Names of one group send a client to the same region when they are sticky.
    pub affinity: Option<String>,
    /// Whether a load-driven policy between branches sends a client to the same branch each time.
    pub is_sticky: bool,
    /// What makes a client sticky.
    pub key_bits: KeyBits,
    /// What is answered when no pool is usable.
    pub all_down: AllDown,
    /// Whether it answers A and AAAA, and CNAME where endpoints are host names.
    pub has_addresses: bool,
    /// What it answers besides; no two of one type.
    pub forms: Vec<Form>,
    /// The longest time that an answer may live, in whole seconds.
    pub ttl: Duration,
    /// The shortest, however soon a change may come.
    pub ttl_min: Duration,
    /// How much shorter TTLs are made, so that answers do not expire in step.
    pub ttl_jitter: TtlJitter,
}

impl Steer {
    /// How many leading bits make a client's key, unless told otherwise: what resolvers send at most
    /// (RFC 7871 §11.1).
    pub const KEY_BITS: KeyBits = KeyBits { v4: 24, v6: 56 };
    /// The shortest TTL, unless told otherwise.
    pub const TTL_MIN: Duration = Duration::from_secs(5);

    /// A steer of nothing, with everything else at its default. Its `ttl` is for its zone to say.
    #[must_use]
    pub fn new(owner: Name, policy: Policy) -> Self {
        Self {
            owner,
            is_branch_only: false,
            policy,
            branches: Vec::new(),
            pick: Pick { policy: Policy::Sticky, is_sticky: false, answers: NonZeroU8::MIN },
            wheres: Vec::new(),
            map: ClientMap::default(),
            bias: Vec::new(),
            failback: Failback::Auto,
            ramp: Duration::ZERO,
            trickle: 0,
            velocity: None,
            is_observe_only: false,
            affinity: None,
            is_sticky: false,
            key_bits: Self::KEY_BITS,
            all_down: AllDown::AsUp,
            has_addresses: true,
            forms: Vec::new(),
            ttl: Duration::from_secs(30),
            ttl_min: Self::TTL_MIN,
            ttl_jitter: TtlJitter::default(),
        }
    }

    /// As what it is drawn: between its branches, and inside a pool.
    #[must_use]
    pub const fn draws(&self) -> [Policy; 2] {
        [self.policy.drawn_as(self.is_sticky), self.pick.policy.drawn_as(self.pick.is_sticky)]
    }

    /// How it makes records of that type, if it does so by a form.
    #[must_use]
    pub fn form(&self, rtype: RecordType) -> Option<&Form> {
        self.forms.iter().find(|form| form.rtype == rtype)
    }

    /// Whether it asks where clients are, beyond the subnets that it names itself.
    #[must_use]
    pub fn needs_places(&self) -> bool {
        let clause_asks = |clause: &Where| {
            !(clause.continents.is_empty()
                && clause.countries.is_empty()
                && clause.subdivisions.is_empty()
                && clause.asns.is_empty())
        };
        let entry_asks = |entry: &MapEntry| !matches!(entry.clients, Clients::Subnet(_));
        self.policy.is_by_distance()
            || self.wheres.iter().any(clause_asks)
            || self.map.entries.iter().any(entry_asks)
    }
}

/// How much shorter TTLs are made, so that answers do not expire in step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TtlJitter {
    /// By so many of a thousand at most.
    pub share: u16,
    /// Whether an operator asks for it: then those are as well that nothing has made shorter than the rule's
    /// `ttl`, differently for each class.
    pub is_always: bool,
}

impl Default for TtlJitter {
    /// A tenth of what something has made shorter; what nothing has is what the operator wrote.
    fn default() -> Self {
        Self { share: 100, is_always: false }
    }
}

/// One of the things that a rule chooses among, and its share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Branch {
    /// Where it leads.
    pub to: BranchTo,
    /// Its share under `weighted` and `sticky`, at most [`WEIGHT_MAX`]. One of weight 0 is used only
    /// when all others are down.
    pub weight: u32,
}

/// Where a branch leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BranchTo {
    /// To the endpoints of a pool.
    Pool(PoolId),
    /// To the choice of another steer. Steers never lead back to themselves.
    Steer(SteerId),
}

/// When a pool that was lost is used again by a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failback {
    /// As soon as it is usable.
    Auto,
    /// When it has been usable for so long without a break.
    Delayed(Duration),
    /// When an operator says so.
    Manual,
}

/// How fast a rule gives up pools that are lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Velocity {
    /// This share of its pools at most, in percent (1..=100), but always one pool …
    pub share: u8,
    /// … in such a time.
    pub per: Duration,
}

/// Which clients get which branches: the most specific entry that names a client counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ClientMap {
    /// The entries, in the order written; no two for the same clients.
    pub entries: Vec<MapEntry>,
    /// What everybody else gets: places in [`Steer::branches`]; empty in rules without a map.
    pub default: Vec<usize>,
}

/// The round-trip times of some clients.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RttEntry {
    /// Whose.
    pub clients: Clients,
    /// To which regions; no region twice.
    pub times: Vec<(RegionId, Duration)>,
}

/// One line of a map.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MapEntry {
    /// Whom it names.
    pub clients: Clients,
    /// What they get, best first: places in [`Steer::branches`].
    pub branches: Vec<usize>,
}

/// Whom a line of a map names, the least specific kind first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Clients {
    /// All of a continent.
    Continent(Continent),
    /// All of a country.
    Country(Country),
    /// All of a first-level subdivision, such as `US-CA`.
    Subdivision(Subdivision),
    /// All of an autonomous system.
    Asn(u32),
    /// All of a subnet.
    Subnet(Prefix),
}

impl std::fmt::Display for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Continent(continent) => continent.fmt(f),
            Self::Country(country) => country.fmt(f),
            Self::Subdivision(subdivision) => subdivision.fmt(f),
            Self::Asn(asn) => write!(f, "AS{asn}"),
            Self::Subnet(subnet) => subnet.fmt(f),
        }
    }
}

/// How a rule chooses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Policy {
    /// By great-circle distance between client and region. Between pools only.
    Nearest,
    /// By the round-trip time between client and region, as far as it was measured; by distance else.
    /// Between pools only.
    Latency,
    /// The first usable in the order written.
    Failover,
    /// As a table of continents, countries, subdivisions, networks and subnets says. Between
    /// branches only.
    Map,
    /// In proportion to weights, drawn for each answer.
    Weighted,
    /// In proportion to weights, the same for the same client: weighted rendezvous.
    Sticky,
    /// Each in turn.
    RoundRobin,
    /// Any, drawn for each answer.
    Random,
    /// All usable ones, rotated.
    All,
    /// In proportion to weights that follow load.
    Load(LoadPolicy),
}

/// The load-driven policies. What load is they leave to the feeds; each says what is to become equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LoadPolicy {
    /// As many connections everywhere.
    LeastConnections,
    /// Connections in proportion to weights.
    WeightedLeastConnections,
    /// As much traffic everywhere.
    LeastBandwidth,
    /// As many packets everywhere.
    LeastPackets,
    /// Response times equally far above those of quiet hours.
    LeastResponseTime,
    /// The same load everywhere, whatever the feeds measure.
    LeastLoad,
}

impl Policy {
    /// All of them with their words in zone files.
    pub const WORDS: [(&'static str, Self); 15] = [
        ("nearest", Self::Nearest),
        ("latency", Self::Latency),
        ("failover", Self::Failover),
        ("map", Self::Map),
        ("weighted", Self::Weighted),
        ("sticky", Self::Sticky),
        ("round-robin", Self::RoundRobin),
        ("random", Self::Random),
        ("all", Self::All),
        ("least-connections", Self::Load(LoadPolicy::LeastConnections)),
        ("weighted-least-connections", Self::Load(LoadPolicy::WeightedLeastConnections)),
        ("least-bandwidth", Self::Load(LoadPolicy::LeastBandwidth)),
        ("least-packets", Self::Load(LoadPolicy::LeastPackets)),
        ("least-response-time", Self::Load(LoadPolicy::LeastResponseTime)),
        ("least-load", Self::Load(LoadPolicy::LeastLoad)),
    ];

    /// Whether it takes the first branch that can serve and none besides.
    #[must_use]
    pub const fn is_ordered(self) -> bool {
        matches!(self, Self::Nearest | Self::Latency | Self::Failover | Self::Map)
    }

    /// Whether it may answer one client differently the next time though nothing has changed.
    #[must_use]
    pub const fn draws_anew(self) -> bool {
        !self.is_ordered() && !matches!(self, Self::Sticky)
    }

    /// Whether it asks where clients are.
    #[must_use]
    pub const fn tells_places_apart(self) -> bool {
        self.is_by_distance() || matches!(self, Self::Map)
    }

    /// Whether it goes by how far away regions are, in kilometres or milliseconds.
    #[must_use]
    pub const fn is_by_distance(self) -> bool {
        matches!(self, Self::Nearest | Self::Latency)
    }

    /// The load-driven policy that it is.
    #[must_use]
    pub const fn load(self) -> Option<LoadPolicy> {
        match self {
            Self::Load(policy) => Some(policy),
            _ => None,
        }
    }

    /// As what it is drawn once weights are settled: by load it is drawn for each answer, or for each
    /// client where the steer says so.
    #[must_use]
    pub const fn drawn_as(self, is_sticky: bool) -> Self {
        match self {
            Self::Load(_) if is_sticky => Self::Sticky,
            Self::Load(_) => Self::Weighted,
            _ => self,
        }
    }

    /// The word in zone files.
    #[must_use]
    pub fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, policy)| *policy == self);
        found.map(|(word, _)| *word).expect("WORDS lists every policy")
    }
}

/// How a rule chooses inside a pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pick {
    /// Any policy but `nearest` and `map`: a pool is in one place.
    pub policy: Policy,
    /// Whether a load-driven policy names the same endpoints to a client each time.
    pub is_sticky: bool,
    /// How many endpoints one answer names at most: 1..=[`ANSWERS_MAX`].
    pub answers: NonZeroU8,
}

/// The most endpoints that one answer may name.
pub const ANSWERS_MAX: u8 = 32;
/// The largest weight of a pool or endpoint: far more than any share needs, and small enough for
/// sticky choices to compare products of it in 64 bits.
pub const WEIGHT_MAX: u32 = 1_000_000;

/// How many leading bits of a client's address make its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyBits {
    /// Of IPv4: 1..=24.
    pub v4: u8,
    /// Of IPv6: 1..=56.
    pub v6: u8,
}

/// A clause that overrides a rule's branches for some clients. A client matches when any of the
/// criteria names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Where {
    /// Clients of these continents.
    pub continents: Vec<Continent>,
    /// Clients of these countries.
    pub countries: Vec<Country>,
    /// Clients of these subdivisions.
    pub subdivisions: Vec<Subdivision>,
    /// Clients in these networks' autonomous systems.
    pub asns: Vec<u32>,
    /// Clients of these subnets.
    pub subnets: Vec<Prefix>,
    /// What they get, best first: places in [`Steer::branches`].
    pub branches: Vec<usize>,
    /// Whether they get no other branch of the rule even when none of these is alive (`only`).
    pub is_strict: bool,
}

/// What a rule answers when no pool is usable.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AllDown {
    /// Decide as if all were up.
    AsUp,
    /// The pool that was usable last.
    LastGood,
    /// This pool, which need not be one of the rule's: what is up of it, or else all of it as if it
    /// were.
    Pool(PoolId),
    /// A CNAME to this name.
    Host(Name),
    /// NODATA.
    NoData,
    /// SERVFAIL.
    ServFail,
}

/// A program that a check runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramUse {
    /// Where the check was written.
    pub span: super::Span,
    /// The check.
    pub check: CheckId,
    /// The program.
    pub program: String,
}

/// One `[[expect]]` block: a test of the zone.
#[derive(Clone, PartialEq, Debug)]
pub struct Expectation {
    /// Where it was written.
    pub span: super::Span,
    /// What must hold.
    pub claim: Claim,
}

/// What an expectation claims.
#[derive(Clone, PartialEq, Debug)]
pub enum Claim {
    /// A certain question is answered in a certain way.
    Answer(AnswerClaim),
    /// Any so many regions may fail at once, and every client of every rule is still sent to an
    /// endpoint outside them.
    Survives(u8),
}

/// "Asked so, with this down, the answer is that."
#[derive(Clone, PartialEq, Debug)]
pub struct AnswerClaim {
    /// The question's name.
    pub name: Name,
    /// The question's type.
    pub qtype: RecordType,
    /// The client.
    pub from: IpAddr,
    /// What is down.
    pub down: Vec<Outage>,
    /// What is answered.
    pub want: Want,
}

/// What an answer must be.
#[derive(Clone, PartialEq, Debug)]
pub enum Want {
    /// Endpoints of this region.
    Region(RegionId),
    /// Endpoints of this pool.
    Pool(PoolId),
    /// Exactly these records, by type and data in wire form, in any order.
    Records(Vec<(RecordType, Vec<u8>)>),
}

/// Something that is supposed to be down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outage {
    /// Every endpoint of a region.
    Region(RegionId),
    /// Every endpoint of a pool.
    Pool(PoolId),
    /// One endpoint.
    Endpoint(EndpointId),
}

impl Zone {
    /// The names that are steered, each with its steer's place.
    pub fn steered(&self) -> impl Iterator<Item = (usize, &Name)> {
        let names = self.steers.iter().enumerate().filter(|(_, steer)| !steer.is_branch_only);
        names.map(|(place, steer)| (place, &steer.owner))
    }

    /// The endpoints of a pool with their ids.
    pub fn endpoints_of(&self, pool: PoolId) -> impl Iterator<Item = (EndpointId, &Endpoint)> {
        let range = self.pools[pool.index()].endpoints.clone();
        range.map(|index| (EndpointId::new(index), &self.endpoints[index]))
    }

    /// Whether feeds say how busy a pool is, in parts of what it can carry.
    #[must_use]
    pub fn is_by_load(&self, pool: PoolId) -> bool {
        self.pools[pool.index()].is_by_load(&self.feeds)
    }

    /// The targets of an endpoint: one for each way to reach it, none without a check.
    #[must_use]
    pub fn targets_of(&self, endpoint: EndpointId) -> EndpointTargets {
        let endpoint = &self.endpoints[endpoint.index()];
        let Some(check) = self.pools[endpoint.pool.index()].check else {
            return EndpointTargets::default();
        };
        endpoint.targets(&self.checks[check.index()].spec)
    }

    /// Whether `outage` takes `endpoint` down.
    #[must_use]
    pub fn is_hit(&self, endpoint: EndpointId, outage: Outage) -> bool {
        let pool = self.endpoints[endpoint.index()].pool;
        match outage {
            Outage::Region(region) => self.pools[pool.index()].region == region,
            Outage::Pool(down) => pool == down,
            Outage::Endpoint(down) => endpoint == down,
        }
    }

    /// What an operator's word may mean: a region, a pool, `POOL/ENDPOINT`, or every endpoint of
    /// that name. Where a region and a pool have one name, the region is meant, unless the word begins
    /// with `pool:`. Empty when it is none of them.
    #[must_use]
    pub fn outages_named(&self, word: &str) -> Vec<Outage> {
        let (kind, name) = word.split_once(':').unwrap_or(("", word));
        if matches!(kind, "" | "region")
            && let Some(index) = self.regions.iter().position(|region| region.name == name)
        {
            return vec![Outage::Region(RegionId::new(index))];
        }
        if matches!(kind, "" | "pool")
            && let Some(index) = self.pools.iter().position(|pool| pool.name == name)
        {
            return vec![Outage::Pool(PoolId::new(index))];
        }
        if !kind.is_empty() {
            return Vec::new();
        }
        let is_meant = |endpoint: &Endpoint| match word.split_once('/') {
            Some((pool, name)) => {
                endpoint.name == name && self.pools[endpoint.pool.index()].name == pool
            }
            None => endpoint.name == word,
        };
        let meant = self.endpoints.iter().enumerate().filter(|(_, endpoint)| is_meant(endpoint));
        meant.map(|(index, _)| Outage::Endpoint(EndpointId::new(index))).collect()
    }
}

/// The targets of one endpoint, by the way it is reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EndpointTargets {
    /// Its IPv4 address.
    pub v4: Option<Target>,
    /// Its IPv6 address.
    pub v6: Option<Target>,
    /// Its host name.
    pub host: Option<Target>,
}

impl EndpointTargets {
    /// Those that exist.
    pub fn iter(&self) -> impl Iterator<Item = &Target> {
        [&self.v4, &self.v6, &self.host].into_iter().flatten()
    }

    /// The targets that are probed for those.
    #[must_use]
    pub fn probed(&self) -> Vec<Target> {
        self.iter().flat_map(Target::probed).collect()
    }
}
