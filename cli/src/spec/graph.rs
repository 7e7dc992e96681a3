//! `capstan spec graph REQUEST`: builds a request as a node would, and shows its jobs in an order they could run in.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use capstan_model::{
    ids::JobId,
    workflow::{
        chain::{JobPlace, ValidChain},
        graph::{BuildError, Builder, Built, CreateError, Step},
        json::{JsonMap, JsonText},
    },
};
use serde_json::{Value, json};

use super::{load, no_plugins};
use crate::{
    console::Console,
    failure::{Exit, Failure},
    options::Output,
    ports::{JobFactory, SpecTools},
    text::{
        arg,
        table::{Cell, Table},
    },
};

/// What to build.
#[derive(Debug, clap::Args)]
pub struct Graph {
    /// The request's name
    #[arg(value_name = "REQUEST")]
    name: String,
    /// The directory with the specs
    #[arg(long, value_name = "DIR", env = "CAPSTAN_SPECS_DIRECTORY")]
    specs: PathBuf,
    /// The directory with the job plugins; their `create` is called
    #[arg(long, value_name = "DIR", env = "CAPSTAN_JOBS_DIRECTORY")]
    jobs: Option<PathBuf>,
    /// An arg of the request: NAME=TEXT, or NAME:=JSON; once for each
    #[arg(long = "arg", value_name = "ARG", value_parser = arg::parse)]
    args: Vec<(String, Value)>,
}

/// A job of the chain, with what is told of it.
struct Shown<'a> {
    chain: &'a ValidChain,
    place: JobPlace,
    /// The length of the longest way to it from the first job.
    step: usize,
    after: Vec<JobId>,
}

pub(super) async fn run(
    graph: Graph,
    output: Output,
    tools: &dyn SpecTools,
    console: &mut Console,
) -> Result<(), Failure> {
    let specs = load(&graph.specs, tools)?;
    let jobs = tools.job_types(graph.jobs.as_deref()).await.map_err(no_plugins)?;
    let args: JsonMap =
        graph.args.iter().map(|(name, value)| (name.as_str().into(), JsonText::from(value))).collect();
    let builder = Builder::new(Arc::new(specs), &graph.name, &args, ids());
    let built = build(builder, &*jobs)
        .await
        .map_err(|refusal| Failure::new(Exit::Refused, refusal.to_string(), next_step(&refusal, &graph)))?;
    let shown = in_order(&built.chain);
    match output {
        Output::Json => {
            let jobs: Vec<_> = shown.iter().map(Shown::as_json).collect();
            console.json(&json!({ "request": graph.name, "jobs": jobs }))?;
        }
        Output::Table => {
            console.line(table(&shown).draw(console))?;
            console.note(&format!("{} jobs", shown.len()))?;
        }
    }
    Ok(())
}

/// What to do about a request that cannot be built.
fn next_step(refusal: &BuildError, graph: &Graph) -> String {
    match refusal {
        BuildError::NotCreated { error: CreateError::UnknownType, .. } if graph.jobs.is_none() => {
            "name the directory with the job plugins: --jobs DIR".to_owned()
        }
        _ => format!("give its args with --arg NAME=TEXT; or capstan spec lint {}", graph.specs.display()),
    }
}

/// Ids that count, so that the same request is shown with the same ids each time.
fn ids() -> impl FnMut() -> JobId {
    let mut count = 0_u32;
    move || {
        count += 1;
        let digits = format!("{:04}", count % 10_000);
        JobId(digits.as_bytes().try_into().expect("four digits"))
    }
}

async fn build<D: FnMut() -> JobId>(
    mut builder: Builder<D>,
    jobs: &dyn JobFactory,
) -> Result<Built, BuildError> {
    let mut created = Vec::new();
    loop {
        match builder.step(std::mem::take(&mut created)) {
            Step::Need(calls) => created = jobs.create(calls).await,
            Step::Done(built) => return Ok(*built),
            Step::Refused(refusal) => return Err(refusal),
        }
    }
}

/// The jobs by step, and within one by id.
fn in_order(chain: &ValidChain) -> Vec<Shown<'_>> {
    let mut after: BTreeMap<JobPlace, Vec<JobId>> = BTreeMap::new();
    for job in chain.jobs() {
        for successor in &job.successors {
            after.entry(*successor).or_default().push(job.id);
        }
    }
    let mut steps: BTreeMap<JobPlace, usize> = BTreeMap::new();
    let mut waiting: BTreeMap<JobPlace, u32> =
        chain.places().map(|place| (place, chain.parents(place))).collect();
    let mut ready = vec![chain.source()];
    while let Some(place) = ready.pop() {
        let step = *steps.entry(place).or_insert(0);
        for successor in &chain.job(place).successors {
            let known = steps.entry(*successor).or_insert(0);
            *known = (*known).max(step + 1);
            let left = waiting.get_mut(successor).expect("every place is there");
            *left -= 1;
            if *left == 0 {
                ready.push(*successor);
            }
        }
    }
    let mut shown: Vec<_> = steps
        .into_iter()
        .map(|(place, step)| Shown { chain, place, step, after: after.remove(&place).unwrap_or_default() })
        .collect();
    shown.sort_by_key(|job| (job.step, job.place));
    shown
}

fn table(shown: &[Shown<'_>]) -> Table {
    let mut table = Table::new(&["STEP", "JOB", "NAME", "TYPE", "ARGS", "SEQUENCE", "RETRY", "AFTER"]);
    for job in shown {
        let spec = job.chain.job(job.place);
        let args: Vec<_> = spec.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let after: Vec<_> = job.after.iter().map(ToString::to_string).collect();
        table.row([
            Cell::number(job.step),
            Cell::text(spec.id),
            Cell::text(&spec.name),
            Cell::text(&spec.job_type),
            Cell::text(args.join(" ")),
            Cell::text(job.chain.sequence_id(spec)),
            Cell::maybe(job.retries()),
            Cell::text(after.join(" ")),
        ]);
    }
    table
}

impl Shown<'_> {
    /// How often it is tried again, and for the first job of a sequence how often that is.
    fn retries(&self) -> Option<String> {
        let spec = self.chain.job(self.place);
        let sequence = self.chain.sequence(spec.sequence);
        let of_sequence = if sequence.begin == self.place { sequence.retry } else { 0 };
        match (spec.retry, of_sequence) {
            (0, 0) => None,
            (0, sequence) => Some(format!("sequence {sequence}")),
            (job, 0) => Some(job.to_string()),
            (job, sequence) => Some(format!("{job}, sequence {sequence}")),
        }
    }

    fn as_json(&self) -> Value {
        let spec = self.chain.job(self.place);
        let args: BTreeMap<_, _> = spec.args.iter().map(|(name, value)| (name, value.to_value())).collect();
        json!({
            "id": spec.id.to_string(),
            "name": spec.name,
            "type": spec.job_type,
            "args": args,
            "step": self.step,
            "sequence": self.chain.sequence_id(spec).to_string(),
            "retry": spec.retry,
            "sequence_retry": self.chain.sequence(spec.sequence).retry,
            "after": self.after.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}
