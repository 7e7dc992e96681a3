//! How fresh a read is: what the caller asks for, and the view that has it.

use capstan_model::settings::ReadConsistency;
use capstan_raft_store::handle::{ClusterHandle, Consistency, View};

use crate::{
    call::Head,
    error::{ApiError, InputError},
    headers, query,
};

/// What a caller wants of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// `?consistency=`; `None` leaves it to the replicated setting.
    consistency: Option<ReadConsistency>,
    /// `X-Capstan-Index`; asks for more, never for less, than the consistency does.
    at_least: Option<u64>,
}

impl Freshness {
    /// Reads the wish from a call.
    ///
    /// # Errors
    /// [`InputError::Query`] and [`InputError::Header`] for anything but the two words and a number.
    pub(crate) fn of(head: &Head<'_>) -> Result<Self, InputError> {
        let consistency = match query::first(head.query, "consistency").as_deref() {
            None => None,
            Some("linearizable") => Some(ReadConsistency::Linearizable),
            Some("stale") => Some(ReadConsistency::Stale),
            Some(other) => {
                let shown: String = other.chars().take(100).collect();
                return Err(InputError::Query {
                    reason: format!("parameter consistency: {shown:?} is neither linearizable nor stale"),
                });
            }
        };
        Ok(Self { consistency, at_least: headers::wanted_index(head.headers)? })
    }
}

/// A view as fresh as the call asks for.
///
/// # Errors
/// A malformed wish, or [`ApiError::Read`] when no such view came about in time.
pub(crate) async fn view(cluster: &ClusterHandle, head: &Head<'_>) -> Result<View, ApiError> {
    let wanted = Freshness::of(head)?;
    let consistency =
        wanted.consistency.unwrap_or_else(|| cluster.view().state().settings.read_consistency());
    let view = match consistency {
        ReadConsistency::Linearizable => cluster.read(Consistency::Linearizable).await?,
        ReadConsistency::Stale => cluster.view(),
    };
    match wanted.at_least {
        Some(index) if index > view.index() => Ok(cluster.read(Consistency::AtLeast(index)).await?),
        _ => Ok(view),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn only_two_consistencies_are_known() {
        let none = HeaderMap::new();
        let of = |query| Freshness::of(&Head::new(&Method::GET, "/x", query, &none));
        let cases = [
            ("", None),
            ("consistency=stale", Some(ReadConsistency::Stale)),
            ("a=b&consistency=linearizable", Some(ReadConsistency::Linearizable)),
        ];
        for (query, consistency) in cases {
            assert_eq!(of(query).unwrap(), Freshness { consistency, at_least: None }, "{query}");
        }
        for query in ["consistency=", "consistency=Stale", "consistency=eventual", "consistency"] {
            assert!(matches!(of(query), Err(InputError::Query { .. })), "{query}");
        }
    }
}
