//! Lists by the page, which upstream has not: `?limit=` bounds one, and the header `X-Capstan-Next` says what `?after=` continues with.
//! Without a limit a list is whole, as Diego's clients expect.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::{answer, error::Refusal};
use crate::{answer::Answer, query};

const NEXT: HeaderName = HeaderName::from_static("x-capstan-next");

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// Only of this domain.
    domain: Option<Cow<'a, str>>,
    /// What the page before ended with.
    pub(super) after: Option<Cow<'a, str>>,
    /// How many at most.
    limit: Option<usize>,
}

impl<'a> Wanted<'a> {
    /// Reads the parameters.
    ///
    /// # Errors
    /// A limit that is no whole number above zero.
    pub(super) fn of(query: &'a str) -> Result<Self, Refusal> {
        let given = |name| query::first(query, name).filter(|value| !value.is_empty());
        let limit = given("limit").map(|text| {
            let limit = text.parse().ok().filter(|limit| *limit > 0 && !text.starts_with('+'));
            limit.ok_or_else(|| Refusal::Request("limit must be a whole number above zero".to_owned()))
        });
        Ok(Self { domain: given("domain"), after: given("after"), limit: limit.transpose()? })
    }

    /// The domain that alone is wanted.
    pub(super) fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Whether this domain is wanted.
    pub(super) fn includes(&self, domain: &str) -> bool {
        self.domain().is_none_or(|wanted| wanted == domain)
    }

    /// The answer with the page: each element with the name by which a page can continue behind it.
    pub(super) fn answer<T: Serialize>(&self, elements: impl Iterator<Item = (String, T)>) -> Answer {
        let mut elements = elements.peekable();
        let (mut page, mut last) = (Vec::new(), None);
        while self.limit.is_none_or(|limit| page.len() < limit)
            && let Some((name, element)) = elements.next()
        {
            page.push(element);
            last = Some(name);
        }
        let mut answer = answer::json(StatusCode::OK, &page);
        if let Some(last) = last.filter(|_| elements.peek().is_some()) {
            let next = HeaderValue::try_from(last).expect("guids and indices are legal in a header");
            answer.headers_mut().insert(NEXT, next);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> (String, Option<String>) {
        let elements = [("a", 1), ("b", 2), ("c", 3)].map(|(name, element)| (name.to_owned(), element));
        let answer = Wanted::of(query).unwrap().answer(elements.into_iter());
        let next = answer.headers().get(NEXT).map(|next| next.to_str().unwrap().to_owned());
        (String::from_utf8(answer.into_body().into_whole().to_vec()).unwrap(), next)
    }

    #[test]
    fn a_page_says_where_the_next_begins() {
        let cases = [
            ("", "[1,2,3]", None),
            ("limit=1", "[1]", Some("a")),
            ("limit=2", "[1,2]", Some("b")),
            ("limit=3", "[1,2,3]", None),
            ("limit=4&domain=", "[1,2,3]", None),
        ];
        for (query, shown, next) in cases {
            assert_eq!(page(query), (shown.to_owned(), next.map(str::to_owned)), "{query}");
        }
    }

    #[test]
    fn a_limit_is_a_number_above_zero() {
        for query in ["limit=0", "limit=-1", "limit=+1", "limit=x", "limit=99999999999999999999"] {
            assert!(Wanted::of(query).is_err(), "{query}");
        }
    }
}
