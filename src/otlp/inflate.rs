//! Compression of bodies: a whole-buffer inflater with a hard limit, and the deflater for what has to be compressed
//! again.
//!
//! Both keep their buffers between bodies, so that the hot path allocates nothing; one of each a worker is the
//! caller's affair. Neither knows what is inside a body.

use std::fmt;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

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

/// Length of a gzip member around its compressed data: a header of 10 bytes, then CRC-32 and ISIZE (RFC 1952).
const MIN_MEMBER: usize = 18;

/// A body, inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inflated<'a> {
    /// The plain bytes.
    pub bytes: &'a [u8],
    /// Whether the body was stored in the form in which a [`crate::batch::Batch`] may keep it: plain, or one gzip
    /// member. A body of several members has to be compressed again, since many receivers read only the first.
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
    /// It is no gzip, or damaged.
    Damaged {
        /// What is wrong, in English.
        what: String,
        /// Offset in the compressed body up to which it was readable, roughly.
        offset: usize,
    },
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::TooLarge { limit } => write!(f, "the request is larger than the limit of {limit} bytes"),
            InflateError::Damaged { what, offset } => {
                write!(f, "the gzip body is damaged: {what} (near byte {offset} of the compressed body)")
            }
        }
    }
}

impl std::error::Error for InflateError {}

/// Inflates one body after the other into the same buffer.
pub struct Inflater {
    decompressor: Decompressor,
    /// Grown on demand and always wholly initialised; its length says nothing about its contents.
    buffer: Vec<u8>,
    /// Bodies in a row that would have fitted into [`KEPT`].
    small_in_a_row: u32,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { decompressor: Decompressor::new(), buffer: Vec::new(), small_in_a_row: 0 }
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
    /// [`InflateError::TooLarge`] past the limit, [`InflateError::Damaged`] for anything that is not gzip to its end.
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
        }
    }

    /// Inflates into the buffer; returns the length and whether the body was one member.
    fn gunzip(&mut self, body: &[u8], limit: usize) -> Result<(usize, bool), InflateError> {
        let capacity = stated_len(body).unwrap_or(0).min(limit);
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

/// The inflated length that the trailer of a single member states. `None` when that cannot be true.
fn stated_len(body: &[u8]) -> Option<usize> {
    let stated = u32::from_le_bytes(*body.last_chunk()?) as usize;
    (stated <= body.len().saturating_mul(MAX_RATIO)).then_some(stated)
}

/// Whether `body`, whose first member inflated to `len` bytes, ends with that member.
///
/// A further member begins with the magic of RFC 1952, so a body without a second magic has none. A magic that is there
/// by chance is no harm: such a body is read once more, by the streaming inflater, which knows for sure.
fn is_one_member(body: &[u8], len: usize) -> bool {
    stated_len(body) == Some(len) && memchr::memmem::find(&body[MIN_MEMBER..], &[0x1f, 0x8b, 0x08]).is_none()
}

fn damaged(error: &io::Error, members: usize, offset: usize) -> InflateError {
    let mut what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends in the middle".to_owned(),
        _ => error.to_string(),
    };
    if members > 0 {
        what.push_str(&format!(", behind {members} sound gzip members"));
    }
    InflateError::Damaged { what, offset }
}

/// Compresses bodies that cannot go out as they came.
pub struct Deflater {
    compressor: Compressor,
    scratch: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Deflater {
        // Level 0 stores; 1 is the fastest that compresses.
        let level = CompressionLvl::new(1).expect("1 is a level of libdeflate");
        Deflater { compressor: Compressor::new(level), scratch: Vec::new() }
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
        let bound = self.compressor.gzip_compress_bound(plain.len());
        if self.scratch.len() < bound {
            self.scratch = vec![0; bound];
        }
        let len = self.compressor.gzip_compress(plain, &mut self.scratch).expect("the bound is an upper bound");
        let compressed = self.scratch[..len].to_vec();
        if self.scratch.len() > KEPT {
            self.scratch = Vec::new();
        }
        compressed
    }
}

#[cfg(test)]
mod tests;
