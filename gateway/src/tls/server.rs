//! What the gateway shows to those who come, and whom of them it trusts; read again while it runs. Connections keep what
//! they were made with.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{FileFault, Stamp, add_authorities, common_name, read_certificates, stamp};
use crate::config::TlsFiles;

/// The server's side of TLS.
#[derive(Debug)]
pub struct Server {
    files: TlsFiles,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    /// When the files were last looked at, whatever was found in them.
    stamps: Stamps,
}

/// Of each file.
type Stamps = [Option<Stamp>; 3];

impl Server {
    /// Reads the files.
    pub fn open(files: TlsFiles) -> Result<Self, FileFault> {
        let stamps = stamps(&files);
        let config = read(&files)?;
        let state = RwLock::new(State { config, stamps });
        Ok(Self { files, state })
    }

    /// Reads the files anew, for connections to come. If there is a fault, everything stays as it was.
    pub fn reload(&self) -> Result<(), FileFault> {
        let stamps = stamps(&self.files);
        let config = read(&self.files);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.stamps = stamps;
        state.config = config?;
        Ok(())
    }

    /// As [`reload`](Self::reload), if a file is another than when it was last looked at.
    pub fn reload_if_changed(&self) -> Option<Result<(), FileFault>> {
        let seen = self.state().stamps;
        (seen != stamps(&self.files)).then(|| self.reload())
    }

    /// Shakes hands. With an authority for clients their certificate is required, and its common name comes along.
    /// However long it takes: the limit is for who waits.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, Option<Arc<str>>)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.state().config));
        let stream = acceptor.accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let name = match certificates.and_then(<[_]>::first) {
            None => None,
            Some(certificate) => {
                let name = common_name::of_certificate(certificate);
                Some(name.ok_or_else(|| io::Error::other("the certificate has no common name"))?)
            }
        };
        Ok((stream, name))
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    [
        stamp(&files.certificate),
        stamp(&files.private_key),
        files.client_ca.as_deref().and_then(stamp),
    ]
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, FileFault> {
    let fault = |key, path: &Path| {
        let path = path.to_owned();
        move |reason| FileFault { key, path, reason }
    };
    let provider = Arc::new(ring::default_provider());
    let chain =
        read_certificates(&files.certificate).map_err(fault("certificate", &files.certificate))?;
    let bad_key = |reason| fault("private_key", &files.private_key)(reason);
    let key = PrivateKeyDer::from_pem_file(&files.private_key)
        .map_err(|error| bad_key(error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault("certificate", &files.certificate)(error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            add_authorities(&mut roots, path).map_err(fault("client_ca", path))?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| fault("client_ca", path)(error.to_string()))?,
            )
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| {
        let certificate = files.certificate.display();
        bad_key(format!("does not go together with {certificate}: {error}"))
    })?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn replaced_files_are_taken_up_once_and_a_fault_keeps_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("server.crt"),
            private_key: folder.path().join("server.key"),
            client_ca: None,
        };
        let renew = |names: usize| {
            let names = vec!["gateway.example".to_owned(); names];
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(names).unwrap().self_signed(&key);
            fs::write(&files.certificate, certificate.unwrap().pem()).unwrap();
            fs::write(&files.private_key, key.serialize_pem()).unwrap();
        };
        renew(1);
        let server = Server::open(files.clone()).unwrap();
        assert_eq!(server.reload_if_changed(), None);
        // Longer, so that it is another file however coarse the clock of the file system is.
        renew(9);
        let first = Arc::clone(&server.state().config);
        assert_eq!(server.reload_if_changed(), Some(Ok(())));
        let second = Arc::clone(&server.state().config);
        assert!(!Arc::ptr_eq(&first, &second));
        fs::write(&files.private_key, "no key").unwrap();
        let fault = server.reload_if_changed().unwrap().unwrap_err();
        assert_eq!(fault.key, "private_key");
        assert_eq!(server.reload_if_changed(), None, "said once");
        assert!(Arc::ptr_eq(&second, &server.state().config));
    }
}
