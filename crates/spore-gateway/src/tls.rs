//! TLS to the broker.

use anyhow::{Context as _, Result, anyhow, ensure};
use log::warn;
use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Whom the gateway takes for the broker, and as whom it shows itself.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Takes for the broker who has its name in a certificate of these authorities, in PEM; without any, of those that this system trusts. A
    /// broker that wants to know who comes is shown the certificate of `client`, which has the key behind it, both in PEM.
    pub fn new(authorities: Option<&[u8]>, client: Option<(&[u8], &[u8])>) -> Result<Self> {
        let roots = match authorities {
            Some(pem) => roots(certificates(pem)?),
            None => {
                let found = rustls_native_certs::load_native_certs();
                found.errors.iter().for_each(|error| warn!("{error}"));
                roots(found.certs)
            }
        }?;
        // There are others, and none is the default of a program that has several.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| anyhow!("no private key: {error}"))?;
                config
                    .with_client_auth_cert(certificates(certificate)?, key)
                    .context("the gateway's certificate and key do not belong together")?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn transport(&self) -> Transport {
        Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(&self.0)))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| anyhow!("no certificate: {error}"))?;
    ensure!(!certificates.is_empty(), "there is no certificate in PEM");
    Ok(certificates)
}

fn roots(certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates);
    ensure!(taken > 0, "no certificate of an authority is there");
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::Tls;

    #[test]
    fn what_is_no_certificate_is_refused() {
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_bytes();
        for pem in [&b""[..], b"text", junk] {
            assert!(Tls::new(Some(pem), None).is_err());
        }
    }
}
