//! Scenario: hubs refuse everything, refuse some batches, take no gzip, or answer strangely, all signals over both transports.
//! Guarantee: a sick hub condemns nothing, what it took counts once it is well, and a batch that is at fault itself stalls nobody.

use std::time::Duration;

use crate::hub::{Answer, Refusal};
use crate::rig::Over::{self, Grpc, Http};
use crate::scenario::At::{self, Both, Fallback, Primary};
use crate::scenario::Effect::{Hinders, Stops};
use crate::scenario::Trouble::{Answers, NoGzip, Refuses, RefusesSome};
use crate::scenario::{Row, play};

const ALL: &[At] = &[Primary, Fallback, Both];
const SOME: &[At] = &[Primary, Both];
const ONE: &[At] = &[Primary];
const PLAIN: &[Over] = &[Grpc, Http];

const BUSY: Refusal = Refusal::new(503, 14, "not now");
const BUSY_UNTIL: Refusal = Refusal { delay: Some(Duration::from_secs(1)), ..BUSY };
const ENOUGH: Refusal = Refusal::new(429, 8, "quota exhausted");
const WHO: Refusal = Refusal::new(401, 16, "who are you?");
const WHERE: Refusal = Refusal::new(404, 12, "no such thing");
const BAD: Refusal = Refusal::new(400, 3, "cannot decode");
const BROKEN: Refusal = Refusal::new(500, 13, "null pointer");
const LARGE: Refusal = Refusal::new(413, 8, "message larger than max");

const ANSWERS: &[Row] = &[
    (Refuses(BUSY), Stops, ALL, PLAIN),
    (Refuses(BUSY_UNTIL), Stops, SOME, PLAIN),
    (Refuses(ENOUGH), Stops, SOME, PLAIN),
    (Refuses(WHO), Stops, ALL, PLAIN),
    (Refuses(WHERE), Stops, SOME, PLAIN),
    (Refuses(BAD), Stops, SOME, PLAIN),
    (Refuses(BROKEN), Stops, SOME, PLAIN),
    (Refuses(LARGE), Stops, SOME, PLAIN),
    (RefusesSome(BAD), Hinders, SOME, PLAIN),
    (RefusesSome(BROKEN), Hinders, ONE, PLAIN),
    (RefusesSome(LARGE), Hinders, SOME, PLAIN),
    (RefusesSome(BUSY), Hinders, ONE, PLAIN),
    (NoGzip(BAD), Hinders, SOME, PLAIN),
    (NoGzip(Refusal::new(415, 12, "gzip?")), Hinders, ONE, PLAIN),
    (Answers(Answer::Loris), Stops, SOME, &[Grpc]),
    (Answers(Answer::Loris), Hinders, SOME, &[Http]),
    (Answers(Answer::Lie), Stops, ONE, &[Grpc]),
    (Answers(Answer::Lie), Hinders, ONE, &[Http]),
    (Answers(Answer::CutShort), Stops, ONE, &[Grpc]),
    (Answers(Answer::CutShort), Hinders, ONE, &[Http]),
];

#[tokio::test(flavor = "multi_thread")]
async fn hubs_answer_all_kinds_of_things() {
    play(ANSWERS).await;
}
