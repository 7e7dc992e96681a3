//! What a step has from the steps around it.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::instance::{
    driver::{Driver, Keep, Stream},
    output::HELD_BYTES_MAX,
};

/// Where a step's output goes, and who ends it early.
#[derive(Debug, Clone)]
pub struct Scope {
    source: Arc<str>,
    held: Option<Held>,
    cancel: CancellationToken,
}

/// Output kept back until it is known whether anybody wants it.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Vec<u8>>>);

impl Scope {
    /// For steps whose output goes to that of the instance, under the name of `source`.
    pub fn new(source: Arc<str>, cancel: CancellationToken) -> Self {
        Self { source, held: None, cancel }
    }

    /// The same, with the output kept back in `held`.
    #[must_use]
    pub fn holding(self, held: Held) -> Self {
        Self { held: Some(held), ..self }
    }

    /// The same with another source, unless `source` is empty.
    #[must_use]
    pub fn sourced(&self, source: &Arc<str>) -> Self {
        let mut scope = self.clone();
        if !source.is_empty() {
            scope.source = Arc::clone(source);
        }
        scope
    }

    /// The same, to be cancelled by itself too.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { cancel: self.cancel.child_token(), ..self.clone() }
    }

    /// Ends all steps of this scope.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether the steps are to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Waits until the steps are to end.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Where processes write to.
    pub fn keep(&self) -> Keep {
        match self.held {
            None => Keep::Output(Arc::clone(&self.source)),
            Some(_) => Keep::Held,
        }
    }

    /// Adds what a process wrote that was held.
    pub(super) fn hold(&self, bytes: &[u8]) {
        if let Some(held) = &self.held {
            held.add(bytes);
        }
    }

    /// Adds lines of the cell's own to the output, each with its end.
    pub fn say(&self, driver: &dyn Driver, stream: Stream, text: &str) {
        match &self.held {
            None => driver.say(&self.source, stream, text),
            Some(held) => held.add(text.as_bytes()),
        }
    }
}

impl Held {
    /// What was kept back, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no holder panics")).into_owned()
    }

    /// The end counts when there is too much.
    fn add(&self, bytes: &[u8]) {
        let mut held = self.0.lock().expect("no holder panics");
        held.extend_from_slice(bytes);
        let excess = held.len().saturating_sub(HELD_BYTES_MAX);
        held.drain(..excess);
    }
}
