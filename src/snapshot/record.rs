//! What an answer says of an endpoint, in wire form.
//!
//! A [`Scribe`] writes the records of one type for one rule in one scene. Queries, `explain` and
//! expectations all get theirs from it, so that they cannot disagree. Which endpoints are written of is
//! decided elsewhere.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::model::form::{Body, IPV4HINT, IPV6HINT, Service};
use crate::model::topology::EndpointAt;
use crate::model::{Endpoint, EndpointId, Form, Found, Name, RecordType, Steer, Zone};
use crate::steer::{Family, Scene};

/// The priority of what is answered first; 0 would be an alias (RFC 9460 §2.4.1).
const PRIORITY_FIRST: u16 = 1;

/// What stands behind owner, type, class, TTL and length.
const RDATA_AT: usize = 12;

/// The records of one endpoint, of owner `C0 0C`: one, but for aliases with several addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SteeredRecords {
    /// Their wire form.
    pub(crate) bytes: Box<[u8]>,
    /// How many they are.
    pub(crate) count: u16,
    /// Whether it is a CNAME, which must stand alone.
    pub(crate) is_cname: bool,
}

impl SteeredRecords {
    pub(super) fn cname(target: &Name, ttl: u32) -> Self {
        Self::new(RecordType::CNAME, ttl, target.as_wire())
    }

    fn new(rtype: RecordType, ttl: u32, rdata: &[u8]) -> Self {
        let bytes = wire(rtype, ttl, rdata).into();
        Self { bytes, count: 1, is_cname: rtype == RecordType::CNAME }
    }

    /// Those of several addresses.
    fn of_addresses<const LEN: usize>(
        rtype: RecordType,
        ttl: u32,
        addresses: impl Iterator<Item = [u8; LEN]>,
    ) -> Self {
        let mut records = Self { bytes: Box::default(), count: 0, is_cname: false };
        let mut bytes = Vec::new();
        for address in addresses {
            bytes.extend(wire(rtype, ttl, &address));
            records.count += 1;
        }
        Self { bytes: bytes.into(), ..records }
    }

    /// One after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.bytes;
        std::iter::from_fn(move || {
            let len = rest.get(RDATA_AT - 2..RDATA_AT)?;
            let end = RDATA_AT + usize::from(u16::from_be_bytes([len[0], len[1]]));
            rest.split_off(..end)
        })
    }

    /// Type and data of each.
    pub(super) fn parts(&self) -> impl Iterator<Item = (RecordType, &[u8])> {
        let parts = |record: &'_ [u8]| RecordType(u16::from_be_bytes([record[2], record[3]]));
        self.each().map(move |record| (parts(record), &record[RDATA_AT..]))
    }

    /// The data of each as text: `192.0.2.10`.
    pub(super) fn data(&self) -> impl Iterator<Item = String> {
        self.parts().map(|(rtype, rdata)| crate::zone::rdata_to_text(rtype, rdata))
    }

    /// Type and data of each as text: `A 192.0.2.10`.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        let types = self.parts().map(|(rtype, _)| rtype);
        types.zip(self.data()).map(|(rtype, data)| format!("{rtype} {data}"))
    }
}

fn wire(rtype: RecordType, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rdata.len()).expect("`config` lets no data be longer");
    let mut wire = Vec::with_capacity(RDATA_AT + rdata.len());
    wire.extend([0xc0, 0x0c]);
    wire.extend(rtype.0.to_be_bytes());
    wire.extend(1_u16.to_be_bytes());
    wire.extend(ttl.to_be_bytes());
    wire.extend(len.to_be_bytes());
    wire.extend_from_slice(rdata);
    wire
}

/// Writes the records of one type.
#[derive(Clone, Copy)]
pub(super) struct Scribe<'a> {
    zone: &'a Zone,
    steer: &'a Steer,
    scene: &'a Scene,
    rtype: RecordType,
    form: Option<&'a Form>,
}

impl<'a> Scribe<'a> {
    pub(super) fn new(
        zone: &'a Zone,
        steer: &'a Steer,
        scene: &'a Scene,
        rtype: RecordType,
    ) -> Self {
        Self { zone, steer, scene, rtype, form: steer.form(rtype) }
    }

    /// How many choices are given besides the first.
    pub(super) fn ladder(&self) -> usize {
        self.form.and_then(Form::service).map_or(0, |service| service.ladder.into())
    }

    /// The records of an endpoint that was found to have the type's family, on so many a rung of the
    /// ladder; 0 for what is answered first.
    pub(super) fn records(&self, id: EndpointId, rung: usize, ttl: u32) -> SteeredRecords {
        let endpoint = &self.zone.endpoints[id.index()];
        let Some(form) = self.form else { return self.address(endpoint, ttl) };
        if let (EndpointAt::Host(name), 0, true) = (&endpoint.at, rung, self.steer.has_addresses) {
            return SteeredRecords::cname(name, ttl);
        }
        match &form.body {
            Body::Ready(data) => {
                let place = data.binary_search_by_key(&id, |(own, _)| *own);
                let (_, rdata) = &data[place.expect("`config` makes data for all of the rule")];
                SteeredRecords::new(self.rtype, ttl, rdata)
            }
            Body::Service(service) => {
                SteeredRecords::new(self.rtype, ttl, &self.service(service, id, rung))
            }
        }
    }

    fn address(&self, endpoint: &Endpoint, ttl: u32) -> SteeredRecords {
        const HAS: &str = "only endpoints that have the family are candidates";
        match (&endpoint.at, self.rtype) {
            (EndpointAt::Addresses { v6, .. }, RecordType::AAAA) => {
                SteeredRecords::new(RecordType::AAAA, ttl, &v6.expect(HAS).octets())
            }
            (EndpointAt::Addresses { v4, .. }, _) => {
                SteeredRecords::new(RecordType::A, ttl, &v4.expect(HAS).octets())
            }
            (EndpointAt::Host(name), _) => SteeredRecords::cname(name, ttl),
            (EndpointAt::Alias(host), rtype) => {
                let (v4, v6) = match self.found(host) {
                    Some(found) => (&*found.v4, &*found.v6),
                    None => (&[][..], &[][..]),
                };
                match rtype {
                    RecordType::AAAA => {
                        let addresses = v6.iter().map(Ipv6Addr::octets);
                        SteeredRecords::of_addresses(rtype, ttl, addresses)
                    }
                    _ => {
                        let addresses = v4.iter().map(Ipv4Addr::octets);
                        SteeredRecords::of_addresses(rtype, ttl, addresses)
                    }
                }
            }
        }
    }

    /// What was found of the host of an alias. Only where nobody looks is there nothing: what was not
    /// found is no candidate.
    fn found(&self, host: &Name) -> Option<&Found> {
        self.scene.aliases.as_ref()?.get(host).map(|found| &**found)
    }

    /// Priority, target and parameters (RFC 9460 §2.2). What is answered first has the name that was
    /// asked for as its target, whose addresses are decided as this is; a rung cannot, and has the
    /// endpoint's own name.
    fn service(&self, service: &Service, id: EndpointId, rung: usize) -> Vec<u8> {
        let endpoint = &self.zone.endpoints[id.index()];
        let priority = PRIORITY_FIRST + u16::try_from(rung).expect("a ladder has few rungs");
        let is_own = rung == 0 && self.steer.has_addresses;
        let root = Name::root();
        let target = if is_own { &root } else { endpoint.host().unwrap_or(&root) };
        let mut params: Vec<(u16, Vec<u8>)> =
            service.params.iter().map(|param| (param.key, param.value.to_vec())).collect();
        if service.has_hints {
            params.extend(self.hints(id));
        }
        params.sort_unstable_by_key(|(key, _)| *key);
        let mut rdata = priority.to_be_bytes().to_vec();
        rdata.extend(target.as_wire());
        for (key, value) in params {
            let len = u16::try_from(value.len()).expect("`config` lets no value be longer");
            rdata.extend([key.to_be_bytes(), len.to_be_bytes()].concat());
            rdata.extend(value);
        }
        rdata
    }

    /// The addresses by which an endpoint can be reached now: a family that is dead there is no hint.
    fn hints(&self, id: EndpointId) -> impl Iterator<Item = (u16, Vec<u8>)> {
        let endpoint = &self.zone.endpoints[id.index()];
        let (v4, v6) = match &endpoint.at {
            EndpointAt::Addresses { v4, v6 } => (v4.as_slice(), v6.as_slice()),
            EndpointAt::Host(_) => (&[][..], &[][..]),
            EndpointAt::Alias(host) => match self.found(host) {
                Some(found) => (&*found.v4, &*found.v6),
                None => (&[][..], &[][..]),
            },
        };
        let is_open = |family| self.scene.is_open(endpoint.pool, id, family);
        let v4 = v4.iter().filter(|_| is_open(Family::V4)).flat_map(Ipv4Addr::octets).collect();
        let v6 = v6.iter().filter(|_| is_open(Family::V6)).flat_map(Ipv6Addr::octets).collect();
        let hints: [(u16, Vec<u8>); 2] = [(IPV4HINT, v4), (IPV6HINT, v6)];
        hints.into_iter().filter(|(_, addresses)| !addresses.is_empty())
    }
}
