//! Requests that are right as bytes and wrong as anything else.

use awc::http::Method;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub statuses: Vec<u16>,
}

const HOOKS: [&str; 6] = ["call-start", "passthru", "connect", "call-end", "status", "recording"];
const FIELDS: &str = "CallSid=hostile1&CallFrom=09876543210&CallTo=08047112233&Status=completed";
const LISTS: [&str; 6] = ["calls", "clients", "numbers", "agents", "keys", "audit"];

pub fn all(key: &str, admin: &str) -> Vec<Request> {
    [
        forged_webhooks(key),
        forged_keys(admin),
        bodies(key),
        fields(key),
        recordings(key),
        paths(),
        methods(key, admin),
        questions(admin),
    ]
    .concat()
}

fn request(method: Method, path: impl Into<String>, statuses: &[u16]) -> Request {
    Request { method, path: path.into(), headers: Vec::new(), body: Vec::new(), statuses: statuses.to_vec() }
}

impl Request {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        if kind.is_empty() { self } else { self.header("content-type", kind) }
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Nobody's webhooks: every hook, by GET and by POST, with every kind of wrong credentials.
fn forged_webhooks(key: &str) -> Vec<Request> {
    let mut turned: Vec<char> = key.chars().collect();
    turned.reverse();
    let turned: String = turned.into_iter().collect();
    let queries = [
        String::new(),
        "key=".to_owned(),
        "key=wrong".to_owned(),
        format!("key={}", &key[..key.len() - 1]),
        format!("key={key}x"),
        format!("key=%20{key}"),
        format!("key={}", key.to_uppercase()),
        format!("key={turned}"),
        format!("KEY={key}"),
        format!("key%00={key}"),
        "key=wrong&key=wrong".to_owned(),
        format!("token={key}"),
    ];
    let mut all = Vec::new();
    for hook in HOOKS {
        let path = |query: &str| format!("/webhooks/exotel/demo/{hook}?{query}&{FIELDS}");
        for query in &queries {
            // The upper case of a key without letters of the other case is the key itself; it never is.
            all.push(request(Method::GET, path(query), &[401]));
            all.push(request(Method::POST, path(query), &[401]).body("application/x-www-form-urlencoded", FIELDS));
        }
        all.push(
            request(Method::POST, path(""), &[401]).body("application/x-www-form-urlencoded", format!("key={key}")),
        );
        all.push(request(Method::GET, path(""), &[401]).header("authorization", &format!("Bearer {key}")));
        all.push(request(Method::GET, path(""), &[401]).header("authorization", "Basic ZGVtbzpkZW1v"));
        all.push(
            request(Method::POST, path(""), &[401])
                .header("x-exotel-signature", &"0".repeat(64))
                .body("application/json", "{}"),
        );
        all.push(
            request(Method::POST, path(""), &[401])
                .header("x-exotel-signature", "sha256=")
                .body("application/json", "{}"),
        );
        for slug in ["nobody", "DEMO", "demo%00", "..", "%2e%2e", "demo'--", "%f0%9f%92%a9"] {
            all.push(request(Method::GET, format!("/webhooks/exotel/{slug}/{hook}?key={key}&{FIELDS}"), &[401, 404]));
        }
    }
    all
}

/// The admin API without a right key.
fn forged_keys(admin: &str) -> Vec<Request> {
    let cut = &admin[..admin.len() - 1];
    let values = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer wrong".to_owned(),
        format!("Bearer {cut}"),
        format!("Bearer {admin}x"),
        format!("Basic {admin}"),
        format!("Bearer {admin} {admin}"),
        admin.to_owned(),
        format!("Bearer {}", "a".repeat(5000)),
        "Bearer ' OR 1=1 --".to_owned(),
    ];
    let mut all = Vec::new();
    for list in LISTS {
        let path = format!("/api/v1/{list}");
        all.push(request(Method::GET, path.clone(), &[401]));
        all.push(request(Method::GET, format!("{path}?key={admin}"), &[401]));
        for value in &values {
            all.push(request(Method::GET, path.clone(), &[401]).header("authorization", value));
        }
    }
    all.push(request(Method::POST, "/api/v1/calls/00000000-0000-7000-8000-000000000000/hangup", &[401]));
    all.push(request(Method::GET, "/health/supervisor", &[401]).header("authorization", "Bearer wrong"));
    all
}

/// A good key and a bad body.
fn bodies(key: &str) -> Vec<Request> {
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    const PARTS: &str = "multipart/form-data; boundary=edge";
    let to = |kind: &str, body: &[u8], statuses: &[u16]| {
        request(Method::POST, format!("/webhooks/exotel/demo/status?key={key}"), statuses).body(kind, body)
    };
    let part = |head: &str, value: &str| format!("--edge\r\n{head}\r\n\r\n{value}\r\n--edge--\r\n").into_bytes();
    let mut all = vec![
        to(FORM, b"CallSid=%zz", &[400]),
        to(FORM, b"CallSid=%f", &[400]),
        to(FORM, b"CallSid=%ff%fe", &[400]),
        to(FORM, b"=1", &[400]),
        to(FORM, b"\xff\xfe=1", &[400]),
        to(FORM, &vec![b'a'; 64 * 1024 + 1], &[413]),
        to(FORM, "a=1&".repeat(500).as_bytes(), &[422]),
        to(FORM, format!("CallSid=a1&Status=completed&x={}", "v".repeat(5000)).as_bytes(), &[422]),
        to(FORM, format!("{}=1", "n".repeat(300)).as_bytes(), &[422]),
        to(JSON, b"{", &[400]),
        to(JSON, b"[1,2]", &[422]),
        to(JSON, b"null", &[422]),
        to(JSON, b"\"text\"", &[422]),
        to(JSON, b"{\"CallSid\":\"\\ud800\",\"Status\":\"completed\"}", &[400]),
        to(JSON, b"{\"CallSid\":1e400}", &[400]),
        to(JSON, b"{\"CallSid\":{\"$ne\":null},\"Status\":\"completed\"}", &[422]),
        to(JSON, b"\xef\xbb\xbf{\"CallSid\":\"a\"}", &[400]),
        to(JSON, &vec![b'['; 60_000], &[400]),
        to(JSON, format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100)).as_bytes(), &[400, 422]),
        to(PARTS, b"no parts", &[400]),
        to(PARTS, b"--edge\r\nContent-Disposition: form-data; name=\"CallSid\"\r\n\r\ncut", &[400]),
        to(PARTS, &part("Content-Disposition: form-data", "nameless"), &[400]),
        to(PARTS, &part("X: y", "without a disposition"), &[400, 422]),
        to("multipart/form-data", b"x", &[400]),
        to("multipart/form-data; boundary=", b"x", &[400]),
        to("multipart/mixed; boundary=edge", b"x", &[415]),
    ];
    for kind in [
        "",
        "text/plain",
        "text/html",
        "application/xml",
        "application/octet-stream",
        "image/png",
        "application/grpc",
        "application/jsonp",
        "x",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/vnd.exotel+json",
    ] {
        all.push(to(kind, b"CallSid=a1&Status=completed", &[415]));
    }
    for coding in ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, gzip", "wonders"] {
        all.push(to(FORM, b"CallSid=a1&Status=completed", &[415]).header("content-encoding", coding));
    }
    all
}

/// A good key and bad fields.
fn fields(key: &str) -> Vec<Request> {
    let long = "x".repeat(200);
    let ids = [
        "",
        " ",
        "../../etc/passwd",
        "a'; DROP TABLE calls",
        "a\" OR \"1\"=\"1",
        "a\0b",
        "a\nforged",
        "\u{1b}[31m",
        "<script>",
        "${jndi:ldap://x}",
        "नमस्ते",
        "a b",
        "a/b",
        "a%b",
        "💩",
        long.as_str(),
    ];
    let mut all = Vec::new();
    for hook in HOOKS {
        for id in ids {
            let query =
                format!("key={key}&CallSid={}&CallFrom=09876543210&CallTo=08047112233&Status=completed", encoded(id));
            all.push(request(Method::GET, format!("/webhooks/exotel/demo/{hook}?{query}"), &[422]));
        }
    }
    for word in ["", "exploded", "COMPLETED\0", "1", "completed,busy", "null"] {
        let query = format!("key={key}&CallSid=a1&Status={}", encoded(word));
        all.push(request(Method::GET, format!("/webhooks/exotel/demo/status?{query}"), &[422]));
    }
    for called in ["0", "+", "08099999999", "sip:x@y", "1e10", "08047112233;ext=1"] {
        let query = format!("key={key}&CallSid=a1&CallFrom=09876543210&CallTo={}", encoded(called));
        all.push(request(Method::GET, format!("/webhooks/exotel/demo/call-start?{query}"), &[404, 422]));
    }
    all
}

/// Where a recording can not lie.
fn recordings(key: &str) -> Vec<Request> {
    [
        "http://recordings.exotel.com/a.mp3",
        "https://recordings.exotel.com:8443/a.mp3",
        "https://recordings.exotel.com./a.mp3",
        "https://user@recordings.exotel.com/a.mp3",
        "https://recordings.exotel.com@evil.example/a.mp3",
        "https://recordings.exotel.com.evil.example/a.mp3",
        "https://evil.example/recordings.exotel.com/a.mp3",
        "https://evil.example#recordings.exotel.com",
        "https://evil.example\\@recordings.exotel.com/",
        "//recordings.exotel.com/a.mp3",
        "file:///etc/passwd",
        "ftp://recordings.exotel.com/a",
        "gopher://127.0.0.1/",
        "data:audio/mpeg;base64,AAAA",
        "javascript:alert(1)",
        "https://127.0.0.1/a.mp3",
        "https://localhost/a.mp3",
        "https://2130706433/a",
        "https://0x7f.1/a",
        "https://[::1]/a",
        "https://[::ffff:127.0.0.1]/a",
        "http://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest",
        "https://metadata.google.internal/",
        "https://s3-ap-southeast-1.amazonaws.com/otherbucket/a.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/../other/a.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/%2e%2e/other/a.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings%2f..%2fother",
        "not a url",
        "https://",
        "",
    ]
    .into_iter()
    .map(|url| {
        let query = format!("key={key}&CallSid=a1&RecordingUrl={}", encoded(url));
        request(Method::GET, format!("/webhooks/exotel/demo/recording?{query}"), &[422])
    })
    .collect()
}

/// Where nothing is.
fn paths() -> Vec<Request> {
    [
        "/.env",
        "/.git/config",
        "/wp-login.php",
        "/admin",
        "/phpmyadmin/",
        "/server-status",
        "/actuator/env",
        "/api",
        "/api/v2/calls",
        "/api/v1/../../health",
        "/api/v1/%2e%2e/%2e%2e/health",
        "//api//v1//calls",
        "/API/V1/CALLS",
        "/metrics/",
        "/health/../metrics",
        "/health/live/",
        "/webhooks",
        "/webhooks/exotel",
        "/webhooks/exotel/demo",
        "/webhooks/twilio/demo/status",
        "/media",
        "/media/exotel",
        "/media/twilio/x",
        "/debug/pprof",
        "/test/panic",
        "/api/docs/../../../etc/passwd",
        "/api/docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/%00",
        "/%ff%fe",
        "/%zz",
        "/%",
        "/%u0041",
        "/a%0d%0aSet-Cookie:x=y",
        "/%c0%ae%c0%ae/etc/passwd",
        "/;/health",
        "/health;a=b",
    ]
    .into_iter()
    .map(|path| request(Method::GET, path, &[404]))
    .collect()
}

/// The right path and the wrong method.
fn methods(key: &str, admin: &str) -> Vec<Request> {
    let odd = || {
        [
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
            Method::TRACE,
            Method::from_bytes(b"BREW").unwrap(),
        ]
    };
    let bearer = format!("Bearer {admin}");
    let mut all = Vec::new();
    for method in odd() {
        for hook in HOOKS {
            all.push(request(method.clone(), format!("/webhooks/exotel/demo/{hook}?key={key}&{FIELDS}"), &[405]));
        }
        for path in ["/health", "/health/live", "/health/ready", "/health/supervisor", "/metrics"] {
            all.push(request(method.clone(), path, &[405]));
        }
        all.push(request(method.clone(), "/api/v1/audit", &[405]).header("authorization", &bearer));
        all.push(request(method.clone(), "/media/exotel/x", &[404, 405]));
    }
    all
}

/// A good key and odd questions.
fn questions(admin: &str) -> Vec<Request> {
    let bearer = format!("Bearer {admin}");
    let long = "x".repeat(3000);
    let mut all = Vec::new();
    for query in [
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=99999999999999999999",
        "limit=ten",
        "limit=1.5",
        "limit=",
        "limit=1&limit=2",
        "cursor=garbage",
        "cursor=%00",
        "unknown=1",
        "cursor=' OR 1=1--",
    ] {
        all.push(
            request(Method::GET, format!("/api/v1/calls?{}", query.replace(' ', "%20")), &[400, 422])
                .header("authorization", &bearer),
        );
    }
    for id in
        ["1", "x", "00000000-0000-7000-8000-000000000000", "'%20OR%201=1", "..%2f..", "%00", long.as_str(), "null"]
    {
        for list in ["calls", "clients"] {
            all.push(request(Method::GET, format!("/api/v1/{list}/{id}"), &[404]).header("authorization", &bearer));
        }
        all.push(request(Method::POST, format!("/api/v1/calls/{id}/hangup"), &[404]).header("authorization", &bearer));
    }
    all
}
