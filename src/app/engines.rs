//! The engines that speak in calls, and what is told of those that refuse for good.

use std::sync::Arc;

use anyhow::Context as _;
use caly_actors::ports::Engine;
use secrecy::SecretString;
use url::Url;

use super::sandbox;
use crate::config::{Config, Provider};
use crate::engines::hanging::Hangs;
use crate::engines::openai::{OpenAi, OpenAiOptions};
use crate::engines::verdict::{Verdict, Verdicts, Which};
use crate::http::health::Reason;

pub(super) fn provider_name(config: &Config) -> &'static str {
    match config.engine.provider {
        Provider::OpenAi => "openai",
        Provider::Sandbox => "sandbox",
    }
}

/// What speaks in calls.
pub(super) struct Engines {
    pub(super) first: Arc<dyn Engine>,
    pub(super) fallback: Option<Arc<dyn Engine>>,
    /// What they refuse for good.
    pub(super) verdicts: Arc<Verdicts>,
    /// Whether the first one hangs.
    pub(super) hangs: Arc<Hangs>,
    /// The simulated services, if there is no real one.
    pub(super) sandbox: Option<sandbox::Sandbox>,
}

pub(super) async fn open(config: &mut Config) -> anyhow::Result<Engines> {
    let (base_url, key, sandbox) = match config.engine.provider {
        Provider::OpenAi => {
            let key = config.openai.key.clone().context("OPENAI_API_KEY is not set")?;
            (config.openai.base_url.clone(), key, None)
        }
        Provider::Sandbox => {
            let sandbox = sandbox::Sandbox::open(config).await?;
            (sandbox.engine.url.trim_end_matches("/realtime").to_owned(), SecretString::from("sandbox"), Some(sandbox))
        }
    };
    let openai = &config.openai;
    let fallback = openai.fallback.as_ref().filter(|_| sandbox.is_none());
    let fallback =
        fallback.map(|other| engine(config, &other.base_url, other.key.clone(), &other.model)).transpose()?;
    let verdicts = Arc::new(Verdicts::default());
    let hangs = Arc::new(Hangs::default());
    let first = hangs.watch(engine(config, &base_url, key, &openai.model)?);
    let first = verdicts.watch(Which::First, first);
    let fallback = fallback.map(|engine| verdicts.watch(Which::Fallback, engine));
    Ok(Engines { first, fallback, verdicts, hangs, sandbox })
}

fn engine(config: &Config, base_url: &str, key: SecretString, model: &str) -> anyhow::Result<Arc<dyn Engine>> {
    let mut options = OpenAiOptions::new(Url::parse(base_url).context("openai.base_url")?, key);
    model.clone_into(&mut options.model);
    options.window = config.openai.context_tokens;
    options.transcription_model = Some(config.openai.transcription_model.clone());
    options.transcription_language.clone_from(&config.openai.transcription_language);
    options.connect_timeout = config.openai.connect_timeout;
    options.ca_file.clone_from(&config.openai.ca_file);
    Ok(Arc::new(OpenAi::new(options)?))
}

/// What an operator should know of an engine that hangs, and of those that refuse for good although calls find one that works.
pub(super) fn alarms(verdicts: &Verdicts, hangs: &Hangs) -> Vec<Reason> {
    let hangs = hangs.age().map(|age| {
        let minutes = age.as_secs() / 60;
        let detail = format!(
            "the first engine hangs, for {minutes} min: calls begin with the fallback, if one is set; see whether its address \
             answers, and set openai.fallback_base_url if it does not"
        );
        Reason { what: "engine", detail: detail.into() }
    });
    if !verdicts.any_works() {
        return hangs.into_iter().collect();
    }
    let first = verdicts.of(Which::First).map(|verdict| told("the first engine", verdict, "calls use the fallback"));
    let fallback = verdicts.of(Which::Fallback).map(|verdict| told("the fallback engine", verdict, "the first works"));
    first.into_iter().chain(fallback).chain(hangs).collect()
}

/// Why new calls are of no use here: no engine would answer them.
pub(super) fn hindrances(verdicts: &Verdicts) -> Vec<Reason> {
    let verdict = verdicts.of(Which::First).filter(|_| !verdicts.any_works());
    let outcome = "callers are handed to a person or told so; each call still tries";
    verdict.map(|verdict| told("the engine", verdict, outcome)).into_iter().collect()
}

fn told(engine: &str, verdict: Verdict, outcome: &str) -> Reason {
    let (refusal, remedy) = match verdict.kind {
        "quota" => ("has no credit left", "top up its account; to try at once, send SIGHUP"),
        _ => ("refuses the key, the model or the account", "caly check says which; mend the configuration and restart"),
    };
    let minutes = verdict.age().as_secs() / 60;
    Reason { what: "engine", detail: format!("{engine} {refusal}, for {minutes} min: {outcome}; {remedy}").into() }
}
