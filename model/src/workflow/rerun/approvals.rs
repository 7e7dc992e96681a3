//! What was approved was approved for the args there were: with others it is asked again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Refused, matching};
use crate::workflow::{
    chain::{JobPlace, ValidChain},
    job::{is_approval, is_noop},
};

/// The complete jobs without the approvals and what follows them.
///
/// # Errors
/// One that follows an approval has done something.
pub(super) fn taken_back(
    chain: &ValidChain,
    complete: BTreeSet<JobPlace>,
) -> Result<BTreeSet<JobPlace>, Refused> {
    let mut approved_by = BTreeMap::<JobPlace, JobPlace>::new();
    for place in chain.in_order().into_iter().filter(|place| complete.contains(place)) {
        let spec = chain.job(place);
        if is_approval(&spec.job_type) {
            approved_by.entry(place).or_insert(place);
        }
        let Some(approval) = approved_by.get(&place).copied() else { continue };
        if !is_approval(&spec.job_type) && !is_noop(&spec.job_type) {
            let (job, approval) = (matching::path(chain, place), matching::path(chain, approval));
            return Err(Refused::Approved { job, approval });
        }
        for next in &spec.successors {
            approved_by.entry(*next).or_insert(approval);
        }
    }
    Ok(complete.into_iter().filter(|place| !approved_by.contains_key(place)).collect())
}
