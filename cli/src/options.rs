//! The options every client command has: whom to ask and as whom, how long to wait, how to answer.

use std::{
    convert::Infallible,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use capstan_client::{Client, ClientOptions};

use crate::failure::{Exit, Failure};

/// How much is read of a file that holds a token: more than a token has.
const TOKEN_FILE_BYTES_MAX: u64 = 4 * 1024;

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
    /// The token that calls bring, as ID.SECRET; safer in the environment or in a file, where others do not see it
    #[arg(long, global = true, env = "CAPSTAN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<Password>,
    /// A file with the token, and nothing else in it
    #[arg(long, global = true, env = "CAPSTAN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The name that calls of /v1 bring, where the nodes' configuration has one
    #[arg(long, global = true, env = "CAPSTAN_RECEPTOR_USERNAME", value_name = "NAME")]
    pub receptor_username: Option<String>,
    /// Its password; safer in the environment, where others do not see it
    #[arg(
        long,
        global = true,
        env = "CAPSTAN_RECEPTOR_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub receptor_password: Option<Password>,
    /// How to show what was found
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// A password, or a token. It is left out where options are shown.
#[derive(Clone)]
pub struct Password(String);

impl FromStr for Password {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
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
        let client = self.known(Client::with_options(self.addresses.clone(), options)?)?;
        match (&self.receptor_username, &self.receptor_password) {
            (Some(username), Some(password)) => Ok(client.with_credentials(username, &password.0)),
            (None, None) => Ok(client),
            _ => Err(Failure::new(
                Exit::Usage,
                "--receptor-username and --receptor-password go together",
                "give both, or CAPSTAN_RECEPTOR_USERNAME and CAPSTAN_RECEPTOR_PASSWORD",
            )),
        }
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
        self.known(Client::with_options(vec![address.to_owned()], options)?)
    }

    /// The client with the token that is given: on the command line or in the environment, else in a file.
    fn known(&self, client: Client) -> Result<Client, Failure> {
        // A variable that is set to nothing is as good as none.
        let given = self.token.as_ref().map(|token| token.0.as_str()).filter(|token| !token.is_empty());
        let from_file = self.token_file.as_ref().filter(|_| given.is_none()).map(|path| {
            read_token(path).map_err(|error| {
                let message = format!("cannot read {}: {error}", path.display());
                Failure::new(Exit::Usage, message, "give a file with a token in it, or --token")
            })
        });
        let from_file = from_file.transpose()?;
        let Some(token) = given.or(from_file.as_deref()) else {
            return Ok(client);
        };
        client.with_token(token.trim()).map_err(|error| {
            Failure::new(Exit::Usage, error.to_string(), "give it as capstan token create told it")
        })
    }
}

/// Reads a file that holds a token; it may be a pipe, and need not have an end.
fn read_token(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
