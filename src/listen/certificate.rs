//! Certificates that listeners show to their clients, replaced while they run.
//!
//! Each encrypted listener has a [`Certificate`]: two PEM files, read at the start and again at every
//! reload, so that a renewed certificate is shown to the next client and a broken one to nobody. How
//! long it is good for and whom it names is for those who issue it to look after.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::info;

use crate::model::{Diagnostic, Report};

/// What the listeners of one table show.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate, followed by those that vouch for it.
    chain: PathBuf,
    /// Its private key.
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn open(chain: PathBuf, key: PathBuf) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(read(&chain, &key)?);
        Ok(Self { chain, key, current })
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Reads all of them anew and shows what they have become; nothing changes when one cannot be read.
///
/// # Errors
/// Everything that is wrong.
pub fn renew(certificates: &[Arc<Certificate>]) -> Result<(), Report> {
    let (mut fresh, mut report) = (Vec::new(), Report::new());
    for certificate in certificates {
        match read(&certificate.chain, &certificate.key) {
            Ok(read) => fresh.push((certificate, read)),
            Err(problem) => report.push(Diagnostic::error_without_place(problem)),
        }
    }
    if report.has_errors() {
        return Err(report);
    }
    for (certificate, read) in fresh {
        // A certificate that stays has the same key.
        if certificate.current.load().cert != read.cert {
            info!("certificate {} was renewed", certificate.chain.display());
            certificate.current.store(Arc::new(read));
        }
    }
    Ok(())
}

fn read(chain: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let text = contents("certificate", chain)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates
        .and_then(|all| if all.is_empty() { Err(PemError::NoItemsFound) } else { Ok(all) })
        .map_err(|error| broken("certificate", chain, &error))?;
    let private = PrivateKeyDer::from_pem_slice(&contents("key", key)?)
        .map_err(|error| broken("key", key, &error))?;
    CertifiedKey::from_der(certificates, private, &default_provider()).map_err(|error| {
        let (chain, key) = (chain.display(), key.display());
        match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("key {key} does not belong to certificate {chain}")
            }
            error => format!("certificate {chain} with key {key}: {error}"),
        }
    })
}

fn contents(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{what} {}: {error}", path.display()))
}

fn broken(what: &str, path: &Path, error: &PemError) -> String {
    let path = path.display();
    match error {
        PemError::NoItemsFound => format!("{what} {path}: there is no {what} in PEM form in it"),
        PemError::Base64Decode(why) => format!("{what} {path}: its PEM form is broken: {why}"),
        _ => format!("{what} {path}: its PEM form is broken"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::generate_simple_self_signed;

    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn broken_files_are_named_with_what_is_wrong() {
        let certified = generate_simple_self_signed(["dns.example.net".to_owned()]).unwrap();
        let (chain, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        let foreign = generate_simple_self_signed(["dns.example.net".to_owned()]).unwrap();
        let foreign = foreign.signing_key.serialize_pem();
        let torn = &chain[..chain.len() / 2];
        let cases = [
            (Some(&*chain), Some(&*key), ""),
            (None, Some(&key), "certificate DIR/cert: No such file or directory (os error 2)"),
            (Some(&chain), None, "key DIR/key: No such file or directory (os error 2)"),
            (
                Some(""),
                Some(&key),
                "certificate DIR/cert: there is no certificate in PEM form in it",
            ),
            (
                Some(&key),
                Some(&key),
                "certificate DIR/cert: there is no certificate in PEM form in it",
            ),
            (Some(&chain), Some(&chain), "key DIR/key: there is no key in PEM form in it"),
            (Some(&chain), Some(&foreign), "key DIR/key does not belong to certificate DIR/cert"),
            (Some(torn), Some(&key), "certificate DIR/cert: its PEM form is broken"),
        ];
        for (chain, key, expected) in cases {
            let directory = TempDir::new();
            let path = |name| directory.path().join(name);
            for (name, text) in [("cert", chain), ("key", key)] {
                if let Some(text) = text {
                    fs::write(path(name), text).unwrap();
                }
            }
            let told = Certificate::open(path("cert"), path("key")).err().unwrap_or_default();
            let told = told.replace(&directory.path().display().to_string(), "DIR");
            assert_eq!(told, expected);
        }
    }
}
