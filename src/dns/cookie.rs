//! DNS cookies (RFC 7873) as all servers of an address make them alike (RFC 9018).
//!
//! A client that shows a cookie that we made for its address has received an answer there before: it is not
//! a spoofed one. Making and verifying cost a hash each and no memory. Who is treated better for it is not
//! decided here.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use std::hash::Hasher;

use crate::snapshot::gate::SECRET_LEN;

/// Octets of a client's part.
const CLIENT_LEN: usize = 8;
/// Octets of a server's part in the form of RFC 9018; others may be 8 to 32 long (RFC 7873 §4).
const SERVER_LEN: usize = 16;
/// Octets of a whole cookie of ours.
pub(super) const COOKIE_LEN: usize = CLIENT_LEN + SERVER_LEN;
/// The version of RFC 9018 §4.1.
const VERSION: u8 = 1;
/// A cookie is good for an hour, and for clocks that are five minutes apart (RFC 9018 §4.3).
const AGE_MAX_SECS: u32 = 3600;
const AHEAD_MAX_SECS: u32 = 300;
/// A cookie older than this is made anew (RFC 9018 §4.3).
const AGE_RENEW_SECS: u32 = 1800;

/// A well-formed cookie of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cookie<'a> {
    client: [u8; CLIENT_LEN],
    /// Empty when the client has none yet.
    server: &'a [u8],
}

impl<'a> Cookie<'a> {
    /// Reads an option's data; `None` when its length is none that RFC 7873 §4 allows.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let (client, server) = octets.split_first_chunk::<CLIENT_LEN>()?;
        matches!(server.len(), 0 | 8..=32).then_some(Self { client: *client, server })
    }

    /// The cookie to send back: the client's own while it is good and young, else a new one.
    pub(super) fn reply(
        &self,
        secrets: &[[u8; SECRET_LEN]],
        client: IpAddr,
        now_secs: u32,
    ) -> Option<[u8; COOKIE_LEN]> {
        let first = secrets.first()?;
        let age = self.age(secrets, client, now_secs);
        let mut cookie = [0; COOKIE_LEN];
        cookie[..CLIENT_LEN].copy_from_slice(&self.client);
        if age.is_some_and(|age| age <= AGE_RENEW_SECS) {
            cookie[CLIENT_LEN..].copy_from_slice(self.server);
        } else {
            cookie[CLIENT_LEN..].copy_from_slice(&self.make(first, client, now_secs));
        }
        Some(cookie)
    }

    /// Whether the server's part is one of ours for that client, and not too old.
    pub(super) fn is_good(
        &self,
        secrets: &[[u8; SECRET_LEN]],
        client: IpAddr,
        now_secs: u32,
    ) -> bool {
        self.age(secrets, client, now_secs).is_some()
    }

    /// How old the server's part is in seconds; `None` when it is not one of ours for that client, or
    /// too old.
    fn age(&self, secrets: &[[u8; SECRET_LEN]], client: IpAddr, now_secs: u32) -> Option<u32> {
        let server: &[u8; SERVER_LEN] = self.server.try_into().ok()?;
        let [version, _, _, _, stamp @ ..] = server.first_chunk::<8>()?;
        let stamp = u32::from_be_bytes(*stamp);
        // Serial number arithmetic (RFC 1982): the clock may have turned over.
        let age = now_secs.wrapping_sub(stamp);
        let ahead = stamp.wrapping_sub(now_secs);
        if *version != VERSION || !(age <= AGE_MAX_SECS || ahead <= AHEAD_MAX_SECS) {
            return None;
        }
        let is_ours = secrets.iter().any(|secret| {
            let made = self.hash(secret, server.first_chunk().expect("16 octets"), client);
            is_same(&made, server.last_chunk().expect("16 octets"))
        });
        is_ours.then_some(if age <= AGE_MAX_SECS { age } else { 0 })
    }

    fn make(&self, secret: &[u8; SECRET_LEN], client: IpAddr, now_secs: u32) -> [u8; SERVER_LEN] {
        let mut server = [0; SERVER_LEN];
        server[0] = VERSION;
        server[4..8].copy_from_slice(&now_secs.to_be_bytes());
        let hash = self.hash(secret, server.first_chunk().expect("16 octets"), client);
        server[8..].copy_from_slice(&hash);
        server
    }

    /// SipHash-2-4 of client cookie, version, reserved, time stamp and client address (RFC 9018 §4.4).
    fn hash(&self, secret: &[u8; SECRET_LEN], head: &[u8; 8], client: IpAddr) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_key(secret);
        hasher.write(&self.client);
        hasher.write(head);
        match client {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
        hasher.finish().to_le_bytes()
    }
}

/// Compares in a time that does not tell how much is the same.
fn is_same(a: &[u8; 8], b: &[u8; 8]) -> bool {
    a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|n| u8::from_str_radix(&hex[n..n + 2], 16).unwrap()).collect()
    }

    fn secret(hex: &str) -> [u8; SECRET_LEN] {
        octets(hex).try_into().unwrap()
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const CLIENT: &str = "2464c4abcf10c957";
    const AT: u32 = 0x5cf7_9f11;

    #[test]
    fn a_new_cookie_is_that_of_rfc_9018_a_1() {
        let client = octets(CLIENT);
        let cookie = Cookie::parse(&client).unwrap();
        let made = cookie.reply(&[secret(SECRET)], "198.51.100.100".parse().unwrap(), AT).unwrap();
        assert_eq!(made.to_vec(), octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
    }

    #[test]
    fn a_good_young_cookie_comes_back_and_every_other_is_replaced() {
        let address: IpAddr = "198.51.100.100".parse().unwrap();
        let (old, new) = (secret(SECRET), secret("00112233445566778899aabbccddeeff"));
        let client = octets(CLIENT);
        let made = Cookie::parse(&client).unwrap().reply(&[old], address, AT).unwrap();
        let reply = |secrets: &[[u8; SECRET_LEN]], from: &str, at: u32| {
            Cookie::parse(&made).unwrap().reply(secrets, from.parse().unwrap(), at).unwrap()
        };
        // Young, at once or a little ahead of our clock, also under a secret that is being rolled out.
        assert_eq!(reply(&[old], "198.51.100.100", AT + 1800), made);
        assert_eq!(reply(&[old], "198.51.100.100", AT - 300), made);
        assert_eq!(reply(&[new, old], "198.51.100.100", AT + 10), made);
        // Old, from elsewhere, from another time, under another secret.
        assert_ne!(reply(&[old], "198.51.100.100", AT + 1801), made);
        assert_ne!(reply(&[old], "198.51.100.101", AT + 10), made);
        assert_ne!(reply(&[old], "198.51.100.100", AT - 301), made);
        assert_ne!(reply(&[new], "198.51.100.100", AT + 10), made);
    }

    #[test]
    fn lengths_that_no_cookie_has_are_malformed() {
        let all = [0; 50];
        for len in 0..=all.len() {
            let is_good = matches!(len, 8 | 16..=40);
            assert_eq!(Cookie::parse(&all[..len]).is_some(), is_good, "{len}");
        }
        assert!(Cookie::parse(&[0; 8]).unwrap().reply(&[], "::1".parse().unwrap(), 0).is_none());
    }
}
