//! Why an attempt failed, in words, with the cure for the mistakes that are made most.

use std::error::Error;

/// What is found in the words of the causes, and what to say of it.
const CURES: &[(&str, &str)] = &[
    (
        "CaUsedAsEndEntity",
        "the server uses a CA certificate as its own: make one with `-addext basicConstraints=critical,CA:FALSE`",
    ),
    (
        "UnknownIssuer",
        "the authority behind the server's certificate is not trusted: name its certificate in ca_file",
    ),
    (
        "BadSignature",
        "the authority in ca_file has the right name and another key: name the present one in ca_file",
    ),
    (
        "certificate expired",
        "the server's certificate has expired: renew it there, or see whether the clock here is right",
    ),
    (
        "certificate not valid yet",
        "the server's certificate is not valid yet: see whether the clock here is right",
    ),
    (
        "certificate not valid for name",
        "the server's certificate is for another host name: see whether the URL is right",
    ),
    (
        "CertificateRequired",
        "the server asks for a certificate: set client_certificate and client_key",
    ),
    (
        "received fatal alert: UnknownCA",
        "the server does not trust the authority of this gateway's certificate: see client_certificate",
    ),
    (
        "received fatal alert: CertificateExpired",
        "this gateway's certificate has expired: renew the files of client_certificate and client_key",
    ),
    (
        "received fatal alert: BadCertificate",
        "the server does not accept this gateway's certificate, or the lack of one: see client_certificate",
    ),
    (
        "received fatal alert: HandshakeFailure",
        "the server wants another protocol, or a certificate: see client_certificate",
    ),
    (
        "dns error",
        "the host name cannot be resolved: see whether the URL and this machine's DNS are right",
    ),
    (
        "failed to lookup address",
        "the host name cannot be resolved: see whether the URL and this machine's DNS are right",
    ),
    (
        "Connection refused",
        "nobody listens there: see whether the URL and its port are right",
    ),
];

/// What happened and what caused it.
pub(super) fn describe(what: &str, mut cause: Option<&(dyn Error + 'static)>) -> String {
    let mut text = what.to_owned();
    while let Some(source) = cause {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = source.source();
    }
    if let Some((_, cure)) = CURES.iter().find(|(sign, _)| text.contains(sign)) {
        text = format!("{text} ({cure})");
    }
    text
}
