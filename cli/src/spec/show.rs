//! `capstan spec show`.

use capstan_client::cluster::{SpecText, SpecsContent};
use capstan_model::spec::{JobTypes, did_you_mean, lint};

use super::cluster;
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::{CallOptions, Output},
    text::{
        escape,
        facts::{facts, or_dash},
        table::{Cell, Table},
        time::when,
        version::short,
    },
};

/// Which version, and what of it.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// A file of it by its path, or the file that defines a sequence by the sequence's name; without it, what the version is
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The version, by at least four of its digits
    #[arg(long, value_name = "VERSION", default_value = cluster::CURRENT)]
    version: String,
}

pub(super) async fn run(show: &Show, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let content = cluster::version(&options.client()?, &show.version).await?;
    let Some(name) = &show.name else { return show_version(&content, options.output, console) };
    let file = find(&content, name)?;
    match options.output {
        Output::Json => console.json(file)?,
        Output::Table => {
            // Byte for byte where a program reads it.
            let text = if console.terminal.out { escape::lines(&file.text) } else { file.text.clone() };
            console.out.write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

fn find<'a>(content: &'a SpecsContent, name: &str) -> Result<&'a SpecText, Failure> {
    let file = |path: &str| content.files.iter().find(|file| file.path == path);
    if let Some(file) = file(name) {
        return Ok(file);
    }
    let texts = content.files.iter().map(|file| (&file.path, Ok(&file.text)));
    let sequences = lint(texts, &JobTypes::default()).sequences;
    let found = sequences.iter().find(|sequence| &*sequence.name == name);
    found.and_then(|sequence| file(&sequence.file)).ok_or_else(|| {
        let paths = content.files.iter().map(|file| file.path.as_str());
        let near = did_you_mean(name, sequences.iter().map(|sequence| &*sequence.name).chain(paths));
        let version = short(&content.version.version);
        Failure::new(
            Exit::NotFound,
            format!("version {version} has no file and no sequence {name}{near}"),
            format!("capstan spec show --version {version}"),
        )
    })
}

fn show_version(content: &SpecsContent, output: Output, console: &mut Console) -> Result<(), Failure> {
    if output == Output::Json {
        return Ok(console.json(content)?);
    }
    let version = &content.version;
    console.line(facts([
        ("version", escape::line(&version.version)),
        ("number", version.number.to_string()),
        ("pushed", when(version.pushed_at, (console.now)())),
        ("by", or_dash(&version.pushed_by)),
        (
            "before",
            version.parent.as_deref().map_or_else(|| "-".to_owned(), |parent| escape::line(short(parent))),
        ),
    ]))?;
    let mut table = Table::new(&["FILE", "BYTES"]);
    for file in &content.files {
        table.row([Cell::text(&file.path), Cell::number(file.text.len())]);
    }
    console.line("")?;
    console.line(table.draw(console))?;
    Ok(())
}
