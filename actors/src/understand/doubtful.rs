//! What does not agree although every word of it may stand in a yes: a question, the caller's own deed, a wish for the thing
//! and not for the deed, an answer that is broken off, an end of the talk.

use super::answer::{Part, is_english_do};
use super::asked::{Asked, Deed};
use super::assent::{self, phrase, says};
use super::fold::Token;

/// "Theek karo": it is to be put right.
pub(super) fn mends(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| assent::RIGHT.has(&pair[0]) && assent::MEND.has(&pair[1]) && !pair[1].after_break)
}

/// "Rehne do", "never mind": what was asked is to be left, whatever was said before. What follows may be a place or a thing
/// ("leave it at the gate").
pub(super) fn leaves(tokens: &[Token]) -> bool {
    let ends = |at: usize| tokens.get(at).is_none_or(|next| next.after_break || assent::is_common(next));
    let left = (0..tokens.len())
        .any(|at| phrase(&tokens[at..], &assent::LEAVINGS).is_some_and(|words| ends(at + words.len())));
    left || (0..tokens.len())
        .any(|at| matches!(raw(tokens, at), "changed" | "change") && says(&tokens[at + 1..], &["my", "mind"]))
}

/// What was to be taken back or changed is to be kept as it is.
pub(super) fn keeps(tokens: &[Token], asked: &Asked) -> bool {
    let taken = asked.deeds.iter().any(|deed| deed.undoes() || *deed == Deed::Change);
    let phone = tokens.iter().any(|token| matches!(token.raw.as_str(), "phone" | "call" | "फोन" | "कॉल"));
    taken && !phone && !assent::DOUBT.any(tokens) && assent::KEPT.any(tokens) && !asked.any(&assent::KEPT)
}

fn raw(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.raw.as_str())
}

/// Whether one of the reasons of this module stands against a yes.
pub(super) fn doubtful(tokens: &[Token], parts: &[Part], asked: &Asked) -> bool {
    mends(tokens)
        || asks(tokens, parts)
        || is_own(tokens, parts)
        || gives(tokens, parts, asked)
        || moves_on(tokens, asked)
        || limits(tokens, parts, asked)
        || wants_the_thing(tokens, parts, asked)
        || chooses_a_deed(tokens, parts, asked)
        || only_names(tokens, parts)
        || is_broken_off(tokens, parts)
        || answers_is(tokens, asked)
        || ends(tokens)
}

/// "Ok is Ravi good", "yes can I", "haan cancel ho sakta hai": a verb before its subject, or what may be.
fn asks(tokens: &[Token], parts: &[Part]) -> bool {
    let inverted = |at: usize| {
        let before =
            at.checked_sub(1).is_some_and(|before| assent::SUBJECT.has(&tokens[before]) || parts[before].repeats());
        assent::ASKS.has(&tokens[at]) && !before && matches!(parts[at], Part::Links | Part::Filler | Part::Time)
    };
    let do_you = |at: usize| raw(tokens, at) == "do" && matches!(raw(tokens, at + 1), "you" | "i" | "we" | "they");
    let can = |at: usize| {
        let possible = matches!(raw(tokens, at), "sakta" | "sakti" | "sakte" | "सकता" | "सकती" | "सकते");
        let you = tokens[..at].iter().any(|token| matches!(token.raw.as_str(), "aap" | "आप"));
        possible && (!you || matches!(raw(tokens, at + 1), "ho" | "हो"))
    };
    let so_you = |at: usize| matches!((raw(tokens, at), raw(tokens, at + 1)), ("to" | "toh" | "तो", "aap" | "आप"));
    // "Doctor ho to": on a condition.
    let provided = |at: usize| {
        let is = matches!(
            raw(tokens, at),
            "ho" | "hai" | "hain" | "jaye" | "jayega" | "jaega" | "हो" | "है" | "जाए" | "जाएगा"
        );
        is && matches!(raw(tokens, at + 1), "to" | "toh" | "तो")
    };
    let will_be = |at: usize| {
        let becomes = matches!(raw(tokens, at), "jaega" | "jayega" | "जाएगा");
        becomes && parts[..at].contains(&Part::Deed)
    };
    (0..tokens.len()).any(|at| inverted(at) || do_you(at) || can(at) || so_you(at) || provided(at) || will_be(at))
}

/// "Ok I will cancel it", "haan main hoon", "yes it's me": of themselves, not to the question.
fn is_own(tokens: &[Token], parts: &[Part]) -> bool {
    let agrees = |at: Option<usize>| {
        at.and_then(|at| parts.get(at)).is_some_and(|part| matches!(part, Part::Agrees | Part::Weak))
    };
    (0..tokens.len()).any(|at| {
        let free = parts[at] == Part::Links;
        match raw(tokens, at) {
            "i" if free => !matches!(raw(tokens, at + 1), "am" | "want" | "need"),
            "am" if free => !agrees(Some(at + 1)) || raw(tokens, at.wrapping_sub(1)) != "i",
            "me" if free => at == 0 || !(parts[at - 1] == Part::Deed || matches!(raw(tokens, at - 1), "by" | "to")),
            _ if assent::BEING.has(&tokens[at]) => {
                let wanted = at > 0 && assent::WANTED.has(&tokens[at - 1]);
                // "Theek hoon": well, not willing.
                let well = at > 0 && assent::RIGHT.has(&tokens[at - 1]);
                !wanted && (well || !agrees(at.checked_sub(1)))
            }
            _ => false,
        }
    })
}

/// "Haan order de do", "haan do": a thing is asked for.
fn gives(tokens: &[Token], parts: &[Part], asked: &Asked) -> bool {
    let taken = asked.has_raw(&["le", "ले", "leloon", "lun"]) && !asked.has_raw(&["de", "दे"]);
    let given = asked.has_raw(&["de", "दे"]);
    (0..tokens.len()).any(|at| {
        let english = is_english_do(tokens, at) || parts[at] != Part::Does;
        let verb = (at > 0 && parts[at - 1] == Part::Deed)
            || at
                .checked_sub(1)
                .is_some_and(|before| assent::STEMS.has(&tokens[before]) || assent::KEEPS.has(&tokens[before]));
        let offered = match raw(tokens, at) {
            "le" | "lo" | "lijiye" | "lijie" | "lena" | "ले" | "लो" | "लीजिए" | "लीजिये" | "लेना" => {
                taken
            }
            _ => given,
        };
        assent::GIVES.has(&tokens[at]) && !english && !verb && !offered && !is_stem(tokens, at)
    })
}

/// "Le" and "de" before another such word are its verb, and that is for the word before them to say.
fn is_stem(tokens: &[Token], at: usize) -> bool {
    matches!(raw(tokens, at), "de" | "le" | "दे" | "ले")
        && tokens.get(at + 1).is_some_and(|next| assent::GIVES.has(next))
        && at.checked_sub(1).is_some_and(|before| assent::STEMS.has(&tokens[before]))
}

/// "Haan aage kar do", "haan badha do": to another time; "aage badhiye" goes on.
fn moves_on(tokens: &[Token], asked: &Asked) -> bool {
    const ON: [&str; 8] = ["badho", "badhiye", "badhaiye", "badhein", "बढ़ो", "बढ़िए", "बढ़ें", "badhie"];
    let said = |words: &[&str]| asked.has_raw(words);
    (0..tokens.len()).any(|at| match raw(tokens, at) {
        "aage" | "aagey" | "आगे" => !ON.contains(&raw(tokens, at + 1)) && !said(&["aage", "आगे"]),
        "badha" | "बढ़ा" => !said(&["badha", "बढ़ा"]),
        _ => false,
    })
}

/// "Yes, only 1042", of two.
fn limits(tokens: &[Token], parts: &[Part], asked: &Asked) -> bool {
    assent::ONLY.any(tokens) && parts.contains(&Part::Number) && asked.has_several_numbers()
}

/// Where something is to be undone or changed, who names the thing and not the deed may as well want to keep it: "haan mera
/// order de do", "yes this is my order", "haan order kar do", and a time that is said again keeps the appointment.
fn wants_the_thing(tokens: &[Token], parts: &[Part], asked: &Asked) -> bool {
    let has = |part: Part| parts.contains(&part);
    let undoes = asked.undoes();
    let changes = asked.deeds.contains(&Deed::Change);
    if has(Part::Deed) || !(undoes || changes) {
        return false;
    }
    let is = assent::IS.any(tokens);
    let thing = has(Part::Thing) && !has(Part::Number);
    if undoes {
        return has(Part::Time) || has(Part::Wishes) || (has(Part::Thing) && is) || (thing && has(Part::Does));
    }
    let object = |(token, part): (&Token, &Part)| *part == Part::Thing && assent::OBJECTS.has(token);
    has(Part::Does) && tokens.iter().zip(parts).any(object) && !has(Part::Time)
}

/// Two things were asked, and one of them is said.
fn chooses_a_deed(tokens: &[Token], parts: &[Part], asked: &Asked) -> bool {
    let said = |deed: &Deed| tokens.iter().any(|token| super::asked::deed(token) == Some(*deed));
    let count = asked.deeds.iter().filter(|deed| said(deed)).count();
    asked.undoes() && parts.contains(&Part::Deed) && (1..asked.deeds.len()).contains(&count)
}

/// "Yes, my shop", "haan pata hai", "ok with Ravi": things of the question by themselves tell of them, or hear them. Something
/// must say that they are right: "haan wahi order", "Asha ke saath hi", "pata sahi hai".
fn only_names(tokens: &[Token], parts: &[Part]) -> bool {
    // "Haan aath hain": they are eight.
    let is = assent::IS.any(tokens);
    let named = |part: &Part| *part == Part::Thing || (is && matches!(part, Part::Number | Part::Time));
    let Some(thing) = parts.iter().position(named) else { return false };
    let does =
        |part: &Part| matches!(part, Part::Does | Part::Deed) || (!is && matches!(part, Part::Time | Part::Number));
    let right = thing > 0 && assent::RIGHT.has(&tokens[thing - 1]);
    // "Yes, send it".
    let object = matches!(raw(tokens, thing + 1), "it" | "that");
    let judged = right || parts[thing..].iter().any(|part| matches!(part, Part::Agrees | Part::Weak));
    let acknowledged = |token: &Token| matches!(token.raw.as_str(), "ok" | "okay" | "oke" | "okey" | "ओके");
    let nods = tokens.iter().zip(parts).all(|(token, part)| *part != Part::Agrees || acknowledged(token));
    !parts.iter().any(does) && !judged && !object && (nods || !assent::CONFIRMING.any(tokens))
}

/// More was to come.
fn is_broken_off(tokens: &[Token], parts: &[Part]) -> bool {
    let repeats_after = |at: usize| parts[at..].iter().any(|part| part.repeats());
    let wishes = parts.iter().rposition(|part| *part == Part::Wishes);
    // "haan return karna hai mujhe".
    let trailing =
        |at: usize| at + 1 == parts.len() && matches!(raw(tokens, at), "mujhe" | "मुझे") && parts.contains(&Part::Deed);
    if wishes.is_some_and(|at| !repeats_after(at) && !trailing(at)) {
        return true;
    }
    let whole = parts.iter().rposition(|part| *part != Part::Links).map_or(Part::Links, |at| parts[at]);
    let last = tokens.len() - 1;
    let closes = assent::CLOSING.has(&tokens[last]);
    let all = parts.iter().rposition(|part| *part != Part::Links).is_some_and(|at| assent::ALL.has(&tokens[at]));
    let trails = (whole == Part::Does || whole.repeats() || all) && assent::TRAILING.has(&tokens[last]);
    parts[last] == Part::Links && !closes && !trails
}

/// "Yes, it is", where nothing asked whether it is.
fn answers_is(tokens: &[Token], asked: &Asked) -> bool {
    let said = tokens.len() > 1 && says(&tokens[tokens.len() - 2..], &["it", "is"]);
    said && asked.any_word() && !asked.has_raw(&["is", "right", "correct", "ok", "okay", "sahi", "theek", "fine"])
}

/// "Ok that's all".
fn ends(tokens: &[Token]) -> bool {
    (0..tokens.len()).any(|at| matches!((raw(tokens, at), raw(tokens, at + 1)), ("thats", "all") | ("is", "all")))
}
