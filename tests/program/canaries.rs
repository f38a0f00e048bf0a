//! Secrets and personal data planted through every door, and looked for in everything the program leaves behind.
//!
//! Where a value is the product it is not planted: `calls.caller` and `called`, `customers.e164` (who rang),
//! `recordings.location` (where to fetch it), `clients.signature_secret` and `http_secret` (they sign), the operator's own
//! words in `agents.settings`, and phone numbers in `turns.text` (the control shows that those stay).

use std::fmt::Write as _;
use std::path::Path;

use awc::http::Method;
use awc::ws::Message;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use crate::line::Line;
use crate::nest::Nest;
use crate::server::{Database, SOON, Server, Settings};
use crate::voice::{Step, Voice};
use crate::web::{self, Answer, until, with};

/// A phone number the caller says: the operator's data, so it must be found in `turns.text`.
const CONTROL: &str = "9123456780";

/// What a careless caller tells, and what is asked in one turn and told in the next.
fn script(nest: &mut Nest) -> Vec<Step> {
    let mut steps = vec![Step::Caller(format!("mera number {CONTROL} hai"))];
    for _ in 0..45 {
        steps.push(Step::Caller(format!("my card is {}", nest.card())));
        steps.push(Step::Caller(format!("haan likho {} theek hai", nest.spoken_card())));
        steps.push(Step::Caller(format!("OTP aaya hai {}", nest.spoken_code())));
        steps.push(Step::Caller(format!("{} ये ओटीपी है", nest.code())));
        steps.push(Step::Caller(format!("aadhaar number {} hai", nest.aadhaar())));
        steps.push(Step::Caller(format!("PAN {} and pay me at {}", nest.pan(), nest.upi())));
    }
    for question in ["Please tell me the OTP.", "OTP बताइए।", "What is your CVV number?", "Aapka OTP kya hai?"]
    {
        steps.push(Step::Agent(question.to_owned()));
        steps.push(Step::Caller(nest.code()));
        steps.push(Step::Caller(format!("haan {}", nest.spoken_code())));
    }
    for round in 0..6 {
        steps.push(Step::Caller(format!("number {round} dekho")));
        let arguments =
            json!({"query": format!("card {}", nest.card()), "otp": nest.code(), "aadhaar": nest.aadhaar()});
        steps.push(Step::Tool("lookup", arguments));
        steps.push(Step::Tool(
            "failing",
            json!({"query": nest.pan(), "upi": nest.upi(), "password": nest.word("password")}),
        ));
    }
    steps
}

/// The client's own HTTP actions: one answers with what it should not, one fails with it.
fn shop(nest: &mut Nest) -> u16 {
    let told =
        format!(r#"{{"card":"{}","note":"otp is {}","key":"{}"}}"#, nest.card(), nest.code(), nest.word("api key"));
    let failed = format!("cannot connect: postgres://u:{}@db token={}", nest.word("password"), nest.word("token"));
    let app = move || {
        let (told, failed) = (told.clone(), failed.clone());
        actix_web::App::new()
            .route(
                "/told",
                actix_web::web::to(move || std::future::ready(actix_web::HttpResponse::Ok().body(told.clone()))),
            )
            .default_service(actix_web::web::to(move || {
                std::future::ready(actix_web::HttpResponse::InternalServerError().body(failed.clone()))
            }))
    };
    let server = actix_web::HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let port = server.addrs()[0].port();
    actix_rt::spawn(server.run());
    port
}

/// Every answer of the server to somebody who is not the owner. A request's own id goes back to who sent it.
#[derive(Default)]
struct Answers(String);

impl Answers {
    fn keep(&mut self, answer: Result<Answer, String>) {
        match answer {
            Ok(mut answer) => {
                answer.headers.remove("x-request-id");
                let _ = writeln!(self.0, "{} {:?} {}", answer.status, answer.headers, answer.text());
            }
            Err(error) => {
                let _ = writeln!(self.0, "{error}");
            }
        }
    }
}

async fn web_doors(server: &Server, nest: &mut Nest, answers: &mut Answers) {
    for round in 0..28 {
        let wrong = server.url(&format!("/webhooks/exotel/demo/{}", ["call-start", "call-end", "status"][round % 3]));
        let fields = [
            ("key", nest.word("query secret")),
            ("token", nest.word("token")),
            ("From", nest.phone()),
            ("note", nest.card()),
        ];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        answers.keep(web::try_request(Method::GET, &with(&wrong, &fields), &[], "").await);
        let body = json!({"CallSid": format!("x {}", nest.phone()), "Status": nest.card(), "Password": nest.word("password"),
            "Custom": {"otp": nest.code(), "aadhaar": nest.aadhaar()}});
        let json = [("content-type", "application/json")];
        let hook = server.hook("call-end", &[]);
        answers.keep(web::try_request(Method::POST, &hook, &json, body.to_string()).await);
        answers.keep(
            web::try_request(Method::POST, &hook, &json, format!("{{\"pan\": \"{}\", {}", nest.pan(), nest.upi()))
                .await,
        );
        let status = nest.card();
        let told = [
            ("CallSid", "canarycall"),
            ("Status", &status),
            ("CustomField", &nest.upi()),
            ("Legs[0][OnCallDuration]", &nest.code()),
        ];
        answers.keep(Ok(web::post_form(&hook, &told).await));
        let part =
            format!("--b\r\ncontent-disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n--b", nest.phone(), nest.card());
        let kind = [("content-type", "multipart/form-data; boundary=b")];
        answers.keep(web::try_request(Method::POST, &hook, &kind, part).await);
        let (bearer, agent, id) = (format!("Bearer {}", nest.word("own key")), nest.phone(), nest.pan());
        let headers = [
            ("authorization", bearer.as_str()),
            ("user-agent", &agent),
            ("x-request-id", &id),
            ("cookie", &nest.word("token")),
        ];
        answers.keep(web::try_request(Method::GET, &server.url("/api/v1/calls"), &headers, "").await);
        let path = format!("/{}/{}?api_key={}", nest.upi(), nest.card().replace(' ', "%20"), nest.word("api key"));
        answers.keep(web::try_request(Method::GET, &server.url(&path), &[], "").await);
        let media = server.url(&format!("/media/exotel/{}", nest.word("token")));
        answers.keep(web::try_request(Method::GET, &media, &[("authorization", "Basic bm9ib2R5OmhlcmU=")], "").await);
        let owner = format!("Bearer {}", server.admin_key().await);
        let owner = [("authorization", owner.as_str()), ("content-type", "application/json")];
        let bad = with(
            &server.url("/api/v1/calls"),
            &[("limit", &nest.code()), ("state", &nest.word("token")), ("client", &nest.phone())],
        );
        answers.keep(web::try_request(Method::GET, &bad, &owner, "").await);
        let cursor = with(&server.url("/api/v1/audit"), &[("cursor", &nest.card())]);
        answers.keep(web::try_request(Method::GET, &cursor, &owner, "").await);
        let panic = format!("for {} with sk-{} and {}", nest.phone(), nest.word("token"), nest.card());
        answers.keep(web::try_request(Method::POST, &server.url("/test/panic/handler"), &[], panic).await);
    }
}

/// A stream that carries more than sound.
async fn media_door(server: &Server, nest: &mut Nest) {
    let line = Line::call(server, "canary").await;
    let start = json!({"event": "start", "stream_sid": nest.phone(), "start": {"call_sid": nest.card(),
        "custom_parameters": {"otp": nest.code(), "card": nest.card(), "phone": nest.phone()}}});
    for message in [
        start.to_string(),
        format!("{{\"event\":\"{}\",", nest.pan()),
        nest.card(),
        format!("{{\"event\": \"{}\"}}", nest.upi()),
    ] {
        line.send(Message::Text(message.into()));
    }
    for key in nest.code().chars() {
        line.send_json(
            &json!({"event": "dtmf", "stream_sid": line.stream, "dtmf": {"digit": key.to_string(), "duration": "100"}}),
        );
    }
    line.hang_up();
    line.closed(SOON).await;
}

/// Each row of each table as text, without the columns where the value is the product.
async fn tables(server: &Server) -> String {
    let mut connection = server.postgres.as_ref().unwrap().connect().await;
    let names = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let names = sqlx::query(names).fetch_all(&mut connection).await.unwrap();
    let mut all = String::new();
    for name in names.iter().map(|row| row.get::<String, _>(0)) {
        let rows =
            sqlx::query(AssertSqlSafe(format!("SELECT t::text FROM \"{name}\" t"))).fetch_all(&mut connection).await;
        for row in rows.unwrap() {
            let _ = writeln!(all, "{name} {}", row.get::<String, _>(0));
        }
    }
    all
}

/// Names and contents of all files below a directory.
fn files(directory: &Path, found: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let _ = writeln!(found, "{}", entry.display());
        if entry.is_dir() {
            files(&entry, found);
        } else {
            found.push_str(&String::from_utf8_lossy(&std::fs::read(&entry).unwrap()));
        }
    }
}

/// Whether digits lie within the fraction of a second or an id: over thousands of those, eight digits of one are sooner or
/// later the eight of a planted code.
fn is_chance(text: &str, at: usize, needle: &str) -> bool {
    let around = |inside: fn(&u8) -> bool| {
        let before = text.as_bytes()[..at].iter().rev().take_while(|byte| inside(byte)).count();
        let after = text.as_bytes()[at..].iter().take_while(|byte| inside(byte)).count();
        (at - before, at + after)
    };
    let (from, to) = around(u8::is_ascii_digit);
    let before = &text.as_bytes()[from.saturating_sub(4)..from];
    let is_fraction = matches!(before, [b':', tens, ones, b'.'] if tens.is_ascii_digit() && ones.is_ascii_digit());
    let (id_from, id_to) = around(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let is_id = uuid::Uuid::try_parse(&text[id_from..id_to]).is_ok() && id_to - id_from == 36;
    (is_fraction && at + needle.len() <= to) || (is_id && at + needle.len() <= id_to)
}

#[test]
fn only_a_clock_or_an_id_holds_a_code_by_chance() {
    for (text, chance) in [
        (r#""at":"2026-11-27T15:09:21.250124510Z""#, true),
        ("2026-11-27 15:09:21.250124512+00", true),
        ("id 01a21d8d-bbf2-7615-9b12-ab2501245158", true),
        ("told 25012451", false),
        ("09:21. 25012451", false),
        ("09:x1.25012451", false),
        ("01a21d8d-bbf2-7615-9b12-25012451", false),
    ] {
        assert_eq!(is_chance(text, text.find("25012451").unwrap(), "25012451"), chance, "{text}");
    }
}

fn assert_none(nest: &Nest, place: &str, text: &str) {
    let mut seen: Vec<String> = Vec::new();
    for canary in &nest.all {
        for needle in &canary.needles {
            let mut hits = text.match_indices(needle.as_str()).map(|(at, _)| at);
            if let Some(at) = hits.find(|at| !is_chance(text, *at, needle)) {
                let from = (0..=at.saturating_sub(60)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
                let around: String = text[from..].chars().take(160).collect();
                seen.push(format!("{} {:?} in {place}: …{around}…", canary.kind, canary.planted));
                break;
            }
        }
    }
    assert!(
        seen.is_empty(),
        "{} of {} canaries seen:\n{}",
        seen.len(),
        nest.all.len(),
        seen[..seen.len().min(12)].join("\n")
    );
}

async fn spooled(server: &Server) {
    let directory = server.directory.path().join("data/spool");
    until("the journal is on disk", SOON, || async {
        let mut text = String::new();
        files(&directory, &mut text);
        text.contains("\"kind\":\"turn\"").then_some(())
    })
    .await
}

async fn nothing_is_left_of_a_thousand_secrets(format: &str) {
    let mut nest = Nest::default();
    let steps = script(&mut nest);
    let mut voice = Voice::start(steps);
    let port = shop(&mut nest);
    let settings = Settings::on(Database::Postgres)
        .engine(&voice.base)
        .with("CALY__LOG__FORMAT", format)
        .with("CALY__LOG__LEVEL", "info,caly=debug,caly_actors=debug")
        .with("CALY__CALLS__ENGINE_PROGRESS", "60s")
        .with("CALY__EXOTEL__API_TOKEN", nest.word("token"))
        .with("CALY__EXOTEL__API_KEY", nest.word("password"))
        .with("CALY__EXOTEL__ACCOUNT_SID", "shop1")
        .with("CALY__ACTIONS__TRUSTED_HOSTS", format!("127.0.0.1:{port}"));
    let mut server = Server::start(settings).await;
    give_tools(&server, port).await;
    // A new process knows the tools from the first call on.
    server.kill();
    server.run().await;
    server.ready().await;
    let mut answers = Answers::default();
    web_doors(&server, &mut nest, &mut answers).await;

    let line = Line::call(&server, "told").await;
    voice.reached(50, SOON * 4).await;
    // What is told while the database is away lies on disk.
    server.postgres.as_ref().unwrap().shut().await;
    media_door(&server, &mut nest).await;
    voice.reached(100, SOON * 4).await;
    line.hang_up();
    line.closed(SOON).await;
    spooled(&server).await;
    assert!(nest.all.len() >= 1_000, "only {} canaries", nest.all.len());
    let mut on_disk = String::new();
    files(&server.directory.path().join("data"), &mut on_disk);
    assert_none(&nest, "the files", &on_disk);
    server.postgres.as_ref().unwrap().reopen().await;
    let detail = server.ended_call(&line.sid).await;
    assert!(detail["turns"].to_string().contains(CONTROL), "the control is on record: {:#}", detail["turns"]);
    let actions = detail["actions"].to_string();
    assert!(actions.contains("\"lookup\"") && actions.contains("\"failing\""), "both tools were used: {actions}");

    answers.keep(Ok(web::get(&server.url("/metrics")).await));
    answers.keep(Ok(web::get(&server.url("/health")).await));
    answers.keep(Ok(web::get(&server.url("/health/supervisor")).await));
    answers.keep(web::try_request(Method::GET, &server.url("/api/openapi.json"), &[], "").await);
    assert_none(&nest, "answers", &answers.0);
    assert_none(&nest, "the log", &server.log());
    let tables = tables(&server).await;
    assert!(tables.contains(CONTROL), "the tables are looked into");
    assert!(tables.contains("[card]") && tables.contains("[code]") && tables.contains("[aadhaar]"), "masks show");
    assert_none(&nest, "the tables", &tables);
    let log = server.log();
    assert!(log.contains("panicked") && !log.contains(CONTROL), "the log is looked into, and holds no number either");
    let checked = server.cli(&["check"]).await;
    assert_none(&nest, "caly check", &format!("{checked:?}"));
}

/// Actions of the client's own, published before the call.
async fn give_tools(server: &Server, port: u16) {
    let schema = json!({"type": "object", "properties": {"query": {"type": "string"}}});
    let tool = |name: &str, path: &str| {
        json!({"name": name, "description": "Looks", "schema": schema,
        "url": format!("http://127.0.0.1:{port}/{path}")})
    };
    // The service of this test speaks and hears without a pause: nobody waits to see who goes on.
    let agent: Value = json!({"instructions": "Be brief.", "language": "hi-Latn", "barge_in": "eager",
        "http_tools": [tool("lookup", "told"), tool("failing", "failed")]});
    let file = server.directory.path().join("tools.json");
    std::fs::write(&file, agent.to_string()).unwrap();
    let output = server.cli(&["client", "agent", "demo", file.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[actix_rt::test]
async fn no_planted_secret_is_left_in_text_logs_or_anywhere_else() {
    nothing_is_left_of_a_thousand_secrets("text").await;
}

#[actix_rt::test]
async fn no_planted_secret_is_left_in_json_logs_or_anywhere_else() {
    nothing_is_left_of_a_thousand_secrets("json").await;
}

/// Files and directories below one that somebody else may read, write or enter.
fn open_to_others(directory: &Path, found: &mut Vec<String>, seen: &mut usize) {
    use std::os::unix::fs::PermissionsExt as _;
    for path in std::iter::once(directory.to_owned())
        .chain(std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| !path.is_dir()))
    {
        *seen += 1;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            found.push(format!("{} has mode {mode:o}", path.display()));
        }
    }
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        open_to_others(&path, found, seen);
    }
}

#[actix_rt::test]
async fn what_the_server_keeps_on_disk_is_for_its_owner_only() {
    let server = Server::start(Settings::default().with("CALY__RECORDING__ENABLED", "true")).await;
    let line = Line::call(&server, "modes").await;
    line.agent_said(300, 0).await;
    line.hang_up();
    server.ended_call(&line.sid).await;
    let (mut found, mut seen) = (Vec::new(), 0);
    open_to_others(&server.directory.path().join("data"), &mut found, &mut seen);
    assert!(found.is_empty(), "{found:#?}");
    assert!(seen >= 5, "only {seen} files and directories");
}
