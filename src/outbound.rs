//! Connections Caly makes itself: one TLS configuration for the process, one `awc` client per thread.
//!
//! `awc::Client` is `!Send` and pools its connections per thread, so every thread keeps its own over one shared
//! rustls configuration. The configuration offers `http/1.1` only: a server that took `h2` could not be spoken
//! to over WebSocket. Knows nothing of vendors or of what is sent.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix_tls::connect::{ConnectInfo, Connector as TcpConnector};
use actix_web::dev::{Service as _, fn_service};
use awc::http::Uri;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Longest wait for a connection or an answer, unless the caller has a shorter deadline of its own.
const LONGEST: Duration = Duration::from_secs(30);

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Why no outbound client could be built.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The CA file cannot be read or holds no certificate.
    #[error("ca file {path}: {reason}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS itself could not be set up.
    #[error("tls: {0}")]
    Tls(String),
}

/// A shared way out. Cheap to clone; hands every thread its own client.
#[derive(Clone)]
pub struct Outbound {
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbound")
    }
}

thread_local! {
    /// This thread's clients, one per live TLS configuration (a process has one or two).
    static CLIENTS: RefCell<Vec<(Weak<ClientConfig>, awc::Client)>> = const { RefCell::new(Vec::new()) };
}

impl Outbound {
    /// Trusts the public roots and, if given, the certificates of a PEM file (for a private gateway).
    ///
    /// # Errors
    /// A file that cannot be read or holds no usable certificate.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, OutboundError> {
        install_provider();
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            add_roots(&mut roots, path).map_err(|reason| OutboundError::CaFile { path: path.to_path_buf(), reason })?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| OutboundError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls) })
    }

    /// This thread's client. It follows no redirects and has no limit of connections, for a WebSocket holds its
    /// place for life. Callers bring their own deadlines; 30 s is the longest any step can take.
    #[must_use]
    pub fn client(&self) -> awc::Client {
        CLIENTS.with_borrow_mut(|clients| {
            clients.retain(|(tls, _)| tls.strong_count() > 0);
            let ours = Arc::downgrade(&self.tls);
            if let Some((_, client)) = clients.iter().find(|(tls, _)| tls.ptr_eq(&ours)) {
                return client.clone();
            }
            let client = build_client(Arc::clone(&self.tls));
            clients.push((ours, client.clone()));
            client
        })
    }
}

fn build_client(tls: Arc<ClientConfig>) -> awc::Client {
    install_provider(); // `Connector::new` panics without one, even though its configuration is replaced
    let tcp = Rc::new(TcpConnector::default().service());
    let prompt_tcp = fn_service(move |info: ConnectInfo<Uri>| {
        let connecting = tcp.call(info);
        async move {
            let connection = connecting.await?;
            tune(connection.io_ref());
            Ok(connection)
        }
    });
    let connector = awc::Connector::new()
        .connector(prompt_tcp)
        .rustls_0_23(tls)
        .limit(0)
        .timeout(LONGEST)
        .handshake_timeout(LONGEST);
    awc::Client::builder().connector(connector).timeout(LONGEST).disable_redirects().finish()
}

/// Neither awc nor actix-tls switches Nagle's algorithm off, and with it on a 20 ms audio frame waits for the
/// acknowledgement of the one before: a whole round trip, 200 ms from India. Failing to set an option is no
/// reason to fail the connection.
fn tune(stream: &actix_rt::net::TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "tcp_nodelay not set");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
        tracing::debug!(%error, "tcp_user_timeout not set");
    }
}

/// Several providers may be compiled in, and rustls then chooses none by itself. The first to be installed stays.
fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let mut added = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        added += 1;
    }
    if added == 0 { Err("no certificate in it".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let error = Outbound::new(Some(file.path())).expect_err("an empty file is no CA");
        assert!(error.to_string().contains("no certificate"), "{error}");
        let error = Outbound::new(Some(Path::new("/nowhere/ca.pem"))).expect_err("a missing file is no CA");
        assert!(error.to_string().starts_with("ca file /nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn only_http_1_1_is_offered() {
        let outbound = Outbound::new(None).expect("public roots");
        assert_eq!(outbound.tls.alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[actix_rt::test]
    async fn small_frames_are_not_held_back_for_an_acknowledgement() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream =
            actix_rt::net::TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        tune(&stream);
        assert!(stream.nodelay().expect("an option"));
    }

    #[actix_rt::test]
    async fn a_thread_keeps_one_client_per_configuration() {
        let (one, two) = (Outbound::new(None).expect("roots"), Outbound::new(None).expect("roots"));
        let count = || CLIENTS.with_borrow(Vec::len);
        let before = count();
        let _ = (one.client(), one.client(), one.clone().client());
        assert_eq!(count(), before + 1);
        let _ = two.client();
        assert_eq!(count(), before + 2);
    }
}
