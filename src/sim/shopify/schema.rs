//! The simulated shop's types, read from `schema.graphql`: what may be asked, and with which arguments.

use std::collections::HashMap;

use async_graphql_parser::types::{
    BaseType, ConstDirective, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql_parser::{Positioned, parse_schema};

/// The types of the API by name.
pub(crate) struct Schema {
    types: HashMap<String, Kind>,
}

/// What a type is.
pub(crate) enum Kind {
    Scalar,
    Enum(Vec<String>),
    Object { fields: HashMap<String, Field>, implements: Vec<String> },
    Interface { fields: HashMap<String, Field> },
    Input(Vec<Argument>),
}

/// A field of an object or interface.
pub(crate) struct Field {
    pub(crate) arguments: Vec<Argument>,
    pub(crate) ty: Type,
    /// The access scope without which it is null.
    pub(crate) scope: Option<String>,
    /// Protected customer data.
    pub(crate) protected: bool,
}

/// An argument, or a field of an input object.
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) ty: Type,
}

impl Schema {
    /// # Errors
    /// The built-in text is no GraphQL schema.
    pub(crate) fn built_in() -> Result<Self, String> {
        let document = parse_schema(include_str!("schema.graphql")).map_err(|error| error.to_string())?;
        let mut types: HashMap<String, Kind> =
            ["Int", "Float", "String", "Boolean", "ID"].map(|name| (name.to_owned(), Kind::Scalar)).into();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(ty) = definition else { continue };
            let kind = kind(ty.node.kind).ok_or_else(|| format!("unions are not read: {}", ty.node.name.node))?;
            types.insert(ty.node.name.node.to_string(), kind);
        }
        Ok(Self { types })
    }

    pub(crate) fn kind(&self, name: &str) -> Option<&Kind> {
        self.types.get(name)
    }

    pub(crate) fn field(&self, of: &str, name: &str) -> Option<&Field> {
        match self.types.get(of)? {
            Kind::Object { fields, .. } | Kind::Interface { fields } => fields.get(name),
            _ => None,
        }
    }

    /// Whether it has fields to select.
    pub(crate) fn is_composite(&self, name: &str) -> bool {
        matches!(self.types.get(name), Some(Kind::Object { .. } | Kind::Interface { .. }))
    }

    pub(crate) fn is_input(&self, name: &str) -> bool {
        matches!(self.types.get(name), Some(Kind::Scalar | Kind::Enum(_) | Kind::Input(_)))
    }

    /// Whether an object of type `object` is selected by `... on condition`.
    pub(crate) fn fits(&self, object: &str, condition: &str) -> bool {
        object == condition
            || matches!(self.types.get(object), Some(Kind::Object { implements, .. }) if implements.iter().any(|i| i == condition))
    }

    /// Whether `... on condition` can ever fit inside `parent`.
    pub(crate) fn may_meet(&self, parent: &str, condition: &str) -> bool {
        self.fits(parent, condition)
            || self.fits(condition, parent)
            || self.types.keys().any(|object| self.fits(object, parent) && self.fits(object, condition))
    }

    /// Every named type that something refers to and that is nowhere declared.
    #[cfg(test)]
    pub(crate) fn dangling(&self) -> Vec<String> {
        let mut named: Vec<&Type> = Vec::new();
        for kind in self.types.values() {
            match kind {
                Kind::Object { fields, .. } | Kind::Interface { fields } => {
                    for field in fields.values() {
                        named.push(&field.ty);
                        named.extend(field.arguments.iter().map(|argument| &argument.ty));
                    }
                }
                Kind::Input(fields) => named.extend(fields.iter().map(|field| &field.ty)),
                Kind::Scalar | Kind::Enum(_) => {}
            }
        }
        named.iter().map(|ty| base(ty)).filter(|name| !self.types.contains_key(*name)).map(str::to_owned).collect()
    }
}

/// The name inside all lists.
pub(crate) fn base(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => base(inner),
    }
}

/// Whether a field of this type is paged: `nodes`, `edges`, `pageInfo`.
pub(crate) fn is_connection(ty: &Type) -> bool {
    matches!(&ty.base, BaseType::Named(name) if name.ends_with("Connection"))
}

fn kind(kind: TypeKind) -> Option<Kind> {
    Some(match kind {
        TypeKind::Scalar => Kind::Scalar,
        TypeKind::Enum(of) => Kind::Enum(of.values.iter().map(|value| value.node.value.node.to_string()).collect()),
        TypeKind::Object(of) => Kind::Object {
            fields: fields(of.fields),
            implements: of.implements.iter().map(|name| name.node.to_string()).collect(),
        },
        TypeKind::Interface(of) => Kind::Interface { fields: fields(of.fields) },
        TypeKind::InputObject(of) => Kind::Input(arguments(of.fields)),
        TypeKind::Union(_) => return None,
    })
}

fn fields(list: Vec<Positioned<FieldDefinition>>) -> HashMap<String, Field> {
    let read = |field: FieldDefinition| {
        let scope = directive(&field.directives, "scope").and_then(|scope| {
            scope.arguments.iter().find(|(name, _)| name.node == "need").map(|(_, value)| value.node.clone())
        });
        let scope = match scope {
            Some(async_graphql_value::ConstValue::String(text)) => Some(text),
            _ => None,
        };
        let protected = directive(&field.directives, "protected").is_some();
        let arguments = arguments(field.arguments);
        (field.name.node.to_string(), Field { arguments, ty: field.ty.node, scope, protected })
    };
    list.into_iter().map(|field| read(field.node)).collect()
}

fn directive<'a>(list: &'a [Positioned<ConstDirective>], name: &str) -> Option<&'a ConstDirective> {
    list.iter().map(|directive| &directive.node).find(|directive| directive.name.node == name)
}

fn arguments(list: Vec<Positioned<InputValueDefinition>>) -> Vec<Argument> {
    list.into_iter().map(|value| Argument { name: value.node.name.node.to_string(), ty: value.node.ty.node }).collect()
}
