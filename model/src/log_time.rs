//! Log time: a clock for the whole cluster, made by its leader.
