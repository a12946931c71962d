//! The TLS set-up that HTTP and sockets share.
//!
//! reqwest's own choice (the platform verifier) refuses to start where the system has no certificates, as in a slim
//! container; a farm on plain http must not fail for that. So: the system's certificates, which is where an operator
//! adds the farm's own authority, and Mozilla's list where the system has none.

use std::{io, sync::Arc};

use rustls::{CertificateError, ClientConfig, RootCertStore};

/// Installs ring as the process's provider (once; another one already there stays) and reads the certificates.
pub(super) fn config() -> ClientConfig {
    // Err means that a provider is installed already, which is what was wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "one of the system's certificates could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let roots = Arc::new(roots);
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// Why TLS did not come about, as far as people can do something about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// What listens there speaks something else, plain HTTP most likely.
    #[error("it does not speak HTTPS")]
    NotSpoken,
    /// Made by oneself, or by an authority that this server does not know.
    #[error("its certificate is from nobody whom this server trusts")]
    Untrusted,
    /// Run out, or not begun.
    #[error("its certificate is not valid at this time")]
    OutOfTime,
    #[error("its certificate is for another name")]
    OtherName,
    /// What the library says.
    #[error("no HTTPS: {0}")]
    Other(String),
}

impl TlsError {
    pub(super) fn of(error: &io::Error) -> Self {
        use CertificateError as C;
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotSpoken,
            Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
                C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
                    Self::OutOfTime
                }
                C::NotValidForName | C::NotValidForNameContext { .. } => Self::OtherName,
                // One that one's own tool made is refused in many words.
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
    fn what_a_person_can_mend_is_told_apart() {
        let refused = |error: CertificateError| {
            TlsError::of(&io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(error)))
        };
        assert_eq!(refused(CertificateError::Expired), TlsError::OutOfTime);
        assert_eq!(refused(CertificateError::NotValidYet), TlsError::OutOfTime);
        assert_eq!(refused(CertificateError::NotValidForName), TlsError::OtherName);
        assert_eq!(refused(CertificateError::UnknownIssuer), TlsError::Untrusted);
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(matches!(TlsError::of(&closed), TlsError::Other(_)));
    }
}
