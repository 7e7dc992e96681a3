//! How a process of this program that is a job tells of its end.

use std::{env, fs, process::ExitCode};

use serde_json::json;

/// The exit code of a job. Why it failed goes to standard error, and to the file named by `CAPSTAN_RESULT`.
pub(super) fn conclude(result: Result<(), String>) -> ExitCode {
    let Err(reason) = result else { return ExitCode::SUCCESS };
    eprintln!("{reason}");
    if let Some(path) = env::var_os("CAPSTAN_RESULT") {
        let result = json!({ "state": "FAIL", "exit": 1, "error": reason });
        if let Err(error) = fs::write(path, result.to_string()) {
            eprintln!("cannot write the result: {error}");
        }
    }
    ExitCode::FAILURE
}
