//! The WebSocket of one connection, as far as it got: what becomes of each `receive` and `send`.

use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::connection::{Sent, disconnected};
use super::order::{self, Step};
use super::websocket::{WebSocketReceiveMessage, WebSocketSendMessage};
use crate::exchange::{AppHalf, Disconnect, ResponseHead, Take};

/// See the module.
pub(super) struct Session {
    order: order::WebSocket,
    connect_given: bool,
    /// The start of a denial, until its first body message.
    held: Option<ResponseHead>,
    /// How the application closed it.
    closed: Option<Disconnect>,
    disconnect_given: bool,
    /// Once the client has gone: when the application last took what it had not had before.
    taken: Option<Instant>,
}

impl Session {
    /// Nothing happened.
    pub(super) fn new() -> Self {
        Self {
            order: order::WebSocket::Connecting,
            connect_given: false,
            held: None,
            closed: None,
            disconnect_given: false,
            taken: None,
        }
    }

    /// Whether it is accepted, and neither closed nor refused.
    pub(super) fn is_open(&self) -> bool {
        self.order == order::WebSocket::Open
    }

    /// Whether it is closed or refused.
    pub(super) fn is_done(&self) -> bool {
        self.order == order::WebSocket::Done
    }

    /// The application has ended. Says how far it got.
    pub(super) fn abandon(&mut self) -> order::WebSocket {
        self.held = None;
        std::mem::replace(&mut self.order, order::WebSocket::Done)
    }

    /// The client has gone: from now on it counts when the application takes something.
    pub(super) fn begin_grace(&mut self) {
        self.taken = Some(Instant::now());
    }

    /// For how long the application has taken nothing since the client has gone.
    pub(super) fn untouched(&self) -> Duration {
        self.taken.map_or(Duration::MAX, |taken| taken.elapsed())
    }

    /// The next message, or `None` if there is none yet.
    pub(super) fn receive(&mut self, half: &AppHalf) -> Option<WebSocketReceiveMessage> {
        let message = self.next(half)?;
        let is_repeated = matches!(message, WebSocketReceiveMessage::Disconnect(_))
            && std::mem::replace(&mut self.disconnect_given, true);
        if !is_repeated && let Some(taken) = &mut self.taken {
            *taken = Instant::now();
        }
        Some(message)
    }

    fn next(&mut self, half: &AppHalf) -> Option<WebSocketReceiveMessage> {
        if !self.connect_given {
            self.connect_given = true;
            return Some(WebSocketReceiveMessage::Connect);
        }
        if let Some(closed) = &self.closed {
            return Some(WebSocketReceiveMessage::Disconnect(closed.clone()));
        }
        match half.take() {
            Take::Message(message) => Some(WebSocketReceiveMessage::Receive(message)),
            Take::Disconnect(disconnect) => Some(WebSocketReceiveMessage::Disconnect(disconnect)),
            Take::Body { .. } | Take::Pending => None,
        }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// `RuntimeError` out of order, [`super::connection::ClientDisconnected`] if nobody gets it.
    pub(super) fn send(&mut self, half: &AppHalf, message: WebSocketSendMessage) -> PyResult<Sent> {
        if half.is_disconnected() {
            return Err(disconnected());
        }
        let was_open = self.is_open();
        match self.order.step(message.order()) {
            Step::Next(next) => self.order = next,
            Step::Ignored | Step::Refused => {
                return Err(PyRuntimeError::new_err(format!(
                    "unexpected ASGI message `{}`: expected {}",
                    message.name(),
                    self.order.expected()
                )));
            }
        }
        match message {
            WebSocketSendMessage::Accept(head) => half.start(head),
            WebSocketSendMessage::Send(message) => {
                return Ok(if half.message(message.text, message.bytes.into()) {
                    Sent::Done
                } else {
                    Sent::Full
                });
            }
            WebSocketSendMessage::Close { code, reason } => {
                self.closed = Some(Disconnect { code, reason: reason.clone() });
                if was_open {
                    half.closed(code, reason);
                } else {
                    // Refused before the accept: HTTP 403, says the specification.
                    half.respond(ResponseHead { status: 403, headers: Vec::new() }, Vec::new());
                }
            }
            WebSocketSendMessage::DenialStart(head) => self.held = Some(head),
            WebSocketSendMessage::DenialBody { body, .. } => return Ok(self.denial_body(half, body)),
        }
        Ok(Sent::Done)
    }

    fn denial_body(&mut self, half: &AppHalf, body: Vec<u8>) -> Sent {
        let is_last = self.is_done();
        if is_last {
            self.closed = Some(Disconnect { code: 1006, reason: String::new() });
        }
        match self.held.take() {
            Some(head) if is_last => {
                half.respond(head, body);
                return Sent::Done;
            }
            Some(head) => half.start(head),
            None => {}
        }
        let room = body.is_empty() || half.chunk(body);
        if is_last {
            half.finish();
        }
        if room || is_last { Sent::Done } else { Sent::Full }
    }
}
