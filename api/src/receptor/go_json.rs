//! JSON as Go's decoder reads it into structs, which is what Diego's clients rely on.
//!
//! Names match whatever their case, what is missing or null is zero, the last of a name counts, unknown names are ignored, and
//! only the first value of a body is read. Numbers are checked as Go checks them: no fraction or exponent, nothing beyond the
//! width of the field.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A type that reads itself as Go reads a field of its kind. Its default is what Go calls zero.
pub(super) trait FromGo: Default {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// A struct: members by name.
pub(super) trait Members: Default {
    /// Reads the value of the member called `name`, which is in lower case, or skips it.
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidJson(String);

/// How deeply the parts of a body may be nested, so that whoever reads it again needs no more stack than its writer. As deep as
/// serde_json goes by itself, which does not count what it skips.
const DEPTH_MAX: usize = 127;

/// Reads the first value of a body. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn from_body<T: FromGo>(body: &[u8]) -> Result<T, InvalidJson> {
    let text = String::from_utf8_lossy(body);
    if text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
        return Err(InvalidJson("EOF".to_owned()));
    }
    check_depth(&text)?;
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    Go::deserialize(&mut deserializer).map(|Go(value)| value).map_err(|error| {
        InvalidJson(if error.is_eof() { "unexpected EOF".to_owned() } else { error.to_string() })
    })
}

fn check_depth(text: &str) -> Result<(), InvalidJson> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for b in text.bytes() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            // What follows the first value is not read.
            b']' | b'}' if !in_string && depth <= 1 => return Ok(()),
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(InvalidJson(format!("nested more than {DEPTH_MAX} levels deep")));
        }
    }
    Ok(())
}

/// Reads the value of a member.
pub(super) fn value<'de, T: FromGo, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    map.next_value().map(|Go(value)| value)
}

/// Skips the value of a member nobody asked for.
pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value().map(|IgnoredAny| ())
}

/// Lends serde's trait to ours.
struct Go<T>(T);

impl<'de, T: FromGo> Deserialize<'de> for Go<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::from_go(deserializer).map(Self)
    }
}

impl<T: Members> FromGo for T {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);

        impl<'de, T: Members> Visitor<'de> for Object<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E: Error>(self) -> Result<T, E> {
                Ok(T::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
                let mut object = T::default();
                while let Some(mut name) = map.next_key::<String>()? {
                    name.make_ascii_lowercase();
                    object.member(&name, &mut map)?;
                }
                Ok(object)
            }
        }

        deserializer.deserialize_any(Object(PhantomData))
    }
}

impl<T: FromGo> FromGo for Option<T> {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Go<T>>::deserialize(deserializer)?.map(|Go(value)| value))
    }
}

impl<T: FromGo> FromGo for Vec<T> {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);

        impl<'de, T: FromGo> Visitor<'de> for List<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(Go(element)) = seq.next_element()? {
                    list.push(element);
                }
                Ok(list)
            }
        }

        deserializer.deserialize_any(List(PhantomData))
    }
}

/// Values nobody looks into, in the text they were sent in. Names of a map keep their case.
impl FromGo for BTreeMap<Arc<str>, Box<str>> {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Option::<BTreeMap<String, Box<RawValue>>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(raw.into_iter().map(|(name, value)| (name.into(), Box::<str>::from(value))).collect())
    }
}

impl FromGo for Arc<str> {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Cow<'de, str>>::deserialize(deserializer)?.unwrap_or_default().into())
    }
}

impl FromGo for bool {
    fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

/// Serde's own integers take no fraction, no exponent, and nothing beyond their width.
macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl FromGo for $integer {
            fn from_go<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Option::deserialize(deserializer)?.unwrap_or_default())
            }
        }
    )*};
}

integers!(i32, i64, u16, u32, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Sample {
        text: Arc<str>,
        flag: bool,
        count: i64,
        port: u16,
        weight: u64,
        inner: Option<Box<Self>>,
        list: Vec<u16>,
        raw: BTreeMap<Arc<str>, Box<str>>,
    }

    impl Members for Sample {
        fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
            match name {
                "text" => self.text = value(map)?,
                "flag" => self.flag = value(map)?,
                "count" => self.count = value(map)?,
                "port" => self.port = value(map)?,
                "weight" => self.weight = value(map)?,
                "inner" => self.inner = value::<Option<Self>, _>(map)?.map(Box::new),
                "list" => self.list = value(map)?,
                "raw" => self.raw = value(map)?,
                _ => skip(map)?,
            }
            Ok(())
        }
    }

    fn read(body: &str) -> Result<Sample, String> {
        from_body(body.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_go_reads_is_read() {
        let zero = Sample::default;
        let cases = [
            ("{}", zero()),
            ("null", zero()),
            (" \t\r\n{} trailing [[", zero()),
            (r#"{"text":"a","TEXT":"b"}"#, Sample { text: "b".into(), ..zero() }),
            (r#"{"Text":"a\u00e9\n"}"#, Sample { text: "aé\n".into(), ..zero() }),
            (
                r#"{"text":null,"flag":null,"count":null,"port":null,"inner":null,"list":null,"raw":null}"#,
                zero(),
            ),
            (r#"{"count":-9223372036854775808}"#, Sample { count: i64::MIN, ..zero() }),
            (r#"{"weight":18446744073709551615}"#, Sample { weight: u64::MAX, ..zero() }),
            (r#"{"port":65535,"flag":true}"#, Sample { port: 65_535, flag: true, ..zero() }),
            (r#"{"list":[1,null,2]}"#, Sample { list: vec![1, 0, 2], ..zero() }),
            (r#"{"zzz":{"text":[1.5e9,{}]},"flag":true}"#, Sample { flag: true, ..zero() }),
            (
                r#"{"inner":{"flag":true}}"#,
                Sample { inner: Some(Box::new(Sample { flag: true, ..zero() })), ..zero() },
            ),
            (
                r#"{"raw":{"A": [ 1, {"b":1,"a":1e5} ] ,"a":null}}"#,
                Sample {
                    raw: [("A".into(), r#"[ 1, {"b":1,"a":1e5} ]"#.into()), ("a".into(), "null".into())]
                        .into(),
                    ..zero()
                },
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(read(body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        let bodies = [
            "[]",
            "\"x\"",
            "1",
            "true",
            "x",
            "{x",
            r#"{"text":1}"#,
            r#"{"text":{}}"#,
            r#"{"flag":"true"}"#,
            r#"{"flag":1}"#,
            r#"{"count":"1"}"#,
            r#"{"count":1.0}"#,
            r#"{"count":1e0}"#,
            r#"{"count":9223372036854775808}"#,
            r#"{"port":65536}"#,
            r#"{"port":-1}"#,
            r#"{"weight":-1}"#,
            r#"{"weight":18446744073709551616}"#,
            r#"{"inner":[]}"#,
            r#"{"list":{}}"#,
            r#"{"list":[65536]}"#,
            r#"{"raw":[]}"#,
        ];
        for body in bodies {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_body_that_ends_early_is_an_eof() {
        for body in ["", "  ", "\r\n\t"] {
            assert_eq!(read(body), Err("EOF".to_owned()), "{body:?}");
        }
        for body in ["{", "{\"text\":", "{\"text\":\"a", "[1,"] {
            let told = read(body).unwrap_err();
            assert!(told == "unexpected EOF" || body.starts_with('['), "{body:?}: {told}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let read: Sample = from_body(b"{\"text\":\"a\xff\"}").unwrap();
        assert_eq!(&*read.text, "a\u{fffd}");
    }

    #[test]
    fn depth_is_bounded_in_what_is_skipped_too() {
        let nested =
            |levels: usize| format!("{{\"raw\":{{\"r\":{}{}}}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(125)).is_ok());
        assert_eq!(read(&nested(126)), Err("nested more than 127 levels deep".to_owned()));
        assert!(read(&format!("{{\"text\":\"{}\\\"[\"}}", "[".repeat(200))).is_ok());
    }
}
