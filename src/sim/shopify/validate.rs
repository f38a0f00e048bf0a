//! Whether a query fits the schema: unknown fields and arguments, missing ones, values and variables of another type.
//!
//! Messages and codes are those that Shopify's GraphQL library is known to answer with.

use std::collections::{HashMap, HashSet};

use async_graphql_parser::types::{
    BaseType, Directive, Field, OperationType, Selection, SelectionSet, Type, VariableDefinition,
};
use async_graphql_parser::{Pos, Positioned};
use async_graphql_value::Value as Literal;
use serde_json::{Value, json};

use super::document::Document;
use super::problem::Problem;
use super::schema::{self, Argument, Kind, Schema};
use super::values;

/// Selections looked at, fragments expanded; a query that needs more is refused.
const SELECTIONS_MAX: usize = 5000;
/// Problems told; more would only repeat.
const PROBLEMS_MAX: usize = 50;

struct Checker<'a> {
    schema: &'a Schema,
    document: &'a Document,
    declared: HashMap<&'a str, &'a VariableDefinition>,
    used: HashSet<String>,
    /// Fragments that are being looked at, outermost first.
    open: Vec<&'a str>,
    spread: HashSet<&'a str>,
    path: Vec<Value>,
    seen: usize,
    problems: Vec<Problem>,
}

/// Everything that is wrong with the document; empty is good.
pub(crate) fn check(schema: &Schema, document: &Document) -> Vec<Problem> {
    let operation = &document.operation.node;
    if operation.ty == OperationType::Subscription {
        return vec![Problem::new("Schema is not configured for subscriptions").at(document.operation.pos)];
    }
    let definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
    let mut checker = Checker {
        schema,
        document,
        declared: definitions.map(|definition| (definition.name.node.as_str(), definition)).collect(),
        used: HashSet::new(),
        open: Vec::new(),
        spread: HashSet::new(),
        path: vec![json!(document.title)],
        seen: 0,
        problems: Vec::new(),
    };
    checker.declarations();
    checker.set(document.root(), &operation.selection_set.node);
    checker.leftovers();
    checker.problems.truncate(PROBLEMS_MAX);
    checker.problems
}

impl<'a> Checker<'a> {
    fn tell(&mut self, pos: Pos, problem: Problem) {
        let problem = problem.at(pos).path(&self.path);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn declarations(&mut self) {
        for definition in &self.document.operation.node.variable_definitions {
            let (name, ty) = (&definition.node.name.node, &definition.node.var_type.node);
            if !self.schema.is_input(schema::base(ty)) {
                let message = format!("{} isn't a defined input type (on ${name})", schema::base(ty));
                let problem = Problem::coded("variableRequiresValidType", message);
                let problem = problem.with("variableName", name.as_str()).with("typeName", schema::base(ty));
                self.tell(definition.pos, problem);
            }
        }
    }

    /// Variables and fragments that nothing uses are errors too.
    fn leftovers(&mut self) {
        let document = self.document;
        for definition in &document.operation.node.variable_definitions {
            let name = definition.node.name.node.as_str();
            if !self.used.contains(name) {
                let message = format!("Variable ${name} is declared by {} but not used", document.title);
                self.tell(definition.pos, Problem::coded("variableNotUsed", message).with("variableName", name));
            }
        }
        for (name, fragment) in &document.fragments {
            if !self.spread.contains(name.as_str()) {
                let message = format!("Fragment {name} was defined, but not used");
                let problem = Problem::coded("useAndDefineFragment", message).with("fragmentName", name.as_str());
                self.tell(fragment.pos, problem);
            }
        }
    }

    fn set(&mut self, ty: &str, set: &'a SelectionSet) {
        let mut keys: HashMap<&str, (&str, String)> = HashMap::new();
        for item in &set.items {
            self.seen += 1;
            if self.seen > SELECTIONS_MAX {
                return self.tell(item.pos, Problem::new("Query has too many selections"));
            }
            match &item.node {
                Selection::Field(field) => {
                    let key = field.node.response_key().node.as_str();
                    let asked = (field.node.name.node.as_str(), format!("{:?}", plain_arguments(&field.node)));
                    if let Some((name, _)) = keys.get(key).filter(|known| **known != asked) {
                        let message = format!("Field '{key}' has a field conflict: {name} or {}?", asked.0);
                        self.tell(item.pos, Problem::coded("fieldConflict", message).with("fieldName", key));
                    }
                    keys.insert(key, asked);
                    self.path.push(json!(key));
                    self.field(ty, field);
                    self.path.pop();
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    let condition = condition.unwrap_or(ty);
                    self.path.push(json!(format!("... on {condition}")));
                    self.directives(&inline.node.directives);
                    self.fragment(ty, condition, item.pos, &inline.node.selection_set.node);
                    self.path.pop();
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives);
                    self.spread(ty, spread.node.fragment_name.node.as_str(), item.pos);
                }
            }
        }
    }

    fn spread(&mut self, ty: &str, name: &'a str, pos: Pos) {
        let document = self.document;
        let Some(fragment) = document.fragments.get(name) else {
            let problem = Problem::coded("useAndDefineFragment", format!("Fragment {name} was used, but not defined"));
            return self.tell(pos, problem.with("fragmentName", name));
        };
        self.spread.insert(name);
        if self.open.contains(&name) {
            let problem = Problem::coded("infiniteLoop", format!("Fragment {name} contains an infinite loop"));
            return self.tell(pos, problem.with("fragmentName", name));
        }
        self.open.push(name);
        let outside = std::mem::replace(&mut self.path, vec![json!(format!("fragment {name}"))]);
        let condition = fragment.node.type_condition.node.on.node.as_str();
        self.fragment(ty, condition, pos, &fragment.node.selection_set.node);
        self.path = outside;
        self.open.pop();
    }

    fn fragment(&mut self, parent: &str, condition: &str, pos: Pos, set: &'a SelectionSet) {
        if !self.schema.is_composite(condition) {
            let message = format!("No such type {condition}, so it can't be a fragment condition");
            return self.tell(pos, Problem::coded("undefinedType", message).with("typeName", condition));
        }
        if !self.schema.may_meet(parent, condition) {
            let message = format!("Fragment on {condition} can't be spread inside {parent}");
            let problem = Problem::coded("cannotSpreadFragment", message);
            return self.tell(pos, problem.with("typeName", condition).with("parentName", parent));
        }
        self.set(condition, set);
    }

    fn field(&mut self, parent: &str, field: &'a Positioned<Field>) {
        let name = field.node.name.node.as_str();
        let sub = &field.node.selection_set.node;
        if name == "__typename" {
            return;
        }
        let Some(known) = self.schema.field(parent, name) else {
            let message = format!("Field '{name}' doesn't exist on type '{parent}'");
            let problem = Problem::coded("undefinedField", message);
            return self.tell(field.pos, problem.with("typeName", parent).with("fieldName", name));
        };
        self.directives(&field.node.directives);
        self.arguments("Field", name, field.pos, &known.arguments, &field.node.arguments);
        let ty = schema::base(&known.ty);
        let composite = self.schema.is_composite(ty);
        if composite && sub.items.is_empty() {
            let shown = known.ty.to_string();
            let message = format!(
                "Field must have selections (field '{name}' returns {shown} but has no selections. Did you mean '{name} {{ ... }}'?)"
            );
            let problem = Problem::coded("selectionMismatch", message);
            return self.tell(field.pos, problem.with("nodeName", format!("field '{name}'")).with("typeName", shown));
        }
        if !composite && !sub.items.is_empty() {
            let message =
                format!("Selections can't be made on scalars (field '{name}' returns {ty} but has selections)");
            let problem = Problem::coded("selectionMismatch", message);
            return self.tell(field.pos, problem.with("nodeName", format!("field '{name}'")).with("typeName", ty));
        }
        if composite {
            self.set(ty, sub);
        }
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) {
        for directive in directives {
            let name = directive.node.name.node.as_str();
            let wanted = match name {
                "skip" | "include" => ("if", "Boolean!"),
                "idempotent" => ("key", "String!"),
                _ => {
                    let problem = Problem::coded("undefinedDirective", format!("Directive @{name} is not defined"));
                    self.tell(directive.pos, problem.with("directiveName", name));
                    continue;
                }
            };
            let Some(ty) = Type::new(wanted.1) else { continue };
            let known = [Argument { name: wanted.0.to_owned(), ty }];
            self.arguments("Directive", name, directive.pos, &known, &directive.node.arguments);
        }
    }

    fn arguments(
        &mut self,
        class: &str,
        owner: &str,
        pos: Pos,
        known: &[Argument],
        given: &'a [(Positioned<async_graphql_value::Name>, Positioned<Literal>)],
    ) {
        for (name, value) in given {
            let name_text = name.node.as_str();
            match known.iter().find(|argument| argument.name == name_text) {
                None => {
                    let message = format!("{class} '{owner}' doesn't accept argument '{name_text}'");
                    let problem = Problem::coded("argumentNotAccepted", message).with("name", owner);
                    self.tell(name.pos, problem.with("typeName", class).with("argumentName", name_text));
                }
                Some(argument) => self.value(class, owner, argument, value.pos, &argument.ty, &value.node),
            }
        }
        let required = known.iter().filter(|argument| !argument.ty.nullable);
        let missing: Vec<&str> = required
            .map(|argument| argument.name.as_str())
            .filter(|wanted| !given.iter().any(|(name, _)| name.node == *wanted))
            .collect();
        if !missing.is_empty() {
            let list = missing.join(", ");
            let message = format!("{class} '{owner}' is missing required arguments: {list}");
            let problem = Problem::coded("missingRequiredArguments", message).with("className", class);
            self.tell(pos, problem.with("name", owner).with("arguments", list));
        }
    }

    /// Looks into a literal with the type that is wanted there.
    fn value(&mut self, class: &str, owner: &str, argument: &Argument, pos: Pos, ty: &Type, literal: &Literal) {
        let problem = match (&ty.base, literal) {
            (_, Literal::Variable(name)) => return self.variable(name.as_str(), &argument.name, pos, ty),
            (_, Literal::Null) if ty.nullable => return,
            (_, Literal::Null) => self.unfit(class, owner, argument, ty, literal),
            (BaseType::List(inner), Literal::List(items)) => {
                return items.iter().for_each(|item| self.value(class, owner, argument, pos, inner, item));
            }
            (BaseType::List(inner), alone) => return self.value(class, owner, argument, pos, inner, alone),
            (BaseType::Named(name), Literal::Object(fields)) => match self.schema.kind(name.as_str()) {
                Some(Kind::Input(known)) => {
                    let fields: Vec<(&str, &Literal)> =
                        fields.iter().map(|(key, value)| (key.as_str(), value)).collect();
                    return self.input(name.as_str(), known, &fields, pos);
                }
                _ => self.unfit(class, owner, argument, ty, literal),
            },
            (BaseType::Named(name), literal) if values::kind_fits(self.schema, name.as_str(), literal) => return,
            (BaseType::Named(name), Literal::String(text)) if name == "ID" => {
                let problem = Problem::coded("argumentLiteralsIncompatible", format!("Invalid global id '{text}'"));
                problem.with("typeName", "CoercionError")
            }
            _ => self.unfit(class, owner, argument, ty, literal),
        };
        self.tell(pos, problem);
    }

    fn unfit(&self, class: &str, owner: &str, argument: &Argument, ty: &Type, literal: &Literal) -> Problem {
        let (name, shown) = (&argument.name, values::written(literal));
        let message =
            format!("Argument '{name}' on {class} '{owner}' has an invalid value ({shown}). Expected type '{ty}'.");
        Problem::coded("argumentLiteralsIncompatible", message)
            .with("typeName", class)
            .with("argumentName", name.as_str())
    }

    fn input(&mut self, name: &str, known: &'a [Argument], given: &[(&str, &Literal)], pos: Pos) {
        for (key, value) in given {
            match known.iter().find(|field| field.name == *key) {
                Some(field) => self.value("InputObject", name, field, pos, &field.ty, value),
                None => {
                    let message = format!("InputObject '{name}' doesn't accept argument '{key}'");
                    let problem = Problem::coded("argumentNotAccepted", message).with("name", name);
                    self.tell(pos, problem.with("typeName", "InputObject").with("argumentName", *key));
                }
            }
        }
        let missing = |field: &&Argument| !field.ty.nullable && !given.iter().any(|(key, _)| field.name == *key);
        for field in known.iter().filter(missing) {
            let (wanted, ty) = (&field.name, &field.ty);
            let message = format!("Argument '{wanted}' on InputObject '{name}' is required. Expected type {ty}");
            let problem = Problem::coded("missingRequiredInputObjectAttribute", message);
            self.tell(pos, problem.with("argumentName", wanted.as_str()).with("inputObjectType", name));
        }
    }

    /// A variable must have been declared, with a type that fits where it stands.
    fn variable(&mut self, name: &str, argument: &str, pos: Pos, wanted: &Type) {
        self.used.insert(name.to_owned());
        let Some(declared) = self.declared.get(name).copied() else {
            let message = format!("Variable ${name} is used by {} but not declared", self.document.title);
            return self.tell(pos, Problem::coded("variableNotDefined", message).with("variableName", name));
        };
        let ty = &declared.var_type.node;
        let what = if schema::base(ty) != schema::base(wanted) {
            "Type mismatch"
        } else if depth(ty) != depth(wanted) {
            "List dimension mismatch"
        } else if ty.nullable && !wanted.nullable && declared.default_value.is_none() {
            "Nullability mismatch"
        } else {
            return;
        };
        let message = format!("{what} on variable ${name} and argument {argument} ({ty} / {wanted})");
        let problem = Problem::coded("variableMismatch", message).with("variableName", name);
        let problem = problem.with("typeName", ty.to_string()).with("argumentName", argument);
        self.tell(pos, problem.with("errorMessage", what));
    }
}

fn plain_arguments(field: &Field) -> Vec<(&str, String)> {
    field.arguments.iter().map(|(name, value)| (name.node.as_str(), values::written(&value.node))).collect()
}

fn depth(ty: &Type) -> usize {
    match &ty.base {
        BaseType::Named(_) => 0,
        BaseType::List(inner) => 1 + depth(inner),
    }
}
