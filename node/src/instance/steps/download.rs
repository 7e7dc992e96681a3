//! `download`: an archive, fetched and unpacked into the instance.

use capstan_model::lrp::action::Download;

use super::{Ended, Failure, Scope};
use crate::instance::{
    driver::{Driver, Stream},
    output::byte_size,
};

pub(super) async fn perform(driver: &dyn Driver, download: &Download, scope: Scope) -> Ended {
    let scope = scope.sourced(&download.log_source);
    let say = |text: String| {
        if !download.artifact.is_empty() {
            scope.say(driver, Stream::Stdout, &text);
        }
    };
    let artifact = &download.artifact;
    if scope.is_cancelled() {
        return Err(Failure::cancelled());
    }
    say(format!("Downloading {artifact}...\n"));
    let fetched = tokio::select! {
        biased;
        fetched = driver.fetch(download) => fetched.map_err(|_| Failure::tellable("Downloading failed")),
        () = scope.cancelled() => Err(Failure::cancelled()),
    };
    let fetched = fetched.inspect_err(|_| say(format!("Failed to download {artifact}\n")))?;
    say(format!("Downloaded {artifact} ({})\n", byte_size(fetched.bytes)));
    tokio::select! {
        biased;
        unpacked = driver.unpack(fetched, download) => {
            unpacked.map_err(|_| Failure::tellable("Copying into the container failed"))
        }
        () = scope.cancelled() => Err(Failure::cancelled()),
    }
}
