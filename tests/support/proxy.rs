//! A TCP proxy that misbehaves on order, for a server such as PostgreSQL behind it.
//!
//! It runs on a thread of its own, so that a busy test delays nothing, and ends with its value. Orders take effect at
//! once, for open connections too; what was held back while frozen goes on when the order is over.
#![allow(dead_code, reason = "shared by tests and campaigns; none needs all of it")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// What is done to the bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Order {
    /// Nothing.
    Pass,
    /// Each query of a PostgreSQL client (`Execute` or `Query`) waits this long before the server hears of it; what a
    /// client says to connect, prepare or check a connection does not.
    DelayQueries(Duration),
    /// Whatever a client sends waits this long, so each round trip does.
    DelayAll(Duration),
    /// Connections are taken and nothing is passed on, either way.
    Freeze,
    /// Nobody listens any more and open connections are cut.
    Refuse,
    /// What the server answers arrives wrong: every 7th byte is another.
    Garble,
    /// The server's answers arrive at so many bytes a second.
    Trickle(u32),
}

/// The proxy; dropped, it is gone and so are its connections.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Order>,
    cuts: watch::Sender<u64>,
    connections: Arc<AtomicU64>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of this machine for clients of `upstream`.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (orders, ordered) = watch::channel(Order::Pass);
        let (cuts, cut) = watch::channel(0);
        let (end, ended) = oneshot::channel();
        let connections = Arc::new(AtomicU64::new(0));
        let shared = Shared { upstream, ordered, cut, connections: Arc::clone(&connections) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = listen(listener, address, shared) => {}
                    _ = ended => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(run)?;
        Ok(Self { address, orders, cuts, connections, end: Some(end), thread: Some(thread) })
    }

    /// A proxy before the PostgreSQL of a URL, and the URL that leads through it.
    pub fn before(url: &str) -> io::Result<(Self, String)> {
        let wrong = |_| io::Error::new(io::ErrorKind::InvalidInput, "no database URL");
        let mut url = url::Url::parse(url).map_err(wrong)?;
        let host = url.host_str().unwrap_or("127.0.0.1").to_owned();
        let found = std::net::ToSocketAddrs::to_socket_addrs(&(host, url.port().unwrap_or(5432)))?.next();
        let proxy = Self::start(found.ok_or(io::ErrorKind::NotFound)?)?;
        let _ = url.set_ip_host(proxy.address.ip());
        let _ = url.set_port(Some(proxy.address.port()));
        Ok((proxy, url.into()))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn order(&self, order: Order) {
        self.orders.send_replace(order);
    }

    /// Cuts every open connection; new ones are welcome, unless ordered otherwise.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Connections taken since the start.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The thread may have ended already.
        let _ = self.end.take().map(|end| end.send(()));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[derive(Clone)]
struct Shared {
    upstream: SocketAddr,
    ordered: watch::Receiver<Order>,
    cut: watch::Receiver<u64>,
    connections: Arc<AtomicU64>,
}

async fn listen(listener: std::net::TcpListener, address: SocketAddr, shared: Shared) {
    let mut ordered = shared.ordered.clone();
    let mut listener = TcpListener::from_std(listener).ok();
    loop {
        if *ordered.borrow_and_update() == Order::Refuse {
            listener = None;
            if ordered.wait_for(|order| *order != Order::Refuse).await.is_err() {
                return;
            }
        }
        if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let Some(open) = &listener else {
            // Somebody else was quick to take the port: try again.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::select! {
            taken = open.accept() => if let Ok((client, _)) = taken {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(client, shared.clone()));
            },
            changed = ordered.changed() => if changed.is_err() { return },
        }
    }
}

async fn serve(client: TcpStream, shared: Shared) {
    let (mut cut, mut ordered, mut refused) = (shared.cut.clone(), shared.ordered.clone(), shared.ordered.clone());
    cut.mark_unchanged();
    let relayed = async {
        pass(&mut ordered).await?;
        let server = TcpStream::connect(shared.upstream).await.ok()?;
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = upward(from_client, to_server, shared.ordered.clone()) => {}
            () = downward(from_server, to_client, shared.ordered.clone()) => {}
        }
        Some(())
    };
    tokio::select! {
        _ = relayed => {}
        _ = cut.changed() => {}
        _ = refused.wait_for(|order| *order == Order::Refuse) => {}
    }
}

/// Waits while frozen; `None` when the proxy ends.
async fn pass(ordered: &mut watch::Receiver<Order>) -> Option<Order> {
    ordered.wait_for(|order| *order != Order::Freeze).await.ok().map(|order| *order)
}

async fn upward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut ordered: watch::Receiver<Order>) {
    let (mut buffer, mut messages) = (vec![0; 16 * 1024], Messages::default());
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let asks = messages.ask(&buffer[..read]);
        let wait = match *ordered.borrow() {
            Order::DelayQueries(wait) => wait * asks,
            Order::DelayAll(wait) => wait,
            _ => Duration::ZERO,
        };
        if wait > Duration::ZERO {
            // A delay ends with the order for it.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = ordered.wait_for(|order| !matches!(order, Order::DelayQueries(_) | Order::DelayAll(_))) => {}
            }
        }
        if pass(&mut ordered).await.is_none() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn downward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut ordered: watch::Receiver<Order>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let most = if matches!(*ordered.borrow(), Order::Trickle(_)) { 16 } else { buffer.len() };
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { return };
        let Some(order) = pass(&mut ordered).await else { return };
        match order {
            Order::Garble => buffer[..read].iter_mut().skip(3).step_by(7).for_each(|byte| *byte ^= 0x5a),
            Order::Trickle(bytes) => {
                tokio::time::sleep(Duration::from_secs(1) * read as u32 / bytes.max(1)).await;
            }
            _ => {}
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Finds queries in what a PostgreSQL client sends (protocol 3.0: a byte of kind and a length, but the first message
/// of a connection has no kind).
#[derive(Default)]
struct Messages {
    /// Bytes of the message begun that are still to come.
    left: usize,
    head: Vec<u8>,
    begun: bool,
}

impl Messages {
    /// How many queries are asked for in these bytes.
    fn ask(&mut self, mut bytes: &[u8]) -> u32 {
        let mut asked = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            let kind = usize::from(self.begun);
            if self.head.len() == 4 + kind {
                let length = u32::from_be_bytes([0, 1, 2, 3].map(|at| self.head[at + kind])) as usize;
                asked += u32::from(self.begun && matches!(self.head[0], b'E' | b'Q'));
                // A request for TLS, 8 bytes, is followed by another message without a kind.
                self.begun |= length != 8;
                self.left = length.saturating_sub(4);
                self.head.clear();
            }
        }
        asked
    }
}
