//! Planted bugs: a simulator is worth what it catches.
//!
//! Each is a mistake that a programmer could make, at one place: `capstan_model::mutant!("name")`, in the product or in a seam of the
//! simulator that stands for something real (a disk, a guardian, a client). That is always false unless built for the simulator,
//! and there it is true on threads on which the bug is planted; so one build serves all.

pub mod hunt;

use std::fmt;

use clap::ValueEnum;
use rand::{SeedableRng, rngs::SmallRng, seq::index};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutant {
    /// What the place in the code calls it.
    pub name: &'static str,
    /// What it breaks.
    pub area: Area,
    /// What is wrong, as a sentence.
    pub wrong: &'static str,
}

/// What a bug breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// What survives a crash.
    Storage,
    /// Snapshots, and their installation.
    Snapshot,
    /// How Raft is used, and who leads.
    Raft,
    /// Commands are executed once.
    Session,
    /// Calls are executed once.
    Idempotency,
    /// What reads show.
    Read,
    /// Conditions and revisions.
    Revision,
    /// What clients are told.
    Answer,
    /// Every node applies alike.
    Determinism,
    /// One clock for the cluster.
    LogTime,
    /// Who may run a job.
    Fencing,
    /// How long a node may run jobs.
    Lease,
    /// Who is declared lost, and who is given what it had.
    Takeover,
    /// Nodes that are drained, or leave.
    Drain,
    /// How many jobs run at a time.
    Slot,
    /// The order of jobs.
    Order,
    /// Stopped requests.
    Stop,
    /// Jobs that are tried again.
    Retry,
    /// Sequences that are tried again.
    Sequence,
    /// What is left of requests that have ended.
    Archive,
    /// Where instances and tasks are placed.
    Placement,
    /// An instance, from its start to its end.
    Instance,
    /// What becomes of indices without anybody asking.
    Convergence,
    /// What owners of LRPs ask for.
    Wish,
    /// Tasks.
    Task,
    /// Streams of events.
    Event,
    /// Tries and requests that are out of time.
    Timeout,
    /// Jobs that wait for somebody to decide.
    Approval,
    /// Requests that are paused.
    Pause,
    /// Requests that go on with a finished one.
    Rerun,
    /// The request specs of the cluster.
    Specs,
    /// Who may do what.
    Auth,
    /// Which finished requests are kept, and lists of them.
    Retention,
}

/// All of them, by what they break: the name, and what is wrong.
#[rustfmt::skip]
const TABLE: &[(Area, &[(&str, &str)])] = &[
    (Area::Storage, &[
        ("sync-reported-early", "The disk reports a sync at once; the data becomes durable a little later."),
        ("sync-never-durable", "The disk reports syncs and makes nothing durable."),
        ("files-never-durable", "Syncs of files and folders do nothing."),
        ("flusher-answers-late-syncs", "Who asks for a sync while one is under way is answered with it."),
        ("sync-error-passed-over", "A sync that failed once is taken for a passing trouble."),
        ("vote-not-synced", "A vote is given before it is durable."),
        ("purged-not-stored", "How far the log was purged is forgotten at a restart."),
        ("truncated-in-memory-only", "Entries that another leader has replaced are there again after a restart."),
        ("flushed-noted-at-write", "Entries are noted as durable when they are written."),
        ("flushed-not-lowered", "Entries that were truncated are still noted as durable."),
        ("position-written-apart", "Rows are written in one batch, and how far they go in another."),
        ("membership-not-stored", "The membership is not written with the rows."),
        ("boot-count-not-stored", "The boot count is raised in memory only."),
        ("log-behind-state-kept", "A log that does not reach the state is gone on with."),
        ("job-rows-left-behind", "The rows of a request's jobs stay when it ends."),
    ]),
    (Area::Snapshot, &[
        ("snapshot-not-synced", "A snapshot is offered before it is durable."),
        ("snapshot-not-compared", "What has arrived of a snapshot is not compared with its manifest."),
        ("oldest-snapshot-taken", "Of several snapshots the oldest is taken for the newest."),
        ("newer-snapshot-not-installed", "A start goes on from the state although a snapshot goes further."),
        ("install-not-flushed", "The live database is switched to one that is not durable."),
    ]),
    (Area::Raft, &[
        ("leader-restored", "A leader resumes its term after a restart without a vote."),
        ("led-before-applied", "A leader acts before it has applied its own first entry."),
    ]),
    (Area::Session, &[
        ("settled-too-early", "A proposer declares commands settled whose replies it still waits for."),
        ("session-repeats-executed", "A command that comes again is executed again."),
        ("settled-taken-back", "An overtaken word of what is settled opens the window again."),
        ("session-replies-not-stored", "The replies a session remembers are not written."),
        ("session-newest-not-loaded", "After a restart a session finds none of its replies."),
    ]),
    (Area::Idempotency, &[
        ("idempotency-key-lost", "`Idempotency-Key` is lost on the way to the node."),
        ("refusal-not-remembered", "Refusals are not remembered under their key, so a repeat may succeed."),
        ("idempotency-expired-early", "Keys are forgotten after as many seconds as they should be remembered hours."),
        ("idempotency-not-stored", "Keys are remembered in memory only."),
        ("body-not-compared", "A key that is used again with another body gets the first answer."),
        ("key-scope-without-path", "Keys of different paths are taken for one."),
    ]),
    (Area::Read, &[
        ("read-index-skipped", "A read index is answered without asking a quorum."),
        ("late-read-joins-round", "A read that comes during a round is answered with it."),
        ("read-index-not-awaited", "A read does not wait until its index is applied here."),
        ("at-least-ignored", "A stale read does not wait for the index it asks for."),
    ]),
    (Area::Revision, &[
        ("if-revision-ignored", "A write is done whatever revision it asks for."),
        ("revision-reused", "A variable's revisions count its own writes, and start anew when it is made again."),
        ("revision-not-loaded", "Revisions start anew when a node does."),
    ]),
    (Area::Answer, &[
        ("unknown-answered-503", "An unknown outcome is answered as if nothing had happened."),
        ("sent-taken-for-waiting", "What was sent and has no answer is taken for not sent."),
        ("earlier-unknown-forgotten", "A refusal makes up for an earlier send without an answer."),
        ("dropped-entry-taken-for-refused", "An entry whose outcome Raft does not tell is taken for refused."),
        ("stop-of-ended-refused", "The stop of a request that has ended is refused."),
        ("answered-own-id", "A repeated creation is answered with the id drawn for the repeat."),
    ]),
    (Area::Determinism, &[
        ("failing-sequences-not-rebuilt", "After a restart it is forgotten which sequences are to be reset."),
    ]),
    (Area::LogTime, &[
        ("stamped-by-wall-clock", "Entries are stamped with the leader's wall clock."),
        ("median-without-majority", "Log time jumps to the median of however few clocks."),
    ]),
    (Area::Fencing, &[
        ("stale-report-accepted", "A report is accepted whatever try, epoch and owner it names."),
        ("stale-try-accepted", "A report is accepted whatever try it names."),
        ("epoch-kept", "Whoever takes a request over goes on under the epoch it had."),
        ("leftovers-kept", "What a node started lives on when the node is gone, and its next life begins beside it."),
        ("reported-before-begun", "A node reports before what its earlier life left running is dead."),
    ]),
    (Area::Lease, &[
        ("lease-ignored", "A guardian lets processes run past the end of their node's lease."),
        ("lease-unlimited-at-start", "A node that was never acknowledged runs jobs without a lease."),
        ("lease-renewed-unacknowledged", "A node goes on as if its heartbeats were acknowledged when they are not."),
        ("acknowledged-without-quorum", "A leader acknowledges heartbeats while it hears no quorum."),
        ("given-up-acknowledged", "A leader goes on acknowledging a life that it is about to declare lost."),
        ("lost-life-acknowledged", "A leader acknowledges a life that was declared lost."),
        ("lease-end-taken-for-stop", "A process that its lease has ended counts as one that was told to stop."),
    ]),
    (Area::Takeover, &[
        ("stale-judgement-accepted", "A leader of an earlier term may still declare nodes lost."),
        ("lost-too-soon", "A node is declared lost after half the silence."),
        ("new-leader-judges-at-once", "A new leader takes whom it has not heard yet for silent all along."),
        ("deafness-ignored", "A leader that could hear nobody takes that for their silence."),
        ("lost-tries-not-ended", "The tries of a lost node run on under the next owner."),
        ("lost-try-run-again", "Every try that is lost is run again, without counting."),
        ("suspended-forgotten", "A request that no node could run is not looked at again."),
    ]),
    (Area::Drain, &[
        ("drained-node-starts", "A node that is drained starts what becomes runnable."),
        ("handed-over-while-running", "A drained node's requests are given to others while their jobs run."),
        ("undrain-resumes-nothing", "What waited while a node was drained goes on waiting."),
        ("drain-forgotten-at-restart", "A node that is drained is not when it starts again."),
        ("leave-kept-over-restart", "A node that has left is given nothing in its next life."),
    ]),
    (Area::Slot, &[
        ("slots-off-by-one", "One job more runs at a time than a node has slots."),
        ("slot-not-handed-out", "A slot that becomes free is given to no job that waits."),
        ("parallel-off-by-one", "One expansion more runs at a time than the spec says."),
        ("failed-expansion-ignored", "Further expansions begin when one has failed."),
    ]),
    (Area::Order, &[
        ("any-parent-suffices", "A job starts as soon as one of its parents is complete."),
        ("parent-data-lost", "A job is not given what its parents hand on."),
        ("missed-ends-ignored", "Ends of processes that an actor was too slow to hear are forgotten."),
        ("refused-start-not-repeated", "A start that was refused for a passing reason is not tried again."),
        ("report-sent-once", "A report that finds no leader is not sent again."),
    ]),
    (Area::Stop, &[
        ("stop-checked-at-enqueue", "A stop takes back what waits; what becomes runnable later is started."),
        ("stop-forgets-retries", "A stop does not take back what waits to be tried again."),
        ("stop-not-passed-on", "What runs is not told of a stop."),
        ("stop-not-checked-at-start", "A process is started although its request was stopped meanwhile."),
        ("stop-hides-failure", "A request that was stopped counts as stopped although a job had failed."),
    ]),
    (Area::Retry, &[
        ("retry-off-by-one", "A job is tried once more than its spec says."),
        ("retry-started-before-commit", "The process of a retry is started before the retry is committed."),
        ("retry-wait-zero", "A retry does not wait."),
        ("wait-does-not-grow", "Every wait between the tries of a job is as long as the first."),
        ("retries-not-renewed", "A sequence's next try leaves its jobs the retries that the last one had left."),
    ]),
    (Area::Sequence, &[
        ("sequence-retry-off-by-one", "A sequence is tried once more than its spec says."),
        ("inner-sequence-not-reset", "A sequence's next try leaves the sequences inside the retries that the last one had left."),
        ("failing-sequence-starts", "Jobs of a sequence that is to be reset are still started."),
    ]),
    (Area::Archive, &[
        ("archive-index-missed", "A request that has ended is missing in one of the lists."),
        ("stopped-try-not-logged", "A try that was stopped has no log."),
    ]),
    (Area::Placement, &[
        ("place-not-checked", "A placement is done whatever room its cell has."),
        ("stale-placement-accepted", "A placement is done whatever has become of the index since the auction."),
        ("instances-not-spread", "An auction does not look where the other instances of an LRP are."),
        ("auction-ignores-memory", "An auction does not look how much memory a cell has left."),
    ]),
    (Area::Instance, &[
        ("backoff-off-by-one", "An instance is started again at once three times."),
        ("backoff-not-doubled", "Every wait after a crash is as long as the first."),
        ("crash-forgotten-by-any-run", "An instance that ran, however briefly, begins to count its crashes anew."),
        ("restart-before-its-time", "An instance is started again 20 s before its wait is over."),
        ("stale-instance-accepted", "A report is accepted whatever instance it names."),
        ("cell-not-told-to-stop", "A cell does not end what it is asked to stop."),
        ("unwished-goes-on", "A cell does not end what it is not recorded to run."),
        ("cell-reports-once", "A report of a cell that finds no leader is not sent again."),
    ]),
    (Area::Convergence, &[
        ("lost-cells-kept", "What is on a lost cell is not replaced."),
        ("heard-cell-stays-silent", "A cell that is heard again still counts as silent."),
        ("drained-cell-takes-more", "A cell whose node is drained is not evacuated."),
        ("evacuated-before-another-runs", "An instance that is evacuated is ended before another one runs."),
        ("evacuating-never-reaped", "An instance that was evacuated stays when another one runs."),
        ("index-not-begun-anew", "An index does not begin anew when its instance is gone."),
        ("surplus-not-retired", "Indices beyond those that are desired are left."),
        ("first-missing-not-created", "Of indices that are added the first is not created."),
    ]),
    (Area::Wish, &[
        ("lrp-tag-ignored", "A change of an LRP is done whatever tag it asks for."),
        ("domain-outlives-its-time", "A domain stays fresh when its time is over."),
        ("domain-fresh-for-minutes", "A domain is fresh for as many minutes as it should be seconds."),
    ]),
    (Area::Task, &[
        ("stale-task-report-accepted", "The report of a task is accepted whatever cell it comes from."),
        ("lost-tasks-kept", "A task whose cell is lost goes on as if it were done there."),
    ]),
    (Area::Event, &[
        ("event-cursor-inclusive", "A stream that goes on repeats the event that was named."),
        ("event-ordinal-ignored", "A stream that goes on in the middle of an entry leaves out the rest of it."),
        ("event-floor-ignored", "A stream whose next events are kept no more goes on with those that are."),
        ("event-above-floor-removed", "One event more is removed than the floor says."),
        ("event-ordinals-count-private", "What is not public takes a number among the events of an entry."),
        ("event-wakeup-lost", "A reader that asks for more sleeps until the next entry, whatever there is to read."),
        ("event-filter-skips-to-end", "A stream that reads nothing it is to show goes on with what happens next."),
        ("event-page-skips-one", "Between two pages of rows one is left out."),
        ("event-not-awaited", "A node that has not seen the event that was named begins at its own end."),
        ("stream-begins-stale", "A stream that is new begins at whatever its node has."),
        ("events-lost-at-install", "A snapshot is installed without the events."),
    ]),
    (Area::Timeout, &[
        ("time-without-owner-counts", "The time in which no node owned a request counts against its timeout."),
        ("request-timeouts-not-noticed", "A request that is out of time goes on."),
        ("overdue-try-may-complete", "A try that was out of time is complete when it says so."),
        ("overdue-not-passed-on", "What runs is not told that it is out of time."),
        ("timed-out-counts-as-stopped", "A request that was out of time counts as stopped by a user."),
    ]),
    (Area::Approval, &[
        ("approval-lost-with-owner", "An approval ends with the node that owned its request."),
        ("rejected-is-asked-again", "A rejected approval is tried again while it has retries."),
        ("sequence-of-rejected-tried-again", "A sequence is tried again although an approval in it was rejected."),
        ("decision-not-kept", "Who decided is not kept."),
    ]),
    (Area::Pause, &[
        ("pause-checked-nowhere", "What becomes runnable is started although its request is paused."),
        ("paused-waits-in-line", "What waits for a slot goes on waiting in line when its request is paused."),
        ("pause-ends-request", "A paused request ends as soon as nothing of it runs."),
        ("pause-not-stored", "Pauses and rejections are kept in memory only."),
        ("resume-starts-nothing", "What became runnable during a pause is not started when it ends."),
    ]),
    (Area::Rerun, &[
        ("kept-job-runs-again", "What was complete runs again in the request that goes on."),
        ("kept-data-lost", "A request that goes on with another begins without its job data."),
        ("kept-expansions-forgotten", "A request that goes on with another counts its expansions anew."),
        ("retried-by-missed", "A finished request does not know what goes on with it."),
    ]),
    (Area::Specs, &[
        ("specs-cas-ignored", "A push replaces whatever specs are current."),
        ("stale-build-accepted", "A request is stored whatever specs it was built from."),
        ("revert-keeps-files", "A revert names the older content and keeps the files as they are."),
        ("specs-in-use-not-compared", "Requests are built from the specs that a node has loaded first, and named after the current ones."),
        ("specs-listed-stale", "The list of versions is whatever its node has."),
    ]),
    (Area::Auth, &[
        ("author-not-asked-in-apply", "What its caller may do is asked where a call is read, and not again when its command is applied."),
        ("answered-before-denied", "A repeat under a key is answered whoever asks by then."),
        ("expired-token-counts", "A token counts until it is dropped, whatever its end is."),
        ("policy-change-takes-all", "A change of the policy that says nothing of strictness ends it."),
        ("secret-not-compared", "The id of a token lets in, whatever secret comes with it."),
        ("acl-not-carried", "A command does not carry the ACL of its request."),
    ]),
    (Area::Retention, &[
        ("one-too-many-trimmed", "One request less is kept than is to be."),
        ("trimmed-index-left", "A request that is trimmed stays in one of the indexes."),
        ("trimmed-number-left", "A request that is trimmed keeps its place in the order of ends."),
        ("list-cursor-inclusive", "A page begins with the request that the one before it ended with."),
    ]),
];

/// Those that a hundred seeds miss, as a rule, because little depends on them that nothing else stands behind: `README.md` says what. They are
/// hunted with all others, and not drawn for a date.
const ELUSIVE: &[&str] = &[
    "flushed-not-lowered",
    "install-not-flushed",
    "late-read-joins-round",
    "dropped-entry-taken-for-refused",
    "lease-unlimited-at-start",
    "acknowledged-without-quorum",
    "given-up-acknowledged",
    "lost-life-acknowledged",
    "stale-judgement-accepted",
    "deafness-ignored",
    "stale-placement-accepted",
    "place-not-checked",
    "stale-task-report-accepted",
];

/// All of them, in the order of the table.
pub fn all() -> impl Iterator<Item = Mutant> {
    let rows = |(area, rows): &'static (Area, &'static [(&'static str, &'static str)])| {
        rows.iter().map(|(name, wrong)| Mutant { name, area: *area, wrong })
    };
    TABLE.iter().flat_map(rows)
}

/// The bug of this name.
///
/// # Errors
/// There is none; says which names are alike.
pub fn find(name: &str) -> Result<Mutant, String> {
    if let Some(found) = all().find(|mutant| mutant.name == name) {
        return Ok(found);
    }
    let words: Vec<&str> = name.split('-').filter(|word| word.len() > 2).collect();
    let is_alike = |mutant: &Mutant| words.iter().any(|word| mutant.name.contains(word));
    let alike: Vec<&str> = all().filter(is_alike).map(|mutant| mutant.name).collect();
    let hint = match alike.as_slice() {
        [] => String::new(),
        alike => format!(" (perhaps {})", alike.join(", ")),
    };
    Err(format!("no bug is called so{hint}; `sim mutants --list` names all"))
}

/// Plants a bug into every run on this thread from now on; `None` takes it out.
pub fn plant(mutant: Option<Mutant>) {
    capstan_model::mutants::plant(mutant.map(|mutant| mutant.name));
}

/// Some bugs of those that few seeds miss, drawn anew for each date; any text will do for one.
pub fn of_the_day(date: &str, count: usize) -> Vec<Mutant> {
    let all: Vec<Mutant> = all().filter(|mutant| !ELUSIVE.contains(&mutant.name)).collect();
    let mut rng = SmallRng::seed_from_u64(xxh3_64(date.as_bytes()));
    let mut picked = index::sample(&mut rng, all.len(), count.min(all.len())).into_vec();
    picked.sort_unstable();
    picked.into_iter().map(|place| all[place]).collect()
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_date_draws_some_and_always_the_same() {
        assert_eq!(of_the_day("2026-11-20", 5), of_the_day("2026-11-20", 5));
        let days = (1..=28).map(|day| format!("2026-02-{day:02}"));
        let drawn: BTreeSet<&str> =
            days.flat_map(|day| of_the_day(&day, 5)).map(|mutant| mutant.name).collect();
        assert!(drawn.len() > all().count() / 2, "the days of a month draw many");
        assert_eq!(
            of_the_day("2026-11-20", 1_000).len(),
            all().count() - ELUSIVE.len(),
            "each is in the table"
        );
    }

    #[test]
    fn names_are_unique_and_descriptions_are_sentences() {
        let names: BTreeSet<&str> = all().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), all().count());
        for mutant in all() {
            assert!(mutant.wrong.ends_with('.') && !mutant.wrong.contains(". "), "{}", mutant.wrong);
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_answered_with_those_like_it() {
        let refusal = find("lease-forgotten").expect_err("there is none");
        assert!(refusal.contains("lease-ignored") && !refusal.contains("retry-off-by-one"), "{refusal}");
        assert!(find("no").expect_err("there is none").starts_with("no bug is called so; "));
    }
}
