//! Gives a new cluster its first request specs: the files of this node's own directory.

use std::time::Duration;

use capstan_model::{
    command::Command,
    rejection::Rejection,
    sometimes,
    spec_store::{PushSpecs, SpecFile},
};
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions};
use tokio::time::sleep;

/// Who is named as the one who pushed the first specs.
const SEEDER: &str = "specs.directory";
/// How long to wait before an attempt is repeated that met no leader.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// Gives these files, sorted by path, to a cluster that has no specs. Ends when it has some, whoever was first.
///
/// # Errors
/// Why the cluster does not take them; to ask again would be in vain.
pub async fn seed(files: &[SpecFile], cluster: &ClusterHandle) -> Result<(), Rejection> {
    while cluster.view().state().specs.current().is_none() {
        let push = PushSpecs { files: files.to_vec(), expected: None, by: SEEDER.into() };
        let pushed = cluster.propose(Command::PushSpecs(push.into()), ProposeOptions::client()).await;
        match pushed.map(|committed| committed.reply) {
            Ok(Ok(_)) => tracing::info!("gave the cluster its first request specs"),
            Ok(Err(Rejection::OtherSpecs { .. })) => {
                sometimes!("another node was first to give the cluster its specs");
                return Ok(());
            }
            Ok(Err(rejection)) => return Err(rejection),
            Err(error) => {
                tracing::debug!(%error, "the first request specs are not in the cluster yet");
                sleep(RETRY_WAIT).await;
            }
        }
    }
    Ok(())
}
