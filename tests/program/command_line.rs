//! The commands as a shell sees them: exit codes, what goes where, and that secrets go nowhere else.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::line::sid;
use crate::server::{Engine, SOON, Server, Settings};
use crate::web::{self, until};

const KEY: &str = "sk-test-0123456789abcdefghijklmnop";

fn shown(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn not_started(settings: Settings) -> Server {
    Server::prepared(Settings { engine: Engine::Sandbox, ..settings }).await
}

#[actix_rt::test]
async fn check_says_what_is_wrong_by_exit_code_and_in_json() {
    let server = not_started(Settings::default()).await;
    let output = server.cli(&["check", "--json"]).await;
    let (out, err) = shown(&output);
    assert_eq!(output.status.code(), Some(0), "{out} {err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    assert!(report["configuration"].as_array().unwrap().len() > 40);

    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let server = not_started(
        Settings::default()
            .with("OPENAI_API_KEY", KEY)
            .with("OPENAI_BASE_URL", format!("http://127.0.0.1:{closed}/v1"))
            .with("CALY__SECURITY__TOKEN_SECRET", "a-token-secret-that-must-never-be-shown"),
    )
    .await;
    let output = server.cli(&["check", "--json"]).await;
    let (out, err) = shown(&output);
    assert_eq!(output.status.code(), Some(1), "{out} {err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ok"], false);
    let failed = report["checks"].as_array().unwrap().iter().find(|check| check["state"] == "failed").unwrap();
    assert!(failed["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{failed}");
    for text in [out, err] {
        assert!(!text.contains(KEY) && !text.contains("must-never-be-shown"), "{text}");
    }
    let (out, err) = shown(&server.cli(&["check"]).await);
    for text in [out, err] {
        assert!(!text.contains(KEY) && !text.contains("must-never-be-shown"), "{text}");
    }
}

#[actix_rt::test]
async fn a_misspelt_key_stops_the_start_and_names_the_nearest() {
    for (key, value, words) in [
        ("CALY__CALLS__MAX_LIFE", "7", ["calls.max_life", "CALY__CALLS__MAX_LIVE"]),
        ("CALY__SERVR__PORT", "7", ["servr", "CALY__SERVER__PORT"]),
        ("CALY__CALLS__ANSWER", "soon", ["calls.answer", "duration"]),
        ("PUBLIC_URL", "ftp://shop.example", ["public_url", "https"]),
    ] {
        let server = not_started(Settings::default().with(key, value)).await;
        let output = server.cli(&["serve"]).await;
        let (_, err) = shown(&output);
        assert_eq!(output.status.code(), Some(1), "{key}: {err}");
        for word in words {
            assert!(err.contains(word), "{key}: no {word} in {err}");
        }
        let output = server.cli(&["check", "--json"]).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), report["ok"].as_bool()), (Some(1), Some(false)), "{key}");
    }
}

#[actix_rt::test]
async fn wrong_usage_is_exit_code_two_and_a_failure_one() {
    let server = not_started(Settings::default()).await;
    for args in [&["nonsense"][..], &["key", "create"], &["key", "create", "--role", "king"], &["call", "--count", "0"]]
    {
        let output = server.cli(args).await;
        assert_eq!(output.status.code(), Some(2), "{args:?}: {:?}", shown(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    let output = server.cli(&["call"]).await;
    let (out, err) = shown(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("caly serve"), "what to do next: {err} {out}");
    assert_eq!(server.cli(&["client", "show", "nobody"]).await.status.code(), Some(1));
    for args in [&["--help"][..], &["--version"], &["call", "--help"]] {
        let output = server.cli(args).await;
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
}

/// Runs a command whose output is read to the end of its first line, as `| head -1` does, or not at all.
async fn left_alone(server: &Server, args: &[&str], input: &'static str, lines: usize) -> (Option<i32>, String) {
    use std::io::{BufRead as _, BufReader, Read as _};
    let mut command = server.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, mut to) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    tokio::task::spawn_blocking(move || {
        let mut out = BufReader::with_capacity(1, out);
        // The first line is asked for alone, so that the second is written when nobody reads any more.
        let (first, rest) = input.split_at(input.find('\n').map_or(0, |at| at + 1));
        to.write_all(first.as_bytes()).unwrap();
        for _ in 0..lines {
            out.read_line(&mut String::new()).unwrap();
        }
        drop(out);
        // The command may be gone already.
        let _ = to.write_all(rest.as_bytes());
        drop(to);
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (child.wait().unwrap().code(), told)
    })
    .await
    .unwrap()
}

#[actix_rt::test]
async fn a_command_whose_output_nobody_reads_any_more_ends_without_a_word() {
    let server = Server::start(Settings::default()).await;
    for (args, input, lines) in [
        (&["understand"][..], "haan\nnahi\nhaan\n", 1),
        (&["call", "--scenario", "short"], "", 1),
        (&["call", "--scenario", "short", "--count", "3", "--parallel", "3", "--json"], "", 0),
        (&["client", "list"], "", 0),
        (&["key", "list", "--json"], "", 0),
        (&["check"], "", 0),
        (&["migrate"], "", 0),
    ] {
        let (code, told) = left_alone(&server, args, input, lines).await;
        assert!(!told.contains("panicked") && !told.contains("Broken pipe"), "{args:?}: {told}");
        assert_eq!(code, Some(141), "{args:?}: {told}");
    }
    assert_eq!(server.api("/calls").await["items"].as_array().map(Vec::is_empty), Some(false), "it serves on");
}

#[actix_rt::test]
async fn processes_that_migrate_one_new_file_at_the_same_moment_do_not_collide() {
    let server = not_started(Settings::default()).await;
    let migrate = ["migrate"];
    for output in futures_util::future::join_all((0..5).map(|_| server.cli(&migrate))).await {
        assert_eq!(output.status.code(), Some(0), "{:?}", shown(&output));
    }
    assert_eq!(server.cli(&["key", "list"]).await.status.code(), Some(0));
}

#[actix_rt::test]
async fn help_names_every_scenario_in_the_program() {
    let server = not_started(Settings::default()).await;
    let (out, _) = shown(&server.cli(&["call", "--help"]).await);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = caly::sim::library::scenario_names();
    assert!(names.len() >= 9 && out.contains(&names.join(", ")), "{names:?} in {out}");
}

#[actix_rt::test]
async fn the_simulated_shop_tells_where_it_is_and_at_its_end_what_was_wrong() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let server = not_started(Settings::default()).await;
    let mut command = server.command(&["sim", "shopify", "--port", "0", "--json", "--token", "shpat_x"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (line, mut out) = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        (line, out)
    })
    .await
    .unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let query = serde_json::json!({"query": "{ shop { name title } }"});
    let client = awc::Client::new();
    let request = client.post(told["graphql"].as_str().unwrap()).insert_header(("X-Shopify-Access-Token", "shpat_x"));
    let answer: Value = request.send_json(&query).await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "undefinedField");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let (rest, status) = tokio::task::spawn_blocking(move || {
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        (rest, child.wait().unwrap())
    })
    .await
    .unwrap();
    let state: Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(state["violations"].as_array().unwrap().len(), 1, "{}", state["violations"]);
    assert_eq!(status.code(), Some(1));
    let output = server.cli(&["sim", "shopify", "--faults", "delay=5"]).await;
    assert_eq!(output.status.code(), Some(2), "{:?}", shown(&output));
    assert!(shown(&output).1.contains("delay_ms"), "the names that there are: {:?}", shown(&output));
}

#[actix_rt::test]
async fn understand_answers_each_line_with_one_json_line() {
    let server = not_started(Settings::default()).await;
    let mut command = server.command(&["understand"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = "mera order kahan hai, order number 1042\n\
        {\"text\":\"I want to speak to a human agent please\",\"context\":[],\"now\":\"2026-08-25T12:00:00Z\"}\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{:?}", shown(&output));
    let (out, _) = shown(&output);
    let answers: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(
        (answers[0]["intent"].as_str(), answers[1]["intent"].as_str()),
        (Some("order_status"), Some("talk_to_human"))
    );
    let entity = &answers[0]["entities"][0];
    assert_eq!((entity["type"].as_str(), entity["value"].as_str()), (Some("order_id"), Some("1042")));
    for answer in &answers {
        assert!(answer["confidence"].is_number() && answer["us"].is_u64(), "{answer}");
    }
}

#[actix_rt::test]
async fn a_key_is_shown_once_opens_the_api_and_is_leaked_nowhere() {
    let server = Server::start(Settings::default()).await;
    let output = server.cli(&["key", "create", "--role", "viewer", "--name", "a test", "--json"]).await;
    let (out, err) = shown(&output);
    let made: Value = serde_json::from_str(&out).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    assert!(!err.contains(&key), "{err}");
    let bearer = format!("Bearer {key}");
    let ask = || async {
        web::request(awc::http::Method::GET, &server.url("/api/v1/calls"), &[("authorization", &bearer)], "").await
    };
    assert_eq!(ask().await.status, 200);
    web::get(&server.url("/api/v1/calls")).await.problem(401);
    let hang_up = server.url(&format!("/api/v1/calls/{}/hangup", uuid::Uuid::now_v7()));
    let viewer = web::request(awc::http::Method::POST, &hang_up, &[("authorization", &bearer)], "").await;
    viewer.problem(403);
    let (listed, _) = shown(&server.cli(&["key", "list", "--json"]).await);
    assert!(!listed.contains(&key), "{listed}");
    let id = made["id"].as_str().unwrap_or_else(|| panic!("no id in {}", made.as_object().unwrap().keys().count()));
    assert!(server.cli(&["key", "revoke", id]).await.status.success());
    until("the key is refused", SOON, || async { (ask().await.status == 401).then_some(()) }).await;

    // What the process was told in confidence is in no log and no other command's output.
    let secret = server.make_client("quiet", "+918047112255").await;
    let sid = sid("quiet");
    let token = server.media_url(&sid).await.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    web::get(&server.hook("call-end", &[("CallSid", &sid), ("Status", "completed")])).await;
    server.ended_call(&sid).await;
    let admin = server.admin_key().await;
    let (clients, hints) = shown(&server.cli(&["client", "show", "quiet", "--json"]).await);
    for text in [server.log(), clients, hints] {
        for hidden in [&key, &secret, &server.hooks.key, &token, &admin] {
            assert!(!text.contains(hidden.as_str()), "a secret in {text}");
        }
        assert!(!text.contains("9876543210"), "a phone number in {text}");
    }
}
