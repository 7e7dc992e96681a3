//! Calls about LRPs, what there is of them, and domains.

use http::{HeaderName, HeaderValue, Method, header};

use super::super::{
    Client, ReadOptions,
    call::{Call, Repeat},
    error::CallError,
    segment,
};
use crate::receptor::{ActualLrp, DesiredLrp, DesiredLrpCreate, DesiredLrpUpdate};

/// Names the members of a manifest that the cells do not enforce.
const NOT_ENFORCED: HeaderName = HeaderName::from_static("x-capstan-not-enforced");

impl Client {
    /// Desires an LRP. Returns what of it is kept and not enforced, by name. One that exists is a refusal with status 409.
    pub async fn desire_lrp(&self, create: &DesiredLrpCreate) -> Result<Vec<String>, CallError> {
        let call = self.keyed(Method::POST, "/v1/desired_lrps".to_owned()).with_json(create);
        let answer = self.call(&call).await?;
        let names = answer.header(&NOT_ENFORCED).unwrap_or_default();
        Ok(names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Lists what is desired: of one domain, or all of it.
    pub async fn desired_lrps(&self, domain: Option<&str>) -> Result<Vec<DesiredLrp>, CallError> {
        self.list("/v1/desired_lrps".to_owned(), domain).await
    }

    /// Reads what is desired; an unknown LRP is a refusal with status 404.
    pub async fn desired_lrp(&self, guid: &str) -> Result<DesiredLrp, CallError> {
        self.read_json(desired(guid)?, Vec::new(), ReadOptions::default()).await
    }

    /// Changes what the update names.
    pub async fn update_lrp(&self, guid: &str, update: &DesiredLrpUpdate) -> Result<(), CallError> {
        let call = self.keyed(Method::PUT, desired(guid)?).with_json(update);
        self.call(&call).await.map(drop)
    }

    /// Desires an LRP no longer; its instances are stopped in the background.
    pub async fn remove_lrp(&self, guid: &str) -> Result<(), CallError> {
        self.call(&self.keyed(Method::DELETE, desired(guid)?)).await.map(drop)
    }

    /// Lists the instances of all LRPs, or of those of one domain: one record an index.
    pub async fn actual_lrps(&self, domain: Option<&str>) -> Result<Vec<ActualLrp>, CallError> {
        self.list("/v1/actual_lrps".to_owned(), domain).await
    }

    /// Lists the instances of one LRP by index; of an unknown one there are none.
    pub async fn instances_of(&self, guid: &str) -> Result<Vec<ActualLrp>, CallError> {
        self.list(actual(guid)?, None).await
    }

    /// Stops one instance; another takes its place. An unknown one is a refusal with status 404.
    pub async fn kill_instance(&self, guid: &str, index: u32) -> Result<(), CallError> {
        let path = format!("{}/index/{index}", actual(guid)?);
        self.call(&self.keyed(Method::DELETE, path)).await.map(drop)
    }

    /// Lists the domains that are fresh.
    pub async fn domains(&self) -> Result<Vec<String>, CallError> {
        self.list("/v1/domains".to_owned(), None).await
    }

    /// Makes a domain fresh for so many seconds, or for ever.
    pub async fn upsert_domain(&self, domain: &str, ttl_secs: Option<u64>) -> Result<(), CallError> {
        let path = format!("/v1/domains/{}", segment(domain)?);
        let mut call = Call::new(Method::PUT, path, Repeat::Harmless);
        if let Some(secs) = ttl_secs {
            let value =
                HeaderValue::try_from(format!("max-age={secs}")).expect("a number is legal in a header");
            call.headers.insert(header::CACHE_CONTROL, value);
        }
        self.call(&call).await.map(drop)
    }

    /// Reads a list. Upstream answers null for an empty one.
    pub(super) async fn list<T: serde::de::DeserializeOwned>(
        &self,
        path: String,
        domain: Option<&str>,
    ) -> Result<Vec<T>, CallError> {
        let query = domain.map(|domain| ("domain", domain.to_owned())).into_iter().collect();
        let found: Option<Vec<T>> = self.read_json(path, query, ReadOptions::default()).await?;
        Ok(found.unwrap_or_default())
    }
}

fn desired(guid: &str) -> Result<String, CallError> {
    Ok(format!("/v1/desired_lrps/{}", segment(guid)?))
}

fn actual(guid: &str) -> Result<String, CallError> {
    Ok(format!("/v1/actual_lrps/{}", segment(guid)?))
}
