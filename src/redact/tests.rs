//! What is masked, and what is not, in tables.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::borrow::Cow;

use super::*;

#[test]
fn secrets_and_numbers_are_masked() {
    for (text, expected) in [
        ("key sk-proj-abcDEF123456_78", "key sk-***"),
        ("token shpat_0123456789abcdef", "token shpat_***"),
        ("made caly_op_4f9a8b7c6d5e4f3a2b1c", "made caly_***"),
        ("Authorization: Bearer abcdef123456.x", "Authorization: ***"),
        ("got bearer eyJhbGciOi.J9 from", "got bearer *** from"),
        ("authorization=Basic dXNlcjpwYXNz x", "authorization=*** x"),
        ("GET /call-start?key=s3cret&CallSid=1", "GET /call-start?key=***&CallSid=1"),
        ("?api_key=a%20b#x", "?api_key=***"),
        (r#"{"api_token":"abc","n":1}"#, r#"{"api_token":"***","n":1}"#),
        (r#"{"a":"{\"password\":\"hunter2\"}"}"#, r#"{"a":"{\"password\":\"***\"}"}"#),
        (r#"{"token":12345,"n":1}"#, r#"{"token":null,"n":1}"#),
        (r#"{"otp": 4821}"#, r#"{"otp": null}"#),
        ("postgres://caly:pw@db:5432/caly", "postgres://***@db:5432/caly"),
        ("https://key:p@ss@api.exotel.com/v1", "https://***@api.exotel.com/v1"),
        ("from +919876543210 to", "from +9198xxxxxx10 to"),
        ("?From=%2B919876543210&To=08045678901", "?From=%2B9198xxxxxx10&To=080xxxxxx01"),
        ("?card=4111+1111+1111+1111", "?card=xxxx+xxxx+xxxx+1111"),
        ("+1 415 555 0123", "+1 415 xxx xx23"),
        ("ring 9876543210.", "ring 98xxxxxx10."),
        ("ring 98765 43210 2026", "ring 98xxx xxx10 2026"),
        ("ring 098765-43210", "ring 098xxx-xxx10"),
        ("tel 080 4567 8901", "tel 080 xxxx xx01"),
        ("caller_9876543210.wav", "caller_98xxxxxx10.wav"),
        ("नंबर 919876543210 है", "नंबर 9198xxxxxx10 है"),
        (r#"{"caller":9876543210,"n":1}"#, r#"{"caller":0,"n":1}"#),
        ("card 4111 1111 1111 1111 ok", "card xxxx xxxx xxxx 1111 ok"),
        ("card 5555555555554444", "card xxxxxxxxxxxx4444"),
        ("aadhaar 2341 2341 2346", "aadhaar xxxx xxxx 2346"),
        ("pan ABCPE1234F.", "pan ***."),
        ("pay ravi.k@okaxis now", "pay ***@okaxis now"),
        ("mail asha@example.in", "mail ***@example.in"),
        ("two: 9876543210,9123456780", "two: 98xxxxxx10,91xxxxxx80"),
    ] {
        assert_eq!(redact(text), expected, "of {text}");
    }
}

#[test]
fn what_is_needed_to_find_a_fault_stays() {
    for text in [
        "2026-11-20T12:19:31.123456Z  INFO caly_actors::supervise: child restarted restarts=2",
        "call=0199a2b3-1234-7123-8456-123456789012 ended",
        "call=12345678-1234-7123-8456-123456789abc ended",
        "caly_http_request_duration_seconds_bucket",
        "openai.key: must not stand in config.toml: set OPENAI_API_KEY",
        "Bearer token is missing",
        "basic setup done",
        "idempotency_key=cancel-1042",
        "ordered 4111 1111 1111 1112",
        "order 1042, pin code 560001, 12 items",
        "elapsed=0.9876543210 s",
        "+9198xxxxxx10",
        "text_tokens=4200 audio_tokens=9000",
        "2341 2341 2347",
        "",
    ] {
        assert!(matches!(redact(text), Cow::Borrowed(_)), "{text} became {}", redact(text));
    }
}

#[test]
fn masking_twice_changes_nothing_more() {
    for text in ["+919876543210 sk-abcdefghijk key=1", "https://u:p@h/?token=x", "ABCPE1234F 4111111111111111"] {
        let once = redact(text).into_owned();
        assert_eq!(redact(&once), once);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived_and_json_stays_json(text in "\\PC{0,60}", number in proptest::prelude::any::<i64>()) {
        let document = serde_json::json!({ "message": text, "token": text, "number": number }).to_string();
        let masked = redact(&document);
        proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok(), "{}", masked);
    }
}

#[test]
fn a_log_line_takes_microseconds_at_most() {
    let line = "2026-11-20T12:19:31.123456Z  INFO call{id=0199a2b3-1234-7123-8456-123456789012}: caly_actors::media: \
                first agent frame latency_ms=612 queue=3 caller=+919876543210 url=https://x.example/media/abc?key=1";
    let began = std::time::Instant::now();
    for _ in 0..1_000 {
        std::hint::black_box(redact(std::hint::black_box(line)));
    }
    // Unoptimised and on a busy machine; a quadratic scan or a regular expression built each time would miss it by far.
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "took {:?}", began.elapsed());
}

#[test]
fn what_a_caller_tells_in_confidence_is_masked_in_the_record() {
    for (text, expected) in [
        ("my card number is 4111 1111 1111 1111 thanks", "my card number is [card] thanks"),
        ("4111-1111-1111-1111", "[card]"),
        ("4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "[card]"),
        ("four one one one, one one one one, one one one one, one one one one", "[card]"),
        ("card is four triple one, one double one one, triple one one, double one double one ok", "card is [card] ok"),
        ("chaar ek ek ek ek ek ek ek ek ek ek ek ek ek ek ek", "[card]"),
        ("चार एक एक एक एक एक एक एक एक एक एक एक एक एक एक एक है", "[card] है"),
        ("इकतालीस ग्यारह ग्यारह ग्यारह ग्यारह ग्यारह ग्यारह ग्यारह", "[card]"),
        ("forty one eleven eleven eleven eleven eleven eleven eleven", "[card]"),
        ("४१११ ११११ ११११ ११११", "[card]"),
        ("पाँच पाँच पाँच पाँच, पांच पांच पांच पांच, डबल पांच डबल पांच, ट्रिपल चार चार", "[card]"),
        ("card 4111 1111 1111 1112 I think", "card [card] I think"),
        ("my otp is 4821", "my otp is [code]"),
        ("the OTP, one second, it is four eight two one", "the OTP, one second, it is [code]"),
        ("4821 is the OTP", "[code] is the OTP"),
        ("OTP aaya hai chaar aath do ek", "OTP aaya hai [code]"),
        ("ओटीपी है चार आठ दो एक", "ओटीपी है [code]"),
        ("ओ टी पी ४८२१ है", "ओ टी पी [code] है"),
        ("O.T.P. 48 21 13", "O.T.P. [code]"),
        ("OTP four thousand eight hundred twenty one", "OTP [code]"),
        ("otp for order 1042 is 4821", "otp for order 1042 is [code]"),
        ("order ka OTP 482113 hai", "order ka OTP [code] hai"),
        ("CVV 123", "CVV [code]"),
        ("cvv number hai ek do teen", "cvv number hai [code]"),
        ("4111 1111 1111 1111 expiry 12/28 cvv 123", "[card] expiry 12/28 cvv [code]"),
        ("security code is 123", "security code is [code]"),
        ("मेरा यूपीआई पिन 482113 है", "मेरा यूपीआई पिन [code] है"),
        ("one time password 48 21", "one time password [code]"),
        ("OTP-4821", "OTP-[code]"),
        ("aadhaar 2341 2341 2346", "aadhaar [aadhaar]"),
        ("two three four one two three four one two three four six", "[aadhaar]"),
        ("आधार नंबर दो तीन चार एक दो तीन चार एक दो तीन चार छह", "आधार नंबर [aadhaar]"),
        ("mera aadhar 2341 2341 2347 hai", "mera aadhar [aadhaar] hai"),
        ("PAN is ABCPE1234F", "PAN is ***"),
        ("pan ABCPE 1234 F", "pan [pan]"),
        ("A B C P E one two three four F", "[pan]"),
        ("pay to ravi.k@okaxis please", "pay to ***@okaxis please"),
        ("ravi at the rate okaxis", "[upi]"),
        ("upi ravi dot kumar 99 at the rate ok axis", "upi [upi]"),
        ("मेरा रवि एट द रेट ybl है", "मेरा [upi] है"),
        ("key sk-proj-abcDEF123456_78", "key sk-***"),
        ("token shpat_0123456789abcdef", "token shpat_***"),
    ] {
        assert_eq!(redact_speech(text, None), expected, "of {text}");
    }
}

#[test]
fn what_may_be_remembered_of_a_caller_is_no_secret_whatever_it_is_called() {
    for (name, value, kept) in [
        ("preferred_stylist", "Asha", Some("Asha")),
        ("pin_code", "560001", Some("560001")),
        ("pin", "560001", Some("560001")),
        ("phone", "9876543210", Some("9876543210")),
        ("order", "1042", Some("1042")),
        ("note", "pays by 4111 1111 1111 1111, mornings", Some("pays by [card], mornings")),
        ("payment", "4111111111111111", None),
        ("card_number", "4111 1111", None),
        ("otp", "4821", None),
        ("one_time_password", "blue horse", None),
        ("atm_pin", "4821", None),
        ("pin", "4821", None),
        ("aadhaar", "2341 2341 2346", None),
        ("id", "two three four one two three four one two three four six", None),
        ("pan", "ABCPE1234F", None),
        ("upi", "ravi at the rate okaxis", None),
        ("api_key", "x", None),
        ("empty", " … ", None),
    ] {
        assert_eq!(rememberable(name, value).as_deref(), kept, "{name}: {value}");
    }
}

#[test]
fn what_a_call_is_about_stays_in_the_record() {
    for text in [
        "my order number is 1042",
        "order 408-1234567-1234567 kahan hai",
        "mera order ek zero chaar do kab aayega",
        "OTP nahi aaya, order 1042 hai",
        "OTP 5 minute se nahi aaya",
        "OTP nahi aaya das minute ho gaye",
        "1042 order ka OTP nahi aaya",
        "card se 1499 rupaye kate",
        "₹1499 ka payment card se",
        "Rs 1,00,000 debit ho gaya",
        "amount 1499 was charged on my credit card",
        "pin code 560001",
        "pincode 5 6 0 0 0 1 hai",
        "पिन कोड ५६०००१",
        "पिनकोड 560001 है",
        "kal 5 baje, 21 November 2026",
        "2026-11-21 at 17:30",
        "21/11/2026 ko 9:30 baje",
        "call me on 9876543210",
        "nine eight seven six five four three two one zero",
        "+91 98765 43210 par call karo",
        "my mail is asha@example.in",
        "awb 123456789010",
        "tracking number 1Z999AA10123456784",
        "two shirts and three trousers, one for me and two for her",
        "do din mein, teen baje, char log",
        "it took one hundred twenty five days",
        "one two three",
        "I paid at paytm",
        "order id 0199a2b3-1234-7123-8456-123456789012",
        "table for 4 at 8",
        "card",
        "",
    ] {
        assert_eq!(redact_speech(text, None), text);
    }
}

#[test]
fn what_was_asked_in_one_turn_is_masked_in_the_answer() {
    for (question, answer, expected) in [
        ("Please tell me the OTP you received.", "four eight two one", "[code]"),
        ("OTP बताइए", "चार आठ दो एक", "[code]"),
        ("Aapka OTP kya hai?", "haan 48", "haan [code]"),
        ("What is the CVV?", "it's 123", "it's [code]"),
        ("ओटीपी बताइए", "हज़ार चौबीस", "[code]"),
        ("Please tell me the OTP", "order 1042 ka?", "order 1042 ka?"),
        ("Please tell me the OTP", "5 minute ruko", "5 minute ruko"),
        ("Please tell me the OTP", "call 9876543210", "call 9876543210"),
        ("Your card number please?", "4111 1111", "[card]"),
        ("कार्ड नंबर बताइए", "चार एक एक एक", "[card]"),
        ("Aadhaar number?", "2341 2341", "[aadhaar]"),
        ("Your order number please?", "1042", "1042"),
        ("Did you pay by card?", "1042", "1042"),
        ("May I have your phone number?", "98765", "98765"),
    ] {
        assert_eq!(redact_speech(answer, Asked::in_words(question)), expected, "{question} {answer}");
    }
}

#[test]
fn a_question_counts_for_the_turn_it_was_asked_before_and_until_the_agent_goes_on() {
    let at = std::time::Duration::from_secs;
    let turn = |number| uuid::Uuid::from_u128(number);
    let mut dialogue = Dialogue::default();
    assert_eq!(dialogue.caller_said(turn(1), at(1), "1042", ""), "1042");
    dialogue.agent_said(at(2), "Please tell me", "the OTP.");
    assert_eq!(dialogue.caller_said(turn(2), at(3), "four eight", ""), "[code]");
    assert_eq!(dialogue.caller_said(turn(3), at(4), "two one", ""), "[code]");
    dialogue.agent_said(at(4), "Hello, are you there?", "");
    assert_eq!(dialogue.caller_said(turn(8), at(4), "yes, two one two one", ""), "yes, [code]");
    dialogue.agent_said(at(5), "Thank you. Which order is it?", "");
    // Written down late: said before the agent went on.
    assert_eq!(dialogue.caller_said(turn(4), at(4), "haan 21", ""), "haan [code]");
    assert_eq!(dialogue.caller_said(turn(5), at(6), "1042", ""), "1042");
    assert_eq!(dialogue.piece(turn(2), "four eight"), None);
    assert_eq!(dialogue.piece(turn(5), "1042").as_deref(), Some("1042"));
    assert_eq!(dialogue.piece(turn(9), "1042"), None, "a turn that is not remembered");
    // Said again, by whomever.
    assert_eq!(
        dialogue.agent_said(at(7), "You said 48, and then two one?", ""),
        ("You said 48, and then two one?".into(), String::new())
    );
    dialogue.agent_said(at(8), "The OTP?", "");
    assert_eq!(dialogue.caller_said(turn(6), at(9), "four eight two one", ""), "[code]");
    assert_eq!(dialogue.agent_said(at(10), "I heard 4821, right?", "").0, "I heard [code], right?");
    assert_eq!(dialogue.json(serde_json::json!({"order": "1042", "code": 4821}))["code"], "[code]");
    assert_eq!(dialogue.json(serde_json::json!({"order": "1042", "code": 4821}))["order"], "1042");
    // The question is still being heard.
    dialogue.agent_said(at(10), "Your order number?", "");
    assert_eq!(dialogue.caller_said(turn(7), at(11), "7306", "Thank you, and"), "7306");
    assert_eq!(dialogue.caller_said(turn(7), at(11), "7306", "Thank you, and the OTP that"), "[code]");
    for later in 10..100 {
        dialogue.agent_said(at(later), "OTP?", "");
        dialogue.caller_said(turn(u128::from(later)), at(later), "hello", "");
    }
    assert!(std::mem::size_of_val(&dialogue) < 200 && format!("{dialogue:?}") == "Dialogue");
}

#[test]
fn spoken_numbers_and_codes_leave_the_log_as_well() {
    for (text, expected) in [
        ("heard four one one one one one one one one one one one one one one one", "heard [card]"),
        ("heard nine eight seven six five four three two one zero", "heard [phone]"),
        ("नौ आठ सात छह पांच चार तीन दो एक शून्य", "[phone]"),
        ("९८७६५४३२१०", "[phone]"),
        (r#"{"message":"your otp is 4821","n":1}"#, r#"{"message":"your otp is [code]","n":1}"#),
        ("text=\"4821 is my OTP\" status=401", "text=\"[code] is my OTP\" status=401"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[card]"),
        ("pan A B C P E 1 2 3 4 F", "pan [pan]"),
    ] {
        assert_eq!(redact(text), expected, "of {text}");
    }
    for text in [
        "wrong password status=401 attempts=300",
        r#"{"message":"OTP asked","status":401,"took_ms":1200}"#,
        "one of 1042 rows, two of 560001",
        "batch [4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1] done one",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn values_inside_json_are_masked_and_its_form_stays() {
    let value = serde_json::json!({"card": "4111111111111111", "otp": 4821, "n": 5, "phone": "9876543210",
        "deep": [{"text": "my otp is 4821", "big": 4_111_111_111_111_111_u64}], "password": ["x"]});
    let masked = Dialogue::default().json(value.clone());
    assert_eq!(
        masked,
        serde_json::json!({"card": "[card]", "otp": "***", "n": 5, "phone": "9876543210",
            "deep": [{"text": "my otp is [code]", "big": "[card]"}], "password": ["x"]})
    );
    assert_eq!(redact_json(value)["phone"], "98xxxxxx10");
}

/// Everyday sentences of callers; more of them, one JSON object with a `text` a line, in the file that
/// `CALY_GOOD_TEXTS` names.
#[test]
fn everyday_sentences_stay_as_they_are() {
    let lines: toml::Table = toml::from_str(include_str!("../../sandbox/lines.toml")).unwrap();
    let mut texts = Vec::new();
    collect(&toml::Value::Table(lines), &mut texts);
    assert!(texts.len() > 40, "only {} texts", texts.len());
    if let Some(file) = std::env::var_os("CALY_GOOD_TEXTS") {
        let file = std::fs::read_to_string(file).unwrap();
        let text = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["text"].as_str().unwrap().to_owned()
        };
        texts.extend(file.lines().map(text));
    }
    let changed: Vec<_> = texts.iter().map(|text| (text, redact_speech(text, None))).filter(|(t, m)| t != &m).collect();
    println!("{} of {} texts changed", changed.len(), texts.len());
    assert!(changed.len() * 1000 <= texts.len(), "{changed:#?}");
}

fn collect(value: &toml::Value, texts: &mut Vec<String>) {
    match value {
        toml::Value::String(text) => texts.push(text.clone()),
        toml::Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        toml::Value::Table(fields) => fields.values().for_each(|field| collect(field, texts)),
        _ => {}
    }
}

#[test]
fn what_was_written_in_other_letters_shows_no_more_than_the_text() {
    use caly_actors::understand::script::heard;
    for (written, asked, text, raw) in [
        ("او ٹی پی چار آٹھ دو ایک ہے", "", "ओ टी पी [code] है", Some("او ٹی پی [code] ہے")),
        ("۴۸۲۱", "OTP?", "[code]", Some("[code]")),
        ("ہاں جی ۴۸ ۲۱ آئے گا", "OTP?", "हाँ जी [code] आएगा", Some("ہاں جی [code] آئے گا")),
        (
            "کارڈ ۴۱۱۱۱۱۱۱۱۱۱۱۱۱۱۱ اور آدھار ۲۳۴۱ ۲۳۴۱ ۲۳۴۶ ہے",
            "",
            "कार्ड [card] और आधार [aadhaar] है",
            Some("کارڈ [card] और आधार [aadhaar] ہے"),
        ),
        ("میرا نمبر ۹۸۷۶۵۴۳۲۱۰ ہے", "", "मेरा नंबर 9876543210 है", Some("میرا نمبر ۹۸۷۶۵۴۳۲۱۰ ہے")),
        ("ઓટીપી ૪૮૨૧ હૈ", "", "ओटीपी [code] है", Some("ઓટીપી [code] હૈ")),
    ] {
        let mut dialogue = Dialogue::default();
        dialogue.agent_said(std::time::Duration::ZERO, asked, "");
        let heard = heard(written);
        let masked = dialogue.caller_said(uuid::Uuid::nil(), std::time::Duration::from_secs(1), &heard.text, "");
        assert_eq!(masked, text, "{written}");
        assert_eq!(dialogue.raw(written, &heard.text, &masked).as_deref(), raw, "{written}");
    }
    // A text that is not what was written says nothing of which word is which.
    assert_eq!(Dialogue::default().raw("چار آٹھ", "कुछ और 4821", "कुछ और [code]"), None);
    for (text, expected) in [("ring ۹۸۷۶۵۴۳۲۱۰", "ring [phone]"), ("card ٤١١١١١١١١١١١١١١١", "card [card]")]
    {
        assert_eq!(redact(text), expected);
    }
}

proptest::proptest! {
    /// Whatever digits are told as a code, in whatever letters, neither text holds them.
    #[test]
    fn no_code_is_left_in_either_text(code in "[۰-۹]{4,8}", before in "[ا-ی ]{0,12}", after in "[ا-ی ]{0,12}") {
        let written = format!("{before} {code} {after}");
        let mut dialogue = Dialogue::default();
        dialogue.agent_said(std::time::Duration::ZERO, "What is the OTP?", "");
        let text = caly_actors::understand::script::heard(&written).text.into_owned();
        let masked = dialogue.caller_said(uuid::Uuid::nil(), std::time::Duration::from_secs(1), &text, "");
        if !masked.chars().any(|c| c.is_ascii_digit()) {
            let raw = dialogue.raw(&written, &text, &masked).unwrap_or_default();
            proptest::prop_assert!(!raw.contains(&code), "{raw}");
        }
    }
}
