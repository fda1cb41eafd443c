//! `demo`: failover to watch, on this machine alone.
//!
//! A real node serves the example zone; its endpoints are played on loopback addresses, and clients in
//! nine cities ask it over UDP ten times a second. Now and then a region is killed. What clients are
//! told, and how soon they are told something else, is shown as it happens.
//!
//! ```text
//!  script ─ cues ─▶ endpoints ◀─ probes ─ node ◀─ queries ─ clients
//!      └──── acts ──────┐    verdicts ──┐   └──── replies ────┐
//!                       └──────────────▶ story ◀──────────────┘
//!                                          └─▶ view ─▶ screen
//! ```

mod clients;
mod endpoints;
mod screen;
mod script;
mod stage;
mod story;
mod view;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use self::clients::Clients;
use self::screen::Screen;
use self::script::{Cue, NAME, PLACES};
use self::stage::Stage;
use self::story::{Act, Story};
use super::{Console, DemoArguments, Exit, Failure};
use crate::clock::Clock;
use crate::listen::Current;
use crate::model::{EndpointHealth, Verdict};
use crate::server::Node;

/// How often every client asks.
const ROUND: Duration = Duration::from_millis(100);

pub(super) fn run(console: &mut Console<'_>, arguments: &DemoArguments) -> Result<Exit, Failure> {
    let runtime = Runtime::new().map_err(|error| said(&error))?;
    let stage = Stage::set().map_err(|error| said(&error))?;
    runtime.block_on(play(console.out, stage, arguments.seconds.map(Duration::from_secs)))
}

fn said(error: &dyn fmt::Display) -> Failure {
    Failure::Said(Exit::Wrong, error.to_string())
}

/// Starts the node and ends it, whatever comes in between: it must not write into a directory that is
/// gone already.
async fn play(
    out: &mut dyn Write,
    mut stage: Stage,
    length: Option<Duration>,
) -> Result<Exit, Failure> {
    let node = stage.start_node().await.map_err(|error| said(&error))?;
    let played = play_to(out, &mut stage, &node, length).await;
    node.shut_down().await;
    writeln!(out, "{}", played?)?;
    Ok(Exit::Fine)
}

/// Plays, and returns the summary.
async fn play_to(
    out: &mut dyn Write,
    stage: &mut Stage,
    node: &Node,
    length: Option<Duration>,
) -> Result<String, Failure> {
    introduce(out, node, stage)?;
    let clients = Clients::new(node.addresses.dns[0], NAME, &PLACES).await;
    let mut play = Play {
        clock: Clock::start(),
        clients: clients.map_err(|error| said(&error))?,
        story: Story::new(&stage.zone, &PLACES),
        cues: Box::new(script::cues()),
        next: None,
        current: Arc::clone(&node.current),
        stage,
    };
    let mut screen = Screen::open(out)?;
    let played = play.run(out, &mut screen, length).await;
    screen.close(out)?;
    played.map(|()| play.story.tally.summary(play.now()))
}

/// Says what runs where, and what to try in another terminal.
fn introduce(out: &mut dyn Write, node: &Node, stage: &Stage) -> io::Result<()> {
    let (dns, admin) = (node.addresses.dns[0], node.addresses.admin[0]);
    let cities = PLACES.len();
    writeln!(
        out,
        "A node with the zone {}, on {dns}, and clients in {cities} cities.",
        stage.zone.apex
    )?;
    if stage.check_port != stage::CHECK_PORT {
        let port = stage.check_port;
        writeln!(out, "Port {} is taken, so endpoints are checked at {port}.", stage::CHECK_PORT)?;
    }
    writeln!(out, "Try in another terminal, or stop with Ctrl-C:")?;
    writeln!(out, "  dig @{} -p {} www.example.com +subnet=81.2.69.0/24", dns.ip(), dns.port())?;
    writeln!(out, "  windrose status --server {admin}")?;
    writeln!(out, "  windrose explain www.example.com --client 81.2.69.142 --server {admin}")?;
    writeln!(out)
}

/// Everything that is going on.
struct Play<'a> {
    clock: Clock,
    stage: &'a mut Stage,
    /// What the node answers from.
    current: Current,
    clients: Clients,
    story: Story,
    cues: Box<dyn Iterator<Item = Cue>>,
    /// What happens next.
    next: Option<Cue>,
}

impl Play<'_> {
    /// Plays until `length` is over or somebody wants it to end.
    async fn run(
        &mut self,
        out: &mut dyn Write,
        screen: &mut Screen,
        length: Option<Duration>,
    ) -> Result<(), Failure> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| said(&error))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| said(&error))?;
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.next = self.cues.next();
        while length.is_none_or(|length| self.now() < length) {
            tokio::select! {
                _ = rounds.tick() => self.round().await.map_err(|error| said(&error))?,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
            screen.show(out, &self.story, self.now(), self.next)?;
        }
        Ok(())
    }

    /// Does what is due, and lets every client ask once.
    async fn round(&mut self) -> io::Result<()> {
        while let Some(cue) = self.next.filter(|cue| cue.at <= self.now()) {
            self.perform(cue)?;
            self.next = self.cues.next();
        }
        let replies = self.clients.ask().await?;
        let now = self.now();
        self.story.hear(now, &replies);
        let snapshot = self.current.load_full();
        self.story.judge(|endpoint| verdict_of(&snapshot.endpoint_health(0)[endpoint]));
        Ok(())
    }

    fn perform(&mut self, cue: Cue) -> io::Result<()> {
        if let Some(endpoints) = self.stage.endpoints_of(cue.region) {
            match cue.act {
                Act::Kill => endpoints.kill(),
                Act::Revive => endpoints.revive()?,
            }
        }
        self.story.act(self.now(), cue.act, cue.region);
        Ok(())
    }

    /// Since the curtain went up.
    fn now(&self) -> Duration {
        self.clock.now().since(self.clock.started_at())
    }
}

/// All endpoints of the zone have an IPv4 address, and its health is what matters: clients ask for A.
fn verdict_of(health: &EndpointHealth) -> Verdict {
    health.v4.map_or(Verdict::Unknown, |health| health.verdict)
}
