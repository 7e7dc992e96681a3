//! YAML as a tree: what stands in a file and where, with nothing lost or guessed.
//!
//! Scalars keep their literal source beside what YAML takes them for: where the grammar wants text, `yes` stays `"yes"` and
//! `1.0` stays `"1.0"`, as in Spin Cycle. Keys given twice all stand in the tree. Anchors, aliases, merge keys and bounds on them are
//! the parser's work.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Error, Spanned, options::NonFiniteFloatPolicy};

/// A place in a file, both counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl From<serde_saphyr::Location> for Position {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marked<T> {
    pub(super) value: T,
    pub(super) at: Position,
}

/// A text and where it stands.
pub(super) type Text = Marked<String>;

/// One value of a file.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) value: Value,
    pub(super) at: Position,
    /// Where its source is in the text, in bytes.
    source: Option<(usize, usize)>,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A whole number that is not negative.
    Count(u64),
    /// Any other number.
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Mapping(Vec<(Text, Tree)>),
}

/// Why a text is no YAML.
#[derive(Debug)]
pub(super) struct Malformed {
    /// Where, if the parser knows.
    pub(super) at: Option<Position>,
    pub(super) reason: String,
}

/// A key that is given twice, which only the parser saw.
#[derive(Debug)]
pub(super) struct Repeated {
    pub(super) at: Option<Position>,
    pub(super) key: String,
}

/// Reads a text. Keys that are the same number in other words are counted as one by the parser: of those the tree has the last, and the
/// first repetition is told beside it.
pub(super) fn read(text: &str) -> Result<(Tree, Option<Repeated>), Malformed> {
    // Numbers as yaml.v2 reads them: 010 is eight.
    let strict = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let error = match serde_saphyr::from_str_with_options(text, strict) {
        Ok(tree) => return Ok((tree, None)),
        Err(error) => error,
    };
    let Error::DuplicateMappingKey { key, .. } = &error else { return Err(Malformed::from(&error)) };
    let repeated =
        Repeated { at: error.location().map(Position::from), key: key.clone().unwrap_or_default() };
    let lenient = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
    };
    match serde_saphyr::from_str_with_options(text, lenient) {
        Ok(tree) => Ok((tree, Some(repeated))),
        Err(error) => Err(Malformed::from(&error)),
    }
}

impl From<&Error> for Malformed {
    /// The error's text without the place the parser puts at its end.
    fn from(error: &Error) -> Self {
        let text = error.to_string();
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
        Self { at: error.location().map(Position::from), reason: reason.to_owned() }
    }
}

impl Tree {
    /// A scalar's literal source; `None` for null, lists and mappings.
    pub(super) fn literal<'a>(&'a self, source: &'a str) -> Option<&'a str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Bool(_) | Value::Count(_) | Value::Number(_) => {
                let (start, end) = self.source?;
                source.get(start..end)
            }
            Value::Null | Value::List(_) | Value::Mapping(_) => None,
        }
    }

    /// What it is, for people.
    pub(super) fn describe(&self, source: &str) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Text(text) => format!("text \"{}\"", text.escape_debug()),
            Value::Bool(_) | Value::Count(_) | Value::Number(_) => {
                format!("\"{}\"", self.literal(source).unwrap_or("?").escape_debug())
            }
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Marked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, at: spanned.referenced.into() })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::<Value>::deserialize(deserializer)?;
        let span = defined.span();
        let source = span.byte_offset().zip(span.byte_len()).and_then(|(start, length)| {
            let start = usize::try_from(start).ok()?;
            Some((start, start.checked_add(usize::try_from(length).ok()?)?))
        });
        Ok(Self { value, at: referenced.into(), source })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Count(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a negative number is refused wherever a number is wanted"
        )]
        Ok(u64::try_from(number).map_or(Value::Number(number as f64), Value::Count))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number(f64::INFINITY))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number(f64::INFINITY))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Value::Mapping(entries))
    }
}
