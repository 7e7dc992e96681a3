//! Everything that acts on the replicated state. Actors are dull: they look, plan with a pure function, perform.

pub mod liveness;
