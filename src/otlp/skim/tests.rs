//! The walk against the generated decoder, and what it says of faults.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::otlp::samples::{Request, cases, damage, fragment, signal};

/// Compares verdict and count with the generated decoder.
fn agrees(signal: Signal, bytes: &[u8]) -> Result<bool, TestCaseError> {
    match (skim(signal, bytes), Request::decode(signal, bytes)) {
        (Ok(found), Ok(request)) => prop_assert_eq!(found.items as usize, request.items()),
        (Err(malformed), Err(_)) => {
            let Place::Byte(offset) = malformed.place else { panic!("a place in bytes") };
            prop_assert!(offset < bytes.len());
            return Ok(false);
        }
        (found, decoded) => prop_assert!(false, "skim: {found:?}, decoder: {decoded:?}, {bytes:02x?}"),
    }
    Ok(true)
}

proptest! {
    #![proptest_config(cases(5_000))]

    /// Random requests with every field of the schema, whole and damaged in up to three ways.
    /// Guarantees the verdict and the count of the generated decoder.
    #[test]
    fn the_verdict_is_the_generated_decoders(signal in signal(), seed: u64, damages in vec(damage(), 0..=3)) {
        let mut bytes = Request::random(signal, seed).encode();
        prop_assert!(agrees(signal, &bytes)?);
        for damage in &damages {
            damage.apply(&mut bytes);
            agrees(signal, &bytes)?;
        }
    }

    /// Requests of one signal read as another, and noise.
    /// Guarantees the verdict of the generated decoder for bytes that never were such a request.
    #[test]
    fn foreign_bytes_get_the_same_verdict(signals in [signal(), signal()], seed: u64, noise in vec(fragment(), 0..9)) {
        agrees(signals[0], &Request::random(signals[1], seed).encode())?;
        agrees(signals[0], &noise.concat())?;
    }
}

/// A hundred thousand requests that were changed at random.
/// Guarantees the verdict and the count of the generated decoder.
#[test]
fn fuzz_the_walk() {
    let sound: Vec<_> = (0..60).map(|n| Request::random(Signal::ALL[n % 3], n as u64).encode()).collect();
    let (mut n, mut read) = (0, 0);
    crate::fuzzed::fuzz(&sound, |bytes| {
        n += 1;
        read += u32::from(agrees(Signal::ALL[n % 3], bytes).unwrap());
    });
    assert!(read > 1000 && n - read as usize > 1000, "{read} of {n} were requests: neither verdict is tested");
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(content);
    bytes
}

/// A logs request with one record that holds `record`.
fn log(record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record)))
}

/// A message of the common shapes for each signal: short and long strings, every type of value, packed lists, two-byte keys.
fn common_shapes() -> [(Signal, Vec<u8>); 3] {
    let pair = |value: &[u8]| [field(1, b"key"), field(2, value)].concat();
    let double = [0x21, 1, 2, 3, 4, 5, 6, 7, 8];
    let pairs =
        [&field(1, b"text")[..], &[0x18, 0xac, 0x02], &[0x10, 0x01], &double, &field(7, b"\xff"), &field(5, b"")]
            .map(|value| field(6, &pair(value)));
    let record = [&[0x10, 9][..], &field(3, b"INFO"), &field(5, &field(1, &[b'x'; 130])), &pairs.concat()].concat();
    let span = [&field(5, "é".as_bytes())[..], &[0x30, 2], &[0x85, 0x01, 1, 0, 0, 0], &field(15, &[0x18, 1])].concat();
    let buckets = field(8, &field(2, &[0, 0xac, 0x02]));
    let histogram = field(9, &field(1, &[field(6, &[1; 16]), field(7, &[2; 8])].concat()));
    let metrics = [field(2, &histogram), field(2, &field(10, &field(1, &buckets)))].concat();
    [
        (Signal::Logs, log(&record)),
        (Signal::Traces, field(1, &field(2, &field(2, &span)))),
        (Signal::Metrics, field(1, &field(2, &metrics))),
    ]
}

/// Those requests with each byte in turn replaced by every other value, left out, doubled, and cut off behind.
/// Guarantees that no shortcut of the walk takes what the generated decoder refuses, or the other way round.
#[test]
fn every_change_of_one_byte_gets_the_same_verdict() {
    for (signal, request) in common_shapes() {
        assert!(agrees(signal, &request).unwrap());
        for at in 0..request.len() {
            let mut changed = request.clone();
            for value in 0..=u8::MAX {
                changed[at] = value;
                agrees(signal, &changed).unwrap();
            }
            agrees(signal, &request[..at]).unwrap();
            agrees(signal, &[&request[..at], &request[at + 1..]].concat()).unwrap();
            agrees(signal, &[&request[..=at], &request[at..]].concat()).unwrap();
        }
    }
}

/// A pair whose key has a length of two bytes, made so that it looks like a short one to whoever reads only the first.
/// Guarantees that the shortcut for pairs is not fooled.
#[test]
fn a_long_key_is_not_taken_for_a_short_one() {
    let mut pair = vec![0x0a, 0x82, 0x01];
    pair.extend([b'k'; 129]);
    pair.extend([0x12, 2, 0x18, 5]);
    assert!(!agrees(Signal::Logs, &log(&field(6, &pair))).unwrap());
}

/// Bodies nested up to and past the limit, with known and unknown fields at the bottom.
/// Guarantees that the nesting limit is exactly that of the generated decoder.
#[test]
fn nesting_ends_where_the_generated_decoder_ends_it() {
    let bottoms: [&[u8]; 5] = [b"", b"\x0a\x01x", b"\xf8\x01\x00", b"\xf3\x01\xf4\x01", b"\x12\x00"];
    for list in [5, 6] {
        for levels in 0..60 {
            for bottom in bottoms {
                let nested = (0..levels).fold(bottom.to_vec(), |value, _| {
                    let element = if list == 5 { value } else { [b"\x0a\x01k", &*field(2, &value)].concat() };
                    field(list, &field(1, &element))
                });
                agrees(Signal::Logs, &log(&field(5, &nested))).unwrap();
                agrees(Signal::Logs, &log(&field(6, &field(2, &nested)))).unwrap();
            }
        }
    }
    let groups = |depth: usize| [[0xf3, 0x01].repeat(depth), [0xf4, 0x01].repeat(depth)].concat();
    for depth in 90..110 {
        agrees(Signal::Logs, &groups(depth)).unwrap();
        agrees(Signal::Logs, &log(&groups(depth))).unwrap();
    }
}

/// Metrics whose data are given twice, as one kind or as several.
/// Guarantees that points of a displaced kind are not counted, as the generated decoder drops them.
#[test]
fn the_last_kind_of_a_metric_counts() {
    let kinds = [5, 7, 9, 10, 11];
    let points = |kind, count| field(kind, &field(1, b"").repeat(count));
    for first in kinds {
        for second in kinds {
            for third in kinds {
                let metric = [points(first, 1), points(second, 2), points(third, 4)].concat();
                let request = field(1, &field(2, &[field(2, &metric), field(2, &points(5, 8))].concat()));
                assert!(agrees(Signal::Metrics, &request).unwrap());
            }
        }
    }
}

/// Requests that are wrong in one place each.
/// Guarantees the sentence that the client's developer reads: the field, what is wrong, and where.
#[test]
fn a_fault_is_described_where_it_lies() {
    let sentence = |bytes: &[u8]| skim(Signal::Logs, bytes).unwrap_err().to_string();
    let records = [field(2, &field(3, b"INFO")), field(2, &field(5, &field(1, b"caf\xe9")))].concat();
    let request = [field(1, b""), field(1, &[field(1, b""), field(2, b""), field(2, &records)].concat())].concat();
    assert_eq!(
        sentence(&request),
        "resource_logs[1].scope_logs[1].log_records[1].body.string_value: is a string, but not valid UTF-8 from \
         its byte 3 on (at byte 22 of the uncompressed body)"
    );
    assert_eq!(
        sentence(&log(b"\x09\x01\x02")),
        "resource_logs[0].scope_logs[0].log_records[0].time_unix_nano: should be 8 bytes long, but only 2 are left \
         (at byte 6 of the uncompressed body)"
    );
    assert_eq!(
        sentence(&request[..20]),
        "resource_logs[1]: should be 24 bytes long, but only 16 are left (at byte 2 of the uncompressed body)"
    );
    assert_eq!(
        sentence(b"{\"resourceLogs\":[]}"),
        "the request: looks like JSON, but came as protobuf; the content type decides (at byte 0 of the uncompressed \
         body)"
    );
}
