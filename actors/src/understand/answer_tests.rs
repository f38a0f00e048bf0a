//! Answers of callers, and what only begins like one.

use super::*;
use crate::understand::{Surroundings, is_backchannel, understand};

fn said(text: &str) -> Yes {
    let asked = "Aapka order 1042 cancel kar doon? Kya main aage badhoon?";
    understand(text, Surroundings { asked, ..Surroundings::default() }).yes
}

#[test]
fn a_yes_is_clear_or_it_is_none() {
    for text in [
        "haan",
        "haan ji",
        "ji haan",
        "haan kar do",
        "kar do",
        "kar do na",
        "haan ji kar dijiye please",
        "yes",
        "yes please",
        "yes go ahead",
        "ok",
        "theek hai",
        "theek hai kar do",
        "bilkul",
        "हाँ",
        "हां जी कर दीजिए",
        "जी हाँ",
        "ठीक है",
        "confirm",
        "yeah sure",
        "haan haan kar do bhaiya",
        "haan cancel kar do",
    ] {
        assert_eq!(said(text), Yes::Said, "{text}");
    }
    for text in [
        "nahi",
        "nahi nahi",
        "no",
        "no no",
        "mat karo",
        "haan mat karo",
        "nahi rehne do",
        "rehne do",
        "nahi kal ka kar do",
        "नहीं",
        "मत करो",
        "जी नहीं",
        "no thanks",
        "don't",
        "haan nahi",
        "ruko",
        "nahi dono mat karo",
    ] {
        assert_eq!(said(text), Yes::Refused, "{text}");
    }
    for text in [
        "haan bolo",
        "haan hello",
        "haan lekin pehle batao kitna katega",
        "ek minute",
        "kya",
        "kya bola aapne",
        "haan wait",
        "haan agar paisa wapas mile to",
        "mera parcel kahan hai",
        "",
        "haan shayad",
        "kaun bol raha hai",
        "theek hai lekin abhi mat karna kal bataunga main aapko",
    ] {
        assert_eq!(said(text), Yes::Neither, "{text}");
    }
}

#[test]
fn a_yes_may_be_one_to_all_that_was_asked() {
    for text in [
        "haan dono",
        "dono kar do",
        "haan ji dono kar dijiye",
        "both please",
        "yes both",
        "yes all of them",
        "हाँ दोनों",
        "haan sab cancel kar do",
    ] {
        assert_eq!(said(text), Yes::ToAll, "{text}");
    }
    for text in ["haan sab theek hai", "all right"] {
        assert_ne!(said(text), Yes::ToAll, "{text}");
    }
}

const CANCEL: &str = "Aapka order 1042 cancel kar doon?";
const BOOK: &str = "Kal, shanivaar ko, shaam 5 baje Asha ke saath book kar doon?";

/// With what waits for a yes.
fn waited(waiting: &str, asked: &str, text: &str) -> Yes {
    understand(text, Surroundings { asked, waiting, ..Surroundings::default() }).yes
}

#[test]
fn what_waits_for_a_yes_says_what_a_question_without_a_deed_is_about() {
    let asked = "Kal shaam paanch baje Dr Asha ke saath, theek hai?";
    for (waiting, text, yes) in [
        ("book_appointment", "haan book kar do", Yes::Said),
        ("book_appointment", "book kar do", Yes::Ordered),
        ("book_appointment", "haan likh lo", Yes::Said),
        ("book_appointment", "haan cancel kar do", Yes::Neither),
        ("book_appointment", "haan kal aa jaunga", Yes::Said),
        ("book_appointment", "haan paanch baje theek hai", Yes::Said),
        ("cancel_appointment", "haan cancel kar do", Yes::Said),
        ("cancel_appointment", "haan book kar do", Yes::Neither),
        ("cancel_appointment", "haan likh lo", Yes::Neither),
        ("cancel_appointment", "haan kal aa jaunga", Yes::Neither),
        ("cancel_appointment", "haan paanch baje theek hai", Yes::Neither),
        ("cancel_appointment", "haan theek hai", Yes::Said),
        ("crm_drop_slot", "haan book kar do", Yes::Neither),
        ("book_appointment cancel_order", "haan book kar do", Yes::Neither),
        ("book_appointment cancel_order", "haan cancel kar do", Yes::Neither),
        ("", "haan book kar do", Yes::Said),
    ] {
        assert_eq!(waited(waiting, asked, text), yes, "{waiting}: {text}");
    }
}

#[test]
fn an_order_of_just_what_was_asked_is_told_from_a_yes() {
    for (asked, text, yes) in [
        (CANCEL, "cancel kar do", Yes::Ordered),
        (CANCEL, "kar do cancel", Yes::Ordered),
        (CANCEL, "cancel it please", Yes::Ordered),
        (CANCEL, "please cancel", Yes::Ordered),
        (CANCEL, "aap cancel kar dijiye", Yes::Ordered),
        (CANCEL, "कैंसिल कर दीजिए", Yes::Ordered),
        (CANCEL, "great, cancel it", Yes::Said),
        (BOOK, "book kar dijiye", Yes::Ordered),
        (CANCEL, "mujhe cancel karna hai", Yes::Neither),
        (CANCEL, "mera order cancel karna hai", Yes::Neither),
        (CANCEL, "cancel", Yes::Neither),
        (CANCEL, "book kar dijiye", Yes::Neither),
        (CANCEL, "order 1043 cancel kar do", Yes::Neither),
        ("Order 1042 ka pata MG Road kar doon?", "please change it", Yes::Neither),
        ("Order 1042 ka pata badal doon?", "badal do", Yes::Neither),
    ] {
        assert_eq!(to(asked, text), yes, "{asked} {text}");
    }
}

#[test]
fn a_time_is_said_again_by_its_value_and_what_is_given_up_is_not_said_again() {
    let five = "Kal shaam saadhe paanch baje Asha ke saath book kar doon?";
    let move_it = "Aapki appointment Monday se hata kar Wednesday subah 11 baje kar doon?";
    let english = "Shall I move your appointment from Monday to Wednesday 11 am?";
    for (asked, text, yes) in [
        (five, "haan saadhe paanch baje", true),
        (five, "haan paanch baje", false),
        (five, "haan kal shaam", true),
        (five, "haan kal subah", false),
        (five, "haan kal dopahar", false),
        (five, "haan 5:30", true),
        (five, "yes five thirty pm tomorrow", true),
        (five, "haan do baje kar do", false),
        (five, "haan agle kal", false),
        (five, "haan saat baje", false),
        ("Shall I book Tuesday 5 pm with Ravi?", "yes tuesday 5 am", false),
        ("Shall I book Tuesday 5 pm with Ravi?", "yes tuesday evening", true),
        ("Shall I book Tuesday 5 pm with Ravi?", "yes at 5", true),
        ("Shall I book Tuesday 5 pm with Ravi?", "yes next tuesday", false),
        ("Shall I book you at 5:30 pm with Ravi?", "yes 5", false),
        (move_it, "haan wednesday theek hai", true),
        (move_it, "haan monday hi theek hai", false),
        (move_it, "haan hata do", false),
        (move_it, "haan monday se wednesday kar do", true),
        (english, "yes wednesday", true),
        (english, "yes monday is fine", false),
        ("Order 2208 ka pata FC Road se badal kar 14 MG Road kar doon?", "haan fc road hi sahi hai", false),
        ("Order 2208 ka pata FC Road se badal kar 14 MG Road kar doon?", "haan mg road kar do", true),
        ("Kal 5 se 7 baje ke beech theek hai?", "haan 5 se 7 baje theek hai", true),
        ("Kal 5 baje theek hai?", "haan 5 se 7 baje theek hai", false),
        ("Dr. Asha ke saath kal 5 p.m. book kar doon?", "haan kal 5 baje", true),
    ] {
        assert_eq!(to(asked, text) == Yes::Said, yes, "{asked} {text}");
    }
}

#[test]
fn what_is_in_the_way_of_nothing_agrees_and_never_mind_does_not() {
    for (asked, text, yes) in [
        (CANCEL, "no problem", Yes::Said),
        (CANCEL, "koi dikkat nahi kar do", Yes::Said),
        (CANCEL, "कोई दिक्कत नहीं है", Yes::Said),
        (CANCEL, "haan kaha na kar do", Yes::Said),
        (CANCEL, "koi baat nahi", Yes::Neither),
        (CANCEL, "koi baat nahi kar do", Yes::Said),
        (CANCEL, "mujhe koi problem nahi", Yes::Neither),
        (CANCEL, "order mein koi dikkat nahi", Yes::Neither),
        (CANCEL, "no problem, leave it", Yes::Refused),
        (CANCEL, "no, problem hai", Yes::Refused),
        ("Order 3317 ka return shuru kar doon?", "koi dikkat nahi", Yes::Neither),
        ("Koi dikkat hai? Order 1042 cancel kar doon?", "koi dikkat nahi", Yes::Refused),
    ] {
        assert_eq!(to(asked, text), yes, "{asked} {text}");
    }
}

#[test]
fn a_question_without_a_subject_is_about_the_sentence_before_it() {
    let asked = "I will change the address of order 2208 to 14 MG Road. Is that right?";
    for (asked, text, yes) in [
        (asked, "yes 14 mg road", true),
        (asked, "yes change the address", true),
        (asked, "yes 15 mg road", false),
        ("Order 2208 ka naya pata 14 MG Road. Badal doon?", "haan 14 mg road kar do", true),
        ("Aapka order cancel ho gaya. Aur kuch batana hai?", "haan order cancel kar do", false),
    ] {
        assert_eq!(to(asked, text) == Yes::Said, yes, "{asked} {text}");
    }
}

fn to(asked: &str, text: &str) -> Yes {
    understand(text, Surroundings { asked, ..Surroundings::default() }).yes
}

#[test]
fn what_only_begins_like_a_yes_is_none() {
    for text in [
        "please repeat that",
        "please stop",
        "please hold on",
        "haan ek second",
        "haan ji ek minute, thehriye",
        "ji repeat kijiye",
        "ok bye",
        "right now I am busy",
        "हाँ रुकिये",
        "haan manager se baat karao",
        "please cancel the request",
        "please change the time",
        "please connect me to the manager",
        "correct the address first",
        "haan chhodo",
        "chalo chhodo",
        "haan band karo",
        "haan thehro",
        "haan hold karo",
        "yes I have a question",
        "yes tell me the charges",
        "yes I want a person",
        "ha ha ha very funny",
        "ha ha ha",
        "sahi time dusra hai",
        "जी एक मिनट",
        "हाँ ठहरिए",
        "theek karo",
        "sahi kar do",
        "correct it",
        "haan sahi karo pehle",
        "haan mera",
        "yes i want to",
        "haan to",
        "yes my",
        "haan mujhe do",
        "ok thanks bye",
        "haan dusra wala",
        "haan 1043 kar do",
        "haan refund kitna milega",
        "haan phir se boliye",
        "yes speak in english",
        "हाँ पता बदल दो",
        "जी फिर से कहिए",
        "हाँ मैनेजर से बात कराओ",
        "ठीक करो",
        "सही पता दूसरा है",
        "जी ज़रा रुकना",
        "chalo bye",
        "okay i will keep the phone",
        "please help me",
        "ok let me ask my wife",
    ] {
        for asked in ["", CANCEL, BOOK] {
            assert!(!matches!(to(asked, text), Yes::Said | Yes::ToAll), "{asked} {text}");
        }
    }
}

#[test]
fn what_is_asked_for_may_be_said_again_with_a_yes_and_nothing_else_may() {
    for (asked, text, yes) in [
        (CANCEL, "haan cancel kar do", true),
        (CANCEL, "haan mera order cancel kar dijiye", true),
        (CANCEL, "हाँ ऑर्डर कैंसिल कर दो", true),
        (CANCEL, "हाँ रद्द कर दीजिए", true),
        (CANCEL, "yes i want to cancel", true),
        (CANCEL, "ok theek hai cancel kar do", true),
        (CANCEL, "haan 1042 cancel kar do", true),
        (CANCEL, "haan ek hazaar bayalis kar do", true),
        (CANCEL, "yes cancel it", true),
        (CANCEL, "haan book kar do", false),
        (CANCEL, "please cancel", false),
        (CANCEL, "haan 1024 cancel kar do", false),
        (BOOK, "ok theek hai book kar do", true),
        (BOOK, "haan kal 5 baje", true),
        (BOOK, "haan Asha ke saath", true),
        (BOOK, "yes saturday book kar do", true),
        (BOOK, "हाँ शनिवार को कर दीजिए", true),
        (BOOK, "haan cancel kar do", false),
        (BOOK, "ok cancel it", false),
        (BOOK, "हाँ कैंसिल कर दो", false),
        (BOOK, "haan 6 baje", false),
        (BOOK, "haan ravivaar ko", false),
        (BOOK, "haan Meera ke saath", false),
        ("Cancel kar doon ya badal doon?", "haan badal do", false),
        ("Cancel kar doon ya nahi?", "haan cancel kar do", true),
        ("Order cancel ho sakta hai. Address badal doon?", "haan cancel kar do", false),
        ("", "haan cancel kar do", false),
        ("", "haan ji kar dijiye", true),
        ("", "yes please go ahead", true),
        ("", "please go ahead", true),
        ("", "please do it", true),
        ("", "yes thank you", true),
        ("", "that is correct", true),
        ("", "thanks ji", false),
        ("", "is my order confirmed", false),
        (CANCEL, "is order 1042 cancel", false),
        ("", "please go ahead with it", true),
        ("", "haan chalega", true),
        ("", "of course", true),
        ("", "works for me", true),
        ("", "mujhe manzoor hai", true),
        ("", "i have a doubt", false),
        ("", "sounds good", true),
        ("", "sahi hai", true),
        ("", "yes i agree", true),
        ("", "जी बिल्कुल कर दीजिए", true),
        ("Address 7 FC Road, sahi hai?", "haan address sahi hai", true),
    ] {
        assert_eq!(to(asked, text) == Yes::Said, yes, "{asked} {text}");
    }
}

#[test]
fn a_fair_yes_is_one_however_it_is_put() {
    for text in [
        "haan kar de",
        "haan kr do",
        "haan krdo",
        "जी प्लीज कर दीजिए",
        "yes please cancel it",
        "haan cancel kr dijiye",
        "ji haan cancel kar dijiye",
        "theek hai kar do",
        "ok do it",
        "sure go ahead",
        "bilkul sahi hai",
        "haa ji",
        "हाँ कैंसिल कर दो",
        "हाँ जी कैंसिल कर दीजिए",
        "ठीक है कर दीजिए",
        "कर दो",
        "kar dijiye please",
        "yes cancel order 1042",
        "haan mera order cancel kar do",
        "haan wahi cancel kar do",
        "that is correct",
        "yes right",
        "haan haan kar do",
        "oke",
        "okie",
        "hn",
        "i confirm",
        "haan pakka",
        "yes you can cancel",
        "haan aap cancel kar sakte hain",
        "haan ho jaye",
        "haan chalega",
        "sure thing",
        "haan bhaiya kar do",
        "haan theek h kar do",
        "yes i want to cancel",
        "haan kar do na",
        "ok fine",
        "haan ji please",
        "haan obviously",
        "yes thank you",
    ] {
        assert_eq!(to("Order 1042 cancel kar doon?", text), Yes::Said, "{text}");
    }
}

#[test]
fn who_understands_or_bids_the_agent_go_on_only_listens() {
    for text in ["samajh gaya", "अच्छा समझ गई", "haan bataiye", "हाँ जी बोलिए"]
    {
        assert!(is_backchannel(text), "{text}");
    }
    for text in ["bataiye", "samajh nahi aaya"] {
        assert!(!is_backchannel(text), "{text}");
    }
}
