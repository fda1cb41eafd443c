//! What checks over TLS go by beside names: `ca`, `certificate` with `key`, `expiry-warning`.
//!
//! Certificates and keys are PEM files inside the zone directory, so that they are read anew when they change, and
//! go with the zone files through a fleet.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};

use super::reader::{Table, Value};
use super::{ZoneFiles, master, shown};
use crate::model::check::{TlsIdentity, TlsTerms};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads the terms of a check; none if they are those of all.
pub(super) fn read(
    table: &Table<'_>,
    verify: bool,
    files: &dyn ZoneFiles,
) -> Option<Arc<TlsTerms>> {
    let mut terms = TlsTerms::default();
    if let Some(value) = table.get("ca") {
        terms.roots = read_roots(value, files);
        if !verify {
            let error = value.error("`ca` means nothing where certificates are not verified");
            value.push(error.hint("remove it, or `verify = false`"));
        }
    }
    terms.identity = read_identity(table, files);
    let margins = Duration::from_secs(3600)..=DAY * 366;
    terms.margin = table.get("expiry-warning").and_then(|value| value.duration(margins));
    (terms != TlsTerms::default()).then(|| Arc::new(terms))
}

fn read_roots(value: Value<'_>, files: &dyn ZoneFiles) -> Option<Vec<Vec<u8>>> {
    let (name, roots) = read_certificates(value, files)?;
    let mut store = RootCertStore::empty();
    for root in &roots {
        if let Err(error) = store.add(root.clone()) {
            value.push(value.error(format!("{name} holds no certificate of a CA: {error}")));
            return None;
        }
    }
    Some(roots.iter().map(|root| root.to_vec()).collect())
}

fn read_identity(table: &Table<'_>, files: &dyn ZoneFiles) -> Option<TlsIdentity> {
    let (certificate, key) = match (table.get("certificate"), table.get("key")) {
        (None, None) => return None,
        (Some(_), None) => {
            table.require("key", "\"client-key.pem\"");
            return None;
        }
        (None, Some(_)) => {
            table.require("certificate", "\"client.pem\"");
            return None;
        }
        (Some(certificate), Some(key)) => (certificate, key),
    };
    let (chain_name, chain) = read_certificates(certificate, files)?;
    let (key_name, text) = read_file(key, files)?;
    let Ok(private) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
        key.push(key.error(format!("there is no private key in PEM form in {key_name}")));
        return None;
    };
    let identity = TlsIdentity {
        chain: chain.iter().map(|certificate| certificate.to_vec()).collect(),
        key: private.secret_der().to_vec(),
    };
    match CertifiedKey::from_der(chain, private, &default_provider()) {
        Ok(_) => Some(identity),
        Err(Error::InconsistentKeys(_)) => {
            let message = format!("{key_name} is not the key of the certificate in {chain_name}");
            key.push(key.error(message));
            None
        }
        Err(error) => {
            key.push(key.error(format!("{chain_name} with {key_name}: {error}")));
            None
        }
    }
}

/// The certificates of a PEM file, at least one, and how operators know it.
fn read_certificates(
    value: Value<'_>,
    files: &dyn ZoneFiles,
) -> Option<(String, Vec<CertificateDer<'static>>)> {
    let (name, text) = read_file(value, files)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match read {
        Ok(all) if !all.is_empty() => Some((name, all)),
        Ok(_) => {
            value.push(value.error(format!("there is no certificate in PEM form in {name}")));
            None
        }
        Err(_) => {
            value.push(value.error(format!("the PEM form of {name} is broken")));
            None
        }
    }
}

/// The text of a file of the zone directory, and how operators know it.
fn read_file(value: Value<'_>, files: &dyn ZoneFiles) -> Option<(String, Arc<str>)> {
    let name = value.text("the name of a PEM file")?;
    let read = master::judge_path(name).map_err(str::to_owned).and_then(|()| files.read(name));
    match read {
        Ok(text) => Some((shown(files, name), text)),
        Err(reason) => {
            let error = value.error(format!("cannot read {}: {reason}", shown(files, name)));
            value.push(error.hint("a PEM file in the zone directory"));
            None
        }
    }
}
