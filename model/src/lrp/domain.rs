//! Domains, and for how long each is fresh.
//!
//! Where a store cannot change desired and actual together, freshness keeps a consumer's half-written wishes from stopping
//! instances. Here each wish takes effect as a whole, so that nothing is ever left over to be stopped later: freshness is
//! kept and told, and decides nothing.

use std::{sync::Arc, time::Duration};

use imbl::{OrdMap, OrdSet};

use super::{Lrps, event::LrpEvent};
use crate::{
    rejection::{Rejection, check_size},
    time::Timestamp,
};

/// How many domains may be fresh at a time.
pub const DOMAINS_MAX: usize = 10_000;
/// The longest name of a domain, in bytes.
pub const DOMAIN_BYTES_MAX: usize = 1_024;
/// How many domains an entry can expire: more than it can bring, so that expired ones never fill the table.
const EXPIRED_PER_ENTRY_MAX: usize = 2_048;

/// Fresh domains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domains {
    /// Until when; `None` is for ever.
    by_name: OrdMap<Arc<str>, Option<Timestamp>>,
    /// Those that expire, in that order.
    by_time: OrdSet<(Timestamp, Arc<str>)>,
}

impl Domains {
    /// Until when a domain is fresh; the inner `None` is for ever.
    pub fn get(&self, domain: &str) -> Option<Option<Timestamp>> {
        self.by_name.get(domain).copied()
    }

    /// Those that are fresh at a time, by name. The state forgets a domain with the first entry after its time.
    pub fn fresh(&self, at: Timestamp) -> impl Iterator<Item = &Arc<str>> {
        let is_fresh = move |until: &Option<Timestamp>| until.is_none_or(|until| at < until);
        self.by_name.iter().filter(move |(_, until)| is_fresh(until)).map(|(name, _)| name)
    }

    /// All of them, by name, and until when.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Option<Timestamp>)> {
        self.by_name.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Those whose time has come, as many as one entry forgets.
    pub(super) fn expired(&self, at: Timestamp) -> impl Iterator<Item = &Arc<str>> {
        let due = self.by_time.iter().take_while(move |(until, _)| *until <= at);
        due.map(|(_, name)| name).take(EXPIRED_PER_ENTRY_MAX)
    }

    /// Sets until when a domain is fresh, and says until when it was.
    pub(super) fn set(&mut self, domain: &Arc<str>, until: Option<Timestamp>) -> Option<Option<Timestamp>> {
        let before = self.remove(domain);
        if let Some(until) = until {
            self.by_time.insert((until, domain.clone()));
        }
        self.by_name.insert(domain.clone(), until);
        before
    }

    pub(super) fn remove(&mut self, domain: &Arc<str>) -> Option<Option<Timestamp>> {
        let before = self.by_name.remove(domain)?;
        if let Some(until) = before {
            self.by_time.remove(&(until, domain.clone()));
        }
        Some(before)
    }

    /// Whether the index by time holds exactly those that expire.
    pub(super) fn index_matches(&self) -> bool {
        let mut again = Self::default();
        self.iter().for_each(|(name, until)| _ = again.set(name, *until));
        again == *self
    }
}

/// Decides on `UpsertDomain`; no `ttl` is for ever.
pub(super) fn upsert(
    lrps: &Lrps,
    at: Timestamp,
    domain: &Arc<str>,
    ttl: Option<Duration>,
) -> Result<Vec<LrpEvent>, Rejection> {
    check_size("the name of a domain", domain, DOMAIN_BYTES_MAX)?;
    if lrps.domains.get(domain).is_none() && lrps.domains.len() >= DOMAINS_MAX {
        return Err(Rejection::TooMany { what: "domains".to_owned(), count_max: DOMAINS_MAX as u64 });
    }
    sometimes!("a domain is fresh for longer before it expires", lrps.domains.get(domain).is_some());
    let unit = if mutant!("domain-fresh-for-minutes") { 60 } else { 1 };
    let until = ttl.map(|ttl| at.after(ttl * unit));
    Ok(vec![LrpEvent::DomainFresh { domain: domain.clone(), until }])
}
