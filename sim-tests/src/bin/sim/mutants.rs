//! Planted bugs.

use std::{fs, path::PathBuf};

use anyhow::Context;
use capstan_sim_tests::mutants::{
    self, Area, Mutant,
    hunt::{Hunt, Hunted, News, hunt, median},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::tables;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names all bugs, and hunts none.
    #[arg(long)]
    list: bool,
    /// Only these, by name, with commas between.
    #[arg(long, value_delimiter = ',', value_parser = mutants::find)]
    only: Vec<Mutant>,
    /// Only those of these areas, with commas between.
    #[arg(long, value_delimiter = ',')]
    area: Vec<Area>,
    /// Only some, drawn anew for each date, such as 2026-11-20.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["only", "area"])]
    of_the_day: Option<String>,
    /// How many are drawn for a date.
    #[arg(long, default_value_t = 5)]
    pick: usize,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds are tried on each at most.
    #[arg(long, default_value_t = 100)]
    count: u64,
    /// In how many seeds each is to be caught; then the next one's turn has come.
    #[arg(long, default_value_t = 3)]
    until_caught: usize,
    /// How many are hunted at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Writes what is found to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let chosen = args.chosen();
    anyhow::ensure!(!chosen.is_empty(), "no bug is both of these names and of these areas");
    if args.list {
        println!("{}", list(&chosen));
        return Ok(true);
    }
    let progress = ProgressBar::new(chosen.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} bugs, {elapsed}, {msg}");
    progress.set_style(style.expect("the template is legal"));
    let Args { from, count, until_caught, jobs, .. } = *args;
    let widths = Widths::of(&chosen);
    println!("{}", widths.header());
    let hunted = hunt(&Hunt { from, count, until_caught, jobs }, &chosen, |news| match news {
        News::Tries { mutant, seed } => progress.set_message(format!("{}: seed {seed}", mutant.name)),
        News::Done(hunted) => {
            progress.inc(1);
            progress.suspend(|| println!("{}", widths.row(hunted)));
        }
    });
    progress.finish_and_clear();
    println!("{}", summary(&hunted));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&serde_json::json!({ "mutants": hunted })).context("encode")?;
        fs::write(path, json).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(hunted.iter().all(|one| one.caught))
}

impl Args {
    fn chosen(&self) -> Vec<Mutant> {
        if let Some(date) = &self.of_the_day {
            return mutants::of_the_day(date, self.pick);
        }
        let is_named = |mutant: &Mutant| self.only.is_empty() || self.only.contains(mutant);
        let is_of_area = |mutant: &Mutant| self.area.is_empty() || self.area.contains(&mutant.area);
        mutants::all().filter(is_named).filter(is_of_area).collect()
    }
}

fn list(mutants: &[Mutant]) -> String {
    let mut table = tables::new(&["bug", "area", "what is wrong"]);
    for Mutant { name, area, wrong } in mutants {
        table.add_row([(*name).to_owned(), area.to_string(), (*wrong).to_owned()]);
    }
    table.to_string()
}

/// How wide the columns are: those of text that stand on the left, and those of numbers.
struct Widths {
    name: usize,
    area: usize,
}

impl Widths {
    fn of(mutants: &[Mutant]) -> Self {
        let name = mutants.iter().map(|mutant| mutant.name.len()).max().unwrap_or(0);
        let area = mutants.iter().map(|mutant| mutant.area.to_string().len()).max().unwrap_or(0);
        Self { name: name.max(3), area: area.max(4) }
    }

    fn header(&self) -> String {
        self.line(["bug", "area", "caught", "median", "first", "seconds", "caught by"])
    }

    fn row(&self, hunted: &Hunted) -> String {
        let or_dash = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        self.line([
            hunted.name,
            &hunted.area.to_string(),
            &format!("{} of {}", hunted.caught_seeds.len(), hunted.tried),
            &or_dash(median(hunted.gaps())),
            &or_dash(hunted.caught_seeds.first().copied()),
            &format!("{:.1}", hunted.seconds),
            hunted.invariants.first().map_or("not caught", String::as_str),
        ])
    }

    fn line(&self, [name, area, caught, median, first, seconds, by]: [&str; 7]) -> String {
        let Self { name: wide, area: less_wide } = self;
        format!("{name:<wide$}  {area:<less_wide$}  {caught:>9} {median:>6} {first:>6} {seconds:>7}  {by}")
    }
}

fn summary(hunted: &[Hunted]) -> String {
    let caught: Vec<u64> = hunted.iter().filter(|one| one.caught).map(|one| one.seeds).collect();
    let (count, all) = (caught.len(), hunted.len());
    let share = 100.0 * count as f64 / all.max(1) as f64;
    let worst = caught.iter().max().copied().unwrap_or(0);
    let missed: Vec<&str> = hunted.iter().filter(|one| !one.caught).map(|one| one.name).collect();
    let missed = if missed.is_empty() { String::new() } else { format!("; missed: {}", missed.join(", ")) };
    format!(
        "caught {count} of {all} bugs ({share:.1} %); seeds until caught: median {}, at worst {worst}{missed}",
        median(caught).unwrap_or(0)
    )
}
