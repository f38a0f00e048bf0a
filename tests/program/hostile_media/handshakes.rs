//! Requests for the media socket that are not quite handshakes.

use crate::raw::HANDSHAKE;

pub struct Handshake {
    pub name: &'static str,
    /// `{target}` is replaced by the path of a good media URL.
    pub request: String,
    pub statuses: &'static [u16],
}

fn with(name: &'static str, line: &str, headers: &str, statuses: &'static [u16]) -> Handshake {
    Handshake { name, request: format!("{line}\r\n{headers}\r\n"), statuses }
}

const GET: &str = "GET {target} HTTP/1.1";

pub fn handshakes() -> Vec<Handshake> {
    let without = |header: &str| {
        let lines = HANDSHAKE.split_inclusive("\r\n").filter(|line| !line.starts_with(header));
        lines.collect::<String>()
    };
    let plus = |more: &str| format!("{HANDSHAKE}{more}\r\n");
    let instead = |header: &str, more: &str| format!("{}{more}\r\n", without(header));
    vec![
        with("all right", GET, HANDSHAKE, &[101]),
        with("no key", GET, &without("Sec-WebSocket-Key"), &[400]),
        with("an empty key", GET, &instead("Sec-WebSocket-Key", "Sec-WebSocket-Key:"), &[400]),
        with("a short key", GET, &instead("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAA"), &[400]),
        with(
            "a key that is no base64",
            GET,
            &instead("Sec-WebSocket-Key", "Sec-WebSocket-Key: %%%%%%%%%%%%%%%%%%%%%%=="),
            &[400],
        ),
        with("two keys", GET, &plus("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), &[400]),
        with("no version", GET, &without("Sec-WebSocket-Version"), &[400, 426]),
        with("version 8", GET, &instead("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), &[400, 426]),
        with("version 14", GET, &instead("Sec-WebSocket-Version", "Sec-WebSocket-Version: 14"), &[400, 426]),
        with("version text", GET, &instead("Sec-WebSocket-Version", "Sec-WebSocket-Version: latest"), &[400, 426]),
        with("no upgrade", GET, &without("Upgrade"), &[400, 426]),
        with("another upgrade", GET, &instead("Upgrade", "Upgrade: h2c"), &[400, 426]),
        with("no connection header", GET, &without("Connection"), &[400, 426]),
        with("connection close", GET, &instead("Connection", "Connection: close"), &[400, 426]),
        with("no host", GET, &without("Host"), &[400]),
        with("an origin", GET, &plus("Origin: https://evil.example"), &[403]),
        with("origin null", GET, &plus("Origin: null"), &[403]),
        with("an empty origin", GET, &plus("Origin:"), &[403]),
        with("our own origin", GET, &plus("Origin: http://127.0.0.1"), &[403]),
        with("a subprotocol", GET, &plus("Sec-WebSocket-Protocol: graphql-ws, audio"), &[101]),
        with("a broken subprotocol", GET, &plus("Sec-WebSocket-Protocol: ,,;=\""), &[101, 400]),
        with(
            "an extension",
            GET,
            &plus("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
            &[101],
        ),
        with("a broken extension", GET, &plus("Sec-WebSocket-Extensions: ;;=x-\u{7f}"), &[101, 400]),
        with(
            "a hundred extensions",
            GET,
            &plus(&format!("Sec-WebSocket-Extensions: {}", ["permessage-deflate"; 100].join(", "))),
            &[101],
        ),
    ]
    .into_iter()
    .chain(elsewhere())
    .collect()
}

/// The wrong method, version, token or client.
fn elsewhere() -> Vec<Handshake> {
    let plus = |more: &str| format!("{HANDSHAKE}{more}\r\n");
    let path = |path: &str| format!("GET {path} HTTP/1.1");
    vec![
        with("POST", "POST {target} HTTP/1.1", HANDSHAKE, &[404, 405]),
        with("PUT", "PUT {target} HTTP/1.1", HANDSHAKE, &[404, 405]),
        with("HTTP/1.0", "GET {target} HTTP/1.0", HANDSHAKE, &[400, 426]),
        with("HTTP/2.0", "GET {target} HTTP/2.0", HANDSHAKE, &[400, 505]),
        with("a cut token", &path("/media/exotel/abc.def"), HANDSHAKE, &[401]),
        with("no token", &path("/media/exotel/"), HANDSHAKE, &[401, 404]),
        with("traversal", &path("/media/exotel/..%2f..%2fhealth"), HANDSHAKE, &[401, 404]),
        with("a NUL", &path("/media/exotel/%00"), HANDSHAKE, &[401, 404]),
        with("a token of 60 KB", &path(&format!("/media/exotel/{}", "a".repeat(60_000))), HANDSHAKE, &[401]),
        with("an unknown client", &path("/media/exotel/client/nobody"), HANDSHAKE, &[401]),
        with("a client without credentials", &path("/media/exotel/client/demo"), HANDSHAKE, &[401]),
        with(
            "a client with wrong ones",
            &path("/media/exotel/client/demo"),
            &plus("Authorization: Basic ZGVtbzpkZW1v"),
            &[401],
        ),
        with(
            "a client with broken ones",
            &path("/media/exotel/client/demo"),
            &plus("Authorization: Basic \u{00ff}"),
            &[401],
        ),
    ]
}
