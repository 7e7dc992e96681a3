//! The nodes' logs in one stream, each line under the name of its node.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use owo_colors::{AnsiColors, OwoColorize};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

const COLORS: [AnsiColors; 7] = [
    AnsiColors::Cyan,
    AnsiColors::Magenta,
    AnsiColors::Yellow,
    AnsiColors::Green,
    AnsiColors::Blue,
    AnsiColors::BrightRed,
    AnsiColors::BrightCyan,
];

/// Whether people read what is written to standard error.
pub(super) fn is_colored() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Copies a node's stream to standard error, line by line, until it ends.
pub(super) async fn copy(node: usize, stream: impl AsyncRead + Unpin) {
    let prefix = prefix(node, is_colored());
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line).await, Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        // If nobody reads the log any more, the cluster still runs.
        let _ = writeln!(io::stderr(), "{prefix}{}", text.trim_end_matches('\n'));
        line.clear();
    }
}

/// Writes a line of the supervisor's own.
pub(super) fn say(text: &str) {
    let name = if is_colored() { "dev".bold().to_string() } else { "dev".to_owned() };
    let _ = writeln!(io::stderr(), "{name} | {text}");
}

/// A path as people type it from here.
pub(super) fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(here) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => format!("./{}", below.display()),
        Err(_) => path.display().to_string(),
    }
}

fn prefix(node: usize, colored: bool) -> String {
    let name = format!("n{node}");
    if colored {
        format!("{} | ", name.color(COLORS[(node - 1) % COLORS.len()]))
    } else {
        format!("{name}  | ")
    }
}
