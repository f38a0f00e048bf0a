//! The flow around a simulated call's stream: dynamic URL, upgrade, Passthru, Connect, status callbacks, recording.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::connect::problems as connect_problems;
use super::report::{CallReport, Outcome};
use super::stream::{End, Line};
use super::wire;
use super::{CallPlan, Live};
use crate::sim::Dice;

/// Largest WebSocket frame accepted from a bot: above the largest legal message, so that it can be complained about.
const FRAME_MAX: usize = 1024 * 1024;
const BODY_MAX: usize = 64 * 1024;

/// How status callbacks are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackEncoding {
    /// `multipart/form-data`, the carrier's default.
    Multipart,
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

thread_local! {
    static CLIENT: awc::Client = new_client();
}

fn tls() -> Arc<rustls::ClientConfig> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }))
}

fn new_client() -> awc::Client {
    let connector = awc::Connector::new().rustls_0_23(tls()).limit(0).timeout(Duration::from_secs(10));
    awc::Client::builder()
        .connector(connector)
        .timeout(Duration::from_secs(10))
        .disable_redirects()
        .no_default_headers()
        .finish()
}

fn client() -> awc::Client {
    CLIENT.with(awc::Client::clone)
}

/// One call being placed.
pub(crate) struct Call {
    plan: Rc<CallPlan>,
    report: CallReport,
    stream_url: Option<Url>,
    created: String,
    problem: Option<String>,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    took: Duration,
}

impl Call {
    pub(crate) fn new(plan: CallPlan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let call_sid = plan.call_sid.clone().unwrap_or_else(|| wire::sid(&mut dice));
        let stream_sid = wire::sid(&mut dice);
        let report = CallReport::new(call_sid, stream_sid, plan.scenario.name.clone());
        Self { plan: Rc::new(plan), report, stream_url: None, created: wire::created_time(), problem: None }
    }

    pub(crate) fn finish(mut self) -> CallReport {
        self.report.judge(self.plan.scenario.expect.as_deref());
        self.report
    }

    pub(crate) async fn run(&mut self) {
        let end = match self.stream().await {
            Ok(end) => end,
            Err(problem) => {
                self.problem = Some(problem.clone());
                self.report.outcome = Outcome::Refused(problem);
                self.after_stream(None).await;
                self.callbacks("failed").await;
                return;
            }
        };
        self.after_stream(Some(&end)).await;
        self.callbacks("completed").await;
    }

    /// Finds the stream's URL, opens it and talks until its end.
    async fn stream(&mut self) -> Result<End, String> {
        let (url, parameters, rate) = self.stream_target().await?;
        let plan = Rc::clone(&self.plan);
        let attempts = if plan.knobs.retry_once { 2 } else { 1 };
        let mut problem = String::new();
        for _ in 0..attempts {
            let begun = Instant::now();
            match upgrade(&url, plan.knobs.handshake_timeout).await {
                Ok(mut socket) => {
                    self.report.upgrade = Some(begun.elapsed());
                    let waited = self.report.dynamic_url.unwrap_or_default() + begun.elapsed();
                    plan.tell(Live::Connected(waited));
                    let mut line = Line::new(&plan, &mut self.report, rate);
                    let end = line.run(&mut socket, &parameters).await;
                    let tracks = line.take_tracks();
                    self.record(tracks, rate);
                    return Ok(end);
                }
                Err(text) => problem = text,
            }
        }
        Err(format!("stream: {problem}"))
    }

    async fn stream_target(&mut self) -> Result<(Url, Vec<(String, String)>, u32), String> {
        let given = Url::parse(&self.plan.voicebot_url).map_err(|error| format!("voicebot URL: {error}"))?;
        let url = match given.scheme() {
            "ws" | "wss" => given,
            "http" | "https" => self.ask_dynamic(given).await?,
            other => return Err(format!("voicebot URL: the scheme '{other}' is none of ws, wss, http, https")),
        };
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let rate = query.iter().find(|(key, _)| key == "sample-rate").map_or("8000", |(_, value)| value);
        let rate = match rate {
            "8000" => 8000,
            "16000" => 16_000,
            "24000" => 24_000,
            other => {
                self.report.violation(format!("stream URL: sample-rate={other} is none of 8000, 16000, 24000"));
                8000
            }
        };
        let parameters: Vec<(String, String)> = query.into_iter().filter(|(key, _)| key != "sample-rate").collect();
        let length: usize = parameters.iter().map(|(key, value)| key.len() + value.len()).sum();
        if parameters.len() > 3 || length > 256 {
            self.report.violation("stream URL: more than 3 custom parameters or 256 characters of them".to_owned());
        }
        self.stream_url = Some(url.clone());
        Ok((url, parameters, rate))
    }

    async fn ask_dynamic(&mut self, mut url: Url) -> Result<Url, String> {
        url.query_pairs_mut().extend_pairs(self.call_parameters());
        let answer =
            get(&url, Duration::from_secs(10), false).await.map_err(|error| format!("dynamic URL: {error}"))?;
        self.report.dynamic_url = Some(answer.took);
        if answer.status != 200 {
            return Err(format!("dynamic URL answered {}", answer.status));
        }
        let body: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| "dynamic URL answered 200 without a JSON object".to_owned())?;
        let text = body["url"].as_str().ok_or("dynamic URL answered JSON without 'url'")?;
        let url = Url::parse(text).map_err(|error| format!("dynamic URL gave a bad URL: {error}"))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(format!("dynamic URL gave a URL with the scheme '{}'", url.scheme()));
        }
        Ok(url)
    }

    /// What every webhook of the flow carries (protocol §1.1.6).
    fn call_parameters(&self) -> Vec<(&'static str, String)> {
        let plan = &self.plan;
        let (from, to) = (wire::shown(&plan.from, &plan.knobs), wire::shown(&plan.to, &plan.knobs));
        let mut parameters = vec![
            ("CallSid", self.report.call_sid.clone()),
            ("CallFrom", from.clone()),
            ("CallTo", to.clone()),
            ("Direction", plan.direction.clone()),
            ("Created", self.created.clone()),
            ("DialWhomNumber", String::new()),
            ("HangupLatencyStartTimeExocc", String::new()),
            ("HangupLatencyStartTime", String::new()),
            ("ServerCode", String::new()),
            ("From", from),
            ("To", to),
            ("CurrentTime", wire::plain_time()),
        ];
        parameters.extend(plan.custom_field.iter().map(|field| ("CustomField", field.clone())));
        parameters
    }

    /// What follows the stream: `None` when it never opened.
    async fn after_stream(&mut self, end: Option<&End>) {
        let outcome = match end {
            None => self.report.outcome.clone(),
            Some(End::Bot) => Outcome::AgentHungUp,
            Some(End::Caller | End::Cut) => Outcome::CallerHungUp,
            Some(End::Failed(reason)) => Outcome::Failed(reason.clone()),
        };
        self.report.outcome = outcome;
        let Some(base) = self.plan.passthru_url.clone() else { return };
        let goes_on = match self.passthru(&base, end).await {
            Ok(goes_on) => goes_on,
            Err(problem) => {
                self.report.violation(format!("passthru: {problem}"));
                false
            }
        };
        if goes_on && matches!(end, Some(End::Bot)) {
            self.report.outcome = match self.connect().await {
                Ok(Some(number)) => Outcome::Transferred(number),
                Ok(None) => Outcome::NotDialled,
                Err(problem) => {
                    self.report.violation(format!("connect: {problem}"));
                    Outcome::NotDialled
                }
            };
            if matches!(self.report.outcome, Outcome::Transferred(_)) {
                tokio::time::sleep(self.plan.knobs.human_talks).await;
            }
        }
    }

    fn stream_parameters(&self, end: Option<&End>) -> Vec<(&'static str, String)> {
        let (status, by) = match end {
            Some(End::Bot) => ("completed", "bot"),
            Some(_) => ("cancelled", "user"),
            None => ("failed", "NA"),
        };
        let mut parameters = vec![
            ("StreamSID", self.report.stream_sid.clone()),
            ("Status", status.to_owned()),
            ("Duration", self.report.stream.as_secs().to_string()),
            ("StreamUrl", self.stream_url.as_ref().map(Url::to_string).unwrap_or_default()),
            ("DisconnectedBy", by.to_owned()),
        ];
        if let Some(problem) = &self.problem {
            parameters.push(("Error", format!("3009 failed to establish ws conn: {problem}")));
        }
        parameters
    }

    async fn passthru(&mut self, base: &str, end: Option<&End>) -> Result<bool, String> {
        let mut url = Url::parse(base).map_err(|error| error.to_string())?;
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(self.call_parameters());
            query.append_pair("CallStatus", if end == Some(&End::Bot) { "in-progress" } else { "completed" });
            query.append_pair("CallType", if end == Some(&End::Bot) { "call-attempt" } else { "client-hangup" });
            query.append_pair("StartTime", &wire::plain_time());
            query.append_pair("EndTime", "1970-01-01 05:30:00");
            query.append_pair("DialCallDuration", "0");
            let parameters = self.stream_parameters(end);
            if self.plan.knobs.json_stream_style {
                let object: serde_json::Map<String, Value> =
                    parameters.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
                query.append_pair("Stream", &Value::Object(object).to_string());
            } else {
                for (key, value) in parameters {
                    query.append_pair(&format!("Stream[{key}]"), &value);
                }
            }
        }
        let answer = get(&url, Duration::from_secs(10), false).await?;
        self.report.passthru = Some(answer.took);
        let select = serde_json::from_slice::<Value>(&answer.body).ok();
        let select = select.as_ref().and_then(|body| body["select"].as_str()).map(str::to_lowercase);
        let label = select.as_ref().map_or(String::new(), |select| format!(" select={select}"));
        self.plan.tell(Live::Flow(format!("passthru {}{label}", answer.status)));
        match (answer.status, select.as_deref()) {
            (200, Some("hangup" | "end" | "hang_up")) | (302, _) => Ok(false),
            (200, _) => Ok(true),
            (status, _) => Err(format!("answered {status}; the applet knows 200 and 302")),
        }
    }

    async fn connect(&mut self) -> Result<Option<String>, String> {
        let Some(base) = self.plan.connect_url.clone() else { return Err("the flow has no Connect URL".to_owned()) };
        let mut url = Url::parse(&base).map_err(|error| error.to_string())?;
        url.query_pairs_mut().extend_pairs(self.call_parameters()).append_pair("CallStatus", "in-progress");
        let answer = get(&url, Duration::from_secs(5), true).await?;
        self.report.connect = Some(answer.took);
        if answer.status != 200 {
            return Err(format!("answered {}", answer.status));
        }
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| "the answer is no JSON".to_owned())?;
        for problem in connect_problems(&body) {
            self.report.violation(format!("connect: {problem}"));
        }
        let number = body["destination"]["numbers"][0].as_str().map(str::to_owned);
        self.plan.tell(Live::Flow(format!("connect {}", number.as_deref().unwrap_or("nobody"))));
        Ok(number)
    }

    async fn callbacks(&mut self, status: &str) {
        let Some(url) = self.plan.status_callback.clone() else { return };
        let mut events: Vec<Option<&str>> = self.plan.status_events.iter().map(|event| Some(event.as_str())).collect();
        if events.is_empty() {
            events.push(None);
        }
        for event in events {
            let times = if self.plan.knobs.callback_duplicates { 2 } else { 1 };
            for _ in 0..times {
                match self.callback(&url, status, event).await {
                    Ok(200..=299) => {}
                    Ok(code) => self.report.violation(format!("status callback answered {code}")),
                    Err(problem) => self.report.violation(format!("status callback: {problem}")),
                }
            }
        }
    }

    async fn callback(&self, url: &str, status: &str, event: Option<&str>) -> Result<u16, String> {
        let status = if event == Some("answered") { "in-progress" } else { status };
        let now = wire::plain_time();
        let mut fields = vec![
            ("CallSid", self.report.call_sid.clone()),
            ("Status", status.to_owned()),
            ("DateUpdated", now.clone()),
        ];
        if let Some(event) = event {
            let spoken = self.report.stream.as_secs().to_string();
            fields.extend([
                ("EventType", event.to_owned()),
                ("DateCreated", now.clone()),
                ("StartTime", now),
                ("From", wire::shown(&self.plan.from, &self.plan.knobs)),
                ("To", wire::shown(&self.plan.to, &self.plan.knobs)),
                ("Direction", "outbound-api".to_owned()),
                ("ConversationDuration", spoken),
            ]);
            fields.extend(self.plan.custom_field.iter().map(|field| ("CustomField", field.clone())));
        }
        let (kind, body) = encode(&fields, self.plan.knobs.callback_encoding, &self.report.call_sid);
        let request = client().post(url).timeout(Duration::from_secs(15)).insert_header(("content-type", kind));
        request.send_body(body).await.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
    }

    fn record(&mut self, tracks: Option<(Vec<i16>, Vec<i16>)>, rate: u32) {
        let (Some((caller, agent)), Some(path)) = (tracks, self.plan.record.as_ref()) else { return };
        let write = || -> Result<(), hound::Error> {
            let spec = hound::WavSpec {
                channels: 2,
                sample_rate: rate,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let mut writer = hound::WavWriter::create(path, spec)?;
            for index in 0..caller.len().max(agent.len()) {
                writer.write_sample(caller.get(index).copied().unwrap_or(0))?;
                writer.write_sample(agent.get(index).copied().unwrap_or(0))?;
            }
            writer.finalize()
        };
        if let Err(error) = write() {
            self.report.note(format!("the recording could not be written: {error}"));
        }
    }
}

/// Opens the stream's socket: user and password of the URL become Basic credentials.
async fn upgrade(url: &Url, patience: Duration) -> Result<impl super::stream::Wire + use<>, String> {
    let mut bare = url.clone();
    let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
    // Only URLs without a host refuse this.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    let mut request = client().ws(bare.as_str()).max_frame_size(FRAME_MAX);
    if !user.is_empty() || password.is_some() {
        let decode = |text: &str| {
            form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
                .next()
                .map_or_else(String::new, |(_, value)| value.into_owned())
        };
        request = request.basic_auth(decode(&user), password.as_deref().map(decode).as_deref());
    }
    match tokio::time::timeout(patience, request.connect()).await {
        Ok(Ok((_, socket))) => Ok(socket),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no upgrade within {} s", patience.as_secs())),
    }
}

async fn get(url: &Url, patience: Duration, connect_applet: bool) -> Result<Answer, String> {
    let mut bare = url.clone();
    let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    let mut request = client().get(bare.as_str()).timeout(patience);
    if !user.is_empty() {
        request = request.basic_auth(user, password.unwrap_or_default());
    }
    if connect_applet {
        request = request.insert_header(("Exotel-Version", "1.0"));
    }
    let begun = Instant::now();
    let work = async {
        let mut answer = request.send().await.map_err(|error| error.to_string())?;
        let body = answer.body().limit(BODY_MAX).await.map_err(|error| error.to_string())?;
        Ok(Answer { status: answer.status().as_u16(), body: body.to_vec(), took: begun.elapsed() })
    };
    match tokio::time::timeout(patience, work).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

fn encode(fields: &[(&str, String)], encoding: CallbackEncoding, salt: &str) -> (String, String) {
    match encoding {
        CallbackEncoding::Json => {
            let object: serde_json::Map<String, Value> =
                fields.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
            ("application/json".to_owned(), Value::Object(object).to_string())
        }
        CallbackEncoding::Form => {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            ("application/x-www-form-urlencoded".to_owned(), body)
        }
        CallbackEncoding::Multipart => {
            let boundary = format!("form-data-boundary-{}", &salt[..salt.len().min(16)]);
            let mut body = String::new();
            for (key, value) in fields {
                body.push_str(&format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n"
                ));
            }
            body.push_str(&format!("--{boundary}--\r\n"));
            (format!("multipart/form-data; boundary={boundary}"), body)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn callbacks_are_written_in_all_three_encodings() {
        let fields = [("CallSid", "abc".to_owned()), ("Status", "completed".to_owned())];
        assert_eq!(encode(&fields, CallbackEncoding::Form, "abc").1, "CallSid=abc&Status=completed");
        assert_eq!(encode(&fields, CallbackEncoding::Json, "abc").1, r#"{"CallSid":"abc","Status":"completed"}"#);
        let (kind, body) = encode(&fields, CallbackEncoding::Multipart, "abc");
        assert!(kind.contains("form-data-boundary-abc") && body.contains("name=\"Status\"\r\n\r\ncompleted\r\n"));
    }
}
