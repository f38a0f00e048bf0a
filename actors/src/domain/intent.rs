//! What a caller wants, and what they name.

use std::sync::Arc;

use super::Wish;

/// What a caller's turn wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IntentKind {
    /// Where is my order.
    OrderStatus,
    /// Cancel my order.
    CancelOrder,
    /// Take it back, give me my money.
    ReturnRefund,
    /// Send it elsewhere.
    AddressChange,
    /// About goods: price, stock, which one.
    ProductQuery,
    /// Ways to pay, bills, money taken.
    Payment,
    /// Something is bad.
    Complaint,
    /// Give me a person.
    TalkToHuman,
    /// Where and when the shop is, and what.
    StoreInfo,
    /// Give me a time to come.
    AppointmentBook,
    /// Give me another time.
    AppointmentReschedule,
    /// I shall not come.
    AppointmentCancel,
    /// Hello.
    Greeting,
    /// The conversation is over.
    Goodbye,
    /// Yes.
    Affirm,
    /// No.
    Deny,
    /// Say it again.
    Repeat,
    /// Speak another language.
    LanguageSwitch,
    /// Ring me later.
    CallbackRequest,
    /// Do not ring me, or a wrong number.
    DoNotCall,
    /// None of those.
    OutOfScope,
}

impl IntentKind {
    /// Every kind, in the order of the model's columns and of reports.
    pub const ALL: [Self; 21] = [
        Self::OrderStatus,
        Self::CancelOrder,
        Self::ReturnRefund,
        Self::AddressChange,
        Self::ProductQuery,
        Self::Payment,
        Self::Complaint,
        Self::TalkToHuman,
        Self::StoreInfo,
        Self::AppointmentBook,
        Self::AppointmentReschedule,
        Self::AppointmentCancel,
        Self::Greeting,
        Self::Goodbye,
        Self::Affirm,
        Self::Deny,
        Self::Repeat,
        Self::LanguageSwitch,
        Self::CallbackRequest,
        Self::DoNotCall,
        Self::OutOfScope,
    ];

    /// The word used in the database, in the API and by `caly understand`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderStatus => "order_status",
            Self::CancelOrder => "cancel_order",
            Self::ReturnRefund => "return_refund",
            Self::AddressChange => "address_change",
            Self::ProductQuery => "product_query",
            Self::Payment => "payment",
            Self::Complaint => "complaint",
            Self::TalkToHuman => "talk_to_human",
            Self::StoreInfo => "store_info",
            Self::AppointmentBook => "appointment_book",
            Self::AppointmentReschedule => "appointment_reschedule",
            Self::AppointmentCancel => "appointment_cancel",
            Self::Greeting => "greeting",
            Self::Goodbye => "goodbye",
            Self::Affirm => "affirm",
            Self::Deny => "deny",
            Self::Repeat => "repeat",
            Self::LanguageSwitch => "language_switch",
            Self::CallbackRequest => "callback_request",
            Self::DoNotCall => "do_not_call",
            Self::OutOfScope => "oos",
        }
    }
}

/// A thing named in a turn.
#[derive(Clone, PartialEq, Debug)]
pub struct Entity {
    /// `order_id`, `phone`, `amount`, `datetime`, `duration`, `pincode`, `email`, `name`, `number`, `ordinal` or `product`.
    pub kind: &'static str,
    /// The span as it stands in the text.
    pub text: Arc<str>,
    /// The normalised value: digits, E.164, rupees, local ISO 8601 times (`{"from","to"}` for a stretch).
    pub value: Arc<str>,
    /// 0.0 to 1.0.
    pub confidence: f32,
}

impl Entity {
    /// The value as JSON: a number for amounts, numbers and ordinals, an object for a stretch of time, else a string.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let parsed = || serde_json::from_str(&self.value).ok();
        let number = matches!(self.kind, "amount" | "number" | "ordinal");
        let value = if number || self.value.starts_with('{') { parsed() } else { None };
        value.unwrap_or_else(|| serde_json::Value::from(&*self.value))
    }
}

/// What one caller turn was taken to mean.
#[derive(Clone, PartialEq, Debug)]
pub struct Understanding {
    /// The likeliest intent of those that every client has.
    pub intent: IntentKind,
    /// The client's own intent that it is instead.
    pub own: Option<Arc<str>>,
    /// 0.0 to 1.0.
    pub confidence: f32,
    /// Whether it says yes, or no, to what was asked.
    pub yes: Yes,
    /// What it asks of the call itself: told by words, where the intent alone says too much.
    pub wish: Option<Wish>,
    /// It abuses whoever listens.
    pub abusive: bool,
    /// What it names.
    pub entities: Vec<Entity>,
}

/// What a turn is as an answer, whatever else it wants.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Yes {
    /// A clear yes.
    Said,
    /// A clear yes to all that was asked: "haan, dono".
    ToAll,
    /// What was asked and nothing else, as an order and without a word of agreement: "cancel kar dijiye". A yes, unless the
    /// question had not been heard to its end: then it is the wish once more.
    Ordered,
    /// A no.
    Refused,
    /// Neither, or not clearly.
    #[default]
    Neither,
}

impl Yes {
    /// The word for it by `caly understand`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Said => "agreed",
            Self::ToAll => "agreed_to_all",
            Self::Ordered => "ordered",
            Self::Refused => "refused",
            Self::Neither => "neither",
        }
    }
}

impl Understanding {
    /// What nobody can make anything of.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            intent: IntentKind::OutOfScope,
            own: None,
            confidence: 0.0,
            yes: Yes::Neither,
            wish: None,
            abusive: false,
            entities: Vec::new(),
        }
    }

    /// The word for the intent in the database, in the API and by `caly understand`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.own.as_deref().unwrap_or_else(|| self.intent.as_str())
    }
}
