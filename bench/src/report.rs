//! What is shown and what is written to `--json`.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::{counters::Counters, load::Measured};

/// One run at a number of clients.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Successful calls per second.
    pub(crate) per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    example_of_an_error: Option<String>,
    /// Syncs of the log per second and node.
    fsyncs_per_second: f64,
    /// Successful calls for each sync of one node.
    calls_per_fsync: f64,
    /// Processor seconds of all nodes, per second.
    node_cpus: f64,
}

impl Run {
    /// Sums a run up; `counted` is what all `nodes` together counted meanwhile.
    pub(crate) fn new(measured: &Measured, counted: Counters, nodes: usize) -> Self {
        let seconds = measured.elapsed.as_secs_f64();
        let fsyncs_per_second = counted.log_fsyncs / seconds / nodes as f64;
        let per_second = measured.per_second();
        Self {
            per_second,
            p50_ms: measured.percentile_ms(50.0),
            p99_ms: measured.percentile_ms(99.0),
            max_ms: measured.max_ms(),
            errors: measured.errors,
            example_of_an_error: measured.example.clone(),
            fsyncs_per_second,
            calls_per_fsync: if fsyncs_per_second > 0.0 { per_second / fsyncs_per_second } else { 0.0 },
            node_cpus: counted.cpu_seconds / seconds,
        }
    }
}

/// Runs by number of clients, and what the disk can do.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    what: &'static str,
    disk_fsyncs_per_second: f64,
    clients: BTreeMap<usize, Run>,
}

impl Report {
    pub(crate) fn new(what: &'static str, disk_fsyncs_per_second: f64) -> Self {
        Self { what, disk_fsyncs_per_second, clients: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, clients: usize, run: Run) {
        self.clients.insert(clients, run);
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        let mut table = table(&[
            "clients",
            self.what,
            "p50 ms",
            "p99 ms",
            "max ms",
            "errors",
            "fsyncs/s",
            "per fsync",
            "node CPUs",
        ]);
        for (clients, run) in &self.clients {
            table.add_row([
                clients.to_string(),
                format!("{:.0}", run.per_second),
                format!("{:.2}", run.p50_ms),
                format!("{:.2}", run.p99_ms),
                format!("{:.1}", run.max_ms),
                run.errors.to_string(),
                format!("{:.0}", run.fsyncs_per_second),
                format!("{:.1}", run.calls_per_fsync),
                format!("{:.2}", run.node_cpus),
            ]);
        }
        println!("{}", finish(table));
        for run in self.clients.values() {
            if let Some(error) = &run.example_of_an_error {
                println!("an error: {error}");
            }
        }
        println!("the disk by itself: {:.0} fsyncs/s", self.disk_fsyncs_per_second);
    }
}

/// A table without lines, with a row of headings.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.iter().copied());
    table
}

/// Aligns numbers to the right, and renders.
pub(crate) fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Writes `report` as JSON where `--json` says.
pub(crate) fn write_json(path: Option<&Path>, report: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
