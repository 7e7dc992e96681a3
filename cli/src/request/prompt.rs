//! Asks a person at a terminal for the args that a request needs and that were not given.

use std::io::{self, BufRead, BufReader, Write};

use capstan_client::spin_cycle::{ArgKind, RequestListEntry};
use serde_json::{Map, Value};

use crate::{
    console::Console,
    failure::{Exit, Failure},
    text::escape,
};

/// Asks for each required arg that is missing, until something is entered. Does nothing unless standard input and standard
/// error are terminals: a program is told what is missing instead.
pub(super) fn complete(
    entry: &RequestListEntry,
    args: &mut Map<String, Value>,
    console: &mut Console,
) -> Result<(), Failure> {
    if !(console.terminal.input && console.terminal.err) {
        return Ok(());
    }
    let missing = entry.args.iter().filter(|arg| arg.kind == ArgKind::Required);
    let missing: Vec<_> = missing.filter(|arg| !args.contains_key(&arg.name)).collect();
    let mut answers = BufReader::new(&mut console.input);
    for arg in missing {
        if !arg.desc.is_empty() {
            writeln!(console.err, "# {}", escape::line(&arg.desc))?;
        }
        let value = loop {
            write!(console.err, "{}=", arg.name)?;
            console.err.flush()?;
            match next_line(&mut answers)? {
                None => {
                    // Nobody ended the line of the question.
                    writeln!(console.err)?;
                    return Err(given_up(&entry.name, &arg.name));
                }
                Some(line) if line.is_empty() => {}
                Some(line) => break line,
            }
        };
        args.insert(arg.name.clone(), Value::from(value));
    }
    Ok(())
}

/// A line without its end; `None` at the end of the input.
fn next_line(answers: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = answers.read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn given_up(request: &str, arg: &str) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{request} needs {arg}, and nothing was entered"),
        format!("capstan request start {request} {arg}=..."),
    )
}
