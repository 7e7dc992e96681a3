//! The files through which a process says more than its exit status: result and real-time status.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use capstan_model::workflow::{
    command::TryEnd,
    json::{JsonMap, JsonText},
};
use nix::fcntl::OFlag;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

/// The largest result file, in bytes.
pub const RESULT_BYTES_MAX: u64 = 1024 * 1024;
/// How much of a status line is shown, in characters.
pub const STATUS_CHARS_MAX: usize = 1_024;

/// How much of the end of a status file is looked at, in bytes.
const STATUS_BYTES: u64 = 4 * 1_024;

/// What a process wrote to the file named by `CAPSTAN_RESULT`. Every member may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ResultFile {
    /// Args that a job's `create` sets.
    #[serde(deserialize_with = "json_map")]
    pub args: JsonMap,
    /// What a job's `create` wants `run` to be given, in base64.
    #[serde(deserialize_with = "base64")]
    pub bytes: Bytes,
    /// How the process wants its end to be understood.
    #[serde(deserialize_with = "end")]
    pub state: Option<TryEnd>,
    /// The exit status to show in place of the process's own.
    pub exit: Option<i64>,
    /// The error to show.
    pub error: Option<String>,
    /// What the job passes on to those that follow it.
    #[serde(deserialize_with = "json_map")]
    pub job_data: JsonMap,
}

/// Why a result file cannot be used; the try fails with this text.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// It cannot be read.
    #[error("the result file cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is larger than [`RESULT_BYTES_MAX`].
    #[error("the result file has more than {RESULT_BYTES_MAX} bytes")]
    TooLarge,
    /// It holds something else than the expected object.
    #[error("the result file is not what is expected: {0}")]
    Malformed(#[source] serde_json::Error),
}

/// Reads a result file; `None` when there is none, or an empty one.
///
/// # Errors
/// See [`ResultError`].
pub fn read(path: &Path) -> Result<Option<ResultFile>, ResultError> {
    let Some(file) = open(path).map_err(ResultError::Unreadable)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(RESULT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(ResultError::Unreadable)?;
    parse(&bytes)
}

/// Reads what a result file holds; `None` when that is nothing.
///
/// # Errors
/// [`ResultError::TooLarge`] or [`ResultError::Malformed`].
pub fn parse(bytes: &[u8]) -> Result<Option<ResultFile>, ResultError> {
    if bytes.len() as u64 > RESULT_BYTES_MAX {
        return Err(ResultError::TooLarge);
    }
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(bytes).map(Some).map_err(ResultError::Malformed)
}

/// Reads the last line of a status file that is not blank; `None` when there is none.
///
/// # Errors
/// The file is there and cannot be read.
pub fn last_status(path: &Path) -> io::Result<Option<String>> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(STATUS_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(STATUS_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    Ok(line.map(|line| line.chars().take(STATUS_CHARS_MAX).collect()))
}

/// Opens a plain file that a process may have replaced by anything: a link is not followed, and a pipe not waited for.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::other("it is not a plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
}

fn end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TryEnd>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None => Ok(None),
        Some("COMPLETE") => Ok(Some(TryEnd::Complete)),
        Some("FAIL") => Ok(Some(TryEnd::Failed)),
        Some("STOPPED") => Ok(Some(TryEnd::StoppedItself)),
        Some(other) => Err(D::Error::unknown_variant(other, &["COMPLETE", "FAIL", "STOPPED"])),
    }
}

/// Keeps each value as it was written.
fn json_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JsonMap, D::Error> {
    let values = Option::<BTreeMap<Arc<str>, Box<RawValue>>>::deserialize(deserializer)?.unwrap_or_default();
    let keep = |value: &RawValue| JsonText::try_from(Arc::from(value.get())).map_err(D::Error::custom);
    values.into_iter().map(|(name, value)| Ok((name, keep(&value)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(text: impl AsRef<[u8]>) -> Result<Option<ResultFile>, ResultError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_result_is_read() {
        let result = written(
            r#"{"args":{"a":"1"},"bytes":"aGk=","state":"STOPPED","exit":3,"error":"late","jobData":{"k":[1, 2.50]}}"#,
        );
        let one = |name: &str, value: &str| {
            JsonMap::from([(name.into(), JsonText::try_from(Arc::from(value)).unwrap())])
        };
        let expected = ResultFile {
            args: one("a", "\"1\""),
            bytes: Bytes::from_static(b"hi"),
            state: Some(TryEnd::StoppedItself),
            exit: Some(3),
            error: Some("late".into()),
            job_data: one("k", "[1, 2.50]"),
        };
        assert_eq!(result.unwrap(), Some(expected));
        assert_eq!(written("{}").unwrap(), Some(ResultFile::default()));
        assert_eq!(written(" \n").unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("{", "EOF"),
            (r#"{"state":"DONE"}"#, "DONE"),
            (r#"{"bytes":"%"}"#, "Invalid symbol"),
            (r#"{"jobdata":{}}"#, "jobdata"),
            (r#"{"jobData":[1]}"#, "expected a map"),
            (r#"{"jobData":{"a":1e999}}"#, "number out of range"),
            (r#"{"args":{"a":["\ud800"]}}"#, "hex escape"),
        ];
        for (text, part) in cases {
            let error = written(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let large = vec![b' '; usize::try_from(RESULT_BYTES_MAX).unwrap() + 1];
        assert!(matches!(written(large), Err(ResultError::TooLarge)));
    }

    #[test]
    fn only_a_plain_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, link) = (folder.path().join("secret"), folder.path().join("link"));
        fs::write(&secret, "{}").unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(matches!(read(&link), Err(ResultError::Unreadable(_))));
        assert!(matches!(read(folder.path()), Err(ResultError::Unreadable(_))));
        assert_eq!(read(&folder.path().join("none")).unwrap(), None);
    }

    #[test]
    fn the_last_line_is_the_status() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        assert_eq!(last_status(&path).unwrap(), None);
        fs::write(&path, "one\ntwo\n\n").unwrap();
        assert_eq!(last_status(&path).unwrap().as_deref(), Some("two"));
        fs::write(&path, format!("{}\nlast {}", "x\n".repeat(10_000), "y".repeat(2_000))).unwrap();
        let status = last_status(&path).unwrap().unwrap();
        assert!(status.starts_with("last y"));
        assert_eq!(status.chars().count(), STATUS_CHARS_MAX);
    }
}
