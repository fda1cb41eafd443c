//! `serve` runs a node, `probe --agent` a vantage.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use super::{Console, Exit, Failure, read_server};
use crate::agent;
use crate::config::{Log, LogFormat, LogLevel};
use crate::load::Place;
use crate::server::{self, StartError};

pub(super) fn run(console: &mut Console<'_>, place: Place) -> Result<Exit, Failure> {
    let config = read_server(console, &place)?;
    start_log(&config.fixed.log, console.colour);
    end(console, server::run(place), "the files have errors; nothing is served")
}

/// `probe --agent`: runs a vantage.
pub(super) fn agent(console: &mut Console<'_>, place: Place) -> Result<Exit, Failure> {
    let config = read_server(console, &place)?;
    start_log(&config.fixed.log, console.colour);
    end(console, agent::run(place, &config), "the files have errors; nothing is probed")
}

fn end(
    console: &mut Console<'_>,
    ran: Result<(), StartError>,
    refused: &str,
) -> Result<Exit, Failure> {
    match ran {
        Ok(()) => Ok(Exit::Fine),
        Err(StartError::Files(report)) => {
            console.report(&report)?;
            Err(Failure::Said(Exit::Wrong, refused.to_owned()))
        }
        Err(StartError::System(error)) => Err(Failure::Said(Exit::Wrong, error.to_string())),
    }
}

/// Logs to stderr. `RUST_LOG` overrides the server file for whoever hunts a fault. hickory-server warns
/// of what any client may do, such as a handshake that is given up, so only its errors are told.
fn start_log(log: &Log, colour: bool) {
    let level = LogLevel::WORDS.iter().find(|(_, level)| *level == log.level);
    let level = level.map_or("info", |(word, _)| *word);
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,hickory_server=error,windrose={level}")));
    let builder =
        fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false).with_ansi(colour);
    // An error says that a log was started already, which is all that is wanted.
    let _ = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
