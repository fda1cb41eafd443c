//! Which endpoints one answer names.
//!
//! The only step of a choice that a query pays for: no allocation, no loop beyond the candidates.
//! What differs between queries comes in as a [`Draw`]; the same draw gives the same answer.

use std::ops::Range;

use super::policy;
use super::select::{Selected, Selection};
use crate::model::EndpointId;
use crate::model::topology::{ANSWERS_MAX, Policy};

/// A weight that counts in full is multiplied by this much; one that ramps up by less.
pub const FULL_SHARE: u16 = 1000;

/// All answers, in the unit of [`DrawTree::shares`].
pub const WHOLE: u64 = 1_000_000;

/// The largest weight in a tree: sticky choices compare products of it with 39-bit costs.
const WEIGHT_BITS_MAX: u32 = 24;

/// What makes one query's draw differ from another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// A uniformly random number: what `weighted` and `random` go by.
    pub random: u64,
    /// How often this rule has been asked before: what `round-robin` and `all` go by.
    pub turn: u32,
    /// What the client is known by (its prefix up to `key-bits`): what `sticky` goes by.
    pub key: u64,
}

/// Up to [`ANSWERS_MAX`] indexes, in the order in which an answer names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Picks {
    len: u8,
    indexes: [u16; ANSWERS_MAX as usize],
}

impl Picks {
    /// None.
    pub const EMPTY: Self = Self { len: 0, indexes: [0; ANSWERS_MAX as usize] };

    /// Adds an index; one past [`ANSWERS_MAX`] is left out.
    pub fn push(&mut self, index: usize) {
        let Ok(index) = u16::try_from(index) else { return };
        if let Some(slot) = self.indexes.get_mut(usize::from(self.len)) {
            *slot = index;
            self.len += 1;
        }
    }

    /// The indexes.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.indexes[..usize::from(self.len)].iter().map(|index| usize::from(*index))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.iter().any(|picked| picked == index)
    }
}

/// What may be drawn: policies over policies over things that an answer names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DrawTree<T> {
    /// Node 0 is the root; nodes come before those below them.
    nodes: Vec<DrawNode>,
    items: Vec<Item<T>>,
    /// Whether any node draws more than one.
    draws_many: bool,
    /// Whether any node goes by chance or in turn.
    draws_anew: bool,
}

/// One choice.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct DrawNode {
    policy: Policy,
    /// How many items it draws at most.
    count: usize,
    /// Its items among all; never empty.
    items: Range<usize>,
    /// What all their weights come to.
    weight: u64,
}

/// One of the things that a node draws among.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Item<T> {
    /// Its share among them; at least 1.
    pub(super) weight: u32,
    /// What makes its place in a sticky choice; the same on every node and after every reload.
    pub(super) seed: u64,
    pub(super) to: ItemTo<T>,
}

/// What drawing an item means.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum ItemTo<T> {
    /// The answer names this.
    Leaf(T),
    /// Draw on, at this node.
    Node(usize),
}

impl<T> DrawTree<T> {
    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), items: Vec::new(), draws_many: false, draws_anew: false }
    }

    /// Adds a node without items, to be filled by [`fill`](Self::fill).
    pub(super) fn add(&mut self, policy: Policy, count: usize) -> usize {
        self.nodes.push(DrawNode { policy, count, items: 0..0, weight: 0 });
        self.draws_many |= count > 1;
        self.nodes.len() - 1
    }

    /// Gives a node its items. Weights are scaled down together if one is too large to compare.
    pub(super) fn fill(&mut self, node: usize, items: Vec<Item<T>>) {
        let largest = items.iter().map(|item| item.weight).max().unwrap_or(1);
        let shift = (u32::BITS - largest.leading_zeros()).saturating_sub(WEIGHT_BITS_MAX);
        let start = self.items.len();
        self.items.extend(
            items.into_iter().map(|item| Item { weight: (item.weight >> shift).max(1), ..item }),
        );
        let items = start..self.items.len();
        let weight = self.items[items.clone()].iter().map(|item| u64::from(item.weight)).sum();
        self.draws_anew |= items.len() > 1 && self.nodes[node].policy.draws_anew();
        self.nodes[node] = DrawNode { items, weight, ..self.nodes[node] };
    }

    /// Whether two answers to one client may differ: whether random numbers and turns count.
    #[must_use]
    pub const fn draws_anew(&self) -> bool {
        self.draws_anew
    }

    /// The things that an answer may name.
    pub fn leaves(&self) -> impl Iterator<Item = &T> {
        self.items.iter().filter_map(|item| match &item.to {
            ItemTo::Leaf(leaf) => Some(leaf),
            ItemTo::Node(_) => None,
        })
    }

    /// How often each is the first that an answer names, over all random numbers, turns and clients: in
    /// [`WHOLE`]ths.
    #[must_use]
    pub fn shares(&self) -> Vec<(&T, u64)> {
        let mut of_nodes = vec![0; self.nodes.len()];
        let mut shares = Vec::new();
        if let Some(root) = of_nodes.first_mut() {
            *root = WHOLE;
        }
        for (place, DrawNode { policy, items, .. }) in self.nodes.iter().enumerate() {
            let items = &self.items[items.clone()];
            let (share, parts) = (of_nodes[place], policy::shares(*policy, items));
            let whole = parts.iter().sum::<u64>().max(1);
            for (item, part) in items.iter().zip(parts) {
                let own = share * part / whole;
                match &item.to {
                    ItemTo::Leaf(leaf) => shares.push((leaf, own)),
                    ItemTo::Node(below) => of_nodes[*below] = own,
                }
            }
        }
        shares
    }

    /// The same tree with other things in the same places.
    #[must_use]
    pub fn map<U>(&self, mut other: impl FnMut(&T) -> U) -> DrawTree<U> {
        let mut item = |item: &Item<T>| {
            let to = match &item.to {
                ItemTo::Leaf(leaf) => ItemTo::Leaf(other(leaf)),
                ItemTo::Node(node) => ItemTo::Node(*node),
            };
            Item { weight: item.weight, seed: item.seed, to }
        };
        let items = self.items.iter().map(&mut item).collect();
        let Self { nodes, draws_many, draws_anew, .. } = self;
        DrawTree { nodes: nodes.clone(), items, draws_many: *draws_many, draws_anew: *draws_anew }
    }

    /// Draws, and hands everything drawn to `name` in the order in which an answer names it: at most
    /// [`ANSWERS_MAX`] things in all.
    #[inline]
    pub fn draw<'t>(&'t self, dice: Draw, name: &mut impl FnMut(&'t T)) {
        if self.draws_many {
            let mut left = usize::from(ANSWERS_MAX);
            self.draw_node(0, dice, &mut left, name);
        } else if let Some(leaf) = self.draw_one(dice) {
            name(leaf);
        }
    }

    /// The same where every node draws one, as nearly all do.
    #[inline]
    fn draw_one(&self, mut dice: Draw) -> Option<&T> {
        let mut node = self.nodes.first()?;
        loop {
            let items = self.items.get(node.items.clone())?;
            let pick = policy::pick_one(node.policy, items, node.weight, dice);
            match &items.get(pick)?.to {
                ItemTo::Leaf(leaf) => return Some(leaf),
                ItemTo::Node(below) => {
                    dice = node.dice_below(dice);
                    node = self.nodes.get(*below)?;
                }
            }
        }
    }

    fn draw_node<'t>(
        &'t self,
        node: usize,
        dice: Draw,
        left: &mut usize,
        name: &mut impl FnMut(&'t T),
    ) {
        let Some(node) = self.nodes.get(node) else { return };
        let items = &self.items[node.items.clone()];
        let below = node.dice_below(dice);
        for pick in policy::pick(node.policy, items, node.count, dice).iter() {
            match items.get(pick).map(|item| &item.to) {
                Some(ItemTo::Leaf(leaf)) if *left > 0 => {
                    *left -= 1;
                    name(leaf);
                }
                Some(ItemTo::Node(node)) => self.draw_node(*node, below, left, name),
                Some(ItemTo::Leaf(_)) | None => {}
            }
        }
    }
}

impl DrawNode {
    /// With what is drawn at the nodes below. That must not go with the draw here: another number, and
    /// a turn that moves on only when every item has had its own. Where there is but one item, nothing
    /// was drawn.
    #[inline]
    fn dice_below(&self, dice: Draw) -> Draw {
        let len = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        if len <= 1 {
            return dice;
        }
        let turn = if self.count == 1 { dice.turn / len } else { dice.turn };
        Draw { random: policy::mix(dice.random), turn, key: dice.key }
    }
}

/// What one answer names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Drawn {
    /// These endpoints, in this order; never empty.
    Endpoints(Vec<EndpointId>),
    /// A CNAME to the rule's `all-down` host.
    Host,
    /// No data.
    NoData,
    /// SERVFAIL.
    ServFail,
}

/// Draws one answer. For explaining and testing; a query draws from what was compiled.
#[must_use]
pub fn draw(selection: &Selection, dice: Draw) -> Drawn {
    match &selection.selected {
        Selected::Among(tree) => {
            let mut endpoints = Vec::new();
            tree.draw(dice, &mut |endpoint| endpoints.push(*endpoint));
            Drawn::Endpoints(endpoints)
        }
        Selected::Host(_) => Drawn::Host,
        Selected::NoData => Drawn::NoData,
        Selected::ServFail => Drawn::ServFail,
    }
}
