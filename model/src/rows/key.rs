//! Keys: built and taken apart part by part, in an order that bytes keep.

use super::{LoadError, Table};

/// Builds a key whose byte order is the order of its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key of a table's only row, or the start of a longer one.
    pub fn new(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(32);
        bytes.push(table as u8);
        Self(bytes)
    }

    /// Appends a number, big-endian.
    #[must_use]
    pub fn u64(self, part: u64) -> Self {
        self.fixed(&part.to_be_bytes())
    }

    /// Appends a number, big-endian.
    #[must_use]
    pub fn u32(self, part: u32) -> Self {
        self.fixed(&part.to_be_bytes())
    }

    /// Appends a byte.
    #[must_use]
    pub fn u8(self, part: u8) -> Self {
        self.fixed(&[part])
    }

    /// Appends bytes whose number never differs within the table, or the last part of the key.
    #[must_use]
    pub fn fixed(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(part);
        self
    }

    /// Appends text that more parts may follow: a zero byte becomes `00 ff`, and `00 00` ends it, so that the order of texts
    /// is kept and none is a prefix of another.
    #[must_use]
    pub fn text(mut self, part: &str) -> Self {
        for byte in part.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// The smallest key above every key that starts with this one.
    #[must_use]
    pub fn end(mut self) -> Self {
        while let Some(last) = self.0.pop() {
            if last < 0xff {
                self.0.push(last + 1);
                break;
            }
        }
        self
    }
}

impl std::ops::Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Takes a key apart again, part by part, in the order [`Key`] put them.
#[derive(Debug)]
pub struct KeyReader<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// Starts behind the table's byte.
    pub fn new(key: &'a [u8]) -> Self {
        Self { whole: key, rest: key.get(1..).unwrap_or_default() }
    }

    /// Takes a number.
    ///
    /// # Errors
    /// The key is too short.
    pub fn u64(&mut self) -> Result<u64, LoadError> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// Takes a number.
    ///
    /// # Errors
    /// The key is too short.
    pub fn u32(&mut self) -> Result<u32, LoadError> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// The key is too short.
    pub fn u8(&mut self) -> Result<u8, LoadError> {
        self.fixed().map(|[byte]| byte)
    }

    /// Takes `N` bytes.
    ///
    /// # Errors
    /// The key is too short.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let (part, rest) = self.rest.split_first_chunk().ok_or_else(|| LoadError::unknown_key(self.whole))?;
        self.rest = rest;
        Ok(*part)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// The text does not end, or is not UTF-8.
    pub fn text(&mut self) -> Result<String, LoadError> {
        let unknown = || LoadError::unknown_key(self.whole);
        let mut bytes = Vec::new();
        loop {
            let (byte, rest) = self.rest.split_first().ok_or_else(unknown)?;
            self.rest = rest;
            if *byte == 0 {
                let (mark, rest) = self.rest.split_first().ok_or_else(unknown)?;
                self.rest = rest;
                match mark {
                    0x00 => return String::from_utf8(bytes).map_err(|_| unknown()),
                    0xff => {}
                    _ => return Err(unknown()),
                }
            }
            bytes.push(*byte);
        }
    }

    /// Takes what is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(self) -> Result<(), LoadError> {
        if self.rest.is_empty() { Ok(()) } else { Err(LoadError::unknown_key(self.whole)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn built((first, text, last): &(u64, String, u32)) -> Key {
        Key::new(Table::Job).u64(*first).text(text).u32(*last)
    }

    /// Parts that collide and have zeros where it hurts.
    fn any_parts() -> impl Strategy<Value = (u64, String, u32)> {
        (prop_oneof![0..3_u64, any::<u64>()], "[\0\x01a\u{ff}]{0,4}", prop_oneof![0..3_u32, any::<u32>()])
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_their_parts(left in any_parts(), right in any_parts()) {
            prop_assert_eq!(built(&left).cmp(&built(&right)), left.cmp(&right));
        }

        #[test]
        fn a_key_is_read_as_it_was_built(parts in any_parts()) {
            let key = built(&parts);
            let mut reader = KeyReader::new(&key);
            prop_assert_eq!((reader.u64()?, reader.text()?, reader.u32()?), parts);
            reader.end()?;
        }

        #[test]
        fn the_end_of_a_prefix_is_above_its_keys_and_below_all_others(
            prefix in any::<u8>(),
            rest in any::<Vec<u8>>(),
            other in any::<Vec<u8>>(),
        ) {
            let start = Key::new(Table::Variable).u8(prefix);
            let (key, end) = (start.clone().fixed(&rest), start.clone().end());
            prop_assert!(start <= key && key < end);
            let other = Key::new(Table::Variable).fixed(&other);
            prop_assert_eq!(start <= other && other < end, other.starts_with(&start));
        }
    }

    #[test]
    fn a_key_that_is_cut_or_too_long_is_refused() {
        let key = built(&(1, "a".to_owned(), 2));
        for len in 1..key.len() {
            let mut reader = KeyReader::new(&key[..len]);
            let read = reader.u64().and_then(|_| reader.text()).and_then(|_| reader.u32());
            assert!(read.is_err(), "{len} bytes");
        }
        let mut reader = KeyReader::new(&key);
        assert!(reader.u64().is_ok() && reader.end().is_err());
        assert!(KeyReader::new(b"\x12\x00\x01").text().is_err(), "a zero is ended or escaped");
    }
}
