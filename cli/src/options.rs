//! The options every client command has: whom to ask, how long to wait, how to answer.

use std::time::Duration;

use capstan_client::{Client, ClientOptions};

use crate::failure::Failure;

/// Whom a client command asks, how long it waits, and how it shows what it found.
#[derive(Debug, Clone, clap::Args)]
pub struct CallOptions {
    /// The nodes to ask, host:port; may be given several times or separated by commas
    #[arg(
        long = "addr",
        global = true,
        env = "CAPSTAN_ADDR",
        value_name = "ADDR",
        value_delimiter = ',',
        default_value = "127.0.0.1:8641,127.0.0.1:8642,127.0.0.1:8643"
    )]
    pub addresses: Vec<String>,
    /// How long one call may take, over all nodes it tries
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// How to show what was found
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How a command shows what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Aligned text for people
    Table,
    /// JSON for programs
    Json,
}

impl CallOptions {
    /// A client of all the nodes.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let default = ClientOptions::default();
        let options = ClientOptions {
            timeout: self.timeout,
            attempt_timeout: default.attempt_timeout.min(self.timeout),
            connect_patience: default.connect_patience.min(self.timeout),
            ..default
        };
        Ok(Client::with_options(self.addresses.clone(), options)?)
    }

    /// A client of one node, which gives up after one attempt.
    pub(crate) fn client_of(&self, address: &str) -> Result<Client, Failure> {
        let timeout = self.timeout.min(Duration::from_secs(2));
        let options = ClientOptions {
            timeout,
            attempt_timeout: timeout,
            connect_patience: Duration::ZERO,
            ..ClientOptions::default()
        };
        Ok(Client::with_options(vec![address.to_owned()], options)?)
    }
}
