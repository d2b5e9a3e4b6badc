//! The order of ASGI messages: one table for each protocol.
//!
//! A `send` is either legal in the present state and leads to the next one, or it is the application's
//! mistake and raises in it. After the end of a response further messages are ignored, as the HTTP
//! specification says ("any further messages on the channel will be ignored").
//!
//! ```text
//! http       Idle ─start─► Started ─body…─► Started ─last body─► Done
//!                                                   └ trailers announced ─► Trailers ─last trailers─► Done
//!            Idle: also early_hint, push, debug     Started: also early_hint, push; zerocopysend as a body,
//!            pathsend as the only one
//! websocket  Connecting ─accept─► Open ─send…─► Open ─close─► Done
//!                       ├close─► Done (403)
//!                       └http.response.start─► Denying ─body…─► Denying ─last body─► Done
//! lifespan   Starting ─startup.complete─► Running ─shutdown.complete or .failed─► Done
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
    /// `http.response.body`, `.zerocopysend`; whether more follows.
    Body {
        /// The `more_body` key.
        more: bool,
    },
    /// `http.response.pathsend`.
    Path,
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
    /// `lifespan.startup.complete`.
    StartupComplete,
    /// `lifespan.startup.failed`.
    StartupFailed,
    /// `lifespan.shutdown.complete` or `lifespan.shutdown.failed`.
    ShutdownDone,
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
        /// Whether a part of the body was sent.
        begun: bool,
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
            (Self::Idle, Send::Start { trailers }) => Step::Next(Self::Started { trailers, begun: false }),
            (Self::Idle, Send::Debug) => Step::Next(self),
            (Self::Idle | Self::Started { .. }, Send::EarlyHint | Send::Push) => Step::Next(self),
            (Self::Started { trailers, .. }, Send::Body { more: true }) => {
                Step::Next(Self::Started { trailers, begun: true })
            }
            (Self::Started { trailers: true, .. }, Send::Body { more: false })
            | (Self::Started { trailers: true, begun: false }, Send::Path) => Step::Next(Self::Trailers),
            (Self::Started { trailers: false, .. }, Send::Body { more: false })
            | (Self::Started { trailers: false, begun: false }, Send::Path)
            | (Self::Trailers, Send::Trailers { more: false }) => Step::Next(Self::Done),
            (Self::Trailers, Send::Trailers { more: true }) => Step::Next(self),
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

/// Where a WebSocket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebSocket {
    /// Neither accepted nor refused.
    Connecting,
    /// Accepted.
    Open,
    /// Refused with a response of the application's own, whose body is not complete.
    Denying,
    /// Closed or refused.
    Done,
}

impl WebSocket {
    /// The table. Unlike a response, a closed WebSocket ignores nothing: what is sent would be lost.
    pub(crate) fn step(self, send: Send) -> Step<Self> {
        match (self, send) {
            (Self::Connecting, Send::Accept) => Step::Next(Self::Open),
            (Self::Connecting, Send::Start { .. }) => Step::Next(Self::Denying),
            (Self::Open, Send::Message) | (Self::Denying, Send::Body { more: true }) => Step::Next(self),
            (Self::Connecting | Self::Open, Send::Close) | (Self::Denying, Send::Body { more: false }) => {
                Step::Next(Self::Done)
            }
            _ => Step::Refused,
        }
    }

    /// What the application should have sent.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Connecting => "websocket.accept, websocket.close or websocket.http.response.start",
            Self::Open => "websocket.send or websocket.close",
            Self::Denying => "websocket.http.response.body",
            Self::Done => "nothing: it is closed",
        }
    }
}

/// Where a lifespan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifespan {
    /// `lifespan.startup` was given, or is about to be.
    Starting,
    /// The startup is complete.
    Running,
    /// It has ended, or failed to start.
    Done,
}

impl Lifespan {
    /// The table.
    pub(crate) fn step(self, send: Send) -> Step<Self> {
        match (self, send) {
            (Self::Starting, Send::StartupComplete) => Step::Next(Self::Running),
            (Self::Starting, Send::StartupFailed) | (Self::Running, Send::ShutdownDone) => {
                Step::Next(Self::Done)
            }
            _ => Step::Refused,
        }
    }

    /// What the application should have sent.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Starting => "lifespan.startup.complete or lifespan.startup.failed",
            Self::Running => "lifespan.shutdown.complete or lifespan.shutdown.failed",
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
            (&[start], Ok(Http::Started { trailers: false, begun: false })),
            (&[start, Send::Body { more: true }], Ok(Http::Started { trailers: false, begun: true })),
            (&[start, Send::Body { more: true }, Send::Body { more: false }], Ok(Http::Done)),
            (&[Send::Body { more: false }], Err(0)),
            (&[start, start], Err(1)),
            (&[start, Send::Trailers { more: false }], Err(1)),
            (&[Send::EarlyHint, start, Send::EarlyHint], Ok(Http::Started { trailers: false, begun: false })),
            (&[start, Send::Path], Ok(Http::Done)),
            (&[start, Send::Body { more: true }, Send::Path], Err(2)),
            (&[start, Send::Debug], Err(1)),
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

    #[test]
    fn a_websocket_is_accepted_or_refused_once() {
        let table: &[(&[Send], Result<WebSocket, usize>)] = &[
            (&[Send::Accept, Send::Message, Send::Close], Ok(WebSocket::Done)),
            (&[Send::Close], Ok(WebSocket::Done)),
            (&[Send::Message], Err(0)),
            (&[Send::Accept, Send::Accept], Err(1)),
            (&[Send::Accept, Send::Start { trailers: false }], Err(1)),
            (&[Send::Start { trailers: false }, Send::Accept], Err(1)),
            (
                &[Send::Start { trailers: false }, Send::Body { more: true }, Send::Body { more: false }],
                Ok(WebSocket::Done),
            ),
            (&[Send::Accept, Send::Close, Send::Message], Err(2)),
        ];
        for (sends, expected) in table {
            let mut state = WebSocket::Connecting;
            let mut result = None;
            for (index, send) in sends.iter().enumerate() {
                match state.step(*send) {
                    Step::Next(next) => state = next,
                    _ => {
                        result = Some(index);
                        break;
                    }
                }
            }
            assert_eq!(result.map_or(Ok(state), Err), *expected, "{sends:?}");
        }
    }

    #[test]
    fn a_lifespan_starts_before_it_stops() {
        assert_eq!(Lifespan::Starting.step(Send::StartupComplete), Step::Next(Lifespan::Running));
        assert_eq!(Lifespan::Starting.step(Send::StartupFailed), Step::Next(Lifespan::Done));
        assert_eq!(Lifespan::Starting.step(Send::ShutdownDone), Step::Refused);
        assert_eq!(Lifespan::Running.step(Send::ShutdownDone), Step::Next(Lifespan::Done));
        assert_eq!(Lifespan::Running.step(Send::StartupComplete), Step::Refused);
    }

    use proptest::prelude::*;

    fn any_send() -> impl Strategy<Value = Send> {
        prop_oneof![
            any::<bool>().prop_map(|trailers| Send::Start { trailers }),
            any::<bool>().prop_map(|more| Send::Body { more }),
            Just(Send::Path),
            any::<bool>().prop_map(|more| Send::Trailers { more }),
            Just(Send::EarlyHint),
            Just(Send::Push),
            Just(Send::Debug),
            Just(Send::Accept),
            Just(Send::Message),
            Just(Send::Close),
            Just(Send::StartupComplete),
            Just(Send::StartupFailed),
            Just(Send::ShutdownDone),
        ]
    }

    /// What the history of a response allows, without a state: counted anew for each message.
    fn http_reference(history: &[Send], send: Send) -> Option<bool> {
        let started = history.iter().find_map(|sent| match sent {
            Send::Start { trailers } => Some(*trailers),
            _ => None,
        });
        let body_ended = history.iter().any(|sent| matches!(sent, Send::Body { more: false } | Send::Path));
        let trailers_ended = history.iter().any(|sent| matches!(sent, Send::Trailers { more: false }));
        let is_done = body_ended && (started == Some(false) || trailers_ended);
        if is_done {
            return None;
        }
        Some(match send {
            Send::Start { .. } | Send::Debug => started.is_none(),
            Send::EarlyHint | Send::Push => !body_ended,
            Send::Body { .. } => started.is_some() && !body_ended,
            Send::Path => {
                started.is_some()
                    && !history.iter().any(|sent| matches!(sent, Send::Body { .. } | Send::Path))
            }
            Send::Trailers { .. } => started == Some(true) && body_ended,
            _ => false,
        })
    }

    fn websocket_reference(history: &[Send], send: Send) -> bool {
        let has = |wanted: fn(&Send) -> bool| history.iter().any(wanted);
        let accepted = has(|sent| matches!(sent, Send::Accept));
        let denied = has(|sent| matches!(sent, Send::Start { .. }));
        let closed = has(|sent| matches!(sent, Send::Close | Send::Body { more: false }));
        !closed
            && match send {
                Send::Accept | Send::Start { .. } => !accepted && !denied,
                Send::Message => accepted,
                Send::Close => !denied,
                Send::Body { .. } => denied,
                _ => false,
            }
    }

    fn lifespan_reference(history: &[Send], send: Send) -> bool {
        match send {
            Send::StartupComplete | Send::StartupFailed => history.is_empty(),
            Send::ShutdownDone => history == [Send::StartupComplete],
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2048, ..ProptestConfig::default() })]

        #[test]
        fn any_sequence_of_a_response_goes_as_its_history_allows(sends in prop::collection::vec(any_send(), 0..24)) {
            let (mut state, mut history) = (Http::Idle, Vec::new());
            for send in sends {
                let step = state.step(send);
                match http_reference(&history, send) {
                    None => prop_assert_eq!(step, Step::Ignored),
                    Some(false) => prop_assert_eq!(step, Step::Refused),
                    Some(true) => match step {
                        Step::Next(next) => {
                            history.push(send);
                            state = next;
                        }
                        other => prop_assert!(false, "{:?} after {:?}: {:?}", send, history, other),
                    },
                }
            }
        }

        #[test]
        fn any_sequence_of_a_websocket_goes_as_its_history_allows(sends in prop::collection::vec(any_send(), 0..24)) {
            let (mut state, mut history) = (WebSocket::Connecting, Vec::new());
            for send in sends {
                match (state.step(send), websocket_reference(&history, send)) {
                    (Step::Next(next), true) => {
                        history.push(send);
                        state = next;
                    }
                    (Step::Refused, false) => {}
                    (step, allowed) => prop_assert!(false, "{:?} after {:?}: {:?}, {}", send, history, step, allowed),
                }
            }
        }

        #[test]
        fn any_sequence_of_a_lifespan_goes_as_its_history_allows(sends in prop::collection::vec(any_send(), 0..24)) {
            let (mut state, mut history) = (Lifespan::Starting, Vec::new());
            for send in sends {
                match (state.step(send), lifespan_reference(&history, send)) {
                    (Step::Next(next), true) => {
                        history.push(send);
                        state = next;
                    }
                    (Step::Refused, false) => {}
                    (step, allowed) => prop_assert!(false, "{:?} after {:?}: {:?}, {}", send, history, step, allowed),
                }
            }
        }
    }
}
