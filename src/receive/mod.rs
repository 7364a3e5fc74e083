//! The doors: OTLP over gRPC and HTTP, admission, inspection, and OK once the queue has it.
//!
//! | module | what lives there |
//! |---|---|
//! | [`accept`](mod@accept) | the straight line of a request, the same for both transports |
//! | [`auth`] | who may hand in requests |
//! | [`admission`], [`budget`] | the byte budget of all clients together, and how long one waits for a share of it |
//! | [`rules`] | what the doors allow, which may change while they serve |
//! | [`body`] | chunks from the wire put together, within limit, budget and time |
//! | [`inspect`](mod@inspect) | one inflate and one skim over a body; JSON made protobuf |
//! | [`refusal`] | every way to say no, and how it reads on the wire |
//! | [`grpc`], [`http`] | framing in, outcome out; nothing is decided there |
//! | [`doors`], [`connection`], [`tls`], [`wire`] | listening, connections and their limits, handshakes, sockets |
//! | [`files`] | certificates and credentials that change |
//! | [`stats`], [`clusters`], [`snapshot`] | counting, and what the counts say |
//!
//! It never sees delivery or a target. Nothing that a client sends ends the process: errors of a connection end that
//! connection, and are debug lines.

mod accept;
mod admission;
mod auth;
mod body;
mod budget;
mod clusters;
mod connection;
mod doors;
mod files;
mod grpc;
mod http;
mod inspect;
mod notice;
mod refusal;
mod rules;
pub mod snapshot;
mod stats;
mod tls;
mod wire;

pub use doors::{BindError, Doors, OpenError};
pub use rules::Rules;
pub use stats::Stats;
