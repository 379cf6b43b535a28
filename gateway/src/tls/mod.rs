//! Certificates: whom the gateway trusts, and what it shows to those who come. One TLS stack in the whole tree, rustls
//! with ring; there is no switch that turns verification off.

mod common_name;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

pub use server::{FileFault, Server};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {reason}")]
    CaFile { path: PathBuf, reason: String },
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Trust in the system's roots (bundled ones where it has none) and in those of `ca_file`. Offers HTTP/2 and 1.1.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    if let Some(path) = ca_file {
        add_authorities(&mut roots, path).map_err(|reason| TlsError::CaFile {
            path: path.to_owned(),
            reason,
        })?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let reason = |result: Result<ClientConfig, TlsError>| result.unwrap_err().to_string();
        assert!(reason(client_config(Some(&path))).contains("ca.pem"));
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(reason(client_config(Some(&path))).contains("no certificate"));
    }

    #[test]
    fn there_are_roots_on_every_system() {
        client_config(None).unwrap();
    }
}
