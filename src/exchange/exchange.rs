//! One request, seen from both threads.
//!
//! The JS thread holds it while the request is in flight (to write, to disconnect); the Python thread
//! holds its [`AppHalf`] while the application runs. It settles exactly once: by a last event, or by
//! the JS side that gave it up. Dropping the application's half unsettled settles it with an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::sync::Mutex;

use crate::error::HandlerError;

use super::event::NoticeKind;
use super::inbound::Inbound;
use super::{
    CompletionQueue, Disconnect, Event, FileSlice, LoopMessage, LoopQueue, MESSAGE_COST, Message,
    ResponseHead, SyncReply, Take,
};

/// Names a request among those of its Node environment. Never used twice, so a late event finds nobody.
pub(crate) type ExchangeId = u64;

/// How the caller wants the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One event with the whole body.
    Buffered,
    /// The head as soon as it is there, the body in parts, a window between.
    Stream,
    /// A WebSocket.
    WebSocket,
}

/// What a caller can honour besides a response: a set of [`NoticeKind`]s, as bits. Bit 0: it gives the body when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities(pub(crate) u32);

impl Capabilities {
    /// Whether `kind` is among them.
    pub(crate) fn has(self, kind: NoticeKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }

    /// Whether the body is written from the first [`Event::Drain`] on, which comes when the application asks for it.
    pub(crate) fn has_body_on_demand(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Where the events go.
pub(crate) enum Delivery {
    /// To a Node environment's queue.
    Queue(Arc<CompletionQueue>),
    /// To a JS thread that waits.
    Sync(Arc<SyncReply>),
}

#[derive(Debug, Default)]
struct Outbound {
    settled: bool,
    in_flight: usize,
    sender_waits: bool,
}

/// What both threads share of one request.
pub(crate) struct Exchange {
    /// Its name.
    pub(crate) id: ExchangeId,
    /// Which application it is for: the key that `asgi` gave when the application was loaded.
    pub(crate) application: usize,
    /// How the caller wants the response.
    pub(crate) mode: Mode,
    /// What besides a response the caller can honour.
    pub(crate) capabilities: Capabilities,
    /// Bytes that may wait on either side.
    mark: usize,
    inbound: Mutex<Inbound>,
    outbound: Mutex<Outbound>,
    delivery: Delivery,
    loop_queue: Arc<LoopQueue>,
    /// Where the Python thread keeps what belongs to this request: its index + 1, 0 for none.
    slot: AtomicUsize,
}

impl Exchange {
    /// A request with a complete body (`Some`), or one whose body is still to be written.
    pub(crate) fn new(
        id: ExchangeId,
        application: usize,
        mode: Mode,
        capabilities: Capabilities,
        mark: usize,
        body: Option<Bytes>,
        delivery: Delivery,
        loop_queue: Arc<LoopQueue>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            application,
            mode,
            capabilities,
            mark,
            inbound: Mutex::new(match body {
                Some(body) => Inbound::complete(body, mark),
                None if capabilities.has_body_on_demand() => Inbound::on_demand(mark),
                None => Inbound::new(mark),
            }),
            outbound: Mutex::new(Outbound::default()),
            delivery,
            loop_queue,
            slot: AtomicUsize::new(0),
        })
    }

    // ------------------------------------------------------------------ the JS side

    /// Adds to the request body or sends a WebSocket message. False: wait for [`Event::Drain`].
    pub(crate) fn write(self: &Arc<Self>, message: Message) -> bool {
        let (room, wake) = {
            let mut inbound = self.inbound.lock();
            (inbound.write(message), inbound.take_reader())
        };
        self.wake_if(wake);
        room
    }

    /// The request body is complete.
    pub(crate) fn end(self: &Arc<Self>) {
        let wake = {
            let mut inbound = self.inbound.lock();
            inbound.end();
            inbound.take_reader()
        };
        self.wake_if(wake);
    }

    /// The reader took `bytes` of the response body.
    pub(crate) fn consume(self: &Arc<Self>, bytes: usize) {
        let wake = {
            let mut outbound = self.outbound.lock();
            outbound.in_flight = outbound.in_flight.saturating_sub(bytes);
            outbound.sender_waits && outbound.in_flight <= self.mark / 2 && {
                outbound.sender_waits = false;
                true
            }
        };
        self.wake_if(wake);
    }

    /// The caller gives the request up: no event follows. The application is told, then cancelled.
    pub(crate) fn disconnect(self: &Arc<Self>, disconnect: Disconnect, cancel_now: bool) {
        self.outbound.lock().settled = true;
        self.cut(disconnect);
        self.loop_queue.push(LoopMessage::Disconnect { exchange: Arc::clone(self), cancel_now });
    }

    /// Nothing comes in any more. Who reads a body finds that before what is left of the body, which is freed.
    fn cut(&self, disconnect: Disconnect) {
        let mut inbound = self.inbound.lock();
        inbound.disconnect(disconnect);
        if self.mode != Mode::WebSocket {
            inbound.discard();
        }
    }

    fn wake_if(self: &Arc<Self>, wake: bool) {
        if wake {
            self.loop_queue.push(LoopMessage::Wake(Arc::clone(self)));
        }
    }

    // -------------------------------------------------------------- the Python side

    /// Where the events go, if a Node environment's queue takes them.
    pub(crate) fn completions(&self) -> Option<&Arc<CompletionQueue>> {
        match &self.delivery {
            Delivery::Queue(queue) => Some(queue),
            Delivery::Sync(_) => None,
        }
    }

    /// Notes where the Python thread keeps what belongs to this request.
    pub(crate) fn attach(&self, slot: usize) {
        self.slot.store(slot + 1, Ordering::Release);
    }

    /// What [`Self::attach`] noted.
    pub(crate) fn slot(&self) -> Option<usize> {
        self.slot.load(Ordering::Acquire).checked_sub(1)
    }

    /// Whether the client has gone.
    pub(crate) fn is_disconnected(&self) -> bool {
        self.inbound.lock().is_disconnected()
    }

    /// Whether the last event was sent, or nobody wants it.
    pub(crate) fn is_settled(&self) -> bool {
        self.outbound.lock().settled
    }

    /// What `receive` gives next. [`Take::Pending`] notes the reader: a wake-up follows.
    pub(crate) fn take(&self) -> Take {
        let (taken, drained) = {
            let mut inbound = self.inbound.lock();
            let taken = match self.mode {
                Mode::Buffered | Mode::Stream => inbound.take_body(),
                Mode::WebSocket => inbound.take_message(),
            };
            (taken, inbound.take_writer())
        };
        if drained {
            self.tell(Event::Drain);
        }
        taken
    }

    /// The whole response at once.
    pub(crate) fn respond(&self, head: ResponseHead, body: Vec<u8>) {
        self.settle(Event::Complete { head, body });
    }

    /// The head of a response whose body follows.
    pub(crate) fn start(&self, head: ResponseHead) {
        self.tell(Event::Head(head));
    }

    /// A part of the body. False: the window is full, and the sender is noted: a wake-up follows.
    pub(crate) fn chunk(&self, bytes: Vec<u8>) -> bool {
        self.send(bytes.len(), Event::Chunk(bytes))
    }

    /// A message of a WebSocket; see [`Self::chunk`].
    pub(crate) fn message(&self, text: bool, bytes: Vec<u8>) -> bool {
        self.send(bytes.len() + MESSAGE_COST, Event::Message { text, bytes })
    }

    /// A part of the body that JavaScript reads from a file; see [`Self::chunk`].
    pub(crate) fn file(&self, slice: FileSlice) -> bool {
        self.send(slice.size(), Event::File(slice))
    }

    fn send(&self, size: usize, event: Event) -> bool {
        let mut outbound = self.outbound.lock();
        if outbound.settled {
            return true;
        }
        outbound.in_flight += size;
        outbound.sender_waits = outbound.in_flight >= self.mark;
        let room = !outbound.sender_waits;
        // Under the lock, so that events keep the order of their accounting.
        self.deliver(event);
        room
    }

    /// Whether the window is full; the sender is then noted and woken when there is room.
    pub(crate) fn must_wait(&self) -> bool {
        let mut outbound = self.outbound.lock();
        let full = !outbound.settled && outbound.in_flight > self.mark / 2;
        outbound.sender_waits = full;
        full
    }

    /// Something besides the body.
    pub(crate) fn notice(&self, kind: NoticeKind, fields: Vec<u8>) {
        self.tell(Event::Notice { kind, fields });
    }

    /// The body is complete.
    pub(crate) fn finish(&self) {
        self.settle(Event::End);
    }

    /// The application closed the WebSocket.
    pub(crate) fn closed(&self, code: u16, reason: String) {
        self.settle(Event::Closed { code, reason });
    }

    /// The request failed; nothing happens if it was settled before. Says whether it was not.
    pub(crate) fn fail(&self, error: HandlerError) -> bool {
        self.settle(Event::Failed(error))
    }

    /// The request failed, and to the application it is as if its client had gone.
    pub(crate) fn give_up(self: &Arc<Self>, error: HandlerError) {
        self.fail(error);
        self.disconnect(Disconnect::broken(), false);
    }

    /// The application has ended: to tasks that it leaves behind it is as if the client had gone.
    pub(crate) fn leave(&self) {
        self.cut(Disconnect::broken());
    }

    /// The last event; says whether it was the first such.
    fn settle(&self, event: Event) -> bool {
        debug_assert!(event.is_last());
        {
            let mut outbound = self.outbound.lock();
            if std::mem::replace(&mut outbound.settled, true) {
                return false;
            }
            self.deliver(event);
        }
        // The rest of the request body has no reader any more: free whoever writes it.
        self.inbound.lock().discard();
        true
    }

    fn tell(&self, event: Event) {
        let outbound = self.outbound.lock();
        if !outbound.settled {
            self.deliver(event);
        }
    }

    fn deliver(&self, event: Event) {
        match &self.delivery {
            Delivery::Queue(queue) => queue.push(self.id, event),
            Delivery::Sync(reply) if event.is_last() => reply.fill(event),
            Delivery::Sync(_) => {}
        }
    }
}

/// The application's half of an exchange. Dropped before the request is settled, it settles it with an error.
pub(crate) struct AppHalf(Arc<Exchange>);

impl AppHalf {
    /// Takes the half. An exchange has one.
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self(exchange)
    }

    /// The exchange itself.
    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.0
    }
}

impl std::ops::Deref for AppHalf {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.0
    }
}

impl Drop for AppHalf {
    fn drop(&mut self) {
        self.0.fail(HandlerError::Closed("the Python side stopped before the request was answered"));
    }
}
