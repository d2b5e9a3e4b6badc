//! The surface that `lib/` calls: thin, unchecked by itself, not public. `lib/handler.js` is its only user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use napi::bindgen_prelude::{FromNapiValue, Object, Unknown};
use napi::{Env, JsValue, Result};
use napi_derive::napi;

use crate::asgi::{ApplicationOptions, EventLoopHandle, LifespanMode, Patience, StartOptions};
use crate::error::HandlerError;
use crate::exchange::{
    AppHalf, Capabilities, Delivery, Disconnect, Event, Exchange, LoopMessage, Message, Mode, RequestHead,
    SyncReply,
};
use crate::js::environment::{self, Environment};
use crate::js::{arguments, events, failure};
use crate::python::loader::Target;
use crate::python::{exit, stack};
use crate::target::PythonHandlerTarget;

/// Names applications; never used twice.
static NEXT_APPLICATION: AtomicU32 = AtomicU32::new(0);

/// What a handler needs, checked and completed by `lib/options.js`.
#[napi(object, object_to_js = false)]
pub struct NativeOptions {
    /// The interpreter's executable.
    pub executable: String,
    /// The libpython that is loaded.
    pub library: String,
    /// `asyncio`, `uvloop` or `auto`.
    pub event_loop: String,
    /// Flags for `sys.setdlopenflags`, if any.
    pub dlopen_flags: Option<i32>,
    /// An absolute path.
    pub docroot: String,
    /// The module.
    pub file: String,
    /// The attribute in it.
    pub function: String,
    /// The mount prefix.
    pub root_path: String,
    /// Milliseconds.
    pub disconnect_grace: f64,
    /// Milliseconds that the end of the process may take.
    pub shutdown_timeout: f64,
    /// Bytes that may wait on either side of a body.
    pub high_water_mark: u32,
    /// Bytes.
    pub max_response_size: f64,
    /// `auto`, `on` or `off`.
    pub lifespan: String,
    /// A JSON object.
    pub state: Option<String>,
    /// A JSON object.
    pub extensions: Option<String>,
    /// `auto`, `asgi3`, `asgi2` or `wsgi`.
    pub interface: String,
    /// Whether the attribute is called to get the application.
    pub factory: bool,
}

/// An application in the process's Python.
#[napi]
pub struct PythonHandler {
    /// Names its application, for `submit`.
    #[napi(readonly)]
    pub key: u32,
    high_water_mark: usize,
    handle: Arc<EventLoopHandle>,
    options: ApplicationOptions,
}

/// The interpreter that runs in this process.
#[napi(object)]
pub struct StartedInterpreter {
    /// Its executable.
    pub executable: String,
    /// Its libpython.
    pub library: String,
}

fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or(Duration::MAX)
}

/// An object that describes `error`, for `lib/errors.js`.
fn failed<'env>(env: &'env Env, error: &HandlerError) -> Result<Option<Object<'env>>> {
    failure::object(env, error).map(Some)
}

#[napi]
impl PythonHandler {
    /// Starts the interpreter if none runs; imports nothing yet. Throws an object that describes the failure.
    #[napi(factory, catch_unwind)]
    pub fn create(env: Env, options: NativeOptions) -> Result<Self> {
        let target = PythonHandlerTarget { file: options.file, function: options.function };
        let started = EventLoopHandle::get_or_start(StartOptions {
            executable: options.executable,
            library: options.library,
            event_loop: options.event_loop.clone(),
            dlopen_flags: options.dlopen_flags,
        });
        let handle = match started {
            Ok(handle) => handle,
            Err(error) => {
                let thrown = failure::value(&env, &error)?;
                // SAFETY: both belong to the running call.
                unsafe { napi::sys::napi_throw(env.raw(), thrown) };
                return Err(napi::Error::new(napi::Status::PendingException, String::new()));
            }
        };
        exit::set_limit(milliseconds(options.shutdown_timeout));
        Ok(Self {
            key: NEXT_APPLICATION.fetch_add(1, Ordering::Relaxed),
            high_water_mark: options.high_water_mark as usize,
            handle,
            options: ApplicationOptions {
                docroot: options.docroot,
                target: Target {
                    module: target.file,
                    attributes: target.function,
                    interface: options.interface,
                    factory: options.factory,
                },
                root_path: options.root_path,
                disconnect_grace: milliseconds(options.disconnect_grace),
                event_loop: options.event_loop,
                lifespan: match options.lifespan.as_str() {
                    "on" => LifespanMode::On,
                    "off" => LifespanMode::Off,
                    _ => LifespanMode::Auto,
                },
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "saturates; checked before"
                )]
                response_limit: options.max_response_size as usize,
                state: options.state,
                extensions: options.extensions,
            },
        })
    }

    /// Imports the application; an event with this `id` tells the end.
    #[napi(catch_unwind)]
    pub fn load(&self, env: Env, id: f64) -> Result<()> {
        let id = to_id(id);
        let environment = Environment::of(id)?;
        environment.enter_pending(&env, id);
        let queue = Arc::clone(&environment.queue);
        self.handle.load(self.key as usize, self.options.clone(), move |result| {
            queue.push(id, Event::Loaded(result))
        });
        Ok(())
    }

    /// Imports the application and waits for it. Returns what went wrong, if anything did.
    #[napi(catch_unwind)]
    pub fn load_sync<'env>(&self, env: &'env Env) -> Result<Option<Object<'env>>> {
        let reply = Arc::new(SyncReply::default());
        let own = Arc::clone(&reply);
        self.handle
            .load(self.key as usize, self.options.clone(), move |result| own.fill(Event::Loaded(result)));
        match reply.wait(None, || environment::is_ending(env)) {
            Some(Event::Loaded(Ok(()))) => Ok(None),
            Some(Event::Loaded(Err(error))) => failed(env, &error),
            _ => failed(env, &HandlerError::Closed("this Node environment ends")),
        }
    }

    /// An event with this `id` tells when the application's startup has ended.
    #[napi(catch_unwind)]
    pub fn ready(&self, env: Env, id: f64) -> Result<()> {
        let id = to_id(id);
        let environment = Environment::of(id)?;
        environment.enter_pending(&env, id);
        let queue = Arc::clone(&environment.queue);
        self.handle.ready(self.key as usize, move |result| queue.push(id, Event::Loaded(result)));
        Ok(())
    }

    /// Takes no more requests and ends the lifespan; an event with this `id` tells how that went. Requests that still run have
    /// `requests` milliseconds before that; after `limit` the application's shutdown is cancelled.
    #[napi(catch_unwind)]
    pub fn close(&self, env: Env, id: f64, requests: f64, limit: f64) -> Result<()> {
        let id = to_id(id);
        let environment = Environment::of(id)?;
        environment.enter_pending(&env, id);
        let queue = Arc::clone(&environment.queue);
        let patience = Patience { requests: milliseconds(requests), all: milliseconds(limit) };
        self.handle
            .unload(self.key as usize, Some(patience), move |result| queue.push(id, Event::Loaded(result)));
        Ok(())
    }

    /// Gives a request to the application and waits. Returns `{ status, headers, body }`, or what went wrong.
    #[napi(catch_unwind)]
    pub fn submit_sync<'env>(
        &self,
        env: &'env Env,
        id: f64,
        head: Unknown<'env>,
        headers: u32,
        body: Unknown<'env>,
        extra: Option<String>,
        timeout: f64,
    ) -> Result<Object<'env>> {
        // SAFETY: all values belong to this call.
        let (head, body) =
            unsafe { (arguments::latin1(env.raw(), head.raw())?, arguments::bytes(env.raw(), body.raw())?) };
        let head = match RequestHead::parse(head, headers as usize, extra) {
            Ok(head) => head,
            Err(error) => return failure::object(env, &error),
        };
        let id = to_id(id);
        log::debug!("request {id}: accepted");
        let reply = Arc::new(SyncReply::default());
        let exchange = Exchange::new(
            id,
            self.key as usize,
            Mode::Buffered,
            Capabilities(0),
            self.high_water_mark,
            Some(body.unwrap_or_default().into()),
            Delivery::Sync(Arc::clone(&reply)),
            Arc::clone(self.handle.queue()),
        );
        self.handle.queue().push(LoopMessage::Begin { half: AppHalf::new(Arc::clone(&exchange)), head });
        let limit = (timeout > 0.0).then(|| milliseconds(timeout));
        let Some(event) = reply.wait(limit, || environment::is_ending(env)) else {
            exchange.disconnect(Disconnect { code: 1006, reason: String::new() }, true);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked by lib/options.js"
            )]
            return failure::object(env, &HandlerError::ResponseTimeout(timeout as u64));
        };
        let (head, body) = match event {
            Event::Complete { head, body } => (head, body),
            Event::Failed(error) => return failure::object(env, &error),
            _ => return failure::object(env, &HandlerError::NoResponse),
        };
        let values = events::response(env, &head, body)?;
        let mut response = Object::new(env)?;
        for (key, value) in ["status", "headers", "body"].into_iter().zip(values) {
            // SAFETY: made in this call.
            response.set(key, unsafe { Unknown::from_napi_value(env.raw(), value)? })?;
        }
        Ok(response)
    }
}

impl Drop for PythonHandler {
    fn drop(&mut self) {
        self.handle.unload(self.key as usize, None, |_| {});
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are counted up from 1 by lib/environment.js"
)]
fn to_id(id: f64) -> u64 {
    id as u64
}

/// A request in flight.
fn request(id: f64) -> Result<Option<Arc<Exchange>>> {
    let id = to_id(id);
    Ok(Environment::of(id)?.request(id))
}

/// What an environment of `lib/` shares with this side.
#[napi(object, object_from_js = false)]
pub struct Attached<'env> {
    /// The numbers of a batch.
    pub fields: Unknown<'env>,
    /// Its ids are above this one, and below the next environment's.
    pub first_id: f64,
}

/// Connects this Node environment: `callback(count, text, shared, values)` gets what happens; a count of -1 asks for
/// `resume` after Node's other work. Called once for each JavaScript context. See `src/js/events.rs`.
#[napi(catch_unwind)]
pub fn attach<'env>(env: &'env Env, callback: Unknown<'env>) -> Result<Attached<'env>> {
    let (fields, first_id) = Environment::attach(env, callback.raw())?;
    // SAFETY: made in this call.
    let fields = unsafe { Unknown::from_napi_value(env.raw(), fields)? };
    #[expect(clippy::cast_precision_loss, reason = "a multiple of 2^40")]
    let first_id = first_id as f64;
    Ok(Attached { fields, first_id })
}

/// Delivers what was postponed, to the environment with this first id.
#[napi(catch_unwind)]
pub fn resume(env: Env, first_id: f64) -> Result<()> {
    Environment::of(to_id(first_id))?.resume(&env)
}

/// Gives a request to the application with this `key`. `more`: the body will be written. `mark`: bytes that may wait on
/// either side of a body. Returns what is wrong with it, if anything is.
///
/// A function, not a method: what Node-API asks of a method's object costs as much as the rest of the crossing.
#[napi(catch_unwind)]
pub fn submit<'env>(
    env: &'env Env,
    key: u32,
    mark: u32,
    id: f64,
    mode: u32,
    capabilities: u32,
    head: Unknown<'env>,
    headers: u32,
    body: Unknown<'env>,
    more: bool,
    extra: Option<String>,
) -> Result<Option<Object<'env>>> {
    let id = to_id(id);
    let environment = Environment::of(id)?;
    // SAFETY: all values belong to this call.
    let (head, body) =
        unsafe { (arguments::latin1(env.raw(), head.raw())?, arguments::bytes(env.raw(), body.raw())?) };
    let head = match RequestHead::parse(head, headers as usize, extra) {
        Ok(head) => head,
        Err(error) => return failed(env, &error),
    };
    let Some(queue) = EventLoopHandle::current_queue() else {
        return failed(env, &HandlerError::Closed("the Python side does not run"));
    };
    let mode = match mode {
        0 => Mode::Buffered,
        1 => Mode::Stream,
        _ => Mode::WebSocket,
    };
    let body = if more { None } else { Some(body.unwrap_or_default().into()) };
    log::debug!("request {id}: accepted");
    let exchange = Exchange::new(
        id,
        key as usize,
        mode,
        Capabilities(capabilities),
        mark as usize,
        body,
        Delivery::Queue(Arc::clone(&environment.queue)),
        Arc::clone(&queue),
    );
    environment.enter(env);
    environment.insert(Arc::clone(&exchange));
    queue.push(LoopMessage::Begin { half: AppHalf::new(exchange), head });
    Ok(None)
}

/// Adds to a request body, or sends a WebSocket message. False: wait for the drain event.
#[napi(catch_unwind)]
pub fn write(env: Env, id: f64, chunk: Unknown<'_>, text: bool) -> Result<bool> {
    let Some(exchange) = request(id)? else { return Ok(true) };
    // SAFETY: the chunk belongs to this call.
    let bytes = unsafe { arguments::bytes(env.raw(), chunk.raw())? }.unwrap_or_default();
    Ok(exchange.write(Message { text, bytes: bytes.into() }))
}

/// The request body is complete.
#[napi(catch_unwind)]
pub fn end(id: f64) -> Result<()> {
    if let Some(exchange) = request(id)? {
        exchange.end();
    }
    Ok(())
}

/// The reader took so many bytes of the response body.
#[napi(catch_unwind)]
pub fn consume(id: f64, bytes: f64) -> Result<()> {
    if let Some(exchange) = request(id)? {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sum of Buffer lengths"
        )]
        exchange.consume(bytes as usize);
    }
    Ok(())
}

/// A file of this request's response was read, or is not wanted.
#[napi(catch_unwind)]
pub fn close_file(id: f64, descriptor: i32) -> Result<()> {
    Environment::of(to_id(id))?.close_file(descriptor);
    Ok(())
}

/// The caller gives a request up, or closes a WebSocket: no event follows. The task is cancelled, now or after
/// the grace period. `code` and `reason` are a WebSocket's.
#[napi(catch_unwind)]
pub fn disconnect(env: Env, id: f64, cancel_now: bool, code: u16, reason: String) -> Result<()> {
    let id = to_id(id);
    if let Some(exchange) = Environment::of(id)?.remove(&env, id) {
        log::debug!("request {id}: disconnected");
        exchange.disconnect(Disconnect { code, reason }, cancel_now);
    }
    Ok(())
}

/// Nobody waits any more for the event of a load, `ready` or `close` with this `id`.
#[napi(catch_unwind)]
pub fn forget(env: Env, id: f64) -> Result<()> {
    let id = to_id(id);
    Environment::of(id)?.forget_pending(&env, id);
    Ok(())
}

/// How long Python lets others wait, in milliseconds: `[now, all requests together]`.
#[napi(catch_unwind)]
#[must_use]
pub fn lag() -> Vec<f64> {
    let lag = EventLoopHandle::lag();
    vec![lag.current.as_secs_f64() * 1000.0, lag.waited.as_secs_f64() * 1000.0]
}

/// Gives the Python thread nothing to do: how long that takes is its lag.
#[napi(catch_unwind)]
pub fn probe() {
    EventLoopHandle::probe();
}

/// Reads what the Python thread is doing; an event with this `id` tells, unless C code holds the GIL.
#[napi(catch_unwind)]
pub fn stack(id: f64) -> Result<()> {
    let id = to_id(id);
    let queue = Arc::clone(&Environment::of(id)?.queue);
    stack::read(move |stack| queue.push(id, Event::Stack(stack)));
    Ok(())
}

/// Stops Python at the end of the process and waits for it, within the limit. False: it is stuck.
#[napi(catch_unwind)]
#[must_use]
pub fn shutdown() -> bool {
    exit::wait()
}

/// The interpreter that runs in this process, or null.
#[napi(catch_unwind)]
#[must_use]
pub fn started_interpreter() -> Option<StartedInterpreter> {
    EventLoopHandle::started()
        .map(|options| StartedInterpreter { executable: options.executable, library: options.library })
}

#[napi(module_exports)]
pub fn init(_exports: Object<'_>) -> Result<()> {
    // Each Node environment loads the addon; the log is the process's.
    let _ = env_logger::try_init();
    Ok(())
}
