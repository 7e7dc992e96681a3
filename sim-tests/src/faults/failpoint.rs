//! The places of the product where a node can be struck dead.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// A place marked by `failpoint!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Failpoint(&'static str);

/// All of them, by kind: what each place names is what has not happened yet, or what has just happened.
const NAMES: &[&str] = &[
    "vote: not written",
    "vote: not durable",
    "vote: not answered",
    "append: not written",
    "append: not durable",
    "append: not reported",
    "append: reported",
    "truncation: not durable",
    "purge: not written",
    "purge: done",
    "apply: not written",
    "apply: not published",
    "apply: what happened to requests not published",
    "apply: not answered",
    "publish: nobody told",
    "snapshot: not named",
    "snapshot: name not durable",
    "snapshot: not removed",
    "snapshot: being sent",
    "snapshot: being received",
    "install: not adopted",
    "install: not switched to",
    "install: not live",
    "sequencer: entry stamped",
    "dispatcher: batch not sent",
    "election: won, nothing committed",
    "takeover: committed",
    "admission: committed",
    "try: claimed, not started",
    "try: started",
    "try: ended, not reported",
    "try: reported, not forgotten",
    "retry: committed",
    "actor: a sequence looks",
    "actor: a request looks",
    "actor: the owner looks",
    "actor: liveness looks",
    "instance: given, not started",
    "instance: ended, not reported",
    "auction: over, not proposed",
    "convergence: due, not proposed",
];

/// Those where a random kill hardly ever strikes and the most depends on what comes after.
const CRITICAL: &[&str] = &[
    "try: claimed, not started",
    "try: ended, not reported",
    "snapshot: being sent",
    "snapshot: being received",
    "purge: done",
    "apply: what happened to requests not published",
    "takeover: committed",
    "election: won, nothing committed",
    "instance: given, not started",
    "instance: ended, not reported",
    "auction: over, not proposed",
    "convergence: due, not proposed",
];

/// Those where a panic stops the node as a whole. Elsewhere what would notice it is not simulated.
const PANICKING: &[&str] = &[
    "apply: not written",
    "sequencer: entry stamped",
    "actor: a sequence looks",
    "actor: a request looks",
    "actor: the owner looks",
    "actor: liveness looks",
    "try: claimed, not started",
    "try: ended, not reported",
    "retry: committed",
    "takeover: committed",
    "instance: given, not started",
    "auction: over, not proposed",
    "convergence: due, not proposed",
];

impl Failpoint {
    /// Every place.
    pub(super) fn all() -> impl ExactSizeIterator<Item = Self> {
        NAMES.iter().copied().map(Self)
    }

    /// The places that are aimed at the most.
    pub(super) fn critical() -> impl ExactSizeIterator<Item = Self> {
        CRITICAL.iter().copied().map(Self)
    }

    /// The places where a panic must stop the node.
    pub(super) fn panicking() -> impl ExactSizeIterator<Item = Self> {
        PANICKING.iter().copied().map(Self)
    }

    /// Its name in the product, by which coverage counts it too.
    pub(crate) fn name(self) -> &'static str {
        self.0
    }
}

impl TryFrom<String> for Failpoint {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = NAMES.iter().copied().find(|known| *known == name);
        known.map(Self).ok_or_else(|| format!("there is no failpoint {name:?}"))
    }
}

impl<'de> Deserialize<'de> for Failpoint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_aimed_at_is_in_the_list_of_all() {
        for place in Failpoint::critical().chain(Failpoint::panicking()) {
            assert_eq!(Failpoint::try_from(place.name().to_owned()), Ok(place));
        }
        assert!(Failpoint::try_from("nowhere".to_owned()).is_err());
    }
}
