//! How much of what the agent said was heard.

use crate::audio::playout::Cut;

/// Splits words at the share of the audio that was heard. A word counts as heard when it was heard to its end.
pub(super) fn split_heard(text: &str, cut: Option<&Cut>) -> (String, String) {
    let Some(cut) = cut else { return (text.to_owned(), String::new()) };
    if cut.total_ms == 0 {
        return (String::new(), text.to_owned());
    }
    let letters = text.chars().count() as u64;
    let heard_letters = letters * cut.heard_ms.min(cut.total_ms) / cut.total_ms;
    let mut end = 0;
    for (count, (at, c)) in (0u64..).zip(text.char_indices()) {
        if count > heard_letters {
            break;
        }
        if c.is_whitespace() {
            end = at;
        }
    }
    if heard_letters >= letters {
        end = text.len();
    }
    (text[..end].trim().to_owned(), text[end..].trim().to_owned())
}
