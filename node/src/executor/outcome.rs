//! What the end of a process means for the try it was.

use std::sync::Arc;

use capstan_model::{
    ids::NodeId,
    time::Timestamp,
    workflow::{
        command::{TryEnd, TryReport},
        graph::CreateOutput,
        job::ERROR_BYTES_MAX,
        json::JsonMap,
        output::{Output, Tail},
    },
};
use nix::{errno::Errno, sys::signal::Signal};

use super::result_file::{ResultError, ResultFile};
use crate::guardian::{
    output::Captured,
    protocol::{Cut, End, EndReport, StartFailure, StartStep},
};

/// The end of a try or a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: TryEnd,
    /// The exit status: of the process, 128 and the signal's number for one that a signal ended, 1 for one that
    /// never ran, or what the process put in its result.
    pub exit: i64,
    /// What went wrong, at most [`ERROR_BYTES_MAX`]; empty when nothing did.
    pub error: Arc<str>,
    /// The end of its standard output.
    pub stdout: Captured,
    /// The end of its standard error.
    pub stderr: Captured,
    /// When it began, by the owner's wall clock; zero if it could not be made.
    pub started_at: Timestamp,
    /// When it ended, by the owner's wall clock; zero if it could not be made.
    pub finished_at: Timestamp,
    /// What it wrote into its job data.
    pub job_data: JsonMap,
    /// What a `create` call answered.
    pub created: CreateOutput,
}

/// Where and as what a process ran, for the texts of its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The node it ran on.
    pub node: NodeId,
    /// The program as it was given.
    pub program: &'a str,
    /// Its working directory as it was given.
    pub directory: &'a str,
}

impl Outcome {
    /// The end of something that was no process, or never became one.
    pub fn plain(end: TryEnd, started_at: Timestamp, finished_at: Timestamp) -> Self {
        Self {
            end,
            exit: 0,
            error: "".into(),
            stdout: Captured::default(),
            stderr: Captured::default(),
            started_at,
            finished_at,
            job_data: JsonMap::new(),
            created: CreateOutput::default(),
        }
    }

    /// The end of a try whose job cannot be made from what was stored: it has no times, as upstream's has none.
    pub fn unmade(error: &str) -> Self {
        let error = bounded(format!("problem creating job runner: {error}"));
        Self { exit: 1, error, ..Self::plain(TryEnd::Failed, Timestamp::ZERO, Timestamp::ZERO) }
    }

    /// Decides what the end of a process means.
    ///
    /// With a result the result's state decides, without it the exit status. What the guardian had to cut short
    /// failed, whatever it says; a process that was asked to stop and did is stopped, unless it completed.
    pub fn decide(
        context: &Context<'_>,
        report: EndReport,
        result: Result<Option<ResultFile>, ResultError>,
    ) -> Self {
        let (exit, error) = exit_of(context, report.end);
        let own_end = if report.end == End::Exited(0) { TryEnd::Complete } else { TryEnd::Failed };
        let mut outcome = Self {
            exit,
            error: error.into(),
            stdout: report.stdout,
            stderr: report.stderr,
            ..Self::plain(own_end, report.started_at, report.finished_at)
        };
        match result {
            Ok(None) => {}
            Ok(Some(result)) => outcome.take_result(result),
            Err(error) => {
                outcome.end = TryEnd::Failed;
                outcome.error = bounded(error.to_string());
            }
        }
        outcome.heed_cut(context, report.cut);
        outcome
    }

    /// What is proposed about the try, with at most `stream_bytes_max` bytes of each stream.
    pub fn to_report(&self, stream_bytes_max: usize) -> TryReport {
        let output = |captured: &Captured| {
            Output::new(Tail { bytes: &captured.bytes, dropped: captured.dropped }, stream_bytes_max)
        };
        TryReport {
            end: self.end,
            exit: self.exit,
            error: Arc::clone(&self.error),
            stdout: output(&self.stdout),
            stderr: output(&self.stderr),
            started_at: self.started_at,
            finished_at: self.finished_at,
            job_data: self.job_data.clone(),
        }
    }

    fn take_result(&mut self, result: ResultFile) {
        if let Some(end) = result.state {
            self.end = end;
            if end != TryEnd::Failed {
                self.error = "".into();
            }
        }
        self.exit = result.exit.unwrap_or(self.exit);
        if let Some(error) = result.error {
            self.error = bounded(error);
        }
        self.job_data = result.job_data;
        self.created = CreateOutput { args: result.args, bytes: result.bytes, ..CreateOutput::default() };
    }

    fn heed_cut(&mut self, context: &Context<'_>, cut: Option<Cut>) {
        let (end, error) = match cut {
            None => return,
            Some(Cut::Stopped) if matches!(self.end, TryEnd::Failed | TryEnd::StoppedItself) => {
                (TryEnd::Stopped, None)
            }
            Some(Cut::Stopped) => return,
            Some(Cut::Killed) => {
                (TryEnd::KilledStopping, Some("did not stop in time and was killed".to_owned()))
            }
            Some(Cut::DeadlineOver) => (TryEnd::Failed, Some("ran out of time and was killed".to_owned())),
            Some(Cut::LeaseOver) if capstan_model::mutant!("lease-end-taken-for-stop") => {
                (TryEnd::Stopped, None)
            }
            Some(Cut::LeaseOver) => {
                (TryEnd::CutOff, Some(format!("node {} was cut off while the job ran", context.node)))
            }
        };
        self.end = end;
        if let Some(error) = error {
            self.error = error.into();
        }
    }
}

/// Cuts an error to what is stored of one.
fn bounded(mut error: String) -> Arc<str> {
    error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
    error.into()
}

/// Exit status and error of a process, in the words of Go's `os/exec`, which upstream's job logs hold.
fn exit_of(context: &Context<'_>, end: End) -> (i64, String) {
    match end {
        End::Exited(0) => (0, String::new()),
        End::Exited(code) => (code.into(), format!("exit status {code}")),
        End::Signalled(number) => (128 + i64::from(number), format!("signal: {}", signal_text(number))),
        End::NotStarted(failure) => (1, start_failure_text(context, failure)),
    }
}

/// Why a process never ran, in the same words.
pub(crate) fn start_failure_text(context: &Context<'_>, failure: StartFailure) -> String {
    let Context { program, directory, .. } = context;
    let reason = errno_text(failure.errno);
    match failure.step {
        StartStep::Exec if !program.contains('/') && failure.errno == Errno::ENOENT as i32 => {
            format!("exec: {program:?}: executable file not found in $PATH")
        }
        StartStep::Exec | StartStep::Spawn => format!("fork/exec {program}: {reason}"),
        StartStep::Directory => format!("chdir {directory}: {reason}"),
        StartStep::Scratch => format!("making the scratch directory of {program}: {reason}"),
        StartStep::Setup => format!("preparing to run {program}: {reason}"),
        StartStep::User => format!("becoming the user to run {program}: {reason}"),
        StartStep::Limits => format!("limiting {program}: {reason}"),
        StartStep::Network => format!("joining the network of the instance to run {program}: {reason}"),
    }
}

fn errno_text(errno: i32) -> String {
    let text = Errno::from_raw(errno).desc();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn signal_text(number: i32) -> String {
    let known = match Signal::try_from(number) {
        Ok(Signal::SIGHUP) => "hangup",
        Ok(Signal::SIGINT) => "interrupt",
        Ok(Signal::SIGQUIT) => "quit",
        Ok(Signal::SIGILL) => "illegal instruction",
        Ok(Signal::SIGTRAP) => "trace/breakpoint trap",
        Ok(Signal::SIGABRT) => "aborted",
        Ok(Signal::SIGBUS) => "bus error",
        Ok(Signal::SIGFPE) => "floating point exception",
        Ok(Signal::SIGKILL) => "killed",
        Ok(Signal::SIGUSR1) => "user defined signal 1",
        Ok(Signal::SIGSEGV) => "segmentation fault",
        Ok(Signal::SIGUSR2) => "user defined signal 2",
        Ok(Signal::SIGPIPE) => "broken pipe",
        Ok(Signal::SIGALRM) => "alarm clock",
        Ok(Signal::SIGTERM) => "terminated",
        _ => return format!("signal {number}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use capstan_model::workflow::json::JsonText;

    use super::*;

    const CONTEXT: Context<'_> = Context { node: NodeId(3), program: "/no/such", directory: "/gone" };

    fn report(end: End, cut: Option<Cut>) -> EndReport {
        EndReport {
            end,
            cut,
            started_at: Timestamp(1),
            finished_at: Timestamp(2),
            stdout: Captured { bytes: b"out".to_vec(), dropped: 0 },
            stderr: Captured::default(),
        }
    }

    #[test]
    fn the_exit_status_decides_without_a_result() {
        use TryEnd::{Complete, CutOff, Failed, KilledStopping, Stopped};
        let failure = |step, errno: Errno| End::NotStarted(StartFailure { step, errno: errno as i32 });
        let cases = [
            (End::Exited(0), None, Complete, 0, ""),
            (End::Exited(1), None, Failed, 1, "exit status 1"),
            (End::Signalled(9), None, Failed, 137, "signal: killed"),
            (End::Signalled(64), None, Failed, 192, "signal: signal 64"),
            (
                failure(StartStep::Exec, Errno::ENOENT),
                None,
                Failed,
                1,
                "fork/exec /no/such: no such file or directory",
            ),
            (
                failure(StartStep::Exec, Errno::EACCES),
                None,
                Failed,
                1,
                "fork/exec /no/such: permission denied",
            ),
            (
                failure(StartStep::Directory, Errno::ENOENT),
                None,
                Failed,
                1,
                "chdir /gone: no such file or directory",
            ),
            (End::Exited(0), Some(Cut::Stopped), Complete, 0, ""),
            (End::Signalled(15), Some(Cut::Stopped), Stopped, 143, "signal: terminated"),
            (
                End::Signalled(9),
                Some(Cut::Killed),
                KilledStopping,
                137,
                "did not stop in time and was killed",
            ),
            (End::Signalled(9), Some(Cut::DeadlineOver), Failed, 137, "ran out of time and was killed"),
            (End::Exited(0), Some(Cut::LeaseOver), CutOff, 0, "node 3 was cut off while the job ran"),
        ];
        for (end, cut, try_end, exit, error) in cases {
            let outcome = Outcome::decide(&CONTEXT, report(end, cut), Ok(None));
            assert_eq!(
                (outcome.end, outcome.exit, &*outcome.error),
                (try_end, exit, error),
                "{end:?} {cut:?}"
            );
        }
    }

    #[test]
    fn a_name_that_is_not_in_the_path_is_said_to_be_so() {
        let failure = StartFailure { step: StartStep::Exec, errno: Errno::ENOENT as i32 };
        let context = Context { program: "nosuch", ..CONTEXT };
        let text = start_failure_text(&context, failure);
        assert_eq!(text, "exec: \"nosuch\": executable file not found in $PATH");
    }

    #[test]
    fn a_result_decides_over_the_exit_status() {
        let job_data = JsonMap::from([("k".into(), JsonText::string("v"))]);
        let result = |state, error: Option<&str>| ResultFile {
            state,
            error: error.map(str::to_owned),
            job_data: job_data.clone(),
            ..ResultFile::default()
        };
        let decide = |end, cut, result| Outcome::decide(&CONTEXT, report(end, cut), Ok(Some(result)));

        let complete = decide(End::Exited(2), None, result(Some(TryEnd::Complete), None));
        assert_eq!((complete.end, complete.exit, &*complete.error), (TryEnd::Complete, 2, ""));
        assert_eq!(complete.job_data, job_data);

        let failed = decide(End::Exited(0), None, result(Some(TryEnd::Failed), Some("no quota")));
        assert_eq!((failed.end, &*failed.error), (TryEnd::Failed, "no quota"));

        let by_status = decide(End::Exited(5), None, result(None, None));
        assert_eq!((by_status.end, &*by_status.error), (TryEnd::Failed, "exit status 5"));

        let killed = decide(End::Signalled(9), Some(Cut::Killed), result(Some(TryEnd::Complete), None));
        assert_eq!(killed.end, TryEnd::KilledStopping, "a job that had to be killed did not complete");

        let wordy = decide(End::Exited(1), None, result(None, Some(&"\u{e4}".repeat(ERROR_BYTES_MAX))));
        assert!(wordy.error.len() <= ERROR_BYTES_MAX);
    }

    #[test]
    fn a_bad_result_fails_the_try() {
        let outcome = Outcome::decide(&CONTEXT, report(End::Exited(0), None), Err(ResultError::TooLarge));
        assert_eq!(outcome.end, TryEnd::Failed);
        assert!(outcome.error.contains("1048576"), "{}", outcome.error);
    }

    #[test]
    fn a_report_keeps_what_the_request_has_room_for() {
        let outcome = Outcome::decide(&CONTEXT, report(End::Exited(0), None), Ok(None));
        assert_eq!(outcome.to_report(64).stdout.text(), "out");
        assert_eq!(outcome.to_report(2).stdout.text(), "[1 bytes were cut here]\nut");
    }
}
