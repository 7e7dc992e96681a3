//! The standard streams of a command, and what they can show.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Read, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use capstan_client::spin_cycle::{State, UtcTime};
use owo_colors::{OwoColorize, Stream, Style};
use serde::Serialize;

use crate::text::escape;

/// Where a command reads from and writes to. The only place that looks at the process's own streams and clock.
pub(crate) struct Console {
    pub(crate) input: Box<dyn Read + Send>,
    pub(crate) out: Box<dyn Write + Send>,
    pub(crate) err: Box<dyn Write + Send>,
    /// What of it is a terminal and takes colour.
    pub(crate) terminal: Terminal,
    /// The wall clock.
    pub(crate) now: fn() -> UtcTime,
}

/// What the streams of a console are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terminal {
    pub(crate) input: bool,
    pub(crate) out: bool,
    pub(crate) err: bool,
    pub(crate) out_colour: bool,
    pub(crate) err_colour: bool,
}

/// What a piece of text means to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shade {
    Plain,
    Good,
    Busy,
    Bad,
    Dim,
    Strong,
}

impl Console {
    pub(crate) fn of_process() -> Self {
        Self {
            input: Box::new(io::stdin()),
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            terminal: Terminal {
                input: io::stdin().is_terminal(),
                out: io::stdout().is_terminal(),
                err: io::stderr().is_terminal(),
                out_colour: takes_colour(Stream::Stdout),
                err_colour: takes_colour(Stream::Stderr),
            },
            now: wall_clock,
        }
    }

    /// Writes one line of what was found.
    pub(crate) fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Writes what was found as JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        let text = if self.terminal.out { escape::json(&text) } else { text };
        writeln!(self.out, "{text}")
    }

    /// Writes to standard error what is no part of what was found.
    pub(crate) fn note(&mut self, line: &str) -> io::Result<()> {
        self.out.flush()?;
        writeln!(self.err, "{line}")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// A text of our own in its colour, for standard output.
    pub(crate) fn painted(&self, shade: Shade, text: &str) -> String {
        paint(self.terminal.out_colour, shade, text)
    }

    /// A text of our own in its colour, for standard error.
    pub(crate) fn painted_for_error(&self, shade: Shade, text: &str) -> String {
        paint(self.terminal.err_colour, shade, text)
    }
}

/// What a state means to its reader.
pub(crate) fn shade_of(state: State) -> Shade {
    match state {
        State::Complete => Shade::Good,
        State::Running => Shade::Busy,
        State::Fail | State::Unknown | State::Stopped => Shade::Bad,
        State::Pending | State::Suspended | State::Reserved => Shade::Plain,
    }
}

fn paint(colour: bool, shade: Shade, text: &str) -> String {
    let style = match shade {
        _ if !colour => return text.to_owned(),
        Shade::Plain => return text.to_owned(),
        Shade::Good => Style::new().green(),
        Shade::Busy => Style::new().cyan(),
        Shade::Bad => Style::new().red(),
        Shade::Dim => Style::new().dimmed(),
        Shade::Strong => Style::new().bold(),
    };
    text.style(style).to_string()
}

/// Whether the stream is a terminal with colours and the environment (`NO_COLOR`, `TERM`, ...) allows them.
fn takes_colour(stream: Stream) -> bool {
    "x".if_supports_color(stream, |text| text.bold()).to_string() != "x"
}

fn wall_clock() -> UtcTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcTime::from_unix_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
