//! Sound, damaged, multi-member and oversized bodies.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

/// One gzip member by another compressor than ours.
fn member(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Compressible and incompressible contents, from nothing to a few KiB.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..3000),
        vec(proptest::sample::select(b"abc \n".as_slice()), 0..3000),
        (any::<u8>(), 0..20_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

proptest! {
    /// Contents compressed by ours and by another compressor at any level, one after the other through one inflater.
    /// Guarantees that what was compressed comes back, as one member, whatever the buffer held before.
    #[test]
    fn what_was_compressed_comes_back(contents in vec((content(), 0..10_u32), 1..6)) {
        let (mut inflater, mut deflater) = (Inflater::new(), Deflater::new());
        for (plain, level) in &contents {
            for body in [member(plain, *level), deflater.gzip(plain)] {
                let inflated = inflater.inflate(Encoding::Gzip, &body, LIMIT);
                prop_assert_eq!(inflated, Ok(Inflated { bytes: plain, single: true }));
            }
        }
    }

    /// Bodies of several members, empty and equal ones among them.
    /// Guarantees that all are read, and that the caller learns that there were several.
    #[test]
    fn members_are_read_to_the_last(contents in vec((content(), 0..10_u32), 1..5), again: bool) {
        let mut contents = contents;
        if again {
            contents.push(contents[0].clone());
        }
        let body: Vec<u8> = contents.iter().flat_map(|(plain, level)| member(plain, *level)).collect();
        let whole: Vec<u8> = contents.iter().flat_map(|(plain, _)| plain).copied().collect();
        let mut inflater = Inflater::new();
        let inflated = inflater.inflate(Encoding::Gzip, &body, LIMIT);
        prop_assert_eq!(inflated, Ok(Inflated { bytes: &whole, single: contents.len() == 1 }));
    }

    /// Bodies at, and one byte over, any limit, of one member and of two.
    /// Guarantees that the limit is exact and that the buffer stays near it.
    #[test]
    fn the_limit_is_exact(plain in content(), split: prop::sample::Index) {
        let split = split.index(plain.len() + 1);
        let two = [member(&plain[..split], 6), member(&plain[split..], 6)].concat();
        for body in [member(&plain, 6), two] {
            let mut inflater = Inflater::new();
            prop_assert_eq!(inflater.inflate(Encoding::Gzip, &body, plain.len()).unwrap().bytes, &plain);
            if let Some(limit) = plain.len().checked_sub(1) {
                let mut inflater = Inflater::new();
                prop_assert_eq!(inflater.inflate(Encoding::Gzip, &body, limit), Err(InflateError::TooLarge { limit }));
                prop_assert!(inflater.buffer.len() <= (limit + SLACK).next_multiple_of(GRAIN));
            }
        }
    }

    /// Bodies cut at any place, and with any bit flipped.
    /// Guarantees that damage is found, or was in bits that mean nothing; never a wrong content.
    #[test]
    fn damage_is_found(plain in content(), place: prop::sample::Index, bit in 0..8_u8) {
        let body = member(&plain, 6);
        let at = place.index(body.len());
        let mut inflater = Inflater::new();
        let cut = inflater.inflate(Encoding::Gzip, &body[..at], LIMIT);
        prop_assert!(matches!(cut, Err(InflateError::Damaged { .. })), "{:?}", cut);
        let mut flipped = body.clone();
        flipped[at] ^= 1 << bit;
        match inflater.inflate(Encoding::Gzip, &flipped, LIMIT) {
            Ok(inflated) => prop_assert_eq!(inflated.bytes, &plain),
            Err(InflateError::Damaged { .. }) => {}
            Err(InflateError::TooLarge { .. }) => {} // a flipped length inside the data may well ask for more
        }
    }
}

/// A hundred thousand bodies of each compression that were changed at random.
/// Guarantees that gzip is read as another inflater reads it, that no limit is passed, and that nothing panics.
#[test]
fn fuzz_compressed_bodies() {
    const LIMIT: usize = 20_000;
    let plain = [b"".to_vec(), b"a log record ".repeat(40), (0..=255).collect(), vec![7; 15_000]];
    let (mut inflater, mut other) = (Inflater::new(), Vec::new());
    let gzip: Vec<_> =
        (0..).step_by(3).take(4).flat_map(|level| plain.each_ref().map(|plain| member(plain, level.min(9)))).collect();
    crate::fuzzed::fuzz(&gzip, |body| {
        other.clear();
        let read = flate2::bufread::MultiGzDecoder::new(body).take(LIMIT as u64 + 1).read_to_end(&mut other);
        match inflater.inflate(Encoding::Gzip, body, LIMIT) {
            // libdeflate also reads two length symbols that RFC 1951 keeps back; the checksum holds for what it makes of them.
            Ok(inflated) => assert!(read.is_err() || inflated.bytes == other, "{body:02x?}"),
            Err(InflateError::TooLarge { .. }) => assert!(other.len() > LIMIT || read.is_err(), "{body:02x?}"),
            // What is damaged behind the limit may be called either.
            Err(InflateError::Damaged { .. }) => {
                assert!(read.is_err() || other.len() > LIMIT || body.is_empty(), "{body:02x?}");
            }
        }
    });
    let zstd: Vec<_> = plain.iter().flat_map(|plain| [frame(plain, true), frame(plain, false)]).collect();
    crate::fuzzed::fuzz(&zstd, |body| {
        if let Ok(inflated) = inflater.inflate(Encoding::Zstd, body, LIMIT) {
            assert!(inflated.bytes.len() <= LIMIT);
        }
    });
}

/// Bodies that are wrong in one way each.
/// Guarantees the sentence that the client's developer reads.
#[test]
fn damage_is_described() {
    let body = member(b"a log record", 6);
    let mut broken = body.clone();
    broken[body.len() - 5] ^= 1;
    let sentence = |body: &[u8]| Inflater::new().inflate(Encoding::Gzip, body, LIMIT).unwrap_err().to_string();
    for (body, words) in [
        (&b""[..], "the gzip body is damaged: it ends in the middle (near byte 0 of the compressed body)"),
        (&body[..20], "the gzip body is damaged: it ends in the middle (near byte 20 of the compressed body)"),
        (
            b"{\"resourceLogs\":[]}",
            "the gzip body is damaged: invalid gzip header (near byte 10 of the compressed body)",
        ),
        (
            &broken,
            "the gzip body is damaged: corrupt gzip stream does not have a matching checksum (near byte 32 of the compressed body)",
        ),
        (
            &[&*body, b"\n"].concat(),
            "the gzip body is damaged: it ends in the middle, behind 1 sound gzip members (near byte 33 of the compressed body)",
        ),
        (
            &[&*body, &[0; 32]].concat(),
            "the gzip body is damaged: invalid gzip header, behind 1 sound gzip members (near byte 42 of the compressed body)",
        ),
    ] {
        assert_eq!(sentence(body), words);
    }
}

/// A small body that inflates to 64 MiB, whole and with a trailer that lies about it.
/// Guarantees that inflating stops at the limit and that the buffer does not grow past it.
#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let mut bomb = member(&vec![0; 64 << 20], 9);
    for stated in [64 << 20, 0, 100, u32::MAX] {
        let trailer = bomb.len() - 4;
        bomb[trailer..].copy_from_slice(&stated.to_le_bytes());
        let mut inflater = Inflater::new();
        assert_eq!(inflater.inflate(Encoding::Gzip, &bomb, LIMIT), Err(InflateError::TooLarge { limit: LIMIT }));
        assert!(inflater.buffer.len() <= (LIMIT + SLACK).next_multiple_of(GRAIN));
    }
    assert_eq!(InflateError::TooLarge { limit: 7 }.to_string(), "the request is larger than the limit of 7 bytes");
}

/// A member whose content holds its own length, stored without compression.
/// Guarantees that a length by chance does not make two members of one.
#[test]
fn a_length_by_chance_is_no_end() {
    let plain = [100_u32.to_le_bytes(); 25].concat();
    let body = member(&plain, 0);
    let mut inflater = Inflater::new();
    assert_eq!(inflater.inflate(Encoding::Gzip, &body, LIMIT), Ok(Inflated { bytes: &plain, single: true }));
}

/// A sound member, and behind it what is no gzip but ends as the member does: with its length, or with its checksum and length.
/// Guarantees that it is refused, as it would be with any other end.
#[test]
fn what_ends_like_a_member_is_none() {
    for plain in [&b""[..], b"a log record", &[7; 3000]] {
        let body = member(plain, 6);
        for end in [4, 8, body.len() - 3] {
            let longer = [&body, &b"no gzip"[..], &body[body.len() - end..]].concat();
            let refused = Inflater::new().inflate(Encoding::Gzip, &longer, LIMIT).map(|inflated| inflated.single);
            assert!(matches!(refused, Err(InflateError::Damaged { .. })), "{refused:?}");
        }
    }
}

/// One zstd frame by another way than ours, with or without its length in its head.
fn frame(plain: &[u8], stated: bool) -> Vec<u8> {
    let mut zstd = CCtx::create();
    zstd.set_parameter(zstd_safe::CParameter::ContentSizeFlag(stated)).unwrap();
    let mut body = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    zstd.compress2(&mut body, plain).unwrap();
    body
}

proptest! {
    /// Contents as zstd, with and without their length, in one frame and in two, through one inflater.
    /// Guarantees that they come back, that two frames are told from one, and that the limit is exact.
    #[test]
    fn zstd_comes_back(contents in vec((content(), any::<bool>()), 1..6)) {
        let (mut inflater, mut deflater) = (Inflater::new(), Deflater::new());
        for (plain, stated) in &contents {
            let (head, tail) = plain.split_at(plain.len() / 3);
            let two = [frame(head, *stated), frame(tail, *stated)].concat();
            for (body, single) in [(frame(plain, *stated), true), (deflater.compress(Encoding::Zstd, plain), true), (two, false)] {
                let inflated = inflater.inflate(Encoding::Zstd, &body, plain.len());
                prop_assert_eq!(inflated, Ok(Inflated { bytes: plain, single }));
                if let Some(limit) = plain.len().checked_sub(1) {
                    let refused = Inflater::new().inflate(Encoding::Zstd, &body, limit).unwrap_err();
                    prop_assert_eq!(refused, InflateError::TooLarge { limit });
                }
            }
        }
    }

    /// Zstd bodies cut at any place, and with any byte changed.
    /// Guarantees that a cut is found, and that nothing panics or passes the limit.
    #[test]
    fn damaged_zstd_is_found(plain in content(), stated: bool, place: prop::sample::Index, byte: u8) {
        let mut body = frame(&plain, stated);
        let at = place.index(body.len());
        let cut = Inflater::new().inflate(Encoding::Zstd, &body[..at], LIMIT).map(|inflated| inflated.single);
        prop_assert!(matches!(cut, Err(InflateError::Damaged { .. })), "{:?}", cut);
        body[at] = byte;
        let mut inflater = Inflater::new();
        if let Ok(inflated) = inflater.inflate(Encoding::Zstd, &body, LIMIT) {
            prop_assert!(inflated.bytes.len() <= LIMIT);
        }
    }
}

/// Lines of a log in zstd, by ours and at the levels beside the one that decision 15 measured.
/// Guarantees that it is that one: larger than at 1, which takes twice the time, and smaller than at -2.
#[test]
fn zstd_is_made_at_the_level_that_was_chosen() {
    let line =
        |n: u32| format!("2026-11-22T11:{:02}:07Z level=info path=/v1/{} took={}us\n", n % 60, n % 37, n * 7919 % 4999);
    let plain: String = (0..5000).map(line).collect();
    let at = |level: i32| {
        let mut body = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
        CCtx::create().compress(&mut body, plain.as_bytes(), level).unwrap()
    };
    let ours = Deflater::new().compress(Encoding::Zstd, plain.as_bytes()).len();
    assert!(at(1) < ours && ours < at(-2), "{} {ours} {}", at(1), at(-2));
}

/// Small zstd frames that ask for windows up to 2 GiB, and a large one whose window is all of it.
/// Guarantees that they are read, and that those with more than receivers have to have are to be compressed again.
#[test]
fn a_window_that_few_have_is_not_passed_on() {
    let plain = b"a log record ".repeat(100);
    let mut body = frame(&plain, false);
    for (exponent, mantissa, single) in [(7, 0, true), (12, 7, true), (13, 0, true), (13, 1, false), (21, 0, false)] {
        body[5] = exponent << 3 | mantissa;
        let inflated = Inflater::new().inflate(Encoding::Zstd, &body, LIMIT).map(|inflated| inflated.single);
        assert_eq!(inflated, Ok(single), "2^{} and {mantissa}/8", 10 + exponent);
    }
    let large = vec![7; (8 << 20) + 1];
    let mut zstd = CCtx::create();
    for (len, single) in [(8 << 20, true), ((8 << 20) + 1, false)] {
        zstd.set_parameter(zstd_safe::CParameter::WindowLog(27)).unwrap();
        let mut body = Vec::with_capacity(zstd_safe::compress_bound(len));
        zstd.compress2(&mut body, &large[..len]).unwrap();
        assert_eq!(body[4] & ZSTD_SINGLE_SEGMENT, ZSTD_SINGLE_SEGMENT);
        assert_eq!(Inflater::new().inflate(Encoding::Zstd, &body, len).unwrap().single, single);
    }
}

/// A small zstd body that inflates to 64 MiB and says so, says nothing, or asks for a window of a gibibyte; and no zstd at all.
/// Guarantees that inflating stops at the limit, that the buffer does not grow past it, and the sentence for damage.
#[test]
fn a_zstd_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    let (said, unsaid) = (frame(&zeros, true), frame(&zeros, false));
    let mut wide = unsaid.clone();
    wide[5] = (30 - 10) << 3; // RFC 8878, 3.1.1.1.2: exponent and mantissa of the window
    for bomb in [said, unsaid, wide] {
        assert!(bomb.len() < 1 << 20, "{}", bomb.len());
        let mut inflater = Inflater::new();
        let refused = inflater.inflate(Encoding::Zstd, &bomb, LIMIT).map(|inflated| inflated.bytes.len());
        assert_eq!(refused, Err(InflateError::TooLarge { limit: LIMIT }));
        assert!(inflater.buffer.len() <= (LIMIT + SLACK).next_multiple_of(GRAIN));
    }
    for body in [&b""[..], b"{}", b"no zstd"] {
        let refused = Inflater::new().inflate(Encoding::Zstd, body, LIMIT).unwrap_err().to_string();
        assert!(refused.starts_with("the zstd body is damaged: "), "{refused}");
    }
}

/// Plain bodies on both sides of the limit.
/// Guarantees that they are handed back uncopied, and that the limit holds for them too.
#[test]
fn a_plain_body_is_handed_back() {
    let body = [7; 10];
    let mut inflater = Inflater::new();
    let inflated = inflater.inflate(Encoding::Identity, &body, 10).unwrap();
    assert!(std::ptr::eq(inflated.bytes, &body) && inflated.single);
    assert_eq!(inflater.inflate(Encoding::Identity, &body, 9), Err(InflateError::TooLarge { limit: 9 }));
}

/// One body of 16 MiB among small ones.
/// Guarantees that its buffer is kept for a while, and given back when it was not needed again.
#[test]
fn a_large_buffer_is_given_back() {
    let (mut inflater, mut deflater) = (Inflater::new(), Deflater::new());
    let (large, small) = (deflater.gzip(&vec![1; 16 << 20]), deflater.gzip(b"small"));
    assert!(deflater.scratch.len() <= KEPT);
    inflater.inflate(Encoding::Gzip, &large, 64 << 20).unwrap();
    for _ in 1..PATIENCE {
        inflater.inflate(Encoding::Gzip, &small, 64 << 20).unwrap();
        assert!(inflater.buffer.len() >= 16 << 20);
    }
    inflater.inflate(Encoding::Gzip, &small, 64 << 20).unwrap();
    assert!(inflater.buffer.len() <= KEPT);
}
