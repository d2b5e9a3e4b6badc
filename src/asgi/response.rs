//! The HTTP response of one connection, as far as it was sent: what becomes of each `send`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::connection::{Sent, disconnected};
use super::http::{HttpSendMessage, RequestFacts};
use super::order::{self, Step};
use crate::error::HandlerError;
use crate::exchange::{AppHalf, Mode, NoticeKind, ResponseHead};

/// Bytes after which a sender that waits for nobody lets the loop take a turn: some microseconds of work.
const TURN: usize = 256 * 1024;

/// So many messages after the last one are ignored, as the specification says. An application that has not stopped by then
/// never would, so it is told of its mistake, as uvicorn tells after the first.
const IGNORED: usize = 64;

/// See the module.
pub(super) struct Response {
    order: order::Http,
    /// The start, until the first body message: a whole response crosses to JavaScript once.
    held: Option<ResponseHead>,
    /// The body of a buffered response.
    collected: Vec<u8>,
    /// The most that it may be.
    collected_limit: usize,
    /// Bytes since the loop had a turn, of a body that waits for no reader.
    unyielded: usize,
    /// Messages after the last one.
    ignored: usize,
    trailers: Vec<u8>,
    is_head: bool,
}

impl Response {
    /// Nothing was sent.
    pub(super) fn new(facts: &RequestFacts, collected_limit: usize) -> Self {
        Self {
            order: order::Http::Idle,
            held: None,
            collected: Vec::new(),
            collected_limit,
            unyielded: 0,
            ignored: 0,
            trailers: Vec::new(),
            is_head: facts.is_head,
        }
    }

    /// Whether the last message was sent.
    pub(super) fn is_done(&self) -> bool {
        self.order == order::Http::Done
    }

    /// The application has ended: nothing more comes. Says how far it got.
    pub(super) fn abandon(&mut self) -> order::Http {
        self.held = None;
        self.order
    }

    /// Takes a message.
    ///
    /// # Errors
    /// `RuntimeError` out of order, [`super::connection::ClientDisconnected`] if nobody gets it.
    pub(super) fn send(&mut self, half: &AppHalf, message: HttpSendMessage) -> PyResult<Sent> {
        if !self.is_done() && half.is_disconnected() {
            return Err(disconnected());
        }
        match self.order.step(message.order()) {
            Step::Next(next) => self.order = next,
            Step::Ignored if self.ignored < IGNORED => {
                self.ignored += 1;
                return Ok(Sent::Turn);
            }
            Step::Ignored | Step::Refused => {
                return Err(PyRuntimeError::new_err(format!(
                    "unexpected ASGI message `{}`: expected `{}`",
                    message.name(),
                    self.order.expected()
                )));
            }
        }
        match message {
            HttpSendMessage::Start { head, .. } => {
                self.held = Some(head);
                return Ok(if half.mode == Mode::Stream { Sent::Held } else { Sent::Done });
            }
            HttpSendMessage::Body { body, .. } => return self.body(half, body),
            HttpSendMessage::Trailers { headers, .. } => {
                self.trailers.extend(headers);
                if self.is_done() {
                    half.notice(NoticeKind::Trailers, std::mem::take(&mut self.trailers));
                    self.finish(half);
                }
            }
            HttpSendMessage::ZeroCopySend { slice, .. } => {
                self.release_head(half);
                // Nobody takes it: dropped, it closes the descriptor.
                let room = self.is_head || half.file(slice);
                if self.is_done() {
                    self.finish(half);
                } else if !room {
                    return Ok(Sent::Full);
                }
            }
            HttpSendMessage::Notice(NoticeKind::PathSend, fields) => {
                self.release_head(half);
                if !self.is_head {
                    half.notice(NoticeKind::PathSend, fields);
                }
                if self.is_done() {
                    self.finish(half);
                }
            }
            HttpSendMessage::Notice(kind, fields) => half.notice(kind, fields),
        }
        Ok(Sent::Done)
    }

    /// Passes a part of the body on.
    fn body(&mut self, half: &AppHalf, mut body: Vec<u8>) -> PyResult<Sent> {
        let is_last = self.is_done();
        let length = body.len();
        if self.is_head {
            body = Vec::new();
        }
        if half.mode == Mode::Buffered {
            if self.collected.len() + body.len() > self.collected_limit {
                self.held = None;
                self.collected = Vec::new();
                half.exchange().give_up(HandlerError::ResponseTooLarge(self.collected_limit));
                return Err(disconnected());
            }
            if self.collected.is_empty() {
                self.collected = body;
            } else {
                self.collected.extend_from_slice(&body);
            }
            if is_last {
                self.finish(half);
                return Ok(Sent::Done);
            }
            return Ok(self.turn(length));
        }
        if is_last && let Some(head) = self.held.take() {
            half.respond(head, body);
            return Ok(Sent::Done);
        }
        self.release_head(half);
        let room = body.is_empty() || half.chunk(body);
        if is_last {
            half.finish();
            return Ok(Sent::Done);
        }
        if self.is_head {
            return Ok(self.turn(length));
        }
        Ok(if room { Sent::Done } else { Sent::Full })
    }

    /// Nothing holds the sender back: it lets the loop take a turn once in a while.
    fn turn(&mut self, bytes: usize) -> Sent {
        self.unyielded += bytes.max(1);
        if self.unyielded < TURN {
            return Sent::Done;
        }
        self.unyielded = 0;
        Sent::Turn
    }

    /// The response is complete.
    fn finish(&mut self, half: &AppHalf) {
        match self.held.take() {
            Some(head) => half.respond(head, std::mem::take(&mut self.collected)),
            None => half.finish(),
        }
    }

    /// Sends a start that was held: its body is long in coming, or does not come this way.
    pub(super) fn release_head(&mut self, half: &AppHalf) {
        if let Some(head) = self.held.take() {
            half.start(head);
        }
    }
}
