//! Calls about settings.

use http::{HeaderValue, Method, header};

use super::{
    Client, ReadOptions,
    call::{Call, Repeat},
    error::CallError,
    segment,
};
use crate::cluster::{SettingEntry, SettingList};

impl Client {
    /// Lists all settings.
    pub async fn settings(&self, options: ReadOptions) -> Result<SettingList, CallError> {
        self.read_json("/cluster/v1/settings".to_owned(), Vec::new(), options).await
    }

    /// Changes a setting. An unknown one, or a value it cannot have, is a refusal with status 400 that says what would be right.
    pub async fn put_setting(&self, name: &str, value: &str) -> Result<SettingEntry, CallError> {
        let path = format!("/cluster/v1/settings/{}", segment(name)?);
        let mut call = Call::new(Method::PUT, path, Repeat::Harmless);
        call.body = value.to_owned().into();
        call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        self.call(&call).await?.json()
    }
}
