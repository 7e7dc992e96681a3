//! What each command about specs leads to: a refusal, or an answer and events. Nothing is changed here.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    FILE_BYTES_MAX, FILES_MAX, FileRecord, PATH_BYTES_MAX, PushSpecs, RevertSpecs, SpecFile, SpecStore,
    SpecsId, TEXT_BYTES_KEPT, TEXT_BYTES_MAX, TextHash, VERSION_BYTES_MAX, VERSIONS_KEPT, VERSIONS_MAX,
    VersionNumber, VersionRecord,
};
use crate::{
    event::Event,
    rejection::{Rejection, check_size},
    reply::Answer,
    rows::RowSink,
    state::State,
    time::Timestamp,
};

/// What a handler decided.
type Decision = Result<(Answer, Vec<Event>), Rejection>;

/// Stores a version, unless it says what the current one says.
pub(crate) fn push(state: &State, at: Timestamp, push: &PushSpecs) -> Decision {
    check_files(&push.files)?;
    require(&state.specs, push.expected)?;
    let id = SpecsId::of(push.files.iter().map(|file| (&*file.path, &*file.text)));
    let files = push.files.iter().map(|SpecFile { path, text }| {
        let record = FileRecord { path: path.clone(), text: TextHash::of(text), bytes: text.len() as u64 };
        (record, text.clone())
    });
    append(state, at, id, files.collect(), push.by.clone())
}

/// Stores the content of an older version as the newest.
pub(crate) fn revert(state: &State, at: Timestamp, revert: &RevertSpecs) -> Decision {
    let store = &state.specs;
    let version = store.version(revert.to).ok_or(Rejection::NoSuchSpecs { version: revert.to })?;
    require(store, revert.expected)?;
    let files_of = if mutant!("revert-keeps-files") { store.current().unwrap_or(version) } else { version };
    let texts = store.files(files_of).map(|(_, text)| text.clone());
    let files = files_of.files.iter().cloned().zip(texts).collect();
    append(state, at, version.id, files, revert.by.clone())
}

/// Refuses what was built from specs that are not the current ones any more.
pub(crate) fn require_current(state: &State, seen: Option<SpecsId>) -> Result<(), Rejection> {
    let current = state.specs.current_id();
    let is_current = seen == current || mutant!("stale-build-accepted");
    if seen.is_none() || is_current { Ok(()) } else { Err(Rejection::BuiltFromOtherSpecs { current }) }
}

fn require(store: &SpecStore, expected: Option<SpecsId>) -> Result<(), Rejection> {
    let current = store.current_id();
    if current == expected || mutant!("specs-cas-ignored") {
        Ok(())
    } else {
        Err(Rejection::OtherSpecs { current })
    }
}

fn append(
    state: &State,
    at: Timestamp,
    id: SpecsId,
    files: Vec<(FileRecord, Arc<str>)>,
    by: Arc<str>,
) -> Decision {
    let store = &state.specs;
    let parent = store.current_id();
    let answer = |changed| Answer::SpecsPushed { version: id, changed };
    if parent == Some(id) {
        return Ok((answer(false), vec![]));
    }
    sometimes!("a version of the specs has the content of an older one", store.version(id).is_some());
    let number = VersionNumber(store.current().map_or(0, |current| current.number.0) + 1);
    let texts = store.new_texts(&files);
    let files = files.into_iter().map(|(file, _)| file).collect();
    let version = Arc::new(VersionRecord { number, id, parent, pushed_at: at, pushed_by: by, files });
    let mut after = store.clone();
    after.evolve_pushed(&version, &texts, &mut RowSink::new(state.index()));
    let mut events = vec![Event::SpecsPushed { version, texts }];
    events.extend(trim(state, after)?.into_iter().map(|number| Event::SpecsDropped { number }));
    Ok((answer(true), events))
}

/// Which versions go so that the bounds hold: the oldest first, but neither the current one nor what a live request was built
/// from.
fn trim(state: &State, mut store: SpecStore) -> Result<Vec<VersionNumber>, Rejection> {
    let is_full = |store: &SpecStore, count: usize, bytes: u64| {
        store.versions.len() > count || store.text_bytes() > bytes
    };
    let mut dropped = Vec::new();
    if !is_full(&store, VERSIONS_KEPT, TEXT_BYTES_KEPT) {
        return Ok(dropped);
    }
    let mut needed: BTreeSet<SpecsId> = state.requests.iter().filter_map(|live| live.created.specs).collect();
    needed.extend(store.current_id());
    let oldest_first: Vec<_> = store.versions().cloned().collect();
    let mut scratch = RowSink::new(state.index());
    for version in oldest_first {
        if !is_full(&store, VERSIONS_KEPT, TEXT_BYTES_KEPT) {
            break;
        }
        let newest = store.version(version.id).map(|newest| newest.number);
        if !needed.contains(&version.id) || newest != Some(version.number) {
            sometimes!("an old version of the specs is dropped");
            store.evolve_dropped(version.number, &mut scratch);
            dropped.push(version.number);
        }
    }
    if store.versions.len() > VERSIONS_MAX {
        let what = "versions of specs that live requests were built from".to_owned();
        return Err(Rejection::TooMany { what, count_max: VERSIONS_MAX as u64 });
    }
    if store.text_bytes() > TEXT_BYTES_MAX {
        let what = "all specs that live requests were built from".to_owned();
        return Err(Rejection::TooLarge { what, bytes: store.text_bytes(), bytes_max: TEXT_BYTES_MAX });
    }
    Ok(dropped)
}

fn check_files(files: &[SpecFile]) -> Result<(), Rejection> {
    if files.len() > FILES_MAX {
        return Err(Rejection::TooMany { what: "spec files".to_owned(), count_max: FILES_MAX as u64 });
    }
    let mut before: Option<&str> = None;
    for SpecFile { path, text } in files {
        check_size("the path of a spec file", path, PATH_BYTES_MAX)?;
        let refused = |reason: &str| {
            Err(Rejection::InvalidSpecFile { path: path.to_string(), reason: reason.to_owned() })
        };
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refused("expected names with / between them, none of them . or ..");
        }
        if path.chars().any(char::is_control) {
            return refused("it has a control character");
        }
        match before {
            Some(before) if before == &**path => return refused("it is there twice"),
            Some(before) if before > &**path => return refused("it is not in the order of the paths"),
            _ => before = Some(path),
        }
        check_size(&format!("spec file {path}"), text, FILE_BYTES_MAX)?;
    }
    let bytes: usize = files.iter().map(|file| file.path.len() + file.text.len()).sum();
    if bytes > VERSION_BYTES_MAX {
        let (bytes, bytes_max) = (bytes as u64, VERSION_BYTES_MAX as u64);
        return Err(Rejection::TooLarge { what: "the version".to_owned(), bytes, bytes_max });
    }
    Ok(())
}
