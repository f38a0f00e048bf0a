//! The client commands against a real database file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::super::open_store;
use super::*;
use crate::config::LoadArgs;
use crate::store::hash_secret;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ClientArgs,
}

/// A configuration whose database lies in the directory.
pub(in crate::cli) fn config(directory: &tempfile::TempDir) -> Config {
    let file = directory.path().join("empty.toml");
    std::fs::write(&file, "").unwrap();
    let env = [
        ("DATABASE_URL", format!("sqlite://{}/caly.db", directory.path().display())),
        ("PUBLIC_URL", "https://voice.example.com".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    Config::load_from(&LoadArgs { file: Some(file), overrides: Vec::new() }, &env).unwrap()
}

async fn client(config: &Config, input: &str, line: &[&str]) -> anyhow::Result<(String, String)> {
    let args = Line::try_parse_from([&["client"], line].concat())?.args;
    let (mut out, mut hints) = (Vec::new(), Vec::new());
    run(args, config, &mut input.as_bytes(), &mut out, &mut hints).await?;
    Ok((String::from_utf8(out)?, String::from_utf8(hints)?))
}

async fn webhook_hash(config: &Config, slug: &str) -> Vec<u8> {
    let rows = open_store(config).await.unwrap().load_directory().await.unwrap();
    rows.clients.into_iter().find(|c| c.client.slug == slug).unwrap().secrets.webhook_secret_hash
}

#[actix_rt::test]
async fn a_client_is_made_whole_with_urls_that_open_its_doors() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory);
    let agent = directory.path().join("agent.json");
    std::fs::write(&agent, r#"{"greeting":"Namaste"}"#).unwrap();
    let line = ["create", "--slug", "shop", "--name", "A shop", "--number", "+912248966200", "--json"];
    let line = [&line[..], &["--number", "+912248966201", "--agent", agent.to_str().unwrap()]].concat();
    let (out, hints) = client(&config, "", &line).await.unwrap();
    let made: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((made["numbers"].as_array().unwrap().len(), &made["agent"]["version"]), (2, &json!(1)));
    let secret = made["webhook_secret"].as_str().unwrap();
    assert_eq!(
        made["webhooks"]["call_start"],
        format!("https://voice.example.com/webhooks/exotel/shop/call-start?key={secret}")
    );
    assert_eq!(webhook_hash(&config, "shop").await, hash_secret(secret));
    assert_eq!(hints, "");
    let (shown, _) = client(&config, "", &["show", "shop"]).await.unwrap();
    assert!(shown.contains("+912248966201") && shown.contains("Namaste") && !shown.contains(secret), "{shown}");
    let (listed, _) = client(&config, "", &["list"]).await.unwrap();
    assert!(listed.contains("2 number(s)  agent v1"), "{listed}");
}

#[actix_rt::test]
async fn nothing_is_made_when_a_part_does_not_fit() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory);
    client(&config, "", &["create", "--slug", "shop", "--name", "A", "--number", "+912248966200"]).await.unwrap();
    for (input, line, says) in [
        ("", ["create", "--slug", "b", "--name", "B", "--number", "12"], "E.164"),
        ("", ["create", "--slug", "b", "--name", "B", "--number", "+912248966200"], "belongs to shop"),
        ("{\"voise\":1}", ["create", "--slug", "b", "--name", "B", "--agent", "-"], "voise"),
        ("{", ["create", "--slug", "b", "--name", "B", "--agent", "-"], "not JSON"),
        ("", ["create", "--slug", "b", "--name", "B", "--agent", "/no/file"], "cannot be opened"),
        ("", ["create", "--slug", "B B", "--name", "B", "--number", "+912248966209"], "slug"),
        ("", ["create", "--slug", "shop", "--name", "B", "--number", "+912248966209"], "caly client show shop"),
    ] {
        let error = format!("{:#}", client(&config, input, &line).await.unwrap_err());
        assert!(error.contains(says), "{line:?}: {error}");
    }
    let (list, _) = client(&config, "", &["list", "--json"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().len(), 1);
}

#[actix_rt::test]
async fn a_client_is_changed_step_by_step() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory);
    let (made, hints) = client(&config, "", &["create", "--slug", "shop", "--name", "A"]).await.unwrap();
    assert!(made.contains("/webhooks/exotel/shop/passthru?key="), "{made}");
    assert!(hints.contains("caly client number shop") && hints.contains("caly client agent shop"), "{hints}");
    client(&config, "", &["number", "shop", "+912248966200", "--label", "front"]).await.unwrap();
    client(&config, "{}", &["agent", "shop", "-"]).await.unwrap();
    // Version 1 is the plain agent a new client begins with.
    let (third, _) = client(&config, r#"{"voice":"cedar"}"#, &["agent", "shop", "-"]).await.unwrap();
    assert!(third.contains("version 3"), "{third}");
    let refused = client(&config, r#"{"tools":["fly"]}"#, &["agent", "shop", "-"]).await.unwrap_err();
    assert!(format!("{refused:#}").contains("nothing was changed"), "{refused:#}");
    client(&config, "", &["disable", "shop"]).await.unwrap();
    assert!(client(&config, "", &["list"]).await.unwrap().0.contains("disabled"));
    client(&config, "", &["enable", "shop"]).await.unwrap();
    let before = webhook_hash(&config, "shop").await;
    let (rotated, _) = client(&config, "", &["secret", "shop", "--json"]).await.unwrap();
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    let after = webhook_hash(&config, "shop").await;
    assert_ne!(after, before);
    assert_eq!(after, hash_secret(rotated["webhook_secret"].as_str().unwrap()));
    let (shown, _) = client(&config, "", &["show", "shop", "--json"]).await.unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["agent"]["settings"]["voice"], &shown["client"]["disabled"]), (&json!("cedar"), &json!(false)));
    let actions: Vec<_> = open_store(&config).await.unwrap().list_audit(None, None, 50).await.unwrap().items;
    assert_eq!(actions.len(), 8, "every change is audited");
    assert!(client(&config, "", &["show", "nobody"]).await.unwrap_err().to_string().contains("caly client list"));
}

#[actix_rt::test]
async fn a_database_that_cannot_be_used_is_told_with_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    config.database.url = "sqlite:///proc/nowhere/caly.db".into();
    let error = client(&config, "", &["list"]).await.unwrap_err();
    assert!(error.to_string().contains("DATABASE_URL"), "{error}");
}
