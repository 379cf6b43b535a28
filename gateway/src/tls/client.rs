//! Whom the gateway trusts when it calls, and what it shows there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

use super::{FileFault, Stamp, add_authorities, read_certificates, stamp};

/// The PEM files of a calling side.
#[derive(Clone, Debug, Default)]
pub struct ClientFiles {
    /// Authorities that are trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// A certificate with those between it and the authority, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl ClientFiles {
    /// Trust in the system's roots (bundled ones where it has none) and in those of `ca`; shows the own certificate to
    /// who asks for one.
    pub fn config(&self) -> Result<ClientConfig, FileFault> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            roots.add_parsable_certificates(
                webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned(),
            );
        }
        if let Some(path) = &self.ca {
            add_authorities(&mut roots, path).map_err(fault("ca_file", path))?;
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("invariant: ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.own else {
            return Ok(builder.with_no_client_auth());
        };
        let chain =
            read_certificates(certificate).map_err(fault("client_certificate", certificate))?;
        // What is wrong with a key is not repeated: it may be a part of it.
        let private = PrivateKeyDer::from_pem_file(key).map_err(|_| {
            let reason = "there is no private key in it (expected PEM)";
            fault("client_key", key)(reason.to_owned())
        })?;
        builder
            .with_client_auth_cert(chain, private)
            .map_err(|error| fault("client_key", key)(error.to_string()))
    }

    /// How the files stand now; it differs when one of them changes.
    pub fn stamps(&self) -> [Option<Stamp>; 3] {
        let (certificate, key) = self
            .own
            .as_ref()
            .map_or((None, None), |(certificate, key)| {
                (Some(certificate), Some(key))
            });
        [self.ca.as_ref(), certificate, key].map(|path| stamp(path?))
    }
}

fn fault(key: &'static str, path: &Path) -> impl FnOnce(String) -> FileFault {
    let path = path.to_owned();
    move |reason| FileFault { key, path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_what_it_should_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pem");
        let with_ca = ClientFiles {
            ca: Some(path.clone()),
            own: None,
        };
        let reason = |files: &ClientFiles| files.config().unwrap_err().to_string();
        assert!(reason(&with_ca).contains("x.pem"));
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(reason(&with_ca).contains("no certificate"));
        let own = rcgen::generate_simple_self_signed(["edge-1".to_owned()]).unwrap();
        let certificate = folder.path().join("own.pem");
        std::fs::write(&certificate, own.cert.pem()).unwrap();
        let mut with_own = ClientFiles {
            ca: None,
            own: Some((certificate, path)),
        };
        let fault = with_own.config().unwrap_err();
        assert_eq!(fault.key, "client_key");
        assert!(fault.reason.contains("no private key"));
        let key = folder.path().join("own.key");
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        with_own.own.as_mut().unwrap().1 = key;
        with_own.config().unwrap();
    }

    #[test]
    fn a_change_of_a_file_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let files = ClientFiles {
            ca: Some(path.clone()),
            own: None,
        };
        let before = files.stamps();
        std::fs::write(&path, "x").unwrap();
        assert_ne!(files.stamps(), before);
        assert_eq!(files.stamps(), files.stamps());
    }

    #[test]
    fn there_are_roots_on_every_system() {
        ClientFiles::default().config().unwrap();
    }
}
