//! `/cluster/v1/settings`: what all nodes go by.

use bytes::Bytes;
use capstan_client::cluster::{SettingEntry, SettingList};
use capstan_model::{
    command::Command,
    settings::{Setting, Settings},
};
use capstan_raft_store::handle::Committed;
use http::StatusCode;

use super::at_index;
use crate::{
    answer::{self, Answer},
    auth,
    call::{Head, Surface, decode_segment},
    error::ApiError,
    read,
    service::Inner,
};

/// The longest value, in bytes; a number or a word.
pub(crate) const VALUE_BYTES_MAX: usize = 256;

/// `GET …`: all of them.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let view = read::view(&api.parts.cluster, head).await?;
    let settings = view.state().settings.all().iter().map(entry).collect();
    Ok(at_index(answer::json(StatusCode::OK, &SettingList { settings }), view.index()))
}

/// `PUT …/{name}`: the body is the value, as text.
pub(crate) async fn put(api: &Inner, head: &Head<'_>, name: &str, body: Bytes) -> Result<Answer, ApiError> {
    let text = String::from_utf8_lossy(&body);
    let setting = Setting::parse(&decode_segment(name)?, text.trim())?;
    let options = auth::options(head, &body)?;
    let Committed { reply, index } = api.parts.cluster.propose(Command::SetSetting(setting), options).await?;
    let answer = match reply {
        Ok(_) => answer::json(StatusCode::OK, &entry(&setting)),
        Err(rejection) => ApiError::from(rejection).answer(Surface::Cluster),
    };
    Ok(at_index(answer, index))
}

fn entry(setting: &Setting) -> SettingEntry {
    let defaults = Settings::default().all();
    let default = defaults.iter().find(|default| default.name() == setting.name());
    SettingEntry {
        name: setting.name().to_owned(),
        value: setting.value(),
        default: default.expect("every setting has a default").value(),
    }
}
