//! Certificates that are trusted in addition to the system's certificates.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The highest number of certificates in one text.
const MAX_CERTIFICATES: usize = 20;

/// A set of certificates of authorities or of servers. Cloning is cheap compared with opening a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Certificates(Vec<CertificateDer<'static>>);

/// Why a text is not a set of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateError {
    /// The text contains a private key, which is no longer secret now.
    PrivateKey,
    /// There is no certificate block, or a block cannot be read.
    NotPem,
    /// The content of a block is not a certificate.
    NotCertificate,
    /// There are more than 20 certificates.
    TooMany,
}

impl Certificates {
    /// Parses the certificates of a PEM text. Text between them is ignored.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(pem: &str) -> Result<Self, CertificateError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(CertificateError::PrivateKey);
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let found = found.map_err(|_| CertificateError::NotPem)?;
        match found.len() {
            0 => return Err(CertificateError::NotPem),
            1..=MAX_CERTIFICATES => {}
            _ => return Err(CertificateError::TooMany),
        }
        for certificate in &found {
            let added = RootCertStore::empty().add(certificate.clone());
            added.map_err(|_| CertificateError::NotCertificate)?;
        }
        Ok(Self::from_unsorted(found))
    }

    /// Reads a file like [`parse`](Self::parse). The error is a sentence for the operator.
    ///
    /// # Errors
    /// The reason why the file cannot be used.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| {
            let rule = match error {
                CertificateError::PrivateKey => "contains a private key; only certificates belong there",
                CertificateError::NotPem => "contains no certificate in PEM",
                CertificateError::NotCertificate => "contains a certificate that cannot be read",
                CertificateError::TooMany => "contains more than 20 certificates",
            };
            format!("{}: it {rule}", path.display())
        })
    }

    /// Returns the certificates as normalised PEM text.
    pub fn to_pem(&self) -> String {
        let mut text = String::new();
        for certificate in &self.0 {
            text.push_str("-----BEGIN CERTIFICATE-----\n");
            let encoded = STANDARD.encode(certificate);
            for line in encoded.as_bytes().chunks(64) {
                text.push_str(&String::from_utf8_lossy(line));
                text.push('\n');
            }
            text.push_str("-----END CERTIFICATE-----\n");
        }
        text
    }

    /// Returns the union of both sets.
    pub(super) fn union(&self, others: &Self) -> Self {
        Self::from_unsorted([self.0.as_slice(), others.0.as_slice()].concat())
    }

    /// Sorts the certificates and removes duplicates, so that equal sets compare as equal.
    fn from_unsorted(mut certificates: Vec<CertificateDer<'static>>) -> Self {
        certificates.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        certificates.dedup();
        Self(certificates)
    }

    /// Returns all certificates.
    pub(super) fn as_slice(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> (String, String) {
        let generated = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        (generated.cert.pem(), generated.signing_key.serialize_pem())
    }

    #[test]
    fn certificates_are_read_out_of_the_text_around_them() {
        let ((a, key), (b, _)) = (certificate("a.test"), certificate("b.test"));
        let read = Certificates::parse(&format!("subject=CN = a\r\n{a}\n\nissuer\n{b}{a}")).expect("certificates");
        assert_eq!(read.as_slice().len(), 2, "each once");
        assert_eq!(Certificates::parse(&read.to_pem()), Ok(read));
        assert_eq!(Certificates::parse(&format!("{a}{key}")), Err(CertificateError::PrivateKey));
        assert_eq!(Certificates::parse("no certificate"), Err(CertificateError::NotPem));
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Certificates::parse(wrong), Err(CertificateError::NotCertificate));
    }
}
