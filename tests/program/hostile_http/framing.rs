//! Requests that are wrong as bytes: no client would send them, so they are written by hand.

#[derive(Clone)]
pub struct Framed {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// 0 for a connection that ends without an answer.
    pub statuses: &'static [u16],
}

const BAD: &[u16] = &[400];
const HEAD_TOO_LARGE: &[u16] = &[400, 414, 431];

pub fn all(key: &str) -> Vec<Framed> {
    let post = |headers: &str, body: &[u8]| {
        let head = format!(
            "POST /webhooks/exotel/demo/status?key={key} HTTP/1.1\r\nHost: x\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    [lengths(&post), chunks(&post), heads(), lines(), targets(), sizes(&post)].concat()
}

fn framed(name: &'static str, bytes: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Framed {
    Framed { name, bytes: bytes.into(), statuses }
}

type Post<'a> = &'a dyn Fn(&str, &[u8]) -> Vec<u8>;

fn lengths(post: Post<'_>) -> Vec<Framed> {
    vec![
        framed("two lengths", post("Content-Length: 5\r\nContent-Length: 6", b"abcdef"), BAD),
        framed("two equal lengths", post("Content-Length: 5\r\nContent-Length: 5", b"abcde"), BAD),
        framed("a list of lengths", post("Content-Length: 5, 5", b"abcde"), BAD),
        framed("length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), BAD),
        framed("chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n"), BAD),
        framed("a signed length", post("Content-Length: +5", b"abcde"), BAD),
        framed("a negative length", post("Content-Length: -5", b"abcde"), BAD),
        framed("a hexadecimal length", post("Content-Length: 0x5", b"abcde"), BAD),
        framed("a length with spaces", post("Content-Length: 5 5", b"abcde"), BAD),
        framed("a length with a letter", post("Content-Length: 5a", b"abcde"), BAD),
        framed("a fractional length", post("Content-Length: 5.0", b"abcde"), BAD),
        framed("a length beyond 64 bits", post("Content-Length: 99999999999999999999", b"abcde"), BAD),
        framed("the longest length", post("Content-Length: 18446744073709551615", b"abcde"), &[400, 413]),
        framed("an empty length", post("Content-Length:", b"abcde"), BAD),
        framed("identity as encoding", post("Transfer-Encoding: identity", b""), BAD),
        framed("an unknown encoding", post("Transfer-Encoding: xchunked", b"0\r\n\r\n"), BAD),
        framed("chunked, then gzip", post("Transfer-Encoding: chunked, gzip", b"0\r\n\r\n"), BAD),
        framed("gzip, then chunked", post("Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"), BAD),
        framed("chunked twice", post("Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"), BAD),
        framed("two encodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"0\r\n\r\n"), BAD),
        framed("an encoding in quotes", post("Transfer-Encoding: \"chunked\"", b"0\r\n\r\n"), BAD),
        framed("an encoding with a control", post("Transfer-Encoding: \u{b}chunked", b"0\r\n\r\n"), BAD),
        framed("a space before the colon", post("Transfer-Encoding : chunked", b"0\r\n\r\n"), BAD),
        framed("a body and a second request", post("Content-Length: 0", b"GET /nowhere HTTP/1.1\r\n\r\n"), &[422]),
    ]
}

fn chunks(post: Post<'_>) -> Vec<Framed> {
    let chunked = |body: &[u8]| post("Transfer-Encoding: chunked", body);
    vec![
        framed("no chunk size", chunked(b"zz\r\n\r\n"), BAD),
        framed("an empty chunk size", chunked(b"\r\n\r\n"), BAD),
        framed("a negative chunk", chunked(b"-1\r\n\r\n"), BAD),
        framed("a chunk size with a prefix", chunked(b"0x5\r\nabcde\r\n0\r\n\r\n"), BAD),
        framed("a chunk size beyond 64 bits", chunked(b"ffffffffffffffffff\r\n\r\n"), BAD),
        framed("a chunk without its end", chunked(b"5\r\na=bcdX0\r\n\r\n"), BAD),
        framed("a chunk size with a bare line feed", chunked(b"5\na=bcd\r\n0\r\n\r\n"), BAD),
        framed("a chunk extension", chunked(b"5;a=b\r\na=bcd\r\n0\r\n\r\n"), &[400, 422]),
        framed("good chunks", chunked(b"5\r\na=bcd\r\n0\r\n\r\n"), &[422]),
        framed(
            "a byte a chunk",
            chunked(&[b"1\r\na\r\n".repeat(3000), b"0\r\n\r\n".to_vec()].concat()),
            &[400, 413, 422],
        ),
    ]
}

fn heads() -> Vec<Framed> {
    let get = |headers: &[u8]| [b"GET /nowhere HTTP/1.1\r\n", headers, b"\r\n"].concat();
    vec![
        framed("no host", get(b""), BAD),
        framed("two hosts", get(b"Host: a\r\nHost: b\r\n"), BAD),
        framed("a folded header", get(b"Host: x\r\nA: b\r\n c\r\n"), BAD),
        framed("a fold at the beginning", get(b" Host: x\r\n"), BAD),
        framed("a header without a colon", get(b"Host: x\r\nnothing\r\n"), BAD),
        framed("a header without a name", get(b"Host: x\r\n: v\r\n"), BAD),
        framed("a space in a name", get(b"Host: x\r\nA b: c\r\n"), BAD),
        framed("a tab before the colon", get(b"Host: x\r\nA\t: c\r\n"), BAD),
        framed("a bracket in a name", get(b"Host: x\r\nA(b): c\r\n"), BAD),
        framed("a letter of another script in a name", get("Host: x\r\nनाम: c\r\n".as_bytes()), BAD),
        framed("a NUL in a name", get(b"Host: x\r\nA\0b: c\r\n"), BAD),
        framed("a NUL in a value", get(b"Host: x\r\nA: b\0c\r\n"), BAD),
        framed("a bare carriage return in a value", get(b"Host: x\r\nA: b\rc: d\r\n"), BAD),
        framed("an escape in a value", get(b"Host: x\r\nA: \x1b[31m\r\n"), BAD),
        framed("bytes beyond ASCII in a value", get(b"Host: x\r\nA: \xff\xfe\r\n"), &[400, 404]),
        framed("an odd expectation", get(b"Host: x\r\nExpect: wonders\r\n"), &[404, 417]),
        framed(
            "a switch to HTTP/2",
            get(b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            &[400, 404],
        ),
    ]
}

fn lines() -> Vec<Framed> {
    let line = |line: &str| format!("{line}\r\nHost: x\r\n\r\n");
    vec![
        framed("bare carriage returns", "GET /nowhere HTTP/1.1\rHost: x\r\r", &[0, 400, 408]),
        framed("bare line feeds", "GET /nowhere HTTP/1.1\nHost: x\n\n", &[400, 404]),
        framed("no version", line("GET /nowhere"), BAD),
        framed("a version of the future", line("GET /nowhere HTTP/9.9"), &[400, 505]),
        framed("version 1.2", line("GET /nowhere HTTP/1.2"), &[400, 505]),
        framed("version 2.0", line("GET /nowhere HTTP/2.0"), &[400, 505]),
        framed("a version in small letters", line("GET /nowhere http/1.1"), BAD),
        framed("another protocol", line("GET /nowhere RTSP/1.0"), BAD),
        framed("SIP", "INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP x\r\n\r\n", BAD),
        framed("no target", line("GET  HTTP/1.1"), BAD),
        framed("a space in the target", line("GET /no where HTTP/1.1"), BAD),
        framed("a method with a sign", line("G@T /nowhere HTTP/1.1"), BAD),
        framed("a method with a bracket", line("G(T /nowhere HTTP/1.1"), BAD),
        framed(
            "a method of 5,000 letters",
            line(&format!("{} /nowhere HTTP/1.1", "A".repeat(5000))),
            &[400, 404, 405, 501],
        ),
        framed("garbage", (0..=255).collect::<Vec<u8>>(), BAD),
        framed("NULs", vec![0; 200], BAD),
        framed("TLS", [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &[17; 200]].concat(), BAD),
        framed("SSL of old", [&[0x80, 0x2e, 1, 0, 2][..], &[0; 44]].concat(), BAD),
        framed("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0", BAD),
        framed("Redis", "*1\r\n$4\r\nPING\r\n", BAD),
        framed("SMTP", "EHLO example.org\r\nMAIL FROM:<x@y>\r\n\r\n", BAD),
        framed("a proxy's line", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", BAD),
    ]
}

fn targets() -> Vec<Framed> {
    let to = |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
    vec![
        framed("a NUL in the target", to(b"/no\0where"), BAD),
        framed("bytes beyond ASCII in the target", to(b"/\xff\xfe"), &[400, 404]),
        framed("an escape in the target", to(b"/\x1b[31m"), BAD),
        framed("a whole URL", to(b"http://evil.example/nowhere"), &[400, 404]),
        framed("a whole URL of a webhook", to(b"https://evil.example/webhooks/exotel/demo/status"), &[400, 401]),
        framed("a file URL", to(b"file:///etc/passwd"), &[400, 404]),
        framed("an asterisk", to(b"*"), &[400, 404]),
        framed("an authority", to(b"evil.example:443"), &[400, 404]),
        framed("CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", &[400, 404, 405, 501]),
        framed("a target without a slash", to(b"health"), &[400, 404]),
        framed("a backslash", to(b"/..\\..\\etc\\passwd"), &[400, 404]),
    ]
}

fn sizes(post: Post<'_>) -> Vec<Framed> {
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let many = |count: usize| (0..count).map(|n| format!("H{n}: v\r\n")).collect::<String>();
    let big = vec![b'a'; 12 << 20];
    let chunk = [b"c00000\r\n".to_vec(), big.clone(), b"\r\n0\r\n\r\n".to_vec()].concat();
    vec![
        framed("100 headers", get("/nowhere", &many(100)), HEAD_TOO_LARGE),
        framed("3,000 headers", get("/nowhere", &many(3000)), HEAD_TOO_LARGE),
        framed("a head of 200 KB", get("/nowhere", &format!("A: {}\r\n", "a".repeat(200_000))), HEAD_TOO_LARGE),
        framed("a head of 2 MB", get("/nowhere", &format!("A: {}\r\n", "a".repeat(2_000_000))), HEAD_TOO_LARGE),
        framed("a target of 70 KB", get(&format!("/{}", "a".repeat(70_000)), ""), HEAD_TOO_LARGE),
        framed("a target of 200 KB", get(&format!("/{}", "a".repeat(200_000)), ""), HEAD_TOO_LARGE),
        framed("a body of 12 MB", post("Content-Length: 12582912", &big), &[413]),
        framed("a body of 12 MB in one chunk", post("Transfer-Encoding: chunked", &chunk), &[413]),
        framed("a body of 12 MB declared", post("Content-Length: 12582912", b""), &[413]),
        framed("a body of 70 KB", post("Content-Length: 70000", &big[..70_000]), &[413]),
        framed(
            "a body of 12 MB for nobody",
            [b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 12582912\r\n\r\n", &big[..]].concat(),
            &[404, 413],
        ),
        framed("a head that never ends", "GET /nowhere HTTP/1.1\r\nHost: x\r\n", &[408]),
        framed("a line that never ends", "GET /now", &[408]),
        framed("one byte", "G", &[408]),
        framed("empty lines without end", "\r\n".repeat(100), &[0, 400, 408]),
    ]
}
