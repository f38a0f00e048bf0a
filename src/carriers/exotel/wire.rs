//! The JSON of Exotel's media stream, as loosely as it may come.
//!
//! One pass, borrowing from the message wherever the text has no escapes (base64 may hold `\/`, so every text is a
//! `Cow`). Both `snake_case` and `camelCase` keys are read, numbers may be texts and texts numbers, unknown keys are
//! skipped, the last of two equal keys wins, and a value of the wrong shape counts as absent. Nothing here recurses with
//! the input: what is skipped is skipped by serde_json's own loop.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A number that may be missing, a text or nonsense.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Number {
    /// No such key, or `null`.
    #[default]
    Absent,
    /// A whole number from 0 up.
    Value(u64),
    /// Negative, beyond 64 bits, a fraction or not a number at all.
    Absurd,
}

impl Number {
    fn of_text(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Absent;
        }
        text.parse().map_or(Self::Absurd, Self::Value)
    }
}

/// A text that may be missing or written as a bare number.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) enum Text<'a> {
    /// No such key, `null` or a value that is no text.
    #[default]
    Absent,
    /// In quotes, as it should be.
    Quoted(Cow<'a, str>),
    /// A number without quotes.
    Bare(String),
}

impl<'a> Text<'a> {
    /// The text either way, if there is one and it is not empty.
    pub(super) fn get(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Quoted(text) => Some(text.as_ref()),
            Self::Bare(text) => Some(text.as_str()),
        }
        .filter(|text| !text.is_empty())
    }
}

/// Members of an object of texts; values of another kind are skipped.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Pairs<'a>(pub(super) Vec<(Cow<'a, str>, Text<'a>)>);

/// A key, borrowed unless it holds escapes.
struct Key<'a>(Cow<'a, str>);

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The visits of a value that is an array or an object where neither belongs.
macro_rules! skip_nested {
    ($otherwise:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($otherwise)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($otherwise)
        }
    };
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
        Ok(Number::Value(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
        Ok(u64::try_from(value).map_or(Number::Absurd, Number::Value))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Number, E> {
        Ok(Number::Absurd)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number::Absurd)
    }

    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number::of_text(text))
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number::Absent)
    }

    skip_nested!(Number::Absurd);
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text::Quoted(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text::Quoted(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Text::Bare(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Text::Bare(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Text::Bare(value.to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Text::Absent)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text::Absent)
    }

    skip_nested!(Text::Absent);
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// The visits of a value that is no object where one belongs: as good as absent.
macro_rules! absent_unless_object {
    () => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

struct PairsVisitor<'a>(PhantomData<&'a ()>);

/// Exotel allows three custom parameters; more than this many are not kept.
const PAIRS_MAX: usize = 32;

impl<'de: 'a, 'a> Visitor<'de> for PairsVisitor<'a> {
    type Value = Pairs<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Pairs::default();
        while let Some((Key(key), value)) = entries.next_entry::<Key<'de>, Text<'a>>()? {
            if pairs.0.len() < PAIRS_MAX {
                pairs.0.push((key, value));
            }
        }
        Ok(pairs)
    }

    absent_unless_object!();
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor(PhantomData))
    }
}

/// An object whose known keys are read and whose every other key is skipped.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty = $($key:literal)|+),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Default, Debug)]
        pub(super) struct $name<'a> {
            /// The value was an object at all.
            pub(super) present: bool,
            $(pub(super) $field: $kind,)+
            borrowed: PhantomData<&'a ()>,
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor<'a>(PhantomData<&'a ()>);

                impl<'de: 'a, 'a> Visitor<'de> for ObjectVisitor<'a> {
                    type Value = $name<'a>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                        let mut object = $name { present: true, ..$name::default() };
                        while let Some(Key(key)) = entries.next_key::<Key<'de>>()? {
                            match key.as_ref() {
                                $($($key)|+ => object.$field = entries.next_value()?,)+
                                _ => {
                                    entries.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(object)
                    }

                    absent_unless_object!();
                }

                deserializer.deserialize_any(ObjectVisitor(PhantomData))
            }
        }
    };
}

object!(
    /// One message.
    Envelope {
        event: Text<'a> = "event",
        stream: Text<'a> = "stream_sid" | "streamSid",
        sequence: Number = "sequence_number" | "sequenceNumber",
        start: Start<'a> = "start",
        media: Media<'a> = "media",
        dtmf: Dtmf<'a> = "dtmf",
        mark: Mark<'a> = "mark",
        stop: Stop<'a> = "stop",
    }
);

object!(
    /// The facts of a stream.
    Start {
        stream: Text<'a> = "stream_sid" | "streamSid",
        call: Text<'a> = "call_sid" | "callSid",
        account: Text<'a> = "account_sid" | "accountSid",
        from: Text<'a> = "from",
        to: Text<'a> = "to",
        custom_parameters: Pairs<'a> = "custom_parameters" | "customParameters",
        format: Format<'a> = "media_format" | "mediaFormat",
    }
);

object!(
    /// The format of a stream; only the rate means anything.
    Format { rate: Text<'a> = "sample_rate" | "sampleRate" }
);

object!(
    /// A piece of audio.
    Media {
        payload: Text<'a> = "payload",
        chunk: Number = "chunk",
        timestamp: Number = "timestamp",
        sequence: Number = "sequence_number" | "sequenceNumber",
    }
);

object!(
    /// A key press.
    Dtmf { digit: Text<'a> = "digit" }
);

object!(
    /// A mark played.
    Mark { name: Text<'a> = "name" }
);

object!(
    /// The end of a stream.
    Stop { reason: Text<'a> = "reason", call: Text<'a> = "call_sid" | "callSid" }
);
