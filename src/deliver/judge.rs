//! What an answer means for the batch and for the target: the table of response classes, joined with the witness rule and with
//! what the configuration wishes. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::ceiling;
use super::request::Effect;
use super::suspects::Past;
use super::witness::{Fault, Refusal, Ruling, Witness};
use crate::batch::{Batch, Key};
use crate::config::{EndpointError, TargetConfig};
use crate::otlp::answer::{Answer, Break};
use crate::otlp::class::Class;
use crate::queue::ledger::{DeadReason, DropReason};
use crate::queue::{Settlement, Verdict};

/// As what the target got the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What it takes is delivered.
    Primary,
    /// What it takes the primary is still to get.
    Interim,
    /// A fallback whose OK is final (`replay_to_primary: false`).
    Final,
}

/// The circumstances of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The target's configuration.
    pub config: &'a TargetConfig,
    /// As what it got the batch.
    pub role: Role,
    /// Which batch.
    pub key: Key,
    /// Its items.
    pub items: u32,
    /// How often it was sent before.
    pub attempts: u32,
    /// Send time.
    pub sent: Instant,
    /// Whether the breaker was closed then.
    pub breaker_closed: bool,
    /// Length of its body once inflated.
    pub len: usize,
    /// What it could be cut into, if it is too large.
    pub parts: Option<&'a [Batch]>,
    /// Whether the target may have had it before the process started, and minds its points coming again.
    pub repeat: bool,
    /// Whether nothing else of the signal could be sent in its place.
    pub alone: bool,
    /// Whether there is room for another dead letter.
    pub room: bool,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// With the batch.
    pub settlement: Settlement,
    /// With the target.
    pub effect: Effect,
    /// An empty request is to be sent, as a witness against the batch.
    pub ask_empty: bool,
    /// The batch is not to be settled but kept aside, while another passes it.
    pub aside: bool,
}

impl Judgement {
    /// This, and nothing beside it.
    pub fn new(settlement: Settlement, effect: Effect) -> Judgement {
        Judgement { settlement, effect, ask_empty: false, aside: false }
    }

    /// The same for a batch that has to stay at the head: it goes back without a hold, or is kept aside.
    #[must_use]
    pub fn at_the_head(self, aside: bool) -> Judgement {
        Judgement { settlement: Settlement::Return { hold: Duration::ZERO }, aside, ..self }
    }

    /// The batch goes back at once: the wait is the target's, and another may take it.
    fn back(effect: Effect) -> Judgement {
        Judgement::new(Settlement::Return { hold: Duration::ZERO }, effect)
    }
}

/// The class, with the statuses that this target's `retry.extra_retryable` names counted as transient.
pub fn reclassify(config: &TargetConfig, answer: &Answer, class: Class) -> Class {
    let extra = &config.retry.extra_retryable;
    if extra.is_empty() || class == Class::Ok {
        return class;
    }
    let named = match answer {
        Answer::Http { status, .. } => extra.contains(&status.to_string()),
        Answer::Grpc { .. } => extra.contains(&answer.status()),
        Answer::Accepted { .. } | Answer::Broken { .. } => false,
    };
    if named { Class::Transient } else { class }
}

/// Judges one answer of that class.
pub fn judge(now: Instant, case: &Case<'_>, answer: &Answer, class: Class, witness: &mut Witness) -> Judgement {
    if case.config.strict_otlp && is_final_by_the_letter(answer) && class != Class::Transient {
        let effect = match class {
            Class::Endpoint => Effect::Misconfigured,
            Class::Unlisted => Effect::Doubt,
            _ => Effect::Nothing,
        };
        return Judgement::new(Settlement::Dropped(DropReason::StrictOtlp), effect);
    }
    match class {
        Class::Ok => taken(case, answer, witness),
        Class::Transient => Judgement::back(Effect::Failure),
        Class::Throttle => Judgement::back(Effect::Throttle),
        Class::TooLarge => too_large(now, case, answer, witness),
        Class::Refused => refused(now, case, answer, Fault::Refused, witness),
        Class::Unlisted => refused(now, case, answer, Fault::Unlisted, witness),
        Class::Endpoint => endpoint(case, answer),
    }
}

fn taken(case: &Case<'_>, answer: &Answer, witness: &mut Witness) -> Judgement {
    let rejected = rejected(answer, case.items);
    if rejected < case.items {
        witness.accepted(case.key, case.sent);
    } else {
        witness.forget(case.key); // taken to be refused whole: no witness for anybody
    }
    let settlement = match case.role {
        Role::Primary | Role::Final => Settlement::Delivered { rejected },
        Role::Interim => Settlement::Owed,
    };
    Judgement::new(settlement, Effect::Success)
}

/// Cutting loses nothing and needs no witness, down to the size which every target takes that is well. Below it a target that
/// finds everything too large is the likelier reading, until a witness says otherwise.
fn too_large(now: Instant, case: &Case<'_>, answer: &Answer, witness: &mut Witness) -> Judgement {
    let split = case.parts.map(|parts| Judgement::new(Settlement::Split(parts.to_vec()), Effect::Nothing));
    match split {
        Some(split) if case.len > ceiling::FLOOR => split,
        split => {
            let refused = refused(now, case, answer, Fault::TooLarge, witness);
            split.filter(|_| matches!(refused.settlement, Settlement::Dead(_))).unwrap_or(refused)
        }
    }
}

fn refused(now: Instant, case: &Case<'_>, answer: &Answer, fault: Fault, witness: &mut Witness) -> Judgement {
    let Case { breaker_closed, alone, room, at_ms, .. } = *case;
    match witness.refused(now, case.key, Refusal { fault, breaker_closed, alone, room, at_ms }) {
        Ruling::Hold(hold) => Judgement::new(Settlement::Return { hold }, Effect::Doubt),
        Ruling::HoldAndAsk(hold) => {
            Judgement { ask_empty: true, ..Judgement::new(Settlement::Return { hold }, Effect::Doubt) }
        }
        Ruling::Condemn { refusals, first_ms } => {
            let reason =
                if case.repeat && fault == Fault::Refused { DeadReason::Redelivered } else { fault.dead_reason() };
            let verdict = verdict(case, answer, reason, refusals, first_ms);
            Judgement::new(Settlement::Dead(verdict), Effect::Nothing)
        }
    }
}

fn endpoint(case: &Case<'_>, answer: &Answer) -> Judgement {
    let settlement = match case.config.on_endpoint_error {
        EndpointError::Dead if case.room => {
            let attempts = case.attempts.saturating_add(1);
            Settlement::Dead(verdict(case, answer, DeadReason::EndpointError, attempts, case.at_ms))
        }
        EndpointError::Drop => Settlement::Dropped(DropReason::EndpointError),
        EndpointError::Hold | EndpointError::Dead => Settlement::Return { hold: Duration::ZERO },
    };
    Judgement::new(settlement, Effect::Misconfigured)
}

/// The story of a batch that failed without a verdict.
pub fn suspect(case: &Case<'_>, answer: &Answer, past: Past) -> Verdict {
    verdict(case, answer, DeadReason::Suspect, past.failures, past.first_ms)
}

/// Whether a failure in passing may lie with the batch: the request went out.
pub const fn may_blame_batch(answer: &Answer) -> bool {
    match answer {
        Answer::Broken { at, .. } => matches!(at, Break::Timeout | Break::Reset),
        Answer::Accepted { .. } | Answer::Grpc { .. } | Answer::Http { .. } => true,
    }
}

fn verdict(case: &Case<'_>, answer: &Answer, reason: DeadReason, attempts: u32, first_ms: u64) -> Verdict {
    let message = match answer {
        Answer::Accepted { message, .. }
        | Answer::Grpc { message, .. }
        | Answer::Http { message, .. }
        | Answer::Broken { message, .. } => message.clone(),
    };
    let target = case.config.name.clone();
    Verdict { reason, target, status: answer.status(), message, attempts, first_ms, last_ms: case.at_ms }
}

/// Items refused inside an accepted request, at most all of them.
pub fn rejected(answer: &Answer, items: u32) -> u32 {
    match answer {
        Answer::Accepted { rejected, .. } => u32::try_from(*rejected).unwrap_or(u32::MAX).min(items),
        _ => 0,
    }
}

/// Whether the OTLP specification ("Failures") forbids to send the batch again.
fn is_final_by_the_letter(answer: &Answer) -> bool {
    match answer {
        Answer::Accepted { .. } | Answer::Broken { .. } => false,
        Answer::Grpc { code: 8, delay, .. } => delay.is_none(),
        Answer::Grpc { code, .. } => !matches!(code, 1 | 4 | 10 | 11 | 14 | 15),
        Answer::Http { status, .. } => !matches!(status, 429 | 502..=504),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::target_state::tests::config;
    use crate::otlp::class::classify;

    const SECOND: Duration = Duration::from_secs(1);

    struct Court {
        config: TargetConfig,
        witness: Witness,
        now: Instant,
    }

    impl Court {
        fn new() -> Court {
            let config = config("hub");
            Court { witness: Witness::new(config.refusal_patience), config, now: Instant::now() }
        }

        fn case(&self, seq: u64, role: Role) -> Case<'_> {
            Case {
                config: &self.config,
                role,
                key: Key::new(seq),
                items: 10,
                attempts: 0,
                len: 100,
                parts: None,
                repeat: false,
                sent: self.now,
                breaker_closed: true,
                alone: false,
                room: true,
                at_ms: 77,
            }
        }

        fn judge(&mut self, seq: u64, answer: &Answer, class: Class) -> Judgement {
            self.now += SECOND;
            let mut witness = std::mem::replace(&mut self.witness, Witness::new(SECOND));
            let judgement = judge(self.now, &self.case(seq, Role::Primary), answer, class, &mut witness);
            self.witness = witness;
            judgement
        }
    }

    fn http(status: u16) -> Answer {
        Answer::Http { status, message: "no".to_owned(), delay: None }
    }

    fn returned(judgement: &Judgement) -> bool {
        matches!(judgement.settlement, Settlement::Return { .. })
    }

    /// Accepted by the primary, by a fallback that owes, by one that is final; in part, and not at all.
    /// Guarantees delivered or owed as the role says, and never more items refused than there were.
    #[test]
    fn what_an_ok_means_depends_on_the_role() {
        let court = Court::new();
        for (rejected, counted) in [(0, 0), (3, 3), (99, 10)] {
            let answer = Answer::Accepted { rejected, message: String::new() };
            for (role, settlement) in [
                (Role::Primary, Settlement::Delivered { rejected: counted }),
                (Role::Final, Settlement::Delivered { rejected: counted }),
                (Role::Interim, Settlement::Owed),
            ] {
                let mut witness = Witness::new(SECOND);
                let judgement = judge(court.now, &court.case(1, role), &answer, Class::Ok, &mut witness);
                assert_eq!(judgement, Judgement::new(settlement, Effect::Success));
            }
        }
    }

    /// No answer, and a throttle.
    /// Guarantees that the batch goes back at once for others to take, and that only the target waits.
    #[test]
    fn passing_trouble_is_the_targets() {
        let mut court = Court::new();
        let broken = Answer::Broken { at: Break::Connect, message: String::new() };
        for (answer, class, effect) in
            [(broken, Class::Transient, Effect::Failure), (http(429), Class::Throttle, Effect::Throttle)]
        {
            for _ in 0..100 {
                assert_eq!(court.judge(1, &answer, class), Judgement::back(effect));
            }
        }
    }

    /// One batch is refused twice, with another taken in between, whole, in part, or with every item refused.
    /// Guarantees a dead letter with its story, and that a target which took nothing of the other is no witness.
    #[test]
    fn a_refused_batch_dies_with_its_story() {
        for (rejected, dies) in [(0, true), (9, true), (10, false)] {
            let mut court = Court::new();
            assert!(returned(&court.judge(1, &http(400), Class::Refused)));
            court.judge(2, &Answer::Accepted { rejected, message: String::new() }, Class::Ok);
            let judgement = court.judge(1, &http(400), Class::Refused);
            let Settlement::Dead(verdict) = &judgement.settlement else {
                assert!(!dies && judgement.effect == Effect::Doubt);
                continue;
            };
            assert!(dies && judgement.effect == Effect::Nothing);
            let Verdict { reason, target, status, message, attempts, .. } = verdict;
            assert_eq!((*reason, target.as_str(), status.as_str()), (DeadReason::Refused, "hub", "HTTP 400"));
            assert_eq!((message.as_str(), *attempts, verdict.first_ms, verdict.last_ms), ("no", 2, 77, 77));
        }
    }

    /// A wrong endpoint under each setting, and with the dead letters full.
    /// Guarantees that the default keeps everything, and that a full store keeps it too.
    #[test]
    fn a_wrong_endpoint_holds_unless_told_otherwise() {
        let mut court = Court::new();
        for _ in 0..50 {
            assert_eq!(court.judge(1, &http(401), Class::Endpoint), Judgement::back(Effect::Misconfigured));
        }
        court.config.on_endpoint_error = EndpointError::Drop;
        let dropped = Settlement::Dropped(DropReason::EndpointError);
        assert_eq!(court.judge(1, &http(404), Class::Endpoint).settlement, dropped);
        court.config.on_endpoint_error = EndpointError::Dead;
        assert!(matches!(court.judge(1, &http(404), Class::Endpoint).settlement, Settlement::Dead(_)));
        let full = Case { room: false, ..court.case(1, Role::Primary) };
        let judgement = endpoint(&full, &http(404));
        assert!(returned(&judgement));
    }

    /// The letter of the specification, and statuses named by hand.
    /// Guarantees that `strict_otlp` drops exactly what must not be sent again, and that `extra_retryable` keeps what it names.
    #[test]
    fn the_letter_and_the_exceptions() {
        let mut court = Court::new();
        court.config.strict_otlp = true;
        court.config.retry.extra_retryable = vec!["500".to_owned(), "INTERNAL".to_owned()];
        let grpc = |code| Answer::Grpc { code, message: String::new(), delay: None };
        for (answer, class, kept) in [
            (http(400), Class::Refused, false),
            (http(401), Class::Endpoint, false),
            (http(413), Class::TooLarge, false),
            (http(501), Class::Unlisted, false),
            (http(500), Class::Unlisted, true),
            (http(503), Class::Transient, true),
            (http(429), Class::Throttle, true),
            (grpc(13), Class::Unlisted, true),
            (grpc(2), Class::Unlisted, false),
            (grpc(8), Class::Throttle, false),
            (grpc(14), Class::Transient, true),
        ] {
            let class = reclassify(&court.config, &answer, class);
            let judgement = court.judge(1, &answer, class);
            assert_eq!(returned(&judgement), kept, "{answer}");
            assert!(kept || judgement.settlement == Settlement::Dropped(DropReason::StrictOtlp));
        }
    }

    /// Every gRPC code and HTTP status of an error, with a delay and without.
    /// Guarantees that by the letter those are kept which the specification calls retryable ("Failures" of OTLP/gRPC and OTLP/HTTP),
    /// and no others.
    #[test]
    fn the_letter_is_kept_to_the_letter() {
        let mut court = Court::new();
        court.config.strict_otlp = true;
        for delay in [None, Some(SECOND)] {
            let grpc = (1..=16).map(|code| {
                let kept = matches!(code, 1 | 4 | 10 | 11 | 14 | 15) || (code == 8 && delay.is_some());
                (Answer::Grpc { code, message: "no".to_owned(), delay }, kept)
            });
            let http = (300..600).map(|status| {
                let kept = matches!(status, 429 | 502 | 503 | 504);
                (Answer::Http { status, message: "no".to_owned(), delay }, kept)
            });
            for (answer, kept) in grpc.chain(http) {
                let judgement = court.judge(1, &answer, classify(&answer, 1));
                assert_eq!(returned(&judgement), kept, "{answer} {delay:?}");
                assert!(kept || judgement.settlement == Settlement::Dropped(DropReason::StrictOtlp), "{answer}");
            }
        }
    }
}
