//! What the client commands need from the program they are part of.

use std::path::Path;

use capstan_model::{
    spec::{SpecError, Specs},
    workflow::graph::{CreateCall, Created},
};
use futures::future::BoxFuture;

/// Reads specs and creates jobs as a node does.
pub trait SpecTools: Send + Sync {
    /// Reads and checks every spec below a directory.
    ///
    /// # Errors
    /// A file cannot be read, or the specs are wrong.
    fn load(&self, directory: &Path) -> Result<Specs, LoadError>;

    /// The job types of a node with this jobs directory, or of one without plugins.
    ///
    /// # Errors
    /// The directory cannot be used, in a sentence.
    fn job_types(&self, directory: Option<&Path>) -> BoxFuture<'static, Result<Box<dyn JobFactory>, String>>;
}

/// Why there are no specs.
#[derive(Debug)]
pub enum LoadError {
    /// The directory or a file in it cannot be read, in a sentence.
    Unreadable(String),
    /// The specs are wrong; warnings are among the findings.
    Wrong(Vec<SpecError>),
}

/// Creates jobs.
pub trait JobFactory: Send + Sync {
    /// Answers each call, in any order.
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>>;
}
