//! Parts of a directory, or all of it, come from an older copy or from another node.
//!
//! A directory cannot know by itself that all of it is old. Its boot count says so to others, who refuse it by that
//! (`admission.rs`), as they refuse another disk under a node's id.

use std::path::Path;

use capstan_model::ids::{DiskId, NodeId};

use super::{
    corruption::{Outcome, Template},
    harness::{Directory, NODE, Reasons},
};
use crate::storage::{OpenError, Opening, open};

/// Puts a part of `from` in the place of the same part of `to`.
fn replace(part: &str, from: &Path, to: &Path) {
    let target = to.join(part);
    if target.is_dir() {
        std::fs::remove_dir_all(&target).unwrap();
        std::fs::create_dir(&target).unwrap();
        super::harness::copy_folder(&from.join(part), &target);
    } else {
        std::fs::copy(from.join(part), target).unwrap();
    }
}

#[tokio::test]
async fn an_older_log_is_refused() {
    let template = Template::new().await;
    let directory = template.new.copy();
    replace("log", template.old.path(), directory.path());
    let refused = directory.try_open().await.err();
    assert!(matches!(refused, Some(OpenError::LogLost { last: Some(6), flushed: 12 })), "{refused:?}");
}

#[tokio::test]
async fn an_older_state_is_brought_to_the_newest_snapshot_and_has_the_log_behind_it() {
    let template = Template::new().await;
    let directory = template.new.copy();
    replace("state", template.old.path(), directory.path());
    let mut opened = directory.open().await;
    assert_eq!(opened.machine.applied().map(|id| id.index()), Some(10));
    assert_eq!(template.judge(&mut opened).await, Ok(Outcome::Shorter), "the rest is in the log");
}

#[tokio::test]
async fn older_snapshots_leave_state_and_log_as_they_are() {
    let template = Template::new().await;
    let directory = template.new.copy();
    replace("snapshots", template.old.path(), directory.path());
    let mut opened = directory.open().await;
    assert_eq!(opened.machine.applied(), template.expected.applied);
    assert!(template.judge(&mut opened).await.is_ok());
}

#[tokio::test]
async fn an_older_directory_says_so_by_its_boot_count() {
    let template = Template::new().await;
    let mixed = template.new.copy();
    replace("identity", template.old.path(), mixed.path());
    let newest = template.new.open().await.store.identity().get();
    for directory in [mixed, template.old] {
        let restored = directory.open().await.store.identity().get();
        assert_eq!((restored.node, restored.disk), (newest.node, newest.disk));
        assert!(restored.boot < newest.boot, "{restored:?} would be taken for a later life than {newest:?}");
    }
}

#[tokio::test]
async fn directories_that_were_swapped_are_refused_by_both_nodes() {
    let (mine, theirs) = (Directory::new(), Directory::new());
    let other = NodeId(2);
    let opening =
        |node, disk| Opening { node, new_disk: DiskId(disk), fatal: std::sync::Arc::new(Reasons::default()) };
    drop(open(mine.disk(), opening(NODE, 1)).await.unwrap());
    drop(open(theirs.disk(), opening(other, 2)).await.unwrap());
    for (directory, node, owner) in [(&theirs, NODE, other), (&mine, other, NODE)] {
        let refused = open(directory.disk(), opening(node, 3)).await.err();
        assert!(
            matches!(refused, Some(OpenError::OtherNode { found, wanted }) if (found, wanted) == (owner, node)),
            "{refused:?}"
        );
    }
}
