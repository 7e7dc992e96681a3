//! What must hold at every moment, one property a file.

mod acknowledged_are_kept;
mod applied_grows;
mod approvals_are_decided;
mod capacity_is_kept;
mod cells_report_truly;
mod chain;
mod claims;
mod committed_agreement;
mod committed_is_kept;
mod complete_is_kept;
mod crashes_back_off;
mod cursors_are_honoured;
mod data_is_handed_on;
mod domains_follow_log_time;
mod election_safety;
mod ends_are_recorded_once;
mod ends_are_true;
mod ends_follow_jobs;
mod epochs_fence;
mod events_are_true;
mod events_arrive;
mod events_in_order;
mod expansions_are_bounded;
mod former_lives_run_nothing;
mod free_of_bugs;
mod heard_cells_count;
mod instances_are_spread;
pub(crate) mod instances_match_desires;
mod last_copies_are_kept;
mod log_matching;
mod log_time_is_true;
mod logs_survive;
mod no_event_is_missed;
mod nodes_return;
mod on_sound_disks;
mod parents_first;
mod paused_start_nothing;
mod positions_in_order;
mod records_are_unique;
mod records_change_legally;
mod requests_end;
mod requests_keep_their_specs;
mod resumed_after_drain;
mod retries_are_used;
mod sequences_retry;
mod sound_state;
mod stop_is_final;
mod stops_are_told;
mod streams_begin_exactly;
mod streams_begin_now;
#[cfg(test)]
mod testing;
mod timeouts_are_kept;
mod tries_are_accounted;
mod tries_are_apart;
mod tries_start_claimed;
mod trimmed_leave_nothing;
mod unavailable_get_nothing;
mod units_start_claimed;
mod votes_grow;
mod what_is_kept_stays;
mod wishes_are_done_once;

use self::on_sound_disks::OnSoundDisks;
use crate::oracle::Observation;

/// A property of everything observed so far.
pub trait Invariant: Send {
    /// What holds, as a sentence.
    fn name(&self) -> &'static str;

    /// Takes the next observation.
    ///
    /// # Errors
    /// It does not hold; says what was seen.
    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String>;
}

/// Every invariant, fresh for a run.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<election_safety::ElectionSafety>::default(),
        Box::<OnSoundDisks<votes_grow::VotesGrow>>::default(),
        Box::<log_matching::LogMatching>::default(),
        Box::<committed_is_kept::CommittedIsKept>::default(),
        Box::<OnSoundDisks<positions_in_order::PositionsInOrder>>::default(),
        Box::<OnSoundDisks<logs_survive::LogsSurvive>>::default(),
        Box::<acknowledged_are_kept::AcknowledgedAreKept>::default(),
        Box::<committed_agreement::CommittedAgreement>::default(),
        Box::<applied_grows::AppliedGrows>::default(),
        Box::<sound_state::SoundState>::default(),
        Box::<free_of_bugs::FreeOfBugs>::default(),
        Box::<tries_start_claimed::TriesStartClaimed>::default(),
        Box::<ends_are_recorded_once::EndsAreRecordedOnce>::default(),
        Box::<ends_are_true::EndsAreTrue>::default(),
        Box::<epochs_fence::EpochsFence>::default(),
        Box::<parents_first::ParentsFirst>::default(),
        Box::<sequences_retry::SequencesRetry>::default(),
        Box::<expansions_are_bounded::ExpansionsAreBounded>::default(),
        Box::<unavailable_get_nothing::UnavailableGetNothing>::default(),
        Box::<stop_is_final::StopIsFinal>::default(),
        Box::<requests_end::RequestsEnd>::default(),
        Box::<tries_are_apart::TriesAreApart>::default(),
        Box::<tries_are_accounted::TriesAreAccounted>::default(),
        Box::<former_lives_run_nothing::FormerLivesRunNothing>::default(),
        Box::<retries_are_used::RetriesAreUsed>::default(),
        Box::<resumed_after_drain::ResumedAfterDrain>::default(),
        Box::<ends_follow_jobs::EndsFollowJobs>::default(),
        Box::<stops_are_told::StopsAreTold>::default(),
        Box::<data_is_handed_on::DataIsHandedOn>::default(),
        Box::<paused_start_nothing::PausedStartNothing>::default(),
        Box::<timeouts_are_kept::TimeoutsAreKept>::default(),
        Box::<approvals_are_decided::ApprovalsAreDecided>::default(),
        Box::<complete_is_kept::CompleteIsKept>::default(),
        Box::<log_time_is_true::LogTimeIsTrue>::default(),
        Box::<nodes_return::NodesReturn>::default(),
        Box::<records_are_unique::RecordsAreUnique>::default(),
        Box::<instances_match_desires::InstancesMatchDesires>::default(),
        Box::<capacity_is_kept::CapacityIsKept>::default(),
        Box::<instances_are_spread::InstancesAreSpread>::default(),
        Box::<records_change_legally::RecordsChangeLegally>::default(),
        Box::<last_copies_are_kept::LastCopiesAreKept>::default(),
        Box::<domains_follow_log_time::DomainsFollowLogTime>::default(),
        Box::<crashes_back_off::CrashesBackOff>::default(),
        Box::<units_start_claimed::UnitsStartClaimed>::default(),
        Box::<cells_report_truly::CellsReportTruly>::default(),
        Box::<wishes_are_done_once::WishesAreDoneOnce>::default(),
        Box::<heard_cells_count::HeardCellsCount>::default(),
        Box::<events_in_order::EventsInOrder>::default(),
        Box::<no_event_is_missed::NoEventIsMissed>::default(),
        Box::<cursors_are_honoured::CursorsAreHonoured>::default(),
        Box::<streams_begin_exactly::StreamsBeginExactly>::default(),
        Box::<streams_begin_now::StreamsBeginNow>::default(),
        Box::<events_are_true::EventsAreTrue>::default(),
        Box::<events_arrive::EventsArrive>::default(),
        Box::<requests_keep_their_specs::RequestsKeepTheirSpecs>::default(),
        Box::<what_is_kept_stays::WhatIsKeptStays>::default(),
        Box::<trimmed_leave_nothing::TrimmedLeaveNothing>::default(),
    ]
}
