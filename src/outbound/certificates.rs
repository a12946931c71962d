//! Certificates that are trusted in addition to those of the system.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Certificates in one text.
const MOST: usize = 20;

/// A set of certificates of authorities, or of servers themselves. A clone is cheap in comparison with a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Certificates(Vec<CertificateDer<'static>>);

/// Why a text is no set of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateError {
    /// Its owner has published it by this.
    PrivateKey,
    /// No block of a certificate, or a block that cannot be read.
    NotPem,
    /// A block whose content is not a certificate.
    NotCertificate,
    /// More than 20.
    TooMany,
}

impl Certificates {
    /// Reads the certificates of a PEM text. Text between them is left out.
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
            1..=MOST => {}
            _ => return Err(CertificateError::TooMany),
        }
        for certificate in &found {
            let added = RootCertStore::empty().add(certificate.clone());
            added.map_err(|_| CertificateError::NotCertificate)?;
        }
        Ok(Self::of(found))
    }

    /// Reads a file as [`parse`](Self::parse) reads a text. The error is a sentence for the operator.
    ///
    /// # Errors
    /// Why the file cannot be used.
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

    /// The certificates as PEM text in its normal form.
    pub fn pem(&self) -> String {
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

    /// These and others.
    pub(super) fn and(&self, others: &Self) -> Self {
        Self::of([self.0.as_slice(), others.0.as_slice()].concat())
    }

    /// Each once, in an order of their own, so that equal sets are equal.
    fn of(mut certificates: Vec<CertificateDer<'static>>) -> Self {
        certificates.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        certificates.dedup();
        Self(certificates)
    }

    /// Each certificate.
    pub(super) fn all(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn certificates_are_read_out_of_the_text_around_them() {
        let ((a, key), (b, _)) = (certificate("a.test"), certificate("b.test"));
        let read = Certificates::parse(&format!("subject=CN = a\r\n{a}\n\nissuer\n{b}{a}")).expect("certificates");
        assert_eq!(read.all().len(), 2, "each once");
        assert_eq!(Certificates::parse(&read.pem()), Ok(read));
        assert_eq!(Certificates::parse(&format!("{a}{key}")), Err(CertificateError::PrivateKey));
        assert_eq!(Certificates::parse("no certificate"), Err(CertificateError::NotPem));
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Certificates::parse(wrong), Err(CertificateError::NotCertificate));
    }
}
