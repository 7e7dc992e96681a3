//! Places that the simulator counts (`sometimes!`), disturbs (`buggify!`), and strikes at (`failpoint!`). Built for the simulator only.

use std::cell::RefCell;

/// Who is told of the places that are reached on this thread.
pub trait Probe {
    /// Something that should happen now and then has happened.
    fn reached(&mut self, name: &'static str);

    /// Whether what may legally go the rarer way does so this time.
    fn disturbs(&mut self, name: &'static str) -> bool;

    /// What is done to whoever passes this place now, if anything.
    fn passed(&mut self, name: &'static str) -> Option<Blow>;
}

/// Something that is done to a node while it passes a place. It may panic.
pub type Blow = Box<dyn FnOnce()>;

thread_local! {
    static PROBE: RefCell<Option<Box<dyn Probe>>> = const { RefCell::new(None) };
}

/// Tells this one, and no other, from now on; `None` tells nobody.
pub fn install(probe: Option<Box<dyn Probe>>) {
    PROBE.set(probe);
}

/// See `sometimes!`.
pub fn reached(name: &'static str) {
    PROBE.with_borrow_mut(|probe| {
        if let Some(probe) = probe {
            probe.reached(name);
        }
    });
}

/// See `buggify!`.
pub fn disturbs(name: &'static str) -> bool {
    PROBE.with_borrow_mut(|probe| probe.as_mut().is_some_and(|probe| probe.disturbs(name)))
}

/// See `failpoint!`.
pub fn passing(name: &'static str) {
    let blow = PROBE.with_borrow_mut(|probe| probe.as_mut().and_then(|probe| probe.passed(name)));
    // What it does may reach other places.
    if let Some(blow) = blow {
        blow();
    }
}
