//! What is asked of a call and what is not, in the words of callers.

use super::*;
use crate::understand::{Surroundings, understand};

#[test]
fn a_wish_for_a_person_is_told_from_its_refusal_and_from_what_is_only_near_it() {
    for (text, wanted) in [
        ("mujhe kisi insaan se baat karni hai", true),
        ("ek minute, mujhe kisi insaan se baat karni hai", true),
        ("i want to speak to a human agent please", true),
        ("connect me to a person", true),
        ("can you transfer me to your manager", true),
        ("manager se baat karao", true),
        ("मुझे किसी इंसान से बात करनी है", true),
        ("कृपया किसी अधिकारी से मेरी बात करवाइए", true),
        ("i said i want a person", true),
        ("robot se baat nahi karni mujhe insaan do", true),
        ("i don't talk to robots give me a person", true),
        ("human please", true),
        ("could you please let me have a word with one of your colleagues", true),
        ("nahi nahi mujhe insaan se baat karni hai", true),
        ("no no connect me to a person", true),
        ("no, i don't want to talk to anyone", false),
        ("nahi mujhe kisi se baat nahi karni", false),
        ("kisi se baat nahi karni", false),
        ("mujhe kisi insaan se baat nahi karni hai", false),
        ("insaan nahi chahiye", false),
        ("i do not want to talk to anyone", false),
        ("dont connect me to anyone", false),
        ("मुझे किसी से बात नहीं करनी", false),
        ("manager ko mat jodo", false),
        ("executive se nahi baat karna", false),
        ("kisi insaan se nahi baat karni aap hi batao", false),
        ("am i talking to a real person", false),
        ("computer se baat ho rahi hai kya", false),
        ("your support agent lied to me that it is resolved", false),
        ("i want you to talk to me in persian", false),
        ("help me", false),
        ("i want to raise a complaint", false),
        ("mera order kahan hai", false),
        ("worst service ever", false),
        ("give me your customer care number", false),
        ("what is your email id", false),
    ] {
        let meant = understand(text, Surroundings::default());
        assert_eq!(meant.wish == Some(Wish::Person), wanted, "{text}: {meant:?}");
    }
}

#[test]
fn a_wish_not_to_be_rung_and_a_wrong_number_are_two_things_and_neither_is_what_is_near_them() {
    for (text, wish) in [
        ("don't call me again", Some(Wish::NoCalls)),
        ("please stop calling me", Some(Wish::NoCalls)),
        ("remove my number from your list", Some(Wish::NoCalls)),
        ("dobara call mat karna", Some(Wish::NoCalls)),
        ("is number pe phone mat karna", Some(Wish::NoCalls)),
        ("mera number hata do apni list se", Some(Wish::NoCalls)),
        ("मुझे फोन करना बंद कर दो", Some(Wish::NoCalls)),
        ("आगे से इस नंबर पे फोन मत करना", Some(Wish::NoCalls)),
        ("wrong number", Some(Wish::WrongNumber)),
        ("sorry wrong number", Some(Wish::WrongNumber)),
        ("galat number lag gaya", Some(Wish::WrongNumber)),
        ("गलत नंबर है", Some(Wish::WrongNumber)),
        ("sorry i misdialed", Some(Wish::WrongNumber)),
        ("maine aapko call nahi kiya", None),
        ("abhi call mat karo baad mein karna", None),
        ("call me tomorrow evening", None),
        ("who gave you my number", None),
        ("the order number was wrong, it is 1042", None),
        ("galat item aaya hai", None),
        ("you sent the wrong colour", None),
        ("band karta hu call", None),
        ("cancel mat karo", None),
    ] {
        let meant = understand(text, Surroundings::default());
        assert_eq!(meant.wish, wish, "{text}: {meant:?}");
    }
}

#[test]
fn what_was_asked_for_is_left_by_words_that_say_so_and_not_by_a_bare_no() {
    for (text, leaves) in [
        ("rehne do", true),
        ("nahi nahi rehne dijiye", true),
        ("leave it", true),
        ("no need, thank you", true),
        ("रहने दीजिए", true),
        ("kisi se baat nahi karni", true),
        ("nahi", false),
        ("nahi nahi", false),
        ("no", false),
        ("cancel nahi karna hai", false),
    ] {
        let meant = understand(text, Surroundings::default());
        assert_eq!(meant.wish == Some(Wish::LeaveIt), leaves, "{text}: {meant:?}");
    }
}

fn wished(asked: &str, text: &str) -> Option<Wish> {
    understand(text, Surroundings { asked, ..Surroundings::default() }).wish
}

/// By its words alone: the intent may be taken for what it is not.
fn worded(text: &str, is: fn(&[Token]) -> bool) -> bool {
    is(&fold::tokens(text))
}

#[test]
fn a_number_that_is_wrong_on_a_record_is_no_wrong_number() {
    for text in [
        "nahi galat number hai, 4521 hai",
        "sorry wrong number, it's 4522",
        "i gave you the wrong number",
        "मैंने गलत नंबर दिया था",
        "मेरा नंबर गलत है आपके पास",
        "you have the wrong number on file",
        "delivery boy called a wrong number",
        "by mistake I pressed the wrong number",
        "kya yeh wrong number hai",
        "wrong, my number is 9876543210",
        "गलत नंबर है, चार पाँच दो एक",
        "galat number bata diya maine",
        "wrong order number",
    ] {
        assert!(!worded(text, |tokens| is_wrong_number(tokens, "")), "{text}");
        assert_ne!(wished("", text), Some(Wish::WrongNumber), "{text}");
    }
    for text in ["wrong number", "sorry wrong number", "galat number lag gaya", "गलत नंबर लग गया"]
    {
        assert_eq!(wished("", text), Some(Wish::WrongNumber), "{text}");
        assert_eq!(
            wished("Namaste, aapke order 1042 ke baare mein call hai.", text),
            Some(Wish::WrongNumber),
            "{text}"
        );
        for asked in ["Aapka order number bataiye.", "Aapka mobile number kya hai?", "आपका नंबर 4521 है?"]
        {
            assert_ne!(wished(asked, text), Some(Wish::WrongNumber), "{asked} {text}");
        }
    }
}

#[test]
fn a_call_that_is_to_go_on_or_to_come_otherwise_is_no_wish_not_to_be_rung() {
    for text in [
        "call cut mat karna",
        "call band mat karo",
        "फोन मत रखिए",
        "please don't disconnect the call",
        "phone band hai mera",
        "delivery ke time call mat karna",
        "डिलीवरी के टाइम कॉल मत करना",
        "ऑफिस वाले नंबर पर कॉल मत करना",
        "don't call this number, call on the other one",
        "don't call me, I will call you",
        "do not remove my number",
        "DND hata do mere number se",
        "remove this from my list",
        "call record mat karo",
        "stop the order and call me",
        "please don't call me sir",
        "phone mat kaatna",
        "raat ko phone mat karna",
        "मेरा नंबर मत हटाइए",
    ] {
        assert!(!worded(text, asks_for_no_calls), "{text}");
        assert_ne!(wished("", text), Some(Wish::NoCalls), "{text}");
    }
    for text in [
        "mujhe phone mat karna",
        "don't call me again",
        "stop calling me",
        "मुझे फोन मत करना",
        "DND pe daal do",
        "remove my number from your list",
    ] {
        assert!(worded(text, asks_for_no_calls), "{text}");
    }
}

#[test]
fn goods_named_like_people_and_talks_that_were_had_are_no_wish_for_a_person() {
    for text in [
        "executive shirt chahiye",
        "mujhe aapse baat karni hai",
        "aapke agent se baat hui thi kal",
        "customer care se baat hui thi",
        "मैंने मैनेजर से बात कर ली है",
        "manager se baat ho gayi thi",
        "ruko kisi se baat kar raha hoon",
        "please let me talk",
        "mujhe executive chair chahiye",
        "manager chair chahiye",
        "i want a human hair wig",
        "connect my account",
        "agent commission chahiye",
        "I want to become an agent",
        "मुझे आपसे बात करनी है",
        "मैनेजर वाली कुर्सी चाहिए",
        "i spoke to your manager yesterday",
    ] {
        assert!(!worded(text, asks_for_person), "{text}");
        assert_ne!(wished("", text), Some(Wish::Person), "{text}");
    }
    for text in [
        "manager se baat karao",
        "I want to talk to a person",
        "kisi insaan se baat karni hai",
        "agent please",
        "इंसान से बात करनी है",
        "manager ko bulao",
        "customer care se baat karao",
        "rohit se baat kara do",
        "i want to speak with the pharmacist",
    ] {
        assert!(worded(text, asks_for_person), "{text}");
    }
}
