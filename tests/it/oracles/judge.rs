//! How an oracle stands to our reader of master files, and where it is known not to agree.

use std::collections::BTreeSet;

/// How an oracle stands to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stance {
    /// Both read the same, or both refuse.
    Same,
    /// We read what it refuses.
    Refuses,
    /// It reads what we refuse.
    Accepts,
    /// It reads other records.
    Differs,
}

/// Where an oracle does not do as we do.
pub(crate) struct Exception {
    pub(crate) oracle: &'static str,
    pub(crate) stance: Stance,
    pub(crate) why: &'static str,
    /// Types of which all data is meant.
    pub(crate) types: &'static [&'static str],
    /// Cases by name. A name with `!` is a line of a broken file.
    pub(crate) cases: &'static [&'static str],
}

impl Exception {
    /// What of this exception means the case `name` of `oracle`.
    fn meaning(&self, oracle: &str, name: &str) -> Option<&'static str> {
        let (first, _) = name.split_once(' ').unwrap_or((name, ""));
        let of_type = self.types.iter().find(|rtype| **rtype == first);
        let named = of_type.or_else(|| self.cases.iter().find(|case| **case == name));
        named.copied().filter(|_| self.oracle == oracle)
    }
}

/// An oracle, what one of its exceptions means, and why.
type Unmet = (&'static str, &'static str, &'static str);

/// A list of exceptions, of which each must be met.
pub(crate) struct Exceptions {
    all: &'static [Exception],
    unmet: BTreeSet<Unmet>,
}

impl Exceptions {
    pub(crate) fn new(all: &'static [Exception]) -> Self {
        let names = |e: &'static Exception| {
            e.types.iter().chain(e.cases).map(|name| (e.oracle, *name, e.why))
        };
        Self { all, unmet: all.iter().flat_map(names).collect() }
    }

    /// Whether `oracle` may stand so to the case `name`: as the exception says that means it, else
    /// as we do.
    pub(crate) fn allow(&mut self, oracle: &str, name: &str, stance: Stance) -> bool {
        let mut meant = self.all.iter().filter_map(|e| Some((e.stance, e.meaning(oracle, name)?)));
        let Some((expected, named)) = meant.next() else { return stance == Stance::Same };
        self.unmet.retain(|(other, unmet, _)| (*other, *unmet) != (oracle, named));
        stance == expected
    }

    /// The exceptions that have meant no case so far.
    pub(crate) const fn unmet(&self) -> &BTreeSet<Unmet> {
        &self.unmet
    }
}
