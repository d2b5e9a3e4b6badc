//! What JavaScript is told of a request, in order.

use super::FileSlice;
use crate::error::HandlerError;

/// The status and headers of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    /// 200–999, as the application gave it; 101 for an accepted WebSocket.
    pub(crate) status: u16,
    /// `name\nvalue\n` for each header, in order, repeats kept, bytes as the application gave them.
    pub(crate) headers: Vec<u8>,
}

/// One event of a request. Exactly one of `Complete`, `End`, `Closed` and `Failed` is the last.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The whole response at once.
    Complete {
        /// Its head.
        head: ResponseHead,
        /// Its body.
        body: Vec<u8>,
    },
    /// The head of a response whose body follows.
    Head(ResponseHead),
    /// A part of the body.
    Chunk(Vec<u8>),
    /// The body is complete.
    End,
    /// There is room for more request body, or the application asks for the first of it.
    Drain,
    /// A message of a WebSocket.
    Message {
        /// Whether it is text (UTF-8) or bytes.
        text: bool,
        /// The content.
        bytes: Vec<u8>,
    },
    /// The application closed the WebSocket.
    Closed {
        /// The close code.
        code: u16,
        /// The reason, UTF-8.
        reason: String,
    },
    /// A part of the body, to be read from a file.
    File(FileSlice),
    /// Something besides the body: early hints, a push, trailers, a whole file to send.
    Notice {
        /// Which.
        kind: NoticeKind,
        /// Its fields, latin-1: header lines, or JSON in ASCII.
        fields: Vec<u8>,
    },
    /// The request failed.
    Failed(HandlerError),
    /// A handler is ready (its application is imported), or not.
    Loaded(Result<(), HandlerError>),
    /// What the Python thread is doing, in words.
    Stack(String),
}

/// The kinds of [`Event::Notice`], and of what a caller can honour. The numbers are those of `lib/notice.js`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoticeKind {
    /// `http.response.early_hint`: a `link` header line for each.
    EarlyHint = 1,
    /// `http.response.push`: the path, then header lines.
    Push = 2,
    /// `http.response.trailers`: header lines.
    Trailers = 3,
    /// `http.response.pathsend`: `{ path }`.
    PathSend = 4,
    /// `http.response.zerocopysend`: an [`Event::File`].
    ZeroCopySend = 5,
    /// `http.response.debug`: the info.
    Debug = 6,
}

impl Event {
    /// Whether the request is over with this event.
    pub(crate) fn is_last(&self) -> bool {
        matches!(
            self,
            Self::Complete { .. }
                | Self::End
                | Self::Closed { .. }
                | Self::Failed(_)
                | Self::Loaded(_)
                | Self::Stack(_)
        )
    }
}
