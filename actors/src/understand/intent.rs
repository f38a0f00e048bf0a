//! From a turn to one intent: the model's word, and rules where being wrong costs most. A cancellation needs a word of
//! cancelling that nobody refused; a yes is never taken for a no.

use std::sync::LazyLock;

use super::features::features;
use super::fold::Token;
use super::model::{INTENTS, Model};
use super::words::Words;
use super::{through, wish};
use crate::domain::IntentKind;

/// Below this an order is not cancelled without a word that says so.
const SURE: f32 = 0.93;
/// Most words of an answer that means nothing without its question.
const ANSWER_WORDS_MAX: usize = 4;
/// A refusal of so many words wants nothing else.
const REFUSAL_WORDS_MAX: usize = 7;
/// When both a yes and a no are likelier than this, it is neither.
const DOUBT: f32 = 0.25;
/// How sure a rule is.
const RULED: f32 = 0.9;
/// Fewer words after a no insist on nothing …
const INSISTING_WORDS_MIN: usize = 3;
/// … and so sure it must be that they want a person.
const INSISTING: f32 = 0.7;
/// How many words a negation reaches over.
const NEGATION_REACH: usize = 5;

static CANCEL: LazyLock<Words> = LazyLock::new(|| {
    Words::spelled(
        "cancel cancelled canceled cancelling cancellation cancle kensal कैंसल कैंसिल कैन्सिल radd rad रद्द \
        रद nirast निरस्त",
    )
});
/// Other ways to be rid of an order.
static AWAY: LazyLock<Words> = LazyLock::new(|| {
    Words::spelled(
        "stop rok roko रोक रोको band बंद hata hatao हटा हटाओ scrap abort withdraw revoke undo drop void \
        terminate khatam खत्म chahiye चाहिए want need required bhejo bhejna भेजो भेजना send dispatch ship \
        deliver wapas वापस lena लेना mangta off",
    )
});
static NEGATIONS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "not dont no never cannot cant wont didnt doesnt isnt nahi nahin nhi nai ni mat na naa without नहीं \
        नही मत ना न nope nah neither nothing",
    )
});
/// Words that turn a statement round without a *not*.
static FALSEHOODS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "false untrue wrong incorrect negative galat गलत ग़लत inaccurate erroneous mistaken disagree deny \
        refuse decline invalid jhooth jhoot झूठ",
    )
});
static ASSENTS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "yes yeah yep yup haan ha han हाँ हां correct right true sahi सही affirmative bilkul बिल्कुल agree \
        agreed indeed theek ठीक absolutely definitely exactly",
    )
});
static VISITS: LazyLock<Words> = LazyLock::new(|| {
    Words::spelled(
        "appointment apointment अपॉइंटमेंट अपोइंटमेंट doctor डॉक्टर डाक्टर slot स्लॉट visit विजिट booking \
        बुकिंग checkup चेकअप clinic क्लिनिक consultation technician टेक्नीशियन salon haircut dentist session \
        सेशन reservation table टेबल test टेस्ट plumber facial scan",
    )
});
/// Words of who does not come, and when.
static COMING: LazyLock<Words> = LazyLock::new(|| {
    Words::spelled(
        "come coming reach attend make aa aana aaunga aaungi jana jaunga time samay today tomorrow kal aaj \
        monday आ आना आऊंगा आऊंगी पाऊंगा जाना समय कल आज टाइम mulakat मुलाकात milna मिलना class",
    )
});
static ORDERS: LazyLock<Words> = LazyLock::new(|| {
    Words::spelled("order ऑर्डर parcel पार्सल delivery package product item saman सामान shipment courier")
});

/// The likeliest intent and how sure it is, 0 to 1. `asked` is what the agent said last.
pub(super) fn decide(model: &Model<'_>, tokens: &[Token], asked: &str) -> (IntentKind, f32) {
    if tokens.is_empty() {
        return (IntentKind::OutOfScope, RULED);
    }
    let mut likely = Likely(model.probabilities(&features(tokens)));
    cancelling(&mut likely, tokens, asked);
    polarity(&mut likely, tokens);
    calls(&mut likely, tokens);
    if !asked.is_empty() && tokens.len() <= ANSWER_WORDS_MAX {
        answer(&mut likely, tokens);
    }
    if through::asks(tokens) {
        likely.settle(IntentKind::TalkToHuman);
    } else if wish::plainly_refuses_calls(tokens) {
        likely.settle(IntentKind::DoNotCall);
    }
    let best = likely.best();
    match best.0 {
        IntentKind::Deny => person_after_no(model, tokens).unwrap_or(best),
        _ => best,
    }
}

/// "Nahi nahi, mujhe insaan se baat karni hai": the no is to what the agent said, and the caller insists.
fn person_after_no(model: &Model<'_>, tokens: &[Token]) -> Option<(IntentKind, f32)> {
    static NO: LazyLock<Words> =
        LazyLock::new(|| Words::exact("no nope nahi nahin nhi na नहीं नही ना arey arre are अरे"));
    let rest = &tokens[tokens.iter().take_while(|token| NO.has(token)).count()..];
    (rest.len() < tokens.len() && rest.len() >= INSISTING_WORDS_MIN).then_some(())?;
    let mut likely = Likely(model.probabilities(&features(rest)));
    calls(&mut likely, rest);
    Some(likely.best()).filter(|(intent, sure)| *intent == IntentKind::TalkToHuman && *sure >= INSISTING)
}

/// How likely each intent is.
struct Likely([f32; INTENTS]);

impl Likely {
    fn of(&self, intent: IntentKind) -> f32 {
        self.0[intent as usize]
    }

    fn best(&self) -> (IntentKind, f32) {
        let best = |best: (IntentKind, f32), intent: IntentKind| {
            if self.of(intent) > best.1 { (intent, self.of(intent)) } else { best }
        };
        IntentKind::ALL.into_iter().fold((IntentKind::OutOfScope, 0.0), best)
    }

    /// All that one intent has goes to another.
    fn give(&mut self, from: IntentKind, to: IntentKind) {
        let given = std::mem::take(&mut self.0[from as usize]);
        self.0[to as usize] += given;
    }

    /// It is this one, as sure as rules are.
    fn settle(&mut self, intent: IntentKind) {
        self.0 = [(1.0 - RULED) / (INTENTS - 1) as f32; INTENTS];
        self.0[intent as usize] = RULED;
    }

    /// An intent is out of the question; the others share what it had.
    fn exclude(&mut self, intent: IntentKind) {
        self.0[intent as usize] = 0.0;
        let total: f32 = self.0.iter().sum();
        for likely in &mut self.0 {
            *likely /= total.max(f32::MIN_POSITIVE);
        }
    }
}

/// A word of cancelling is none of the others, however alike `cancellation` and `consultation` sound.
fn any(tokens: &[Token], words: &Words) -> bool {
    tokens.iter().any(|token| words.has(token) && !CANCEL.has_word(&token.raw))
}

/// What is cancelled, and whether it is.
fn cancelling(likely: &mut Likely, tokens: &[Token], asked: &str) {
    let (best, sure) = likely.best();
    if !matches!(best, IntentKind::CancelOrder | IntentKind::AppointmentCancel) {
        return;
    }
    if refused(tokens) {
        likely.exclude(IntentKind::CancelOrder);
        likely.exclude(IntentKind::AppointmentCancel);
        // "don't cancel, just tell me where it is" wants something; a few words only refuse.
        if tokens.len() <= REFUSAL_WORDS_MAX || likely.best().0 == IntentKind::OutOfScope {
            likely.settle(IntentKind::Deny);
        }
        return;
    }
    let said = CANCEL.any(tokens);
    if best == IntentKind::CancelOrder && !said && (sure < SURE || !any(tokens, &AWAY)) {
        likely.exclude(IntentKind::CancelOrder);
        return;
    }
    let asked = super::fold::tokens(asked);
    let visit = any(tokens, &VISITS) || any(&asked, &VISITS);
    let order = any(tokens, &ORDERS) || any(&asked, &ORDERS);
    if best == IntentKind::CancelOrder && visit && !order {
        likely.give(IntentKind::CancelOrder, IntentKind::AppointmentCancel);
    } else if best == IntentKind::AppointmentCancel && !visit && (order || (said && !any(tokens, &COMING))) {
        // "cancellation status": without a word of coming, what is cancelled is an order.
        likely.give(IntentKind::AppointmentCancel, IntentKind::CancelOrder);
    }
}

/// Whether cancelling is refused: *don't cancel*, *cancel mat karo*, *cancel nahi karna hai*; but not *cancel nahi ho raha*,
/// *can't cancel*, nor *no, cancel it*.
fn refused(tokens: &[Token]) -> bool {
    static BEFORE: LazyLock<Words> = LazyLock::new(|| Words::exact("dont not never without mat मत nahi nahin नहीं"));
    static AFTER: LazyLock<Words> = LazyLock::new(|| Words::exact("mat nahi nahin nhi na मत नहीं ना nai"));
    static DONE: LazyLock<Words> =
        LazyLock::new(|| Words::exact("ho hua hui raha rahe rahi kiya kari हो हुआ रहा रहे किया paa"));
    static LINKS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "want to you please my the it go and any need going me have like wish this that asking said karna \
        should",
        )
    });
    let raw = |at: usize| tokens.get(at).map_or("", |token| token.raw.as_str());
    tokens.iter().enumerate().filter(|(_, token)| CANCEL.has(token)).any(|(at, _)| {
        let before = (at.saturating_sub(NEGATION_REACH)..at).rev();
        let reached = before
            .take_while(|&back| !tokens[back + 1].after_break)
            .find(|&back| BEFORE.has_word(raw(back)) || !LINKS.has_word(raw(back)) && !ORDERS.has(&tokens[back]));
        let hindi = |word: &str| matches!(word, "mat" | "मत" | "nahi" | "nahin" | "नहीं");
        let done = |from: usize| (from..from + 3).any(|at| DONE.has_word(raw(at)));
        let by_before = reached.is_some_and(|back| {
            BEFORE.has_word(raw(back))
                // "nahi cancel kar do": no, do it; "mat cancel karo" refuses.
                && (!matches!(raw(back), "nahi" | "nahin" | "नहीं") || matches!(raw(at + 1), "karna" | "karni" | "करना" | "करनी"))
                && !(raw(back) == "not" && matches!(raw(back.wrapping_sub(1)), "can" | "could" | "why" | "did" | "is"))
                && (hindi(raw(back)) || !done(at + 1))
        });
        let by_after = (at + 1..at + 3).any(|next| {
            AFTER.has_word(raw(next)) && !done(next + 1) && !tokens.get(next).is_some_and(|token| token.after_break)
        });
        by_before || by_after
    })
}

/// Who rings whom, and who is refused: *i will call you back* asks for no call, *agent se baat nahi karni* for no person.
fn calls(likely: &mut Likely, tokens: &[Token]) {
    static MINE: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("karunga karungi karta karti lunga lungi krunga करूंगा करूंगी करूँगा करूँगी करता करती लूंगा लूंगी")
    });
    static YOURS: LazyLock<Words> = LazyLock::new(|| Words::exact("mujhe mujhko mereko muje aap ap मुझे मुझको आप"));
    static BOTS: LazyLock<Words> =
        LazyLock::new(|| Words::exact("robot bot machine computer ai ivr रोबोट मशीन कंप्यूटर recording"));
    const REFUSALS: &[(&[&str], &[&str])] = &[
        (&["dont", "not", "never"], &["want", "wish", "need", "connect", "transfer", "put", "give"]),
        (&["nahi", "nahin", "nhi", "नहीं"], &["karni", "karna", "chahiye", "chaiye", "करनी", "करना", "चाहिए"]),
        (
            &["mat", "मत"],
            &["karo", "karao", "karwao", "karna", "do", "dena", "kijiye", "करो", "कराओ", "करना", "दो", "दीजिए"],
        ),
    ];
    let said = |words: &Words| words.any(tokens);
    let raw = |at: usize| tokens.get(at).map_or("", |token| token.raw.as_str());
    match likely.best().0 {
        IntentKind::CallbackRequest => {
            let english = (0..tokens.len()).any(|at| {
                let will = matches!((raw(at), raw(at + 1)), ("i", "will" | "shall" | "can") | ("let", "me"));
                let verb = if will { at + 2 } else { at + 1 };
                (will || raw(at) == "ill") && matches!(raw(verb), "call" | "ring" | "phone") && raw(verb + 1) != "me"
            });
            if english || (said(&MINE) && !said(&YOURS)) {
                likely.give(IntentKind::CallbackRequest, IntentKind::Goodbye);
            }
        }
        IntentKind::TalkToHuman if !said(&BOTS) => {
            let refused = (0..tokens.len())
                .any(|at| REFUSALS.iter().any(|(no, what)| no.contains(&raw(at)) && what.contains(&raw(at + 1))));
            if refused {
                likely.give(IntentKind::TalkToHuman, IntentKind::Deny);
            }
        }
        _ => {}
    }
}

/// A yes with one *no* in it is a no, and a no without any is a yes if a yes is in it.
fn polarity(likely: &mut Likely, tokens: &[Token]) {
    let (best, sure) = likely.best();
    if !matches!(best, IntentKind::Affirm | IntentKind::Deny) {
        return;
    }
    let count = |words: &Words| tokens.iter().filter(|token| words.has(token)).count();
    let (nots, falsehoods, assents) = (count(&NEGATIONS), count(&FALSEHOODS), count(&ASSENTS));
    match best {
        IntentKind::Affirm if nots + falsehoods == 1 && assents == 0 && !(sure > 0.97 && falsehoods == 0) => {
            likely.give(IntentKind::Affirm, IntentKind::Deny);
        }
        IntentKind::Deny if nots == 1 && falsehoods == 1 && is_denied_falsehood(tokens) => {
            likely.give(IntentKind::Deny, IntentKind::Affirm);
        }
        IntentKind::Deny if nots + falsehoods == 0 && assents > 0 && sure < 0.9 => {
            likely.give(IntentKind::Deny, IntentKind::Affirm);
        }
        // Neither, rather than the wrong one: whoever is told nothing asks again.
        _ if likely.of(IntentKind::Affirm).min(likely.of(IntentKind::Deny)) > DOUBT => {
            likely.give(IntentKind::Affirm, IntentKind::OutOfScope);
            likely.give(IntentKind::Deny, IntentKind::OutOfScope);
        }
        _ => {}
    }
}

/// "that is not false", "galat nahi hai": the one *no* stands right at the falsehood.
fn is_denied_falsehood(tokens: &[Token]) -> bool {
    static NOT: LazyLock<Words> = LazyLock::new(|| Words::exact("not isnt nothing never"));
    static BETWEEN: LazyLock<Words> = LazyLock::new(|| Words::exact("a at really quite"));
    static NAHI: LazyLock<Words> = LazyLock::new(|| Words::exact("nahi nahin nhi नहीं नही"));
    let is = |at: Option<usize>, words: &Words| at.and_then(|at| tokens.get(at)).is_some_and(|token| words.has(token));
    (0..tokens.len()).filter(|&at| is(Some(at), &FALSEHOODS)).any(|at| {
        let (one, two) = (at.checked_sub(1), at.checked_sub(2));
        is(one, &NOT) || (is(two, &NOT) && is(one, &BETWEEN)) || is(Some(at + 1), &NAHI)
    })
}

/// A few words after a question: *kar do* and *mat karo* answer it.
fn answer(likely: &mut Likely, tokens: &[Token]) {
    static DO: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "do karo kardo kijiye kariye dijiye de kar go ahead please sure ok okay done theek thik hai ji कर करो \
        दो कीजिए करिए दीजिए ठीक है जी",
        )
    });
    static STOP: LazyLock<Words> =
        LazyLock::new(|| Words::exact("mat nahi nahin nhi no nope rehne rahne dont na not karna मत नहीं रहने ना करना"));
    let any = |words: &Words| words.any(tokens);
    let all = |words: &Words, others: &Words| tokens.iter().all(|token| words.has(token) || others.has(token));
    if any(&STOP) && all(&DO, &STOP) {
        likely.settle(IntentKind::Deny);
    } else if !any(&STOP) && all(&DO, &ASSENTS) {
        likely.settle(IntentKind::Affirm);
    }
}
