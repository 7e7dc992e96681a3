//! `capstan __transfer`: fetches one archive, or sends one file. A process of its own, so that it is stopped and bounded like
//! every other of its instance, and reads a file as whoever may.

use std::{
    env,
    fs::{self, File},
    io,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use ureq::{
    Agent,
    http::{StatusCode, header},
    tls::{RootCerts, TlsConfig},
};

use super::downloads::validators;

/// The first argument of this program that makes it one transfer.
pub const ARGUMENT: &str = "__transfer";
/// The exit status when the file to send cannot be read.
pub(super) const UNREADABLE: i32 = 3;
/// The exit status when what is to be sent is no file.
pub(super) const NO_FILE: i32 = 4;

/// How long the other side may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the server said about an archive, by which it tells whether it has a newer one.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// Why a transfer failed: an exit status, and a text.
type Failed = (i32, String);

/// Runs `capstan __transfer fetch URL ARCHIVE PART` or `capstan __transfer send FILE URL`, with the arguments behind
/// `__transfer`. What went wrong is written to standard output; so is the number of bytes sent.
pub fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(2).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["fetch", url, archive, part] => {
            fetch(url, Path::new(archive), Path::new(part)).map(|()| String::new())
        }
        ["send", file, url] => send(Path::new(file), url).map(|bytes| bytes.to_string()),
        _ => Err((64, format!("capstan {ARGUMENT} is for capstan's own use"))),
    };
    let (status, text) = match done {
        Ok(text) => (0, text),
        Err((status, text)) => (status, text),
    };
    println!("{text}");
    ExitCode::from(u8::try_from(status).expect("all of them are small"))
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .timeout_connect(Some(SILENCE_MAX))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .user_agent(concat!("capstan/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
    Agent::new_with_config(config.build())
}

/// Fetches an archive, unless the one that is there is as new.
fn fetch(url: &str, archive: &Path, part: &Path) -> Result<(), Failed> {
    let failed = |error: &dyn std::error::Error| (1, error.to_string());
    let known = known_of(archive);
    let mut request = agent().get(url);
    if let Some(etag) = &known.etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(modified) = &known.last_modified {
        request = request.header(header::IF_MODIFIED_SINCE, modified);
    }
    let answer = request.call().map_err(|error| failed(&error))?;
    match answer.status() {
        StatusCode::NOT_MODIFIED => {
            // It is of use, so it is not the next to go.
            let touched = File::options().append(true).open(archive);
            return touched
                .and_then(|file| file.set_modified(std::time::SystemTime::now()))
                .map_err(|error| failed(&error));
        }
        StatusCode::OK => {}
        status => return Err((1, format!("Download failed: Status code {}", status.as_u16()))),
    }
    let text = |name| answer.headers().get(name).and_then(|value| Some(value.to_str().ok()?.to_owned()));
    let new = Validators { etag: text(header::ETAG), last_modified: text(header::LAST_MODIFIED) };
    let copy = || {
        let mut file = File::create(part)?;
        io::copy(&mut answer.into_body().into_reader(), &mut file)?;
        make_readable(&file)?;
        // The old one must not be taken for the new one, whatever happens in between.
        remove_if_there(&validators(archive))?;
        fs::rename(part, archive)?;
        fs::write(validators(archive), serde_json::to_vec(&new).expect("texts are serialisable"))
    };
    copy().map_err(|error: io::Error| failed(&error))
}

/// Whoever the archive is unpacked as must be able to read it.
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is known of an archive; nothing where there is none.
fn known_of(archive: &Path) -> Validators {
    let told = archive.exists().then(|| fs::read(validators(archive)).ok()).flatten();
    told.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn send(path: &Path, url: &str) -> Result<u64, Failed> {
    let file = File::open(path).map_err(|error| (UNREADABLE, error.to_string()))?;
    let metadata = file.metadata().map_err(|error| (UNREADABLE, error.to_string()))?;
    if !metadata.is_file() {
        return Err((NO_FILE, "no plain file".to_owned()));
    }
    let bytes = metadata.len();
    let request = agent()
        .post(url)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, bytes.to_string());
    let answer = request.send(file).map_err(|error| (1, error.to_string()))?;
    match answer.status() {
        status if status.is_success() => Ok(bytes),
        status => Err((1, format!("Upload failed: Status code {}", status.as_u16()))),
    }
}
