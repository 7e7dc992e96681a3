//! The versions of the cluster's specs, in a model of its own: what pushes and reverts are answered, and which versions there are.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    event::Event,
    rejection::Rejection,
    reply::{Answer, Reply},
    spec_store::{PushSpecs, RevertSpecs, SpecsId, VERSIONS_KEPT},
    state::State,
};
use sha2::{Digest, Sha256};

use crate::ledger::Committed;

/// What must hold of them.
pub(crate) const NAME: &str =
    "versions of specs succeed one another, and a push replaces what its sender saw, or nothing";

/// The versions that are kept.
#[derive(Debug, Default)]
pub(crate) struct SpecVersions {
    /// Their contents, by number.
    kept: BTreeMap<u64, SpecsId>,
    /// The contents of those that the entry at hand drops.
    dropped: BTreeSet<SpecsId>,
}

impl SpecVersions {
    /// Begins an entry.
    pub(crate) fn begin(&mut self, committed: &Committed) {
        let numbers = committed.events.iter().filter_map(|event| match event {
            Event::SpecsDropped { number } => Some(number.0),
            _ => None,
        });
        self.dropped = numbers.filter_map(|number| self.kept.get(&number).copied()).collect();
    }

    /// What a push must be answered.
    pub(crate) fn push(&mut self, push: &PushSpecs) -> Reply {
        let files = push.files.iter().map(|file| (&*file.path, &*file.text));
        self.append(push.expected, content(files))
    }

    /// What a revert must be answered, which was answered so.
    pub(crate) fn revert(&mut self, revert: &RevertSpecs, reply: &Reply) -> Reply {
        let gone = Err(Rejection::NoSuchSpecs { version: revert.to });
        let is_kept = self.kept.values().any(|id| *id == revert.to);
        // Whether it came before the push that drops it is for the product to say.
        let may_be_gone = self.dropped.contains(&revert.to);
        if !is_kept || (may_be_gone && *reply == gone) {
            gone
        } else {
            self.append(revert.expected, revert.to)
        }
    }

    fn append(&mut self, expected: Option<SpecsId>, id: SpecsId) -> Reply {
        let newest = self.kept.last_key_value().map(|(number, id)| (*number, *id));
        let current = newest.map(|(_, id)| id);
        if expected != current {
            return Err(Rejection::OtherSpecs { current });
        }
        let changed = current != Some(id);
        if changed {
            self.kept.insert(newest.map_or(1, |(number, _)| number + 1), id);
        }
        Ok(Answer::SpecsPushed { version: id, changed })
    }

    /// Ends an entry.
    ///
    /// # Errors
    /// A version is dropped that must stay, or the state has others than this model.
    pub(crate) fn end(&mut self, committed: &Committed) -> Result<(), String> {
        let is_about_specs =
            |event: &Event| matches!(event, Event::SpecsPushed { .. } | Event::SpecsDropped { .. });
        let newest = committed.after.specs.current().map(|version| version.number.0);
        let expected = self.kept.last_key_value().map(|(number, _)| *number);
        if newest == expected && !committed.events.iter().any(is_about_specs) {
            return Ok(());
        }
        for event in &committed.events {
            if let Event::SpecsDropped { number } = event {
                self.drop_version(number.0, committed)?;
            }
        }
        let after = &committed.after.specs;
        let there: BTreeMap<u64, SpecsId> =
            after.versions().map(|version| (version.number.0, version.id)).collect();
        if there != self.kept {
            let index = committed.index;
            return Err(format!("index {index} has the versions {there:?}, and not {:?}", self.kept));
        }
        newest_has_its_content(&committed.after)
    }

    fn drop_version(&mut self, number: u64, committed: &Committed) -> Result<(), String> {
        let index = committed.index;
        let is_newest = self.kept.last_key_value().is_some_and(|(newest, _)| *newest == number);
        if self.kept.len() <= VERSIONS_KEPT || is_newest {
            return Err(format!("index {index} drops version {number} of {} that may stay", self.kept.len()));
        }
        let id = self.kept.remove(&number).ok_or(format!("index {index} drops version {number} again"))?;
        let is_kept = self.kept.values().any(|other| *other == id);
        let mut live = committed.after.requests.iter().filter(|live| live.created.specs == Some(id));
        match live.next() {
            Some(live) if !is_kept => {
                Err(format!("index {index} drops {id}, of which request {} is built", live.created.id))
            }
            _ => Ok(()),
        }
    }
}

fn newest_has_its_content(state: &State) -> Result<(), String> {
    let Some(newest) = state.specs.current() else { return Ok(()) };
    let found = content(state.specs.files(newest).map(|(path, text)| (&**path, &**text)));
    if found == newest.id { Ok(()) } else { Err(format!("{newest:?} has the content {found}")) }
}

/// The SHA-256 over lengths and bytes of paths and texts, as the documentation has it.
fn content<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> SpecsId {
    let mut hasher = Sha256::new();
    for part in files.flat_map(|(path, text)| [path, text]) {
        hasher.update(u64::try_from(part.len()).expect("texts are small").to_le_bytes());
        hasher.update(part);
    }
    let digits: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.parse().expect("64 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use capstan_model::spec_store::SpecFile;

    use super::*;

    fn push(text: &str, expected: Option<SpecsId>) -> PushSpecs {
        let files = vec![SpecFile { path: "a.yaml".into(), text: text.into() }];
        PushSpecs { files, expected, by: "".into() }
    }

    #[test]
    fn a_push_replaces_what_its_sender_saw_and_a_revert_what_is_kept() {
        let mut versions = SpecVersions::default();
        let id = |text| content([("a.yaml", text)].into_iter());
        let (one, two) = (id("one"), id("two"));
        let done = |version, changed| Ok(Answer::SpecsPushed { version, changed });
        assert_eq!(versions.push(&push("one", None)), done(one, true));
        assert_eq!(versions.push(&push("one", Some(one))), done(one, false));
        assert_eq!(versions.push(&push("two", None)), Err(Rejection::OtherSpecs { current: Some(one) }));
        assert_eq!(versions.push(&push("two", Some(one))), done(two, true));
        let revert = RevertSpecs { to: one, expected: Some(two), by: "".into() };
        assert_eq!(versions.revert(&revert, &done(one, true)), done(one, true));
        assert_eq!(versions.kept, BTreeMap::from([(1, one), (2, two), (3, one)]));
        let gone = RevertSpecs { to: id("three"), ..revert };
        let refused = Err(Rejection::NoSuchSpecs { version: id("three") });
        assert_eq!(versions.revert(&gone, &done(one, true)), refused);
    }
}
