//! Where a connection waits until it has sent the head of a request: actix sets 16 KiB of buffers aside for each
//! connection it is given, so that a crowd which asks nothing would cost more than one which does.
//!
//! What has been read here is replayed to actix, which alone judges it. Whatever does not begin like a request is handed
//! on at once, to be refused as ever.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::AsyncWriteExt as _;

use super::connection::Connection;

/// A first request's head must have arrived whole within this, counted from the connection.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Longest head that is waited for here; a longer one is asking something, and actix waits for the rest.
const HEAD_BYTES_MAX: usize = 4096;
/// What is told to a connection that asked nothing in time.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Waits for a connection's first request; `None` if there is none and the connection is closed.
pub async fn first_request(mut stream: TcpStream) -> Option<(Connection, Option<SocketAddr>)> {
    let peer = stream.peer_addr().ok();
    let mut head = Vec::new();
    let waited = tokio::time::timeout(HEAD_DEADLINE, read_head(&mut stream, &mut head)).await;
    let mut connection = Connection::new(stream, head);
    match waited {
        Ok(true) => Some((connection, peer)),
        Ok(false) => None,
        Err(_) => {
            metrics::counter!("caly_http_connections_cut_total", "reason" => "no_request").increment(1);
            // A connection that takes no byte is not worth waiting for.
            let _ = tokio::time::timeout(Duration::from_millis(100), connection.write_all(TOO_LATE)).await;
            let _ = connection.shutdown().await;
            None
        }
    }
}

/// Reads until there is something for actix to judge; false if the peer has gone without having said anything.
async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> bool {
    // No buffer is held while nothing comes.
    while !is_due(head) {
        if stream.readable().await.is_err() {
            return false;
        }
        let mut bytes = [0; 1024];
        match stream.try_read(&mut bytes) {
            Ok(0) => return !head.is_empty(),
            Ok(read) => head.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

/// Whether these bytes are a whole head, too many for one kept here, or no beginning of a request.
fn is_due(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    let Some(&first) = text.first() else { return head.len() > 64 };
    if head.len() >= HEAD_BYTES_MAX || !first.is_ascii_alphabetic() || text.contains(&0) {
        return true;
    }
    let Some(end) = text.iter().position(|&byte| byte == b'\n') else { return false };
    let is_request = text[..end].windows(8).any(|part| part == b" HTTP/1.");
    !is_request || text.windows(2).any(|two| two == b"\n\n") || text.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_request_waits() {
        for waits in
            [&b""[..], b"\r\n", b"G", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n"]
        {
            assert!(!is_due(waits), "{:?}", String::from_utf8_lossy(waits));
        }
        let long = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; 5000]].concat();
        for due in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"\r\nGET / HTTP/1.1\nHost: x\n\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            b"\x16\x03\x01",
            b"*1\r\n",
            b"EHLO x\r\n",
            b"GET /\r\n",
            b"GET / HTTP/2.0\r\n",
            b"GET /\0",
            &[b'\n'; 100],
            &long,
        ] {
            assert!(is_due(due), "{:?}", String::from_utf8_lossy(due));
        }
    }
}
