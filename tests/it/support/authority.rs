//! Certificates for the gateway and its clients.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::Site;

pub(crate) const TLS13: &SupportedProtocolVersion = &rustls::version::TLS13;
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, TLS13];

/// Somebody whose signature is trusted.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) type Signed = (Certificate, KeyPair);

impl Authority {
    /// With a name of its own: of two with the same name one would be taken for the other.
    pub(crate) fn new() -> Self {
        Self::named(&format!("authority {}", fastrand::u32(..)))
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        let subject = &mut parameters.distinguished_name;
        subject.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    /// Its certificate, as clients and servers name it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server of this machine, with its certificate as `change` leaves it; only clients of `clients` may come, if set.
    pub(crate) fn server(
        &self,
        change: impl FnOnce(&mut CertificateParams),
        clients: Option<&Self>,
    ) -> Arc<ServerConfig> {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut parameters = CertificateParams::new(names).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        serve(certificate.der().clone(), &key, clients)
    }

    /// A server that shows the authority's own certificate.
    pub(crate) fn server_itself(&self) -> Arc<ServerConfig> {
        serve(self.0.der().clone(), self.0.key(), None)
    }

    pub(crate) fn sign(
        &self,
        common_name: Option<&str>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Signed {
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let subject = &mut parameters.distinguished_name;
        subject.remove(DnType::CommonName);
        if let Some(name) = common_name {
            subject.push(DnType::CommonName, name);
        }
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        (certificate, key)
    }

    pub(crate) fn sign_client(&self, common_name: Option<&str>) -> Signed {
        self.sign(common_name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Gives the gateway of `site` a new certificate, and its clients' authority.
    pub(crate) fn equip(&self, site: &Site) -> CertificateDer<'static> {
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        self.issue(&site.path(""), "server", "127.0.0.1", purpose)
    }

    /// Writes a certificate, its key and this authority's certificate into a folder: `NAME.crt`, `NAME.key`, `ca.pem`.
    pub(crate) fn issue(
        &self,
        folder: &Path,
        name: &str,
        host: &str,
        purpose: ExtendedKeyUsagePurpose,
    ) -> CertificateDer<'static> {
        let mut parameters = CertificateParams::new(vec![host.to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        let write = |file: String, text: String| fs::write(folder.join(file), text).unwrap();
        write(format!("{name}.crt"), certificate.pem());
        write(format!("{name}.key"), key.serialize_pem());
        write("ca.pem".to_owned(), self.0.pem());
        certificate.der().clone()
    }

    /// A client that trusts this authority and speaks only `version`.
    pub(crate) fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        own: Option<&Signed>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                let chain = vec![certificate.der().clone()];
                builder.with_client_auth_cert(chain, key.into()).unwrap()
            }
        })
    }
}

fn serve(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    clients: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = builder.with_single_cert(vec![certificate], key.into());
    Arc::new(config.unwrap())
}
