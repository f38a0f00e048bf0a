//! Where settings come from: the embedded defaults, a file, platform names, `CALY__` variables, the command line.
//! Knows keys and their origin, not what they mean; the valid keys are those of the embedded `config.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{File, FileFormat, Source as _, Value, ValueKind};

use super::Problem;

/// The documented defaults, the only place where keys are declared.
pub(super) const DEFAULTS: &str = include_str!("../../config.toml");

const PREFIX: &str = "CALY__";

/// Names that hosting platforms and vendors' tools use, lowest first.
const PLATFORM_NAMES: [(&str, &str); 7] = [
    ("PORT", "server.port"),
    ("HOST", "server.host"),
    ("DATABASE_URL", "database.url"),
    ("RAILWAY_PUBLIC_DOMAIN", "server.public_url"),
    ("PUBLIC_URL", "server.public_url"),
    ("OPENAI_API_KEY", "openai.key"),
    ("OPENAI_BASE_URL", "openai.base_url"),
];

/// Keys that must not stand in a configuration file. Each has a `_file` key beside it.
pub(super) const SECRETS: [&str; 5] =
    ["openai.key", "openai.fallback_key", "exotel.api_key", "exotel.api_token", "security.token_secret"];

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The embedded `config.toml`.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable of this name.
    Environment(String),
    /// A file named by a `_file` key.
    SecretFile(PathBuf),
    /// An option of the command line.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) | Self::SecretFile(path) => path.display().fmt(f),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A value before its type is checked. Everything from the environment is text.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Raw {
    Text(String),
    Whole(i64),
    Flag(bool),
    List(Vec<String>),
    /// Something no key takes: a float, a date, a list of tables.
    Odd(String),
}

/// One setting and its origin.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Setting {
    pub(super) raw: Raw,
    pub(super) source: Source,
}

pub(super) type Settings = BTreeMap<String, Setting>;

/// What the layers are made from; a plain value so that a test needs neither a file nor the environment.
#[derive(Clone, Default, Debug)]
pub struct LoadArgs {
    /// `--config`; must exist. `None`: `config.toml` in the working directory, if there is one.
    pub file: Option<PathBuf>,
    /// `(key, value)` from options of the command line, above everything else.
    pub overrides: Vec<(String, String)>,
}

/// The environment variable that sets a key.
#[must_use]
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Lays the layers over each other. What cannot be laid is a problem, and the others still are.
pub(super) fn collect(
    args: &LoadArgs,
    env: &[(String, String)],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Settings {
    let mut settings = defaults(problems);
    if let Some(path) = chosen_file(args, problems) {
        lay_file(&mut settings, &path, problems);
    }
    lay_platform_names(&mut settings, env);
    lay_environment(&mut settings, env, problems);
    for (key, value) in &args.overrides {
        lay_text(&mut settings, key, value, Source::CommandLine, problems, |near| near.to_owned());
    }
    super::secrets::resolve(&mut settings, problems, warnings);
    settings
}

fn defaults(problems: &mut Vec<Problem>) -> Settings {
    match flatten(DEFAULTS) {
        Ok(values) => values.into_iter().map(|(key, raw)| (key, Setting { raw, source: Source::Default })).collect(),
        Err(reason) => {
            problems.push(Problem::new("config.toml", format!("the embedded defaults do not parse: {reason}")));
            Settings::new()
        }
    }
}

fn chosen_file(args: &LoadArgs, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    match &args.file {
        Some(path) if path.is_file() => Some(path.clone()),
        Some(path) => {
            problems.push(Problem::new("--config", format!("{} is not a file", path.display())));
            None
        }
        None => Some(PathBuf::from("config.toml")).filter(|path| path.is_file()),
    }
}

fn lay_file(settings: &mut Settings, path: &Path, problems: &mut Vec<Problem>) {
    let values = match std::fs::read_to_string(path).map_err(|e| e.to_string()).and_then(|text| flatten(&text)) {
        Ok(values) => values,
        Err(reason) => {
            problems.push(Problem::new(&path.display().to_string(), reason));
            return;
        }
    };
    for (key, raw) in values {
        if SECRETS.contains(&key.as_str()) && raw != Raw::Text(String::new()) {
            problems.push(Problem::new(
                &key,
                format!("a secret must not stand in {}: set {} or {key}_file", path.display(), secret_variable(&key)),
            ));
        } else if let Some(setting) = settings.get_mut(&key) {
            *setting = Setting { raw, source: Source::File(path.to_path_buf()) };
        } else {
            problems.push(unknown(settings, &key, &path.display().to_string(), |near| near.to_owned()));
        }
    }
}

/// The name by which a secret is best given.
pub(super) fn secret_variable(key: &str) -> String {
    let platform = PLATFORM_NAMES.iter().find(|(_, of)| *of == key);
    platform.map_or_else(|| variable_of(key), |(name, _)| (*name).to_owned())
}

fn lay_platform_names(settings: &mut Settings, env: &[(String, String)]) {
    for (name, key) in PLATFORM_NAMES {
        let Some((_, value)) = env.iter().find(|(n, v)| n == name && !v.trim().is_empty()) else { continue };
        let text = if name == "RAILWAY_PUBLIC_DOMAIN" { format!("https://{}", value.trim()) } else { value.clone() };
        let setting = Setting { raw: Raw::Text(text), source: Source::Environment(name.to_owned()) };
        settings.insert(key.to_owned(), setting);
    }
}

fn lay_environment(settings: &mut Settings, env: &[(String, String)], problems: &mut Vec<Problem>) {
    for (name, value) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let key = rest.to_lowercase().replace("__", ".");
        lay_text(settings, &key, value, Source::Environment(name.clone()), problems, variable_of);
    }
}

fn lay_text(
    settings: &mut Settings,
    key: &str,
    value: &str,
    source: Source,
    problems: &mut Vec<Problem>,
    spell: impl Fn(&str) -> String,
) {
    if settings.contains_key(key) {
        settings.insert(key.to_owned(), Setting { raw: Raw::Text(value.to_owned()), source });
    } else {
        problems.push(unknown(settings, key, &source.to_string(), spell));
    }
}

/// `spell` writes the nearest key the way the user wrote the wrong one: as a key or as a variable.
fn unknown(settings: &Settings, key: &str, source: &str, spell: impl Fn(&str) -> String) -> Problem {
    let prefix = format!("{key}.");
    if settings.keys().any(|k| k.starts_with(&prefix)) {
        return Problem::new(key, format!("is a section, not a value (in {source})"));
    }
    let reason = match nearest(key, settings.keys().map(String::as_str)) {
        Some(near) => format!("unknown key (in {source}); did you mean {}?", spell(near)),
        None => format!("unknown key (in {source}); `caly check` lists all keys"),
    };
    Problem::new(key, reason)
}

/// The likeliest name: near in spelling, or the same last word in another section.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let scored = names.map(|name| {
        let whole = strsim::jaro_winkler(wrong, name);
        let word = strsim::normalized_damerau_levenshtein(&last(wrong), &last(name));
        (name, whole.max(word * 0.99))
    });
    scored.filter(|(_, score)| *score > 0.75).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
}

/// Reads TOML into dotted keys.
pub(super) fn flatten(text: &str) -> Result<Vec<(String, Raw)>, String> {
    let tables = File::from_str(text, FileFormat::Toml).collect().map_err(|e| one_line(&e.to_string()))?;
    let mut flat = Vec::new();
    for (key, value) in tables {
        flatten_into(key, value, &mut flat);
    }
    flat.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(flat)
}

fn flatten_into(key: String, value: Value, flat: &mut Vec<(String, Raw)>) {
    let raw = match value.kind {
        ValueKind::Table(entries) => {
            for (name, value) in entries {
                flatten_into(format!("{key}.{name}"), value, flat);
            }
            return;
        }
        ValueKind::String(text) => Raw::Text(text),
        ValueKind::I64(number) => Raw::Whole(number),
        ValueKind::Boolean(flag) => Raw::Flag(flag),
        ValueKind::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(|item| as_text(&item.kind)).collect();
            texts.map_or_else(|| Raw::Odd("a nested list".to_owned()), Raw::List)
        }
        other => Raw::Odd(other.to_string()),
    };
    flat.push((key, raw));
}

fn as_text(kind: &ValueKind) -> Option<String> {
    if let ValueKind::String(text) = kind { Some(text.clone()) } else { None }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
