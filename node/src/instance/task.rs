//! One task, from its first process to its result.

use std::sync::Arc;

use capstan_model::{
    lrp::action::{Action, Kind},
    task::{Outcome, RESULT_BYTES_MAX, definition::TaskDefinition},
};
use tokio_util::sync::CancellationToken;

use super::{
    driver::{Driver, Keep, OpenError, Process, ProcessEnd, Stream},
    life::{bounded, source},
    steps::{Ended, Failure, Scope, VALIDATED, perform},
};

/// Why a task failed whose result cannot be read, or is too large.
const NO_RESULT: &str = "failed to fetch result";

/// A task to run.
pub struct TaskLife {
    /// What is to be done.
    pub definition: Arc<TaskDefinition>,
    /// What does it.
    pub driver: Arc<dyn Driver>,
    /// Cancelled when nobody wants it any more.
    pub stop: CancellationToken,
}

impl TaskLife {
    /// Runs the task to its end; nothing of it is left then. `None` when it was stopped. Whoever drops this early leaves its processes
    /// to [`Driver::close`].
    pub async fn live(self) -> Option<Outcome> {
        self.say(Stream::Stdout, "Creating container\n");
        let ended = match self.driver.open().await {
            Err(OpenError::Refused(reason) | OpenError::Failed(reason)) => {
                self.say(Stream::Stderr, "Failed to create container\n");
                Err(Failure::plain(format!("failed to initialize container: {reason}")))
            }
            Ok(()) => self.run().await,
        };
        self.driver.close().await;
        if self.stop.is_cancelled() {
            return None;
        }
        Some(match ended {
            Ok(result) => Outcome { failed: false, failure_reason: "".into(), result: result.into() },
            Err(failure) => {
                Outcome { failed: true, failure_reason: bounded(failure.text()).into(), result: "".into() }
            }
        })
    }

    async fn run(&self) -> Result<String, Failure> {
        self.say(Stream::Stdout, "Successfully created container\n");
        let scope = Scope::new(source(&self.definition.log_source), self.stop.clone());
        self.perform(scope).await?;
        match &*self.definition.result_file {
            "" => Ok(String::new()),
            file => self.read(file).await.ok_or_else(|| Failure::plain(NO_RESULT)),
        }
    }

    async fn perform(&self, scope: Scope) -> Ended {
        perform(&*self.driver, &self.definition.action, scope).await
    }

    /// The content of a file as text, as the task's own user reads it: a task sees no more of the machine by its result than by its
    /// processes.
    async fn read(&self, file: &str) -> Option<String> {
        let reader = Process {
            path: "head".into(),
            args: vec!["-c".into(), (RESULT_BYTES_MAX + 1).to_string().into(), "--".into(), file.into()],
            dir: "".into(),
            env: vec![],
            user: user_of(&self.definition.action),
            open_files: None,
            keep: Keep::Held,
        };
        let ProcessEnd::Exited { status: 0, held, .. } = self.driver.start(reader).await.ok()?.end.await
        else {
            return None;
        };
        let text = String::from_utf8(held).ok()?;
        (text.len() <= RESULT_BYTES_MAX).then_some(text)
    }

    fn say(&self, stream: Stream, text: &str) {
        self.driver.say(&source(&self.definition.log_source), stream, text);
    }
}

/// As whom the first process of an action runs.
fn user_of(action: &Action) -> Arc<str> {
    let inner = |action: &Option<Box<Action>>| user_of(action.as_ref().expect(VALIDATED));
    match action.kind().expect(VALIDATED) {
        Kind::Download(download) => download.user.clone(),
        Kind::Upload(upload) => upload.user.clone(),
        Kind::Run(run) => run.user.clone(),
        Kind::Timeout(timeout) => inner(&timeout.action),
        Kind::EmitProgress(progress) => inner(&progress.action),
        Kind::Try(attempt) => inner(&attempt.action),
        Kind::Parallel(list) | Kind::Serial(list) | Kind::Codependent(list) => {
            user_of(list.actions.first().and_then(Option::as_ref).expect(VALIDATED))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use capstan_model::lrp::action::{Kind, Try};

    use super::*;
    use crate::instance::fake::{Fake, Program, action, boxed, list, machine, runs};

    fn task(fake: &Arc<Fake>, action: Action, result_file: &str) -> TaskLife {
        let definition = TaskDefinition { action, result_file: result_file.into(), ..Default::default() };
        let driver = Arc::clone(fake) as Arc<dyn Driver>;
        TaskLife { definition: Arc::new(definition), driver, stop: CancellationToken::new() }
    }

    fn exits(status: i32) -> Program {
        Program::exits(status, Duration::from_secs(1))
    }

    fn writes(bytes: Vec<u8>, status: i32) -> Program {
        let end = ProcessEnd::Exited { status, out_of_memory: false, held: bytes };
        Program { end, ..exits(status) }
    }

    fn failed(reason: &str) -> Option<Outcome> {
        Some(Outcome { failed: true, failure_reason: reason.into(), result: "".into() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_succeeds_has_the_content_of_its_file_as_its_result() {
        let most = vec![b'x'; RESULT_BYTES_MAX];
        let too_much = vec![b'x'; RESULT_BYTES_MAX + 1];
        let done = |text: &[u8]| {
            let result = String::from_utf8(text.to_vec()).unwrap().into();
            Some(Outcome { failed: false, failure_reason: "".into(), result })
        };
        let cases = [
            (writes(b"42".to_vec(), 0), done(b"42")),
            (writes(most.clone(), 0), done(&most)),
            (writes(too_much, 0), failed(NO_RESULT)),
            (writes(b"no such file".to_vec(), 1), failed(NO_RESULT)),
            (writes(vec![0xff], 0), failed(NO_RESULT)),
        ];
        for (head, outcome) in cases {
            let fake = machine([("work", exits(0)), ("head", head)]);
            assert_eq!(task(&fake, runs("work"), "/tmp/result").live().await, outcome);
            let (reader, _) = fake.started().pop().unwrap();
            assert_eq!(reader.args.last().map(|file| &**file), Some("/tmp/result"));
            assert_eq!(&*reader.user, "vcap", "the file is read as whoever wrote it");
            assert_eq!(fake.closed(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_without_a_file_has_no_result() {
        let fake = machine([("work", exits(0))]);
        let inner = list([runs("work"), runs("work")]);
        let action = action(Kind::Try(Try { action: boxed(action(Kind::Serial(inner))), ..Try::default() }));
        let outcome = task(&fake, action, "").live().await;
        assert_eq!(outcome, Some(Outcome::default()));
        assert_eq!(fake.started().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_fails_with_the_words_of_its_action_or_of_its_cell() {
        let fake = machine([("work", exits(3))]);
        assert_eq!(task(&fake, runs("work"), "/tmp/result").live().await, failed("Exited with status 3"));
        assert_eq!(fake.started().len(), 1, "nobody asks for its result");
        for error in [OpenError::Failed("no room".to_owned()), OpenError::Refused("no room".to_owned())] {
            fake.refuse(error);
            let outcome = task(&fake, runs("work"), "").live().await;
            assert_eq!(outcome, failed("failed to initialize container: no room"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_stopped_has_no_outcome() {
        let fake = machine([("work", Program::serves())]);
        let life = task(&fake, runs("work"), "");
        let stop = life.stop.clone();
        let lived = tokio::spawn(life.live());
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
        assert_eq!(lived.await.unwrap(), None);
        assert_eq!(fake.closed(), 1);
    }
}
