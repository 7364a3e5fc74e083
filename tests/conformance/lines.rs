//! The lines: what is required of a server, of the payload, of OTLP/JSON and of a client, and what holds each.

use std::pin::Pin;

use crate::json::{self, Example};
use crate::peer::{Carried, Peer, Way};
use crate::{answers, payload, refusals};

/// Asks a server in one way; a panic says what is wrong.
pub(crate) type Check = fn(Peer, Way) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// In which ways a server is asked, and how.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) concerns: fn(Way) -> bool,
    pub(crate) check: Check,
}

/// One requirement.
pub(crate) struct Line {
    pub(crate) id: &'static str,
    /// `M`ust, `S`hould, or neither.
    pub(crate) level: &'static str,
    pub(crate) text: &'static str,
    pub(crate) check: Option<Asked>,
    /// Tests that hold it, or the rest of it: file, and the name of the function.
    pub(crate) tests: &'static [(&'static str, &'static str)],
    /// Where we deviate on purpose, or what there is to know.
    pub(crate) note: &'static str,
}

const fn line(id: &'static str, level: &'static str, text: &'static str) -> Line {
    Line { id, level, text, check: None, tests: &[], note: "" }
}

impl Line {
    const fn asked(self, concerns: fn(Way) -> bool, check: Check) -> Line {
        Line { check: Some(Asked { concerns, check }), ..self }
    }

    const fn held(self, tests: &'static [(&'static str, &'static str)]) -> Line {
        Line { tests, ..self }
    }

    const fn note(self, note: &'static str) -> Line {
        Line { note, ..self }
    }

    /// A rule of OTLP/JSON, by examples.
    const fn shown(self, check: Check) -> Line {
        self.asked(json_plain, check)
    }
}

const fn all(_: Way) -> bool {
    true
}

fn http(way: Way) -> bool {
    way.by != Carried::Grpc
}

fn grpc(way: Way) -> bool {
    way.by == Carried::Grpc
}

fn plain(way: Way) -> bool {
    !answers::compressed(way)
}

fn json_plain(way: Way) -> bool {
    way.by == Carried::Json && plain(way)
}

fn examples(peer: Peer, way: Way, examples: &'static [Example]) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(json::means(peer, way, examples))
}

pub(crate) const LINES: &[Line] = &[
    line("SRV-01", "M", "uncompressed, gzip and zstd are taken").asked(all, |p, w| Box::pin(answers::taken(p, w))),
    line("SRV-01b", "M", "any other encoding: 415 or UNIMPLEMENTED, with the list of those that are taken")
        .asked(plain, |p, w| Box::pin(answers::other_encodings(p, w))),
    line("SRV-02", "", "gRPC on 4317, HTTP on 4318").held(&[("src/config/load_tests.rs", "the_reference_holds_the_defaults")]),
    line("SRV-03", "M", "Export of each signal answers with the matching response").asked(all, |p, w| Box::pin(answers::taken(p, w))),
    line("SRV-04", "M", "a limit on requests, on the wire and again after decompression")
        .asked(all, |p, w| Box::pin(refusals::too_large(p, w)))
        .held(&[
            ("src/otlp/inflate/tests.rs", "a_bomb_is_stopped_at_the_limit"),
            ("src/otlp/inflate/tests.rs", "a_zstd_bomb_is_stopped_at_the_limit"),
        ]),
    line("SRV-05", "M", "gRPC over the limit: RESOURCE_EXHAUSTED without RetryInfo")
        .asked(grpc, |p, w| Box::pin(refusals::too_large(p, w))),
    line("SRV-06", "M", "HTTP over the limit: 413").asked(http, |p, w| Box::pin(refusals::too_large(p, w))),
    line("SRV-06b", "M", "413 also for a length that is announced and does not come")
        .asked(http, |p, w| Box::pin(refusals::false_length(p, w))),
    line("SRV-07", "M", "responses within 4 MiB: texts are shortened first")
        .asked(all, |p, w| Box::pin(refusals::undecodable(p, w)))
        .held(&[("src/otlp/status/tests.rs", "long_texts_are_shortened")]),
    line("SRV-08", "S", "an empty request succeeds, and is not queued").asked(all, |p, w| Box::pin(answers::empty(p, w))),
    line("SRV-09", "M", "full success leaves partial_success unset").asked(all, |p, w| Box::pin(answers::unset(p, w))),
    line("SRV-10…12", "M", "partial acceptance: OK, exact count, a message")
        .held(&[("tests/doors/load.rs", "the_books_hold_what_was_answered_ok")])
        .note("A request is taken whole or refused whole, so the doors never answer a partial success."),
    line("SRV-13", "S", "what passes: UNAVAILABLE with RetryInfo, 503 with Retry-After in whole seconds")
        .held(&[
            ("tests/doors/bounds.rs", "a_full_queue_refuses_with_a_delay"),
            ("src/receive/http/reply.rs", "retry_after_is_whole_seconds_rounded_up"),
        ])
        .note("Never 429, and never RESOURCE_EXHAUSTED for load: older clients take both for final."),
    line("SRV-14", "S", "permanent: INVALID_ARGUMENT or 400, with a BadRequest detail that says what and where")
        .asked(all, |p, w| Box::pin(refusals::says_where(p, w))),
    line("SRV-15", "S", "overload is said within 4 s, with a delay")
        .held(&[
            ("tests/doors/bounds.rs", "without_room_the_answer_is_quick_and_names_a_delay"),
            ("tests/faults/stalls.rs", "a_stalled_fsync_is_answered_in_time"),
        ]),
    line("SRV-20", "M", "POST /v1/traces, /v1/metrics, /v1/logs").asked(http, |p, w| Box::pin(answers::taken(p, w))),
    line("SRV-21", "S", "protobuf and JSON on one port by Content-Type, parameters tolerated")
        .asked(http, |p, w| Box::pin(answers::one_port(p, w))),
    line("SRV-22", "M", "the response's Content-Type is the request's, for errors too")
        .asked(http, |p, w| Box::pin(refusals::undecodable(p, w))),
    line("SRV-23", "M", "success is 200 with the encoded response").asked(http, |p, w| Box::pin(answers::empty(p, w))),
    line("SRV-24", "M", "every 4xx and 5xx has a google.rpc.Status in the request's encoding")
        .asked(http, |p, w| Box::pin(refusals::elsewhere(p, w))),
    line("SRV-25", "M", "undecodable: 400, INVALID_ARGUMENT").asked(all, |p, w| Box::pin(refusals::undecodable(p, w))),
    line("SRV-27", "", "a gzip response when Accept-Encoding says so")
        .note("Not done: a success has at most two bytes and an error a few hundred, which gzip would not make shorter."),
    line("SRV-28", "", "405, 415, 404, UNIMPLEMENTED for what is not there; the connection goes on")
        .asked(all, |p, w| Box::pin(refusals::elsewhere(p, w))),
    line("SRV-28b", "", "408 for a body that stops half-way; no hang, no panic").held(&[
        ("tests/doors/broken.rs", "a_body_that_stops_is_408_after_the_read_timeout"),
        ("tests/doors/broken.rs", "noise_ends_its_own_connection_only"),
    ]),
    line("SRV-29", "M", "compressed bodies of several members are read whole, and stored as one")
        .asked(answers::compressed, |p, w| Box::pin(answers::several_members(p, w))),
    line("SRV-30", "", "grpc.health.v1")
        .asked(|way| grpc(way) && plain(way), |p, w| Box::pin(answers::health(p, w)))
        .note("`Watch` is answered UNIMPLEMENTED, which the protocol allows."),
    line("SRV-30b", "", "keepalive, age of connections, limits on streams and headers").held(&[
        ("tests/doors/connections.rs", "a_connection_of_age_is_renewed"),
        ("tests/exposed/resets.rs", "a_storm_of_resets_leaves_nothing_behind"),
        ("tests/exposed/heads.rs", "headers_that_never_end_are_not_waited_for"),
        ("src/receive/connection/tests.rs", "limits_are_told_at_the_start"),
        ("src/receive/connection/tests.rs", "a_client_that_answers_no_ping_is_given_up"),
    ]),
    line("PAY-1", "M", "unknown fields are ignored, and pass through in protobuf")
        .asked(all, |p, w| Box::pin(payload::unknown_fields(p, w))),
    line("PAY-2", "M", "attributes: empty, bytes, mixed arrays, nested lists; duplicate keys are the sender's")
        .asked(plain, |p, w| Box::pin(payload::values(p, w))),
    line("PAY-3", "", "`*_strindex` outside profiles is tolerated").asked(plain, |p, w| Box::pin(payload::strindex(p, w))),
    line("PAY-4", "M", "flag bits 10 to 31 are kept").asked(plain, |p, w| Box::pin(payload::flags(p, w))),
    line("JSON-1", "M", "ids are hexadecimal, in any case").shown(|p, w| examples(p, w, json::IDS)),
    line("JSON-2", "M", "other bytes are base64").shown(|p, w| examples(p, w, json::BYTES)),
    line("JSON-3", "M", "enums are integers; names are tolerated, never written")
        .shown(|p, w| examples(p, w, json::ENUMS))
        .held(&[("src/otlp/json/tests.rs", "a_line_is_spelled_as_the_collector_spells_it")]),
    line("JSON-4", "M", "unknown keys are ignored at any depth").shown(|p, w| examples(p, w, json::UNKNOWN)),
    line("JSON-5", "M", "keys are lowerCamelCase").shown(|p, w| examples(p, w, json::NAMES)),
    line("JSON-6", "M", "64-bit integers are strings or numbers, beyond 2^53 too; exponents").shown(|p, w| examples(p, w, json::INTEGERS)),
    line("JSON-7", "M", "NaN and Infinity are strings").shown(|p, w| examples(p, w, json::DOUBLES)),
    line("JSON-8", "M", "null is the same as nothing").shown(|p, w| examples(p, w, json::NULLS)),
    line("JSON-9", "M", "surrogate pairs are one character").shown(|p, w| examples(p, w, json::TEXTS)),
    line("JSON-10", "", "nesting has a limit").shown(|p, w| Box::pin(json::depth(p, w))),
    line("CLI-01", "M", "Content-Type and Content-Encoding are set").held(&[("tests/targets/bodies.rs", "the_stored_bytes_go_out")]),
    line("CLI-02", "M", "a limit on requests, before sending")
        .held(&[("src/deliver/tests/sizes.rs", "a_large_request_arrives_in_parts")])
        .note("The limit is the target's own: it is learned from its answers, and what is larger is cut."),
    line("CLI-03", "M", "a limit on responses, after decompression")
        .held(&[("tests/targets/answers.rs", "an_answer_is_read_to_its_limit")]),
    line("CLI-04", "S", "concurrent unary requests, configurable, over several connections").held(&[
        ("tests/targets/connections.rs", "requests_are_under_way_at_the_same_time"),
        ("tests/targets/connections.rs", "grpc_requests_are_spread_over_the_connections"),
        ("src/deliver/tests/load.rs", "a_hub_that_is_back_is_tried_with_single_requests"),
    ]),
    line("CLI-06", "S", "undelivered and dropped data is counted")
        .held(&[("src/deliver/tests/refusals.rs", "what_the_configuration_gives_up_is_counted")]),
    line("CLI-07", "M", "no retry after a populated partial success").held(&[
        ("src/deliver/tests/refusals.rs", "a_partial_success_is_final"),
        ("src/otlp/response.rs", "partial_successes_are_read_from_protobuf"),
    ]),
    line("CLI-08/09", "M", "the retryable gRPC and HTTP codes are retried, others are not")
        .held(&[
            ("src/target/classes.rs", "every_cell_of_the_table"),
            ("src/target/classes.rs", "every_grpc_code_has_a_row"),
            ("src/deliver/judge.rs", "the_letter_is_kept_to_the_letter"),
        ])
        .note(
            "By default what the specification calls not retryable is not thrown away on one answer. 400 and INVALID_ARGUMENT are final \
             only after the same target took another batch of that signal; 401, 403, 404, 405, 415 and their gRPC kin are held until the \
             endpoint is mended; 413 is cut; 500, 408, UNKNOWN and INTERNAL are tried three times. A batch that is given up is kept as a \
             dead letter. A compressed body that is answered 400, 415 or UNIMPLEMENTED is sent once more plain. `strict_otlp: true` drops \
             and counts what is not retryable, as the specification has it.",
        ),
    line("CLI-10", "M", "exponential backoff with jitter").held(&[
        ("src/deliver/backoff.rs", "waits_grow_to_the_cap_and_start_again"),
        ("src/deliver/backoff.rs", "a_servers_delay_is_a_floor"),
        ("src/deliver/jitter.rs", "draws_stay_in_range_and_repeat_with_the_seed"),
    ]),
    line("CLI-11", "M", "RetryInfo is a floor").held(&[("src/deliver/tests/load.rs", "a_servers_delay_is_kept")])
        .note("Capped at five minutes."),
    line("CLI-12", "M", "Retry-After: seconds, dates, garbage, negative, huge").held(&[
        ("src/otlp/hint.rs", "headers_as_servers_send_them"),
        ("src/otlp/class.rs", "a_delay_is_a_capped_floor"),
    ]),
    line("CLI-13", "S", "what was reset without an answer is sent again; jitter on connect").held(&[
        ("tests/targets/breaks.rs", "a_connection_that_is_cut"),
        ("src/deliver/tests/merge.rs", "only_what_may_be_at_fault_goes_alone"),
        ("src/deliver/tests/load.rs", "gateways_that_are_alike_do_not_wait_alike"),
    ]),
    line("CLI-14", "S", "connections are kept alive; HTTP/1.1 where there is no HTTP/2").held(&[
        ("tests/targets/connections.rs", "a_connection_is_kept_for_the_next_request"),
        ("tests/targets/connections.rs", "a_connection_that_went_silent_is_left"),
        ("tests/targets/certificates.rs", "without_http_2_it_is_http_1_1"),
    ]),
    line("CLI-16", "S", "several destinations: progress is kept for each")
        .held(&[("src/deliver/tests/failover.rs", "the_primary_has_everything_in_the_end")]),
    line("CLI-18", "S", "User-Agent spillway/VERSION").held(&[("tests/targets/bodies.rs", "the_stored_bytes_go_out")])
        .note("Over gRPC the library's name follows it."),
    line("CLI-20", "M", "OTEL_EXPORTER_OTLP_* describe the primary when no file does").held(&[
        ("src/config/environment/tests.rs", "variables_of_the_specification_describe_the_primary"),
        ("src/config/environment/tests.rs", "signals_that_differ_get_targets_of_their_own"),
        ("src/config/environment/tests.rs", "a_signals_own_variable_beats_the_one_for_all"),
        ("tests/config/environment.rs", "an_endpoint_is_enough"),
    ]),
];
