//! What has run out of time: tries, approvals that nobody decided, and whole requests. Deadlines are data, in log time; the leader
//! proposes what is due, and here it is judged.

use super::{
    LiveRequests,
    chain::JobPlace,
    command::Expire,
    draft::Draft,
    event::WorkflowEvent,
    handle::{self, Decision},
    job::Phase,
};
use crate::{ids::TryNo, rejection::Rejection, reply::Answer, state::State, time::Timestamp};

/// Stops a try or a request that is out of time.
pub(crate) fn expire(state: &State, at: Timestamp, expire: &Expire) -> Decision {
    let request = expire.request;
    let live = handle::find(state, request)?;
    let mut draft = Draft::new(state, at);
    match expire.try_of {
        None => {
            if !is_over(live.deadline(), at) {
                return Err(Rejection::NotOverdue { request });
            }
            sometimes!("a request is out of time");
            draft.expire_request(expire);
        }
        Some((job, try_no)) => {
            let place = live.chain().place(job).ok_or(Rejection::NoSuchJob { request, job })?;
            let current = live.job_at(place);
            if current.try_no != try_no {
                return Err(Rejection::StaleTry { job, current: current.try_no, named: try_no });
            }
            if !is_over(live.try_deadline(place), at) {
                return Err(Rejection::NotOverdue { request });
            }
            draft.expire_try(expire, place, try_no);
        }
    }
    Ok((Answer::Done, draft.into_events()))
}

fn is_over(deadline: Option<Timestamp>, at: Timestamp) -> bool {
    deadline.is_some_and(|deadline| deadline <= at)
}

impl Draft<'_> {
    /// Stops a request as a user would, but that it has failed.
    fn expire_request(&mut self, expire: &Expire) {
        let request = expire.request;
        self.record(WorkflowEvent::RequestTimedOut { request, at: self.at });
        self.withdraw_all(request);
        self.settle(request);
    }

    /// Ends an approval; of another try the owner is told to stop it, and reports its end.
    fn expire_try(&mut self, expire: &Expire, job: JobPlace, try_no: TryNo) {
        let request = expire.request;
        match self.job(request, job).1.phase {
            Phase::Awaiting { since } => {
                sometimes!("nobody decides an approval in time");
                self.expire_approval(request, job, try_no, since);
            }
            _ => {
                sometimes!("a try is out of time");
                self.record(WorkflowEvent::TryOverdue { request, job });
            }
        }
    }
}

impl LiveRequests {
    /// What is out of time at this moment of log time, the earliest first.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = Expire> {
        let due = self.indexes.deadlines.iter().take_while(move |(deadline, ..)| *deadline <= now);
        due.filter_map(|(_, request, job)| {
            let live = self.get(request)?;
            let try_of = match job {
                None if mutant!("request-timeouts-not-noticed") => return None,
                None => None,
                Some(job) => Some((*job, live.job(*job)?.1.try_no)),
            };
            Some(Expire { request: *request, try_of })
        })
    }
}
