//! `FieldNode`: a field of a schema, and the fields in it.

use std::collections::BTreeSet;

use crate::{KvError, KvResult, Scalar, ValueType};

/// Most characters of the name of a field.
const MAX_NAME: usize = 64;
/// Most fields that lie in each other.
const MAX_DEPTH: usize = 4;

/// A field of a [`Schema`](crate::Schema): it holds something of one type, or other fields.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldNode {
    pub(super) name: String,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Leaf(Leaf),
    /// In the order of their names, which is that of their text.
    Object(Vec<FieldNode>),
}

/// What a field holds that has no others in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) value_type: ValueType,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Scalar>,
}

impl FieldNode {
    /// A field that holds something of this type, which may not be null.
    #[must_use]
    pub fn new(name: impl Into<String>, value_type: ValueType) -> Self {
        let leaf = Leaf { value_type, nullable: false, default: None };
        Self { name: name.into(), content: Content::Leaf(leaf) }
    }

    /// A field that holds other fields.
    #[must_use]
    pub fn object(name: impl Into<String>) -> Self {
        Self { name: name.into(), content: Content::Object(Vec::new()) }
    }

    /// Sets whether it may be null, or missing. Does nothing to a field that holds others.
    #[must_use]
    pub fn nullable(mut self, nullable: bool) -> Self {
        if let Content::Leaf(leaf) = &mut self.content {
            leaf.nullable = nullable;
        }
        self
    }

    /// Sets what it counts as where it is missing. Does nothing to a field that holds others.
    #[must_use]
    pub fn default_value(mut self, default: impl Into<Scalar>) -> Self {
        if let Content::Leaf(leaf) = &mut self.content {
            leaf.default = Some(default.into());
        }
        self
    }

    /// Adds a field to those that it holds; returns whether it did. It does not if it holds something
    /// itself, or has one of that name.
    pub fn append_child(&mut self, child: FieldNode) -> bool {
        match &mut self.content {
            Content::Object(children) => {
                match children.binary_search_by(|other| other.name.cmp(&child.name)) {
                    Ok(_) => false,
                    Err(place) => {
                        children.insert(place, child);
                        true
                    }
                }
            }
            Content::Leaf(_) => false,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn children(&self) -> &[FieldNode] {
        match &self.content {
            Content::Object(children) => children,
            Content::Leaf(_) => &[],
        }
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children().iter().find(|child| child.name == name)
    }

    pub(super) fn leaf(&self) -> Option<&Leaf> {
        match &self.content {
            Content::Leaf(leaf) => Some(leaf),
            Content::Object(_) => None,
        }
    }

    /// Checks the tree below; returns how many fields it has.
    pub(super) fn check_root(&self) -> KvResult<usize> {
        match &self.content {
            Content::Object(children) => check_all(children, 1),
            Content::Leaf(_) => Err(KvError::schema("its root holds no fields")),
        }
    }

    fn check(&self, depth: usize) -> KvResult<usize> {
        let name = &self.name;
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(is_first) || !name.chars().all(is_allowed) || name.len() > MAX_NAME {
            return Err(KvError::schema(format!(
                "{name:?} is no name of a field: it has 1 to {MAX_NAME} letters, digits and underscores, \
                 and does not begin with a digit"
            )));
        }
        match &self.content {
            Content::Object(children) => Ok(1 + check_all(children, depth + 1)?),
            Content::Leaf(leaf) => leaf.check(name).map(|()| 1),
        }
    }
}

fn check_all(children: &[FieldNode], depth: usize) -> KvResult<usize> {
    if depth > MAX_DEPTH && !children.is_empty() {
        return Err(KvError::schema(format!("fields lie in each other {MAX_DEPTH} deep at most")));
    }
    let mut names = BTreeSet::new();
    let mut fields = 0;
    for child in children {
        if !names.insert(&child.name) {
            return Err(KvError::schema(format!("the field {:?} is there twice", child.name)));
        }
        fields += child.check(depth)?;
    }
    Ok(fields)
}

impl Leaf {
    fn check(&self, name: &str) -> KvResult<()> {
        if self.value_type == ValueType::ByteArray {
            return Err(KvError::schema(format!(
                "{name:?} is a byte array, which JSON does not have"
            )));
        }
        match &self.default {
            Some(default) if !default.fits(self.value_type) => {
                let value_type = self.value_type;
                let what = format!("the default of {name:?} is {default}, and no {value_type:?}");
                Err(KvError::schema(what))
            }
            _ => Ok(()),
        }
    }
}
