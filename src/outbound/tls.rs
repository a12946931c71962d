//! The TLS set-up that HTTP and sockets share.
//!
//! reqwest's own choice (the platform verifier) refuses to start where the system has no certificates, as in a slim
//! container; a farm on plain http must not fail for that. So: the system's certificates, which is where an operator
//! adds the farm's own authority, and Mozilla's list where the system has none.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

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
