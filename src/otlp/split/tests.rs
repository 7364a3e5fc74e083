//! Parts against the generated decoder.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::otlp::samples::{Request, cases, damage, fragment, signal};

/// A length-delimited field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_key(number, wire::DELIMITED, &mut bytes);
    put_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A logs request: resources of that many bytes, each with scopes of that many records of these sizes.
fn logs(resources: usize, header: usize, scopes: usize, records: &[usize]) -> Vec<u8> {
    let records: Vec<u8> = records.iter().flat_map(|size| field(2, &field(3, &vec![b'x'; *size]))).collect();
    let scope = field(2, &[field(1, &field(1, b"scope")), records].concat());
    let resource = field(1, &field(1, &field(1, &vec![b'r'; header])));
    field(1, &[resource, scope.repeat(scopes)].concat()).repeat(resources)
}

proptest! {
    #![proptest_config(cases(3_000))]

    /// Random requests with every field of the schema, and limits from nothing to more than the whole.
    /// Guarantees that the items of the parts, each with its resource, scope and metric, are those of the whole in their order;
    /// that counts add up, no part is without an item, and repeated headers are bounded.
    #[test]
    fn the_parts_are_the_whole(signal in signal(), seed: u64, limit in prop_oneof![0..200_usize, 0..5_000_usize]) {
        let whole = Request::random(signal, seed);
        let bytes = whole.encode();
        let parts = split(signal, &bytes, limit).unwrap();
        let mut items = Vec::new();
        for part in &parts {
            let request = Request::decode(signal, &part.bytes).unwrap();
            prop_assert_eq!(request.items(), part.items as usize);
            prop_assert!(part.items > 0 || whole.items() == 0);
            items.extend(request.one_by_one());
        }
        prop_assert_eq!(items, whole.one_by_one());
        let together: usize = parts.iter().map(|part| part.bytes.len()).sum();
        prop_assert!(together <= 5 * bytes.len() + AROUND * 6 * parts.len(), "{together} of {}", bytes.len());
        if bytes.len() + AROUND * 5 <= limit {
            prop_assert_eq!(parts.len(), 1);
        }
    }

    /// Requests with light headers.
    /// Guarantees that no part of several items exceeds the limit, and that parts are filled: two neighbours do not fit into one.
    #[test]
    fn parts_keep_the_limit_and_fill_it(
        records in vec(1..400_usize, 1..60),
        (resources, scopes) in (1..4_usize, 1..4_usize),
        limit in 300..4_000_usize,
    ) {
        let parts = split(Signal::Logs, &logs(resources, 8, scopes, &records), limit).unwrap();
        for part in &parts {
            prop_assert!(part.bytes.len() <= limit || part.items == 1, "{} of {limit}", part.bytes.len());
        }
        for pair in parts.windows(2) {
            prop_assert!(pair[0].bytes.len() + pair[1].bytes.len() + 4 * AROUND > limit);
        }
    }

    /// Damaged requests, requests of another signal, and noise.
    /// Guarantees that nothing makes it panic, and that what the walk takes as a request is cut without losing an item.
    #[test]
    fn no_bytes_make_it_panic(
        signals in [signal(), signal()],
        seed: u64,
        damages in vec(damage(), 0..=3),
        noise in vec(fragment(), 0..9),
        limit in 0..500_usize,
    ) {
        let mut bytes = Request::random(signals[1], seed).encode();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        for bytes in [bytes, noise.concat()] {
            let parts = split(signals[0], &bytes, limit);
            if let Ok(found) = skim(signals[0], &bytes) {
                let items: u32 = parts.unwrap().iter().map(|part| part.items).sum();
                prop_assert_eq!(items, found.items);
            }
        }
    }
}

/// One record a part, where every message on the way carries a field that the schema does not know.
/// Guarantees that each part has each of them, once.
#[test]
fn unknown_fields_go_with_each_part() {
    let [request, resource, scope] =
        [b"of the request", &b"of the resource"[..], b"of the scope"].map(|x| field(900, x));
    let record = field(2, &[field(900, b"of the record"), field(3, b"INFO")].concat());
    let scope_logs = field(2, &[record.clone(), scope.clone(), record.clone()].concat());
    let bytes = [request.clone(), field(1, &[scope_logs, resource.clone()].concat())].concat();
    let parts = split(Signal::Logs, &bytes, 1).unwrap();
    let part = [request, field(1, &[resource, field(2, &[scope, record].concat())].concat())].concat();
    assert_eq!(parts, [Part { bytes: part.clone(), items: 1 }, Part { bytes: part, items: 1 }]);
}

/// Thousands of tiny records under a resource larger than the limit.
/// Guarantees that the resource is not repeated for each of them.
#[test]
fn a_huge_resource_is_not_repeated_for_each_tiny_item() {
    let bytes = logs(1, 100_000, 1, &[10; 10_000]);
    let parts = split(Signal::Logs, &bytes, 64 << 10).unwrap();
    let together: usize = parts.iter().map(|part| part.bytes.len()).sum();
    assert!(parts.len() > 1 && together <= 5 * bytes.len(), "{} parts, {together} bytes", parts.len());
}

/// A metric whose data came in two kinds, beside one of an unknown kind.
/// Guarantees that both stay whole, and that the one which displaces the other decides the count.
#[test]
fn a_metric_of_several_kinds_stays_whole() {
    let (points, point) = (field(1, b"").repeat(3), field(1, b""));
    let metrics = [field(2, &[field(5, &points), field(7, &point)].concat()), field(2, &field(77, &points))].concat();
    let bytes = field(1, &field(2, &metrics));
    assert_eq!(split(Signal::Metrics, &bytes, 1).unwrap(), [Part { bytes, items: 1 }]);
}

/// 20 MiB of records, and a limit of 4 MiB.
/// Guarantees five or six parts: it does not cut finer than asked.
#[test]
fn twenty_megabytes_in_parts_of_four() {
    let bytes = logs(4, 200, 5, &[1000; 1000]);
    assert!(bytes.len() > 19 << 20);
    let parts = split(Signal::Logs, &bytes, 4 << 20).unwrap();
    assert!((5..=6).contains(&parts.len()), "{}", parts.len());
    assert_eq!(parts.iter().map(|part| part.items).sum::<u32>(), 20_000);
}
