//! A console that remembers what was written, and a node that answers from a table, for this crate's tests.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use capstan_client::spin_cycle::UtcTime;
use capstan_model::{
    spec::JobSignature,
    workflow::graph::{CreateCall, CreateError, CreateOutput, Created},
};
use clap::Parser;
use futures::future::{BoxFuture, ready};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    Command,
    console::{Console, Terminal},
    failure::{self, Exit},
    ports::{JobFactory, SpecFile, SpecTools},
};

#[derive(Debug, Parser)]
struct Capstan {
    #[command(subcommand)]
    command: Command,
}

/// What a command wrote and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) exit: Exit,
}

/// Runs a command line against a node, at a quarter past two on 20 November 2026.
pub(crate) async fn run(node: &str, line: &[&str]) -> Ran {
    run_on(Terminal::default(), node, line).await
}

/// As [`run`], on streams that are terminals.
pub(crate) async fn run_on(terminal: Terminal, node: &str, line: &[&str]) -> Ran {
    run_with_input("", terminal, node, line).await
}

/// As [`run_on`], with something to read on standard input.
pub(crate) async fn run_with_input(
    input: &'static str,
    terminal: Terminal,
    node: &str,
    line: &[&str],
) -> Ran {
    let address: &[&str] = if node.is_empty() { &[] } else { &["--addr", node] };
    let words = ["capstan"].iter().chain(line).chain(address);
    let command = Capstan::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).command;
    let (out, err) = (Sink::default(), Sink::default());
    let mut console = Console {
        input: Box::new(input.as_bytes()),
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        terminal,
        now: || UtcTime::parse("2026-11-20T14:17:00Z").unwrap(),
    };
    let result = crate::execute(command, &Files, &mut console).await;
    let exit = failure::conclude(result, &mut console);
    Ran { out: out.text(), err: err.text(), exit }
}

/// Reads the files of one directory, and knows what a node without plugins does.
struct Files;

impl SpecTools for Files {
    fn read(&self, directory: &Path) -> Result<Vec<SpecFile>, String> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).map_err(|error| error.to_string())));
        }
        Ok(files)
    }

    fn job_types(&self, _: Option<&Path>) -> BoxFuture<'static, Result<Box<dyn JobFactory>, String>> {
        Box::pin(ready(Ok(Box::new(Self) as Box<dyn JobFactory>)))
    }
}

impl JobFactory for Files {
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        let created = |call: CreateCall| {
            let built_in = matches!(&*call.job_type, "noop" | "sleep" | "shell-command" | "http-request");
            let result = if built_in { Ok(CreateOutput::default()) } else { Err(CreateError::UnknownType) };
            Created { job: call.job, result }
        };
        Box::pin(ready(calls.into_iter().map(created).collect()))
    }

    fn signatures(&self) -> BoxFuture<'static, BTreeMap<Arc<str>, JobSignature>> {
        let needs = |name: &str, args: &[&str]| (name.into(), JobSignature::needing(args));
        Box::pin(ready(BTreeMap::from([
            needs("noop", &[]),
            needs("sleep", &["duration"]),
            needs("shell-command", &["cmd"]),
            needs("http-request", &["url"]),
        ])))
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a call that contains the text `call` is answered. Of the entries that fit, each answers once in their order,
/// and the last goes on answering.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) call: &'static str,
    pub(crate) status: &'static str,
    pub(crate) body: String,
}

pub(crate) fn ok(call: &'static str, body: impl Into<String>) -> Reply {
    Reply { call, status: "200 OK", body: body.into() }
}

/// Starts a node that answers from the table until the test ends, and returns its address.
pub(crate) async fn node(mut replies: Vec<Reply>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut call = Vec::new();
            while !is_whole(&String::from_utf8_lossy(&call)) {
                assert!(stream.read_buf(&mut call).await.unwrap() > 0, "the call ended in its middle");
            }
            let reply = take(&mut replies, &String::from_utf8_lossy(&call));
            let length = reply.body.len();
            let head =
                format!("HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n", reply.status);
            stream.write_all((head + &reply.body).as_bytes()).await.unwrap();
            stream.shutdown().await.ok();
        }
    });
    address
}

fn is_whole(call: &str) -> bool {
    let Some((head, body)) = call.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn take(replies: &mut Vec<Reply>, call: &str) -> Reply {
    let fitting: Vec<usize> =
        (0..replies.len()).filter(|place| call.contains(replies[*place].call)).collect();
    match fitting[..] {
        [] => Reply {
            call: "",
            status: "404 Not Found",
            body: format!(r#"{{"message":"{}"}}"#, call.lines().next().unwrap_or_default()),
        },
        [only] => replies[only].clone(),
        [first, ..] => replies.remove(first),
    }
}
