//! What the client commands need from the program they are part of.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use capstan_model::{
    spec::JobSignature,
    workflow::graph::{CreateCall, Created},
};
use futures::future::BoxFuture;

/// Reads spec files and creates jobs as a node does.
pub trait SpecTools: Send + Sync {
    /// Reads every spec file below a directory: its path within it, and its text or why there is none.
    ///
    /// # Errors
    /// The directory or a folder in it cannot be read, in a sentence.
    fn read(&self, directory: &Path) -> Result<Vec<SpecFile>, String>;

    /// The job types of a node with this jobs directory, or of one without plugins.
    ///
    /// # Errors
    /// The directory cannot be used, in a sentence.
    fn job_types(&self, directory: Option<&Path>) -> BoxFuture<'static, Result<Box<dyn JobFactory>, String>>;
}

/// A spec file: its path within the directory, and its text or why there is none.
pub type SpecFile = (String, Result<String, String>);

/// Creates jobs.
pub trait JobFactory: Send + Sync {
    /// Answers each call, in any order.
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>>;

    /// What each type says of itself.
    fn signatures(&self) -> BoxFuture<'static, BTreeMap<Arc<str>, JobSignature>>;
}
