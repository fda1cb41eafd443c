//! What tells the fleet's own words from a stranger's.
//!
//! Whoever holds the fleet's key seals what it says by HMAC-SHA256 (RFC 2104), and nothing that is not
//! sealed so is looked at: who may write on the broker is not thereby one of the fleet. One key for all, and
//! not a pair of keys for each vantage, because members come and go without anybody telling the others: a
//! list of public keys on every node would have to be right everywhere before a new vantage counts. The
//! price: who breaks into one vantage can speak for all, so take its host from the list of those who may
//! reach the broker, and change the key.
//!
//! To change it, two may hold at once: the first seals, both are believed. Put the new one second
//! everywhere, then first everywhere, then drop the old one.

use ring::hmac;

/// Octets of a key.
pub const KEY_LEN: usize = 32;
/// Octets of a seal, behind what it seals.
pub(super) const SEAL_LEN: usize = 32;

/// What a seal is for: one made for one of these counts for no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Frames of votes.
    Votes,
    /// Calls to look at once.
    Calls,
    /// Words of operators.
    Words,
    /// Versions of zone files.
    Zones,
    /// Reports of endpoints.
    Beats,
    /// Round trips to regions.
    Trips,
}

/// The keys of a fleet: the first seals, all are believed.
#[derive(Clone, Debug)]
pub struct Keys {
    keys: Vec<hmac::Key>,
    /// The fleet that is meant: two that share a key by mistake do not hear each other.
    fleet: String,
}

impl Keys {
    /// The keys `secrets` of the fleet that is called `fleet`. Without a secret nothing is ever believed.
    #[must_use]
    pub fn new(secrets: &[[u8; KEY_LEN]], fleet: &str) -> Self {
        let key = |secret: &[u8; KEY_LEN]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { keys: secrets.iter().map(key).collect(), fleet: fleet.to_owned() }
    }

    /// `body` with its seal behind it.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, mut body: Vec<u8>) -> Vec<u8> {
        if let Some(key) = self.keys.first() {
            let mut context = hmac::Context::with_key(key);
            context.update(&self.preface(purpose));
            context.update(&body);
            body.extend(context.sign().as_ref());
        }
        body
    }

    /// What is sealed, if the seal is the fleet's.
    #[must_use]
    pub fn open<'s>(&self, purpose: Purpose, sealed: &'s [u8]) -> Option<&'s [u8]> {
        let (body, seal) = sealed.split_at(sealed.len().checked_sub(SEAL_LEN)?);
        let text = [&self.preface(purpose)[..], body].concat();
        self.keys.iter().any(|key| hmac::verify(key, &text, seal).is_ok()).then_some(body)
    }

    /// What stands before the body: no purpose and no fleet begins like another, with its length.
    fn preface(&self, purpose: Purpose) -> Vec<u8> {
        let word: &[u8; 5] = match purpose {
            Purpose::Votes => b"votes",
            Purpose::Calls => b"calls",
            Purpose::Words => b"words",
            Purpose::Zones => b"zones",
            Purpose::Beats => b"beats",
            Purpose::Trips => b"trips",
        };
        let len = (self.fleet.len() as u64).to_be_bytes();
        [&word[..], &len, self.fleet.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [u8; KEY_LEN] = [1; KEY_LEN];
    const NEW: [u8; KEY_LEN] = [2; KEY_LEN];

    #[test]
    fn only_the_same_key_fleet_and_purpose_open_a_seal() {
        let keys = Keys::new(&[OLD], "a");
        let sealed = keys.seal(Purpose::Votes, b"body".to_vec());
        assert_eq!(keys.open(Purpose::Votes, &sealed), Some(&b"body"[..]));
        assert_eq!(keys.open(Purpose::Words, &sealed), None);
        assert_eq!(Keys::new(&[OLD], "b").open(Purpose::Votes, &sealed), None);
        assert_eq!(Keys::new(&[NEW], "a").open(Purpose::Votes, &sealed), None);
        assert_eq!(Keys::new(&[], "a").open(Purpose::Votes, &sealed), None);
        for at in 0..sealed.len() {
            let mut torn = sealed.clone();
            torn[at] ^= 1;
            assert_eq!(keys.open(Purpose::Votes, &torn), None, "octet {at}");
            assert_eq!(keys.open(Purpose::Votes, &sealed[..at]), None);
        }
    }

    #[test]
    fn a_new_key_is_rolled_out_without_a_gap() {
        let [old, both, turned, new] = [&[OLD][..], &[OLD, NEW], &[NEW, OLD], &[NEW]]
            .map(|secrets| Keys::new(secrets, "fleet"));
        let steps = [[&old, &both], [&both, &turned], [&turned, &new]];
        for [one, other] in steps {
            for (from, to) in [(one, other), (other, one)] {
                let sealed = from.seal(Purpose::Votes, b"body".to_vec());
                assert!(to.open(Purpose::Votes, &sealed).is_some());
            }
        }
    }
}
