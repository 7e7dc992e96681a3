//! What processes find in their environment: little, and the same on every node.
//!
//! The `CAPSTAN_…` variables let a job fence its own effects, and let a guardian or a later node recognise what
//! belongs to whom.

use std::{ffi::OsString, fs, io, os::unix::fs::MetadataExt, path::Path};

use capstan_model::ids::Incarnation;

use super::{
    household::Household, instance_spec::InstanceSpec, key::ProcessKey, protocol::StartSpec, scratch,
};

/// The key of a process.
pub(crate) const KEY: &str = "CAPSTAN_KEY";
/// The instance a process belongs to.
pub(crate) const INSTANCE: &str = "CAPSTAN_INSTANCE";
/// The data directory of the node it belongs to, as [`directory_mark`] writes it.
pub(crate) const DIRECTORY: &str = "CAPSTAN_NODE_DIR";
/// The process id of the node whose guardian a process is; its children do not have it.
pub(crate) const GUARDIAN_OF: &str = "CAPSTAN_GUARDIAN_OF";

/// Variables handed on from the node, with what they are when the node has none.
const HANDED_ON: [(&str, Option<&str>); 4] = [
    ("PATH", Some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
    ("HOME", Some("/")),
    ("LANG", Some("C.UTF-8")),
    ("TZ", None),
];

/// What marks processes of one data directory: its path, and the file system's name for it, so that neither a
/// second container with the same paths nor a second way to the same folder is mistaken.
///
/// # Errors
/// The directory is not there or cannot be looked at.
pub(crate) fn directory_mark(data: &Path) -> io::Result<OsString> {
    let data = fs::canonicalize(data)?;
    let metadata = fs::metadata(&data)?;
    let mut mark = OsString::from(format!("{}:{}:", metadata.dev(), metadata.ino()));
    mark.push(data);
    Ok(mark)
}

/// What a guardian runs in, and its processes start from.
pub(crate) fn usual() -> Vec<(OsString, OsString)> {
    let value = |name: &str, default: Option<&str>| std::env::var_os(name).or(default.map(OsString::from));
    HANDED_ON.iter().filter_map(|(name, default)| Some((name.into(), value(name, *default)?))).collect()
}

/// The variables of one process beside the usual ones, in order of precedence: later ones win.
pub(crate) fn of_process(
    household: &Household,
    incarnation: &Incarnation,
    spec: &StartSpec,
) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> =
        spec.env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut set = |name: &str, value: OsString| variables.push((name.into(), value));
    set(KEY, spec.key.to_string().into());
    set(DIRECTORY, household.directory_mark.clone());
    set("CAPSTAN_NODE_ID", incarnation.node.to_string().into());
    set("CAPSTAN_INCARNATION", incarnation.to_string().into());
    set("CAPSTAN_RESULT", scratch::result_file(&household.data, &spec.key).into());
    set("CAPSTAN_STATUS", scratch::status_file(&household.data, &spec.key).into());
    if let ProcessKey::Try(key) = &spec.key {
        set("CAPSTAN_REQUEST_ID", key.request.to_string().into());
        set("CAPSTAN_JOB_ID", key.job.to_string().into());
        set("CAPSTAN_TRY", key.try_no.to_string().into());
        set("CAPSTAN_EPOCH", key.epoch.to_string().into());
    }
    variables
}

/// The variables of a process of an instance beside the usual ones, in order of precedence: later ones win.
pub(crate) fn of_instance(
    household: &Household,
    incarnation: &Incarnation,
    spec: &InstanceSpec,
) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = vec![("HOME".into(), spec.folder.clone().into())];
    variables.extend(spec.user.iter().map(|user| ("USER".into(), user.into())));
    variables.extend(spec.env.iter().map(|(name, value)| (name.into(), value.into())));
    let mut set = |name: &str, value: OsString| variables.push((name.into(), value));
    set(INSTANCE, spec.process.instance.to_string().into());
    set(DIRECTORY, household.directory_mark.clone());
    set("CAPSTAN_NODE_ID", incarnation.node.to_string().into());
    variables
}
