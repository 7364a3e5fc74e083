//! The doors, from the socket to a real queue on disk: one scenario a file.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod auth;
mod bounds;
mod broken;
mod bytes;
mod connections;
mod health;
mod json;
mod load;
mod refused_grpc;
mod refused_http;
#[path = "../support/skip.rs"]
mod skip;
mod support;
mod tls;
