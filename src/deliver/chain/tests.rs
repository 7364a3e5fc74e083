use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const WELL: Condition = Condition {
    network: true,
    breaker: BreakerState::Closed,
    standing: Standing::Up,
    misconfigured: false,
    silent_since: None,
    throttled_since: None,
};

fn chain(targets: usize) -> (Chain, Instant) {
    let knobs = ChainKnobs {
        failover_after: 30 * SECOND,
        min_stay: 60 * SECOND,
        targets: vec![TargetKnobs { patience: 120 * SECOND, proof: 3, rest: 5 * SECOND }; targets],
    };
    let now = Instant::now();
    (Chain::new(knobs, now), now)
}

fn moved(decided: Decided) -> Option<(usize, usize, &'static str)> {
    decided.moved.map(|moved| (moved.from, moved.to, moved.reason.as_str()))
}

/// A primary that fails from one moment on.
/// Guarantees that traffic leaves after exactly `failover_after`, whatever the breaker says, and that the chain says when.
#[test]
fn traffic_leaves_after_failover_after() {
    let (mut chain, now) = chain(2);
    let silent = Condition { silent_since: Some(now), ..WELL };
    assert_eq!(moved(chain.decide(now + 29 * SECOND, &[silent, WELL], false)), None);
    assert_eq!(chain.wake(), Some(now + 30 * SECOND));
    let open = Condition { breaker: BreakerState::Open, ..silent };
    assert_eq!(moved(chain.decide(now + 29 * SECOND, &[open, WELL], false)), None);
    assert_eq!(moved(chain.decide(now + 30 * SECOND, &[silent, WELL], false)), Some((0, 1, "failure")));
}

/// Throttling, a wrong endpoint, a breaker opened by hand.
/// Guarantees the patience of each reason, and its name.
#[test]
fn each_reason_has_its_patience() {
    let (mut chain, now) = chain(3);
    let throttling = Condition { throttled_since: Some(now), ..WELL };
    assert_eq!(moved(chain.decide(now + 119 * SECOND, &[throttling, WELL, WELL], false)), None);
    let decided = chain.decide(now + 120 * SECOND, &[throttling, WELL, WELL], false);
    assert_eq!(moved(decided), Some((0, 1, "throttle")));
    let wrong = Condition { misconfigured: true, ..WELL };
    let decided = chain.decide(now + 121 * SECOND, &[throttling, wrong, wrong], false);
    assert_eq!(moved(decided), Some((1, 0, "misconfigured")), "one that throttles is better than none");
    assert_eq!(moved(chain.decide(now + 122 * SECOND, &[throttling, throttling, wrong], false)), None);
    let forced = Condition { breaker: BreakerState::ForcedOpen, ..WELL };
    let decided = chain.decide(now + 123 * SECOND, &[forced, throttling, WELL], false);
    assert_eq!(moved(decided), Some((0, 2, "command")));
}

/// A primary that comes back while the fallback works.
/// Guarantees that it needs the shortest stay, health, a closed breaker and three real batches in a row.
#[test]
fn the_way_back_is_proven() {
    let (mut chain, start) = chain(2);
    let wrong = Condition { misconfigured: true, ..WELL };
    chain.decide(start, &[wrong, WELL], false);
    assert_eq!(chain.active(), 1);
    assert!(!chain.wants_trial(start + 4 * SECOND, 0) && chain.wake() == Some(start + 5 * SECOND));
    assert!(chain.wants_trial(start + 5 * SECOND, 0) && !chain.wants_trial(start + 5 * SECOND, 1));
    let later = start + 61 * SECOND;
    for success in [true, true, false, true, true] {
        chain.tried(0, success);
    }
    assert_eq!(moved(chain.decide(later, &[WELL, WELL], false)), None);
    chain.tried(0, true);
    assert_eq!(moved(chain.decide(start + 59 * SECOND, &[WELL, WELL], false)), None);
    assert_eq!((chain.wants_trial(later, 0), chain.wake()), (false, Some(start + 60 * SECOND)));
    let down = Condition { standing: Standing::Down, ..WELL };
    let open = Condition { breaker: BreakerState::HalfOpen, ..WELL };
    for unfit in [down, open, wrong] {
        assert_eq!(moved(chain.decide(later, &[unfit, WELL], false)), None);
    }
    assert_eq!(moved(chain.decide(later, &[WELL, WELL], false)), Some((1, 0, "recovered")));
}

/// Nothing to send while the primary comes back.
/// Guarantees that a primary which is positively up gets its place back without a batch, and an unknown one does not.
#[test]
fn an_idle_chain_returns_on_health_alone() {
    let (mut chain, now) = chain(2);
    let silent = Condition { silent_since: Some(now), ..WELL };
    chain.decide(now + 30 * SECOND, &[silent, WELL], false);
    let later = now + 90 * SECOND;
    let unknown = Condition { standing: Standing::Unknown, ..silent };
    assert_eq!(moved(chain.decide(later, &[unknown, WELL], true)), None);
    assert_eq!(moved(chain.decide(later, &[silent, WELL], false)), None);
    assert_eq!(moved(chain.decide(later, &[silent, WELL], true)), Some((1, 0, "recovered")));
}

/// All targets fail, then one comes back.
/// Guarantees that traffic stays where it is while nobody accepts, that the partition is timed, and that a file target is
/// used but is no network.
#[test]
fn a_partition_is_known_and_timed() {
    let (mut chain, now) = chain(3);
    let dead = Condition { breaker: BreakerState::Open, silent_since: Some(now), ..WELL };
    let file = Condition { network: false, ..WELL };
    let later = now + 40 * SECOND;
    let decided = chain.decide(later, &[dead, dead, Condition { breaker: BreakerState::Open, ..file }], false);
    assert_eq!((moved(decided), decided.partition), (None, Some(Partition::Began)));
    assert_eq!(chain.wake(), None, "nothing but an event changes anything");
    let decided = chain.decide(later, &[dead, dead, file], false);
    assert_eq!((moved(decided), decided.partition), (Some((0, 2, "failure")), None));
    let decided = chain.decide(later + 5 * SECOND, &[WELL, dead, file], false);
    assert_eq!(decided.partition, Some(Partition::Ended(5 * SECOND)));
    assert_eq!(chain.partitioned(later + 60 * SECOND), 5 * SECOND);
}

/// A primary that works for a minute after each return and then fails.
/// Guarantees at most 6 failovers in the first hour and 1 an hour afterwards.
#[test]
fn a_flapping_primary_is_met_with_patience() {
    let (mut chain, start) = chain(2);
    let (mut now, mut failing_since) = (start, Some(start));
    let mut failovers = Vec::new();
    while now < start + 8 * Duration::from_secs(3600) {
        if chain.active() == 1 {
            (0..3).for_each(|_| chain.tried(0, true));
            failing_since = None;
        } else if now >= chain.active_since() + 60 * SECOND {
            failing_since = failing_since.or(Some(now));
        }
        let primary = Condition { silent_since: failing_since, ..WELL };
        if chain.decide(now, &[primary, WELL], false).moved.is_some_and(|moved| moved.to == 1) {
            failovers.push((now - start).as_secs() / 3600);
        }
        now += SECOND;
    }
    assert!(failovers.iter().filter(|hour| **hour == 0).count() <= 6, "{failovers:?}");
    for hour in 2..8 {
        assert!(failovers.iter().filter(|at| **at == hour).count() <= 1, "{failovers:?}");
    }
}

/// The active target fails while the others are there but have failed this signal themselves.
/// Guarantees that traffic goes to none of them until one has taken something, and then without waiting for the shortest stay.
#[test]
fn what_failed_itself_does_not_take_over() {
    let (mut chain, start) = chain(2);
    let silent = |since| Condition { silent_since: Some(since), ..WELL };
    chain.decide(start + 30 * SECOND, &[silent(start), WELL], false);
    let later = start + 70 * SECOND;
    let failing = silent(start + 31 * SECOND);
    assert_eq!(moved(chain.decide(later, &[silent(start), failing], false)), None);
    chain.tried(0, true);
    assert_eq!(moved(chain.decide(later, &[WELL, failing], false)), Some((1, 0, "failure")));
}

fn condition(now: Instant) -> impl Strategy<Value = Condition> {
    let since = move |bound: u64| {
        proptest::option::weighted(0.4, (0..bound).prop_map(move |ago| now - Duration::from_secs(ago)))
    };
    let breaker = prop_oneof![
        3 => Just(BreakerState::Closed),
        1 => proptest::sample::select(BreakerState::ALL.to_vec())
    ];
    let standing = proptest::sample::select(vec![Standing::Up, Standing::Up, Standing::Unknown, Standing::Down]);
    (any::<bool>(), breaker, standing, proptest::bool::weighted(0.1), since(60), since(240)).prop_map(
        |(network, breaker, standing, misconfigured, silent_since, throttled_since)| Condition {
            network,
            breaker,
            standing,
            misconfigured,
            silent_since,
            throttled_since,
        },
    )
}

#[allow(clippy::type_complexity, reason = "a step of the story, spelled once")]
fn story() -> impl Strategy<Value = (Instant, Vec<(u64, Vec<Condition>, Option<(usize, bool)>, bool)>)> {
    let base = Instant::now() + Duration::from_secs(1000);
    let step = (0..40u64, proptest::collection::vec(condition(base), 3), any::<Option<(usize, bool)>>(), any::<bool>());
    proptest::collection::vec(step, 1..100).prop_map(move |steps| (base, steps))
}

proptest! {
    /// Any conditions of three targets over any time.
    /// Guarantees: traffic goes only to a target that accepts and leaves only for its reason; back only after the shortest
    /// stay; a partition exactly while no network target accepts; the time of partition never shrinks; moves are counted.
    #[test]
    fn whatever_the_targets_do((base, steps) in story()) {
        let (mut chain, _) = chain(3);
        let (mut now, mut total, mut seen) = (base, Duration::ZERO, 0);
        for (wait, mut conditions, tried, idle) in steps {
            now += Duration::from_secs(wait);
            for condition in &mut conditions {
                let shift = now - base;
                condition.silent_since = condition.silent_since.map(|at| at + shift);
                condition.throttled_since = condition.throttled_since.map(|at| at + shift);
            }
            if let Some((position, success)) = tried {
                chain.tried(position % 3, success);
            }
            let (active, since, stay) = (chain.active(), chain.active_since(), chain.stay);
            let decided = chain.decide(now, &conditions, idle);
            if let Some(moved) = decided.moved {
                let left = conditions[active];
                seen += 1;
                prop_assert_eq!((moved.from, moved.to), (active, chain.active()));
                prop_assert!(conditions[moved.to].accepts());
                match moved.reason {
                    Reason::Failure => prop_assert!(now >= left.silent_since.unwrap() + 30 * SECOND),
                    Reason::Throttle => prop_assert!(now >= left.throttled_since.unwrap() + 120 * SECOND),
                    Reason::Misconfigured => prop_assert!(left.misconfigured),
                    Reason::Command => prop_assert_eq!(left.breaker, BreakerState::ForcedOpen),
                    Reason::Recovered => prop_assert!(moved.to < active && now >= since + stay),
                }
            }
            let networks = conditions.iter().filter(|condition| condition.network).count();
            let accepting = conditions.iter().filter(|condition| condition.network && condition.accepts()).count();
            prop_assert_eq!(chain.partitioned_since().is_some(), networks > 0 && accepting == 0);
            prop_assert!(chain.partitioned(now) >= total);
            total = chain.partitioned(now);
            prop_assert!(chain.wake().is_none_or(|wake| wake > now));
            prop_assert!(chain.stay >= 60 * SECOND && chain.stay <= MAX_STAY);
        }
        prop_assert_eq!(chain.moves().map(|(_, count)| count).sum::<u64>(), seen);
    }
}

/// A person moves traffic of a chain that is well, there and back.
/// Guarantees that no stay and no proof are asked for, that the chain goes on by itself afterwards, and that such moves are no
/// flaps.
#[test]
fn moves_by_hand_are_at_once_and_no_flaps() {
    let (mut chain, now) = chain(3);
    let conditions = [WELL; 3];
    let down = Condition { standing: Standing::Down, ..WELL };
    assert_eq!(chain.fail_back(now, &conditions), None, "it is there");
    let moved_to = |moved: Option<Move>| moved.map(|moved| (moved.from, moved.to, moved.reason.as_str()));
    assert_eq!(moved_to(chain.fail_over(now, &[WELL, down, WELL])), Some((0, 2, "command")), "past what is down");
    assert_eq!(chain.fail_over(now, &conditions), None, "it is the last");
    assert_eq!(chain.fail_back(now, &[down, WELL, WELL]), None, "it would be left at once");
    assert_eq!(moved_to(chain.fail_back(now, &conditions)), Some((2, 0, "command")));
    for _ in 0..5 {
        chain.fail_over(now, &conditions);
        chain.fail_back(now, &conditions);
    }
    assert_eq!(chain.stay, 60 * SECOND);
    chain.fail_over(now, &conditions);
    assert_eq!(moved(chain.decide(now + 59 * SECOND, &conditions, true)), None);
    assert_eq!(moved(chain.decide(now + 60 * SECOND, &conditions, true)), Some((1, 0, "recovered")));
}

/// A fallback is pinned, and dies; the pin is taken back.
/// Guarantees that traffic stays there whatever happens, that a partition is told of the pinned target alone, and that the chain
/// goes on from there.
#[test]
fn a_pin_holds_whatever_happens() {
    let (mut chain, now) = chain(3);
    chain.pin(Some(1));
    assert_eq!(moved(chain.decide(now, &[WELL; 3], false)), Some((0, 1, "command")));
    let dead = Condition { silent_since: Some(now), breaker: BreakerState::Open, misconfigured: true, ..WELL };
    let later = now + 600 * SECOND;
    let decided = chain.decide(later, &[WELL, dead, WELL], false);
    assert_eq!((moved(decided), decided.partition), (None, Some(Partition::Began)));
    assert!(!chain.wants_trial(later, 0), "no target but the pinned one is tried");
    chain.pin(None);
    assert_eq!(moved(chain.decide(later, &[WELL, dead, WELL], false)), Some((1, 0, "misconfigured")));
}

#[derive(Debug, Clone)]
enum Order {
    Pin(Option<usize>),
    FailOver,
    FailBack,
}

fn order() -> impl Strategy<Value = Option<Order>> {
    let pin = proptest::option::of(0..3usize).prop_map(Order::Pin);
    proptest::option::weighted(0.3, prop_oneof![pin, Just(Order::FailOver), Just(Order::FailBack)])
}

proptest! {
    /// Any orders amid any conditions.
    /// Guarantees: a pin is where traffic is after the next decision, and nothing else moves it; an order moves traffic only to a
    /// target that accepts, and says so; without a pin the chain's own rules hold.
    #[test]
    fn whatever_people_order((base, steps) in story(), orders in proptest::collection::vec(order(), 100)) {
        let (mut chain, _) = chain(3);
        let (mut now, mut pinned, mut seen) = (base, None, 0);
        for ((wait, conditions, ..), order) in steps.into_iter().zip(orders) {
            now += Duration::from_secs(wait);
            let from = chain.active();
            let obeyed = match order {
                Some(Order::Pin(target)) => {
                    pinned = target;
                    chain.pin(target);
                    None
                }
                Some(Order::FailOver) if pinned.is_none() => chain.fail_over(now, &conditions),
                Some(Order::FailBack) if pinned.is_none() => chain.fail_back(now, &conditions),
                _ => None,
            };
            if let Some(moved) = obeyed {
                seen += 1;
                prop_assert_eq!((moved.from, moved.to, moved.reason), (from, chain.active(), Reason::Command));
                prop_assert!(conditions[moved.to].accepts() && (moved.to > from || moved.to == 0));
            }
            let decided = chain.decide(now, &conditions, false);
            seen += u64::from(decided.moved.is_some());
            if let Some(target) = pinned {
                prop_assert_eq!(chain.active(), target);
                prop_assert!(decided.moved.is_none_or(|moved| moved.reason == Reason::Command));
                prop_assert!((0..3).all(|position| !chain.wants_trial(now + 3600 * SECOND, position)));
                let cut_off = conditions[target].network && !conditions[target].accepts();
                prop_assert_eq!(chain.partitioned_since().is_some(), cut_off);
            } else if let Some(moved) = decided.moved {
                prop_assert!(conditions[moved.to].accepts());
            }
        }
        prop_assert_eq!(chain.moves().map(|(_, count)| count).sum::<u64>(), seen);
    }
}
