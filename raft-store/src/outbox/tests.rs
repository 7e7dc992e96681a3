use std::sync::Arc;

use capstan_model::{
    apply::{apply, apply_blank},
    command::{Condition, Entry, NodeJoined},
    ids::{ClusterId, DiskId, NodeId},
    reply::Answer,
    time::Timestamp,
};
use tokio::task::JoinHandle;

use super::*;

const ME: Incarnation = Incarnation { node: NodeId(1), boot: 1, nonce: 9 };
const DONE: Reply = Ok(Answer::Done);

fn outbox() -> Arc<Outbox> {
    Arc::new(Outbox::new(ME))
}

/// A command that needs a session, of about so many bytes.
fn put(bytes: usize) -> Command {
    let name = "a".parse().expect("a valid name");
    Command::PutVariable { name, value: vec![b'v'; bytes].into(), condition: Condition::Any }
}

/// A command with a natural key.
fn keyed() -> Command {
    Command::FoundCluster { cluster: ClusterId(7) }
}

/// Proposes in a task of its own and lets it queue.
async fn propose(
    outbox: &Arc<Outbox>,
    command: Command,
    lane: Lane,
) -> JoinHandle<Result<Committed, ProposeError>> {
    let outbox = Arc::clone(outbox);
    let options = match lane {
        Lane::Client => ProposeOptions::client(),
        Lane::Progress => ProposeOptions::progress(),
    };
    let proposing = tokio::spawn(async move { outbox.propose(command, options).await });
    tokio::task::yield_now().await;
    proposing
}

fn taken(outbox: &Outbox) -> Batch {
    outbox.take_batch().expect("something waits")
}

fn ids(batch: &Batch) -> Vec<CommandId> {
    batch.progress.iter().chain(&batch.client).map(|sealed| sealed.id).collect()
}

fn come_back(outbox: &Outbox, batch: Batch, error: &ForwardError) {
    outbox.came_back(&batch, error);
    outbox.put_back(batch);
}

fn unknown() -> ForwardError {
    ForwardError::Unknown { reason: "no answer".to_owned() }
}

const NOT_LEADER: ForwardError = ForwardError::NotLeader { leader: None };

#[tokio::test]
async fn a_reply_goes_to_the_command_of_its_number() {
    let outbox = outbox();
    let first = propose(&outbox, put(1), Lane::Client).await;
    let second = propose(&outbox, put(1), Lane::Client).await;
    let ids = ids(&taken(&outbox));
    let stranger = CommandId { incarnation: Incarnation { boot: 2, ..ME }, seq: ids[0].seq };
    let deleted: Reply = Ok(Answer::VariableDeleted);
    outbox.applied(3, vec![(stranger, DONE), (ids[1], deleted.clone())]);
    outbox.applied(4, vec![(ids[0], DONE)]);
    assert_eq!(first.await.unwrap(), Ok(Committed { reply: DONE, index: 4 }));
    assert_eq!(second.await.unwrap(), Ok(Committed { reply: deleted, index: 3 }));
}

#[tokio::test]
async fn progress_goes_before_clients() {
    let outbox = outbox();
    let _client = propose(&outbox, put(1), Lane::Client).await;
    let _progress = propose(&outbox, put(2), Lane::Progress).await;
    let batch = taken(&outbox);
    assert_eq!((batch.progress[0].id.seq, batch.client[0].id.seq), (2, 1));
    assert_eq!(outbox.take_batch(), None);
}

#[tokio::test]
async fn a_batch_keeps_the_bounds_of_an_entry() {
    let outbox = outbox();
    let mut proposing = vec![];
    for _ in 0..BATCH_COMMANDS_MAX + 1 {
        proposing.push(propose(&outbox, put(1), Lane::Client).await);
    }
    assert_eq!(taken(&outbox).client.len(), BATCH_COMMANDS_MAX);
    assert_eq!(taken(&outbox).client.len(), 1);
    for _ in 0..9 {
        proposing.push(propose(&outbox, put(120 * 1024), Lane::Client).await);
    }
    assert_eq!(taken(&outbox).client.len(), 8, "nine would be more than a mebibyte");
    assert_eq!(taken(&outbox).client.len(), 1);
}

#[tokio::test]
async fn a_large_command_travels_alone_and_has_its_turn() {
    let outbox = outbox();
    let mut proposing = vec![];
    for bytes in [1, LONE_COMMAND_BYTES + 1, 1] {
        proposing.push(propose(&outbox, put(bytes), Lane::Client).await);
    }
    proposing.push(propose(&outbox, keyed(), Lane::Progress).await);
    let carried = |batch: Batch| (batch.progress.len(), batch.client.iter().map(|c| c.id.seq).collect());
    assert_eq!(carried(taken(&outbox)), (1, vec![1]));
    proposing.push(propose(&outbox, keyed(), Lane::Progress).await);
    assert_eq!(carried(taken(&outbox)), (1, vec![]), "progress goes first");
    proposing.push(propose(&outbox, keyed(), Lane::Progress).await);
    assert_eq!(carried(taken(&outbox)), (0, vec![2]), "but not for ever");
    assert_eq!(carried(taken(&outbox)), (1, vec![3]));
}

#[tokio::test]
async fn the_window_refuses_clients_before_it_refuses_progress() {
    let outbox = outbox();
    let mut proposing = vec![];
    for _ in 0..CLIENT_WINDOW {
        proposing.push(propose(&outbox, put(1), Lane::Client).await);
    }
    assert_eq!(propose(&outbox, put(1), Lane::Client).await.await.unwrap(), Err(ProposeError::QueueFull));
    for _ in CLIENT_WINDOW..UNSETTLED_MAX {
        proposing.push(propose(&outbox, put(1), Lane::Progress).await);
    }
    assert_eq!(propose(&outbox, put(1), Lane::Progress).await.await.unwrap(), Err(ProposeError::QueueFull));
    // The oldest is answered: the window moves.
    outbox.applied(1, vec![(CommandId { incarnation: ME, seq: 1 }, DONE)]);
    let last = propose(&outbox, put(1), Lane::Progress).await;
    assert!(!last.is_finished());
}

#[tokio::test]
async fn reports_hold_up_no_window() {
    let outbox = outbox();
    let mut reports = vec![];
    for _ in 0..UNSETTLED_MAX {
        reports.push(propose(&outbox, keyed(), Lane::Progress).await);
    }
    let client = propose(&outbox, put(1), Lane::Client).await;
    assert!(!client.is_finished(), "a client is let in");
    outbox.applied(1, vec![(CommandId { incarnation: ME, seq: 1 }, DONE)]);
    assert!(client.await.unwrap().is_ok());
    assert_eq!(taken(&outbox).settled.below, 2, "what waits without a session unsettles nothing");
}

#[tokio::test]
async fn what_nobody_waits_for_is_settled_and_not_sent() {
    let outbox = outbox();
    let dropped = propose(&outbox, put(1), Lane::Client).await;
    let _kept = propose(&outbox, put(1), Lane::Client).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    let batch = taken(&outbox);
    assert_eq!(batch.client.iter().map(|sealed| sealed.id.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(batch.settled, Settled { incarnation: ME, below: 2 });
}

#[tokio::test]
async fn what_came_back_goes_out_again_in_its_place() {
    let outbox = outbox();
    let mut proposing = vec![];
    for lane in [Lane::Client, Lane::Progress, Lane::Client, Lane::Progress] {
        proposing.push(propose(&outbox, put(1), lane).await);
    }
    let first = taken(&outbox);
    proposing.push(propose(&outbox, put(1), Lane::Client).await);
    proposing.push(propose(&outbox, put(1), Lane::Progress).await);
    let mut expected = first.clone();
    come_back(&outbox, first, &NOT_LEADER);
    let again = taken(&outbox);
    expected.progress.extend(again.progress.last().cloned());
    expected.client.extend(again.client.last().cloned());
    assert_eq!(again, expected);
    assert_eq!(ids(&again).iter().map(|id| id.seq).collect::<Vec<_>>(), [2, 4, 6, 1, 3, 5]);
}

/// What a caller is told at its deadline, after its command has been through this.
async fn told_at_deadline(journey: impl Fn(&Outbox)) -> ProposeError {
    let outbox = outbox();
    let proposing = propose(&outbox, put(1), Lane::Client).await;
    journey(&outbox);
    proposing.await.unwrap().unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn nothing_happened_is_said_only_of_what_was_never_appended() {
    let send = |outbox: &Outbox, error: &ForwardError| come_back(outbox, taken(outbox), error);
    let is_unknown = |error: &ProposeError| matches!(error, ProposeError::OutcomeUnknown { .. });
    let never_sent = told_at_deadline(|_| {}).await;
    assert!(matches!(never_sent, ProposeError::NoLeader { .. }), "{never_sent:?}");
    let refused = told_at_deadline(|outbox| send(outbox, &NOT_LEADER)).await;
    assert!(matches!(refused, ProposeError::NoLeader { .. }), "{refused:?}");
    let on_its_way = told_at_deadline(|outbox| drop(taken(outbox))).await;
    assert!(is_unknown(&on_its_way), "{on_its_way:?}");
    let lost_once = told_at_deadline(|outbox| {
        send(outbox, &unknown());
        send(outbox, &NOT_LEADER);
    })
    .await;
    assert!(is_unknown(&lost_once), "no later word makes up for a lost one: {lost_once:?}");
    let closed = told_at_deadline(Outbox::close).await;
    assert_eq!(closed, ProposeError::ShuttingDown);
    let closed_on_its_way = told_at_deadline(|outbox| {
        taken(outbox);
        outbox.close();
    })
    .await;
    assert!(is_unknown(&closed_on_its_way), "{closed_on_its_way:?}");
    let closed_after_loss = told_at_deadline(|outbox| {
        send(outbox, &unknown());
        outbox.close();
    })
    .await;
    assert!(is_unknown(&closed_after_loss), "{closed_after_loss:?}");
}

#[tokio::test]
async fn a_closed_outbox_takes_nothing_more() {
    let outbox = outbox();
    let _waiting = propose(&outbox, put(1), Lane::Client).await;
    let batch = taken(&outbox);
    outbox.close();
    assert!(outbox.is_closed());
    assert_eq!(
        propose(&outbox, put(1), Lane::Progress).await.await.unwrap(),
        Err(ProposeError::ShuttingDown)
    );
    come_back(&outbox, batch, &NOT_LEADER);
    assert_eq!(outbox.take_batch(), None);
}

#[tokio::test]
async fn an_installed_snapshot_answers_what_it_holds_and_repeats_what_it_cannot_tell() {
    let outbox = outbox();
    let applied = propose(&outbox, put(1), Lane::Client).await;
    let not_yet = propose(&outbox, put(1), Lane::Client).await;
    let report = propose(&outbox, keyed(), Lane::Progress).await;
    let batch = taken(&outbox);
    let unsent_report = propose(&outbox, keyed(), Lane::Progress).await;
    // Elsewhere the report and the first command were applied, and this node gets only the outcome.
    let mut state = State::default();
    let joined = NodeJoined {
        incarnation: ME,
        disk: DiskId(1),
        peer_address: "127.0.0.1:1".into(),
        http_address: "127.0.0.1:2".into(),
        slots: 1,
        job_types: vec![],
    };
    let id = CommandId { incarnation: ME, seq: 0 };
    let joined = Sealed::new(id, None, Command::NodeJoined(joined)).unwrap();
    let commands = vec![joined, batch.progress[0].clone(), batch.client[0].clone()];
    apply(&mut state, 4, &Entry::V1 { time: Timestamp(1), settled: vec![], commands });
    apply_blank(&mut state, 5, 1);
    outbox.installed(&state);
    assert_eq!(applied.await.unwrap().unwrap().index, 5);
    assert!(!not_yet.is_finished() && !report.is_finished());
    let again = taken(&outbox);
    assert_eq!(again.progress.len(), 2, "the report goes out again, and the one that had not left once");
    assert!(again.progress.contains(&batch.progress[0]));
    drop(unsent_report);
}

#[tokio::test]
async fn a_full_leader_refuses_clients_only_when_nothing_of_them_can_have_been_appended() {
    let outbox = outbox();
    let lost = propose(&outbox, put(1), Lane::Client).await;
    come_back(&outbox, taken(&outbox), &unknown());
    let fresh = propose(&outbox, put(1), Lane::Client).await;
    let report = propose(&outbox, keyed(), Lane::Progress).await;
    let mut batch = taken(&outbox);
    let progress = outbox.refuse_client(&mut batch, &ProposeError::DiskNearlyFull);
    assert_eq!(fresh.await.unwrap(), Err(ProposeError::DiskNearlyFull));
    assert!(!lost.is_finished() && !report.is_finished());
    assert_eq!((progress.progress.len(), progress.client.len()), (1, 0));
    assert_eq!((batch.progress.len(), batch.client.len()), (0, 1), "what was lost once goes out again");
}
