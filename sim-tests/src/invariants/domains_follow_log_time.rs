//! P5: a domain is fresh for as long as it was asked for, in log time; and instances are stopped by their owners alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use capstan_model::{
    command::Command,
    event::Event,
    lrp::{command::LrpCommand, event::LrpEvent, guid::ProcessGuid},
    time::Timestamp,
};

use super::Invariant;
use crate::{ledger::Committed, oracle::Observation};

/// Domains end by the stamps of the log, whoever leads.
#[derive(Default)]
pub(crate) struct DomainsFollowLogTime {
    /// Until when each was asked to be fresh; `None` is for ever.
    until: BTreeMap<Arc<str>, Option<Timestamp>>,
}

impl Invariant for DomainsFollowLogTime {
    fn name(&self) -> &'static str {
        "a domain is fresh until its time in the log, and only owners have instances stopped"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let now = committed.after.log_time();
        for event in &committed.events {
            match event {
                Event::Lrp(LrpEvent::DomainFresh { domain, until }) => {
                    if !asked(committed, domain).any(|asked| asked == *until) {
                        return Err(format!("at {}, {now:?}: nobody asked for {event:?}", committed.index));
                    }
                    self.until.insert(Arc::clone(domain), *until);
                }
                Event::Lrp(LrpEvent::StopAsked { key, .. }) if !is_owners(committed, &key.guid) => {
                    return Err(format!("at {} nobody asked for {event:?}", committed.index));
                }
                _ => {}
            }
        }
        // Nothing happens by time in an entry without a stamp.
        if committed.commands.is_empty() {
            return Ok(());
        }
        for (domain, until) in &self.until {
            let is_fresh = until.is_none_or(|until| now < until);
            let found = committed.after.lrps.domains.get(domain);
            if found != is_fresh.then_some(*until) {
                let at = committed.index;
                return Err(format!(
                    "at {at}, {now:?}: {domain} is fresh until {found:?}, was asked for until {until:?}"
                ));
            }
        }
        Ok(())
    }
}

/// Until when an entry asks that a domain is fresh, each command of it; one of them may be a copy that was executed before.
fn asked(committed: &Committed, domain: &str) -> impl Iterator<Item = Option<Timestamp>> {
    let now = committed.after.log_time();
    committed.commands.iter().filter_map(move |(command, reply)| match command {
        Command::Lrp(LrpCommand::UpsertDomain { domain: of, ttl_secs })
            if **of == *domain && reply.is_ok() =>
        {
            Some(ttl_secs.map(|secs| now.after(Duration::from_secs(secs))))
        }
        _ => None,
    })
}

/// Whether an owner's command in an entry is about this LRP.
fn is_owners(committed: &Committed, guid: &ProcessGuid) -> bool {
    committed.commands.iter().any(|(command, reply)| {
        reply.is_ok()
            && match command {
                Command::Lrp(LrpCommand::Update(update)) => update.guid == *guid,
                Command::Lrp(LrpCommand::Remove { guid: of, .. }) => of == guid,
                Command::Lrp(LrpCommand::Kill { key, .. }) => key.guid == *guid,
                _ => false,
            }
    })
}
