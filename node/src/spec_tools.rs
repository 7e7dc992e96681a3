//! What `capstan spec` needs of a node, without a node: its way of reading specs and of creating jobs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use capstan_api::ports::JobTypes as _;
use capstan_cli::ports::{JobFactory, SpecFile, SpecTools};
use capstan_model::{
    ids::{Incarnation, NodeId},
    spec::JobSignature,
    workflow::graph::{CreateCall, Created},
};
use futures::future::{BoxFuture, FutureExt};

use crate::{
    executor::{Executor, host::HostExecutor},
    guardian::Guardian,
    jobs::{JobTypes, plugin},
    specs_dir,
};

/// The life under which plugins are asked on behalf of a command; no node ever has this one.
const NO_LIFE: Incarnation = Incarnation { node: NodeId(0), boot: 0, nonce: 0 };

/// Reads specs and creates jobs as a node does.
#[derive(Debug, Clone, Copy)]
pub struct NodeTools;

impl SpecTools for NodeTools {
    fn read(&self, directory: &Path) -> Result<Vec<SpecFile>, String> {
        specs_dir::read(directory).map_err(|error| error.to_string())
    }

    fn job_types(&self, directory: Option<&Path>) -> BoxFuture<'static, Result<Box<dyn JobFactory>, String>> {
        let directory = directory.map(Path::to_owned);
        async move {
            let Some(directory) = directory else {
                return Ok(
                    Box::new(Factory { types: JobTypes::built_in(), _plugins: None }) as Box<dyn JobFactory>
                );
            };
            let mut types = JobTypes::built_in();
            let workshop = Workshop::open().await.map_err(|error| format!("cannot run plugins: {error}"))?;
            let executor = Arc::clone(&workshop.executor) as Arc<dyn Executor>;
            plugin::discover(&directory, &executor, &mut types).map_err(|error| error.to_string())?;
            Ok(Box::new(Factory { types, _plugins: Some(workshop) }) as _)
        }
        .boxed()
    }
}

/// Job types, and what runs those that are plugins.
struct Factory {
    types: JobTypes,
    _plugins: Option<Workshop>,
}

impl JobFactory for Factory {
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        self.types.create(calls)
    }

    fn signatures(&self) -> BoxFuture<'static, BTreeMap<Arc<str>, JobSignature>> {
        self.types.signatures()
    }
}

/// A guardian of its own in a folder that goes away with it.
struct Workshop {
    executor: Arc<HostExecutor>,
    folder: PathBuf,
}

impl Workshop {
    async fn open() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("capstan-spec-{}", process::id()));
        fs::create_dir(&folder)?;
        let executor = Arc::new(HostExecutor::connect(Guardian::launch(&folder)?)?);
        executor.begin(NO_LIFE).await.map_err(io::Error::other)?;
        Ok(Self { executor, folder })
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What is left is a few empty folders below the system's own place for them.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
