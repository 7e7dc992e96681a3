//! Calls about variables.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    Client, ReadOptions,
    call::{Answer, Call, Repeat},
    error::CallError,
};
use crate::cluster::{VariableList, VariablePut};

/// A variable as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The bytes as stored.
    pub value: Bytes,
    /// The revision that wrote them, for a later [`Precondition::Revision`]; 0 when the node did not say.
    pub revision: u64,
    /// The log index of the state that was read.
    pub index: Option<u64>,
}

/// A write of a variable that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The variable's new revision.
    pub revision: u64,
    /// Whether it did not exist before. A repetition after a lost answer may say false although this call made it.
    pub created: bool,
    /// The log index of the write, for a later [`ReadOptions::at_least`].
    pub index: Option<u64>,
}

/// What must hold for a write to happen; else the answer is a refusal with status 412.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// The variable has this revision.
    Revision(u64),
    /// The variable does not exist.
    Absent,
}

/// Which variables to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableQuery {
    /// Only names that begin with this.
    pub prefix: String,
    /// Only names after this one: the `next` of the page before.
    pub after: Option<String>,
    /// At most as many, up to 1,000; the server's default when `None`.
    pub limit: Option<u64>,
}

impl Client {
    /// Reads a variable; an unknown one is a refusal with status 404.
    pub async fn get_variable(&self, name: &str, options: ReadOptions) -> Result<Variable, CallError> {
        let answer = self.call(&Call::read(path(name)?, options)).await?;
        Ok(Variable { revision: revision(&answer).unwrap_or(0), index: answer.index(), value: answer.body })
    }

    /// Writes a variable.
    ///
    /// Without a precondition the write is sent again when an answer was lost. With one it is not, since the
    /// repetition would find its own work: the outcome is then unknown, and a read tells.
    pub async fn put_variable(
        &self,
        name: &str,
        value: impl Into<Bytes>,
        precondition: Precondition,
    ) -> Result<Written, CallError> {
        let mut call = conditional(Method::PUT, path(name)?, precondition);
        call.body = value.into();
        call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let answer = self.call(&call).await?;
        let put: VariablePut = answer.json()?;
        Ok(Written {
            revision: put.revision,
            created: answer.status == StatusCode::CREATED,
            index: answer.index(),
        })
    }

    /// Deletes a variable; an unknown one is a refusal with status 404. Returns the log index of the write.
    pub async fn delete_variable(
        &self,
        name: &str,
        precondition: Precondition,
    ) -> Result<Option<u64>, CallError> {
        let call = conditional(Method::DELETE, path(name)?, precondition);
        let ending = self.call_noting_repeats(&call).await;
        match ending.result {
            // An earlier attempt's answer was lost, and the variable is gone, as was asked.
            Err(error) if ending.repeated && error.is_not_found() => Ok(None),
            result => Ok(result?.index()),
        }
    }

    /// Lists one page of variables in the order of their names.
    pub async fn list_variables(
        &self,
        query: &VariableQuery,
        options: ReadOptions,
    ) -> Result<VariableList, CallError> {
        let mut call = Call::read("/cluster/v1/variables".to_owned(), options);
        if !query.prefix.is_empty() {
            call.query.push(("prefix", query.prefix.clone()));
        }
        call.query.extend(query.after.iter().map(|after| ("after", after.clone())));
        call.query.extend(query.limit.iter().map(|limit| ("limit", limit.to_string())));
        self.call(&call).await?.json()
    }
}

fn conditional(method: Method, path: String, precondition: Precondition) -> Call {
    let repeat = if precondition == Precondition::None { Repeat::Harmless } else { Repeat::Harmful };
    let mut call = Call::new(method, path, repeat);
    match precondition {
        Precondition::None => {}
        Precondition::Revision(revision) => {
            let tag = HeaderValue::try_from(format!("\"{revision}\"")).expect("digits in quotes are legal");
            call.headers.insert(header::IF_MATCH, tag);
        }
        Precondition::Absent => {
            call.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
    }
    call
}

fn revision(answer: &Answer) -> Option<u64> {
    answer.header(&header::ETAG)?.trim_matches('"').parse().ok()
}

fn path(name: &str) -> Result<String, CallError> {
    Ok(format!("/cluster/v1/variables/{}", super::segment(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_segment() {
        assert_eq!(path("a.b_c-9").expect("legal"), "/cluster/v1/variables/a.b_c-9");
        assert_eq!(path("a/b?c").expect("the server refuses it"), "/cluster/v1/variables/a%2Fb%3Fc");
        for name in ["", ".", ".."] {
            assert!(matches!(path(name), Err(CallError::InvalidName { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_conditional_write_is_not_repeated() {
        let cases = [
            (Precondition::None, Repeat::Harmless),
            (Precondition::Revision(7), Repeat::Harmful),
            (Precondition::Absent, Repeat::Harmful),
        ];
        for (precondition, repeat) in cases {
            assert_eq!(
                conditional(Method::PUT, String::new(), precondition).repeat,
                repeat,
                "{precondition:?}"
            );
        }
    }
}
