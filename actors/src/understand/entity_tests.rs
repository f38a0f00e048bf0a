//! What turns name, in the three scripts, on a Wednesday at ten.

use chrono::NaiveDate;

use super::*;
use crate::domain::Entity;

fn found(text: &str) -> Vec<Entity> {
    let now = NaiveDate::from_ymd_opt(2026, 11, 18).and_then(|day| day.and_hms_opt(10, 0, 0));
    let products = own::Products::new(["Whey Gold"].into_iter());
    understand(text, Surroundings { now, products: Some(&products), ..Surroundings::default() }).entities
}

/// Each text and what it names, `kind value` joined by commas; a second reading stands behind `or`.
fn check(table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in table {
        let mut told: Vec<String> = Vec::new();
        let mut span = "".into();
        for entity in found(text) {
            let one = format!("{} {}", entity.kind, entity.value);
            match told.last_mut().filter(|_| span == entity.text) {
                Some(last) => last.push_str(&format!(" or {one}")),
                None => told.push(one),
            }
            span = entity.text;
        }
        let told = told.join(", ");
        if told != *expected {
            wrong.push(format!("{text:?}\n   found    {told}\n   expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn order_numbers() {
    check(&[
        ("where is my order 1042", "order_id 1042"),
        ("order #1042", "order_id 1042"),
        ("order number 42 please", "order_id 42"),
        ("ORD-1042 cancel karo", "order_id ORD-1042"),
        ("my order id is OD123456", "order_id OD123456"),
        ("मेरा ऑर्डर १०४२ कहाँ है", "order_id 1042"),
        ("order one zero four two", "order_id 1042"),
        ("order number one zero double four", "order_id 1044"),
        ("order triple nine one", "order_id 9991"),
        ("order number ten forty two", "order_id 1042"),
        ("order one thousand forty two", "order_id 1042"),
        ("order number ek shunya char do", "order_id 1042"),
        ("order ek hazaar bayalis", "order_id 1042"),
        ("ऑर्डर नंबर एक शून्य चार दो", "order_id 1042"),
        ("order 1 0 4 2", "order_id 1042"),
        ("1042 wala order cancel kar do", "order_id 1042"),
        ("orders 1042 and 1043", "order_id 1042, order_id 1043"),
        ("order 9876543210", "order_id 9876543210"),
        ("5521", "order_id 5521 or number 5521"),
        ("order id a b c one two three", "order_id ABC123"),
        ("ऑर्डर नंबर ओ डी चार पाँच दो एक", "order_id OD4521"),
        ("order number od 4521 9", "order_id OD45219"),
        ("order cancel kar do", ""),
        ("covid19 ke baad", ""),
        ("i joined in 2015", "number 2015"),
    ]);
}

#[test]
fn telephones_and_pin_codes() {
    check(&[
        ("mera number 9876543210 hai", "phone +919876543210"),
        ("call me on +91 98765 43210", "phone +919876543210"),
        ("09876543210", "phone +919876543210"),
        ("nine eight seven six five four three two one zero", "phone +919876543210"),
        ("ninety eight seven six five double four three two one", "phone +919876544321"),
        ("मेरा नंबर नौ आठ सात छह पाँच चार तीन दो एक शून्य", "phone +919876543210"),
        ("it's nine eight one one oh double two three four five", "phone +919811022345"),
        ("number is plus one four one five five five five two six seven one", "phone +14155552671"),
        ("plus +9876543210", "phone +919876543210"),
        ("é plus + 9876543210", "phone +919876543210"),
        ("landline number is zero two two two three four five six seven eight nine", "phone +912223456789"),
        ("pin code 110011", "pincode 110011"),
        ("pin code one one double zero one one", "pincode 110011"),
        ("पिन कोड चार एक एक शून्य तीन आठ", "pincode 411038"),
        ("411 038", "pincode 411038"),
    ]);
}

#[test]
fn amounts_and_numbers() {
    check(&[
        ("I paid 1500 rupees", "amount 1500"),
        ("₹2,000 kat gaye", "amount 2000"),
        ("rs 499", "amount 499"),
        ("dhai hazaar", "amount 2500 or number 2500"),
        ("डेढ़ लाख", "amount 150000 or number 150000"),
        ("5k", "amount 5000 or number 5000"),
        ("साढ़े तीन सौ रुपये", "amount 350"),
        ("paune do lakh rupaye", "amount 175000"),
        ("saadhe 5 hazaar rupye", "amount 5500"),
        ("pachas paise", "amount 0.5"),
        ("twelve hundred rupees", "amount 1200"),
        ("2.5 lakh", "amount 250000 or number 250000"),
        ("sava sau", "number 125"),
        ("do sau pachaas", "number 250"),
        ("one hundred and twenty", "number 120"),
        ("एक लाख पच्चीस हज़ार", "amount 125000 or number 125000"),
        ("पचपन", "number 55"),
        ("उनतालीस", "number 39"),
        ("चालीस", "number 40"),
        ("chhiyalis", "number 46"),
        ("unasi", "number 79"),
        ("निन्यानवे", "number 99"),
        ("two point five", "number 2.5"),
        ("2 shirts order kiye the", "number 2"),
        ("mere paas do bacche hain", "number 2"),
        ("two and a half lakh rupees", "amount 250000"),
        ("three fifty rupees", "amount 350"),
        ("दस रुपये पचास पैसे", "amount 10.5"),
        ("500/- only", "amount 500"),
        ("chhabbees log", "number 26"),
        ("chhattees", "number 36"),
        ("jaane do bhai", ""),
        ("mere saath chalo", ""),
        ("one moment please", ""),
        ("what do you do", ""),
        ("bata do", ""),
        ("ek baar phir", ""),
    ]);
}

#[test]
fn ordinals() {
    check(&[
        ("पहला", "ordinal 1"),
        ("दूसरी मंजिल", "ordinal 2"),
        ("teesri baar", "ordinal 3"),
        ("the 21st one", "ordinal 21"),
        ("इक्कीसवां", "ordinal 21"),
        ("paanchvi", "ordinal 5"),
        ("the twenty first floor", "ordinal 21"),
        ("the second one please", "ordinal 2"),
        ("first of all thank you", ""),
    ]);
}

#[test]
fn days() {
    check(&[
        ("aaj", "datetime 2026-11-18"),
        ("kal aayega", "datetime 2026-11-19"),
        ("kal aaya tha", "datetime 2026-11-17"),
        ("kal", "datetime 2026-11-19 or datetime 2026-11-17"),
        ("parso karna hai", "datetime 2026-11-20"),
        ("day after tomorrow", "datetime 2026-11-20"),
        ("agle somvaar", "datetime 2026-11-23"),
        ("पिछले शुक्रवार को", "datetime 2026-11-13"),
        ("sunday ko", "datetime 2026-11-22"),
        ("15 january ko", "datetime 2027-01-15"),
        ("पच्चीस दिसंबर", "datetime 2026-12-25"),
        ("15/12/2026", "datetime 2026-12-15"),
        ("2 अक्टूबर 2026", "datetime 2026-10-02"),
        ("10 tarikh ko", "datetime 2026-12-10"),
        ("agle mahine ki 5 tarikh", "datetime 2026-12-05"),
        ("do din baad", "datetime 2026-11-20"),
        ("2 din pehle order kiya tha", "datetime 2026-11-16"),
        ("ek hafte pehle", "datetime 2026-11-11"),
        ("agle hafte", r#"datetime {"from":"2026-11-23","to":"2026-11-29"}"#),
        ("is weekend", r#"datetime {"from":"2026-11-21","to":"2026-11-22"}"#),
        ("november twenty first", "datetime 2026-11-21"),
        ("twenty second december", "datetime 2026-12-22"),
        ("on the twentieth", "datetime 2026-11-20"),
        ("three days from now", "datetime 2026-11-21"),
        ("सोमवार से बुधवार तक", r#"datetime {"from":"2026-11-23","to":"2026-11-25"}"#),
        ("good morning", ""),
        ("march past", ""),
    ]);
}

#[test]
fn times() {
    check(&[
        ("call me at 5 pm", "datetime 2026-11-18T17:00"),
        ("agle somvaar shaam paanch baje", "datetime 2026-11-23T17:00"),
        ("सुबह साढ़े दस", "datetime 2026-11-18T10:30"),
        ("कल शाम को छह बजे आऊंगा", "datetime 2026-11-19T18:00"),
        ("5 baje", "datetime 2026-11-18T17:00 or datetime 2026-11-19T05:00"),
        ("pone aath baje subah", "datetime 2026-11-19T07:45"),
        ("दस बजकर बीस मिनट पर आज सुबह", "datetime 2026-11-18T10:20"),
        ("quarter to six pm", "datetime 2026-11-18T17:45"),
        ("half past five in the evening", "datetime 2026-11-18T17:30"),
        ("tomorrow at six o'clock in the morning", "datetime 2026-11-19T06:00"),
        (
            "kal subah das se barah baje ke beech aana",
            r#"datetime {"from":"2026-11-19T10:00","to":"2026-11-19T12:00"}"#,
        ),
        ("tomorrow from four to six in the evening", r#"datetime {"from":"2026-11-19T16:00","to":"2026-11-19T18:00"}"#),
        ("kal subah aath baj kar bees minute par aana", "datetime 2026-11-19T08:20"),
        ("between 5 and 7 pm", r#"datetime {"from":"2026-11-18T17:00","to":"2026-11-18T19:00"}"#),
        ("subah nau baje se gyarah baje tak", r#"datetime {"from":"2026-11-19T09:00","to":"2026-11-19T11:00"}"#),
        ("raat ke barah baje", "datetime 2026-11-19T00:00"),
        ("shaam ko", r#"datetime {"from":"2026-11-18T16:00","to":"2026-11-18T20:00"}"#),
        ("in 2 hours", "datetime 2026-11-18T12:00"),
        ("9:30 am", "datetime 2026-11-19T09:30"),
        ("monday at 4", "datetime 2026-11-23T16:00 or datetime 2026-11-23T04:00"),
    ]);
}

#[test]
fn durations() {
    check(&[
        ("it has been 30 days", "duration P30D"),
        ("half an hour", "duration PT30M"),
        ("aadha ghanta", "duration PT30M"),
        ("ढाई घंटे", "duration PT2H30M"),
        ("पौन घंटा", "duration PT45M"),
        ("do saal", "duration P2Y"),
        ("एक सप्ताह", "duration P1W"),
        ("1 hour 15 minutes", "duration PT1H15M"),
        ("dedh saal", "duration P1Y6M"),
        ("an hour and a half", "duration PT1H30M"),
        ("three quarters of an hour", "duration PT45M"),
        ("wait a second", ""),
    ]);
}

#[test]
fn names_addresses_and_products() {
    check(&[
        ("my name is ravi kumar", "name Ravi Kumar"),
        ("mera naam sunita hai", "name Sunita"),
        ("main rahul bol raha hoon", "name Rahul"),
        ("voter list mein naam judwana hai", ""),
        ("aapka naam kya hai", ""),
        ("ravi dot kumar at the rate gmail dot com", "email ravi.kumar@gmail.com"),
        ("my email is ravi.k_12@gmail.com", "email ravi.k_12@gmail.com"),
        ("r a v i one two at gmail dot com", "email ravi12@gmail.com"),
        ("john dot smith twenty three at gmail dot com", "email john.smith23@gmail.com"),
        ("neha double five at hotmail dot com", "email neha55@hotmail.com"),
        ("मैं अनिल बात कर रहा हूँ", "name अनिल"),
        ("मेरा ईमेल राहुल एट द रेट जीमेल डॉट कॉम", "email rahul@gmail.com"),
        ("whey gold chahiye", "product Whey Gold"),
        ("वे गोल्ड है क्या", "product Whey Gold"),
    ]);
}

#[test]
fn an_entity_is_the_span_as_it_stands_and_its_value_has_a_type() {
    for (text, span, value) in [
        ("मेरा ऑर्डर १०४२ कहाँ है", "१०४२", serde_json::json!("1042")),
        ("call +91 98765 43210 now", "+91 98765 43210", serde_json::json!("+919876543210")),
        ("order ORD-1042!", "ORD-1042", serde_json::json!("ORD-1042")),
        ("₹ 2,500.50 only", "₹ 2,500.50", serde_json::json!(2500.5)),
        ("agle hafte", "agle hafte", serde_json::json!({"from": "2026-11-23", "to": "2026-11-29"})),
    ] {
        let entity = &found(text)[0];
        assert_eq!((&*entity.text, entity.json()), (span, value), "{text}");
    }
}
