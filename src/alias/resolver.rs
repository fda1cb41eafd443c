//! One question to the resolvers: the addresses of a host in one family, and for how long they hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::{Name as WireName, RData, RecordType};
use hickory_proto::serialize::binary::BinDecodable;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};

use crate::model::Name;

/// For one question to one resolver.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A host that has no address is asked for again after so long, where nobody says how long that holds.
const NEGATIVE_TTL: Duration = Duration::from_secs(30);

/// What was answered: addresses, or that there are none, and for how long.
pub type Answered<T> = Result<(Vec<T>, Duration), String>;

/// Asks resolvers. What it answers is never from a cache of its own.
#[derive(Clone)]
pub struct Resolver(Result<TokioResolver, String>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// One that asks these, or those of the system when there are none. Where the system has none, every
    /// look-up fails and says so.
    #[must_use]
    pub fn new(resolvers: &[SocketAddr]) -> Self {
        let of_system = || TokioResolver::builder_tokio().map_err(|error| error.to_string());
        let builder = if resolvers.is_empty() {
            of_system()
        } else {
            let servers = resolvers.iter().copied().map(server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        Self(builder.and_then(|mut builder| {
            set_options(builder.options_mut());
            builder.build().map_err(|error| error.to_string())
        }))
    }

    /// The IPv4 addresses of a host.
    pub(super) async fn v4(&self, host: &Name) -> Answered<Ipv4Addr> {
        let address = |data: &RData| match data {
            RData::A(address) => Some(address.0).filter(|own| is_of_a_machine((*own).into())),
            _ => None,
        };
        self.look_up(host, RecordType::A, &address).await
    }

    /// Its IPv6 addresses.
    pub(super) async fn v6(&self, host: &Name) -> Answered<Ipv6Addr> {
        let address = |data: &RData| match data {
            RData::AAAA(address) => Some(address.0).filter(|own| is_of_a_machine((*own).into())),
            _ => None,
        };
        self.look_up(host, RecordType::AAAA, &address).await
    }

    async fn look_up<T>(
        &self,
        host: &Name,
        rtype: RecordType,
        address: &(dyn Fn(&RData) -> Option<T> + Sync),
    ) -> Answered<T> {
        let resolver = self.0.as_ref().map_err(Clone::clone)?;
        let name = WireName::from_bytes(host.as_wire()).map_err(|error| error.to_string())?;
        match resolver.lookup(name, rtype).await {
            Ok(found) => {
                // The chain of CNAMEs that leads there counts, too.
                let ttl = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
                let addresses = found.answers().iter().filter_map(|record| address(&record.data));
                Ok((addresses.collect(), Duration::from_secs(ttl.into())))
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if none.ns.is_some() && none.soa.is_none() =>
            {
                Err("the resolver refers to other servers".to_owned())
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let ttl = none.negative_ttl.map(|secs| Duration::from_secs(secs.into()));
                Ok((Vec::new(), ttl.unwrap_or(NEGATIVE_TTL)))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

fn server(at: SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = at.port();
        connection
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(at_port).into();
    NameServerConfig::new(at.ip(), true, connections)
}

fn set_options(options: &mut ResolverOpts) {
    options.timeout = TIMEOUT;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
}

/// As for addresses in zone files.
const fn is_of_a_machine(address: IpAddr) -> bool {
    !(address.is_unspecified() || address.is_multicast())
}
