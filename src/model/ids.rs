//! Ids are indexes.
//!
//! A [`Zone`](super::Zone) holds its regions, pools, endpoints, checks and steers in vectors; an id
//! is a place in one of them, so that a look-up is an array read. Ids of one zone mean nothing in
//! another, nor after a reload.

macro_rules! index_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u32);

        impl $name {
            /// The id of the entry at `index`. Panics past 2³² entries, which no file can hold.
            #[must_use]
            pub fn new(index: usize) -> Self {
                Self(u32::try_from(index).expect("a zone has fewer than 2^32 entries of a kind"))
            }

            /// The place in the zone's vector.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index_id! {
    /// A place in [`Zone::regions`](super::Zone::regions).
    RegionId,
    /// A place in [`Zone::pools`](super::Zone::pools).
    PoolId,
    /// A place in [`Zone::endpoints`](super::Zone::endpoints).
    EndpointId,
    /// A place in [`Zone::checks`](super::Zone::checks).
    CheckId,
    /// A place in [`Zone::feeds`](super::Zone::feeds).
    FeedId,
    /// A place in [`Zone::steers`](super::Zone::steers).
    SteerId,
}
