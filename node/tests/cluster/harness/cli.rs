//! The client commands, run as their user runs them: another process of the program under test.

use std::{net::SocketAddr, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{PATIENCE, node};

/// Who calls which nodes.
#[derive(Debug, Clone)]
pub(crate) struct User {
    nodes: String,
    credentials: Option<(&'static str, &'static str)>,
    token: Option<String>,
}

/// What a command wrote, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

/// A command that goes on. It ends with this value.
pub(crate) struct Following {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl User {
    /// One who knows these nodes, and calls the first that answers.
    pub(crate) fn of(nodes: &[SocketAddr]) -> Self {
        let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
        Self { nodes: nodes.join(","), credentials: None, token: None }
    }

    /// The same, with a name and a password.
    pub(crate) fn with_credentials(&self, name: &'static str, password: &'static str) -> Self {
        Self { credentials: Some((name, password)), ..self.clone() }
    }

    /// The same, with a token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, line: &[&str]) -> Ran {
        let output = timeout(PATIENCE, self.command(line).output()).await;
        let output = output.unwrap_or_else(|_| panic!("{line:?} did not end")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code().unwrap() }
    }

    /// Runs a command that must succeed, and returns what it wrote.
    pub(crate) async fn done(&self, line: &[&str]) -> String {
        let ran = self.run(line).await;
        assert_eq!(ran.code, 0, "{line:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// The same as JSON.
    pub(crate) async fn json(&self, line: &[&str]) -> Value {
        let out = self.done(&[line, &["-o", "json"]].concat()).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line:?}: {error} in {out}"))
    }

    /// Starts a command that goes on.
    pub(crate) fn follow(&self, line: &[&str]) -> Following {
        let mut child = self.command(line).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let out = child.stdout.take().expect("it is piped");
        Following { lines: BufReader::new(out).lines(), _child: child }
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::from(node::capstan());
        command.args(line).env("CAPSTAN_ADDR", &self.nodes).stdin(Stdio::null());
        if let Some((name, password)) = self.credentials {
            command.env("CAPSTAN_RECEPTOR_USERNAME", name).env("CAPSTAN_RECEPTOR_PASSWORD", password);
        }
        if let Some(token) = &self.token {
            command.env("CAPSTAN_TOKEN", token);
        }
        command
    }
}

impl Following {
    /// The next line, once there is one.
    pub(crate) async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("nothing more is written");
        line.unwrap().expect("it goes on")
    }

    /// Passes lines over until this one.
    pub(crate) async fn until(&mut self, wanted: &str) {
        while self.line().await != wanted {}
    }
}
