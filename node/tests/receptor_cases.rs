//! The table of Receptor's cases names every case, and tests that exist.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

use std::{fs, path::Path};

/// How many cases there are.
const CASES: usize = 66;

/// What is between backticks in the last column.
fn named(row: &str) -> Vec<String> {
    let last = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
    last.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_case_has_a_row_and_every_row_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/receptor-cases.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    let mut cases = 0;
    for row in rows {
        cases += 1;
        assert!(row.starts_with(&format!("| {cases} |")), "the row of case {cases}: {row}");
        let tests = named(row);
        assert!(!tests.is_empty(), "case {cases} has no test");
        for test in tests {
            let (path, name) = test.split_once("::").unwrap_or((&test, ""));
            let file = fs::read_to_string(root.join(path));
            let has_it =
                file.as_ref().is_ok_and(|file| name.is_empty() || file.contains(&format!("fn {name}(")));
            assert!(has_it, "case {cases}: {test} does not exist");
        }
    }
    assert_eq!(cases, CASES);
}
