//! From a YAML tree to the grammar. What does not fit is noted, and the rest is read on.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Level, Position,
    nearest::did_you_mean,
    yaml::{Marked, Text, Tree, Value},
};

/// A list; a null in it keeps its place, to be reported there.
pub(super) type List<T> = Vec<Marked<Option<T>>>;

/// A mapping with free keys, in the order of the file.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(Text, Option<T>)>);

/// The nodes of a sequence: what is noted within one names it.
#[derive(Debug)]
pub(super) struct Nodes<T>(pub(super) Vec<(Text, Option<T>)>);

/// Anything, unread.
#[derive(Debug)]
pub(super) struct Ignored;

/// Notes what does not fit the grammar.
pub(super) struct Reader<'a> {
    pub(super) source: &'a str,
    pub(super) problems: Vec<Problem>,
    /// How many of them are errors.
    pub(super) errors: usize,
    /// The sequence and the node being read.
    pub(super) sequence: Option<Arc<str>>,
    node: Option<Arc<str>>,
}

/// What does not fit the grammar.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) level: Level,
    pub(super) at: Position,
    pub(super) sequence: Option<Arc<str>>,
    pub(super) node: Option<Arc<str>>,
    pub(super) message: String,
}

/// What can be read from a value of a file. `field` is where it stands, for what is noted.
pub(super) trait Decode: Sized {
    /// Reads a value that is not null; `None` when it does not fit, which was noted.
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self>;
}

/// What stands in a list, without nulls.
pub(super) fn items<T>(list: Option<&List<T>>) -> impl Iterator<Item = &T> {
    list.into_iter().flatten().filter_map(|item| item.value.as_ref())
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, problems: Vec::new(), errors: 0, sequence: None, node: None }
    }

    pub(super) fn note(&mut self, level: Level, at: Position, message: String) {
        let (sequence, node) = (self.sequence.clone(), self.node.clone());
        self.errors += usize::from(level == Level::Error);
        self.problems.push(Problem { level, at, sequence, node, message });
    }

    /// Notes that a value is of another kind than its field.
    pub(super) fn wrong(&mut self, tree: &Tree, field: &str, expected: &str) {
        let found = tree.describe(self.source);
        self.note(
            Level::Error,
            tree.at,
            format!("invalid value {found} in field '{field}', expected {expected}"),
        );
    }

    /// Notes a key that is no field.
    pub(super) fn unknown(&mut self, key: &Text, known: &[&str]) {
        let near = did_you_mean(&key.value, known.iter().copied());
        self.note(Level::Warning, key.at, format!("unknown field '{}' is ignored{near}", key.value));
    }

    /// The entries of a mapping, of which each key has its last value; the others are noted.
    pub(super) fn mapping<'t>(&mut self, tree: &'t Tree, field: &str) -> Option<Vec<(&'t Text, &'t Tree)>> {
        let Value::Mapping(entries) = &tree.value else {
            self.wrong(tree, field, "a mapping");
            return None;
        };
        let mut places = BTreeMap::new();
        let mut last: Vec<Option<(&Text, &Tree)>> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if let Some(earlier) = places.insert(key.value.as_str(), last.len()) {
                self.repeated(key.at, &key.value);
                last[earlier] = None;
            }
            last.push(Some((key, value)));
        }
        Some(last.into_iter().flatten().collect())
    }

    pub(super) fn repeated(&mut self, at: Position, key: &str) {
        self.note(Level::Warning, at, format!("key '{key}' is given twice; its last value is used"));
    }

    /// Reads what may be null, which is "not given".
    pub(super) fn optional<T: Decode>(&mut self, tree: &Tree, field: &str) -> Option<T> {
        if matches!(tree.value, Value::Null) { None } else { T::decode(tree, field, self) }
    }
}

impl Decode for String {
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let text = tree.literal(reader.source).map(str::to_owned);
        if text.is_none() {
            reader.wrong(tree, field, "text");
        }
        text
    }
}

impl Decode for bool {
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        if let Value::Bool(value) = tree.value {
            return Some(value);
        }
        reader.wrong(tree, field, "true or false");
        None
    }
}

impl Decode for u32 {
    /// Reads a number that is not negative; a fraction is cut off, as in Spin Cycle.
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let count = match tree.value {
            Value::Count(number) => Self::try_from(number).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a number in the bounds of a count, of which the fraction is cut off"
            )]
            Value::Number(number) if (0.0..=f64::from(Self::MAX)).contains(&number) => Some(number as Self),
            _ => None,
        };
        if count.is_none() {
            reader.wrong(tree, field, &format!("a whole number from 0 to {}", Self::MAX));
        }
        count
    }
}

impl Decode for Ignored {
    fn decode(_: &Tree, _: &str, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self)
    }
}

impl<T: Decode> Decode for Marked<T> {
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        T::decode(tree, field, reader).map(|value| Self { value, at: tree.at })
    }
}

impl<T: Decode> Decode for Vec<Marked<Option<T>>> {
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::List(list) = &tree.value else {
            reader.wrong(tree, field, "a list");
            return None;
        };
        let item = |item: &Tree| Marked { value: reader.optional(item, field), at: item.at };
        Some(list.iter().map(item).collect())
    }
}

impl<T: Decode> Decode for Entries<T> {
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.mapping(tree, field)?;
        Some(Self(
            entries.into_iter().map(|(key, value)| (key.clone(), reader.optional(value, field))).collect(),
        ))
    }
}

impl<T: Decode> Decode for Nodes<T> {
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let mut nodes = Vec::new();
        for (name, node) in reader.mapping(tree, field)? {
            reader.node = Some(name.value.as_str().into());
            nodes.push((name.clone(), reader.optional(node, field)));
            reader.node = None;
        }
        Some(Self(nodes))
    }
}

/// Declares a mapping with fixed keys. Every field is optional and null is "not given"; keys that are no field are noted.
macro_rules! mapping {
    (
        $(#[$meta:meta])*
        struct $name:ident { $( $(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name {
            $( $(#[$field_meta])* pub(super) $field: Option<$type>, )*
        }

        impl $crate::spec::decode::Decode for $name {
            fn decode(
                tree: &$crate::spec::yaml::Tree,
                field: &str,
                reader: &mut $crate::spec::decode::Reader<'_>,
            ) -> Option<Self> {
                let mut fields = Self::default();
                for (key, value) in reader.mapping(tree, field)? {
                    match key.value.as_str() {
                        $( $key => fields.$field = reader.optional(value, $key), )*
                        _ => reader.unknown(key, &[$( $key, )*]),
                    }
                }
                Some(fields)
            }
        }
    };
}

pub(super) use mapping;
