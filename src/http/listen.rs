//! The listener: how many connections there may be, how long one may be idle, and the services behind it.
//!
//! What one connection costs the process is a descriptor, so their number follows from the limit of open files, less
//! what calls and the database need. At the limit accepting pauses and the kernel's backlog waits; calls go on.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use super::anteroom::{HEAD_DEADLINE, first_request};
use super::connection::{self, Connection};
use super::{App, configure, shield};
use crate::config::Config;

/// A connection without a request is closed after this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long an answered peer may go on sending a body nobody reads, and how long the end of the process waits for a peer to
/// close a connection that is over.
const DISCONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Connections the kernel may keep waiting for us.
const BACKLOG: i32 = 4096;
/// Descriptors for files, pipes, timers and what else is open in any process.
const FILES_APART: u64 = 128;
/// A live call's own: the engine's socket, a recording, and one to spare.
const FILES_PER_CALL: u64 = 3;
/// A database connection's, with the files of an embedded one.
const FILES_PER_DATABASE_CONNECTION: u64 = 4;
/// Connections where the system sets no limit of open files.
const CONNECTIONS_UNLIMITED: u64 = 100_000;

/// A server that listens.
pub struct Listening {
    /// To be awaited; ends when it is stopped.
    pub server: Server,
    /// What it has taken.
    pub address: SocketAddr,
    closing: Arc<Semaphore>,
}

impl Listening {
    /// What ends it once nobody is served any more.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer { handle: self.server.handle(), closing: Arc::clone(&self.closing) }
    }
}

/// Ends a server. Waits for its connections itself, since actix looks at them once a second.
pub struct Closer {
    handle: ServerHandle,
    closing: Arc<Semaphore>,
}

impl Closer {
    /// Connections without a request are closed, others after their answer; what is left after `within` is cut.
    pub async fn close(self, within: Duration) {
        self.closing.close();
        let gone = async {
            while connection::open() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(within, gone).await.is_err() {
            tracing::warn!(open = connection::open(), "connections are cut: they did not finish in time");
        }
        self.handle.stop(false).await;
    }
}

/// Starts to listen and to serve.
///
/// # Errors
/// The address is taken or not ours.
pub fn listen(app: &web::Data<App>) -> io::Result<Listening> {
    let settings = &app.config.server;
    let workers = match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        given => given,
    };
    let connections = connections(&app.config);
    tracing::info!(connections, workers, "listening");
    let listener = bind((settings.host, settings.port).into())?;
    let address = listener.local_addr()?;
    let data = app.clone();
    let server = Server::build();
    // Told to every connection when the server closes: nobody ever gets a permit, and all hear that there are none.
    let closing = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&closing);
    let services = move || {
        let (data, told) = (data.clone(), Arc::clone(&told));
        // Each worker is an arbiter: calls live on the same threads that answer requests, so that a frame need not
        // change threads where the socket and its call share one.
        data.calls.add_thread(Arbiter::current());
        data.watch.add_this_thread();
        let app = actix_web::App::new().app_data(data).wrap(from_fn(shield::shield)).configure(configure);
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let told = Arc::clone(&told);
                async move { told.acquire().await.map_or((), drop) }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_DEADLINE)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .h1_allow_half_closed(true)
            .local_addr(address)
            .on_connect_ext(|connection: &Connection, extensions| {
                extensions.insert(connection.kill_switch());
                extensions.insert(connection.progress());
            })
            .finish(map_config(app.into_factory().map_err(|error: actix_web::Error| error.error_response()), |()| {
                AppConfig::default()
            }));
        fn_service(|stream: TcpStream| async move {
            let (connection, peer) = first_request(stream).await.ok_or(DispatchError::SlowRequestTimeout)?;
            Ok((connection, Protocol::Http1, peer))
        })
        .and_then(http)
    };
    let server = server
        .workers(workers)
        .max_concurrent_connections((connections / workers).max(16))
        .disable_signals()
        .listen("caly", listener, services)?;
    Ok(Listening { server: server.run(), address, closing })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restart must not wait for the last connections of the process before it.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How many connections may be open at once.
fn connections(config: &Config) -> usize {
    let files = raise_open_files();
    let room = match files {
        Some(files) => connections_for(files, config.calls.max_live as u64, u64::from(config.database.max_connections)),
        None => CONNECTIONS_UNLIMITED,
    };
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    match config.server.max_connections {
        0 => room,
        wanted => {
            if wanted > room {
                tracing::warn!(
                    wanted,
                    room,
                    "server.max_connections is more than the limit of open files allows: raise it (ulimit -Hn)"
                );
            }
            wanted.min(room)
        }
    }
}

/// Never less than three quarters of all descriptors: most calls never come, and accepting pauses when there are none left.
fn connections_for(files: u64, calls: u64, database: u64) -> u64 {
    let apart = FILES_APART + calls * FILES_PER_CALL + database * FILES_PER_DATABASE_CONNECTION;
    files.saturating_sub(apart).max(files - files / 4)
}

/// Lifts the soft limit of open files to the hard one; gives back what is in force, `None` if there is no limit.
fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            limit.current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_calls_and_the_database() {
        for (files, calls, database, expected) in
            [(20_000, 500, 10, 18_332), (1_024, 500, 10, 768), (1_024, 10, 10, 826), (65_536, 5_000, 200, 49_608)]
        {
            assert_eq!(connections_for(files, calls, database), expected, "{files} files, {calls} calls");
        }
    }
}
