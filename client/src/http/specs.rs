//! Calls about the cluster's request specs.

use http::{HeaderValue, Method, header};

use super::{Client, ReadOptions, call::Call, error::CallError, segment};
use crate::cluster::{SpecsContent, SpecsList, SpecsPush, SpecsPushed};

const PATH: &str = "/cluster/v1/specs";

impl Client {
    /// Lists the versions that are kept, newest first.
    pub async fn specs(&self, options: ReadOptions) -> Result<SpecsList, CallError> {
        self.read_json(PATH.to_owned(), Vec::new(), options).await
    }

    /// Reads a version with its files: `current`, a content, or its first digits when only one begins with them. A
    /// refusal with status 404 when there is none.
    pub async fn specs_version(
        &self,
        version: &str,
        options: ReadOptions,
    ) -> Result<SpecsContent, CallError> {
        self.read_json(path(version)?, Vec::new(), options).await
    }

    /// Puts these specs in the place of the current ones, if those are still the expected ones; `None` expects that there are none.
    /// Else it is a refusal with status 412, and one with status 400 when they are wrong.
    pub async fn push_specs(
        &self,
        push: &SpecsPush,
        expected: Option<&str>,
    ) -> Result<SpecsPushed, CallError> {
        let call = self.conditional(Method::PUT, PATH.to_owned(), expected)?.with_json(push);
        self.call(&call).await?.json()
    }

    /// Makes the content of a version that is kept current again, if the current one is still the expected one.
    pub async fn revert_specs(&self, version: &str, expected: &str) -> Result<SpecsPushed, CallError> {
        let path = format!("{}/revert", path(version)?);
        self.call(&self.conditional(Method::POST, path, Some(expected))?).await?.json()
    }

    /// A call about the specs that are expected to be current. Without a key it would not be repeated: it would find its own work in the
    /// place of what was expected.
    fn conditional(&self, method: Method, path: String, expected: Option<&str>) -> Result<Call, CallError> {
        let mut call = self.keyed(method, path);
        match expected {
            None => call.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*")),
            Some(version) => {
                let tag = HeaderValue::try_from(format!("\"{version}\""));
                let tag = tag.map_err(|_| CallError::InvalidName { name: version.to_owned() })?;
                call.headers.insert(header::IF_MATCH, tag)
            }
        };
        Ok(call)
    }
}

fn path(version: &str) -> Result<String, CallError> {
    Ok(format!("{PATH}/{}", segment(version)?))
}
