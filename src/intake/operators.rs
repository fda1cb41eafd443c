//! What operators say, on the same way in as what probes see.
//!
//! Each word is one line in the log, and so is its end. Whoever compiles answers is told by
//! [`Intake::dirty`] and looks here: at what is said, at the pools that may be used again, and, while
//! answers are frozen, at the health that was known when that began.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::info;

use super::Intake;
use crate::model::{
    Name, Override, OverrideKind, Overrides, Said, Subject, Target, TargetHealth, Time,
};

/// Verdicts as they were when answers were frozen.
pub type Held = HashMap<Target, TargetHealth>;

/// What operators have said.
#[derive(Debug, Default)]
pub(super) struct Operators {
    said: Mutex<Spoken>,
}

#[derive(Debug, Default)]
struct Spoken {
    overrides: Arc<Overrides>,
    /// While answers are frozen.
    held: Option<Arc<Held>>,
    /// Pools that may be used again, which nobody has compiled in yet.
    releases: Vec<(Name, String)>,
}

impl Operators {
    fn lock(&self) -> MutexGuard<'_, Spoken> {
        // What is in there is whole at any moment.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake {
    /// What operators have said and not taken back.
    #[must_use]
    pub fn overrides(&self) -> Arc<Overrides> {
        Arc::clone(&self.operators.lock().overrides)
    }

    /// What answers are to take for known of targets: what the board knows, or while they are frozen,
    /// what it knew then.
    pub fn health(&self) -> impl Fn(&Target) -> TargetHealth + use<'_> {
        let held = self.held();
        move |target| {
            let held = held.as_ref().and_then(|held| held.get(target));
            held.copied().unwrap_or_else(|| self.board.health(target))
        }
    }

    /// What was known when answers were frozen; `None` while they are not.
    #[must_use]
    pub fn held(&self) -> Option<Arc<Held>> {
        self.operators.lock().held.clone()
    }

    /// Takes an operator's word, in the place of what was said of the same thing before.
    pub fn say(&self, word: Override) {
        let Override { zone, what, kind, said } = &word;
        info!(author = said.author, "{what} of {zone} is {} {said}{}", kind.done(), lasting(said));
        self.change(|spoken| {
            let overrides = Arc::make_mut(&mut spoken.overrides);
            overrides.all.retain(|one| !(one.zone == word.zone && one.what == word.what));
            overrides.all.push(word);
        });
    }

    /// Takes back what was said of something, if it is of that kind, and returns it.
    pub fn take_back(
        &self,
        zone: &Name,
        what: &Subject,
        kind: Option<OverrideKind>,
        author: &str,
    ) -> Option<Override> {
        let is_meant = |one: &Override| {
            one.zone == *zone && one.what == *what && kind.is_none_or(|kind| one.kind == kind)
        };
        let taken = self.change(|spoken| {
            let place = spoken.overrides.all.iter().position(is_meant)?;
            Some(Arc::make_mut(&mut spoken.overrides).all.remove(place))
        })?;
        info!(author, "{what} of {zone} is no longer {}, by {author}", taken.kind.done());
        Some(taken)
    }

    /// Keeps changes of health away from answers from now on.
    pub fn freeze(&self, said: Said) {
        info!(author = said.author, "answers are frozen {said}{}", lasting(&said));
        let probed = self.board.entries().into_iter().map(|status| (status.target, status.health));
        let made = self.board.calculated().into_iter().map(|status| (status.target, status.health));
        let now = probed.chain(made).map(held).collect();
        self.change(|spoken| {
            // Who freezes what is frozen has another reason or another end; the moment stays.
            spoken.held.get_or_insert_with(|| Arc::new(now));
            let overrides = Arc::make_mut(&mut spoken.overrides);
            let at = overrides.freeze.as_ref().map_or(said.at, |before| before.at);
            overrides.freeze = Some(Said { at, ..said });
        });
        self.return_news();
    }

    /// Lets health reach answers again; whether it did not.
    pub fn unfreeze(&self, author: &str) -> bool {
        let was_frozen = self.change(thaw).is_some();
        if was_frozen {
            self.return_news();
            info!(author, "answers follow health again, by {author}");
        }
        was_frozen
    }

    /// While answers are frozen, takes what is known of `targets` that are new for what is to be known.
    pub fn hold<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) {
        let mut spoken = self.operators.lock();
        let Some(own) = &mut spoken.held else { return };
        let own = Arc::make_mut(own);
        for target in targets {
            if !own.contains_key(target) {
                own.extend([held((target.clone(), self.board.health(target)))]);
            }
        }
    }

    /// Has a pool that waits to fail back used again.
    pub fn release(&self, zone: &Name, pool: &str, author: &str) {
        info!(author, "pool {pool} of {zone} is released, by {author}");
        self.change(|spoken| spoken.releases.push((zone.clone(), pool.to_owned())));
    }

    /// The pools that were released since this was asked last.
    pub fn take_releases(&self) -> Vec<(Name, String)> {
        std::mem::take(&mut self.operators.lock().releases)
    }

    /// Drops what has ended by `now`.
    pub fn end_overdue(&self, now: Time) {
        let has_ended = |said: &Said| !said.is_in_force(now);
        let (ended, thawed) = {
            let mut spoken = self.operators.lock();
            let all = spoken.overrides.all.iter().map(|one| &one.said);
            if !all.chain(&spoken.overrides.freeze).any(has_ended) {
                return;
            }
            let overrides = Arc::make_mut(&mut spoken.overrides);
            let ended: Vec<Override> =
                overrides.all.extract_if(.., |one| has_ended(&one.said)).collect();
            let is_thawed = overrides.freeze.as_ref().is_some_and(has_ended);
            (ended, if is_thawed { thaw(&mut spoken) } else { None })
        };
        for Override { zone, what, kind, said } in ended {
            let author = said.author;
            info!(
                author,
                "{what} of {zone} is no longer {}: what {author} said has ended",
                kind.done()
            );
        }
        if let Some(Said { author, .. }) = thawed {
            self.return_news();
            info!(author, "answers follow health again: the freeze by {author} has ended");
        }
        self.transitions.send_replace(());
    }

    /// Takes over what operators said in an earlier life, and what was known when answers were frozen.
    pub fn restore_overrides(&self, overrides: Overrides, known: Held) {
        self.change(|spoken| {
            spoken.held = overrides.freeze.is_some().then(|| Arc::new(known));
            spoken.overrides = Arc::new(overrides);
        });
        self.return_news();
    }

    /// Changes what is said, and tells who is to know.
    fn change<T>(&self, change: impl FnOnce(&mut Spoken) -> T) -> T {
        let result = change(&mut self.operators.lock());
        self.dirty.send_replace(());
        self.transitions.send_replace(());
        result
    }
}

/// Ends the freeze, if there is one.
fn thaw(spoken: &mut Spoken) -> Option<Said> {
    spoken.held = None;
    Arc::make_mut(&mut spoken.overrides).freeze.take()
}

/// What is known, but that it does not change.
fn held((target, health): (Target, TargetHealth)) -> (Target, TargetHealth) {
    (target, TargetHealth { next_change: std::time::Duration::MAX, ..health })
}

/// `, for 600s`, if it ends by itself.
fn lasting(said: &Said) -> String {
    let length = said.until.map(|until| until.since(said.at));
    length.map_or_else(String::new, |length| format!(", for {}s", length.as_secs()))
}
