//! The process of an `http-request`: reads what to call from standard input, calls, and tells how it went.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use ureq::{
    Agent,
    http::{Request, Response},
    tls::{RootCerts, TlsConfig},
};

use super::Stored;
use crate::jobs::ending;

/// How much of an answer is read; the log keeps the end of it.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Redirections followed in one call.
const REDIRECTS_MAX: u32 = 10;
/// What is sent as `User-Agent` when the headers name none.
const USER_AGENT: &str = concat!("capstan/", env!("CARGO_PKG_VERSION"));

/// Runs `capstan __http-request`. Exits with 0 when the answer is an expected one, else with 1 and the reason in the
/// file named by `CAPSTAN_RESULT`.
pub fn main() -> ExitCode {
    ending::conclude(run())
}

fn run() -> Result<(), String> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).map_err(|error| format!("cannot read what to call: {error}"))?;
    let stored: Stored =
        serde_json::from_slice(&input).map_err(|error| format!("cannot read what to call: {error}"))?;
    let answer = call(&stored)?;
    let status = answer.status();
    copy_body(answer)?;
    if stored.expected_status.contains(status.as_u16()) {
        Ok(())
    } else {
        Err(format!("{} {}: got {status}, expected {}", stored.method, stored.url, stored.expected_status))
    }
}

fn call(stored: &Stored) -> Result<Response<ureq::Body>, String> {
    let failed = |error: &dyn std::error::Error| format!("{} {}: {error}", stored.method, stored.url);
    let mut request = Request::builder().method(stored.method.as_str()).uri(&stored.url);
    for (name, value) in &stored.headers {
        request = request.header(name, value);
    }
    let redirects_max = if stored.expected_status.contains_redirection() { 0 } else { REDIRECTS_MAX };
    let agent = Agent::new_with_config(
        Agent::config_builder()
            .timeout_global(Some(Duration::from_millis(stored.timeout_ms)))
            .http_status_as_error(false)
            .max_redirects(redirects_max)
            .user_agent(USER_AGENT)
            .allow_non_standard_methods(true)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build(),
    );
    let started = Instant::now();
    let answer = match &stored.body {
        Some(body) => agent.run(request.body(body.as_str()).map_err(|error| failed(&error))?),
        None => agent.run(request.body(()).map_err(|error| failed(&error))?),
    };
    let answer = answer.map_err(|error| failed(&error))?;
    eprintln!(
        "{} {}: {} after {} ms",
        stored.method,
        stored.url,
        answer.status(),
        started.elapsed().as_millis()
    );
    Ok(answer)
}

fn copy_body(answer: Response<ureq::Body>) -> Result<(), String> {
    let mut body = answer.into_body().into_reader().take(BODY_BYTES_MAX);
    let mut stdout = io::stdout().lock();
    io::copy(&mut body, &mut stdout).map_err(|error| format!("reading the answer: {error}"))?;
    stdout.flush().map_err(|error| format!("reading the answer: {error}"))
}
