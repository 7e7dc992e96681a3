//! Frames between a node and its guardian: what is read is a message, whose own frame reads the same.

use std::{fmt::Debug, time::Duration};

use capstan_model::{
    ids::{Epoch, JobId, RequestId, TryNo},
    lrp::isolation::{Limit, Unlimited},
    time::Timestamp,
};
use capstan_node::guardian::{
    BootTime, ProcessKey, TryKey,
    exec::read_failure,
    frame::{self, FrameError, Inbox},
    instance_spec::{
        Destination, InstanceEnd, InstanceId, InstanceProcess, InstanceSignal, InstanceSpec, Output, Place,
        Resources, Said,
    },
    output::Captured,
    protocol::{
        Cut, End, EndReport, Limits, PROTOCOL_VERSION, Stage, StartAnswer, StartFailure, StartSpec,
        StartStep, ToGuardian, ToNode,
    },
};
use capstan_node::instance::driver::Stream;
use serde::{Serialize, de::DeserializeOwned};

use super::messages::LIFE;
use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "guardian_frame", run, seeds };

/// The first byte says what the rest is.
fn run(input: &[u8]) -> Verdict {
    let Some((mode, rest)) = input.split_first() else { return Verdict::Refused };
    let portion = usize::from(mode >> 2) + 1;
    match mode & 3 {
        0 => stream::<ToGuardian>(rest, portion),
        1 => stream::<ToNode>(rest, portion),
        2 => stream::<ToNode>(&framed(rest), portion),
        _ => Verdict::of(read_failure(rest).is_some()),
    }
}

fn stream<M: Serialize + DeserializeOwned + Debug + PartialEq>(bytes: &[u8], portion: usize) -> Verdict {
    let whole = read::<M>(bytes, bytes.len());
    assert_eq!(
        whole,
        read::<M>(bytes, portion),
        "messages and their end do not depend on how reads cut them"
    );
    for message in &whole.0 {
        let mut wire = Vec::new();
        frame::encode(message, &mut wire).expect("what fitted a frame fits one again");
        let (again, _) = read::<M>(&wire, wire.len());
        assert_eq!(again.first(), Some(message), "a message's own frame holds it");
    }
    Verdict::of(!whole.0.is_empty())
}

/// Reads all messages of a stream, `portion` bytes at a time; also what ended it, if not its end.
fn read<M: DeserializeOwned>(stream: &[u8], portion: usize) -> (Vec<M>, Option<FrameError>) {
    let mut inbox = Inbox::default();
    let mut messages = Vec::new();
    for portion in stream.chunks(portion.max(1)) {
        inbox.extend(portion);
        loop {
            match inbox.take() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

/// One frame around a payload.
fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).expect("inputs are small");
    [&length.to_le_bytes()[..], &[PROTOCOL_VERSION], payload].concat()
}

fn seeds() -> Vec<Seed> {
    let key = ProcessKey::Try(TryKey {
        request: RequestId([7; 12]),
        job: JobId(*b"a0B1"),
        try_no: TryNo(2),
        epoch: Epoch(3),
    });
    let spec = StartSpec {
        args: vec!["-c".to_owned(), "true".to_owned()],
        env: vec![("A".to_owned(), "b".to_owned())],
        stdin: b"in".to_vec(),
        directory: Some("/tmp".to_owned()),
        limits: Limits { open_files: Some(100) },
        deadline: Some(Duration::from_secs(5)),
        ..StartSpec::new(key, "sh")
    };
    let failure = StartFailure { step: StartStep::Exec, errno: 2 };
    let captured = || Captured { bytes: b"said".to_vec(), dropped: 300 };
    let report = |end, cut| EndReport {
        end,
        cut,
        started_at: Timestamp(1_700_000_000_000_000_001),
        finished_at: Timestamp(1_700_000_001_000_000_001),
        stdout: captured(),
        stderr: captured(),
    };
    let process = InstanceProcess { instance: InstanceId(7), number: 2 };
    let asked = [
        ToGuardian::Begin { id: 1, incarnation: LIFE },
        ToGuardian::Start { id: 2, spec },
        ToGuardian::Stop { key, grace: Duration::from_secs(5) },
        ToGuardian::Forget { key: ProcessKey::Call(300) },
        ToGuardian::List { id: 3 },
        ToGuardian::ValidUntil(BootTime(4)),
        ToGuardian::StartInInstance { id: 5, spec: instance_spec(process) },
        ToGuardian::SignalInInstance { process, signal: InstanceSignal::Terminate },
        ToGuardian::EndInstance { id: 6, instance: process.instance },
        ToGuardian::Say(Said { to: destination(), stream: Stream::Stderr, text: "one\n".to_owned() }),
        ToGuardian::Limits { id: 7 },
    ];
    let told = [
        ToNode::Begun { id: 1 },
        ToNode::Start { id: 2, answer: StartAnswer::Registered(Stage::Ended) },
        ToNode::Register { id: 3, entries: vec![(key, Stage::Running)] },
        ToNode::Ended { key, report: report(End::Exited(3), None) },
        ToNode::Ended { key, report: report(End::Signalled(9), Some(Cut::LeaseOver)) },
        ToNode::Ended { key, report: report(End::NotStarted(failure), None) },
        ToNode::EndedInInstance {
            process,
            end: InstanceEnd { end: End::Exited(137), out_of_memory: true, held: captured() },
        },
        ToNode::InstanceGone { id: 6 },
        ToNode::Unlimited {
            id: 7,
            unlimited: vec![Unlimited { limit: Limit::Cpu, reason: "no controller".into() }],
        },
    ];
    let payload = postcard::to_stdvec(&told[1]).expect("messages are serialisable");
    let failure = postcard::to_stdvec(&failure).expect("failures are serialisable");
    vec![
        Seed::new("to-guardian", wire(4, &asked)),
        Seed::new("to-node", wire(5, &told)),
        Seed::new("payload", [&[2][..], &payload].concat()),
        Seed::new("start-failure", [&[3][..], &failure].concat()),
    ]
}

fn instance_spec(process: InstanceProcess) -> InstanceSpec {
    InstanceSpec {
        process,
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), "true".to_owned()],
        env: vec![("A".to_owned(), "b".to_owned())],
        folder: "/data/instances/7".into(),
        directory: Some("app".into()),
        user: Some("vcap".to_owned()),
        open_files: Some(100),
        resources: Resources { memory_bytes: 300, cpu_weight: 50 },
        output: Output::Files(destination()),
        place: Place::Inside { network: Some("/proc/7/fd/9".into()) },
    }
}

fn destination() -> Destination {
    Destination { folder: "/data/output/app/0".into(), source: "APP".to_owned() }
}

/// A stream of messages behind its mode.
fn wire<M: Serialize>(mode: u8, messages: &[M]) -> Vec<u8> {
    let mut wire = vec![mode];
    for message in messages {
        frame::encode(message, &mut wire).expect("small messages");
    }
    wire
}
