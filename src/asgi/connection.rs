//! One request on the Python thread: what its `receive` and `send` share, and how it ends.
//!
//! Held by the two callables, and by the event loop while the application's task runs. Dropped last, it
//! drops the application's half of the exchange, which settles the request if nothing else did.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;

use super::event_loop::EventLoop;
use super::http::{HttpReceiveMessage, HttpSendMessage, RequestFacts};
use super::message::SentMessage;
use super::order::{self, Step};
use crate::error::HandlerError;
use crate::exchange::{AppHalf, Exchange, Mode, ResponseHead, Take};
use crate::python::exception;
use crate::python::waiters::Waiters;

pyo3::create_exception!(
    python_node,
    ClientDisconnected,
    PyOSError,
    "The client has gone: what is sent reaches nobody (ASGI specification, www 2.4)."
);

/// Whether a `send` has to wait for room.
pub(super) enum Sent {
    /// It is done.
    Done,
    /// It is done, and the window is full.
    Full,
}

/// The response as far as it was sent.
struct Response {
    order: order::Http,
    /// The start, until the first body message: a whole response crosses to JavaScript once.
    held: Option<ResponseHead>,
    /// The body of a buffered response.
    collected: Vec<u8>,
    is_head: bool,
}

/// See the module.
pub(super) struct Connection {
    half: AppHalf,
    grace: Duration,
    response: Mutex<Response>,
    receivers: Waiters,
    senders: Waiters,
    task: Mutex<Option<Py<PyAny>>>,
}

fn disconnected() -> PyErr {
    ClientDisconnected::new_err("the client has disconnected")
}

impl Connection {
    /// For a request that is about to be given to its application.
    pub(super) fn new(half: AppHalf, facts: &RequestFacts, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            half,
            grace,
            response: Mutex::new(Response {
                order: order::Http::Idle,
                held: None,
                collected: Vec::new(),
                is_head: facts.is_head,
            }),
            receivers: Waiters::default(),
            senders: Waiters::default(),
            task: Mutex::new(None),
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
        if self.response.lock().order == order::Http::Done {
            return HttpReceiveMessage::Disconnect.to_dict(py).map(Some);
        }
        let message = match self.half.take() {
            Take::Body { bytes, more } => HttpReceiveMessage::Request { body: bytes, more_body: more },
            Take::Disconnect(_) => HttpReceiveMessage::Disconnect,
            Take::Message(_) | Take::Pending => return Ok(None),
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
        let message = HttpSendMessage::extract(&SentMessage::new(message)?, py)?;
        let kind = match &message {
            HttpSendMessage::Start { trailers, .. } => order::Send::Start { trailers: *trailers },
            HttpSendMessage::Body { more_body, .. } => order::Send::Body { more: *more_body },
        };
        let mut response = self.response.lock();
        match response.order.step(kind) {
            Step::Next(_) if self.half.is_disconnected() => return Err(disconnected()),
            Step::Next(next) => response.order = next,
            Step::Ignored => return Ok(Sent::Done),
            Step::Refused => {
                return Err(PyRuntimeError::new_err(format!(
                    "unexpected ASGI message {}: expected `{}`",
                    match message {
                        HttpSendMessage::Start { .. } => "`http.response.start`",
                        HttpSendMessage::Body { .. } => "`http.response.body`",
                    },
                    response.order.expected()
                )));
            }
        }
        let room = match message {
            HttpSendMessage::Start { head, .. } => {
                response.held = Some(head);
                drop(response);
                if self.half.mode == Mode::Stream {
                    EventLoop::get().hold(py, self)?;
                }
                return Ok(Sent::Done);
            }
            HttpSendMessage::Body { body, .. } => {
                let body = if response.is_head { Vec::new() } else { body };
                self.send_body(&mut response, body)
            }
        };
        let is_done = response.order == order::Http::Done;
        drop(response);
        if is_done {
            // Whoever listens for a disconnect while the response is made may stop now.
            self.receivers.wake(py)?;
        }
        Ok(if room { Sent::Done } else { Sent::Full })
    }

    /// Passes a part of the body on; says whether there is room for more.
    fn send_body(&self, response: &mut Response, body: Vec<u8>) -> bool {
        let is_last = response.order == order::Http::Done;
        if self.half.mode == Mode::Buffered {
            if response.collected.is_empty() {
                response.collected = body;
            } else {
                response.collected.extend_from_slice(&body);
            }
            if is_last && let Some(head) = response.held.take() {
                self.half.respond(head, std::mem::take(&mut response.collected));
            }
            return true;
        }
        match response.held.take() {
            Some(head) if is_last => {
                self.half.respond(head, body);
                return true;
            }
            Some(head) => self.half.start(head),
            None => {}
        }
        let room = body.is_empty() || self.half.chunk(body);
        if is_last {
            self.half.finish();
        }
        room || is_last
    }

    /// Sends a start that was held for longer than one turn of the loop: its body is long in coming.
    pub(super) fn release_head(&self) {
        let held = self.response.lock().held.take();
        if let Some(head) = held {
            self.half.start(head);
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
    pub(super) fn set_task(&self, task: Py<PyAny>) {
        let earlier = self.task.lock().replace(task);
        drop(earlier);
    }

    /// The client has gone. Whoever waits is woken; the task is cancelled after the grace period, or now.
    pub(super) fn disconnect(self: &Arc<Self>, py: Python<'_>, cancel_now: bool) -> PyResult<()> {
        self.wake(py)?;
        if cancel_now || self.grace.is_zero() {
            return self.cancel(py);
        }
        EventLoop::get().call_later(py, self.grace, self)
    }

    /// Cancels the task, if it still runs.
    pub(super) fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        let task = self.task.lock().as_ref().map(|task| task.clone_ref(py));
        if let Some(task) = task {
            log::debug!("request {}: task cancelled", self.half.id);
            task.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }

    /// The application's task has ended.
    pub(super) fn task_done(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        if task.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            self.ended(py, Ending::Cancelled);
            return Ok(());
        }
        let raised = task.call_method0(intern!(py, "exception"))?;
        if raised.is_none() {
            self.ended(py, Ending::Returned);
        } else {
            self.ended(py, Ending::Raised(PyErr::from_value(raised)));
        }
        Ok(())
    }

    /// The application has ended: settles the request if it did not.
    pub(super) fn ended(&self, py: Python<'_>, ending: Ending) {
        let task = self.task.lock().take();
        drop(task);
        let id = self.half.id;
        let order = {
            let mut response = self.response.lock();
            response.held = None;
            std::mem::replace(&mut response.order, order::Http::Done)
        };
        let error = match ending {
            Ending::Returned => {
                log::debug!("request {id}: application returned");
                match order {
                    order::Http::Idle => HandlerError::NoResponse,
                    order::Http::Done => return,
                    _ => HandlerError::IncompleteResponse,
                }
            }
            Ending::Cancelled => {
                log::debug!("request {id}: application cancelled");
                HandlerError::Cancelled
            }
            Ending::NotAwaitable(what) => HandlerError::NotAwaitable(what),
            Ending::Raised(raised) => {
                log::debug!("request {id}: application raised {}", raised.get_type(py));
                if self.half.is_settled() {
                    // Nobody waits for it. After a disconnect our own exception, or what the application
                    // made of it, is no error.
                    if !(self.half.is_disconnected() && comes_from_disconnect(py, &raised)) {
                        exception::log(py, "exception in an ASGI application after its response", &raised);
                    }
                    return;
                }
                HandlerError::Exception(exception::describe(py, &raised))
            }
        };
        self.half.fail(error);
    }
}

/// How an application ended.
pub(super) enum Ending {
    /// It returned.
    Returned,
    /// Its task was cancelled.
    Cancelled,
    /// It raised.
    Raised(PyErr),
    /// It gave something that cannot be awaited: its class.
    NotAwaitable(String),
}

/// Whether an exception is [`ClientDisconnected`], or was raised because of one.
fn comes_from_disconnect(py: Python<'_>, raised: &PyErr) -> bool {
    /// Longer chains are not followed: they may be circular.
    const LONGEST: usize = 16;
    let mut current = Some(raised.value(py).clone().into_any());
    for _ in 0..LONGEST {
        let Some(exception) = current else { return false };
        if exception.is_instance_of::<ClientDisconnected>() {
            return true;
        }
        current = ["__cause__", "__context__"]
            .into_iter()
            .find_map(|name| exception.getattr(name).ok().filter(|next| !next.is_none()));
    }
    false
}
