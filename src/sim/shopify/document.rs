//! A parsed request: the operation to run, its fragments and its variables.

use std::collections::HashMap;

use async_graphql_parser::types::{
    DocumentOperations, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
};
use async_graphql_parser::{Error, Positioned, parse_query};
use async_graphql_value::Name;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::schema::Schema;
use super::values;

/// Brackets inside of one another. The parser limits selections only; lists of lists would end its stack.
const NESTING_MAX: usize = 150;

/// One operation with what belongs to it.
pub(crate) struct Document {
    pub(crate) operation: Positioned<OperationDefinition>,
    /// `query`, or `query OrderByName`: how paths of errors begin.
    pub(crate) title: String,
    pub(crate) fragments: HashMap<Name, Positioned<FragmentDefinition>>,
}

/// Reads a query and picks the operation.
///
/// # Errors
/// It is no GraphQL, or does not say which of its operations is meant.
pub(crate) fn read(query: &str, wanted: Option<&str>) -> Result<Document, Problem> {
    if nesting(query) > NESTING_MAX {
        return Err(Problem::new(format!("syntax error: nested deeper than {NESTING_MAX}")));
    }
    let parsed = parse_query(query).map_err(|error| refused(&error))?;
    let (name, operation) = match parsed.operations {
        DocumentOperations::Single(operation) => (None, operation),
        DocumentOperations::Multiple(operations) => {
            let mut operations: Vec<_> = operations.into_iter().collect();
            let at = match wanted {
                Some(wanted) => operations.iter().position(|(name, _)| name.as_str() == wanted),
                None if operations.len() == 1 => Some(0),
                None => return Err(Problem::new("An operation name is required")),
            };
            let at =
                at.ok_or_else(|| Problem::new(format!("No operation named \"{}\"", wanted.unwrap_or_default())))?;
            let (name, operation) = operations.swap_remove(at);
            (Some(name), operation)
        }
    };
    let kind = operation.node.ty.to_string();
    let title = name.map_or_else(|| kind.clone(), |name| format!("{kind} {name}"));
    Ok(Document { operation, title, fragments: parsed.fragments })
}

/// How deep brackets stand in one another; those inside of texts are counted too, which costs no honest query anything.
fn nesting(query: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in query.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn refused(error: &Error) -> Problem {
    let problem = Problem::new(format!("syntax error: {}", error.to_string().trim()));
    match error.positions().next() {
        Some(pos) => problem.at(pos),
        None => problem,
    }
}

impl Document {
    /// `QueryRoot` or `Mutation`.
    pub(crate) fn root(&self) -> &'static str {
        match self.operation.node.ty {
            async_graphql_parser::types::OperationType::Mutation => "Mutation",
            _ => "QueryRoot",
        }
    }

    /// The variables in the shape of their types, defaults filled in.
    ///
    /// # Errors
    /// A problem for each variable that does not fit.
    pub(crate) fn variables(
        &self,
        schema: &Schema,
        given: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<Problem>> {
        let (mut values, mut problems) = (Map::new(), Vec::new());
        for definition in &self.operation.node.variable_definitions {
            let (pos, definition) = (definition.pos, &definition.node);
            let name = definition.name.node.to_string();
            let ty = &definition.var_type.node;
            let default = definition.default_value.as_ref().and_then(|value| value.node.clone().into_json().ok());
            let Some(value) = given.get(&name).cloned().or(default).or((!ty.nullable).then_some(Value::Null)) else {
                continue;
            };
            match values::coerce(schema, ty, &value) {
                Ok(value) => drop(values.insert(name, value)),
                Err(faults) => {
                    let list: Vec<Value> = faults
                        .iter()
                        .map(|fault| json!({"path": fault.path, "explanation": fault.explanation, "message": fault.explanation}))
                        .collect();
                    let first = faults.first().map(|fault| {
                        let place: Vec<String> = fault.path.iter().map(shown).collect();
                        format!(" for {} ({})", place.join("."), fault.explanation)
                    });
                    let detail = first.filter(|_| faults.first().is_some_and(|fault| !fault.path.is_empty()));
                    let detail = detail.unwrap_or_default();
                    let message = format!("Variable ${name} of type {ty} was provided invalid value{detail}");
                    problems.push(
                        Problem::coded("INVALID_VARIABLE", message).at(pos).with("value", value).with("problems", list),
                    );
                }
            }
        }
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }

    /// The fields asked of an object of type `object`, in order; those with one response key together.
    pub(crate) fn collect<'a>(
        &'a self,
        schema: &Schema,
        object: &str,
        sets: &[&'a SelectionSet],
        variables: &Map<String, Value>,
    ) -> Vec<(String, Vec<&'a Positioned<Field>>)> {
        let mut found: Vec<(String, Vec<&'a Positioned<Field>>)> = Vec::new();
        for set in sets {
            self.gather(schema, object, set, variables, &mut found);
        }
        found
    }

    fn gather<'a>(
        &'a self,
        schema: &Schema,
        object: &str,
        set: &'a SelectionSet,
        variables: &Map<String, Value>,
        found: &mut Vec<(String, Vec<&'a Positioned<Field>>)>,
    ) {
        for item in set.items.iter().filter(|item| included(&item.node, variables)) {
            let (condition, inner) = match &item.node {
                Selection::Field(field) => {
                    let key = field.node.response_key().node.to_string();
                    match found.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, fields)) => fields.push(field),
                        None => found.push((key, vec![field])),
                    }
                    continue;
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    (condition, &inline.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) else { continue };
                    (Some(fragment.node.type_condition.node.on.node.as_str()), &fragment.node.selection_set.node)
                }
            };
            if condition.is_none_or(|condition| schema.may_meet(object, condition)) {
                self.gather(schema, object, inner, variables, found);
            }
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `@skip` and `@include`.
fn included(selection: &Selection, variables: &Map<String, Value>) -> bool {
    selection.directives().iter().all(|directive| {
        let condition = directive.node.get_argument("if").and_then(|value| values::plain(&value.node, variables));
        let yes = condition.and_then(|value| value.as_bool());
        match directive.node.name.node.as_str() {
            "skip" => yes != Some(true),
            "include" => yes != Some(false),
            _ => true,
        }
    })
}

/// A field's arguments with the variables put in.
pub(crate) fn arguments(field: &Field, variables: &Map<String, Value>) -> Map<String, Value> {
    let given = field.arguments.iter();
    given.filter_map(|(name, value)| Some((name.node.to_string(), values::plain(&value.node, variables)?))).collect()
}
