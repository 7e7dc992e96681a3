//! The nodes a client knows, and which of them to try first.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Url;

/// An address that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no node to call.
    #[error("no address given")]
    None,
    /// The text is no address.
    #[error("{address:?} is not an address: {reason}; an address is host:port or http://host:port")]
    Malformed {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The known nodes. Shared by clones of a client, so all of them learn which node answers.
#[derive(Debug)]
pub(super) struct AddressBook {
    urls: Vec<Url>,
    preferred: AtomicUsize,
}

/// One known node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    /// Its place in the book.
    pub(super) place: usize,
    /// `http://host:port/`.
    pub(super) url: &'a Url,
}

impl AddressBook {
    pub(super) fn parse(addresses: &[String]) -> Result<Self, AddressError> {
        let urls = addresses.iter().map(|address| parse(address)).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(AddressError::None);
        }
        Ok(Self { urls, preferred: AtomicUsize::new(0) })
    }

    /// Every node as text, in the order given.
    pub(super) fn all(&self) -> Vec<String> {
        self.urls.iter().map(shown).collect()
    }

    /// Every node once, the one that answered last first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Node<'_>> {
        let first = self.preferred.load(Ordering::Relaxed);
        (0..self.urls.len()).map(move |step| {
            let place = (first + step) % self.urls.len();
            Node { place, url: &self.urls[place] }
        })
    }

    /// Remembers that `node` answered. Only a hint: calls that race may overwrite each other's.
    pub(super) fn prefer(&self, node: Node<'_>) {
        self.preferred.store(node.place, Ordering::Relaxed);
    }
}

/// A node's URL without the trailing slash.
pub(super) fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn parse(address: &str) -> Result<Url, AddressError> {
    let malformed =
        |reason: &str| AddressError::Malformed { address: address.to_owned(), reason: reason.to_owned() };
    let trimmed = address.trim();
    let text = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
    let url = Url::parse(&text).map_err(|e| malformed(&e.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err(malformed("this client speaks no TLS")),
        other => return Err(malformed(&format!("unknown scheme {other:?}"))),
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(malformed("only host and port belong here"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(addresses: &[&str]) -> Result<AddressBook, AddressError> {
        AddressBook::parse(&addresses.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn host_and_port_are_enough() {
        let book = book(&["127.0.0.1:8641", " http://db7:80/ ", "[::1]:1"]).expect("three addresses");
        assert_eq!(book.all(), ["http://127.0.0.1:8641", "http://db7", "http://[::1]:1"]);
    }

    #[test]
    fn what_cannot_be_called_is_refused_with_the_reason() {
        let cases = [
            (vec![], "no address given"),
            (vec!["https://db7:1"], "this client speaks no TLS"),
            (vec!["ftp://db7"], "unknown scheme"),
            (vec!["db7:1/cluster"], "only host and port"),
            (vec!["db7:port"], "is not an address"),
        ];
        for (addresses, reason) in cases {
            let error = book(&addresses).expect_err("no address").to_string();
            assert!(error.contains(reason), "{addresses:?}: {error}");
        }
    }

    #[test]
    fn the_node_that_answered_comes_first_and_the_others_follow_in_turn() {
        let book = book(&["a:1", "b:1", "c:1"]).expect("three addresses");
        let order = |book: &AddressBook| book.in_order().map(|n| n.place).collect::<Vec<_>>();
        assert_eq!(order(&book), [0, 1, 2]);
        let second = book.in_order().nth(1).expect("three nodes");
        book.prefer(second);
        assert_eq!(order(&book), [1, 2, 0]);
    }
}
