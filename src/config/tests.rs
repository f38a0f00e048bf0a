//! Layers, types and refusals, without touching the environment of the process.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::layers::{DEFAULTS, flatten};

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn file(dir: &tempfile::TempDir, text: &str) -> LoadArgs {
    let path = dir.path().join("test.toml");
    std::fs::write(&path, text).unwrap();
    LoadArgs { file: Some(path), overrides: Vec::new() }
}

fn empty_file(dir: &tempfile::TempDir) -> LoadArgs {
    file(dir, "")
}

fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    Config::load_from(&empty_file(&dir), &env(pairs))
}

fn problems(pairs: &[(&str, &str)]) -> String {
    load(pairs).map(|_| ()).unwrap_err().to_string()
}

fn source_of(config: &Config, key: &str) -> (String, String) {
    let line = config.describe().iter().find(|d| d.key == key).unwrap();
    (line.value.clone(), line.source.to_string())
}

#[test]
fn the_defaults_are_those_of_the_domain() {
    let config = load(&[]).unwrap();
    assert_eq!(config.calls.limits, CallLimits::default());
    assert_eq!((config.server.port, config.server.public_url.http()), (8080, "http://127.0.0.1:8080".to_owned()));
    assert_eq!(config.engine.provider, Provider::Sandbox);
    assert_eq!(secrecy::ExposeSecret::expose_secret(&config.database.url), "sqlite://data/caly.db");
    assert_eq!(config.recording.dir, PathBuf::from("data/recordings"));
    assert!(config.warnings.iter().any(|w| w.contains("server.public_url")), "{:?}", config.warnings);
}

#[test]
fn every_documented_key_is_read_and_every_read_key_is_documented() {
    let mut found = Vec::new();
    let settings = layers::collect(&LoadArgs::default(), &[], &mut found, &mut Vec::new());
    let mut reader = Reader::new(&settings, found);
    sections::all(&mut reader, Vec::new());
    let read: Vec<String> = reader.read.into_iter().collect();
    let documented: Vec<String> = settings.keys().cloned().collect();
    assert_eq!((read, reader.problems), (documented, Vec::new()));
}

#[test]
fn every_secret_is_empty_by_default_and_has_a_file_key() {
    let keys = flatten(DEFAULTS).unwrap();
    for secret in SECRETS {
        assert!(keys.contains(&(secret.to_owned(), Raw::Text(String::new()))), "{secret}");
        assert!(keys.contains(&(format!("{secret}_file"), Raw::Text(String::new()))), "{secret}_file");
    }
}

#[test]
fn later_layers_win_and_say_where_a_value_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut args =
        file(&dir, "[server]\nport = 1001\nhost = \"127.0.0.1\"\n[calls]\nanswer = \"1m30s\"\nmax_live = 7\n");
    args.overrides = vec![("log.level".to_owned(), "debug".to_owned())];
    let env = env(&[("PORT", "1002"), ("CALY__CALLS__MAX_LIVE", "9"), ("HOST", ""), ("CALY__LOG__LEVEL", "warn")]);
    let config = Config::load_from(&args, &env).unwrap();
    assert_eq!((config.server.port, config.calls.max_live), (1002, 9));
    assert_eq!(config.calls.limits.answer, Duration::from_secs(90));
    let path = args.file.unwrap().display().to_string();
    assert_eq!(source_of(&config, "server.port"), ("1002".into(), "PORT".into()));
    assert_eq!(source_of(&config, "server.host"), ("127.0.0.1".into(), path.clone()));
    assert_eq!(source_of(&config, "calls.answer"), ("1m30s".into(), path));
    assert_eq!(source_of(&config, "calls.max_live"), ("9".into(), "CALY__CALLS__MAX_LIVE".into()));
    assert_eq!(source_of(&config, "log.level"), ("debug".into(), "command line".into()));
    assert_eq!(source_of(&config, "calls.teardown"), ("5s".into(), "default".into()));
}

#[test]
fn a_variable_of_calys_own_is_stronger_than_one_the_platform_sets() {
    let config = load(&[("CALY__SERVER__PORT", "9000"), ("PORT", "3000")]).unwrap();
    assert_eq!(config.server.port, 9000);
}

#[test]
fn platform_names_are_honoured() {
    let config = load(&[
        ("DATABASE_URL", "postgres://caly:pw@db/caly"),
        ("RAILWAY_PUBLIC_DOMAIN", "caly.up.railway.app"),
        ("OPENAI_API_KEY", "sk-test-0123456789"),
        ("OPENAI_BASE_URL", "ws://127.0.0.1:9100/v1/"),
    ])
    .unwrap();
    assert_eq!(config.server.public_url.ws(), "wss://caly.up.railway.app");
    assert_eq!(config.openai.base_url, "ws://127.0.0.1:9100/v1");
    assert_eq!(config.engine.provider, Provider::OpenAi);
    let both = load(&[("RAILWAY_PUBLIC_DOMAIN", "a.example"), ("PUBLIC_URL", "https://b.example")]).unwrap();
    assert_eq!(both.server.public_url.authority(), "b.example");
}

#[test]
fn all_problems_are_told_at_once_with_the_nearest_name() {
    let text = problems(&[
        ("CALY__SERVER__PROT", "1"),
        ("CALY__CALLS__IDLE_MEDIA", "soon"),
        ("CALY__ENGINE__AUDIO", "allaw"),
        ("PORT", "70000"),
        ("PUBLIC_URL", "https://voice.example.com/path"),
        ("CALY__LOG__LEVEL", "infoo"),
        ("CALY__SERVER", "x"),
    ]);
    for expected in [
        "server.prot: unknown key (in CALY__SERVER__PROT); did you mean CALY__SERVER__PORT?",
        "calls.idle_media: expected a duration such as \"20ms\", \"45s\" or \"30m\" (from CALY__CALLS__IDLE_MEDIA)",
        "engine.audio: expected one of auto, pcm24, alaw, mulaw; did you mean alaw?",
        "server.port: expected a whole number from 0 to 65535 (from PORT)",
        "server.public_url: must not have a path, but has /path",
        "log.level: expected one of off, error, warn, info, debug, trace, or target=level; did you mean info?",
        "server: is a section, not a value",
    ] {
        assert!(text.contains(expected), "{expected}\nnot in\n{text}");
    }
    assert_eq!(text.lines().count(), 8, "{text}");
}

#[test]
fn an_unknown_key_in_a_file_is_refused_with_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let args = file(&dir, "[calls]\nmax_lives = 3\n[callz]\nanswer = \"1s\"\n");
    let text = Config::load_from(&args, &[]).unwrap_err().to_string();
    assert!(text.contains("did you mean calls.max_live?"), "{text}");
    assert!(text.contains("callz.answer") && text.contains("did you mean calls.answer?"), "{text}");
    let broken = file(&dir, "[calls\n");
    assert!(Config::load_from(&broken, &[]).unwrap_err().to_string().contains("test.toml"));
}

#[test]
fn a_missing_file_is_refused_only_when_it_was_named() {
    let args = LoadArgs { file: Some(PathBuf::from("no/such.toml")), overrides: Vec::new() };
    assert!(Config::load_from(&args, &[]).unwrap_err().to_string().contains("no/such.toml is not a file"));
}

#[test]
fn public_urls() {
    for good in ["https://voice.example.com", "wss://voice.example.com/", "http://localhost:8080", "http://[::1]:8080"]
    {
        assert!(load(&[("PUBLIC_URL", good)]).is_ok(), "{good}");
    }
    for bad in [
        "voice.example.com",
        "http://voice.example.com",
        "ftp://voice.example.com",
        "https://",
        "https://user:pw@voice.example.com",
        "https://voice.example.com/?a=1",
        "https://voice.example.com/#x",
        "https://voice.example.com:99999",
        "https://exa mple.com",
        "javascript:alert(1)",
    ] {
        assert!(problems(&[("PUBLIC_URL", bad)]).contains("server.public_url"), "{bad}");
    }
}

#[test]
fn vendor_urls_are_encrypted_or_local() {
    assert!(load(&[("OPENAI_BASE_URL", "https://eu.api.openai.com/v1")]).is_ok());
    for bad in ["http://api.openai.com/v1", "ws://10.0.0.1/", "https://k:v@api.openai.com", "file:///etc/passwd"] {
        assert!(problems(&[("OPENAI_BASE_URL", bad)]).contains("openai.base_url"), "{bad}");
    }
}

#[test]
fn a_secret_in_a_file_is_refused_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let args =
        file(&dir, "[openai]\nkey = \"sk-very-secret-1234\"\n[database]\nurl = \"postgres://u:hidden9@db/caly\"\n");
    let text = Config::load_from(&args, &[]).unwrap_err().to_string();
    assert!(text.contains("openai.key: a secret must not stand in") && text.contains("OPENAI_API_KEY"), "{text}");
    assert!(text.contains("database.url: a password must not stand"), "{text}");
    assert!(!text.contains("very-secret") && !text.contains("hidden9"), "{text}");
}

#[test]
fn secrets_are_masked_wherever_a_configuration_is_printed() {
    let config =
        load(&[("OPENAI_API_KEY", "plainsecret99"), ("DATABASE_URL", "postgres://u:hidden9@db/caly")]).unwrap();
    assert_eq!(source_of(&config, "openai.key"), ("********".into(), "OPENAI_API_KEY".into()));
    assert_eq!(source_of(&config, "database.url").0, "postgres://***@db/caly");
    let debug = format!("{config:?}");
    assert!(!debug.contains("plainsecret99") && !debug.contains("hidden9"), "{debug}");
}

#[test]
fn a_secret_file_must_belong_to_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "sk-from-file-1234\n").unwrap();
    let name = path.display().to_string();
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(problems(&[("CALY__OPENAI__KEY_FILE", &name)]).contains("chmod 600"));
    mode(0o600);
    let config = load(&[("CALY__OPENAI__KEY_FILE", &name)]).unwrap();
    let key = config.openai.key.as_ref().map(|k| secrecy::ExposeSecret::expose_secret(k).to_owned());
    assert_eq!(key.as_deref(), Some("sk-from-file-1234"));
    assert_eq!(source_of(&config, "openai.key"), ("********".into(), name));
}

#[test]
fn the_signing_secret_is_made_once_and_readable_by_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let config = load(&[("CALY__DATA_DIR", &data.display().to_string())]).unwrap();
    let expose = |s: SecretString| secrecy::ExposeSecret::expose_secret(&s).to_owned();
    let first = expose(config.token_secret().unwrap());
    assert_eq!((first.len(), expose(config.token_secret().unwrap())), (64, first));
    let mode = std::fs::metadata(data.join("token.secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1);
    assert!(problems(&[("CALY__SECURITY__TOKEN_SECRET", "short")]).contains("at least 32"));
}

#[test]
fn openai_without_a_key_is_refused_with_the_way_out() {
    assert!(problems(&[("CALY__ENGINE__PROVIDER", "openai")]).contains("set OPENAI_API_KEY"));
    assert!(problems(&[("OPENAI_API_KEY", "sk-abc def")]).contains("openai.key: holds spaces"));
}

#[test]
fn addresses_to_listen_on() {
    assert_eq!(load(&[("HOST", "localhost")]).unwrap().server.host, IpAddr::from([127, 0, 0, 1]));
    assert!(load(&[("HOST", "::")]).is_ok());
    assert!(problems(&[("HOST", "my-laptop")]).contains("server.host: expected an IP address"));
}

#[test]
fn database_urls() {
    assert!(load(&[("DATABASE_URL", "postgresql://u@db:5432/caly?sslmode=require")]).is_ok());
    for bad in ["mysql://db/caly", "caly.db", "postgres://u:p@db:port/caly"] {
        assert!(problems(&[("DATABASE_URL", bad)]).contains("database.url"), "{bad}");
    }
}

#[test]
fn networks_hold_their_addresses() {
    for (network, address, inside) in [
        ("10.0.0.0/8", "10.200.3.4", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("fd00::/8", "fd12::1", true),
        ("fd00::/8", "fe80::1", false),
        ("::/0", "2001:db8::1", true),
    ] {
        let found = Network::parse(network).unwrap().contains(address.parse().unwrap());
        assert_eq!(found, inside, "{address} in {network}");
    }
    for bad in ["10.0.0.0/33", "ten", "10.0.0.0/x", ""] {
        assert_eq!(Network::parse(bad), None, "{bad}");
    }
}

#[test]
fn durations_have_units() {
    for (text, millis) in [("20ms", 20), ("45s", 45_000), ("1m30s", 90_000), ("2h", 7_200_000), ("1 d", 86_400_000)] {
        assert_eq!(read::parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
    }
    for bad in ["", "45", "s", "-1s", "1.5s", "1y", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(read::parse_duration(bad), None, "{bad}");
    }
}

#[test]
fn a_second_engine_has_a_key_of_its_own_or_is_the_same_service() {
    let first = ("OPENAI_API_KEY", "sk-first");
    let model = load(&[first, ("CALY__OPENAI__FALLBACK_MODEL", "gpt-realtime-mini")]).unwrap().openai.fallback.unwrap();
    assert_eq!((model.base_url.as_str(), model.model.as_str()), ("https://api.openai.com/v1", "gpt-realtime-mini"));
    let address = ("CALY__OPENAI__FALLBACK_BASE_URL", "https://eu.example.org/v1");
    let missing = problems(&[first, address]);
    assert!(missing.contains("openai.fallback_key: is needed"), "{missing}");
    let other = load(&[first, address, ("CALY__OPENAI__FALLBACK_KEY", "sk-other")]).unwrap().openai.fallback.unwrap();
    let key = secrecy::ExposeSecret::expose_secret(&other.key);
    assert_eq!(
        (other.base_url.as_str(), other.model.as_str(), key),
        ("https://eu.example.org/v1", "gpt-realtime", "sk-other")
    );
    assert!(problems(&[first, ("CALY__OPENAI__FALLBACK_KEY", "sk-other")]).contains("for what?"));
    assert!(load(&[first]).unwrap().openai.fallback.is_none());
}
