//! Fetching a feed's document.
//!
//! Straight to the URL's host: no proxy, no redirect followed, no cookie. A connection may be kept for the
//! next time. What is read of an answer is bounded.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Client, ClientBuilder};

use crate::probe;

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
    /// A fetcher. Calls [`probe::install_crypto`].
    #[must_use]
    pub fn new() -> Self {
        probe::install_crypto();
        let plain = builder().tls_danger_accept_invalid_certs(true).build();
        Self {
            plain: plain.expect("a client without roots, proxies and files has nothing to lack"),
            verified: OnceLock::new(),
        }
    }

    /// Fetches the document at `url`. Give it a deadline.
    pub(super) async fn fetch(&self, url: &str, is_verified: bool) -> Result<Vec<u8>, BadFetch> {
        let client = if is_verified { self.verified()? } else { &self.plain };
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
            let builder =
                builder().tls_backend_preconfigured(probe::tls_verified_by_the_machine()?);
            builder.build().map_err(|error| told(&error))
        });
        client.as_ref().map_err(|reason| BadFetch::Unable(reason.clone()))
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

fn builder() -> ClientBuilder {
    probe::client_builder(USER_AGENT).pool_max_idle_per_host(1)
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
