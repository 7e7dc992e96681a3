//! The way back in when nobody has the secret of a token with an admin role any more: the node's data directory.
//!
//! An operator puts the file [`WANTED`] there and starts the node again. It has the cluster make a token, puts it into the file
//! [`TOKEN`], for the node's own user alone, and takes the first one away. Whoever may write a node's data directory has the node, its log
//! and its part in every decision; this gives him nothing that he could not take.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use capstan_api::DrawnToken;
use capstan_model::{
    auth::{AuthCommand, CreateToken},
    command::Command,
    rejection::Rejection,
};
use capstan_raft_store::{
    handle::{ClusterHandle, Consistency, ProposeOptions},
    ports::Entropy,
};
use tokio::{task::spawn_blocking, time::sleep};

/// Asks for a token; what it holds does not matter.
const WANTED: &str = "admin-token.wanted";
/// Holds the token, as a call brings it.
const TOKEN: &str = "admin-token";
/// Whose such a token is, as lists and the audit show it.
const NAME: &str = "recovered";
/// How long to wait before an attempt is repeated that met no leader.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// Makes a token if one is asked for. Ends when there is none to make, or the cluster does not take it: then the file that asks stays.
pub(super) async fn make_if_wanted(data: PathBuf, cluster: ClusterHandle, entropy: Arc<dyn Entropy>) {
    if !data.join(WANTED).exists() {
        return;
    }
    let drawn = DrawnToken::draw(&*entropy);
    let (folder, text) = (data.clone(), drawn.text());
    // First: the secret of a token that was made and is told nowhere would be lost.
    let written = spawn_blocking(move || write(&folder, &text)).await.map_err(io::Error::other).flatten();
    if let Err(error) = written {
        tracing::error!(%error, file = TOKEN, "an admin token is wanted, and the file for it cannot be written");
        return;
    }
    let gone = match make(&cluster, &drawn).await {
        Ok(()) => {
            tracing::warn!(token = %drawn.id, file = TOKEN, "made an admin token, as the data directory asks");
            WANTED
        }
        Err(rejection) => {
            tracing::error!(%rejection, "an admin token is wanted, and the cluster does not make it");
            TOKEN
        }
    };
    if let Err(error) = fs::remove_file(data.join(gone)) {
        tracing::error!(%error, file = gone, "this file must be removed");
    }
}

/// Has the cluster make the token, once there is a leader to do it.
async fn make(cluster: &ClusterHandle, drawn: &DrawnToken) -> Result<(), Rejection> {
    loop {
        match attempt(cluster, drawn).await {
            // One before had done it, and its outcome was unknown.
            Ok(Ok(()) | Err(Rejection::TokenExists { .. })) => return Ok(()),
            Ok(Err(rejection)) => return Err(rejection),
            Err(reason) => {
                tracing::debug!(reason, "the admin token that is wanted is not made yet");
                sleep(RETRY_WAIT).await;
            }
        }
    }
}

/// `Err` says why nothing is known yet.
async fn attempt(cluster: &ClusterHandle, drawn: &DrawnToken) -> Result<Result<(), Rejection>, String> {
    let view = cluster.read(Consistency::Linearizable).await.map_err(|error| error.to_string())?;
    let create = CreateToken {
        id: drawn.id,
        caller: NAME.into(),
        roles: view.state().auth.policy().admin_roles.clone(),
        hash: drawn.hash(),
        created_by: format!("data directory of node {}", cluster.node_id()).into(),
        lifetime_secs: None,
    };
    let command = Command::Auth(AuthCommand::CreateToken(Box::new(create)));
    let made = cluster.propose(command, ProposeOptions::client()).await.map_err(|error| error.to_string())?;
    Ok(made.reply.map(drop))
}

/// Writes a file that nobody else may read.
fn write(folder: &Path, text: &str) -> io::Result<()> {
    let path = folder.join(TOKEN);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
