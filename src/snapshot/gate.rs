//! What a node says of itself and by which secrets it knows its clients: everything besides zones that an
//! answer may depend on.

use crate::model::Limits;

/// Octets of a cookie secret (RFC 9018 §4.4: SipHash-2-4's key).
pub const SECRET_LEN: usize = 16;

/// Settings of the answering code, part of the snapshot so that a reload changes them, too.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Gate {
    /// The server's id: NSID (RFC 5001), `id.server` and `hostname.bind` (RFC 4892). Empty: not told.
    pub server_id: Box<str>,
    /// What `version.bind` and `version.server` say. Empty: not told.
    pub server_version: Box<str>,
    /// Cookie secrets: the first makes cookies, all verify them. Empty: cookies are ignored.
    pub cookie_secrets: Vec<[u8; SECRET_LEN]>,
    /// How many answers over UDP a client may get.
    pub limits: Limits,
}
