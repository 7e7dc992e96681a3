//! How a command fails: what it says, what it suggests, and with which exit code it ends.

use std::{io, process::ExitCode};

use capstan_client::{AddressError, CallError};

use crate::{
    console::{Console, Shade},
    text::escape,
};

/// The exit codes, as `--help` shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or the request failed or was stopped
  2  the command line is wrong
  3  what was named does not exist
  4  no node could serve the call; nothing happened
  5  the outcome is unknown: it may have happened";

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Refused = 1,
    Usage = 2,
    NotFound = 3,
    Unavailable = 4,
    Unknown = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be told to the user.
    Told(Told),
    /// Already told by the command's own output, such as that of a request that failed.
    Shown(Exit),
    /// The output could not be written, or the input not read.
    Io(io::Error),
}

/// A failure as the user sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) exit: Exit,
    /// What went wrong; may have several lines.
    pub(crate) message: String,
    /// What to try next.
    pub(crate) next: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Told(Told { exit, message: message.into(), next: next.into() })
    }

    /// Whether no node could serve the call, so that it may be made again.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Told(Told { exit: Exit::Unavailable, .. }))
    }

    /// Replaces the suggestion of a failure that is told.
    pub(crate) fn suggesting(mut self, next: impl Into<String>) -> Self {
        if let Self::Told(told) = &mut self {
            told.next = next.into();
        }
        self
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match &error {
            CallError::Unreachable { .. } | CallError::Timeout { .. } | CallError::Broken { .. } => {
                Exit::Unavailable
            }
            CallError::Refused { status: 404, .. } => Exit::NotFound,
            CallError::Refused { status: 429 | 503 | 507, .. } => Exit::Unavailable,
            CallError::UnknownOutcome { .. } => Exit::Unknown,
            CallError::InvalidName { .. } => Exit::Usage,
            _ => Exit::Refused,
        };
        let next = match &error {
            CallError::UnknownOutcome { location: Some(path), .. } => {
                format!("{}: {path}", error.next_step())
            }
            CallError::Refused { status: 401, .. } => {
                "give a token with --token or in CAPSTAN_TOKEN; or, for lrp, task, cell and domain, the nodes' name and \
                 password with --receptor-username and --receptor-password"
                    .to_owned()
            }
            _ => error.next_step().to_owned(),
        };
        Self::new(exit, with_sources(&error), next)
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::new(Exit::Usage, error.to_string(), "give the nodes' addresses with --addr or in CAPSTAN_ADDR")
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Tells the user what is to be told and returns how the command ends.
pub(crate) fn conclude(result: Result<(), Failure>, console: &mut Console) -> Exit {
    let result = result.and_then(|()| Ok(console.flush()?));
    let told = match result {
        Ok(()) => return Exit::Done,
        Err(Failure::Shown(exit)) => return exit,
        Err(Failure::Told(told)) => told,
        // The reader of our output has seen enough, as `head` does.
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Done,
        Err(Failure::Io(error)) => Told {
            exit: Exit::Refused,
            message: error.to_string(),
            next: "check the file, or where the output goes".to_owned(),
        },
    };
    let message = escape::lines(&told.message);
    let error = console.painted_for_error(Shade::Bad, "error:");
    let next = console.painted_for_error(Shade::Strong, "next:");
    // Without a standard error there is nobody left to tell.
    let _ = console.note(&format!("{error} {message}\n{next} {}", escape::lines(&told.next)));
    told.exit
}

fn with_sources(error: &CallError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(status: u16) -> CallError {
        CallError::Refused { status, code: None, message: String::new(), address: String::new() }
    }

    #[test]
    fn exit_codes_tell_nothing_happened_from_unknown() {
        let cases = [
            (CallError::Unreachable { tried: vec![] }, Exit::Unavailable),
            (CallError::Timeout { waited: Duration::ZERO, tried: vec![] }, Exit::Unavailable),
            (
                CallError::UnknownOutcome { waited: Duration::ZERO, location: None, tried: vec![] },
                Exit::Unknown,
            ),
            (CallError::InvalidName { name: "..".to_owned() }, Exit::Usage),
            (refused(400), Exit::Refused),
            (refused(404), Exit::NotFound),
            (refused(412), Exit::Refused),
            (refused(503), Exit::Unavailable),
        ];
        for (error, exit) in cases {
            let shown = error.to_string();
            let Failure::Told(told) = Failure::from(error) else { panic!("{shown} is told") };
            assert_eq!(told.exit, exit, "{shown}");
            assert!(!told.next.is_empty(), "{shown}");
        }
    }
}
