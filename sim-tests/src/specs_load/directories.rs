//! What the nodes' own directories of request specs hold.

use std::{collections::BTreeMap, sync::Arc};

use capstan_model::{spec::Specs, spec_store::SpecFile};

use super::{SpecLoad, marked};
use crate::{net::Place, requests::specs};

/// The directory of each node.
#[derive(Clone)]
pub struct Directories(BTreeMap<Place, Directory>);

/// What one node's directory holds.
#[derive(Clone)]
pub(crate) struct Directory {
    /// What requests are built from as long as the cluster has no specs.
    pub(crate) specs: Arc<Specs>,
    /// What it gives to a cluster that has none; empty when it gives nothing.
    pub(crate) files: Arc<[SpecFile]>,
}

impl Directories {
    /// Without seeding all nodes have the same, and the cluster never has specs unless somebody pushes some; with it each has files of its own.
    ///
    /// # Panics
    /// The specs of the simulation are wrong.
    pub(crate) fn new(nodes: u64, specs_seed: u64, load: &SpecLoad) -> Self {
        let common = specs::load(specs_seed);
        let of = |node: Place| {
            if !load.is_seeded {
                return Directory { specs: Arc::clone(&common), files: Arc::default() };
            }
            let files = marked::files(specs_seed, &format!("node-{node}"));
            let texts = files.iter().map(|file| (&*file.path, &*file.text));
            let specs = Specs::load(texts).expect("the simulation's specs are right");
            Directory { specs: Arc::new(specs), files: files.into() }
        };
        Self((1..=nodes).map(|node| (node, of(node))).collect())
    }

    pub(crate) fn of(&self, node: Place) -> &Directory {
        &self.0[&node]
    }
}
