//! Names that a zone file defines and the places that use them.
//!
//! [`Names`] knows what is called how before anything is read, so that sections may refer to each
//! other in any order, and remembers what was used.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::reader::{Key, Table, Value, meant};
use super::text;
use crate::model::Diagnostic;

/// The names of one kind of thing, with ids of type `Id` in the order of the file.
pub(super) struct Names<'d, Id> {
    kind: &'static str,
    keys: Vec<Key<'d>>,
    positions: HashMap<&'d str, usize>,
    used: RefCell<HashSet<usize>>,
    id: fn(usize) -> Id,
}

impl<'d, Id> Names<'d, Id> {
    /// Takes the names of `entries`; what cannot be a name is a finding of `root`.
    pub(super) fn new(
        kind: &'static str,
        root: &Table<'d>,
        entries: &[(Key<'d>, Value<'d>)],
        id: fn(usize) -> Id,
    ) -> Self {
        let keys: Vec<_> = entries.iter().map(|(key, _)| *key).collect();
        for key in &keys {
            if let Err(reason) = text::word(key.text) {
                let message = format!("`{}` cannot be the name of a {kind}", key.text);
                root.push(Diagnostic::error(key.span, message).label(reason));
            }
        }
        let positions = keys.iter().enumerate().map(|(index, key)| (key.text, index)).collect();
        Self { kind, keys, positions, used: RefCell::default(), id }
    }

    /// The id that a string of `user` names, which counts as its use.
    pub(super) fn use_by(&self, user: &str, value: Value<'d>) -> Option<Id> {
        let name = value.text(&format!("the name of a {}", self.kind))?;
        self.use_name(user, value, name)
    }

    /// [`use_by`](Self::use_by) with `name` being only a part of the string.
    pub(super) fn use_name(&self, user: &str, value: Value<'d>, name: &str) -> Option<Id> {
        let position = self.position(user, value, name)?;
        self.used.borrow_mut().insert(position);
        Some((self.id)(position))
    }

    /// The id that a string of `user` mentions without using it.
    pub(super) fn mention(&self, user: &str, value: Value<'d>) -> Option<Id> {
        let name = value.text(&format!("the name of a {}", self.kind))?;
        self.position(user, value, name).map(self.id)
    }

    fn position(&self, user: &str, value: Value<'d>, name: &str) -> Option<usize> {
        let position = self.positions.get(name).copied();
        if position.is_none() {
            let message = format!("{user} names {} `{name}`, which is not defined", self.kind);
            let error = value.error(message).label("not defined");
            let kind = self.kind;
            value.push(error.hint(match meant(name, self.all()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("a {kind} is defined by a table `[{kind}s.{name}]`"),
            }));
        }
        position
    }

    /// All names, in the order of the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &'d str> + Clone {
        self.keys.iter().map(|key| key.text)
    }

    /// Warns of everything that nothing used; `users` says what could have.
    pub(super) fn warn_unused(&self, root: &Table<'d>, users: &str) {
        let used = self.used.borrow();
        for (index, key) in self.keys.iter().enumerate() {
            if !used.contains(&index) {
                let message = format!("{} `{}` is used by no {users}", self.kind, key.text);
                root.push(Diagnostic::warning(key.span, message));
            }
        }
    }
}
