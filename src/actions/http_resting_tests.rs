//! A host that does not answer: who is kept from asking it, for how long, and what that comes to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::http_tests::{asked, tools};
use super::*;
use caly_actors::domain::{ClientId, Party};

/// As what the breaker rests at first.
const REST: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Answers {
    With(u16, &'static str),
    Never,
    Half,
}

/// An endpoint that does as it is told, and how often it was asked.
struct Endpoint {
    address: String,
    answers: Arc<std::sync::Mutex<Answers>>,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    fn open(answers: Answers) -> Self {
        let (answers, asked) = (Arc::new(std::sync::Mutex::new(answers)), Arc::<AtomicUsize>::default());
        let kept = (Arc::clone(&answers), Arc::clone(&asked));
        let app = move || {
            let (answers, asked) = kept.clone();
            let answer = move || {
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = *answers.lock().unwrap();
                async move {
                    match answer {
                        Answers::With(status, "") => {
                            HttpResponse::build(StatusCode::from_u16(status).unwrap()).body("{}")
                        }
                        Answers::With(status, wait) => HttpResponse::build(StatusCode::from_u16(status).unwrap())
                            .insert_header(("Retry-After", wait))
                            .body("{}"),
                        Answers::Never => std::future::pending().await,
                        Answers::Half => {
                            let broken = futures_util::stream::iter([
                                Ok(actix_web::web::Bytes::from_static(b"{")),
                                Err(std::io::Error::other("broken")),
                            ]);
                            HttpResponse::Ok().streaming(broken)
                        }
                    }
                }
            };
            actix_web::App::new().default_service(actix_web::web::to(answer))
        };
        let server = actix_web::HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0].to_string();
        actix_rt::spawn(server.run());
        Self { address, answers, asked }
    }

    fn now(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A client and its tool at an address.
struct Desk {
    tool: HttpTool,
    request: ActionRequest,
}

impl Desk {
    fn of(address: &str, writes: bool) -> Self {
        let method = if writes { "POST" } else { "GET" };
        let settings = json!({ "http_tools": [{ "name": "order", "description": "", "schema": {}, "method": method,
            "url": format!("http://{address}/orders/{{id}}"), "deadline_ms": 200 }] });
        let (id, limits) = (caly_actors::domain::AgentId::new(), caly_actors::domain::CallLimits::default());
        let agent = crate::agents::read(id, 1, "shop", &settings, &limits).unwrap();
        Self { tool: agent.http_tools[0].clone(), request: asked(Party::Withheld) }
    }

    async fn ask(&self, tools: &HttpActions) -> Result<ActionOutput, ActionError> {
        tools.send(&self.tool, &self.request, "secret").await
    }

    fn another_clients(&self) -> Self {
        let mut request = self.request.clone();
        Arc::make_mut(&mut request.facts).client = ClientId::new();
        Self { tool: self.tool.clone(), request }
    }
}

fn is_away(result: &Result<ActionOutput, ActionError>) -> bool {
    matches!(result, Err(ActionError::Away(why)) if why.contains("offer to ring back"))
}

#[actix_rt::test]
async fn a_host_that_does_not_answer_is_left_alone_for_this_client_until_a_trial_is_answered() {
    for answers in [Answers::With(500, ""), Answers::With(503, "1"), Answers::Never, Answers::Half] {
        for writes in [false, true] {
            let endpoint = Endpoint::open(answers);
            let tools = tools(&[&endpoint.address]);
            let one = Desk::of(&endpoint.address, writes);
            let other = one.another_clients();
            for _ in 0..5 {
                let failed = one.ask(&tools).await;
                assert!(failed.is_err() && !is_away(&failed), "{answers:?}: {failed:?}");
            }
            let (before, begun) = (endpoint.asked(), Instant::now());
            // Nothing was sent, so what writes has surely not been done.
            let left_alone = one.ask(&tools).await;
            assert!(is_away(&left_alone), "{answers:?}: {left_alone:?}");
            assert!(begun.elapsed() < Duration::from_millis(150), "at once");
            assert_eq!(endpoint.asked(), before);
            endpoint.now(Answers::With(200, ""));
            assert!(is_away(&one.ask(&tools).await));
            assert!(other.ask(&tools).await.is_ok(), "another client's is another");
            tools.breakers.age(REST);
            assert!(one.ask(&tools).await.is_ok(), "the trial");
            assert!(one.ask(&tools).await.is_ok(), "closed again");
        }
    }
}

#[actix_rt::test]
async fn a_trial_that_fails_leaves_it_alone_again_and_others_do_not_go_with_it() {
    let endpoint = Endpoint::open(Answers::Never);
    let tools = tools(&[&endpoint.address]);
    let one = Desk::of(&endpoint.address, true);
    for _ in 0..5 {
        assert!(matches!(one.ask(&tools).await, Err(ActionError::Unknown(_))));
    }
    tools.breakers.age(REST);
    let both = futures_util::future::join(one.ask(&tools), one.ask(&tools)).await;
    assert!(matches!(both.0, Err(ActionError::Unknown(_))), "{both:?}");
    assert!(is_away(&both.1), "{both:?}");
    tools.breakers.age(REST);
    assert!(is_away(&one.ask(&tools).await), "it rests longer now");
    tools.breakers.age(REST);
    assert!(!is_away(&one.ask(&tools).await));
}

#[actix_rt::test]
async fn a_host_that_cannot_be_reached_is_left_alone_too_and_one_that_refuses_is_not() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let one = Desk::of(&address, true);
    let unreached = tools(&[&address]);
    for _ in 0..5 {
        assert!(matches!(one.ask(&unreached).await, Err(ActionError::Unavailable(_))));
    }
    assert!(is_away(&one.ask(&unreached).await));

    let untrusted = tools(&[]);
    for _ in 0..10 {
        assert!(matches!(one.ask(&untrusted).await, Err(ActionError::Refused(_))));
    }
    for refusal in [400, 404, 422, 429] {
        let endpoint = Endpoint::open(Answers::With(refusal, ""));
        let (tools, one) = (tools(&[&endpoint.address]), Desk::of(&endpoint.address, true));
        for _ in 0..10 {
            assert!(!is_away(&one.ask(&tools).await), "{refusal}");
        }
        assert_eq!(endpoint.asked(), 10);
    }
}

#[actix_rt::test]
async fn a_host_that_asks_to_wait_is_waited_for() {
    let endpoint = Endpoint::open(Answers::With(429, "2"));
    let (tools, one) = (tools(&[&endpoint.address]), Desk::of(&endpoint.address, true));
    assert!(matches!(one.ask(&tools).await, Err(ActionError::Unavailable(_))));
    endpoint.now(Answers::With(200, ""));
    assert!(is_away(&one.ask(&tools).await));
    assert_eq!(endpoint.asked(), 1);
    tools.breakers.age(Duration::from_secs(2));
    assert!(one.ask(&tools).await.is_ok());
}

#[actix_rt::test]
async fn a_caller_who_hangs_up_says_nothing_about_the_host() {
    let endpoint = Endpoint::open(Answers::Never);
    let (tools, mut one) = (tools(&[&endpoint.address]), Desk::of(&endpoint.address, false));
    one.tool.deadline = Duration::from_secs(60);
    for given_up in 1..=6 {
        let hang_up = async {
            while endpoint.asked() < given_up {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            answer = one.ask(&tools) => panic!("{answer:?}"),
            () = hang_up => {}
        }
    }
    assert_eq!(endpoint.asked(), 6);
}
