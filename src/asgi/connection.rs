//! One request on the Python thread: what its `receive` and `send` share, and how it ends.
//!
//! Held by the two callables, and by the event loop while the application's task runs. Dropped last, it
//! drops the application's half of the exchange, which settles the request if nothing else did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;

use super::ending::Ending;
use super::event_loop::EventLoop;
use super::http::{HttpReceiveMessage, HttpSendMessage};
use super::message::SentMessage;
use super::order;
use super::response::Response;
use super::session::Session;
use super::websocket::WebSocketSendMessage;
use crate::error::HandlerError;
use crate::exchange::{AppHalf, Exchange, Take};
use crate::python::awaitable::NotAwaitable;
use crate::python::waiters::Waiters;
use crate::python::{child, exception, exit};

pyo3::create_exception!(
    python_node,
    ClientDisconnected,
    PyOSError,
    "The client has gone: what is sent reaches nobody (ASGI specification, www 2.4)."
);

/// What a `send` leaves to do.
pub(super) enum Sent {
    /// Nothing.
    Done,
    /// Wait for room: the window is full.
    Full,
    /// Let the loop take a turn: nothing holds this sender back, and others want theirs.
    Turn,
    /// Nothing to wait for; the start is held until the first body message, or one turn of the loop.
    Held,
}

/// What is spoken on a connection, and how far it got.
pub(super) enum Protocol {
    /// A request and its response.
    Http(Response),
    /// A WebSocket.
    WebSocket(Session),
}

/// See the module.
pub(super) struct Connection {
    half: AppHalf,
    grace: Duration,
    protocol: Mutex<Protocol>,
    receivers: Waiters,
    senders: Waiters,
    task: Mutex<Option<Py<PyAny>>>,
    /// Whether the task is to be cancelled, also one that is still in its first step.
    is_cancelled: AtomicBool,
    /// That of the task, where it cannot be asked for it.
    context: Mutex<Option<Py<PyAny>>>,
}

/// The error of a `send` that reaches nobody.
pub(super) fn disconnected() -> PyErr {
    ClientDisconnected::new_err("the client has disconnected")
}

impl Connection {
    /// For a request that is about to be given to its application.
    pub(super) fn new(half: AppHalf, protocol: Protocol, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            half,
            grace,
            protocol: Mutex::new(protocol),
            receivers: Waiters::default(),
            senders: Waiters::default(),
            task: Mutex::new(None),
            is_cancelled: AtomicBool::new(false),
            context: Mutex::new(None),
        })
    }

    /// What both threads share.
    pub(super) fn exchange(&self) -> &Arc<Exchange> {
        self.half.exchange()
    }

    /// Who waits in `receive`.
    pub(super) fn receivers(&self) -> &Waiters {
        &self.receivers
    }

    /// Who waits in `send`.
    pub(super) fn senders(&self) -> &Waiters {
        &self.senders
    }

    // -------------------------------------------------------------------- receive

    /// The next message, or `None` if there is none yet.
    pub(super) fn receive(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let message = match &mut *self.protocol.lock() {
            Protocol::Http(response) if response.is_done() => HttpReceiveMessage::Disconnect,
            Protocol::Http(_) => match self.half.take() {
                Take::Body { bytes, more } => HttpReceiveMessage::Request { body: bytes, more_body: more },
                Take::Disconnect(_) => HttpReceiveMessage::Disconnect,
                Take::Message(_) | Take::Pending => return Ok(None),
            },
            Protocol::WebSocket(session) => {
                return match session.receive(&self.half) {
                    Some(message) => message.to_dict(py).map(Some),
                    None => Ok(None),
                };
            }
        };
        message.to_dict(py).map(Some)
    }

    /// A future that [`Self::wake`] completes.
    pub(super) fn park_receiver(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.receivers.park(py, EventLoop::get().create_future())
    }

    // ----------------------------------------------------------------------- send

    /// Takes a message of the application.
    pub(super) fn send(self: &Arc<Self>, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Sent> {
        let message = SentMessage::new(message)?;
        // Read before the lock is taken: reading runs Python code of the application's own classes.
        let (sent, is_done) = if self.is_websocket() {
            let is_open = matches!(&*self.protocol.lock(), Protocol::WebSocket(session) if session.is_open());
            let message = WebSocketSendMessage::extract(&message, py, is_open)?;
            match &mut *self.protocol.lock() {
                Protocol::WebSocket(session) => (session.send(&self.half, message)?, session.is_done()),
                Protocol::Http(_) => (Sent::Done, false),
            }
        } else {
            let message = HttpSendMessage::extract(&message, py, self.half.capabilities)?;
            match &mut *self.protocol.lock() {
                Protocol::Http(response) => (response.send(&self.half, message)?, response.is_done()),
                Protocol::WebSocket(_) => (Sent::Done, false),
            }
        };
        if is_done {
            // Whoever listens for a disconnect while the response is made may stop now.
            self.receivers.wake(py)?;
        }
        if matches!(sent, Sent::Held) {
            EventLoop::get().hold(py, self)?;
        }
        Ok(sent)
    }

    fn is_websocket(&self) -> bool {
        self.half.mode == crate::exchange::Mode::WebSocket
    }

    /// Sends a start that was held for longer than one turn of the loop: its body is long in coming.
    pub(super) fn release_head(&self) {
        if let Protocol::Http(response) = &mut *self.protocol.lock() {
            response.release_head(&self.half);
        }
    }

    /// Whether a sender still has to wait.
    pub(super) fn must_wait(&self) -> PyResult<bool> {
        if self.half.is_disconnected() {
            return Err(disconnected());
        }
        Ok(self.half.must_wait())
    }

    /// A future that [`Self::wake`] completes.
    pub(super) fn park_sender(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.senders.park(py, EventLoop::get().create_future())
    }

    // ------------------------------------------------------------- wake-ups and end

    /// Something has changed on the other side: everybody who waits looks again.
    pub(super) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        self.receivers.wake(py)?;
        self.senders.wake(py)
    }

    /// Notes the task that runs the application.
    pub(super) fn set_task(&self, py: Python<'_>, task: Py<PyAny>) -> PyResult<()> {
        let earlier = self.task.lock().replace(task);
        drop(earlier);
        if self.is_cancelled.load(Ordering::Relaxed) { self.cancel(py) } else { Ok(()) }
    }

    /// The task, while it runs.
    pub(super) fn task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.task.lock().as_ref().map(|task| task.clone_ref(py))
    }

    /// Whether the response is complete, or the WebSocket closed: what runs then is the application's own business.
    pub(super) fn has_answered(&self) -> bool {
        match &*self.protocol.lock() {
            Protocol::Http(response) => response.is_done(),
            Protocol::WebSocket(session) => session.is_done(),
        }
    }

    /// Notes the context of the task, before 3.12.
    pub(super) fn set_context(&self, context: Option<Py<PyAny>>) {
        if context.is_some() {
            *self.context.lock() = context;
        }
    }

    /// The client has gone. Whoever waits is woken; the task is cancelled after the grace period, or now.
    ///
    /// The messages of a WebSocket that came before are still to be taken: its grace counts from the last that was, or from the
    /// first disconnect. Both are finite, so an application that only receives again and again gains nothing.
    pub(super) fn disconnect(self: &Arc<Self>, py: Python<'_>, cancel_now: bool) -> PyResult<()> {
        self.wake(py)?;
        if cancel_now || self.grace.is_zero() {
            return self.cancel(py);
        }
        if self.grace == Duration::MAX {
            return Ok(());
        }
        if let Protocol::WebSocket(session) = &mut *self.protocol.lock() {
            session.begin_grace();
        }
        self.cancel_after(py, self.grace)
    }

    fn cancel_after(self: &Arc<Self>, py: Python<'_>, delay: Duration) -> PyResult<()> {
        let weak = Arc::downgrade(self);
        EventLoop::get().call_later(py, delay, move |py| {
            let Some(connection) = weak.upgrade() else { return Ok(()) };
            let left = connection.grace_left();
            if left.is_zero() { connection.cancel(py) } else { connection.cancel_after(py, left) }
        })
    }

    /// How much of the grace is left when its time is over.
    fn grace_left(&self) -> Duration {
        match &*self.protocol.lock() {
            Protocol::Http(_) => Duration::ZERO,
            Protocol::WebSocket(session) => self.grace.saturating_sub(session.untouched()),
        }
    }

    /// Cancels the task, if it still runs.
    pub(super) fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.is_cancelled.store(true, Ordering::Relaxed);
        if let Some(task) = self.task(py) {
            log::debug!("request {}: task cancelled", self.half.id);
            task.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }

    /// The application's task has ended.
    pub(super) fn task_done(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let ending = Ending::of(task)?;
        if matches!(ending, Ending::Raised(_))
            && self.context.lock().is_none()
            && let Ok(context) = task.call_method0(intern!(py, "get_context"))
        {
            self.set_context(Some(context.unbind()));
        }
        self.ended(py, ending);
        Ok(())
    }

    /// Tasks that the application leaves behind wait for nothing any more: `receive` gives the disconnect, `send` raises.
    fn leave(&self, py: Python<'_>) {
        self.half.leave();
        if let Err(error) = self.wake(py) {
            exception::log(py, "internal error in python-node", &error);
        }
    }

    /// The application has ended: settles the request if it did not.
    pub(super) fn ended(&self, py: Python<'_>, ending: Ending) {
        child::leave(py, if let Ending::Raised(raised) = &ending { Some(raised) } else { None });
        let task = self.task.lock().take();
        drop(task);
        let context = self.context.lock().take();
        let id = self.half.id;
        let was_disconnected = self.half.is_disconnected();
        let unfinished = match &mut *self.protocol.lock() {
            Protocol::Http(response) => match response.abandon() {
                order::Http::Done => None,
                order::Http::Idle => Some(HandlerError::NoResponse),
                _ => Some(HandlerError::IncompleteResponse),
            },
            Protocol::WebSocket(session) => match session.abandon() {
                order::WebSocket::Done => None,
                order::WebSocket::Connecting => Some(HandlerError::NoResponse),
                order::WebSocket::Denying => Some(HandlerError::IncompleteResponse),
                order::WebSocket::Open if matches!(ending, Ending::Returned) => {
                    // It has nothing more to say: an orderly end.
                    self.half.closed(1000, String::new());
                    None
                }
                order::WebSocket::Open => None,
            },
        };
        self.leave(py);
        let error = match ending {
            Ending::Returned => {
                log::debug!("request {id}: application returned");
                match unfinished {
                    Some(error) => error,
                    None => return,
                }
            }
            Ending::Cancelled => {
                log::debug!("request {id}: application cancelled");
                HandlerError::Cancelled
            }
            Ending::Raised(raised) if raised.is_instance_of::<NotAwaitable>(py) => {
                HandlerError::NotAwaitable(raised.value(py).to_string())
            }
            Ending::Raised(raised) => {
                log::debug!("request {id}: application raised {}", raised.get_type(py));
                if self.half.is_settled() {
                    // Nobody waits for it. After a disconnect our own exception, or what the application
                    // made of it, is no error.
                    // The end of the process interrupts with SystemExit.
                    let ours = was_disconnected && comes_from_disconnect(py, &raised)
                        || exit::has_begun() && raised.is_instance_of::<pyo3::exceptions::PySystemExit>(py);
                    if !ours {
                        exception::log_in(
                            py,
                            context.as_ref().map(|context| context.bind(py)),
                            "exception in an ASGI application after its response",
                            &raised,
                        );
                    }
                    return;
                }
                HandlerError::Exception(exception::describe(py, &raised))
            }
        };
        self.half.fail(error);
    }
}

/// Whether an exception is [`ClientDisconnected`], or was raised because of one.
fn comes_from_disconnect(py: Python<'_>, raised: &PyErr) -> bool {
    /// Groups of groups are not followed further.
    const DEEPEST: usize = 8;
    is_from_disconnect(py, raised, DEEPEST)
}

fn is_from_disconnect(py: Python<'_>, raised: &PyErr, depth: usize) -> bool {
    /// Longer chains are not followed: they may be circular.
    const LONGEST: usize = 16;
    let mut current = Some(raised.value(py).clone().into_any());
    for _ in 0..LONGEST {
        let Some(exception) = current else { return false };
        if exception.is_instance_of::<ClientDisconnected>() {
            return true;
        }
        // A group of tasks: if one of them ended so, the others were cancelled or failed for its sake.
        if let Ok(members) =
            exception.getattr("exceptions").and_then(|members| members.extract::<Vec<Py<PyAny>>>())
            && !members.is_empty()
        {
            return depth > 0
                && members.into_iter().any(|member| {
                    is_from_disconnect(py, &PyErr::from_value(member.into_bound(py)), depth - 1)
                });
        }
        current = ["__cause__", "__context__"]
            .into_iter()
            .find_map(|name| exception.getattr(name).ok().filter(|next| !next.is_none()));
    }
    false
}
