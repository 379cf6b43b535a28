//! Certificates: whom the gateway trusts, and what it shows to those who come. One TLS stack in the whole tree, rustls
//! with ring; there is no switch that turns verification off.

mod client;
mod common_name;
mod renewal;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};

pub use client::ClientFiles;
pub use renewal::renew;
pub use server::Server;

/// What is wrong with one of the files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FileFault {
    /// The key that names the file, `certificate`.
    pub key: &'static str,
    pub path: PathBuf,
    pub reason: String,
}

/// When a file was changed, and its length.
pub type Stamp = (SystemTime, u64);

/// `None` for a file that cannot be looked at.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

/// Trusts each authority in the file; the error is what is wrong with it.
fn add_authorities(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The certificates of a PEM file, at least one; the error is what is wrong with it.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("there is no certificate in it (expected PEM)".to_owned());
    }
    Ok(certificates)
}
