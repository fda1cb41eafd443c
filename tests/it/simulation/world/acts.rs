//! Operators at work: words at a node, zone files at the engine.

use std::time::Duration;

use windrose::fleet::bundle::{Head, PIECES, pieces};
use windrose::model::{Name, Override, Said};

use super::super::faults::Kind;
use super::super::operators::{Act, What};
use super::super::served::ZONE;
use super::{Event, UNIX, World};

impl World {
    pub(super) fn act(&mut self, place: usize) {
        let Act { node, what, .. } = self.acts[place].clone();
        if let What::Push(edition) = what {
            return self.push(edition);
        }
        let moment = self.moment(node);
        // Of one that does not run an operator hears that it is not there.
        if self.until(Kind::Stopped, node).is_some() {
            return;
        }
        let Some(own) = &mut self.machines[node] else { return };
        let zone: Name = ZONE.parse().unwrap();
        let said = |lasting: Option<Duration>| Said {
            author: format!("operator-{place}"),
            reason: String::new(),
            at: moment.time,
            until: lasting.map(|lasting| moment.time + lasting),
        };
        match what {
            What::Say(what, kind, lasting) => {
                own.intake.say(Override { zone, what, kind, said: said(lasting) });
            }
            What::TakeBack(what) => drop(own.intake.take_back(&zone, &what, None, "operator")),
            What::Freeze(lasting) => own.intake.freeze(said(Some(lasting))),
            What::Unfreeze => drop(own.intake.unfreeze("operator")),
            What::Push(_) => {}
        }
        let duties = own.note(moment);
        self.discharge(node, duties);
        self.machines[node].iter_mut().for_each(|own| own.compile(moment.time));
    }

    /// As `windrose push` does: by what the engine knows, and only where nobody else was quicker.
    fn push(&mut self, edition: usize) {
        if self.has_any_of([Kind::BrokerAway, Kind::BrokerRolledBack], 0) {
            return;
        }
        let newest = self.engines[0].newest(&self.common.keys).map_or(0, |head| head.version);
        let bundle = &self.common.editions[edition].bundle;
        let at = u64::try_from((UNIX + self.elapsed()).as_millis()).unwrap();
        let head = Head::new(newest + 1, bundle, "operator".to_owned(), String::new(), at);
        for (name, piece) in pieces(&bundle.clone()) {
            let (key, value) = (format!("{PIECES}{name}"), piece.to_vec());
            self.put(Event::Put { engine: 0, key, value });
        }
        let (key, value) = (head.key(), head.seal(&self.common.keys));
        self.put(Event::Put { engine: 0, key, value });
    }
}
