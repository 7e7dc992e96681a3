//! `capstan spec lint DIR`.

use std::path::PathBuf;

use capstan_model::spec::{Level, SpecError};
use serde_json::json;

use super::unreadable;
use crate::{
    console::{Console, Shade},
    failure::{Exit, Failure},
    options::Output,
    ports::{LoadError, SpecTools},
    text::escape,
};

/// Which specs to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Lint {
    /// The directory with the specs
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(
    lint: &Lint,
    output: Output,
    tools: &dyn SpecTools,
    console: &mut Console,
) -> Result<(), Failure> {
    let (findings, sequences) = match tools.load(&lint.directory) {
        Ok(specs) => (specs.warnings().to_vec(), Some(specs.sequences().count())),
        Err(LoadError::Wrong(findings)) => (findings, None),
        Err(LoadError::Unreadable(reason)) => return Err(unreadable(reason)),
    };
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    match output {
        Output::Json => {
            let found: Vec<_> = findings.iter().map(as_json).collect();
            console.json(&json!({ "ok": errors == 0, "findings": found }))?;
        }
        Output::Table => {
            for finding in &findings {
                let level = match finding.level {
                    Level::Error => console.painted(Shade::Bad, "error"),
                    Level::Warning => console.painted(Shade::Busy, "warning"),
                };
                console.line(format!("{level}: {}", escape::line(&finding.to_string())))?;
            }
            let loaded = sequences.map_or_else(String::new, |count| format!("; {count} sequences are fine"));
            console.note(&format!("{errors} errors, {} warnings{loaded}", findings.len() - errors))?;
        }
    }
    if errors == 0 { Ok(()) } else { Err(Failure::Shown(Exit::Refused)) }
}

fn as_json(finding: &SpecError) -> serde_json::Value {
    json!({
        "level": match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
        },
        "file": finding.file,
        "line": finding.at.map(|at| at.line),
        "column": finding.at.map(|at| at.column),
        "sequence": finding.sequence,
        "message": finding.message,
    })
}
