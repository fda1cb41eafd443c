//! Rules compiled ahead: for each class of clients, a finished answer in each address family.
//!
//! A [`RuleMap`] holds what depends on zone file and geo data alone: which class a client is in, and
//! what each class prefers. A [`CompiledRule`] adds what health makes of it: answers whose records are
//! ready and need only be drawn. Rules that say the same share both, however many names they steer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::geo::ClassMap;
use crate::model::topology::{EndpointAt, Policy};
use crate::model::{ClientSubnet, EndpointHealth, Name, Prefix, RecordType, Steer, Zone};
use crate::steer::draw::draw_groups;
use crate::steer::{Draw, Family, Group, Preference, Selected, Selection, select};

/// Which class a client is in, and what each class prefers.
#[derive(Debug)]
pub(crate) struct RuleMap {
    /// What class `n` prefers; never empty.
    pub(crate) preferences: Vec<Preference>,
    /// Client to class; `None` when all clients are in class 0.
    pub(crate) classes: Option<ClassMap>,
}

/// What is known of a client before an answer is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    /// The class: an index of [`RuleMap::preferences`].
    pub(crate) class: usize,
    /// The scope to return (RFC 7871 §7.2.1): everybody within it gets the same decision.
    pub(crate) scope: u8,
}

/// One rule, ready.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    /// Classes.
    pub(crate) map: Arc<RuleMap>,
    /// Leading bits that make a client's key, IPv4 and IPv6, if anything in the rule is sticky.
    pub(crate) key_bits: Option<(u8, u8)>,
    /// Whether any pool can answer A, AAAA, and whether every answer is a CNAME.
    pub(crate) has: Families,
    /// By class: which of `answers`.
    by_class: Box<[u16]>,
    /// Different answers, each in both families.
    answers: Vec<[FamilyAnswer; 2]>,
}

/// What a rule can answer at all, whoever asks and whatever is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Families {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
    /// All endpoints are host names: the name behaves like a CNAME for every type.
    pub(crate) only_hosts: bool,
}

/// What a class gets in one address family.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum FamilyAnswer {
    /// Records to draw from.
    Draw {
        between: Policy,
        inside: Policy,
        answers: usize,
        groups: Vec<Group>,
        /// By group and candidate: the record behind the question.
        records: Vec<Vec<SteeredRecord>>,
    },
    /// This CNAME.
    Host(SteeredRecord),
    /// No data.
    NoData {
        /// For so many seconds at most.
        ttl: u32,
    },
    /// SERVFAIL, because the rule says so.
    ServFail,
}

/// One record of owner `C0 0C`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SteeredRecord {
    /// Its wire form.
    pub(crate) bytes: Box<[u8]>,
    /// Whether it is a CNAME, which must stand alone.
    pub(crate) is_cname: bool,
}

impl CompiledRule {
    /// Compiles `rule` for the health of the zone's endpoints.
    pub(crate) fn new(
        zone: &Zone,
        rule: &Steer,
        map: Arc<RuleMap>,
        health: &[EndpointHealth],
    ) -> Self {
        let mut answers: Vec<[FamilyAnswer; 2]> = Vec::new();
        let mut places: HashMap<[FamilyAnswer; 2], u16> = HashMap::new();
        let place = |preference: &Preference| {
            let answer = [Family::V4, Family::V6].map(|family| {
                FamilyAnswer::new(zone, &select(zone, rule, preference, health, family), family)
            });
            *places.entry(answer).or_insert_with_key(|answer| {
                answers.push(answer.clone());
                u16::try_from(answers.len() - 1).expect("no more answers than classes")
            })
        };
        let by_class = map.preferences.iter().map(place).collect();
        let key_bits = is_sticky(rule).then_some((rule.key_bits.v4, rule.key_bits.v6));
        Self { key_bits, has: families_of(zone, rule), by_class, answers, map }
    }

    /// The family whose answer a type gets; `None` when the rule never has records of that type,
    /// whoever asks.
    pub(crate) fn family_of(&self, qtype: RecordType) -> Option<Family> {
        match qtype {
            RecordType::A => self.has.v4.then_some(Family::V4),
            RecordType::AAAA => self.has.v6.then_some(Family::V6),
            // A CNAME is the answer to every type; where only some endpoints are host names, other
            // types must not exist for some clients and not for others.
            _ => self.has.only_hosts.then_some(Family::V4),
        }
    }

    /// The class and scope of a client. `resolver` is who sent the query: it decides for subnets that
    /// say nothing, such as private ones (RFC 7871 §10, §11.3).
    pub(crate) fn place(&self, subnet: ClientSubnet, resolver: IpAddr) -> Placed {
        let Some(classes) = &self.map.classes else {
            return Placed { class: 0, scope: self.scope_of(subnet.prefix, 0) };
        };
        let hit = classes.find(subnet.prefix);
        let class = if hit.is_private && subnet.from_query {
            classes.find(Prefix::host(resolver)).class
        } else {
            hit.class
        };
        Placed { class: usize::from(class.0), scope: self.scope_of(subnet.prefix, hit.scope) }
    }

    /// Starts to fetch what [`place`](Self::place) will read.
    pub(crate) fn prefetch(&self, subnet: ClientSubnet) {
        if let Some(classes) = &self.map.classes {
            classes.prefetch(subnet.prefix);
        }
    }

    /// A sticky answer is the same for everybody within `key-bits` only.
    fn scope_of(&self, prefix: Prefix, class_scope: u8) -> u8 {
        let Some((v4, v6)) = self.key_bits else { return class_scope };
        class_scope.max(if prefix.address().is_ipv4() { v4 } else { v6 })
    }

    /// What makes a client sticky: its prefix up to `key-bits`, as a number.
    pub(crate) fn key(&self, prefix: Prefix) -> u64 {
        let Some((v4, v6)) = self.key_bits else { return 0 };
        let (bits, family) = match prefix.address() {
            IpAddr::V4(_) => (v4, 4),
            IpAddr::V6(_) => (v6, 6),
        };
        let cut = Prefix::new(prefix.address(), bits.min(prefix.len()));
        let high = match cut.address() {
            IpAddr::V4(address) => u64::from(u32::from(address)) << 32,
            IpAddr::V6(address) => {
                let [high @ .., _, _, _, _, _, _, _, _] = address.octets();
                u64::from_be_bytes(high)
            }
        };
        high ^ family
    }

    /// What a class gets in a family.
    pub(crate) fn answer(&self, class: usize, family: Family) -> &FamilyAnswer {
        let place = self.by_class.get(class).copied().unwrap_or(0);
        let [v4, v6] = &self.answers[usize::from(place)];
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

impl FamilyAnswer {
    fn new(zone: &Zone, selection: &Selection, family: Family) -> Self {
        let ttl = selection.ttl;
        match &selection.selected {
            Selected::Groups { between, inside, answers, groups } => {
                let record = |id| record_of(&zone.endpoints[id], ttl, family);
                let of_group = |group: &Group| {
                    group.candidates.iter().map(|c| record(c.endpoint.index())).collect()
                };
                Self::Draw {
                    between: *between,
                    inside: *inside,
                    answers: *answers,
                    groups: groups.clone(),
                    records: groups.iter().map(of_group).collect(),
                }
            }
            Selected::Host(name) => Self::Host(SteeredRecord::cname(name, ttl)),
            Selected::NoData => Self::NoData { ttl },
            Selected::ServFail => Self::ServFail,
        }
    }

    /// Hands every record of one answer to `name`, in order. A CNAME stands alone: if one is drawn
    /// first, it is all that is named; drawn later, it is left out.
    pub(crate) fn draw<'a>(&'a self, dice: Draw, name: &mut impl FnMut(&'a SteeredRecord)) {
        match self {
            Self::Draw { between, inside, answers, groups, records } => {
                let (mut is_first, mut is_alone) = (true, false);
                draw_groups(*between, *inside, *answers, groups, dice, &mut |group, candidate| {
                    let record = &records[group][candidate];
                    if is_first || !(record.is_cname || is_alone) {
                        name(record);
                    }
                    is_alone |= is_first && record.is_cname;
                    is_first = false;
                });
            }
            Self::Host(record) => name(record),
            Self::NoData { .. } | Self::ServFail => {}
        }
    }
}

impl SteeredRecord {
    fn cname(target: &Name, ttl: u32) -> Self {
        Self::new(RecordType::CNAME, ttl, target.as_wire())
    }

    fn new(rtype: RecordType, ttl: u32, rdata: &[u8]) -> Self {
        let len = u16::try_from(rdata.len()).expect("an address or a name is short");
        let bytes = [
            &[0xc0, 0x0c][..],
            &rtype.0.to_be_bytes(),
            &1_u16.to_be_bytes(),
            &ttl.to_be_bytes(),
            &len.to_be_bytes(),
            rdata,
        ];
        Self { bytes: bytes.concat().into(), is_cname: rtype == RecordType::CNAME }
    }
}

/// The record that names an endpoint which `select` found to have that family.
fn record_of(endpoint: &crate::model::Endpoint, ttl: u32, family: Family) -> SteeredRecord {
    match (&endpoint.at, family) {
        (EndpointAt::Host(name), _) => SteeredRecord::cname(name, ttl),
        (EndpointAt::Addresses { v4, .. }, Family::V4) => {
            let address = v4.expect("only endpoints that have the family are candidates");
            SteeredRecord::new(RecordType::A, ttl, &address.octets())
        }
        (EndpointAt::Addresses { v6, .. }, Family::V6) => {
            let address = v6.expect("only endpoints that have the family are candidates");
            SteeredRecord::new(RecordType::AAAA, ttl, &address.octets())
        }
    }
}

/// Whether the client's key matters anywhere in the rule. Looks at the rule alone, never at health,
/// so that scopes do not wander.
fn is_sticky(rule: &Steer) -> bool {
    rule.policy == Policy::Sticky || rule.pick.policy == Policy::Sticky
}

fn families_of(zone: &Zone, rule: &Steer) -> Families {
    let endpoints = || rule.pools.iter().flat_map(|pool| zone.endpoints_of(pool.pool));
    let has = |is_meant: &dyn Fn(&EndpointAt) -> bool| endpoints().any(|(_, e)| is_meant(&e.at));
    let is_host = |at: &EndpointAt| matches!(at, EndpointAt::Host(_));
    Families {
        v4: has(&|at| is_host(at) || matches!(at, EndpointAt::Addresses { v4: Some(_), .. })),
        v6: has(&|at| is_host(at) || matches!(at, EndpointAt::Addresses { v6: Some(_), .. })),
        only_hosts: !has(&|at| !is_host(at)),
    }
}
