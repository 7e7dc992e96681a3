//! JSON values as text.
//!
//! The stored encoding is not self-describing, so a value of unknown shape travels as the text it was written
//! in. That also keeps numbers as they came.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::IgnoredAny};

/// One JSON value, as text that is known to be valid.
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
        match serde_json::from_str::<IgnoredAny>(&text) {
            Ok(IgnoredAny) => Ok(Self(text)),
            Err(e) => Err(InvalidJson(e.to_string())),
        }
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
