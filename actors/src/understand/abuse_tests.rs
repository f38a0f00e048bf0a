//! Abuse, and names and goods that share its words.

use super::*;
use crate::understand::{Surroundings, understand};

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

#[test]
fn names_goods_and_animals_are_no_abuse_and_what_is_aimed_at_the_listener_is() {
    let abusive = |text: &str| understand(text, Surroundings::default()).abusive;
    for text in [
        "mera naam Shivaji Lund hai",
        "Mr Gandu Rao",
        "Randi Sharma",
        "Lund, L U N D",
        "Lund",
        "kamine film dvd",
        "kameene wali movie ka poster",
        "bastard file kitne ki hai",
        "saale kutte bhaunk rahe hain peeche",
        "the dog is a bitch",
        "चूत मिलेगी क्या",
        "aap kamine film dvd rakhte ho",
        "do you have a bastard file",
        "मेरा नाम शिवाजी लंड है",
        "teri maa ki tabiyat kaisi hai",
        "mere saale kamine hain",
        "what is your name, Randi",
    ] {
        assert!(!abusive(text), "{text}");
    }
    for text in [
        "teri maa ki",
        "bhadwe",
        "abe bhadwe",
        "mc bc",
        "saale mc bc",
        "tu kamina hai",
        "you are a bastard",
        "तू कमीना है",
        "tum sab harami ho",
        "chutiye",
        "abe gandu",
    ] {
        assert!(abusive(text), "{text}");
    }
}
