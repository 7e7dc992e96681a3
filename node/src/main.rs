//! The binary: tells its roles apart.

use std::process::ExitCode;

use capstan_node::guardian;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|role| role.to_str()) {
        Some("__guardian") => guardian::main_guardian(args),
        Some("__exec") => guardian::exec::main(args),
        _ => ExitCode::from(64),
    }
}
