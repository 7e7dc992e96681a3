//! The cluster's request specs: files by content, and which files the newest versions are made of.
//!
//! A push appends a version, a revert appends an older one's content again; the last one is current, and every node builds
//! requests from it. Nothing here reads YAML: the node that takes a push checks it, and this crate keeps what it was given.
//! Texts are kept once however many versions have them, and go with the last version that has them.

mod check;
mod command;
mod handle;
mod version;

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;

pub(crate) use self::{
    check::check,
    handle::{push, require_current, revert},
};
pub use self::{
    command::{PushSpecs, RevertSpecs, SpecFile},
    version::{FileRecord, SpecsId, TextHash, VersionNumber, VersionRecord},
};
use crate::rows::{self, Key, KeyReader, LoadError, RowSink, Table};

/// The most files of a version.
pub const FILES_MAX: usize = 1_000;
/// The most bytes of a file's text.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of a version's paths and texts.
pub const VERSION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest path of a file, in bytes.
pub const PATH_BYTES_MAX: usize = 512;
/// How many versions are kept, if live requests do not need older ones.
pub const VERSIONS_KEPT: usize = 50;
/// How many versions are kept at most, whoever needs them; then a push is refused.
pub const VERSIONS_MAX: usize = 200;
/// How many bytes of texts are kept if live requests do not need more; the current version always is.
pub const TEXT_BYTES_KEPT: u64 = 64 * 1024 * 1024;
/// How many bytes of texts are kept at most; then a push is refused.
pub const TEXT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The versions that are kept, and the texts of their files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpecStore {
    versions: OrdMap<VersionNumber, Arc<VersionRecord>>,
    texts: OrdMap<TextHash, Text>,
    /// The sum over all texts.
    text_bytes: u64,
}

/// A text, and how many files of versions have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text {
    text: Arc<str>,
    uses: u32,
}

impl SpecStore {
    /// The newest version, which is the one in use; `None` before the first push.
    pub fn current(&self) -> Option<&Arc<VersionRecord>> {
        self.versions.get_max().map(|(_, version)| version)
    }

    /// What the current version is made of; `None` before the first push.
    pub fn current_id(&self) -> Option<SpecsId> {
        self.current().map(|version| version.id)
    }

    /// The versions that are kept, oldest first.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = &Arc<VersionRecord>> {
        self.versions.values()
    }

    /// The newest version of this content.
    pub fn version(&self, id: SpecsId) -> Option<&Arc<VersionRecord>> {
        self.versions.values().rev().find(|version| version.id == id)
    }

    /// The files of a version that is kept, path and text, sorted by path.
    pub fn files<'a>(
        &'a self,
        version: &'a VersionRecord,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)> {
        let text = |hash| &self.texts.get(hash).expect("the texts of a kept version are kept").text;
        version.files.iter().map(move |file| (&file.path, text(&file.text)))
    }

    /// How many bytes of texts are kept.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// The texts of these files that are not kept yet, once each.
    fn new_texts(&self, files: &[(FileRecord, Arc<str>)]) -> Vec<(TextHash, Arc<str>)> {
        let mut seen = BTreeSet::new();
        let is_new = |hash: &TextHash| !self.texts.contains_key(hash);
        let files = files.iter().filter(|(file, _)| is_new(&file.text));
        files
            .filter(|(file, _)| seen.insert(file.text))
            .map(|(file, text)| (file.text, text.clone()))
            .collect()
    }

    pub(crate) fn evolve_pushed(
        &mut self,
        version: &Arc<VersionRecord>,
        texts: &[(TextHash, Arc<str>)],
        sink: &mut RowSink,
    ) {
        for (hash, text) in texts {
            self.insert_text(*hash, text.clone());
            sink.replace(&text_key(hash), None, Some(text));
        }
        sink.replace(&version_key(version.number), None, Some(version));
        self.insert_version(Arc::clone(version)).expect("a version's texts are kept before it is");
    }

    pub(crate) fn evolve_dropped(&mut self, number: VersionNumber, sink: &mut RowSink) {
        let version = self.versions.remove(&number).expect("only a version that is kept is dropped");
        sink.replace(&version_key(number), Some(&version), None);
        for file in &version.files {
            let text = self.texts.get_mut(&file.text).expect("the texts of a kept version are kept");
            text.uses -= 1;
            if text.uses == 0 {
                let Text { text, .. } = self.texts.remove(&file.text).expect("it was just there");
                self.text_bytes -= text.len() as u64;
                sink.replace(&text_key(&file.text), Some(&text), None);
            }
        }
    }

    fn insert_text(&mut self, hash: TextHash, text: Arc<str>) {
        self.text_bytes += text.len() as u64;
        self.texts.insert(hash, Text { text, uses: 0 });
    }

    /// Counts a version's uses of texts; `Err` names a text that is not kept.
    fn insert_version(&mut self, version: Arc<VersionRecord>) -> Result<(), TextHash> {
        for file in &version.files {
            self.texts.get_mut(&file.text).ok_or(file.text)?.uses += 1;
        }
        self.versions.insert(version.number, version);
        Ok(())
    }

    pub(crate) fn load_version(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let number = VersionNumber(KeyReader::new(key).u64()?);
        self.versions.insert(number, rows::decode(key, value)?);
        Ok(())
    }

    pub(crate) fn load_text(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let hash = TextHash(KeyReader::new(key).fixed()?);
        self.insert_text(hash, rows::decode(key, value)?);
        Ok(())
    }

    /// Counts the uses of texts, which no row has.
    pub(crate) fn finish_load(&mut self) -> Result<(), LoadError> {
        for version in std::mem::take(&mut self.versions).into_iter().map(|(_, version)| version) {
            let number = version.number;
            self.insert_version(version).map_err(|text| LoadError::Contradiction {
                reason: format!("version {number} of the specs has a file without its text {text}"),
            })?;
        }
        Ok(())
    }

    /// Writes every row as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        for (number, version) in &self.versions {
            sink.replace(&version_key(*number), None, Some(version));
        }
        for (hash, Text { text, .. }) in &self.texts {
            sink.replace(&text_key(hash), None, Some(text));
        }
    }
}

fn version_key(number: VersionNumber) -> Key {
    Key::new(Table::SpecVersion).u64(number.0)
}

fn text_key(hash: &TextHash) -> Key {
    Key::new(Table::SpecText).fixed(&hash.0)
}
