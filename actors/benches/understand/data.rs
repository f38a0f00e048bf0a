//! The lines of training, as they lie in the repository.

use caly_actors::domain::IntentKind;
use caly_actors::understand::model::line_hash;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    pub intent: IntentKind,
    pub script: String,
    pub text: String,
    /// A hash of the family's name.
    pub family: u64,
}

/// FNV-1a with a finaliser.
pub fn fnv(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

/// Of all lines, so that a model can be told from that of other lines.
pub fn hash(lines: &[Line]) -> u64 {
    lines.iter().fold(0, |hash, line| line_hash(hash, line.intent, &line.script, &line.text))
}

/// Every line, in the order of the intents.
pub fn read() -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for intent in IntentKind::ALL {
        let path = format!("{}/data/understand/{}.txt", env!("CARGO_MANIFEST_DIR"), intent.as_str());
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let mut family = None;
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(name) = line.strip_prefix("# ") {
                family = Some(fnv(&format!("{}/{name}", intent.as_str())));
            } else if let Some((script, text)) = line.split_once('\t') {
                let family = family.ok_or_else(|| format!("{path}:{number}: a line before the first family"))?;
                lines.push(Line { intent, script: script.to_owned(), text: text.to_owned(), family });
            } else if !line.trim().is_empty() {
                return Err(format!(
                    "{path}:{number}: neither a family (`# name`) nor a line (`en`, `hl` or `hi`, a tab, a text)"
                ));
            }
        }
    }
    Ok(lines)
}
