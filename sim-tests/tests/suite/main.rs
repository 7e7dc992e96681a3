//! Whole clusters told what to go through, and the simulator itself tried against what it stands for. One binary: linking the product takes
//! longer than most of these tests.

mod corpus;
mod damage;
mod determinism;
mod disk;
mod liveness;
mod mutants;
mod scenarios;
mod streams;
