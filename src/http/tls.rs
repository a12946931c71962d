//! Built-in TLS, for a farm without a proxy: reads a certificate and its key from two PEM files.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Why TLS cannot start, for the operator at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{setting}: {file} cannot be used as {what}: {source}")]
    File { setting: &'static str, file: String, what: &'static str, source: rustls::pki_types::pem::Error },
    #[error("PRINTYARD_TLS_CERT and PRINTYARD_TLS_KEY do not fit together: {0}")]
    KeyMismatch(rustls::Error),
}

/// Reads both files and checks that they match.
pub fn load_acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let failed = |setting, path: &Path, what| {
        let file = path.display().to_string();
        move |source| TlsError::File { setting, file, what, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| if chain.is_empty() { Err(rustls::pki_types::pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(failed("PRINTYARD_TLS_CERT", &files.certificate, "a certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed(
        "PRINTYARD_TLS_KEY",
        &files.key,
        "a private key in PEM",
    ))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::KeyMismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::KeyMismatch)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
