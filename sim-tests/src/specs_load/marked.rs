//! Specs whose versions can be told apart by the graph of a request: its nodes are named after the version, and there are as many as it says.

use std::fmt::Write;

use capstan_model::{
    auth::{Acl, AclEntry},
    spec_store::SpecFile,
    workflow::chain::ValidChain,
};

use crate::requests::specs;

/// The request whose graph tells the version.
pub(crate) const MARKED: &str = "marked";
/// The request whose ACL does.
pub(crate) const GUARDED: &str = "guarded";
/// The file that they are in.
const PATH: &str = "marked.yaml";
/// What the names of its nodes begin with.
const PREFIX: &str = "mark-";
/// The most nodes that it has.
const NODES_MAX: usize = 3;

/// All files of a version, sorted by path: those of the run, and the one that is marked.
pub(crate) fn files(specs_seed: u64, mark: &str) -> Vec<SpecFile> {
    let marked = (PATH.to_owned(), text(mark));
    let mut files: Vec<SpecFile> = specs::files(specs_seed)
        .into_iter()
        .chain([marked])
        .map(|(path, text)| SpecFile { path: path.into(), text: text.into() })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The marked file. A mark is of lower-case letters, digits and hyphens.
fn text(mark: &str) -> String {
    let args = "args: {required: [{name: cmd, desc: Program}, {name: args, desc: Its words}]}";
    let sum = mark.bytes().map(usize::from).sum::<usize>();
    let acl = match sum / NODES_MAX % 3 {
        0 => "    acl:\n      - {role: deploy, ops: [start]}\n      - {role: oncall, admin: true}\n",
        1 => "    acl:\n      - {role: oncall, ops: [start, stop]}\n      - {role: deploy, ops: [stop]}\n",
        _ => "",
    };
    let mut text = "sequences:\n".to_owned();
    let guard = "{category: job, type: shell-command, args: [{expected: cmd}, {expected: args}], deps: []}";
    write!(text, "  {GUARDED}:\n    request: true\n{acl}    {args}\n    nodes:\n      guard: {guard}\n")
        .expect("a String takes all");
    write!(text, "  {MARKED}:\n    request: true\n    {args}\n    nodes:\n").expect("a String takes all");
    let count = 1 + sum % NODES_MAX;
    for node in 0..count {
        let args = "args: [{expected: cmd}, {expected: args}]";
        writeln!(
            text,
            "      {PREFIX}{mark}-{node}: {{category: job, type: shell-command, {args}, deps: []}}"
        )
        .expect("a String takes all");
    }
    text
}

/// The nodes that files of a version name, sorted: every word before a colon that begins as those do. Empty of files without the marked one.
pub(crate) fn named<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<&'a str> {
    let marked = files.filter(|(path, _)| *path == PATH).flat_map(|(_, text)| text.lines());
    let mut named: Vec<&str> = marked
        .filter_map(|line| Some(line.trim_start().split_once(':')?.0))
        .filter(|name| name.starts_with(PREFIX))
        .collect();
    named.sort_unstable();
    named
}

/// What files of a version say of who may start and stop such a request: the guarded one alone has an ACL.
pub(crate) fn acl_of<'a>(kind: &str, files: impl Iterator<Item = (&'a str, &'a str)>) -> Acl {
    let marked =
        files.filter(|(path, _)| *path == PATH && kind == GUARDED).flat_map(|(_, text)| text.lines());
    let rules = marked.filter_map(|line| line.trim_start().strip_prefix("- {role: ")?.split_once(','));
    let entry = |(role, rest): (&str, &str)| AclEntry {
        role: role.into(),
        admin: rest.contains("admin: true"),
        start: rest.contains("start"),
        stop: rest.contains("stop"),
    };
    Acl(rules.map(entry).collect())
}

/// The marked nodes that a chain has, sorted.
pub(crate) fn built(chain: &ValidChain) -> Vec<&str> {
    let names = chain.jobs().iter().map(|job| &*job.name);
    let mut built: Vec<&str> = names.filter(|name| name.starts_with(PREFIX)).collect();
    built.sort_unstable();
    built
}

#[cfg(test)]
mod tests {
    use capstan_model::spec::Specs;

    use super::*;

    #[test]
    fn every_mark_gives_specs_that_name_it() {
        for mark in ["node-1", "3x17", "again-0"] {
            let files = files(7, mark);
            let texts = || files.iter().map(|file| (&*file.path, &*file.text));
            let specs = Specs::load(texts()).expect("the specs are right");
            assert!(specs.sequence(MARKED).is_some_and(|spec| spec.is_request), "{mark}");
            let named = named(texts());
            assert!((1..=NODES_MAX).contains(&named.len()), "{named:?}");
            assert!(named.iter().all(|name| name.starts_with(&format!("mark-{mark}-"))), "{named:?}");
            let guarded = specs.sequence(GUARDED).expect("it is there");
            assert_eq!(acl_of(GUARDED, texts()), Acl::of(&guarded.acl), "{mark}");
            assert_eq!(acl_of(MARKED, texts()), Acl::default(), "{mark}");
        }
    }
}
