//! Which requests `GET /api/v1/requests` lists.

use super::{State, UtcTime};

/// Filters of the list of requests; all given ones must hold. The default asks for every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// The exact type.
    pub kind: Option<String>,
    /// Who asked for it.
    pub user: Option<String>,
    /// Any of these states; all states when empty.
    pub states: Vec<State>,
    /// Args with these exact values.
    pub args: Vec<(String, String)>,
    /// Not finished, or finished after this moment.
    pub since: Option<UtcTime>,
    /// Created before this moment.
    pub until: Option<UtcTime>,
    /// The most to list; 0 lists all.
    pub limit: u64,
    /// How many to skip, newest first; the server ignores it without a limit.
    pub offset: u64,
    /// Only what is behind the end of an earlier page, as [`crate::NEXT_HEADER`] named it.
    pub after: Option<String>,
}

impl RequestFilter {
    /// The filters as query parameters; what was not given is not sent.
    pub fn to_query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        query.extend(self.kind.iter().map(|kind| ("type", kind.clone())));
        query.extend(self.user.iter().map(|user| ("user", user.clone())));
        query.extend(self.states.iter().map(|state| ("state", state.name().to_owned())));
        query.extend(self.args.iter().map(|(name, value)| ("arg", format!("{name}={value}"))));
        query.extend(self.since.iter().map(|since| ("since", since.to_string())));
        query.extend(self.until.iter().map(|until| ("until", until.to_string())));
        if self.limit > 0 {
            query.push(("limit", self.limit.to_string()));
            if self.offset > 0 {
                query.push(("offset", self.offset.to_string()));
            }
        }
        query.extend(self.after.iter().map(|after| ("after", after.clone())));
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_sent() {
        assert_eq!(RequestFilter::default().to_query(), vec![]);
        let filter = RequestFilter {
            states: vec![State::Fail, State::Stopped],
            args: vec![("host".to_owned(), "a=b".to_owned())],
            offset: 4,
            after: Some("7-dc05ckj8di16o61bq710".to_owned()),
            ..RequestFilter::default()
        };
        let expected = vec![
            ("state", "FAIL".to_owned()),
            ("state", "STOPPED".to_owned()),
            ("arg", "host=a=b".to_owned()),
            ("after", "7-dc05ckj8di16o61bq710".to_owned()),
        ];
        assert_eq!(filter.to_query(), expected, "an offset without a limit would be ignored");
    }
}
