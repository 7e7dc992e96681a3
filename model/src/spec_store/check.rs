//! What holds of the cluster's specs, whatever was applied.

use std::collections::BTreeMap;

use super::{SpecsId, TextHash};
use crate::state::State;

/// Counts texts and hashes contents again. Says what does not agree.
pub(crate) fn check(state: &State) -> Result<(), String> {
    let store = &state.specs;
    let mut uses: BTreeMap<TextHash, u32> = BTreeMap::new();
    for (number, version) in &store.versions {
        if version.number != *number {
            return Err(format!("version {} stands in the place of {number}", version.number));
        }
        for file in &version.files {
            *uses.entry(file.text).or_default() += 1;
        }
    }
    let counted: BTreeMap<_, _> = store.texts.iter().map(|(hash, text)| (*hash, text.uses)).collect();
    if uses != counted {
        return Err(format!("texts are used {uses:?} and counted {counted:?}"));
    }
    for (hash, text) in &store.texts {
        if TextHash::of(&text.text) != *hash {
            return Err(format!("the text under {hash} has another hash"));
        }
    }
    let bytes: u64 = store.texts.values().map(|text| text.text.len() as u64).sum();
    if bytes != store.text_bytes {
        return Err(format!("{bytes} bytes of texts, counted {}", store.text_bytes));
    }
    for version in store.versions() {
        let id = SpecsId::of(store.files(version).map(|(path, text)| (&**path, &**text)));
        if id != version.id {
            return Err(format!("version {} has the content {id}, not {}", version.number, version.id));
        }
    }
    let mut needed = state.requests.iter().filter_map(|live| live.created.specs);
    let gone = needed.find(|id| store.version(*id).is_none());
    gone.map_or(Ok(()), |id| Err(format!("a live request was built from {id}, which is not kept")))
}
