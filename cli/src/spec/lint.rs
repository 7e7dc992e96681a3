//! `capstan spec lint DIR`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use capstan_model::spec::{Finding, JobTypes, Level, Linted, OtherTypes, Rule, did_you_mean, lint};
use serde_json::{Value, json};

use super::{no_plugins, unreadable};
use crate::{
    console::{Console, Shade},
    failure::{Exit, Failure},
    options::Output,
    ports::SpecTools,
    text::escape,
};

/// Which specs to check, and how strictly.
#[derive(Debug, clap::Args)]
pub struct Lint {
    /// The directory with the specs
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Let warnings count as errors
    #[arg(short, long)]
    strict: bool,
    /// Show only what concerns these sequences; what is wrong elsewhere still counts
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    sequences: Vec<String>,
    /// The directory with the job plugins, to check jobs against what their types need and set; their `describe` is called
    #[arg(long, value_name = "DIR", env = "CAPSTAN_JOBS_DIRECTORY")]
    jobs: Option<PathBuf>,
}

pub(super) async fn run(
    options: &Lint,
    output: Output,
    tools: &dyn SpecTools,
    console: &mut Console,
) -> Result<(), Failure> {
    let files = tools.read(&options.directory).map_err(unreadable)?;
    let jobs = job_types(options.jobs.as_deref(), tools).await?;
    let mut linted = lint(files, &jobs);
    if linted.sequences.is_empty() && linted.is_ok() {
        linted.findings.push(nothing_there(&options.directory));
    }
    let known = options.known(&linted)?;
    let verdict = Verdict::of(&linted.findings, options, &known);
    match output {
        Output::Json => {
            let found: Vec<_> = verdict.shown.iter().map(|finding| as_json(finding)).collect();
            console.json(&json!({ "ok": verdict.is_ok, "findings": found }))?;
        }
        Output::Table => show(&verdict.shown, console)?,
    }
    console.note(&verdict.summary(&linted, options))?;
    if verdict.is_ok { Ok(()) } else { Err(Failure::Shown(Exit::Refused)) }
}

/// What the jobs of the specs can be: without a jobs directory, plugins are not known.
pub(super) async fn job_types(directory: Option<&Path>, tools: &dyn SpecTools) -> Result<JobTypes, Failure> {
    let factory = tools.job_types(directory).await.map_err(no_plugins)?;
    let others = if directory.is_some() { OtherTypes::None } else { OtherTypes::Plugins };
    Ok(JobTypes { known: factory.signatures().await, others })
}

impl Lint {
    /// The sequences to show; `None` for all.
    fn known(&self, linted: &Linted) -> Result<Option<Vec<Arc<str>>>, Failure> {
        let names = || linted.sequences.iter().map(|sequence| &*sequence.name);
        if let Some(unknown) = self.sequences.iter().find(|asked| names().all(|name| name != asked.as_str()))
        {
            let near = did_you_mean(unknown, names());
            return Err(Failure::new(
                Exit::Refused,
                format!("no file defines a sequence {unknown}{near}"),
                format!("capstan spec lint {}", self.directory.display()),
            ));
        }
        Ok((!self.sequences.is_empty()).then(|| self.sequences.iter().map(|name| (**name).into()).collect()))
    }
}

/// What is told of the findings.
struct Verdict<'a> {
    is_ok: bool,
    shown: Vec<&'a Finding>,
    errors: usize,
    warnings: usize,
    /// How many of those that decide are not shown.
    hidden: usize,
}

impl<'a> Verdict<'a> {
    fn of(findings: &'a [Finding], options: &Lint, only: &Option<Vec<Arc<str>>>) -> Self {
        let counts = |finding: &&Finding| options.strict || finding.is_error();
        // What concerns no sequence may be the reason why one of those asked for is not there.
        let is_shown = |finding: &&Finding| match (only, &finding.sequence) {
            (Some(only), Some(sequence)) => only.contains(sequence),
            _ => true,
        };
        let shown: Vec<_> = findings.iter().filter(is_shown).collect();
        let errors = shown.iter().filter(|finding| finding.is_error()).count();
        Self {
            is_ok: !findings.iter().any(|finding| counts(&finding)),
            errors,
            warnings: shown.len() - errors,
            hidden: findings.iter().filter(|finding| !is_shown(finding)).filter(counts).count(),
            shown,
        }
    }

    fn summary(&self, linted: &Linted, options: &Lint) -> String {
        let counted = format!(
            "{}, {}",
            count(self.errors, "error", "errors"),
            count(self.warnings, "warning", "warnings")
        );
        let sequences = count(linted.sequences.len(), "sequence", "sequences");
        if self.hidden > 0 {
            let elsewhere = count(self.hidden, "finding", "findings");
            return format!(
                "{counted}; not valid: {elsewhere} in other sequences\ncapstan spec lint {} shows all",
                options.directory.display()
            );
        }
        match (self.is_ok, self.warnings) {
            (true, 0) => format!("{counted}; all specs are valid ({sequences})"),
            (true, _) => format!("{counted}; {sequences}"),
            (false, _) if self.errors == 0 => format!("{counted}; not valid: --strict counts warnings"),
            (false, _) => counted,
        }
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn nothing_there(directory: &Path) -> Finding {
    Finding {
        level: Level::Error,
        rule: Rule::Parse,
        file: directory.display().to_string().into(),
        at: None,
        sequence: None,
        node: None,
        message: "no request specs: expected files named *.yaml with a mapping 'sequences'".to_owned(),
    }
}

/// Writes the findings in groups, one for each sequence and one for what concerns the whole of a file, errors before warnings,
/// each with its number.
pub(super) fn show(findings: &[&Finding], console: &mut Console) -> Result<(), Failure> {
    let mut groups: BTreeMap<(&str, Option<&str>), Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        groups.entry((&finding.file, finding.sequence.as_deref())).or_default().push(finding);
    }
    for ((file, sequence), findings) in groups {
        let title = sequence.map_or_else(|| file.to_owned(), |sequence| format!("{file}: {sequence}"));
        console.line(console.painted(Shade::Strong, &escape::line(&title)))?;
        for (level, title, shade) in
            [(Level::Error, "Errors", Shade::Bad), (Level::Warning, "Warnings", Shade::Busy)]
        {
            let of_level: Vec<_> = findings.iter().filter(|finding| finding.level == level).collect();
            if !of_level.is_empty() {
                console.line(format!("  {}", console.painted(shade, title)))?;
            }
            for (number, finding) in of_level.into_iter().enumerate() {
                let place = finding.at.map(|at| format!("{}:{} ", at.line, at.column)).unwrap_or_default();
                let node = finding.node.as_ref().map(|node| format!("node {node}: ")).unwrap_or_default();
                let told = format!("{place}{node}{} [{}]", finding.message, finding.rule);
                console.line(format!("    {}. {}", number + 1, escape::line(&told)))?;
            }
        }
    }
    Ok(())
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "level": match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
        },
        "rule": finding.rule.name(),
        "file": finding.file,
        "line": finding.at.map(|at| at.line),
        "column": finding.at.map(|at| at.column),
        "sequence": finding.sequence,
        "node": finding.node,
        "message": finding.message,
    })
}
