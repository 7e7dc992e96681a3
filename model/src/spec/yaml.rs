//! Reading YAML with positions, literal scalars, and unknown keys kept instead of lost.
//!
//! Scalars are read as text wherever the grammar wants text, which gives their literal source: `yes` stays
//! `"yes"`, `1.0` stays `"1.0"`. Null counts as "not given". Anchors, aliases and merge keys are the parser's
//! work.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_saphyr::Spanned;

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

/// A list; a null in it keeps its place, to be reported there.
pub(super) type List<T> = Vec<Marked<Option<T>>>;

/// What stands in a list, without nulls.
pub(super) fn items<T>(list: Option<&List<T>>) -> impl Iterator<Item = &T> {
    list.into_iter().flatten().filter_map(|item| item.value.as_ref())
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Marked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, at: spanned.referenced.into() })
    }
}

/// A mapping with free keys, in the order of the file.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(Text, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

/// A non-negative integer; a fraction is cut off, as in Spin Cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Reads the count, or the text of what is none: refused by the caller, where the parser knows the place.
        struct CountVisitor;

        impl Visitor<'_> for CountVisitor {
            type Value = Result<Count, String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(u32::try_from(number).map(Count).map_err(|_| number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(u32::try_from(number).map(Count).map_err(|_| number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                if !(0.0..=f64::from(u32::MAX)).contains(&number) {
                    return Ok(Err(number.to_string()));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a number in the bounds of a count, of which the fraction is cut off"
                )]
                Ok(Ok(Count(number as u32)))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Err(flag.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Err(text.to_owned()))
            }
        }

        deserializer.deserialize_any(CountVisitor)?.map_err(|found| {
            let expected = format_args!("a whole number from 0 to {}", u32::MAX);
            de::Error::custom(format_args!("invalid value {found:?}, expected {expected}"))
        })
    }
}

/// Declares a mapping with fixed keys. Every field is optional, null is "not given", and keys that are no
/// field are kept in `unknown`.
macro_rules! mapping {
    (
        $(#[$meta:meta])*
        struct $name:ident { $( $(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name {
            $( $(#[$field_meta])* pub(super) $field: Option<$type>, )*
            /// Keys that are no field, with their places.
            pub(super) unknown: Vec<$crate::spec::yaml::Text>,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct FieldsVisitor;

                impl<'de> serde::de::Visitor<'de> for FieldsVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a mapping")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut fields = $name::default();
                        while let Some(key) = map.next_key::<$crate::spec::yaml::Text>()? {
                            match key.value.as_str() {
                                $( $key => fields.$field = map.next_value()?, )*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                    fields.unknown.push(key);
                                }
                            }
                        }
                        Ok(fields)
                    }
                }

                deserializer.deserialize_map(FieldsVisitor)
            }
        }
    };
}

pub(super) use mapping;
