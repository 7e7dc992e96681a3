//! Tables for people.

use capstan_sim_tests::{coverage::Coverage, sweep::Summary};
use comfy_table::{CellAlignment, Table, presets};

/// What a sweep did, in a few lines.
pub(crate) fn sweep(summary: &Summary) -> String {
    let seeds = summary.seeds.max(1) as f64;
    format!(
        "{} seeds, {} failed; {:.0} virtual s in {:.1} CPU s ({:.0} to 1); {:.0} seeds a minute, {:.0} commits a seed; {} calls, {} \
         unknown, {}",
        summary.seeds,
        summary.failed.len(),
        summary.virtual_time.as_secs_f64(),
        summary.cpu_time.as_secs_f64(),
        summary.virtual_per_cpu(),
        summary.seeds_per_minute(),
        summary.tally.commits as f64 / seeds,
        summary.operations,
        summary.unknown,
        summary.tally,
    )
}

/// How often everything was seen, the rarest first.
pub(crate) fn coverage(coverage: &Coverage) -> String {
    let mut rows: Vec<_> = coverage.iter().collect();
    rows.sort_by_key(|(name, reached)| (reached.seeds, *name));
    let mut table = new(&["seen", "in seeds", "times"]);
    for (name, reached) in rows {
        table.add_row([name.to_owned(), reached.seeds.to_string(), reached.times.to_string()]);
    }
    right_aligned(table, &[1, 2])
}

pub(crate) fn new(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns);
    table
}

pub(crate) fn right_aligned(mut table: Table, columns: &[usize]) -> String {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}
