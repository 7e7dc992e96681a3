//! The cluster's side of `capstan spec`: reading a version, telling how it differs, and asking before it is changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
};

use capstan_client::{
    CallError, Client, ReadOptions,
    cluster::{SpecText, SpecsContent, SpecsPushed},
};
use serde_json::json;
use similar::TextDiff;

use crate::{
    console::{Console, Shade},
    failure::{Exit, Failure},
    options::Output,
    text::{escape, version::short},
};

/// What names the version in use.
pub(super) const CURRENT: &str = "current";
/// How many lines around a change are shown.
const CONTEXT: usize = 3;

/// Files by path.
pub(super) type Files = BTreeMap<String, String>;

/// Whether a change is made without asking.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Consent {
    /// Do not ask first
    #[arg(short, long)]
    pub(super) yes: bool,
}

/// The current version; `None` before the first push.
pub(super) async fn current(client: &Client) -> Result<Option<SpecsContent>, Failure> {
    match client.specs_version(CURRENT, ReadOptions::default()).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A version as it is named by people.
pub(super) async fn version(client: &Client, named: &str) -> Result<SpecsContent, Failure> {
    client.specs_version(named, ReadOptions::default()).await.map_err(look_at_list)
}

/// Suggests the list of versions.
pub(super) fn look_at_list(error: CallError) -> Failure {
    let unknown = error.is_not_found();
    let failure = Failure::from(error);
    if unknown { failure.suggesting("capstan spec ls") } else { failure }
}

/// Suggests to look at what has changed, after a refusal because of that.
pub(super) fn look_again(error: CallError) -> Failure {
    let moved = error.status() == Some(412);
    let failure = Failure::from(error);
    if moved {
        failure.suggesting("somebody pushed meanwhile: look at it with capstan spec ls, and try again")
    } else {
        failure
    }
}

pub(super) fn files(texts: Vec<SpecText>) -> Files {
    texts.into_iter().map(|file| (file.path, file.text)).collect()
}

/// How files became others, by path: `added`, `removed` or `changed`.
pub(super) fn changes<'a>(from: &'a Files, to: &'a Files) -> BTreeMap<&'a str, &'static str> {
    let paths: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let change = |path: &'a String| match (from.get(path), to.get(path)) {
        (None, _) => Some((path.as_str(), "added")),
        (_, None) => Some((path.as_str(), "removed")),
        (Some(from), Some(to)) => (from != to).then_some((path.as_str(), "changed")),
    };
    paths.into_iter().filter_map(change).collect()
}

/// Writes what has changed as a unified diff, or as JSON.
pub(super) fn show_changes(
    from: &Files,
    to: &Files,
    output: Output,
    console: &mut Console,
) -> Result<(), Failure> {
    let changes = changes(from, to);
    if output == Output::Json {
        let files: Vec<_> =
            changes.iter().map(|(path, change)| json!({ "path": path, "change": change })).collect();
        return Ok(console.json(&json!({ "files": files }))?);
    }
    for path in changes.into_keys() {
        let text = |files: &Files| files.get(path).cloned().unwrap_or_default();
        let name = |files: &Files, side: &str| {
            if files.contains_key(path) { format!("{side}/{path}") } else { "/dev/null".to_owned() }
        };
        let (old, new) = (text(from), text(to));
        let diff = TextDiff::from_lines(&old, &new);
        let mut unified = diff.unified_diff();
        let unified = unified.context_radius(CONTEXT).header(&name(from, "a"), &name(to, "b"));
        for line in unified.to_string().lines() {
            let shade = match line.as_bytes().first() {
                Some(b'+') => Shade::Good,
                Some(b'-') => Shade::Bad,
                Some(b'@') => Shade::Busy,
                _ => Shade::Plain,
            };
            console.line(console.painted(shade, &escape::line(line)))?;
        }
    }
    Ok(())
}

/// Asks a person at a terminal; a program is to say `--yes`.
pub(super) fn ask(question: &str, consent: Consent, console: &mut Console) -> Result<(), Failure> {
    if consent.yes {
        return Ok(());
    }
    if !(console.terminal.input && console.terminal.err) {
        let message = format!("{question} Nobody can be asked: this is no terminal");
        return Err(Failure::new(Exit::Usage, message, "say --yes"));
    }
    console.out.flush()?;
    write!(console.err, "{question} [y/N] ")?;
    console.err.flush()?;
    let mut answer = String::new();
    BufReader::new(&mut console.input).read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "nothing was changed", "answer y, or say --yes"))
}

/// Tells how a push or a revert ended.
pub(super) fn show_pushed(
    pushed: &SpecsPushed,
    output: Output,
    console: &mut Console,
) -> Result<(), Failure> {
    match output {
        Output::Json => console.json(pushed)?,
        Output::Table if pushed.changed => {
            console.line(format!("the specs are at version {} now", short(&pushed.version)))?;
        }
        Output::Table => {
            console.line(format!("the specs were at version {} already", short(&pushed.version)))?;
        }
    }
    Ok(())
}
