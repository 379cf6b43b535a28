//! Certificates made on the spot: a CA, and a server certificate signed by it.
//!
//! The server's is never a CA certificate itself: rustls would refuse it. Keys never touch the disk.

use std::{
    env, fs,
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
use tempfile::TempPath;

use crate::cloud::CloudError;

/// What a TLS server needs, and what its clients need to trust it.
pub(super) struct Identity {
    pub(super) server: Arc<ServerConfig>,
    /// The CA certificate, PEM.
    pub(super) ca_pem: String,
}

/// Where the CA certificate can be read.
#[derive(Debug)]
pub(super) enum CaFile {
    Kept(PathBuf),
    /// Removed with the cloud.
    Temporary(TempPath),
}

/// Makes a new CA and a server certificate for this machine's loopback names and `address`; the server offers HTTP/1.1,
/// and HTTP/2 with `http2`.
pub(super) fn generate(address: IpAddr, http2: bool) -> Result<Identity, CloudError> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "simulated cloud CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    if !address.is_unspecified() && !names.contains(&address.to_string()) {
        names.push(address.to_string());
    }
    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(names)?;
    server
        .distinguished_name
        .push(DnType::CommonName, "simulated cloud");
    server.is_ca = IsCa::ExplicitNoCa;
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&key, &ca)?;

    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    let versions: &[&[u8]] = if http2 {
        &[b"h2", b"http/1.1"]
    } else {
        &[b"http/1.1"]
    };
    config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();
    Ok(Identity {
        server: Arc::new(config),
        ca_pem: ca.pem(),
    })
}

impl CaFile {
    /// Writes the CA certificate to `path`, without one to a temporary file.
    pub(super) fn write(path: Option<PathBuf>, pem: &str) -> Result<Self, CloudError> {
        let (written, path) = match path {
            Some(path) => (
                fs::write(&path, pem).map(|()| Self::Kept(path.clone())),
                path,
            ),
            None => (write_temporary(pem).map(Self::Temporary), env::temp_dir()),
        };
        written.map_err(|source| CloudError::CaFile { path, source })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(path) => path,
        }
    }
}

fn write_temporary(pem: &str) -> io::Result<TempPath> {
    let mut file = tempfile::Builder::new().suffix(".pem").tempfile()?;
    file.write_all(pem.as_bytes())?;
    Ok(file.into_temp_path())
}
