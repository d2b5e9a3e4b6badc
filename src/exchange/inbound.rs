//! The request body, or a WebSocket's messages, on their way to the application.
//!
//! Written on the JS thread, read on the Python thread, behind the exchange's lock. The end and the
//! disconnect are states of their own: an empty chunk is no end.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{JOINED_INBOUND, MESSAGE_COST};

/// A chunk of a body, or a message of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Whether a WebSocket's message is text (UTF-8). Always false for a body.
    pub(crate) text: bool,
    /// The content.
    pub(crate) bytes: Bytes,
}

/// The client has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disconnect {
    /// A WebSocket's close code (RFC 6455 7.1.5): 1005 without one, 1006 for a broken connection.
    pub(crate) code: u16,
    /// A WebSocket's close reason.
    pub(crate) reason: String,
}

impl Disconnect {
    /// The connection ended without a close.
    pub(crate) fn broken() -> Self {
        Self { code: 1006, reason: String::new() }
    }
}

/// What the application's `receive` found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// A part of the body.
    Body {
        /// Its bytes; empty only for an empty body or at its end.
        bytes: Bytes,
        /// Whether more follows.
        more: bool,
    },
    /// A WebSocket's message.
    Message(Message),
    /// The client has gone.
    Disconnect(Disconnect),
    /// Nothing yet: the reader is noted and will be woken.
    Pending,
}

/// The state of the way in.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Above it the writer waits; below half of it, it goes on.
    mark: usize,
    queue: VecDeque<Message>,
    buffered: usize,
    ended: bool,
    end_taken: bool,
    disconnect: Option<Disconnect>,
    reader_waits: bool,
    writer_waits: bool,
    /// Whether the writer waits for the first reader that finds nothing.
    on_demand: bool,
    discarding: bool,
}

impl Inbound {
    /// An empty way in.
    pub(crate) fn new(mark: usize) -> Self {
        Self {
            mark,
            queue: VecDeque::new(),
            buffered: 0,
            ended: false,
            end_taken: false,
            disconnect: None,
            reader_waits: false,
            writer_waits: false,
            on_demand: false,
            discarding: false,
        }
    }

    /// An empty way in whose writer begins when a reader asks for the body: [`Self::take_writer`] tells.
    pub(crate) fn on_demand(mark: usize) -> Self {
        Self { writer_waits: true, on_demand: true, ..Self::new(mark) }
    }

    /// A way in that holds a complete body already.
    pub(crate) fn complete(body: Bytes, mark: usize) -> Self {
        let mut inbound = Self::new(mark);
        if !body.is_empty() {
            let message = Message { text: false, bytes: body };
            inbound.buffered = cost(&message);
            inbound.queue.push_back(message);
        }
        inbound.ended = true;
        inbound
    }

    /// Appends; says whether the writer may go on at once. Otherwise it is noted and [`Self::room`] frees it.
    pub(crate) fn write(&mut self, message: Message) -> bool {
        if self.ended || self.discarding || self.disconnect.is_some() {
            return true;
        }
        self.buffered += cost(&message);
        self.queue.push_back(message);
        self.writer_waits = self.buffered >= self.mark;
        !self.writer_waits
    }

    /// The body is complete.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The client has gone. The first call counts.
    pub(crate) fn disconnect(&mut self, disconnect: Disconnect) {
        self.disconnect.get_or_insert(disconnect);
    }

    /// Whether the client has gone.
    pub(crate) fn is_disconnected(&self) -> bool {
        self.disconnect.is_some()
    }

    /// Nobody will read the rest: drops what waits, and what is written later.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
        self.queue = VecDeque::new();
        self.buffered = 0;
    }

    /// Whether a reader waits; it is then woken by the caller and no longer noted.
    pub(crate) fn take_reader(&mut self) -> bool {
        std::mem::take(&mut self.reader_waits)
    }

    /// Whether a writer waits and may go on; it is then no longer noted.
    pub(crate) fn take_writer(&mut self) -> bool {
        let has_room = if self.on_demand { self.reader_waits } else { self.buffered <= self.mark / 2 };
        let free = self.writer_waits && (self.discarding || self.disconnect.is_some() || has_room);
        if free {
            self.writer_waits = false;
            self.on_demand = false;
        }
        free
    }

    /// The next `http.request`, small chunks joined.
    pub(crate) fn take_body(&mut self) -> Take {
        if let Some(disconnect) = &self.disconnect {
            return Take::Disconnect(disconnect.clone());
        }
        if self.queue.is_empty() {
            if !self.ended {
                self.reader_waits = true;
                return Take::Pending;
            }
            if self.end_taken {
                // The request was delivered whole: `http.request` never comes twice. What is left is the disconnect.
                self.reader_waits = true;
                return Take::Pending;
            }
        }
        let bytes = self.join_chunks();
        let more = !(self.ended && self.queue.is_empty());
        self.end_taken = !more;
        Take::Body { bytes, more }
    }

    /// The next WebSocket message; a disconnect only after all that was sent before it.
    pub(crate) fn take_message(&mut self) -> Take {
        if let Some(message) = self.queue.pop_front() {
            self.buffered -= cost(&message);
            return Take::Message(message);
        }
        if let Some(disconnect) = &self.disconnect {
            return Take::Disconnect(disconnect.clone());
        }
        self.reader_waits = true;
        Take::Pending
    }

    /// One chunk as it is, or small ones joined up to the mark.
    fn join_chunks(&mut self) -> Bytes {
        let mut length = 0;
        let mut count = 0;
        for message in &self.queue {
            if count > 0 && length + message.bytes.len() > JOINED_INBOUND {
                break;
            }
            length += message.bytes.len();
            count += 1;
        }
        let mut chunks = self.queue.drain(..count);
        let joined = match count {
            0 | 1 => chunks.next().map_or_else(Bytes::new, |only| only.bytes),
            _ => {
                let mut joined = BytesMut::with_capacity(length);
                chunks.for_each(|message| joined.extend_from_slice(&message.bytes));
                joined.freeze()
            }
        };
        self.buffered -= length + count * MESSAGE_COST;
        joined
    }
}

/// What a chunk or message counts.
fn cost(message: &Message) -> usize {
    message.bytes.len() + MESSAGE_COST
}
