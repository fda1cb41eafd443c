//! Fetching a feed's document.
//!
//! Straight to the URL's host: no proxy, no redirect followed, no cookie. A connection may be kept for the
//! next time. What is read of an answer is bounded.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Client, ClientBuilder, Url};
use tokio::net::lookup_host;

use crate::probe::{self, Denied};

/// The largest document that is read: a gateway with some ten thousand series.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Who asks.
const USER_AGENT: &str = concat!("windrose-feed/", env!("CARGO_PKG_VERSION"));

/// Text first: protocol buffers would come otherwise from those that have them.
const ACCEPTED: HeaderValue =
    HeaderValue::from_static("text/plain;version=0.0.4, application/json;q=0.9, */*;q=0.1");

/// What all fetches share.
#[derive(Debug)]
pub struct Fetcher {
    denied: Arc<Denied>,
    /// For `http`, and for `https` where certificates are not verified.
    plain: Client,
    /// For `https` verified by what the machine trusts, or why there is none. Made when first needed.
    verified: OnceLock<Result<Client, String>>,
}

/// Why there is no document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum BadFetch {
    /// This machine cannot fetch such a thing.
    Unable(String),
    /// The request was not answered.
    NoAnswer(String),
    /// It was answered with another status than 200.
    Status(u16),
    /// The document is too large.
    TooLarge,
}

impl fmt::Display for BadFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable(reason) | Self::NoAnswer(reason) => f.write_str(reason),
            Self::Status(status) => write!(f, "status {status}"),
            Self::TooLarge => write!(f, "larger than {} MiB", BODY_BYTES_MAX / 1024 / 1024),
        }
    }
}

impl Fetcher {
    /// A fetcher that asks nothing at addresses that are `denied`, by whatever name. Calls
    /// [`probe::install_crypto`].
    #[must_use]
    pub fn new(denied: Denied) -> Self {
        probe::install_crypto();
        let denied = Arc::new(denied);
        let plain = builder(&denied).tls_danger_accept_invalid_certs(true).build();
        Self {
            denied,
            plain: plain.expect("a client without roots, proxies and files has nothing to lack"),
            verified: OnceLock::new(),
        }
    }

    /// Fetches the document at `url`. Give it a deadline.
    pub(super) async fn fetch(&self, url: &str, is_verified: bool) -> Result<Vec<u8>, BadFetch> {
        let client = if is_verified { self.verified()? } else { &self.plain };
        if let Some(reason) = literal(url).and_then(|address| self.denied.reason(address)) {
            return Err(BadFetch::Unable(format!("nothing is fetched there: {reason}")));
        }
        let sent = client.get(url).header(ACCEPT, ACCEPTED).send();
        let mut response = sent.await.map_err(|error| no_answer(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(BadFetch::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(BadFetch::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn verified(&self) -> Result<&Client, BadFetch> {
        let client = self.verified.get_or_init(|| {
            let mut config = probe::tls_verified_by_the_machine()?;
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let builder = builder(&self.denied).tls_backend_preconfigured(config);
            builder.build().map_err(|error| told(&error))
        });
        client.as_ref().map_err(|reason| BadFetch::Unable(reason.clone()))
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new(Denied::default())
    }
}

fn builder(denied: &Arc<Denied>) -> ClientBuilder {
    let resolver = Judged(Arc::clone(denied));
    Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(1)
        .dns_resolver(resolver)
}

/// The address that stands in an URL, if none has to be looked up.
#[must_use]
pub fn literal(url: &str) -> Option<SocketAddr> {
    let url = Url::parse(url).ok()?;
    let host: IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(host, url.port_or_known_default()?))
}

/// Looks names up as the machine does, and keeps addresses to itself that are denied.
#[derive(Debug)]
struct Judged(Arc<Denied>);

impl Judged {
    async fn look_up(denied: Arc<Denied>, name: Name) -> Result<Addrs, Trouble> {
        let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
        let reason = found.iter().find_map(|address| denied.reason(*address));
        let allowed: Vec<SocketAddr> =
            found.into_iter().filter(|address| denied.reason(*address).is_none()).collect();
        match (allowed.is_empty(), reason) {
            (true, Some(reason)) => Err(format!("nothing is fetched there: {reason}").into()),
            _ => Ok(Box::new(allowed.into_iter())),
        }
    }
}

type Trouble = Box<dyn Error + Send + Sync>;

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(Self::look_up(Arc::clone(&self.0), name))
    }
}

fn no_answer(error: &reqwest::Error) -> BadFetch {
    BadFetch::NoAnswer(told(error))
}

/// The last cause, which says most: the first one says only that there was an error.
fn told(error: &reqwest::Error) -> String {
    let mut last: &dyn Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerConfig;

    #[tokio::test]
    async fn nothing_is_fetched_where_the_server_file_denies_it() {
        let mut config = ServerConfig::default();
        config.fixed.probe.deny = ["127.0.0.0/8", "::1/128"].map(|p| p.parse().unwrap()).to_vec();
        let fetcher = Fetcher::new(Denied::new(&config));
        for url in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/"] {
            let told = fetcher.fetch(url, false).await.unwrap_err().to_string();
            assert!(told.starts_with("nothing is fetched there: `[probe] deny`"), "{url}: {told}");
        }
        let told = Fetcher::default().fetch("http://127.0.0.1:9/", false).await.unwrap_err();
        assert!(!told.to_string().contains("deny"), "{told}");
    }
}
