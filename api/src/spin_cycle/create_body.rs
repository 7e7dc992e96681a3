//! The body of `POST /api/v1/requests`, bound as Spin Cycle's framework binds it.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use serde::{Deserialize, Deserializer, de::MapAccess, de::Visitor};
use serde_json::{Map, Value, error::Category, value::RawValue};

use crate::{call::Head, error::InputError, query};

/// What a caller asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Asked {
    /// The name of a request; empty when none was given.
    pub(crate) kind: String,
    /// The args as sent, by name.
    pub(crate) args: Map<String, Value>,
}

/// Reads the type and args from a JSON body, a form, or without a body the query.
///
/// Keys are matched whatever their case, the last of a name counts, null is as good as absent, unknown keys and all that
/// follows the first JSON value are ignored.
///
/// # Errors
/// [`InputError::UnsupportedMediaType`] for a body of another type, [`InputError::Body`] with upstream's text.
pub(crate) fn read(head: &Head<'_>, body: &[u8]) -> Result<Asked, InputError> {
    if body.is_empty() {
        return Ok(from_form(head.query));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    let is = |prefix: &str| {
        content_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    if is("application/json") {
        from_json(body)
    } else if is("application/x-www-form-urlencoded") {
        let form = std::str::from_utf8(body).map_err(|_| refused("the form is not UTF-8".to_owned()))?;
        Ok(from_form(form))
    } else {
        Err(InputError::UnsupportedMediaType)
    }
}

fn from_form(form: &str) -> Asked {
    let kind = query::first(form, "type").unwrap_or_default().into_owned();
    Asked { kind, args: Map::new() }
}

fn from_json(body: &[u8]) -> Result<Asked, InputError> {
    let value = first_value(body)?;
    match value.get().as_bytes().first() {
        Some(b'{') => {}
        Some(b'n') => return Ok(Asked::default()),
        _ => return Err(type_error(body, value, "proto.CreateRequest", "")),
    }
    let Members(members) = serde_json::from_str(value.get()).map_err(|e| syntax(body, &e))?;
    let mut asked = Asked::default();
    for (name, member) in members {
        if member.get() == "null" {
            continue;
        }
        if name.eq_ignore_ascii_case("type") {
            asked.kind = bind(body, member, "string", "Type")?;
        } else if name.eq_ignore_ascii_case("args") {
            asked.args = bind(body, member, "map[string]interface {}", "Args")?;
        }
    }
    Ok(asked)
}

fn bind<'a, T: Deserialize<'a>>(
    body: &[u8],
    member: &'a RawValue,
    expected: &str,
    field: &str,
) -> Result<T, InputError> {
    serde_json::from_str(member.get()).map_err(|e| match e.classify() {
        Category::Data => type_error(body, member, expected, field),
        Category::Syntax | Category::Eof | Category::Io => syntax(body, &e),
    })
}

fn first_value(body: &[u8]) -> Result<&RawValue, InputError> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(e)) if e.is_eof() => Err(refused("unexpected EOF".to_owned())),
        Some(Err(e)) => Err(syntax(body, &e)),
        None => Err(refused("EOF".to_owned())),
    }
}

/// The members of an object in the order sent, repetitions included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

fn syntax(body: &[u8], error: &serde_json::Error) -> InputError {
    let before: usize =
        body.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    refused(format!("Syntax error: offset={}, error={text}", before + error.column()))
}

/// `value` is a part of `body` of another type than wanted; the offset is where Go's decoder notices.
fn type_error(body: &[u8], value: &RawValue, expected: &str, field: &str) -> InputError {
    let start = value.get().as_ptr().addr() - body.as_ptr().addr();
    let (got, offset) = match value.get().as_bytes().first() {
        Some(b'{') => ("object", start + 1),
        Some(b'[') => ("array", start + 1),
        Some(b'"') => ("string", start + value.get().len()),
        Some(b't' | b'f') => ("bool", start + value.get().len()),
        _ => ("number", start + value.get().len()),
    };
    refused(format!("Unmarshal type error: expected={expected}, got={got}, field={field}, offset={offset}"))
}

fn refused(reason: String) -> InputError {
    InputError::Body { reason }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};
    use serde_json::json;

    use super::*;

    fn read_as(content_type: &'static str, query: &str, body: &str) -> Result<Asked, String> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let head = Head::new(&Method::POST, "/api/v1/requests", query, &headers);
        read(&head, body.as_bytes()).map_err(|e| e.to_string())
    }

    fn asked(kind: &str, args: &Value) -> Result<Asked, String> {
        Ok(Asked { kind: kind.to_owned(), args: args.as_object().unwrap().clone() })
    }

    #[test]
    fn json_is_bound_as_upstream_binds_it() {
        let cases = [
            (r#"{"type":"one"}"#, asked("one", &json!({}))),
            (r#"{"type":"one","args":{"a":5,"b":[null]},"zzz":1}"#, asked("one", &json!({"a": 5, "b": [null]}))),
            (r#"{"Type":"one","ARGS":{}}"#, asked("one", &json!({}))),
            (r#"{"type":"one"} xyz"#, asked("one", &json!({}))),
            (r#"{"type":"one","args":null}"#, asked("one", &json!({}))),
            (r#"{"type":"a","Type":"b"}"#, asked("b", &json!({}))),
            ("{}", asked("", &json!({}))),
            ("null", asked("", &json!({}))),
            (r#"{"type":"#, Err("unexpected EOF".to_owned())),
            ("  ", Err("EOF".to_owned())),
            (
                r#"{"type": 5}"#,
                Err("Unmarshal type error: expected=string, got=number, field=Type, offset=10".to_owned()),
            ),
            (
                "[]",
                Err("Unmarshal type error: expected=proto.CreateRequest, got=array, field=, offset=1".to_owned()),
            ),
            (
                r#"{"args":"x"}"#,
                Err("Unmarshal type error: expected=map[string]interface {}, got=string, field=Args, offset=11".to_owned()),
            ),
            ("{x", Err("Syntax error: offset=2, error=key must be a string".to_owned())),
            ("{\n\"a\":}", Err("Syntax error: offset=7, error=expected value".to_owned())),
        ];
        for (body, expected) in cases {
            assert_eq!(read_as("application/json; charset=utf-8", "", body), expected, "{body}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let body = format!("{{\"args\":{{\"a\":{}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
        let refusal = read_as("application/json", "", &body).unwrap_err();
        assert!(refusal.ends_with("error=recursion limit exceeded"), "{refusal}");
    }

    #[test]
    fn other_content_types_are_refused_but_for_forms() {
        let body = r#"{"type":"one"}"#;
        for content_type in ["", "text/plain", "application/jso"] {
            let refusal = read_as(content_type, "", body).unwrap_err();
            assert!(refusal.contains("application/json"), "{content_type}: {refusal}");
        }
        assert_eq!(
            read_as("application/x-www-form-urlencoded", "", "x=1&type=o%6ee"),
            asked("one", &json!({}))
        );
        assert_eq!(read_as("", "type=one", ""), asked("one", &json!({})));
        assert_eq!(read_as("text/plain", "", ""), asked("", &json!({})));
    }
}
