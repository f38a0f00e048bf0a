//! Reads the sources as text and checks what the compiler does not: which room may know what (DESIGN in short: SQL only
//! in `store/`, status codes only in `http/`, the environment only in `config`, vendors' wire types only in their
//! folder, a call in `actors/` without vendors), that files and functions stay small, and that nothing is unfinished.
//!
//! Sizes are a ratchet: what is too large today is listed with its size and may only shrink.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read its sources must stop"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Lines of a file, tests inside it included.
const LONGEST_FILE: usize = 500;
/// Lines of a function, from `fn` to its closing brace.
const LONGEST_FUNCTION: usize = 70;

/// Files over [`LONGEST_FILE`] lines today. Lower the number when one shrinks; never add or raise without a reason.
const LARGE_FILES: &[(&str, usize)] = &[];

/// Functions over [`LONGEST_FUNCTION`] lines today, as `file::function`.
const LARGE_FUNCTIONS: &[(&str, usize)] = &[
    // Tables: a row each, nothing to split.
    ("actors/src/call/state_tests.rs::rows_of_actions_and_ends", 107),
    ("benches/relay/report.rs::table", 71),
    ("src/sim/carrier/tests.rs::bridge", 72),
];

/// A text that may stand only in some files.
struct Arrow {
    /// What it keeps apart, for the message.
    rule: &'static str,
    /// Where it looks: prefixes of paths.
    within: &'static [&'static str],
    /// Where the texts may stand: prefixes of paths.
    allowed: &'static [&'static str],
    /// The texts; each must stand at a word's beginning.
    texts: &'static [&'static str],
    /// Whether code under `#[cfg(test)]` is looked at too.
    in_tests: bool,
}

const ARROWS: &[Arrow] = &[
    Arrow {
        rule: "SQL and sqlx belong to src/store/: give the room a method of the store instead",
        within: &["src/", "actors/src/"],
        allowed: &["src/store/"],
        texts: &["sqlx::", "SELECT ", "INSERT INTO", "DELETE FROM", "CREATE TABLE", "ON CONFLICT"],
        in_tests: false,
    },
    Arrow {
        rule: "the environment is read in src/config/ only: make it a key of config.toml",
        within: &["src/", "actors/src/"],
        allowed: &["src/config/"],
        texts: &["std::env", "env::var", "env!(\"HOME", "option_env!"],
        in_tests: false,
    },
    Arrow {
        rule: "HTTP status codes belong to src/http/ (and to clients reading a vendor's answer): return a typed error",
        within: &["src/", "actors/src/"],
        allowed: &[
            "src/http/",
            "src/dashboard/",
            "src/engines/",
            "src/carriers/",
            "src/actions/",
            "src/sim/",
            "src/cli/",
        ],
        texts: &["StatusCode", "HttpResponse"],
        in_tests: false,
    },
    Arrow {
        rule: "a call in actors/ knows no HTTP, SQL, TLS, vendor JSON, files or environment",
        within: &["actors/src/"],
        allowed: &[],
        texts: &[
            "actix_web",
            "actix_http",
            "awc::",
            "sqlx",
            "rustls",
            "serde::",
            "Serialize",
            "Deserialize",
            "reqwest",
            "std::fs",
            "tokio::fs",
            "std::net",
            "tokio::net",
            "exotel_",
            "openai_",
        ],
        in_tests: false,
    },
    Arrow {
        rule: "the simulator speaks the wire from its own JSON, so that a wrong field fails a test: no types of ours",
        within: &["src/sim/"],
        allowed: &[],
        texts: &[
            "crate::carriers",
            "crate::engines",
            "crate::store",
            "crate::actions",
            "caly_actors::domain",
            "caly_actors::ports",
        ],
        in_tests: true,
    },
    Arrow {
        rule: "a vendor's wire types are private to its folder: translate to the domain in its mod.rs",
        within: &["src/"],
        allowed: &[],
        texts: &["pub mod wire", "pub(crate) mod wire", "exotel::wire", "openai::wire", "shopify::wire"],
        in_tests: true,
    },
    Arrow {
        rule: "product code is finished: no unfinished work",
        within: &["src/", "actors/src/"],
        allowed: &[],
        texts: &["todo!", "unimplemented!", "FIXME", "XXX", "HACK", "dbg!("],
        in_tests: true,
    },
    Arrow {
        rule: "a test is never switched off and never sleeps to wait: wait on the thing itself",
        within: &["src/", "actors/src/", "tests/"],
        allowed: &["tests/tidy.rs"],
        texts: &["#[ignore", "assert!(true"],
        in_tests: true,
    },
];

#[path = "support/rooms.rs"]
mod rooms;
use rooms::ROOMS;

const COMPOSERS: &[&str] = &["app", "main", "cli", "lib"];

struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    lines: Vec<String>,
    /// The same without comments and without the insides of string literals' escapes; tests blanked out.
    code: Vec<String>,
    /// Which lines are under `#[cfg(test)]`.
    test: Vec<bool>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for dir in ["src", "actors", "tests", "benches"] {
        collect(&root().join(dir), &mut paths);
    }
    paths.sort();
    assert!(!paths.is_empty(), "no sources found below {}", root().display());
    paths.iter().map(|path| source(path)).collect()
}

fn source(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let relative = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    let whole_file = relative.starts_with("tests/")
        || relative.starts_with("actors/tests/")
        || relative.ends_with("/tests.rs")
        || relative.contains("/tests/")
        || relative.ends_with("_tests.rs");
    let test = if whole_file { vec![true; lines.len()] } else { test_lines(&lines) };
    let code = lines.iter().map(|line| without_comment(line).to_owned()).collect();
    Source { path: relative, lines, code, test }
}

/// Lines from `#[cfg(test)]` to the end of the item it marks, found by indentation: rustfmt closes an item in the
/// column where it began.
fn test_lines(lines: &[String]) -> Vec<bool> {
    let mut marked = vec![false; lines.len()];
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim_start().starts_with("#[cfg(test)]") {
            let end = item_end(lines, at);
            marked[at..=end].fill(true);
            at = end;
        }
        at += 1;
    }
    marked
}

fn item_end(lines: &[String], start: usize) -> usize {
    let indent = lines[start].len() - lines[start].trim_start().len();
    let closes = |line: &str| line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}');
    for (at, line) in lines.iter().enumerate().skip(start + 1) {
        let declaration_only = line.trim_end().ends_with(';') && line.len() - line.trim_start().len() == indent;
        if closes(line) || declaration_only {
            return at;
        }
    }
    lines.len() - 1
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let bytes = line.as_bytes();
    for at in 0..bytes.len() {
        match bytes[at] {
            b'"' if at == 0 || bytes[at - 1] != b'\\' => quoted = !quoted,
            b'/' if !quoted && bytes.get(at + 1) == Some(&b'/') => return &line[..at],
            _ => {}
        }
    }
    line
}

fn stands_in(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let starts_word = text.starts_with(|c: char| c.is_alphanumeric());
        !(starts_word && before.is_some_and(|c| c.is_alphanumeric() || c == '_'))
    })
}

fn under(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

fn breaches(arrow: &Arrow, sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| under(&s.path, arrow.within) && !under(&s.path, arrow.allowed)) {
        for (at, line) in source.code.iter().enumerate().filter(|(at, _)| arrow.in_tests || !source.test[*at]) {
            if let Some(text) = arrow.texts.iter().find(|text| stands_in(line, text)) {
                found.push(format!("{}:{}: `{text}`", source.path, at + 1));
            }
        }
    }
    found
}

fn fail_with(problems: &[String], what: &str) {
    assert!(problems.is_empty(), "{what}\n  {}\n", problems.join("\n  "));
}

#[test]
fn every_room_knows_only_what_it_may() {
    let sources = sources();
    let mut report = String::new();
    for arrow in ARROWS {
        for breach in breaches(arrow, &sources) {
            let _ = writeln!(report, "  {breach}\n      {}", arrow.rule);
        }
    }
    assert!(report.is_empty(), "rooms know what they should not:\n{report}");
}

/// `src/http/auth.rs` is room `http`, `src/config.rs` room `config`.
fn room_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    let end = rest.find(['/', '.'])?;
    Some(&rest[..end])
}

/// Rooms a line names: `crate::store::…`, `use crate::{store, config}`.
fn named_rooms<'a>(line: &'a str, crate_name: &str) -> Vec<&'a str> {
    let mut rooms = Vec::new();
    for (at, _) in line.match_indices(crate_name) {
        let rest = &line[at + crate_name.len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list.split(['}', ';']).next().unwrap_or("").split(',').filter_map(first_word)),
            None => rooms.extend(first_word(rest)),
        }
    }
    rooms
}

fn first_word(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(text.len());
    Some(&text[..end]).filter(|word| !word.is_empty())
}

#[test]
fn rooms_meet_only_where_they_are_put_together() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| s.path.starts_with("src/")) {
        let Some(room) = room_of(&source.path).filter(|room| !COMPOSERS.contains(room)) else { continue };
        let Some((_, neighbours)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            problems.push(format!("{}: room `{room}` is not in the table ROOMS of tests/tidy.rs", source.path));
            continue;
        };
        for (at, line) in source.code.iter().enumerate().filter(|(at, _)| !source.test[*at]) {
            for other in named_rooms(line, "crate::") {
                let is_room = ROOMS.iter().any(|(name, _)| *name == other) || COMPOSERS.contains(&other);
                if is_room && other != room && !neighbours.contains(&other) {
                    problems.push(format!("{}:{}: room `{room}` names room `{other}`", source.path, at + 1));
                }
            }
        }
    }
    fail_with(&problems, "rooms meet in src/app.rs only; pass what is needed as a value or a port:");
}

/// Name and length of every function, by rustfmt's indentation. Functions inside functions count on their own too.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, line) in source.lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let one_line = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
        let end = if one_line { at } else { item_end(&source.lines, at) };
        found.push((name.to_owned(), end - at + 1));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "] {
        words = words.strip_prefix(prefix).unwrap_or(words);
    }
    let rest = words.strip_prefix("fn ")?;
    // A macro's `fn $name` has none yet: what it makes is not laid out by rustfmt.
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|end| *end > 0).map(|end| &rest[..end])
}

/// Compares sizes with the limit and the list of those known to be larger.
fn ratchet(sizes: &BTreeMap<String, usize>, limit: usize, known: &[(&str, usize)]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, size) in sizes.iter().filter(|(_, size)| **size > limit) {
        match known.iter().find(|(of, _)| of == name) {
            None => problems.push(format!("{name} has {size} lines, the limit is {limit}: split it")),
            Some((_, most)) if size > most => {
                problems.push(format!("{name} has grown from {most} to {size} lines: it may only shrink"));
            }
            Some(_) => {}
        }
    }
    for (name, most) in known {
        match sizes.get(*name) {
            Some(size) if size > &limit => {}
            Some(_) => problems.push(format!("{name} is small now: take it out of the list in tests/tidy.rs")),
            None => problems.push(format!("{name} ({most} lines) is gone: take it out of the list in tests/tidy.rs")),
        }
    }
    problems
}

#[test]
fn files_are_small_or_shrinking() {
    let sizes = sources().into_iter().map(|s| (s.path, s.lines.len())).collect();
    fail_with(&ratchet(&sizes, LONGEST_FILE, LARGE_FILES), "files too long:");
}

#[test]
fn functions_are_small_or_shrinking() {
    let mut sizes = BTreeMap::new();
    for source in sources() {
        for (name, size) in functions(&source) {
            let largest = sizes.entry(format!("{}::{name}", source.path)).or_insert(0);
            *largest = size.max(*largest);
        }
    }
    fail_with(&ratchet(&sizes, LONGEST_FUNCTION, LARGE_FUNCTIONS), "functions too long:");
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|s| s.lines.len() > 5 && !s.lines.first().is_some_and(|line| line.starts_with("//!")))
        .map(|s| format!("{} does not begin with a `//!` line", s.path))
        .collect();
    fail_with(&silent, "files without a word about themselves:");
}

/// Names of metrics in the code: of emissions, or of the list that describes them.
fn metric_names<'a>(sources: impl Iterator<Item = &'a Source>) -> std::collections::BTreeSet<String> {
    let mut names = std::collections::BTreeSet::new();
    for source in sources {
        for (line, _) in source.code.iter().zip(&source.test).filter(|(_, test)| !**test) {
            for (at, _) in line.match_indices("\"caly_") {
                let name = &line[at + 1..];
                names.extend(name.split_once('"').map(|(name, _)| name.to_owned()));
            }
        }
    }
    names
}

#[test]
fn every_metric_is_described_and_every_description_is_of_a_metric() {
    const LIST: &str = "src/telemetry/described.rs";
    let sources = sources();
    let emits = |source: &&Source| {
        let ours = source.path.starts_with("src/") || source.path.starts_with("actors/src/");
        ours && source.path != LIST && source.code.iter().any(|line| line.contains("metrics::"))
    };
    let mut emitted = metric_names(sources.iter().filter(emits));
    emitted.retain(|name| !NO_METRICS.contains(&name.as_str()));
    let described = metric_names(sources.iter().filter(|source| source.path == LIST));
    let missing: Vec<String> =
        emitted.difference(&described).map(|name| format!("{name} has no description")).collect();
    let stale: Vec<String> = described.difference(&emitted).map(|name| format!("{name} is never set")).collect();
    fail_with(&[missing, stale].concat(), &format!("metrics and {LIST} differ:"));
    assert!(emitted.len() > 40, "only {} metrics found", emitted.len());
}

/// Texts that begin like a metric's name: the wish on the engine's wire, the beginning of an API key.
const NO_METRICS: [&str; 2] = ["caly_wish", "caly_"];

// ---------------------------------------------------------------- the checks check themselves

fn sample(path: &str, text: &str) -> Source {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let code = lines.iter().map(|line| without_comment(line).to_owned()).collect();
    let test = test_lines(&lines);
    Source { path: path.to_owned(), lines, code, test }
}

#[test]
fn a_breach_is_found_where_it_counts_and_only_there() {
    let text = "//! x\nlet a = std::env::var(\"A\"); // sqlx::query\n#[cfg(test)]\nmod tests {\n    fn f() {\n        std::env::vars();\n    }\n}\nlet b = \"SELECT 1\";\n";
    let found = |arrow: &Arrow, path: &str| breaches(arrow, &[sample(path, text)]);
    let (sql, environment) = (&ARROWS[0], &ARROWS[1]);
    assert_eq!(found(environment, "src/http/a.rs"), ["src/http/a.rs:2: `std::env`"]);
    assert_eq!(found(sql, "src/http/a.rs"), ["src/http/a.rs:9: `SELECT `"]);
    assert!(found(sql, "src/store/a.rs").is_empty() && found(environment, "src/config/a.rs").is_empty());
    assert!(!stands_in("my_sqlx::x", "sqlx::") && stands_in("(sqlx::x", "sqlx::"));
}

#[test]
fn rooms_are_read_from_paths_and_imports() {
    assert_eq!((room_of("src/http/auth.rs"), room_of("src/redact.rs")), (Some("http"), Some("redact")));
    assert_eq!(named_rooms("use crate::{store, config::Config};", "crate::"), ["store", "config"]);
    assert_eq!(named_rooms("let a = crate::store::open(crate::http::x());", "crate::"), ["store", "http"]);
}

#[test]
fn the_ratchet_only_turns_one_way() {
    let sizes = BTreeMap::from([("a".to_owned(), 600), ("b".to_owned(), 600), ("c".to_owned(), 10)]);
    let told = ratchet(&sizes, 500, &[("b", 590), ("c", 700), ("d", 800)]).join("\n");
    for expected in ["a has 600 lines", "b has grown from 590 to 600", "c is small now", "d (800 lines) is gone"] {
        assert!(told.contains(expected), "{expected} not in {told}");
    }
    assert!(ratchet(&sizes, 500, &[("a", 600), ("b", 601)]).is_empty());
}

#[test]
fn functions_are_measured() {
    let text = "//! x\npub async fn one(a: u8) {\n    b();\n}\n\nimpl X {\n    fn two() {}\n\n    pub(super) const fn three(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n}\n";
    let sizes = functions(&sample("src/a.rs", text));
    assert_eq!(sizes, [("one".to_owned(), 3), ("two".to_owned(), 1), ("three".to_owned(), 5)]);
}
