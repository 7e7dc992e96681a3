//! The tables of the reference's cases name every case, and tests that exist.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

use std::{fs, path::Path};

/// What is between backticks in the last column.
fn named(row: &str) -> Vec<String> {
    let last = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
    last.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Checks the first table of a page: a row for each case, in order, and tests in each. Of the tables behind it only that their tests exist.
fn check(page: &str, cases: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join(page)).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    let is_case = |row: &&&str| row.as_bytes()[2].is_ascii_digit();
    for (number, row) in rows.iter().filter(is_case).enumerate() {
        assert!(row.starts_with(&format!("| {} |", number + 1)), "the row of case {}: {row}", number + 1);
        assert!(!named(row).is_empty(), "no test: {row}");
    }
    assert_eq!(rows.iter().filter(is_case).count(), cases);
    for test in rows.iter().flat_map(|row| named(row)) {
        let (path, name) = test.split_once("::").unwrap_or((&test, ""));
        let file = fs::read_to_string(root.join(path));
        let has_it = file.as_ref().is_ok_and(|file| name.is_empty() || file.contains(&format!("fn {name}(")));
        assert!(has_it, "{page}: {test} does not exist");
    }
}

#[test]
fn every_case_of_the_receptor_has_a_row_and_tests_that_exist() {
    check("docs/receptor-cases.md", 66);
}

#[test]
fn every_case_of_spin_cycle_has_a_row_and_tests_that_exist() {
    check("docs/spin-cycle-cases.md", 51);
}
