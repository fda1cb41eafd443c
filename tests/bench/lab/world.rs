//! The fleet of the lab: what `deploy/fleet` describes, running.
//!
//! Each machine sees the files that it would have, at their places: `/etc/windrose` with its server file, taken
//! over octet by octet, and with the secrets that `make-secrets.sh` makes; `/var/lib/windrose`; the broker
//! `/etc/nats` and `/var/lib/nats`. Where the broker is, `/etc/hosts` says. Only zone files are the lab's own.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use windrose::clock::Clock;
use windrose::model::Time;

use crate::endpoints::{Endpoints, Manner};
use crate::network::{ALONE, ENDPOINT_HOST, Machine, NATS, NODES, VANTAGES, lay_files, lay_wires};
use crate::program::run;
use crate::programs::find_program;
use crate::server::{Server, pause};
use crate::zones::{self, Zone};

/// How often something is looked at that gives no sign.
const LOOK: Duration = Duration::from_millis(50);
/// What has not come about by then does not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Has a program on a machine see that machine's own files: `PLACE CONFIG STATE PROGRAM ARGUMENTS…`.
const SEE_OWN_FILES: &str = r#"
place="$1" config="$2" state="$3"; shift 3
mount --bind "$config" "/etc/$place" && mount --bind "$state" "/var/lib/$place" && exec "$@""#;

/// Everything that runs.
pub(crate) struct World {
    directory: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) endpoints: Endpoints,
    members: Vec<(Machine, Server)>,
    nats: Option<Server>,
}

impl World {
    /// Starts the fleet, and waits until its nodes hear everybody.
    pub(crate) fn start(directory: &Path) -> io::Result<Self> {
        lay_wires()?;
        lay_files(directory)?;
        let endpoints = Endpoints::start(ENDPOINT_HOST.name)?;
        let directory = directory.to_owned();
        let clock = Clock::start();
        let mut world = Self { directory, clock, endpoints, members: Vec::new(), nats: None };
        world.lay_out()?;
        world.start_nats()?;
        for machine in NODES.into_iter().chain(VANTAGES) {
            world.start_member(machine)?;
        }
        world.until("all hear each other", Self::is_together)?;
        Ok(world)
    }

    /// Has endpoints for `zones`, pushes these, and waits until all is well with them.
    pub(crate) fn begin(&self, zones: &[Zone]) -> io::Result<()> {
        for address in zones.iter().flat_map(Zone::addresses) {
            self.endpoints.set(address, Some(Manner::Good))?;
        }
        self.push(zones)?;
        self.until_all_up()
    }

    /// Starts a node without a fleet, by the server file that every node may begin with, and waits until all
    /// is well with `zones`.
    pub(crate) fn begin_alone(&mut self, zones: &[Zone]) -> io::Result<()> {
        for address in zones.iter().flat_map(Zone::addresses) {
            self.endpoints.set(address, Some(Manner::Good))?;
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/windrose.toml");
        let config = self.config_of(ALONE);
        zones::write(&config.join("zones"), zones)?;
        fs::create_dir_all(self.state_of(ALONE))?;
        fs::copy(shipped, config.join("windrose.toml"))?;
        self.start_member(ALONE)?;
        self.until("all is well", |world| {
            let Ok(status) = world.status(ALONE) else { return Ok(false) };
            let targets = status["targets"].as_array().map_or(&[][..], Vec::as_slice);
            Ok(!targets.is_empty() && targets.iter().all(|target| target["verdict"] == "up"))
        })
    }

    fn of(&self, machine: Machine) -> PathBuf {
        self.directory.join(machine.name)
    }

    /// Where the files of a machine are, its `/etc/windrose`.
    pub(crate) fn config_of(&self, machine: Machine) -> PathBuf {
        self.of(machine).join("config")
    }

    /// Where the state of a machine is, its `/var/lib/windrose`.
    pub(crate) fn state_of(&self, machine: Machine) -> PathBuf {
        self.of(machine).join("state")
    }

    /// What every machine has on its disk.
    fn lay_out(&self) -> io::Result<()> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/fleet");
        let secrets = self.directory.join("secrets");
        let script = shipped.join("make-secrets.sh").display().to_string();
        must(run("sh", &[&script, &secrets.display().to_string()])?)?;
        let lay = |machine: Machine, file: &str, as_name: &str, names: &[&str]| {
            let config = self.config_of(machine);
            fs::create_dir_all(&config)?;
            fs::create_dir_all(self.state_of(machine))?;
            fs::copy(shipped.join(file), config.join(as_name))?;
            for name in names {
                fs::copy(secrets.join(name), config.join(name))?;
            }
            io::Result::Ok(config)
        };
        // The second node's disk is small, and a file system of its own.
        let small = self.state_of(NODES[1]);
        fs::create_dir_all(&small)?;
        let small = small.display().to_string();
        must(run("mount", &["-t", "tmpfs", "-o", "size=4m", "none", &small])?)?;
        let file = "nats-server.conf";
        lay(NATS, file, file, &["nats.pem", "nats.key", "passwords.conf"])?;
        for (machines, password) in [(&NODES[..], "node-password"), (&VANTAGES, "vantage-password")]
        {
            for machine in machines {
                let names = ["ca.pem", "fleet-key", password];
                let config =
                    lay(*machine, &format!("{}.toml", machine.name), "windrose.toml", &names)?;
                if machines == NODES {
                    zones::write(&config.join("zones"), &[Zone::before_the_first_push()])?;
                }
            }
        }
        Ok(())
    }

    // ---- Programs ----

    /// A program on a machine.
    fn command(&self, machine: Machine, program: &Path, arguments: &[&str]) -> io::Result<Command> {
        let place = if machine == NATS { "nats" } else { "windrose" };
        let mut command = Command::new(find_program("ip")?);
        command.args(["netns", "exec", machine.name, "sh", "-c", SEE_OWN_FILES, "sh", place]);
        command.arg(self.config_of(machine)).arg(self.state_of(machine));
        command.arg(program).args(arguments).env("NO_COLOR", "1").env("WINDROSE_AUTHOR", "lab");
        Ok(command)
    }

    /// Windrose on a machine: this very program, started anew.
    fn windrose(&self, machine: Machine, arguments: &[&str]) -> io::Result<Command> {
        let program = std::env::current_exe()?;
        let mut command = self.command(machine, &program, &[&["windrose"], arguments].concat())?;
        command.env("WINDROSE_CONFIG", "/etc/windrose/windrose.toml");
        Ok(command)
    }

    /// Runs windrose on a machine; what it says, and whether it was content.
    pub(crate) fn say(&self, machine: Machine, arguments: &[&str]) -> io::Result<(String, bool)> {
        let output = self.windrose(machine, arguments)?.output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((String::from_utf8_lossy(&text).into_owned(), output.status.success()))
    }

    fn start_nats(&mut self) -> io::Result<()> {
        let program = find_program("nats-server")?;
        let command = self.command(NATS, &program, &["-c", "/etc/nats/nats-server.conf"])?;
        let mut server = Server::start(NATS.name, command, &self.directory)?;
        let address = (NATS.address(), 4222);
        server.wait_until(|| std::net::TcpStream::connect(address).is_ok())?;
        self.nats = Some(server);
        Ok(())
    }

    /// Ends the broker as a power failure does.
    pub(crate) fn kill_nats(&mut self) -> io::Result<()> {
        let Some(mut server) = self.nats.take() else { return Ok(()) };
        server.child.kill()?;
        server.child.wait().map(drop)
    }

    /// Starts it again; when that was.
    pub(crate) fn restart_nats(&mut self) -> io::Result<Time> {
        self.start_nats()?;
        Ok(self.clock.now())
    }

    fn start_member(&mut self, machine: Machine) -> io::Result<()> {
        let is_node = !VANTAGES.contains(&machine);
        let arguments: &[&str] = if is_node { &["serve"] } else { &["probe", "--agent"] };
        let command = self.windrose(machine, arguments)?;
        let server = Server::start(machine.name, command, &self.directory)?;
        self.members.push((machine, server));
        Ok(())
    }

    /// Ends a member, and starts it again.
    pub(crate) fn restart(&mut self, machine: Machine) -> io::Result<()> {
        self.members.retain(|(member, _)| *member != machine);
        self.start_member(machine)
    }

    /// Sends a signal to a member.
    pub(crate) fn signal(&self, machine: Machine, signal: &str) -> io::Result<()> {
        let member = self.members.iter().find(|(member, _)| *member == machine);
        let (_, server) = member.ok_or_else(|| io::Error::other("it does not run"))?;
        let number = server.child.id().to_string();
        let is_done = Command::new("kill").args(["-s", signal, &number]).status()?.success();
        is_done.then_some(()).ok_or_else(|| io::Error::other(format!("{} is gone", machine.name)))
    }

    /// What a member has written to its log so far.
    pub(crate) fn log(&self, machine: Machine) -> io::Result<String> {
        let member = self.members.iter().find(|(member, _)| *member == machine);
        member.map_or_else(|| Ok(String::new()), |(_, server)| server.log())
    }

    // ---- What nodes hold ----

    /// `windrose status --json` on a node.
    pub(crate) fn status(&self, node: Machine) -> io::Result<Value> {
        let (text, is_done) = self.say(node, &["status", "--json"])?;
        match (is_done, serde_json::from_str(&text)) {
            (true, Ok(status)) => Ok(status),
            _ => Err(io::Error::other(format!("status of {}: {text}", node.name))),
        }
    }

    pub(crate) fn statuses(&self) -> io::Result<Vec<Value>> {
        NODES.into_iter().map(|node| self.status(node)).collect()
    }

    /// Whether both nodes can be asked, hear everybody and have come to the same.
    pub(crate) fn is_together(&self) -> io::Result<bool> {
        // One that is only just starting cannot be asked yet.
        let Ok(statuses) = self.statuses() else { return Ok(false) };
        let is_whole = |status: &Value| {
            let vantages = status["fleet"]["vantages"].as_array().map_or(&[][..], Vec::as_slice);
            let fresh = vantages.iter().filter(|vantage| vantage["state"] == "fresh").count();
            fresh == NODES.len() + VANTAGES.len() && status["fleet"]["link"] == "together"
        };
        let state = |status: &Value| status["fleet"]["state"].clone();
        let is_same = state(&statuses[0]) == state(&statuses[1]);
        Ok(is_same && statuses.iter().all(is_whole))
    }

    /// Whether all targets are up by the verdict of both nodes, and by every vote that counts: three at least.
    fn is_all_up(&self) -> io::Result<bool> {
        let is_up = |target: &Value| {
            let votes = target["votes"].as_array().map_or(&[][..], Vec::as_slice);
            let counting: Vec<_> = votes.iter().filter(|vote| vote["is_out"].is_null()).collect();
            let is_said = counting.iter().all(|vote| vote["vote"] == "up");
            target["verdict"] == "up" && is_said && counting.len() >= VANTAGES.len()
        };
        let is_whole = |status: &Value| {
            status["targets"].as_array().is_some_and(|targets| targets.iter().all(is_up))
        };
        Ok(self.statuses()?.iter().all(is_whole))
    }

    /// Waits until everybody is heard and sees all targets up.
    pub(crate) fn until_all_up(&self) -> io::Result<()> {
        self.until("all is well", |world| Ok(world.is_together()? && world.is_all_up()?))
    }

    /// Waits until something is so.
    pub(crate) fn until(
        &self,
        what: &str,
        mut is_so: impl FnMut(&Self) -> io::Result<bool>,
    ) -> io::Result<()> {
        let end = self.clock.now() + PATIENCE;
        while !is_so(self)? {
            if self.clock.now() > end {
                return Err(io::Error::other(format!("{what}: not within {PATIENCE:?}")));
            }
            pause(LOOK);
        }
        Ok(())
    }

    // ---- Zone files ----

    /// Pushes zone files from the first node, as an operator does; what that says, and whether it was content.
    /// It goes by a server file beside the node's own, or by that.
    pub(crate) fn try_push(&self, zones: &[Zone], file: &str) -> io::Result<(String, bool)> {
        let directory = self.directory.join("pushed");
        zones::write(&directory, zones)?;
        let file = format!("/etc/windrose/{file}");
        self.say(NODES[0], &["--config", &file, "push", &directory.display().to_string(), "--yes"])
    }

    /// Pushes zone files, and waits until both nodes serve them.
    pub(crate) fn push(&self, zones: &[Zone]) -> io::Result<()> {
        let (text, is_done) = self.try_push(zones, "windrose.toml")?;
        let published =
            text.lines().find_map(|line| line.strip_prefix("version ")?.split(' ').next());
        let published: Option<u64> = published.and_then(|version| version.parse().ok());
        must((text, is_done))?;
        // Without one, nothing has changed.
        let Some(published) = published else { return Ok(()) };
        self.until("nodes serve what was pushed", |world| {
            let statuses = world.statuses()?;
            Ok(statuses.iter().all(|status| status["fleet"]["zones"].as_u64() == Some(published)))
        })
    }
}

/// The arguments with which this program is windrose: those behind `windrose`.
pub(crate) fn as_windrose(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let is_so = arguments.get(1).is_some_and(|argument| argument == "windrose");
    is_so.then(|| arguments.iter().take(1).chain(&arguments[2..]).cloned().collect())
}

/// An error where a program was not content.
pub(crate) fn must((text, is_done): (String, bool)) -> io::Result<()> {
    is_done.then_some(()).ok_or_else(|| io::Error::other(text))
}
