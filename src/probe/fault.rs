//! What an error says about the target, and what only about ourselves.
//!
//! The line between the two matters more than anything else here: a machine that runs out of
//! descriptors must not take down every target that it looks at.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use super::way::Way;
use crate::model::FailureReason;
use crate::model::health::{LocalError, ProbeOutcome};

/// Why a probe was not a success.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The target's fault.
    Failure(FailureReason),
    /// Our own.
    Local(LocalError),
    /// Our own and lasting: such a check cannot be made here, or nowhere. Says why.
    Unable(String),
}

impl From<Fault> for ProbeOutcome {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Failure(reason) => Self::Failure(reason),
            Fault::Local(error) => Self::LocalError(error),
            Fault::Unable(_) => Self::LocalError(LocalError::Other),
        }
    }
}

impl Fault {
    /// Whether an answer had another status than is wanted.
    pub(super) const fn is_status(&self) -> bool {
        matches!(self, Self::Failure(FailureReason::Status(_)))
    }

    /// What to report of a host when one of its addresses had this fault and those before it had
    /// `earlier`: the later one, but what is the target's own before what is ours. Otherwise a dead
    /// host with an IPv6 address would never be down for a machine without IPv6.
    pub(super) fn after(self, earlier: Option<Self>) -> Self {
        match (earlier, self) {
            (Some(earlier @ Self::Failure(_)), Self::Local(_) | Self::Unable(_)) => earlier,
            (_, later) => later,
        }
    }

    /// A connection over `way` that could not be opened, or used.
    pub(super) fn of_socket(error: &io::Error, way: Way) -> Self {
        Self::of_io(error, || way.is_known()).unwrap_or(Self::Local(LocalError::Other))
    }

    /// A socket that could not be bound to where `way` begins.
    pub(super) fn of_bind(error: &io::Error, way: Way) -> Self {
        way.lacking(error).map_or_else(|| Self::of_socket(error, way), Self::Unable)
    }

    /// A host name that was not resolved. The resolver does not say why; but where we cannot open a
    /// socket ourselves, it could not either.
    pub(super) fn of_resolve() -> Self {
        match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
            Ok(_) => Self::Failure(FailureReason::Resolve),
            Err(error) => Self::of_io(&error, || false).unwrap_or(Self::Local(LocalError::Other)),
        }
    }

    /// A TLS handshake over `way` that did not come to its end.
    pub(super) fn of_handshake(error: &io::Error, way: Way) -> Self {
        Self::of_causes(error, way).unwrap_or(Self::Failure(FailureReason::Tls))
    }

    /// A program at `path` that could not be run.
    pub(super) fn of_program(error: &io::Error, path: &Path) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Self::Local(LocalError::Descriptors),
            Some(libc::EAGAIN | libc::ENOMEM) => Self::Local(LocalError::Buffers),
            _ => Self::Unable(format!("{}: {error}", path.display())),
        }
    }

    /// Whatever explains itself somewhere down the chain of causes is believed.
    pub(super) fn of_causes(error: &(dyn Error + 'static), way: Way) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of_tls(error));
            }
            let Some(error) = error.downcast_ref::<io::Error>() else {
                cause = error.source();
                continue;
            };
            if let Some(fault) = Self::of_io(error, || way.is_known()) {
                return Some(fault);
            }
            // `source` would skip the very error that is wrapped.
            cause = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
        }
        None
    }

    fn of_tls(error: &rustls::Error) -> Self {
        Self::Failure(match error {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                FailureReason::Certificate
            }
            _ => FailureReason::Tls,
        })
    }

    /// `None` when the kernel has no part in it, or says nothing that we know.
    fn of_io(error: &io::Error, has_route: impl FnOnce() -> bool) -> Option<Self> {
        Some(match error.raw_os_error()? {
            libc::EMFILE | libc::ENFILE => Self::Local(LocalError::Descriptors),
            libc::EADDRNOTAVAIL | libc::EADDRINUSE => Self::Local(LocalError::Address),
            libc::ENOBUFS | libc::ENOMEM => Self::Local(LocalError::Buffers),
            // EINVAL: a source that leads nowhere, such as the loopback to another machine.
            libc::EACCES | libc::EPERM | libc::EAFNOSUPPORT | libc::ENETDOWN | libc::EINVAL => {
                Self::Local(LocalError::Other)
            }
            libc::ECONNREFUSED | libc::ECONNRESET | libc::ECONNABORTED => {
                Self::Failure(FailureReason::Refused)
            }
            libc::ETIMEDOUT => Self::Failure(FailureReason::Timeout),
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EHOSTDOWN => match has_route() {
                true => Self::Failure(FailureReason::Unreachable),
                false => Self::Local(LocalError::Other),
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_held_against_the_right_side() {
        let failure = |reason| Some(Fault::Failure(reason));
        let local = |error| Some(Fault::Local(error));
        for (errno, has_route, expected) in [
            (libc::EMFILE, true, local(LocalError::Descriptors)),
            (libc::ENFILE, true, local(LocalError::Descriptors)),
            (libc::EADDRNOTAVAIL, true, local(LocalError::Address)),
            (libc::EADDRINUSE, true, local(LocalError::Address)),
            (libc::ENOBUFS, true, local(LocalError::Buffers)),
            (libc::EPERM, true, local(LocalError::Other)),
            (libc::ENETDOWN, true, local(LocalError::Other)),
            (libc::EINVAL, true, local(LocalError::Other)),
            (libc::ECONNREFUSED, true, failure(FailureReason::Refused)),
            (libc::ECONNRESET, true, failure(FailureReason::Refused)),
            (libc::ETIMEDOUT, true, failure(FailureReason::Timeout)),
            (libc::EHOSTUNREACH, true, failure(FailureReason::Unreachable)),
            (libc::ENETUNREACH, true, failure(FailureReason::Unreachable)),
            // We know no way ourselves, so the target has no part in it.
            (libc::EHOSTUNREACH, false, local(LocalError::Other)),
            (libc::ENETUNREACH, false, local(LocalError::Other)),
            (libc::EISDIR, true, None),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(Fault::of_io(&error, || has_route), expected, "{error}");
        }
    }

    #[test]
    fn of_several_addresses_the_target_s_own_fault_is_reported() {
        let refused = Fault::Failure(FailureReason::Refused);
        let timeout = Fault::Failure(FailureReason::Timeout);
        let local = Fault::Local(LocalError::Other);
        for (earlier, later, expected) in [
            (None, &local, &local),
            (None, &refused, &refused),
            (Some(&refused), &timeout, &timeout),
            (Some(&refused), &local, &refused),
            (Some(&local), &refused, &refused),
        ] {
            assert_eq!(&later.clone().after(earlier.cloned()), expected);
        }
    }
}
