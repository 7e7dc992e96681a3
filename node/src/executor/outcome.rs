//! What the end of a process means for the try it was.

use capstan_model::{ids::NodeId, time::Timestamp};
use nix::{errno::Errno, sys::signal::Signal};
use serde_json::{Map, Value};

use super::{
    output::OutputText,
    result_file::{ResultError, ResultFile},
};
use crate::guardian::protocol::{Cut, End, EndReport, StartFailure, StartStep};

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did what it was for, whatever its exit status.
    Complete,
    /// It failed, and may be tried again.
    Fail,
    /// It ended because it was asked to.
    Stopped,
}

/// The end of a try, as it is logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// The exit status: of the process, 128 and the signal's number for one that a signal ended, 1 for one that
    /// never ran, or what the process put in its result.
    pub exit: i64,
    /// What went wrong; empty when nothing did.
    pub error: String,
    /// Standard output.
    pub stdout: OutputText,
    /// Standard error.
    pub stderr: OutputText,
    /// When it began, by the owner's wall clock.
    pub started_at: Timestamp,
    /// When it ended, by the owner's wall clock.
    pub finished_at: Timestamp,
    /// What it passes on to the jobs that follow; only a completed try does.
    pub job_data: Map<String, Value>,
    /// The args a `create` call sets.
    pub args: Map<String, Value>,
    /// What a `create` call wants the job to be given.
    pub bytes: Vec<u8>,
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
    /// An outcome of something that was no process, or never became one.
    pub fn plain(verdict: Verdict, at: (Timestamp, Timestamp)) -> Self {
        Self {
            verdict,
            exit: 0,
            error: String::new(),
            stdout: OutputText::default(),
            stderr: OutputText::default(),
            started_at: at.0,
            finished_at: at.1,
            job_data: Map::new(),
            args: Map::new(),
            bytes: Vec::new(),
        }
    }

    /// A try whose job cannot be made from what was stored: it has no times, as upstream's has none.
    pub fn unmade(error: &str) -> Self {
        Self {
            exit: 1,
            error: format!("problem creating job runner: {error}"),
            ..Self::plain(Verdict::Fail, (Timestamp::ZERO, Timestamp::ZERO))
        }
    }

    /// Decides what the end of a process means.
    ///
    /// With a result the result's state decides, without it the exit status. What the guardian had to cut short
    /// failed, whatever it says; a process that was asked to stop and did is stopped, unless it completed.
    pub fn decide(
        context: &Context<'_>,
        report: &EndReport,
        result: Result<Option<ResultFile>, ResultError>,
    ) -> Self {
        let (exit, error) = exit_of(context, report.end);
        let own_verdict = if report.end == End::Exited(0) { Verdict::Complete } else { Verdict::Fail };
        let mut outcome = Self {
            exit,
            error,
            stdout: OutputText::new(&report.stdout),
            stderr: OutputText::new(&report.stderr),
            ..Self::plain(own_verdict, (report.started_at, report.finished_at))
        };
        match result {
            Ok(None) => {}
            Ok(Some(result)) => outcome.take_result(result),
            Err(error) => {
                outcome.verdict = Verdict::Fail;
                outcome.error = error.to_string();
            }
        }
        outcome.heed_cut(context, report.cut);
        if outcome.verdict != Verdict::Complete {
            outcome.job_data.clear();
        }
        outcome
    }

    fn take_result(&mut self, result: ResultFile) {
        if let Some(verdict) = result.state {
            self.verdict = verdict;
            if verdict != Verdict::Fail {
                self.error.clear();
            }
        }
        self.exit = result.exit.unwrap_or(self.exit);
        self.error = result.error.unwrap_or(std::mem::take(&mut self.error));
        self.job_data = result.job_data.unwrap_or_default();
        self.args = result.args.unwrap_or_default();
        self.bytes = result.bytes.unwrap_or_default();
    }

    fn heed_cut(&mut self, context: &Context<'_>, cut: Option<Cut>) {
        let error = match cut {
            None => return,
            Some(Cut::Stopped) => {
                if self.verdict == Verdict::Fail {
                    self.verdict = Verdict::Stopped;
                }
                return;
            }
            Some(Cut::Killed) => "did not stop in time and was killed".to_owned(),
            Some(Cut::DeadlineOver) => "ran out of time and was killed".to_owned(),
            Some(Cut::LeaseOver) => format!("node {} was cut off while the job ran", context.node),
        };
        self.verdict = Verdict::Fail;
        self.error = error;
    }
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

fn start_failure_text(context: &Context<'_>, failure: StartFailure) -> String {
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
    use super::*;
    use crate::guardian::output::Captured;

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
        use Verdict::{Complete, Fail, Stopped};
        let failure = |step, errno: Errno| End::NotStarted(StartFailure { step, errno: errno as i32 });
        let cases = [
            (End::Exited(0), None, Complete, 0, ""),
            (End::Exited(1), None, Fail, 1, "exit status 1"),
            (End::Signalled(9), None, Fail, 137, "signal: killed"),
            (End::Signalled(64), None, Fail, 192, "signal: signal 64"),
            (
                failure(StartStep::Exec, Errno::ENOENT),
                None,
                Fail,
                1,
                "fork/exec /no/such: no such file or directory",
            ),
            (failure(StartStep::Exec, Errno::EACCES), None, Fail, 1, "fork/exec /no/such: permission denied"),
            (
                failure(StartStep::Directory, Errno::ENOENT),
                None,
                Fail,
                1,
                "chdir /gone: no such file or directory",
            ),
            (End::Exited(0), Some(Cut::Stopped), Complete, 0, ""),
            (End::Signalled(15), Some(Cut::Stopped), Stopped, 143, "signal: terminated"),
            (End::Signalled(9), Some(Cut::Killed), Fail, 137, "did not stop in time and was killed"),
            (End::Signalled(9), Some(Cut::DeadlineOver), Fail, 137, "ran out of time and was killed"),
            (End::Exited(0), Some(Cut::LeaseOver), Fail, 0, "node 3 was cut off while the job ran"),
        ];
        for (end, cut, verdict, exit, error) in cases {
            let outcome = Outcome::decide(&CONTEXT, &report(end, cut), Ok(None));
            assert_eq!(
                (outcome.verdict, outcome.exit, &*outcome.error),
                (verdict, exit, error),
                "{end:?} {cut:?}"
            );
            assert_eq!(outcome.stdout.text, "out");
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
        let job_data: Map<_, _> = serde_json::from_str(r#"{"k":1}"#).unwrap();
        let result = |state, error: Option<&str>| ResultFile {
            state,
            error: error.map(str::to_owned),
            job_data: Some(job_data.clone()),
            ..ResultFile::default()
        };
        let decide = |end, cut, result| Outcome::decide(&CONTEXT, &report(end, cut), Ok(Some(result)));

        let complete = decide(End::Exited(2), None, result(Some(Verdict::Complete), None));
        assert_eq!((complete.verdict, complete.exit, &*complete.error), (Verdict::Complete, 2, ""));
        assert_eq!(complete.job_data, job_data);

        let failed = decide(End::Exited(0), None, result(Some(Verdict::Fail), Some("no quota")));
        assert_eq!((failed.verdict, &*failed.error), (Verdict::Fail, "no quota"));
        assert!(failed.job_data.is_empty(), "a failed try passes nothing on");

        let by_status = decide(End::Exited(5), None, result(None, None));
        assert_eq!((by_status.verdict, &*by_status.error), (Verdict::Fail, "exit status 5"));

        let killed = decide(End::Signalled(9), Some(Cut::Killed), result(Some(Verdict::Complete), None));
        assert_eq!(killed.verdict, Verdict::Fail, "a job that had to be killed did not complete");
    }

    #[test]
    fn a_bad_result_fails_the_try() {
        let outcome = Outcome::decide(&CONTEXT, &report(End::Exited(0), None), Err(ResultError::TooLarge));
        assert_eq!(outcome.verdict, Verdict::Fail);
        assert!(outcome.error.contains("1048576"), "{}", outcome.error);
    }
}
