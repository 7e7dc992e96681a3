//! The `capstan` program: a node, a development cluster, or a client command.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use capstan_node::{
    config::{Config, EXIT_CONFIG, ServerArgs},
    dev, guardian,
    instance::{host, network::relay},
    jobs::{http_request, lrp},
    lost,
    server::{self, End, Supervision},
    spec_tools::NodeTools,
    telemetry,
};
use clap::Parser;

/// Keeps requests and long-running processes going on a cluster of machines
#[derive(Debug, clap::Parser)]
#[command(name = "capstan", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run one node
    #[command(after_help = EXIT_CODES)]
    Server(Box<ServerArgs>),
    /// Run a cluster on this machine, for development and tests
    Dev(dev::DevArgs),
    #[command(flatten)]
    Client(capstan_cli::Command),
}

const EXIT_CODES: &str = "\
Exit codes of a node:
   0  stopped as asked
   2  the command line is wrong
  70  its guardian died; starting it again is safe
  74  its storage failed or cannot be trusted
  78  the configuration is wrong, or an address or directory in it cannot be used
   1  anything else";

fn main() -> ExitCode {
    // These must find the process as it was started: no runtime, no threads, no parsing of what belongs to a job.
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|first| first.to_str()) {
        Some("__guardian") => return guardian::main_guardian(args),
        Some("__exec") => return guardian::exec::main(args),
        Some(http_request::ARGUMENT) => return http_request::call::main(),
        Some(lrp::ARGUMENT) => return lrp::process::main(),
        Some(host::TRANSFER_ARGUMENT) => return host::main_transfer(),
        Some(relay::ARGUMENT) => return relay::main(),
        _ => {}
    }
    match Cli::parse().command {
        Command::Server(args) => run_server(*args),
        Command::Dev(args) => match dev::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error, 1),
        },
        Command::Client(command) => run_client(command),
    }
}

fn run_server(args: ServerArgs) -> ExitCode {
    let check_only = args.check;
    let supervision = if args.supervised { Supervision::Stdin } else { Supervision::None };
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(error) => return complain(&error, EXIT_CONFIG),
    };
    if check_only {
        println!("the configuration of node {} is fine", config.node);
        return ExitCode::SUCCESS;
    }
    telemetry::start_log(&config.log);
    match server::run(config, supervision) {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        Ok(End::Lost) => match lost::begin_again() {
            Ok(never) => match never {},
            Err(error) => complain(&error, 1),
        },
        Err(error) => complain(&error, error.exit_code()),
    }
}

fn run_client(command: capstan_cli::Command) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(capstan_cli::run(command, &NodeTools)),
        Err(error) => complain(&error, 1),
    }
}

/// Says what is wrong, with every cause behind it.
fn complain(error: &dyn std::error::Error, exit_code: u8) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some errors quote their cause.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    // Nobody may be listening any more, and the exit code says the essential.
    let _ = writeln!(io::stderr(), "capstan: {text}");
    ExitCode::from(exit_code)
}
