//! What servers list, as far as the operator named it: descriptions and schemas by third parties, bounded and cleaned, kept
//! for minutes and asked for again in the background. A server that does not answer is asked less and less often.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Key;
use super::wire::plain;

/// A list is asked for again after this long …
const REFRESH: Duration = Duration::from_secs(300);
/// … and not believed any more after this long.
const AGE_MAX: Duration = Duration::from_secs(900);
/// Wait after a first failure; doubles up to [`REFRESH`].
const BACKOFF: Duration = Duration::from_secs(5);
/// Most tools looked through, and names remembered to be shown.
pub(super) const LOOKED_THROUGH_MAX: usize = 2000;
const NAMES_MAX: usize = 20;
/// Longest description, in characters, and schema, in bytes.
const DESCRIPTION_MAX: usize = 1000;
const SCHEMA_BYTES_MAX: usize = 16 * 1024;

/// A tool as the engine is told of it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Listed {
    pub(super) description: Arc<str>,
    pub(super) schema: Arc<str>,
}

/// What was found of one server's list.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Listing {
    /// Of those wanted; what cannot be offered says why.
    pub(super) tools: BTreeMap<Arc<str>, Result<Listed, &'static str>>,
    /// The first names it lists, to be shown.
    pub(super) names: Vec<String>,
    pub(super) total: usize,
}

impl Listing {
    /// Takes a page; the first of several tools with one name counts.
    pub(super) fn add(&mut self, page: &Value, wanted: &BTreeSet<Arc<str>>) {
        for tool in page["tools"].as_array().into_iter().flatten() {
            let Some(name) = tool["name"].as_str() else { continue };
            self.total += 1;
            if self.names.len() < NAMES_MAX {
                self.names.push(plain(name, 64));
            }
            if let Some(name) = wanted.get(name) {
                self.tools.entry(Arc::clone(name)).or_insert_with(|| listed(tool));
            }
        }
    }

    /// Those that cannot be offered, with the reason.
    pub(super) fn missing(&self, wanted: &BTreeSet<Arc<str>>) -> Vec<(Arc<str>, &'static str)> {
        let why = |name: &Arc<str>| match self.tools.get(name) {
            None => Some((Arc::clone(name), "it is not listed")),
            Some(Err(why)) => Some((Arc::clone(name), *why)),
            Some(Ok(_)) => None,
        };
        wanted.iter().filter_map(why).collect()
    }
}

fn listed(tool: &Value) -> Result<Listed, &'static str> {
    let mut schema = tool["inputSchema"].clone();
    if schema["type"] != "object" {
        return Err("its schema is none of an object");
    }
    clean(&mut schema);
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
    }
    let schema = schema.to_string();
    if schema.len() > SCHEMA_BYTES_MAX {
        return Err("its schema is too long");
    }
    let text = [&tool["description"], &tool["title"]].into_iter().find_map(Value::as_str).unwrap_or_default();
    Ok(Listed { description: plain(text, DESCRIPTION_MAX).into(), schema: schema.into() })
}

/// Descriptions inside a schema are texts as well. JSON that was read is at most 128 deep.
fn clean(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if matches!(name.as_str(), "description" | "title" | "$comment") => {
                        *text = plain(text, DESCRIPTION_MAX);
                    }
                    inside => clean(inside),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

/// What is known of one server, and when it is asked next.
struct Entry {
    known: Option<(Listing, BTreeSet<Arc<str>>, Instant)>,
    failures: u32,
    next: Instant,
    asking: bool,
}

impl Entry {
    fn due(&self, wanted: &BTreeSet<Arc<str>>, now: Instant) -> bool {
        let covers = self.known.as_ref().is_some_and(|(_, asked, _)| wanted.is_subset(asked));
        // Another agent names other tools: those are looked for at once, unless the server does not answer anyway.
        !self.asking && (now >= self.next || (!covers && self.failures == 0))
    }

    fn current(&self, now: Instant) -> Option<&Listing> {
        self.known.as_ref().filter(|(_, _, at)| now.duration_since(*at) < AGE_MAX).map(|(listing, ..)| listing)
    }
}

/// The lists of all servers.
#[derive(Default)]
pub(super) struct Lists(Mutex<HashMap<Key, Entry>>);

impl Lists {
    /// A tool of a server, if it is known and may be offered.
    pub(super) fn tool(&self, key: &Key, name: &str, now: Instant) -> Option<Listed> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key)?.current(now)?.tools.get(name)?.as_ref().ok().cloned()
    }

    /// Whether a server is to be asked now; it counts as being asked from then on.
    pub(super) fn turn(&self, key: Key, wanted: &BTreeSet<Arc<str>>, now: Instant) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(key).or_insert(Entry { known: None, failures: 0, next: now, asking: false });
        let due = entry.due(wanted, now);
        entry.asking |= due;
        due
    }

    /// What came of asking. Says whether something else is missing than before.
    pub(super) fn settle(&self, key: &Key, asked: BTreeSet<Arc<str>>, found: Option<Listing>, now: Instant) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(key) else { return false };
        entry.asking = false;
        let Some(listing) = found else {
            entry.next = now + BACKOFF.saturating_mul(1 << entry.failures.min(10)).min(REFRESH);
            entry.failures += 1;
            return entry.failures == 1;
        };
        let former = entry.known.as_ref().map(|(listing, asked, _)| listing.missing(asked));
        let changed = former.unwrap_or_default() != listing.missing(&asked);
        (entry.failures, entry.next) = (0, now + REFRESH);
        entry.known = Some((listing, asked, now));
        changed
    }

    /// Servers that no agent in use names are forgotten. Gives how many lists are known, and how many are not.
    pub(super) fn keep(&self, named: impl Fn(&Key) -> bool, now: Instant) -> (usize, usize) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|key, entry| entry.asking || named(key));
        let known = entries.values().filter(|entry| entry.current(now).is_some()).count();
        (known, entries.len() - known)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVER: Key = [7; 32];

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn listing(page: Value, wanted: &[&str]) -> Listing {
        let mut listing = Listing::default();
        listing.add(&page, &names(wanted));
        listing
    }

    #[test]
    fn only_what_is_wanted_is_kept_and_it_is_bounded_and_clean() {
        let schema = json!({ "$schema": "x", "type": "object", "properties": {
            "name": { "type": "string", "description": "who\u{0}\n ever", "enum": ["a\nb"] },
            "description": { "type": "string" },
        } });
        let long = "x".repeat(5000);
        let huge = json!({ "type": "object", "properties": { "a": { "enum": vec![&long; 4] } } });
        let page = json!({ "tools": [
            { "name": "find", "description": "Finds\u{202e} it\n", "inputSchema": schema },
            { "name": "find", "description": "the second of this name", "inputSchema": schema },
            { "name": "other", "inputSchema": schema },
            { "name": "long", "description": long, "inputSchema": { "type": "object" } },
            { "name": "titled", "title": "A title", "inputSchema": { "type": "object" } },
            { "name": "huge", "inputSchema": huge },
            { "name": "list", "inputSchema": { "type": "array" } },
            { "name": "bare" },
            { "description": "no name" },
        ] });
        let found = listing(page, &["find", "long", "titled", "huge", "list", "bare", "gone"]);
        assert_eq!((found.total, found.names.len()), (8, 8));
        let tool = |name: &str| found.tools[name].clone().unwrap();
        assert_eq!(&*tool("find").description, "Finds it");
        let cleaned: Value = serde_json::from_str(&tool("find").schema).unwrap();
        assert_eq!(
            cleaned["properties"]["name"],
            json!({ "type": "string", "description": "who ever", "enum": ["a\nb"] })
        );
        assert_eq!(cleaned["properties"]["description"], json!({ "type": "string" }));
        assert_eq!(cleaned["$schema"], Value::Null);
        assert_eq!(tool("long").description.len(), DESCRIPTION_MAX);
        assert_eq!(&*tool("titled").description, "A title");
        let missing = found.missing(&names(&["find", "huge", "list", "bare", "gone"]));
        let missing: Vec<(&str, &str)> = missing.iter().map(|(name, why)| (&**name, *why)).collect();
        assert_eq!(
            missing,
            [
                ("bare", "its schema is none of an object"),
                ("gone", "it is not listed"),
                ("huge", "its schema is too long"),
                ("list", "its schema is none of an object"),
            ]
        );
    }

    #[test]
    fn a_server_is_asked_again_after_minutes_and_less_often_while_it_does_not_answer() {
        let (lists, begun) = (Lists::default(), Instant::now());
        let wanted = names(&["find"]);
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert!(lists.turn(SERVER, &wanted, begun));
        assert!(!lists.turn(SERVER, &wanted, after(999)), "it is being asked");
        let mut asked = Vec::new();
        lists.settle(&SERVER, wanted.clone(), None, begun);
        for second in 0..2000 {
            if lists.turn(SERVER, &wanted, after(second)) {
                asked.push(second);
                lists.settle(&SERVER, wanted.clone(), None, after(second));
            }
        }
        assert_eq!(asked[..7], [5, 15, 35, 75, 155, 315, 615]);

        let page = json!({ "tools": [{ "name": "find", "inputSchema": { "type": "object" } }] });
        assert!(lists.turn(SERVER, &wanted, after(3000)));
        lists.settle(&SERVER, wanted.clone(), Some(listing(page, &["find"])), after(3000));
        assert!(lists.tool(&SERVER, "find", after(3000)).is_some());
        assert!(!lists.turn(SERVER, &wanted, after(3299)));
        assert!(lists.turn(SERVER, &wanted, after(3300)));
        lists.settle(&SERVER, wanted.clone(), None, after(3300));
        assert!(
            lists.tool(&SERVER, "find", after(3899)).is_some(),
            "one that does not answer now is believed for a while"
        );
        assert!(lists.tool(&SERVER, "find", after(3900)).is_none());
    }

    #[test]
    fn tools_that_another_agent_names_are_looked_for_at_once() {
        let (lists, now) = (Lists::default(), Instant::now());
        assert!(lists.turn(SERVER, &names(&["find"]), now));
        assert!(
            !lists.settle(
                &SERVER,
                names(&["find"]),
                Some(Listing {
                    total: 1,
                    ..listing(
                        json!({ "tools": [
            { "name": "find", "inputSchema": { "type": "object" } }] }),
                        &["find"]
                    )
                }),
                now
            ),
            "nothing is missing"
        );
        assert!(!lists.turn(SERVER, &names(&["find"]), now));
        assert!(lists.turn(SERVER, &names(&["find", "more"]), now));
        assert!(lists.settle(&SERVER, names(&["find", "more"]), Some(Listing::default()), now), "both are missing");
        assert!(!lists.turn(SERVER, &names(&["more"]), now), "it was looked for");
        assert_eq!(lists.keep(|_| true, now), (1, 0));
        assert_eq!(lists.keep(|_| false, now), (0, 0));
        assert!(lists.tool(&SERVER, "find", now).is_none());
    }
}
