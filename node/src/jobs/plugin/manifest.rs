//! What `TYPE describe` prints.

use capstan_model::spec::JobSignature;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What a plugin says of itself: `{"create":"none"|"run","idempotent":bool,"args":[…],"sets":[…]}`. Every member may be
/// missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// Who makes the bytes its runs are given.
    pub create: Create,
    /// Whether running it again does no harm.
    pub idempotent: bool,
    /// The args a job of this type needs.
    pub args: Vec<String>,
    /// The args its `create` sets.
    pub sets: Vec<String>,
}

/// Who makes the bytes the runs of a job are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Create {
    /// Nobody: they are the job's args, as one JSON object.
    #[default]
    None,
    /// `TYPE create`, which is given the args.
    Run,
}

impl Manifest {
    /// What its jobs need and set. What `create` sets beside `sets` is not told.
    pub fn signature(&self) -> JobSignature {
        let shared = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        JobSignature::Described {
            args: shared(&self.args),
            sets: shared(&self.sets),
            sets_more: self.create == Create::Run,
        }
    }

    /// Reads what a plugin printed.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(printed: &[u8]) -> Result<Self, String> {
        let object = serde_json::from_slice::<Map<String, Value>>(printed);
        object.and_then(|object| Self::deserialize(Value::Object(object))).map_err(|error| {
            format!("what it printed is not {{\"create\":\"none\"|\"run\",\"idempotent\":bool,\"args\":[…],\"sets\":[…]}}: {error}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_may_be_missing_but_not_unknown() {
        assert_eq!(Manifest::parse(b"{}\n"), Ok(Manifest::default()));
        let full =
            Manifest::parse(br#"{"create":"run","idempotent":true,"args":["a"],"sets":["b"]}"#).unwrap();
        assert_eq!((full.create, full.idempotent), (Create::Run, true));
        assert_eq!((full.args, full.sets), (vec!["a".to_owned()], vec!["b".to_owned()]));
        for (printed, part) in
            [("", "EOF"), ("[]", "map"), (r#"{"create":"maybe"}"#, "maybe"), (r#"{"arg":[]}"#, "arg")]
        {
            let error = Manifest::parse(printed.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{printed}: {error}");
        }
    }
}
