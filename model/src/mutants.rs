//! Planted bugs, by which the simulator shows what it catches. Built for the simulator only.

use std::cell::Cell;

thread_local! {
    static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Plants the bug of this name into every node on this thread; `None` takes it out.
pub fn plant(name: Option<&'static str>) {
    PLANTED.set(name);
}

/// Whether the bug of this name is planted on this thread.
pub fn is_planted(name: &str) -> bool {
    PLANTED.get() == Some(name)
}
