//! TLS configuration for HTTP and websockets.
//!
//! reqwest's default (the platform verifier) refuses to start if the system has no certificates, as in a slim
//! container. A farm on plain http must not fail because of that. So this module uses the system's certificates, to
//! which an operator adds the farm's own authority. If the system has none, it uses Mozilla's list.

use std::{io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::Certificates;
use crate::domain::message::Message;

/// Installs ring as the provider of the process, unless a provider is installed already. Then reads the certificates.
pub(super) fn client_config(certificates: &Certificates) -> ClientConfig {
    // `Err` means that a provider is installed already, which is sufficient.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "cannot read one of the system's certificates");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(certificates.as_slice().iter().cloned());
    let roots = Arc::new(roots);
    let mut config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
    // `Err` means that there are no roots, which the list above excludes.
    if !certificates.as_slice().is_empty()
        && let Ok(by_roots) = WebPkiServerVerifier::builder(roots).build()
    {
        let pinned = certificates.as_slice().to_vec();
        config.dangerous().set_certificate_verifier(Arc::new(PinningVerifier { by_roots, pinned }));
    }
    config
}

/// Verifies certificates by authorities, and also accepts a server whose own certificate is trusted.
///
/// Self-signed certificates of print servers often have the name of an authority, no host name, or both. The rules for
/// authorities refuse these. The signature of the handshake is verified in any case, so only the owner of this
/// certificate's key is accepted.
#[derive(Debug)]
struct PinningVerifier {
    by_roots: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for PinningVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.contains(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.by_roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_roots.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_roots.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_roots.supported_verify_schemes()
    }
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsHandshakeError {
    /// The server does not use TLS, but most likely plain HTTP.
    #[error("the server does not use HTTPS")]
    NotTls,
    /// The certificate is self-signed, or its authority is not known to this server.
    #[error("the certificate is not trusted")]
    Untrusted,
    /// The certificate has expired, or is not valid yet.
    #[error("the certificate has expired or is not valid yet")]
    NotValidNow,
    #[error("the certificate is for another name")]
    WrongName,
    /// The message of the library.
    #[error("the TLS handshake failed: {0}")]
    Other(String),
}

/// Returns the failed handshake in the causes of an error of the HTTP client.
pub fn find_tls_error(error: &(dyn std::error::Error + 'static)) -> Option<TlsHandshakeError> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .find_map(|io| rustls_error(io).map(|_| TlsHandshakeError::from_io(io)))
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

impl TlsHandshakeError {
    /// Returns the cause for the user, as a part of a sentence.
    pub fn message(&self) -> Message {
        match self {
            Self::NotTls => Message::new("cause-tls-not-spoken"),
            Self::Untrusted => Message::new("cause-tls-untrusted"),
            Self::NotValidNow => Message::new("cause-tls-out-of-time"),
            Self::WrongName => Message::new("cause-tls-other-name"),
            Self::Other(text) => Message::new("cause-tls-failed").with("text", text),
        }
    }

    pub(super) fn from_io(error: &io::Error) -> Self {
        use CertificateError as C;
        match rustls_error(error) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
                C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
                    Self::NotValidNow
                }
                C::NotValidForName | C::NotValidForNameContext { .. } => Self::WrongName,
                // Certificates of private tools are refused with many different errors.
                _ => Self::Untrusted,
            },
            _ => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_errors_are_classified() {
        let refused = |error: CertificateError| {
            TlsHandshakeError::from_io(&io::Error::new(
                io::ErrorKind::InvalidData,
                rustls::Error::InvalidCertificate(error),
            ))
        };
        assert_eq!(refused(CertificateError::Expired), TlsHandshakeError::NotValidNow);
        assert_eq!(refused(CertificateError::NotValidYet), TlsHandshakeError::NotValidNow);
        assert_eq!(refused(CertificateError::NotValidForName), TlsHandshakeError::WrongName);
        assert_eq!(refused(CertificateError::UnknownIssuer), TlsHandshakeError::Untrusted);
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(matches!(TlsHandshakeError::from_io(&closed), TlsHandshakeError::Other(_)));
    }
}
