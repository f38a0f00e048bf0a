//! What Caly itself does about what a caller asks of the call, whatever the engine does.

/// What the caller asks of the call itself, beside anything the business offers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wish {
    /// To speak to a person.
    Person,
    /// Not to be rung any more.
    NoCalls,
    /// Nothing: the number was dialled wrong.
    WrongNumber,
    /// Nothing any more: what they asked for is to be left.
    LeaveIt,
}

impl Wish {
    /// The word used by `caly understand`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::NoCalls => "no_calls",
            Self::WrongNumber => "wrong_number",
            Self::LeaveIt => "leave_it",
        }
    }
}

/// A client's policies, each for one of those and for abuse. `Engine` leaves it to the engine.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Policies {
    /// The caller wants a person.
    pub person: PersonPolicy,
    /// They, or whoever rang them, dialled a wrong number.
    pub wrong_number: WrongNumberPolicy,
    /// They do not want to be rung any more.
    pub do_not_call: DoNotCallPolicy,
    /// They abuse the agent.
    pub abuse: AbusePolicy,
}

/// What is done about a wish for a person.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PersonPolicy {
    /// The call is handed over if the engine does not do it.
    #[default]
    Obey,
    /// Nothing.
    Engine,
}

/// What is done about a wrong number.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum WrongNumberPolicy {
    /// The call ends with an apology if the engine does not end it.
    #[default]
    End,
    /// Nothing.
    Engine,
}

/// What is done about a wish not to be rung.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum DoNotCallPolicy {
    /// The number is put on record, and the engine told so.
    #[default]
    Record,
    /// Nothing.
    Engine,
}

/// What is done about abuse.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AbusePolicy {
    /// The engine is told to warn; the second time the call ends.
    #[default]
    Warn,
    /// The call ends the first time.
    End,
    /// Nothing.
    Engine,
}
