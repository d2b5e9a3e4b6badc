//! The order of ASGI messages: one table for each protocol.
//!
//! A `send` is either legal in the present state and leads to the next one, or it is the application's
//! mistake and raises in it. After the end of a response further messages are ignored, as the HTTP
//! specification says ("any further messages on the channel will be ignored").
//!
//! ```text
//! http       Idle ─start─► Started ─body…─► Started ─last body─► Done
//!                                                   └ trailers announced ─► Trailers ─last trailers─► Done
//!            Idle: also early_hint, push, debug      Started: also push; pathsend, zerocopysend as bodies
//! websocket  Connecting ─accept─► Open ─send…─► Open ─close─► Done
//!                       ├close─► Done (403)
//!                       └http.response.start─► Denying ─body…─► Denying ─last body─► Done
//! lifespan   Starting ─startup.complete─► Running ─shutdown.complete/failed─► Done
//!                     └startup.failed─► Done
//! ```
#![deny(unsafe_code)]

/// A message that an application sends, as far as its order is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Send {
    /// `http.response.start`; whether it announces trailers.
    Start {
        /// The `trailers` key.
        trailers: bool,
    },
    /// `http.response.body`, `.pathsend`, `.zerocopysend`; whether more follows.
    Body {
        /// The `more_body` key.
        more: bool,
    },
    /// `http.response.trailers`.
    Trailers {
        /// The `more_trailers` key.
        more: bool,
    },
    /// `http.response.early_hint`.
    EarlyHint,
    /// `http.response.push`.
    Push,
    /// `http.response.debug`.
    Debug,
    /// `websocket.accept`.
    Accept,
    /// `websocket.send`.
    Message,
    /// `websocket.close`.
    Close,
    /// `websocket.http.response.start`.
    DenialStart,
    /// `websocket.http.response.body`.
    DenialBody {
        /// The `more_body` key.
        more: bool,
    },
}

/// What comes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<State> {
    /// It counts, and this is the next state.
    Next(State),
    /// It is ignored.
    Ignored,
    /// It may not be sent now.
    Refused,
}

/// Where an HTTP response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    /// Nothing was sent.
    Idle,
    /// The start was sent.
    Started {
        /// Whether trailers were announced.
        trailers: bool,
    },
    /// The body is complete, the trailers are not.
    Trailers,
    /// The response is complete.
    Done,
}

impl Http {
    /// The table.
    pub(crate) fn step(self, send: Send) -> Step<Self> {
        match (self, send) {
            (Self::Done, _) => Step::Ignored,
            (Self::Idle, Send::Start { trailers }) => Step::Next(Self::Started { trailers }),
            (Self::Idle, Send::EarlyHint | Send::Push | Send::Debug) => Step::Next(self),
            (Self::Started { .. }, Send::Push | Send::Body { more: true }) => Step::Next(self),
            (Self::Started { trailers: true }, Send::Body { more: false }) => Step::Next(Self::Trailers),
            (Self::Started { trailers: false }, Send::Body { more: false }) => Step::Next(Self::Done),
            (Self::Trailers, Send::Trailers { more: true }) => Step::Next(self),
            (Self::Trailers, Send::Trailers { more: false }) => Step::Next(Self::Done),
            _ => Step::Refused,
        }
    }

    /// What the application should have sent.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Idle => "http.response.start",
            Self::Started { .. } => "http.response.body",
            Self::Trailers => "http.response.trailers",
            Self::Done => "nothing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sends: &[Send]) -> Result<Http, usize> {
        let mut state = Http::Idle;
        for (index, send) in sends.iter().enumerate() {
            match state.step(*send) {
                Step::Next(next) => state = next,
                Step::Ignored => {}
                Step::Refused => return Err(index),
            }
        }
        Ok(state)
    }

    #[test]
    fn a_response_goes_from_start_to_its_last_body() {
        let start = Send::Start { trailers: false };
        let table: &[(&[Send], Result<Http, usize>)] = &[
            (&[], Ok(Http::Idle)),
            (&[start], Ok(Http::Started { trailers: false })),
            (&[start, Send::Body { more: true }], Ok(Http::Started { trailers: false })),
            (&[start, Send::Body { more: true }, Send::Body { more: false }], Ok(Http::Done)),
            (&[Send::Body { more: false }], Err(0)),
            (&[start, start], Err(1)),
            (&[start, Send::Trailers { more: false }], Err(1)),
            (&[Send::EarlyHint, start, Send::EarlyHint], Err(2)),
            (&[start, Send::Body { more: false }, Send::Body { more: false }], Ok(Http::Done)),
            (&[start, Send::Body { more: false }, start], Ok(Http::Done)),
            (&[Send::Message], Err(0)),
        ];
        for (sends, expected) in table {
            assert_eq!(run(sends), *expected, "{sends:?}");
        }
    }

    #[test]
    fn announced_trailers_must_come() {
        let start = Send::Start { trailers: true };
        let body = Send::Body { more: false };
        assert_eq!(run(&[start, body]), Ok(Http::Trailers));
        assert_eq!(run(&[start, body, body]), Err(2));
        assert_eq!(run(&[start, body, Send::Trailers { more: true }]), Ok(Http::Trailers));
        assert_eq!(run(&[start, body, Send::Trailers { more: false }]), Ok(Http::Done));
    }
}
