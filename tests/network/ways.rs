//! Scenario: the way to the primary, to the fallback, or to both goes wrong under load, all signals over both transports, and is
//! well again.
//! Guarantee: whatever a network does, nothing acknowledged is lost, altered or out of order, and everything flows afterwards.

use std::time::Duration;

use crate::proxy::Fault::*;
use crate::proxy::Way::{ToGateway, ToHub};
use crate::rig::Over::{self, Grpc, GrpcTls, Http, HttpTls};
use crate::scenario::At::{self, Both, Fallback, Primary};
use crate::scenario::Effect::{Hinders, Stops};
use crate::scenario::Trouble::{NoName, Way as OnTheWay};
use crate::scenario::{Row, play};

const ALL: &[At] = &[Primary, Fallback, Both];
const SOME: &[At] = &[Primary, Both];
const PLAIN: &[Over] = &[Grpc, Http];
const TLS: &[Over] = &[GrpcTls, HttpTls];
/// Where HTTP/2 is spoken.
const H2: &[Over] = &[Grpc, HttpTls];

const WAYS: &[Row] = &[
    (OnTheWay(Refused), Stops, ALL, PLAIN),
    (OnTheWay(Unanswered), Stops, ALL, PLAIN),
    (OnTheWay(BlackHole), Stops, ALL, PLAIN),
    (OnTheWay(Reset), Stops, ALL, PLAIN),
    (OnTheWay(HalfOpen(ToHub)), Stops, ALL, PLAIN),
    (OnTheWay(HalfOpen(ToGateway)), Stops, ALL, PLAIN),
    (OnTheWay(SlowClose), Stops, ALL, PLAIN),
    (OnTheWay(CutAfter(ToHub, 100)), Stops, ALL, PLAIN),
    (OnTheWay(CutAfter(ToGateway, 10)), Stops, ALL, PLAIN),
    (OnTheWay(CutAfter(ToHub, 2_000)), Hinders, SOME, PLAIN),
    (OnTheWay(CutAfter(ToGateway, 500)), Hinders, SOME, PLAIN),
    (OnTheWay(Latency(Duration::from_millis(150))), Hinders, SOME, PLAIN),
    (OnTheWay(Bandwidth(50)), Hinders, SOME, PLAIN),
    (NoName, Stops, ALL, PLAIN),
];

const HANDSHAKES: &[Row] = &[
    (OnTheWay(Expired), Stops, ALL, TLS),
    (OnTheWay(WrongName), Stops, SOME, TLS),
    (OnTheWay(Stranger), Stops, SOME, TLS),
    (OnTheWay(Garbage), Stops, SOME, TLS),
    (OnTheWay(OldTls), Stops, SOME, TLS),
    (OnTheWay(EndlessHandshake), Stops, ALL, TLS),
    (OnTheWay(BlackHole), Stops, SOME, TLS),
    (OnTheWay(CutAfter(ToHub, 100)), Stops, SOME, TLS),
    (OnTheWay(GoAway), Stops, ALL, H2),
    (OnTheWay(ResetStreams), Stops, ALL, H2),
];

#[tokio::test(flavor = "multi_thread")]
async fn connections_go_wrong() {
    play(WAYS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_and_streams_go_wrong() {
    play(HANDSHAKES).await;
}
