//! What a program needs to talk to a Capstan cluster: the public wire types and a typed HTTP client.
//!
//! * [`cluster`]: the shapes under `/cluster/v1` (variables, status, error bodies).
//! * [`spin_cycle`]: the shapes under `/api/v1`, byte for byte those of Spin Cycle 2.1.1.
//! * [`receptor`]: the shapes under `/v1`, byte for byte those of Diego's Receptor.
//! * [`Client`]: calls any node of the cluster, fails over between them, and says of every call that did not
//!   succeed whether something may have happened ([`CallError`]).
//!
//! The server, the command line, the benchmarks and the simulator share these types, so this crate depends on no
//! other crate of the project. It never decides what a status code means for the cluster: it reports it.

pub mod cluster;
mod http;
pub mod receptor;
pub mod spin_cycle;

#[cfg(feature = "fuzzing")]
pub use http::fuzzing;
pub use http::{
    AddressError, AuditQuery, CallError, Client, ClientOptions, Consistency, EventStream, ExportStream,
    InvalidToken, LogQuery, LogStream, Notice, Precondition, ReadOptions, Ready, RequestPage, Stream, Tried,
    Variable, VariableQuery, Written,
};

/// Header of every reply, the log index of the state it shows; in a call, the index the node must have applied.
pub const INDEX_HEADER: &str = "X-Capstan-Index";

/// Header of a page of a list that may go on: where the next page begins, as `after` takes it.
pub const NEXT_HEADER: &str = "X-Capstan-Next";

/// Header of a write that may be sent again: the same key and body get the first answer once more.
pub const IDEMPOTENCY_HEADER: &str = "Idempotency-Key";
