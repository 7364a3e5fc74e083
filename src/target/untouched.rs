//! Which failures say for certain that nobody looked at a request, so that it may go out again as if it never had.
//!
//! A server that renews its connections by age, or is told to end, costs no more than that: nothing failed, nothing is in
//! doubt. What has only probably not been looked at is a failure, and left to delivery.

use std::error::Error;

use h2::Reason;

use super::words;

/// How often one request is sent again. Whoever turns it away more often has other trouble than the age of a connection.
pub(super) const MOST: usize = 2;

/// Whether the connection ended before the request was on it, or the server said over HTTP/2 that it had not looked at it:
/// it came behind the last stream of a GOAWAY without an error (RFC 9113, 6.8), or its stream was refused (8.7).
///
/// `error` has to be of the time before the head of the answer.
pub(super) fn is_untouched(error: &(dyn Error + 'static)) -> bool {
    if words::cause::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled) {
        return true;
    }
    words::cause::<h2::Error>(error).filter(|error| error.is_remote()).is_some_and(|error| {
        // The library gives this error to no stream that the server counts among those it looked at.
        let left_behind = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
        left_behind || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
    })
}
