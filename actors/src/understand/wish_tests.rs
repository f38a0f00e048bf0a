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

#[test]
fn abuse_is_found_in_every_script_and_innocent_words_are_not_abuse() {
    let abusive = |text: &str, products: Option<&Products>| {
        understand(text, Surroundings { products, ..Surroundings::default() }).abusive
    };
    for text in [
        "fuck you",
        "you bastard",
        "madarchod",
        "abe MADARCHOD sun",
        "maadarchod",
        "bhenchod phone rakh",
        "behen chod nahi bhenchod",
        "tum log chutiye ho",
        "saale harami",
        "kutte ki aulad",
        "मादरचोद",
        "बहनचोद",
        "भेनचोद",
        "हरामखोर",
        "चूतिया है क्या",
        "साले कुत्ते",
    ] {
        assert!(abusive(text, None), "{text}");
    }
    for text in [
        "kutta ka khana hai kya",
        "kutte ka bachcha kitne ka hai",
        "kutte ke liye dawai",
        "कुत्ते का खाना चाहिए",
        "diwali ki chhuttiya kab hain",
        "दिवाली की छुट्टियाँ कब हैं",
        "kitni choot milegi",
        "koi chut hai kya is order par",
        "mera naam dipak chutia hai",
        "chod do rehne do",
        "chhod do",
        "mera naam kamini hai",
        "do saal purana hai",
        "mere saale ka order hai",
        "ganda nikla product",
        "round table book karo",
        "bastar mein delivery hoti hai",
        "mera order kahan hai bhai",
        "shitake mushrooms",
        "gandhi nagar",
        "randhir singh",
        "bakwas service hai",
        "stupid machine",
        "",
    ] {
        assert!(!abusive(text, None), "{text}");
    }
    let sauce = Products::new(["Fat Bastard Merlot", "Harami Kebab"].into_iter());
    assert!(!abusive("ek bastard merlot dena", Some(&sauce)) && !abusive("harami kebab hai kya", Some(&sauce)));
    assert!(abusive("you bastard harami chutiye", Some(&sauce)), "the rest is abuse all the same");
}
