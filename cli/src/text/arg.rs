//! Args of requests as they are typed.

use serde_json::Value;

/// Reads `NAME=TEXT` or `NAME:=JSON`.
pub(crate) fn parse(text: &str) -> Result<(String, Value), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("an arg is NAME=TEXT, or NAME:=JSON".to_owned());
    };
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let value =
                serde_json::from_str(value).map_err(|error| format!("{value:?} is not JSON: {error}"))?;
            (name, value)
        }
        None => (name, Value::from(value)),
    };
    if name.is_empty() {
        return Err("an arg needs a name before the =".to_owned());
    }
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn args_are_texts_unless_marked_as_json() {
        let cases = [
            ("host=db7", "host", json!("db7")),
            ("ms=5", "ms", json!("5")),
            ("note=", "note", json!("")),
            ("filter=a=b", "filter", json!("a=b")),
            (r#"hosts:=["h1","h2"]"#, "hosts", json!(["h1", "h2"])),
        ];
        for (text, name, value) in cases {
            assert_eq!(parse(text), Ok((name.to_owned(), value)), "{text}");
        }
        for wrong in ["host", "=db7", ":=1", "hosts:=[h1]"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
