//! What an answer says of an endpoint, in wire form.
//!
//! A [`Scribe`] writes the records of one type for one rule in one scene. Queries, `explain` and
//! expectations all get theirs from it, so that they cannot disagree. Which endpoints are written of is
//! decided elsewhere.

use crate::model::form::{Body, IPV4HINT, IPV6HINT, Service};
use crate::model::topology::EndpointAt;
use crate::model::{Endpoint, EndpointId, Form, Name, RecordType, Steer, Zone};
use crate::steer::{Family, Scene};

/// The priority of what is answered first; 0 would be an alias (RFC 9460 §2.4.1).
const PRIORITY_FIRST: u16 = 1;

/// One record of owner `C0 0C`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SteeredRecord {
    /// Its wire form.
    pub(crate) bytes: Box<[u8]>,
    /// Whether it is a CNAME, which must stand alone.
    pub(crate) is_cname: bool,
}

impl SteeredRecord {
    pub(super) fn cname(target: &Name, ttl: u32) -> Self {
        Self::new(RecordType::CNAME, ttl, target.as_wire())
    }

    fn new(rtype: RecordType, ttl: u32, rdata: &[u8]) -> Self {
        let len = u16::try_from(rdata.len()).expect("`config` lets no data be longer");
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

    /// Its type and data.
    pub(super) fn parts(&self) -> (RecordType, &[u8]) {
        (RecordType(u16::from_be_bytes([self.bytes[2], self.bytes[3]])), &self.bytes[12..])
    }

    /// Its data as text: `192.0.2.10`.
    pub(super) fn data(&self) -> String {
        let (rtype, rdata) = self.parts();
        crate::zone::rdata_to_text(rtype, rdata)
    }

    /// Its type and data as text: `A 192.0.2.10`.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.parts().0, self.data())
    }
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

    /// The record of an endpoint that was found to have the type's family, on so many a rung of the
    /// ladder; 0 for what is answered first.
    pub(super) fn record(&self, id: EndpointId, rung: usize, ttl: u32) -> SteeredRecord {
        let endpoint = &self.zone.endpoints[id.index()];
        let Some(form) = self.form else { return self.address(endpoint, ttl) };
        if let (EndpointAt::Host(name), 0, true) = (&endpoint.at, rung, self.steer.has_addresses) {
            return SteeredRecord::cname(name, ttl);
        }
        match &form.body {
            Body::Ready(data) => {
                let place = data.binary_search_by_key(&id, |(own, _)| *own);
                let (_, rdata) = &data[place.expect("`config` makes data for all of the rule")];
                SteeredRecord::new(self.rtype, ttl, rdata)
            }
            Body::Service(service) => {
                SteeredRecord::new(self.rtype, ttl, &self.service(service, id, rung))
            }
        }
    }

    fn address(&self, endpoint: &Endpoint, ttl: u32) -> SteeredRecord {
        const HAS: &str = "only endpoints that have the family are candidates";
        match (&endpoint.at, self.rtype) {
            (EndpointAt::Addresses { v6, .. }, RecordType::AAAA) => {
                SteeredRecord::new(RecordType::AAAA, ttl, &v6.expect(HAS).octets())
            }
            (EndpointAt::Addresses { v4, .. }, _) => {
                SteeredRecord::new(RecordType::A, ttl, &v4.expect(HAS).octets())
            }
            (EndpointAt::Host(name), _) => SteeredRecord::cname(name, ttl),
        }
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
        let (v4, v6) = match endpoint.at {
            EndpointAt::Addresses { v4, v6 } => (v4, v6),
            EndpointAt::Host(_) => (None, None),
        };
        let is_open = |family| self.scene.is_open(endpoint.pool, id, family);
        let v4 = v4.filter(|_| is_open(Family::V4)).map(|own| (IPV4HINT, own.octets().to_vec()));
        let v6 = v6.filter(|_| is_open(Family::V6)).map(|own| (IPV6HINT, own.octets().to_vec()));
        [v4, v6].into_iter().flatten()
    }
}
