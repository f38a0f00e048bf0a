//! Utterances as callers say them, near misses included.

use super::*;
use crate::domain::IntentKind::{self, *};

fn meant(text: &str) -> crate::domain::Understanding {
    understand(text, Surroundings::default())
}

const TABLE: &[(IntentKind, &[&str])] = &[
    (
        OrderStatus,
        &[
            "where is my order",
            "could you tell me if 5521 has been dispatched",
            "order nahi mila mujhe ab tak",
            "kal se wait kar raha hoon delivery ka",
            "any idea when the courier guy will show up with my order",
            "ऑर्डर नंबर पाँच पाँच दो एक की क्या स्थिति है",
            "Where's my order?",
            "my order 1042 has not arrived yet",
            "when will my parcel come",
            "can you track my package please",
            "what is the status of order number 5567",
            "has my order been shipped",
            "why is my delivery so late",
            "I still haven't received my order",
            "order kahan hai mera",
            "mera order kab aayega",
            "mera ordar kab tak ayega bhai",
            "parcel kidhar pahuncha",
            "order ka status bata do",
            "order abhi tak nahi aaya",
            "mera saman kab milega",
            "delivery kab hogi meri",
            "order track karna hai",
            "kitne din lagenge order aane mein",
            "mera parcel itna late kyun hai",
            "मेरा ऑर्डर कहाँ है",
            "मेरा आर्डर कब आएगा",
            "पार्सल अभी तक नहीं आया",
            "ऑर्डर का स्टेटस बताइए",
            "मेरी डिलीवरी कब होगी",
            "मुझे अपना सामान कब मिलेगा",
            "thank you, but where is my order",
            "i don't want to cancel, just tell me where my order is",
            "order cancel mat karo bas bata do kab aayega",
        ],
    ),
    (
        CancelOrder,
        &[
            "cancel my order",
            "galti se order ho gaya cancel karna padega",
            "I don't need it anymore please cancel",
            "I want to cancel order 1042",
            "please cancel the order I placed yesterday",
            "cancel it",
            "I'd like to cancel my order please",
            "can you cancel this order for me",
            "why can't I cancel my order",
            "mera order cancel kar do",
            "order cancil karna hai",
            "order kensil kar dijiye",
            "cancel kardo order bhai",
            "mujhe order nahi chahiye cancel kar do",
            "order cancel nahi ho raha",
            "nahi, cancel kar do",
            "order radd kar dijiye",
            "ऑर्डर कैंसिल कर दो",
            "मेरा ऑर्डर कैंसल करना है",
            "मेरा ऑर्डर रद्द कर दीजिए",
            "ऑर्डर कैंसिल करें",
            "cancel the order, bye",
        ],
    ),
    (
        TalkToHuman,
        &[
            "I want to talk to a human",
            "I'm sick of this bot, give me a person",
            "put your supervisor on the line",
            "koi aadmi hai jisse baat ho sake",
            "connect me to an agent",
            "can I speak with a real person please",
            "transfer me to your manager",
            "customer care",
            "let me talk to someone",
            "get me a representative",
            "I need to speak to a supervisor",
            "live agent",
            "kisi insaan se baat karao",
            "agent se baat karni hai",
            "mujhe manager se baat karni hai",
            "customer care se connect karo",
            "kisi aadmi se baat karwa do",
            "executive se baat kara dijiye",
            "मुझे किसी इंसान से बात करनी है",
            "एजेंट से बात कराओ",
            "मैनेजर से बात करा दीजिए",
            "कस्टमर केयर से बात करनी है",
            "मेरी किसी से बात करवा दो",
        ],
    ),
    (
        CallbackRequest,
        &[
            "call me back later",
            "main gaadi chala raha hoon, aadhe ghante baad call kijiye",
            "have somebody phone me on monday",
            "please call me tomorrow",
            "can you give me a call in the evening",
            "I need a callback",
            "ring me back in an hour",
            "can someone call me back",
            "call me at 5 pm",
            "mujhe baad mein call karo",
            "kal subah phone kijiye",
            "mujhe wapas call kar dena",
            "abhi busy hoon baad mein call karna",
            "shaam ko phone kar dena",
            "callback chahiye",
            "thodi der baad phone karo",
            "मुझे बाद में कॉल करें",
            "कल फोन कीजिए",
            "मुझे वापस कॉल कर दीजिए",
            "शाम को फ़ोन कर देना",
        ],
    ),
    (
        Goodbye,
        &[
            "bye",
            "no, that's everything, cheers",
            "thik hai shukriya, phir baat karte hain",
            "बस हो गया, धन्यवाद",
            "goodbye",
            "ok bye bye",
            "good bye, have a nice day",
            "see you later",
            "that's all, thank you",
            "nothing else, thanks",
            "talk to you later",
            "I have to go now",
            "alvida",
            "theek hai dhanyavaad bye",
            "bas itna hi tha",
            "aur kuch nahi, shukriya",
            "chalo phone rakhta hoon",
            "phir milenge",
            "i will call back later",
            "main baad mein call karta hoon",
            "अलविदा",
            "बस इतना ही, धन्यवाद",
            "और कुछ नहीं चाहिए, शुक्रिया",
            "ठीक है फोन रखता हूँ",
            "फिर मिलेंगे",
        ],
    ),
    (
        OutOfScope,
        &[
            "",
            "my friend is a travel agent",
            "what is the weather today",
            "cancel my flight to delhi",
            "what is the status of my loan application",
            "cancel my gym membership",
            "are you a human",
            "am I talking to a real person",
            "kya tum insaan ho",
            "when does the match start",
            "kal mausam kaisa rahega",
            "aapka naam kya hai",
            "tell me a joke",
            "which team will win a medal",
            "kya mujhe achha hotel mil sakta hai",
            "set an alarm for six",
            "how tall is mount everest",
            "bijli ka bill kitna aaya",
            "मौसम कैसा है आज",
            "play some music",
            "book a flight to mumbai",
            "order of the planets",
        ],
    ),
    (Greeting, &["hello", "nice to meet you", "good morning", "namaste ji", "नमस्कार", "hello, is anybody there"]),
    (
        Deny,
        &[
            "mat karo cancel",
            "order cancel na karein",
            "never mind, don't cancel anything",
            "mujhe agent nahi chahiye",
            "nahi",
            "don't cancel my order",
            "please do not cancel the order",
            "order cancel mat karna",
            "cancel mat karo",
            "cancel nahi karna hai",
            "mera order cancel mat kar dena",
            "ऑर्डर कैंसिल मत करना",
            "मुझे कैंसिल नहीं करना है",
            "I don't want to talk to an agent",
            "agent se baat nahi karni",
            "no",
            "nahi nahi",
            "जी नहीं",
            "no, that is wrong",
            "rehne do",
            "that is not true",
            "bilkul nahi",
        ],
    ),
    (
        Payment,
        &[
            "delivery charge kitna hai",
            "how do I pay with upi",
            "send the invoice for my order, where do I download it",
            "cash on delivery hai kya",
            "payment failed but money got deducted",
            "बिल चाहिए मुझे",
            "can I pay in instalments",
        ],
    ),
    (
        StoreInfo,
        &[
            "do you deliver to Jaipur",
            "what are your timings",
            "where is your shop",
            "कितने बजे दुकान खुलती है",
            "are you open on sunday",
            "aapki dukaan kahan hai",
            "क्लिनिक कितने बजे बंद होता है",
            "do you have a branch in pune",
        ],
    ),
    (
        Affirm,
        &["haan", "yes", "haan ji bilkul", "हाँ सही है", "yes please go ahead", "that is correct", "ji haan kar dijiye"],
    ),
    (Goodbye, &["thank you"]),
    (
        ProductQuery,
        &[
            "do you sell shoes",
            "I want to place an order",
            "naya order karna hai",
            "ek order dena hai mujhe",
            "can you tell me what range of colours there is",
            "मुझे एक शर्ट चाहिए",
            "what is the price",
            "is this available in blue",
            "yeh cream kaise use karte hain",
            "इसकी कीमत कितनी है",
            "which mattress is good for back pain",
        ],
    ),
    (
        ReturnRefund,
        &[
            "refund kab milega",
            "where is my refund",
            "the shirt is torn, take it back",
            "galat item aaya hai badal do",
            "पैसे वापस कब मिलेंगे",
            "I want a replacement",
        ],
    ),
    (
        DoNotCall,
        &[
            "don't call me",
            "mujhe call mat karo",
            "मुझे कॉल मत करना",
            "stop calling me",
            "wrong number",
            "galat number lag gaya",
            "मेरा नंबर हटा दो लिस्ट से",
            "please remove me from your list",
        ],
    ),
    (
        AddressChange,
        &[
            "please change the delivery address",
            "mera address galat hai badal dijiye",
            "पता बदलना है",
            "deliver it to my office instead",
        ],
    ),
    (
        Complaint,
        &["your staff was very rude with me", "khana bilkul thanda tha", "बहुत घटिया सामान भेजा है", "you are useless"],
    ),
    (
        AppointmentBook,
        &[
            "I want to book an appointment with the doctor",
            "kal shaam ka appointment chahiye",
            "डॉक्टर से मिलने का समय चाहिए",
            "is there a slot on friday",
        ],
    ),
    (
        AppointmentReschedule,
        &[
            "can we move my appointment to monday",
            "appointment kal ki jagah parso kar do",
            "अपॉइंटमेंट का समय बदलना है",
            "I need to reschedule",
        ],
    ),
    (
        AppointmentCancel,
        &[
            "cancel my appointment",
            "mera kal ka appointment cancel kar do",
            "अपॉइंटमेंट कैंसिल कर दीजिए",
            "I will not be able to come to the clinic tomorrow, please cancel the visit",
        ],
    ),
    (Repeat, &["can you say that again", "kya bola aapne phir se boliye", "दोबारा बोलिए", "pardon"]),
    (LanguageSwitch, &["please speak in Hindi", "english mein baat karo", "हिंदी में बोलिए", "do you speak Tamil"]),
];

#[test]
fn utterances_are_understood() {
    let mut wrong = Vec::new();
    for (intent, texts) in TABLE {
        for text in *texts {
            let meant = meant(text);
            if meant.intent != *intent {
                wrong.push(format!("{text:?}: {:?} {:.2}, expected {intent:?}", meant.intent, meant.confidence));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_is_broad() {
    assert!(TABLE.iter().map(|(_, texts)| texts.len()).sum::<usize>() >= 250);
    for intent in IntentKind::ALL {
        assert!(TABLE.iter().any(|(known, texts)| *known == intent && texts.len() >= 4), "{intent:?}");
    }
}

#[test]
fn an_answer_is_one_to_its_question() {
    let table = [
        ("Shall I cancel the order?", "kar do", Affirm),
        ("Shall I cancel the order?", "haan kar do", Affirm),
        ("Shall I cancel the order?", "mat karo", Deny),
        ("क्या मैं ऑर्डर कैंसिल कर दूँ?", "रहने दो", Deny),
        ("Your appointment with the doctor is at five.", "cancel it", AppointmentCancel),
        ("Your parcel comes tomorrow.", "cancel it", CancelOrder),
    ];
    for (asked, text, intent) in table {
        let meant = understand(text, Surroundings { asked, ..Surroundings::default() });
        assert_eq!(meant.intent, intent, "{asked} {text}");
    }
}

#[test]
fn the_model_is_of_the_lines_in_the_repository() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/understand");
    let mut hash = 0;
    for intent in IntentKind::ALL {
        let text = std::fs::read_to_string(format!("{data}/{}.txt", intent.as_str())).unwrap_or_default();
        for (script, text) in text.lines().filter_map(|line| line.split_once('\t')) {
            hash = model::line_hash(hash, intent, script, text);
        }
    }
    let of = model::embedded().map(|model| model.head().data);
    assert_eq!(of, Some(hash), "actors/data/understand was changed: run `make train`");
}

#[test]
fn confidence_is_higher_for_the_clearer_of_two() {
    let sure = |text: &str| meant(text).confidence;
    assert!(sure("please cancel my order 1042") > sure("cancel"));
    assert!(sure("where is my order, and cancel it") < sure("cancel my order"));
}

#[test]
fn a_turn_is_understood_quickly() {
    prepare();
    let text = "haan bhaiya mera order number ek hazaar bayalis abhi tak nahi aaya kab tak aayega please bata dijiye"
        .repeat(2);
    let fastest = (0..50).map(|_| {
        let began = std::time::Instant::now();
        std::hint::black_box(meant(&text));
        began.elapsed()
    });
    // The best of many, so that a busy machine does not decide; a release build takes a tenth of this.
    let fastest = fastest.min().unwrap_or_default();
    assert!(fastest < std::time::Duration::from_millis(2), "{fastest:?}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_understood_without_panic(text in "\\PC{0,80}") {
        let meant = meant(&text);
        proptest::prop_assert!((0.0..=1.0).contains(&meant.confidence));
        for entity in &meant.entities {
            proptest::prop_assert!(text.contains(&*entity.text));
        }
    }

    #[test]
    fn any_mixture_of_known_words_is_understood_without_panic(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "order", "cancel", "mat", "nahi", "double", "do", "एक", "१०४२", "1042", "call", "me", "back", "#", "+91", "-", "don't",
            "hazaar", "sau", "twenty", "bye", "'", "agent", "ho", "raha", ",", "ऑर्डर", "phone", "9876543210", "98765", "43210",
        ]), 0..30),
    ) {
        let text = words.join(" ");
        let meant = meant(&text);
        proptest::prop_assert!(meant.entities.iter().all(|entity| text.contains(&*entity.text)));
    }
}

#[test]
fn listeners_words_are_told_from_a_wish_to_speak() {
    for text in [
        "haan",
        "Haan ji.",
        "हाँ",
        "हां जी",
        "hmm",
        "Hmm hmm",
        "अच्छा",
        "accha accha",
        "theek hai",
        "ठीक है",
        "ठीक है जी",
        "ji",
        "जी",
        "okay",
        "ok ok",
        "OK.",
        "right",
        "Right, right",
        "yes",
        "yeah",
        "ओके",
        "हम्म",
        "sahi hai",
        "uh huh",
    ] {
        assert!(is_backchannel(text), "{text}");
    }
    for text in [
        "",
        "nahi",
        "नहीं",
        "ruko",
        "रुकिए",
        "haan lekin",
        "no",
        "stop",
        "wait",
        "haan mera order",
        "ek minute",
        "hello",
        "cancel",
        "theek hai cancel kar do",
        "kya",
        "kitna",
        "haan haan haan haan",
        "okay bye",
        "mujhe",
        "suniye",
    ] {
        assert!(!is_backchannel(text), "{text}");
    }
}

#[test]
fn every_spelling_of_the_labelled_set_is_what_its_label_says() {
    let labels = include_str!("../../../tests/fixtures/ears/ears.toml");
    let (mut kind, mut seen, mut wrong) = ("", [0; 2], Vec::new());
    for line in labels.lines() {
        if let Some(named) = line.strip_prefix("kind = ") {
            kind = named.trim_matches('"');
        }
        let Some(heard) = line.strip_prefix("heard = [") else { continue };
        for text in heard.split('"').skip(1).step_by(2).filter(|_| kind != "noise") {
            seen[usize::from(kind == "backchannel")] += 1;
            if is_backchannel(text) != (kind == "backchannel") {
                wrong.push(format!("{kind}: {text}: {:?}", keys(text)));
            }
        }
    }
    assert!(seen[0] > 80 && seen[1] > 160, "{seen:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
