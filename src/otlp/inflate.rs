//! Compression of bodies: a whole-buffer inflater with a hard limit, and the deflater for what has to be compressed
//! again.
//!
//! Both keep their buffers between bodies, so that the hot path allocates nothing; one of each a worker is the
//! caller's affair. Neither knows what is inside a body.

use std::fmt;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};
use zstd_safe::{CCtx, DCtx};

use crate::batch::Encoding;

/// Room behind the expected end of the output. libdeflate leaves its fast loop when less than this is left.
const SLACK: usize = 512;

/// The buffer grows in steps of this, so that slightly larger bodies do not each want a new one.
const GRAIN: usize = 64 << 10;

/// DEFLATE cannot do better than this (zlib's technical notes: 258 bytes for 2 bits); a trailer that promises more lies.
const MAX_RATIO: usize = 1032;

/// What an output buffer may hold on to between bodies, in bytes.
const KEPT: usize = 4 << 20;

/// A larger buffer is given back after this many bodies in a row that did not need it.
const PATIENCE: u32 = 64;

/// A zstd body that does not state its length is first tried in a buffer of so many times its own.
const USUAL_RATIO: usize = 8;

/// What libzstd calls an output buffer that does not suffice (`ZSTD_error_dstSize_tooSmall`).
const ZSTD_TOO_SMALL: &str = "Destination buffer is too small";

/// The first of the levels that trade size for time: against level 1 half of the time, for 3 to 12 % more bytes (`--bench wire -- --pack`).
const ZSTD_LEVEL: i32 = -1;

/// The largest window that a receiver of a zstd body has to have (RFC 9659).
const ZSTD_WINDOW: u64 = 8 << 20;

/// Flag of a zstd frame whose window is all of its content (RFC 8878, 3.1.1.1.1).
const ZSTD_SINGLE_SEGMENT: u8 = 1 << 5;

/// What a gzip member begins with at least, and the length that it ends with, in bytes (RFC 1952).
const GZIP_HEAD: usize = 10;
const GZIP_LEN: usize = 4;

/// A body, inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inflated<'a> {
    /// The plain bytes.
    pub bytes: &'a [u8],
    /// Whether the body was stored in the form in which a [`crate::batch::Batch`] may keep it: plain, one gzip member, or one zstd
    /// frame with a window that every receiver has. Any other has to be compressed again, since many receivers read only the first
    /// of several.
    pub single: bool,
}

/// Why a body could not be inflated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InflateError {
    /// It inflates to more than `limit` bytes; it was given up there.
    TooLarge {
        /// The limit it was measured against, in bytes.
        limit: usize,
    },
    /// It is not what its encoding says, or damaged.
    Damaged {
        /// What it was said to be.
        encoding: Encoding,
        /// What is wrong and where, in English.
        what: String,
    },
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::TooLarge { limit } => write!(f, "the request is larger than the limit of {limit} bytes"),
            InflateError::Damaged { encoding, what } => {
                write!(f, "the {} body is damaged: {what}", encoding.as_str())
            }
        }
    }
}

impl std::error::Error for InflateError {}

/// Inflates one body after the other into the same buffer.
pub struct Inflater {
    decompressor: Decompressor,
    /// Made for the first zstd body.
    zstd: Option<DCtx<'static>>,
    /// Grown on demand and always wholly initialised; its length says nothing about its contents.
    buffer: Vec<u8>,
    /// Bodies in a row that would have fitted into [`KEPT`].
    small_in_a_row: u32,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { decompressor: Decompressor::new(), zstd: None, buffer: Vec::new(), small_in_a_row: 0 }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("buffer", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Inflater {
    /// An inflater without a buffer yet.
    pub fn new() -> Inflater {
        Inflater::default()
    }

    /// Inflates `body`, to at most `limit` bytes. An uncompressed body is returned as it is.
    ///
    /// # Errors
    /// [`InflateError::TooLarge`] past the limit, [`InflateError::Damaged`] for anything that is not what `encoding` says to its end.
    pub fn inflate<'a>(
        &'a mut self,
        encoding: Encoding,
        body: &'a [u8],
        limit: usize,
    ) -> Result<Inflated<'a>, InflateError> {
        match encoding {
            Encoding::Identity if body.len() > limit => Err(InflateError::TooLarge { limit }),
            Encoding::Identity => Ok(Inflated { bytes: body, single: true }),
            Encoding::Gzip => {
                let (len, single) = self.gunzip(body, limit)?;
                Ok(Inflated { bytes: &self.buffer[..len], single })
            }
            Encoding::Zstd => {
                let (len, single) = self.unzstd(body, limit)?;
                Ok(Inflated { bytes: &self.buffer[..len], single })
            }
        }
    }

    /// Inflates into the buffer; returns the length and whether the body was one member.
    fn gunzip(&mut self, body: &[u8], limit: usize) -> Result<(usize, bool), InflateError> {
        let capacity = gzip_len(body).unwrap_or(0).min(limit);
        self.give_back(capacity);
        self.reserve(capacity);
        match self.decompressor.gzip_decompress(body, &mut self.buffer[..capacity + SLACK]) {
            Ok(len) if len > limit => Err(InflateError::TooLarge { limit }),
            Ok(len) if is_one_member(body, len) => Ok((len, true)),
            Err(DecompressionError::InsufficientSpace) if capacity == limit => Err(InflateError::TooLarge { limit }),
            // Several members, or something is wrong. The streaming inflater, slower, reads all and says what.
            Ok(_) | Err(_) => self.gunzip_streaming(body, limit),
        }
    }

    /// Inflates member after member, to the end of `body`.
    fn gunzip_streaming(&mut self, body: &[u8], limit: usize) -> Result<(usize, bool), InflateError> {
        let (mut rest, mut len, mut members) = (body, 0, 0_usize);
        while members == 0 || !rest.is_empty() {
            let mut member = GzDecoder::new(rest);
            loop {
                if len > limit {
                    return Err(InflateError::TooLarge { limit });
                }
                if len == self.buffer.len() {
                    self.buffer.resize((2 * len).clamp(SLACK, limit + SLACK), 0);
                }
                match member.read(&mut self.buffer[len..]) {
                    Ok(0) => break,
                    Ok(read) => len += read,
                    Err(error) => return Err(damaged(&error, members, body.len() - member.into_inner().len())),
                }
            }
            rest = member.into_inner();
            members += 1;
        }
        Ok((len, members == 1))
    }

    /// Inflates frame after frame into the buffer, each in one pass: so no window is allocated, however large a one a frame asks
    /// for. A body that does not state its length is begun anew in a larger buffer, until it fits.
    fn unzstd(&mut self, body: &[u8], limit: usize) -> Result<(usize, bool), InflateError> {
        let damaged = |what: &str| InflateError::Damaged { encoding: Encoding::Zstd, what: what.to_owned() };
        if body.is_empty() {
            return Err(damaged("it is empty"));
        }
        let mut capacity = match stated_len(Encoding::Zstd, body) {
            Some(stated) if stated > limit => return Err(InflateError::TooLarge { limit }),
            Some(stated) => stated,
            None => self.buffer.len().max(body.len().saturating_mul(USUAL_RATIO)).min(limit),
        };
        self.give_back(capacity);
        loop {
            self.reserve(capacity);
            let zstd = self.zstd.get_or_insert_with(DCtx::create);
            match zstd.decompress(&mut self.buffer[..capacity + SLACK], body) {
                Ok(len) if len > limit => return Err(InflateError::TooLarge { limit }),
                Ok(len) => {
                    let one = zstd_safe::find_frame_compressed_size(body) == Ok(body.len());
                    return Ok((len, one && zstd_window(body).is_some_and(|window| window <= ZSTD_WINDOW)));
                }
                Err(code) => match zstd_safe::get_error_name(code) {
                    ZSTD_TOO_SMALL if capacity >= limit => return Err(InflateError::TooLarge { limit }),
                    ZSTD_TOO_SMALL => capacity = (2 * (capacity + SLACK)).min(limit),
                    what => return Err(damaged(what)),
                },
            }
        }
    }

    fn reserve(&mut self, capacity: usize) {
        if self.buffer.len() < capacity + SLACK {
            // A fresh vector of zeros, since the allocator has zeroed pages at hand and nothing needs to be copied.
            self.buffer = vec![0; (capacity + SLACK).next_multiple_of(GRAIN)];
        }
    }

    /// Frees an unusually large buffer once a row of bodies did without it.
    fn give_back(&mut self, capacity: usize) {
        let small = capacity + SLACK <= KEPT;
        self.small_in_a_row = if small { self.small_in_a_row + 1 } else { 0 };
        if self.small_in_a_row >= PATIENCE {
            self.small_in_a_row = 0;
            if self.buffer.len() > KEPT {
                self.buffer = Vec::new();
            }
        }
    }
}

/// What a compressed body says of its inflated length, in bytes: that of its only gzip member or its first zstd frame. It may lie.
/// `None` where it says nothing, or what cannot be true.
pub fn stated_len(encoding: Encoding, body: &[u8]) -> Option<usize> {
    match encoding {
        Encoding::Identity => Some(body.len()),
        Encoding::Gzip => gzip_len(body),
        Encoding::Zstd => usize::try_from(zstd_safe::get_frame_content_size(body).ok()??).ok(),
    }
}

/// The inflated length that the trailer of a single member states. `None` when that cannot be true.
fn gzip_len(body: &[u8]) -> Option<usize> {
    let stated = u32::from_le_bytes(*body.last_chunk()?) as usize;
    (stated <= body.len().saturating_mul(MAX_RATIO)).then_some(stated)
}

/// Whether `body`, whose first member inflated to `len` bytes, ends with that member.
///
/// Each member ends with its length. So where more follows that ends alike, be it another member or no gzip at all, the length stands
/// in the body once more. A length that is there by chance is no harm: such a body is read again, by the streaming inflater,
/// which knows for sure.
fn is_one_member(body: &[u8], len: usize) -> bool {
    gzip_len(body) == Some(len) && {
        let (before, stated) = body.split_at(body.len() - GZIP_LEN);
        memchr::memmem::find(&before[GZIP_HEAD..], stated).is_none()
    }
}

/// The window that the first frame of a sound zstd body asks its receivers to keep, in bytes (RFC 8878, 3.1.1.1).
fn zstd_window(body: &[u8]) -> Option<u64> {
    let (descriptor, window) = (*body.get(4)?, *body.get(5)?);
    if descriptor & ZSTD_SINGLE_SEGMENT != 0 {
        return zstd_safe::get_frame_content_size(body).ok()?;
    }
    let base = 1 << (10 + (window >> 3));
    Some(base + base / 8 * u64::from(window & 7))
}

fn damaged(error: &io::Error, members: usize, offset: usize) -> InflateError {
    let mut what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends in the middle".to_owned(),
        _ => error.to_string(),
    };
    if members > 0 {
        what.push_str(&format!(", behind {members} sound gzip members"));
    }
    what.push_str(&format!(" (near byte {offset} of the compressed body)"));
    InflateError::Damaged { encoding: Encoding::Gzip, what }
}

/// Compresses bodies that cannot go out as they came.
pub struct Deflater {
    compressor: Compressor,
    /// Made for the first zstd body.
    zstd: Option<CCtx<'static>>,
    scratch: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Deflater {
        // Level 0 stores; 1 is the fastest that compresses.
        let level = CompressionLvl::new(1).expect("1 is a level of libdeflate");
        Deflater { compressor: Compressor::new(level), zstd: None, scratch: Vec::new() }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("scratch", &self.scratch.len()).finish_non_exhaustive()
    }
}

impl Deflater {
    /// A deflater without a buffer yet.
    pub fn new() -> Deflater {
        Deflater::default()
    }

    /// Compresses `plain` to one gzip member.
    pub fn gzip(&mut self, plain: &[u8]) -> Vec<u8> {
        self.compress(Encoding::Gzip, plain)
    }

    /// Puts `plain` into the form that `encoding` names: a copy, one gzip member, or one zstd frame.
    pub fn compress(&mut self, encoding: Encoding, plain: &[u8]) -> Vec<u8> {
        let bound = match encoding {
            Encoding::Identity => return plain.to_vec(),
            Encoding::Gzip => self.compressor.gzip_compress_bound(plain.len()),
            Encoding::Zstd => zstd_safe::compress_bound(plain.len()),
        };
        if self.scratch.len() < bound {
            self.scratch = vec![0; bound];
        }
        let len = match encoding {
            Encoding::Zstd => {
                let zstd = self.zstd.get_or_insert_with(CCtx::create);
                zstd.compress(self.scratch.as_mut_slice(), plain, ZSTD_LEVEL).ok()
            }
            Encoding::Gzip | Encoding::Identity => self.compressor.gzip_compress(plain, &mut self.scratch).ok(),
        };
        let len = len.expect("the bound is an upper bound");
        let compressed = self.scratch[..len].to_vec();
        if self.scratch.len() > KEPT {
            self.scratch = Vec::new();
        }
        compressed
    }
}

#[cfg(test)]
mod tests;
