//! What a plan has chosen where the caller left it open, such as who of several people it is with: it is read back, so it
//! is what is done. It stands among the arguments under a name of its own, which the engine cannot write, and makes no
//! other action of it.

use serde_json::Value;

use crate::ports::PLANNED;

/// Takes out of a plan what it has chosen, so that it is not read back twice.
pub(super) fn chosen(plan: &str) -> (String, Option<Value>) {
    match serde_json::from_str(plan) {
        Ok(Value::Object(mut told)) => match told.remove(PLANNED) {
            Some(choice) => (Value::Object(told).to_string(), Some(choice)),
            None => (plan.to_owned(), None),
        },
        _ => (plan.to_owned(), None),
    }
}

/// Arguments with what was chosen for them last, if anything was.
pub(super) fn with(arguments: &Value, choice: Option<Value>) -> Value {
    let mut arguments = asked(arguments);
    if let (Value::Object(map), Some(choice)) = (&mut arguments, choice) {
        map.insert(PLANNED.to_owned(), choice);
    }
    arguments
}

/// Arguments as they were asked for.
pub(super) fn asked(arguments: &Value) -> Value {
    let mut arguments = arguments.clone();
    if let Value::Object(map) = &mut arguments {
        map.remove(PLANNED);
    }
    arguments
}

/// Whether something in these arguments was chosen by a plan.
pub(super) fn is_in(arguments: &Value) -> bool {
    arguments.get(PLANNED).is_some()
}
