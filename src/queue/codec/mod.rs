//! The values on disk, one file a kind. Each begins with a version; integers are little-endian.
//!
//! Pure functions between bytes and words: no store, no clock.

pub(super) mod books;
pub(super) mod careful;
pub(super) mod letter;
pub(super) mod meta;
pub(super) mod parked;
pub(super) mod record;
pub(super) mod twin;

/// Why bytes from the store mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbled(pub(super) &'static str);

impl Garbled {
    /// Whole, but of a release after this one.
    pub(super) const NEWER: Garbled = Garbled("it was written by a newer release");
}

/// Reads integers off the front of a slice.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'b [u8], Garbled> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(Garbled("value is too short"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        let (head, tail) = self.0.split_first_chunk().ok_or(Garbled("value is too short"))?;
        self.0 = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Garbled> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Garbled> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Garbled> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Garbled> {
        self.array().map(u64::from_le_bytes)
    }
}
