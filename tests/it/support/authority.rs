//! Certificates for the gateway and its clients.

use std::fs;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::Site;

pub(crate) const TLS13: &SupportedProtocolVersion = &rustls::version::TLS13;
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, TLS13];

/// Somebody whose signature is trusted.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) type Signed = (CertificateDer<'static>, KeyPair);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
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
        (certificate.der().clone(), key)
    }

    pub(crate) fn sign_client(&self, common_name: Option<&str>) -> Signed {
        self.sign(common_name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Gives the gateway of `site` a new certificate, and its clients' authority.
    pub(crate) fn equip(&self, site: &Site) -> CertificateDer<'static> {
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        fs::write(site.path("server.crt"), certificate.pem()).unwrap();
        fs::write(site.path("server.key"), key.serialize_pem()).unwrap();
        fs::write(site.path("ca.pem"), self.0.pem()).unwrap();
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
                let chain = vec![certificate.clone()];
                builder.with_client_auth_cert(chain, key.into()).unwrap()
            }
        })
    }
}
