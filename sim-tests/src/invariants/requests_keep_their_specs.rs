//! A request is built from the specs that are in use as it is stored, and from nothing else.
//!
//! Each version of the specs names nodes of its own in a marked request, so a graph tells of which version it is.

use std::collections::BTreeMap;

use capstan_model::{
    event::Event,
    sometimes,
    spec_store::{SpecStore, SpecsId},
    workflow::{command::CreateRequest, event::WorkflowEvent},
};

use super::Invariant;
use crate::{oracle::Observation, specs_load::marked};

/// Of which specs requests are, as the log says.
#[derive(Default)]
pub(crate) struct RequestsKeepTheirSpecs {
    current: Option<SpecsId>,
    requests: BTreeMap<String, Option<SpecsId>>,
}

impl Invariant for RequestsKeepTheirSpecs {
    fn name(&self) -> &'static str {
        "a request is built from the specs that are in use as it is stored, and its client is told which"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                committed.events.iter().try_for_each(|event| self.heed(event, &committed.after.specs))
            }
            Observation::StartTold { request, specs } => {
                let told = specs.map(str::to_owned);
                let stored = self.requests.get(*request).map(|specs| specs.map(|id| id.to_string()));
                if stored.as_ref() == Some(&told) {
                    return Ok(());
                }
                Err(format!("request {request} is stored with {stored:?}, and told was {told:?}"))
            }
            _ => Ok(()),
        }
    }
}

impl RequestsKeepTheirSpecs {
    /// Takes the next event; `specs` are those after its entry.
    fn heed(&mut self, event: &Event, specs: &SpecStore) -> Result<(), String> {
        match event {
            Event::SpecsPushed { version, .. } => self.current = Some(version.id),
            Event::Workflow(WorkflowEvent::RequestCreated { request, terms, .. }) => {
                self.requests.insert(request.id.to_string(), request.specs);
                // What goes on with another one has that one's graph.
                if terms.retry_of.is_none() {
                    return self.is_of_current(request, specs);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is_of_current(&self, request: &CreateRequest, specs: &SpecStore) -> Result<(), String> {
        let current = self.current;
        let Some(id) = request.specs else {
            sometimes!("a request is built from a directory when the cluster has specs", current.is_some());
            return Ok(());
        };
        if current != Some(id) {
            return Err(format!("{current:?} is in use, and stored is {request:?}"));
        }
        let version =
            specs.version(id).ok_or(format!("{id} is gone, of which this is built: {request:?}"))?;
        let built = marked::built(&request.chain);
        let named = marked::named(specs.files(version).map(|(path, text)| (&**path, &**text)));
        if *request.request_type == *marked::MARKED && built != named {
            return Err(format!("request {} of {id} has the nodes {built:?}, not {named:?}", request.id));
        }
        Ok(())
    }
}
