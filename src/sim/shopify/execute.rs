//! Runs a checked query: selects, follows links, pages, and keeps what may not be seen out of the answer.

use async_graphql_parser::Positioned;
use async_graphql_parser::types::{BaseType, Field, SelectionSet, Type};
use serde_json::{Map, Value, json};

use super::data::{Shop, gid, id_of};
use super::document::{self, Document};
use super::problem::Problem;
use super::queries::{self, Arguments, Found, View, given};
use super::schema::{self, Schema};
use super::{cost, mutations, pages, render};

/// A null where none may be: the object around it becomes null.
pub(crate) struct Bubble;

/// What an app may see.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) scopes: Vec<String>,
    pub(crate) protected_data: bool,
}

impl Grant {
    /// Whoever may write may read.
    pub(crate) fn has(&self, scope: &str) -> bool {
        let writes = scope.strip_prefix("read_").map(|what| format!("write_{what}"));
        self.scopes.iter().any(|granted| granted == scope || Some(granted) == writes.as_ref())
    }
}

/// One request while it is run.
pub(crate) struct Run<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) document: &'a Document,
    pub(crate) variables: &'a Map<String, Value>,
    pub(crate) grant: &'a Grant,
    pub(crate) view: View,
    pub(crate) shop: &'a mut Shop,
    /// Of the path asked: since 2026-04 refunds want a key.
    pub(crate) keys_wanted: bool,
    /// Polls of a new job that hear "not done".
    pub(crate) job_polls: u32,
    /// Fault: one object below the root is answered as an internal error.
    pub(crate) break_one: bool,
    pub(crate) request_id: String,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Value>,
    pub(crate) points: u64,
    path: Vec<Value>,
}

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) data: Value,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Value>,
    pub(crate) points: u64,
    /// The fault that was asked for found nothing to break.
    pub(crate) unbroken: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        (schema, document, variables): (&'a Schema, &'a Document, &'a Map<String, Value>),
        grant: &'a Grant,
        view: View,
        shop: &'a mut Shop,
    ) -> Self {
        Self {
            schema,
            document,
            variables,
            grant,
            view,
            shop,
            keys_wanted: true,
            job_polls: 2,
            break_one: false,
            request_id: String::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            points: 0,
            path: Vec::new(),
        }
    }

    /// Runs the operation, mutations one after another.
    pub(crate) fn outcome(mut self) -> Outcome {
        let document = self.document;
        let sets = [&document.operation.node.selection_set.node];
        let data = self.object(document.root(), &Value::Null, &sets).unwrap_or(Value::Null);
        let unbroken = self.break_one;
        Outcome { data, problems: self.problems, warnings: self.warnings, points: self.points, unbroken }
    }

    fn object(&mut self, ty: &str, source: &Value, sets: &[&'a SelectionSet]) -> Result<Value, Bubble> {
        let document = self.document;
        let mut out = Map::new();
        for (key, fields) in document.collect(self.schema, ty, sets, self.variables) {
            self.path.push(json!(key));
            let value = self.field(ty, source, &fields);
            self.path.pop();
            out.insert(key, value?);
        }
        Ok(Value::Object(out))
    }

    fn field(&mut self, ty: &str, source: &Value, fields: &[&'a Positioned<Field>]) -> Result<Value, Bubble> {
        let Some(field) = fields.first() else { return Ok(Value::Null) };
        let name = field.node.name.node.as_str();
        if name == "__typename" {
            return Ok(json!(ty));
        }
        let schema = self.schema;
        let Some(known) = schema.field(ty, name) else { return Ok(Value::Null) };
        let arguments = document::arguments(&field.node, self.variables);
        let refusal = self.refusal(name, known).or_else(|| self.hidden_node(ty, name, &arguments));
        let raw = match refusal {
            Some(problem) => Err(problem),
            None => self.raw(ty, field, source, &arguments),
        };
        let sets: Vec<&'a SelectionSet> = fields.iter().map(|field| &field.node.selection_set.node).collect();
        match raw {
            Ok(raw) => self.complete(&known.ty, &raw, &sets, &arguments),
            Err(problem) => {
                self.problems.push(problem.at(field.pos).path(&self.path));
                if known.ty.nullable { Ok(Value::Null) } else { Err(Bubble) }
            }
        }
    }

    /// Why this app does not get the field.
    fn refusal(&mut self, name: &str, known: &schema::Field) -> Option<Problem> {
        if let Some(scope) = known.scope.as_ref().filter(|scope| !self.grant.has(scope)) {
            return Some(Problem::denied(name, scope));
        }
        if known.protected && !self.grant.protected_data {
            return Some(Problem::protected(name));
        }
        let breakable = self.path.len() > 1 && known.ty.nullable && self.schema.is_composite(schema::base(&known.ty));
        if self.break_one && breakable {
            self.break_one = false;
            return Some(Problem::internal(&self.request_id));
        }
        None
    }

    /// `node(id:)` gives nothing that the field of its own would not.
    fn hidden_node(&self, ty: &str, name: &str, arguments: &Arguments) -> Option<Problem> {
        if (ty, name) != ("QueryRoot", "node") {
            return None;
        }
        let kind = kind_of(given(arguments, "id").as_str()?);
        let root = match kind {
            "Customer" => "customer",
            "Product" | "ProductVariant" => "product",
            "DraftOrder" => "draftOrder",
            "Return" => "return",
            "Job" | "Shop" | "Location" => return None,
            _ => "order",
        };
        let scope = self.schema.field("QueryRoot", root)?.scope.as_ref()?;
        (!self.grant.has(scope)).then(|| Problem::denied(name, scope))
    }

    /// What the field holds, before anything is selected from it.
    fn raw(
        &mut self,
        ty: &str,
        field: &'a Positioned<Field>,
        source: &Value,
        arguments: &Arguments,
    ) -> Result<Value, Problem> {
        let name = field.node.name.node.as_str();
        let schema = self.schema;
        let connection = schema.field(ty, name).is_some_and(|known| schema::is_connection(&known.ty));
        if connection {
            return self.page(ty, name, source, arguments);
        }
        match ty {
            "QueryRoot" if name == "currentAppInstallation" => {
                let scopes = self.grant.scopes.iter().map(|scope| json!({"handle": scope, "description": scope}));
                Ok(json!({"id": gid("AppInstallation", 1), "accessScopes": scopes.collect::<Vec<_>>()}))
            }
            "QueryRoot" => Ok(queries::single(self.shop, self.view, name, arguments)),
            "Mutation" => {
                self.points += cost::MUTATION - 1;
                mutations::run(self, &field.node, arguments)
            }
            _ => {
                let computed = queries::computed(self.shop, self.view, (ty, name), source, arguments);
                let mut value = computed.unwrap_or_else(|| source[name].clone());
                if let (Value::Array(list), Some(first)) = (&mut value, given(arguments, "first").as_u64()) {
                    list.truncate(usize::try_from(first).unwrap_or(usize::MAX));
                }
                Ok(value)
            }
        }
    }

    fn page(&mut self, ty: &str, name: &str, source: &Value, arguments: &Arguments) -> Result<Value, Problem> {
        let found = match (ty, name) {
            ("QueryRoot", _) => queries::many(self.shop, self.view, name, arguments),
            ("Customer", "orders") => {
                let of = source["id"].as_str().and_then(|id| id_of("Customer", id));
                queries::orders(self.shop, self.view, of, arguments)
            }
            _ => {
                let list = queries::computed(self.shop, self.view, (ty, name), source, arguments);
                let nodes = match list {
                    Some(list) => list.as_array().cloned().unwrap_or_default(),
                    None => queries::reversed(source[name].as_array().cloned().unwrap_or_default(), arguments),
                };
                Found { nodes, warned: None }
            }
        };
        if let Some(mut warned) = found.warned {
            warned["path"] = json!(self.path);
            self.warnings.push(warned);
        }
        self.points += cost::CONNECTION;
        pages::page(found.nodes, arguments)
    }

    /// Brings a raw value into the shape of its type.
    fn complete(
        &mut self,
        ty: &Type,
        raw: &Value,
        sets: &[&'a SelectionSet],
        arguments: &Arguments,
    ) -> Result<Value, Bubble> {
        let value = match &ty.base {
            _ if raw.is_null() => Value::Null,
            BaseType::List(inner) => match raw.as_array() {
                Some(list) => self.list(inner, list, sets, arguments),
                None => Value::Null,
            },
            BaseType::Named(name) if self.schema.is_composite(name.as_str()) => {
                self.composite(name.as_str(), raw, sets)
            }
            BaseType::Named(_) => raw.clone(),
        };
        if value.is_null() && !ty.nullable { Err(Bubble) } else { Ok(value) }
    }

    fn list(&mut self, inner: &Type, list: &[Value], sets: &[&'a SelectionSet], arguments: &Arguments) -> Value {
        let mut out = Vec::with_capacity(list.len());
        for (at, item) in list.iter().enumerate() {
            self.path.push(json!(at));
            let item = self.complete(inner, item, sets, arguments);
            self.path.pop();
            match item {
                Ok(item) => out.push(item),
                Err(Bubble) => return Value::Null,
            }
        }
        Value::Array(out)
    }

    fn composite(&mut self, declared: &str, raw: &Value, sets: &[&'a SelectionSet]) -> Value {
        let followed;
        let (object, source) = match raw["@"].as_str() {
            Some(id) => {
                followed = self.follow(id);
                (kind_of(id), &followed)
            }
            None => (raw["__typename"].as_str().unwrap_or(declared), raw),
        };
        if source.is_null() || !(object == declared || self.schema.fits(object, declared)) {
            return Value::Null;
        }
        let paging = declared.ends_with("Connection") || declared.ends_with("Edge") || declared == "PageInfo";
        self.points += u64::from(!paging);
        self.object(object, source, sets).unwrap_or(Value::Null)
    }

    /// The object behind a global id, if this app may see it.
    fn follow(&self, id: &str) -> Value {
        let order = id_of("Order", id).and_then(|id| self.shop.orders.get(&id));
        if order.is_some_and(|order| !self.view.sees(order)) {
            return Value::Null;
        }
        render::object(self.shop, id)
    }
}

/// `Order` of `gid://shopify/Order/1`.
fn kind_of(id: &str) -> &str {
    id.strip_prefix("gid://shopify/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}
