//! The engine of a fleet: a NATS server, or several as one.
//!
//! Frames of votes go over a core subject each, and are lost with whoever is not there: the next second brings
//! them again. What must last is in one JetStream key-value bucket. Nothing of it is trusted to be there: nodes
//! make a bucket that is missing, and put back what it has lost. Vantages need not be allowed to write, so they
//! wait for it.
//!
//! ```text
//! PREFIX.votes.NAME                what a vantage says each second, and its calls
//! bucket PREFIX, words.HASH        what operators say
//!                zones.v.N         heads of versions of the zone files
//!                zones.p.SHA256    their pieces
//! ```
//!
//! The client reconnects by itself, for as long as it takes. Debian's server, 2.9, answers what newer ones
//! are asked when a bucket is made in words that the client does not understand, so the stream below it is
//! made by hand.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind, KeyValueError};
use async_nats::jetstream::{self, ErrorCode, kv, stream};
use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use super::pipe::{FarEnd, FromEngine, ToEngine};
use crate::probe::install_crypto;

/// The longest wait between two attempts to connect: all agree within two seconds of the engine's return.
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// A connection that is silent for so long is asked whether it stands.
const PING: Duration = Duration::from_secs(2);
/// What has no answer by then has none.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon a bucket that cannot be had is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// How to reach the engine.
#[derive(Clone, Debug)]
pub struct Broker {
    /// The servers.
    pub servers: Vec<String>,
    /// Who connects.
    pub name: String,
    /// What subjects and the bucket begin with.
    pub prefix: String,
    /// The text of a file of credentials.
    pub credentials: Option<String>,
    /// A name and a password.
    pub password: Option<(String, String)>,
    /// Whether nothing is said without TLS.
    pub is_tls: bool,
    /// The certificate authority.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// On how many servers the bucket is stored.
    pub replicas: usize,
    /// Whether a member makes the bucket when nobody has; else it waits for somebody who does.
    pub makes_bucket: bool,
}

impl Broker {
    fn options(&self) -> Result<ConnectOptions, String> {
        install_crypto();
        let mut options = ConnectOptions::new()
            .name(format!("windrose {}", self.name))
            .ping_interval(PING)
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                Duration::from_millis(100).saturating_mul(attempts).min(RECONNECT_MAX)
            });
        if let Some((user, password)) = self.password.clone() {
            options = options.user_and_password(user, password);
        }
        if let Some(credentials) = &self.credentials {
            options = options.credentials(credentials).map_err(|error| error.to_string())?;
        }
        if let Some(ca) = self.ca.clone() {
            options = options.add_root_certificates(ca);
        }
        if let Some((certificate, key)) = self.identity.clone() {
            options = options.add_client_certificate(certificate, key);
        }
        Ok(options.require_tls(self.is_tls))
    }

    fn votes(&self, of: &str) -> String {
        format!("{}.votes.{of}", self.prefix)
    }

    fn bucket(&self) -> String {
        self.prefix.replace('.', "_")
    }

    /// Connects once, to get or put something and go. A bucket that is missing is made.
    ///
    /// # Errors
    /// Why that cannot be.
    pub async fn visit(&self) -> Result<Bucket, String> {
        let servers = self.servers.join(", ");
        let connect = self.options()?.connect(self.servers.clone());
        let client = match timeout(PATIENCE, connect).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(format!("cannot connect to {servers}: {error}")),
            Err(_) => return Err(format!("cannot connect to {servers}: no answer")),
        };
        self.open_or_make(&client).await
    }

    /// The bucket, as far as this member may have it.
    async fn have_bucket(&self, client: &Client) -> Result<Bucket, Trouble> {
        match self.makes_bucket {
            true => Ok(self.open_or_make(client).await?),
            false => self.open(client).await?.ok_or_else(|| Trouble::NotMade(self.bucket())),
        }
    }

    /// The bucket; `None` while there is none.
    async fn open(&self, client: &Client) -> Result<Option<Bucket>, String> {
        let name = self.bucket();
        match jetstream::new(client.clone()).get_key_value(&name).await {
            Ok(kv) => Ok(Some(Bucket { kv })),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(format!("cannot open the bucket {name}: {error}")),
        }
    }

    async fn open_or_make(&self, client: &Client) -> Result<Bucket, String> {
        if let Some(bucket) = self.open(client).await? {
            return Ok(bucket);
        }
        let name = self.bucket();
        let config = stream::Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            discard: stream::DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            num_replicas: self.replicas,
            ..Default::default()
        };
        let made = jetstream::new(client.clone()).create_stream(config).await;
        made.map_err(|error| format!("cannot make the bucket {name}: {error}"))?;
        let bucket = self.open(client).await?;
        bucket.ok_or_else(|| format!("the bucket {name} is gone again"))
    }

    /// Serves a member until it goes. Only what is wrong with the settings ends it earlier.
    pub async fn serve(self, far: FarEnd) {
        let (events, mut heard) = mpsc::unbounded_channel();
        let FarEnd { out, incoming } = far;
        let servers = self.servers.join(", ");
        let connect = async {
            let options = self.options()?.retry_on_initial_connect();
            let options = options.event_callback(move |event| {
                // Nobody listens any more when the member is gone.
                let _ = events.send(event);
                std::future::ready(())
            });
            options.connect(self.servers.clone()).await.map_err(|error| error.to_string())
        };
        let client = match connect.await {
            Ok(client) => client,
            Err(error) => {
                error!(
                    "the fleet's engine at {servers} cannot be reached, and is not tried again: {error}"
                );
                // The member goes on alone.
                return incoming.closed().await;
            }
        };
        let (connections, connected) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(take_frames(client.clone(), self.votes("*"), incoming.clone()));
        tasks.spawn(self.clone().keep_in_step(client.clone(), connected, incoming.clone()));
        tasks.spawn(self.clone().send(client, out, incoming.clone()));
        loop {
            let event = tokio::select! {
                event = heard.recv() => event,
                () = incoming.closed() => return,
            };
            let is_connected = match event {
                Some(Event::Connected) => true,
                Some(Event::Disconnected | Event::Closed) => false,
                Some(event) => {
                    debug!("{servers}: {event}");
                    continue;
                }
                None => return,
            };
            match is_connected {
                true => info!("connected to the fleet's engine at {servers}"),
                false => warn!("the connection to the fleet's engine at {servers} is lost"),
            }
            let _ = incoming.try_send(FromEngine::Connected(is_connected));
            if is_connected {
                let _ = connections.try_send(());
            }
        }
    }

    /// Does what the member wants done, one after the other.
    async fn send(
        self,
        client: Client,
        mut out: mpsc::Receiver<ToEngine>,
        incoming: mpsc::Sender<FromEngine>,
    ) {
        let mut bucket = None;
        let subject = self.votes(&self.name);
        while let Some(wanted) = out.recv().await {
            if let ToEngine::Frame(frame) = wanted {
                // The next one comes in a second.
                let _ = client.publish(subject.clone(), frame.into()).await;
                continue;
            }
            if bucket.is_none() {
                bucket = self.have_bucket(&client).await.ok();
            }
            let Some(own) = &bucket else { continue };
            let done = match wanted {
                ToEngine::Put(all) => own.put_all(all).await,
                ToEngine::Get(key) => match own.get(&key).await {
                    Ok(value) => {
                        let entry = FromEngine::Entry { key, value };
                        let _ = incoming.send(entry).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                ToEngine::Frame(_) => Ok(()),
            };
            if let Err(error) = done {
                // It is put again, or asked for again.
                debug!("the fleet's engine: {error}");
                bucket = None;
            }
        }
    }

    /// Tells all that is kept after each connection, or when the bucket was lost, and each change from then on.
    async fn keep_in_step(
        self,
        client: Client,
        mut connected: mpsc::Receiver<()>,
        incoming: mpsc::Sender<FromEngine>,
    ) {
        let mut trouble = None;
        let mut is_connected = connected.recv().await.is_some();
        while is_connected {
            let told = tokio::select! {
                told = self.tell(&client, &incoming) => told,
                again = connected.recv() => {
                    is_connected = again.is_some();
                    continue;
                }
            };
            let Err(new) = told else { return };
            if trouble.as_ref() != Some(&new) {
                new.tell();
                trouble = Some(new);
            }
            sleep(AGAIN).await;
        }
    }

    async fn tell(
        &self,
        client: &Client,
        incoming: &mpsc::Sender<FromEngine>,
    ) -> Result<(), Trouble> {
        let bucket = self.have_bucket(client).await?;
        let watch = |keys: &'static str| bucket.kv.watch(keys);
        let failed = |error: kv::WatchError| error.to_string();
        // Before the rest is looked at, so that nothing falls between the two.
        let words = watch("words.>").await.map_err(failed)?;
        let heads = watch("zones.v.>").await.map_err(failed)?;
        if incoming.send(FromEngine::Telling).await.is_err() {
            return Ok(());
        }
        for key in bucket.keys().await? {
            if key.starts_with("words.") || key.starts_with("zones.v.") {
                let value = bucket.get(&key).await?;
                if incoming.send(FromEngine::Entry { key, value }).await.is_err() {
                    return Ok(());
                }
            }
        }
        if incoming.send(FromEngine::Synced).await.is_err() {
            return Ok(());
        }
        let mut changes = futures_util::stream::select(words, heads);
        while let Some(change) = changes.next().await {
            let kv::Entry { key, value, operation, .. } = change.map_err(|e| e.to_string())?;
            let value = (operation == kv::Operation::Put).then(|| value.to_vec());
            if incoming.send(FromEngine::Entry { key, value }).await.is_err() {
                return Ok(());
            }
        }
        Err("it ended the watch".to_owned().into())
    }
}

/// Why nothing is heard of what the engine keeps.
#[derive(PartialEq, Eq, Debug)]
enum Trouble {
    /// This bucket is for others to make.
    NotMade(String),
    Other(String),
}

impl Trouble {
    fn tell(&self) {
        match self {
            Self::NotMade(bucket) => info!(
                "the fleet's engine has no bucket {bucket} yet: waiting for a node, or `windrose push`, to make it"
            ),
            Self::Other(error) => warn!("the fleet's engine keeps nothing for us: {error}"),
        }
    }
}

impl From<String> for Trouble {
    fn from(error: String) -> Self {
        Self::Other(error)
    }
}

/// Whether the engine says that there is no such bucket.
fn is_missing(error: &KeyValueError) -> bool {
    let source = std::error::Error::source(error);
    let kind = source.and_then(|source| source.downcast_ref()).map(GetStreamError::kind);
    matches!(kind, Some(GetStreamErrorKind::JetStream(error)) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Takes frames in, for as long as anybody wants them. One that is behind loses some.
async fn take_frames(client: Client, subject: String, incoming: mpsc::Sender<FromEngine>) {
    loop {
        match client.subscribe(subject.clone()).await {
            Ok(mut frames) => {
                while let Some(message) = frames.next().await {
                    let frame = FromEngine::Frame(message.payload.to_vec());
                    if let Err(mpsc::error::TrySendError::Closed(_)) = incoming.try_send(frame) {
                        return;
                    }
                }
            }
            Err(error) => debug!("cannot subscribe to {subject}: {error}"),
        }
        sleep(AGAIN).await;
    }
}

/// What the engine keeps.
#[derive(Clone, Debug)]
pub struct Bucket {
    kv: kv::Store,
}

impl Bucket {
    /// All keys.
    ///
    /// # Errors
    /// What the engine says, here and below.
    pub async fn keys(&self) -> Result<Vec<String>, String> {
        let mut keys = self.kv.keys().await.map_err(|error| error.to_string())?;
        let mut all = Vec::new();
        while let Some(key) = keys.next().await {
            all.push(key.map_err(|error| error.to_string())?);
        }
        Ok(all)
    }

    /// What is kept under a key.
    ///
    /// # Errors
    /// As above.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let value = self.kv.get(key).await.map_err(|error| error.to_string())?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Keeps something in the place of what was kept.
    ///
    /// # Errors
    /// As above.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), String> {
        self.kv.put(key, Bytes::from(value)).await.map(drop).map_err(|error| error.to_string())
    }

    /// Keeps several, one after the other, up to the first that is not kept.
    async fn put_all(&self, all: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        for (key, value) in all {
            self.put(&key, value).await?;
        }
        Ok(())
    }

    /// Keeps something where nothing is kept yet; whether that was so.
    ///
    /// # Errors
    /// As above.
    pub async fn create(&self, key: &str, value: Vec<u8>) -> Result<bool, String> {
        match self.kv.create(key, Bytes::from(value)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Drops what is kept under a key.
    ///
    /// # Errors
    /// As above.
    pub async fn drop_key(&self, key: &str) -> Result<(), String> {
        self.kv.purge(key).await.map_err(|error| error.to_string())
    }
}
