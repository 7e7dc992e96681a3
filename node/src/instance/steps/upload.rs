//! `upload`: a file of the instance, sent to a URL.

use capstan_model::lrp::action::Upload;

use super::{Ended, Failure, Scope};
use crate::instance::{
    driver::{Driver, Stream, UploadError},
    output::byte_size,
};

pub(super) async fn perform(driver: &dyn Driver, upload: &Upload, scope: Scope) -> Ended {
    let scope = scope.sourced(&upload.log_source);
    let say = |text: String| {
        if !upload.artifact.is_empty() {
            scope.say(driver, Stream::Stdout, &text);
        }
    };
    let artifact = &upload.artifact;
    if scope.is_cancelled() {
        return Err(Failure::cancelled());
    }
    say(format!("Uploading {artifact}...\n"));
    let sent = tokio::select! {
        biased;
        sent = driver.upload(upload) => sent,
        () = scope.cancelled() => return Err(Failure::cancelled()),
    };
    let bytes = sent.map_err(|error| {
        if matches!(error, UploadError::Call(_)) {
            say(format!("Failed to upload {artifact}\n"));
        }
        failure(error)
    })?;
    say(format!("Uploaded {artifact} ({})\n", byte_size(bytes)));
    Ok(())
}

/// The text of a failed call is a reason only: it may hold a URL with secrets, so no step quotes it in the output.
fn failure(error: UploadError) -> Failure {
    match error {
        UploadError::TempDir => Failure::tellable("Failed to create temp dir"),
        UploadError::Establish => Failure::tellable("Failed to establish stream from container"),
        UploadError::NoFile => Failure::tellable("Failed to find first item in tar stream"),
        UploadError::TempFile => Failure::tellable("Failed to create temp file"),
        UploadError::Copy => Failure::tellable("Failed to copy stream contents into temp file"),
        UploadError::Call(text) => Failure::plain(text),
    }
}
