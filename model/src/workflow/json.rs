//! JSON values as text.
//!
//! The stored encoding is not self-describing, so a value of unknown shape travels as the text it was written
//! in. That also keeps numbers as they came.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, SeqAccess, Visitor},
};

/// One JSON value, as text that is known to be readable: its numbers fit, its escapes name characters, and it is nested less
/// deeply than readers go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct JsonText(Arc<str>);

/// Named values: a request's args, a job's args, or a job's data.
pub type JsonMap = BTreeMap<Arc<str>, JsonText>;

/// A text that is not one JSON value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON value: {0}")]
pub struct InvalidJson(String);

impl JsonText {
    /// A JSON string of this text.
    pub fn string(text: &str) -> Self {
        Self(serde_json::to_string(text).expect("text is serialisable").into())
    }

    /// The value in JSON's syntax.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, when the value is a string.
    pub fn to_text(&self) -> Option<String> {
        serde_json::from_str(&self.0).ok()
    }

    /// The value, for those who look inside.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).expect("the text was checked")
    }
}

impl JsonText {
    /// The elements of an array, or the kind of value it is instead, in the words of callers.
    ///
    /// # Errors
    /// The value is no array.
    pub fn elements(&self) -> Result<Vec<Self>, &'static str> {
        match self.to_value() {
            serde_json::Value::Array(elements) => Ok(elements.iter().map(Self::from).collect()),
            serde_json::Value::Null => Err("null"),
            serde_json::Value::Bool(_) => Err("bool"),
            serde_json::Value::Number(_) => Err("number"),
            serde_json::Value::String(_) => Err("string"),
            serde_json::Value::Object(_) => Err("map"),
        }
    }
}

impl From<&serde_json::Value> for JsonText {
    fn from(value: &serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl TryFrom<Arc<str>> for JsonText {
    type Error = InvalidJson;

    fn try_from(text: Arc<str>) -> Result<Self, InvalidJson> {
        match serde_json::from_str::<Readable>(&text) {
            Ok(Readable) => Ok(Self(text)),
            Err(e) => Err(InvalidJson(e.to_string())),
        }
    }
}

/// A value that was read to its last part, and not kept. A parser that merely skips a value takes `1e999` and `"\ud800"`.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadableVisitor)
    }
}

struct ReadableVisitor;

impl<'de> Visitor<'de> for ReadableVisitor {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_str<E>(self, _: &str) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Readable, A::Error> {
        while let Some(Readable) = elements.next_element()? {}
        Ok(Readable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Readable, A::Error> {
        while let Some((Readable, Readable)) = members.next_entry()? {}
        Ok(Readable)
    }
}

impl From<JsonText> for Arc<str> {
    fn from(json: JsonText) -> Self {
        json.0
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much a map takes, in bytes of names and values.
pub fn size(map: &JsonMap) -> usize {
    map.iter().map(|(name, value)| name.len() + value.as_str().len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<JsonText, InvalidJson> {
        JsonText::try_from(Arc::from(text))
    }

    #[test]
    fn what_is_taken_can_be_looked_into() {
        let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for text in ["null", "-0.0", "1e308", r#"{"a":[true,"\ud83d\ude00"],"a":{}}"#, &nested] {
            let value = parsed(text).unwrap();
            assert_eq!(value.as_str(), text);
            value.to_value();
        }
    }

    #[test]
    fn what_no_reader_could_look_into_is_refused() {
        let too_deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for text in ["", "1 2", "1e999", r#"["\ud800"]"#, r#"{"\ud800":1}"#, &too_deep] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
