//! One Node environment: the main thread, or a worker. Its queue, its requests in flight, its thread-safe function.
//!
//! Lives in a thread-local of its JS thread, from `attach` to the environment's clean-up. The thread-safe
//! function is called by the Python thread with the queue's lock held, and the clean-up closes the queue
//! under the same lock before Node frees the function.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

use napi::sys;
use napi::{Env, Error, Result, Status};

use super::events::{EventWriter, Fields};
use crate::exchange::{CompletionQueue, Disconnect, Exchange, ExchangeId, Signal};

thread_local! {
    static ENVIRONMENT: RefCell<Option<Rc<Environment>>> = const { RefCell::new(None) };
}

/// See the module.
pub(crate) struct Environment {
    /// Where its events wait.
    pub(crate) queue: Arc<CompletionQueue>,
    function: sys::napi_threadsafe_function,
    callback: sys::napi_ref,
    fields: Fields,
    requests: RefCell<HashMap<ExchangeId, Arc<Exchange>, BuildHasherDefault<IdHasher>>>,
    /// Loads, and other things besides requests, that end with an event.
    pending: RefCell<HashSet<ExchangeId>>,
    /// Requests and loads that keep Node's event loop alive.
    in_flight: Cell<usize>,
}

struct FunctionSignal(sys::napi_threadsafe_function);

// SAFETY: a thread-safe function may be called from any thread, as its name says, while it lives: see the module.
unsafe impl Send for FunctionSignal {}
// SAFETY: as above.
unsafe impl Sync for FunctionSignal {}

impl Signal for FunctionSignal {
    fn raise(&self) {
        // SAFETY: the function lives until the environment's clean-up has closed the queue, which takes the
        // lock that is held here. test/workers.test.mjs terminates workers under load.
        unsafe {
            sys::napi_call_threadsafe_function(
                self.0,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            );
        }
    }
}

/// Hashes ids, which are counted up: nobody chooses them, so they need spreading only.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        /// 2^64 divided by the golden ratio: Fibonacci hashing.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = id.wrapping_mul(SPREAD);
    }
}

/// A slot for the queue's signal: the queue has to exist before the function that drains it.
struct Context {
    queue: Arc<CompletionQueue>,
}

impl Environment {
    /// The environment of this thread.
    ///
    /// # Errors
    /// `attach` was not called.
    pub(crate) fn current() -> Result<Rc<Self>> {
        ENVIRONMENT.with_borrow(Clone::clone).ok_or_else(|| {
            Error::new(Status::GenericFailure, "this environment is not attached, or is closing")
        })
    }

    /// Makes this thread's environment; `callback(count, text, shared, values)` gets its batches, whose numbers are in
    /// the array that this returns.
    ///
    /// # Errors
    /// What Node-API says.
    pub(crate) fn attach(env: &Env, callback: sys::napi_value) -> Result<sys::napi_value> {
        let raw = env.raw();
        let check = |status: sys::napi_status| {
            if status == sys::Status::napi_ok {
                Ok(())
            } else {
                Err(Error::new(status.into(), "cannot attach"))
            }
        };
        let (fields, array) = Fields::new(env)?;
        let mut reference = ptr::null_mut();
        let mut name = ptr::null_mut();
        let mut function = ptr::null_mut();
        // SAFETY: `env` and `callback` belong to the running call; `deliver` has the type Node asks for and
        // reads its environment from the thread-local of the thread it runs on.
        unsafe {
            check(sys::napi_create_reference(raw, callback, 1, &raw mut reference))?;
            check(sys::napi_create_string_utf8(raw, c"python-node".as_ptr(), 11, &raw mut name))?;
            check(sys::napi_create_threadsafe_function(
                raw,
                ptr::null_mut(),
                ptr::null_mut(),
                name,
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                Some(deliver),
                &raw mut function,
            ))?;
            check(sys::napi_unref_threadsafe_function(raw, function))?;
        }
        let queue = Arc::new(CompletionQueue::new(Box::new(FunctionSignal(function))));
        let context = Box::into_raw(Box::new(Context { queue: Arc::clone(&queue) }));
        // SAFETY: Node calls the hook once, on this thread, before it frees the function (hooks run last-in first-out).
        check(unsafe { sys::napi_add_env_cleanup_hook(raw, Some(clean_up), context.cast()) })?;
        ENVIRONMENT.set(Some(Rc::new(Self {
            queue,
            function,
            callback: reference,
            fields,
            requests: RefCell::default(),
            pending: RefCell::default(),
            in_flight: Cell::new(0),
        })));
        Ok(array)
    }

    /// Something besides a request begins that ends with an event.
    pub(crate) fn enter_pending(&self, env: &Env, id: ExchangeId) {
        self.pending.borrow_mut().insert(id);
        self.enter(env);
    }

    /// Nobody waits for the event any more.
    pub(crate) fn forget_pending(&self, env: &Env, id: ExchangeId) {
        if self.pending.borrow_mut().remove(&id) {
            self.leave(env, 1);
        }
    }

    /// Something begins that ends with a last event: keeps Node's event loop alive until then.
    pub(crate) fn enter(&self, env: &Env) {
        let count = self.in_flight.get();
        self.in_flight.set(count + 1);
        if count == 0 {
            // SAFETY: the function lives as long as this environment, on whose thread this runs.
            unsafe { sys::napi_ref_threadsafe_function(env.raw(), self.function) };
        }
    }

    fn leave(&self, env: &Env, count: usize) {
        if count == 0 {
            return;
        }
        let left = self.in_flight.get().saturating_sub(count);
        self.in_flight.set(left);
        if left == 0 {
            // SAFETY: as in `enter`.
            unsafe { sys::napi_unref_threadsafe_function(env.raw(), self.function) };
        }
    }

    /// Keeps a request until its last event.
    pub(crate) fn insert(&self, exchange: Arc<Exchange>) {
        self.requests.borrow_mut().insert(exchange.id, exchange);
    }

    /// A request in flight.
    pub(crate) fn request(&self, id: ExchangeId) -> Option<Arc<Exchange>> {
        self.requests.borrow().get(&id).map(Arc::clone)
    }

    /// Forgets a request that JavaScript gave up. Says whether it was in flight.
    pub(crate) fn remove(&self, env: &Env, id: ExchangeId) -> Option<Arc<Exchange>> {
        let exchange = self.requests.borrow_mut().remove(&id)?;
        self.leave(env, 1);
        Some(exchange)
    }

    /// Hands everything that waits to JavaScript.
    fn deliver(&self, env: &Env) -> Result<()> {
        let mut batch = Vec::new();
        self.queue.drain(&mut batch);
        if batch.is_empty() {
            return Ok(());
        }
        let mut ended = 0;
        let mut writer = EventWriter::new(env, &self.fields);
        for (id, event) in batch {
            let is_known = event.is_last()
                && (self.requests.borrow_mut().remove(&id).is_some()
                    || self.pending.borrow_mut().remove(&id));
            if is_known {
                ended += 1;
            }
            if writer.is_full() {
                self.call(env, &writer.finish()?)?;
                writer = EventWriter::new(env, &self.fields);
            }
            writer.push(id, event)?;
        }
        let called = self.call(env, &writer.finish()?);
        self.leave(env, ended);
        called
    }

    fn call(&self, env: &Env, arguments: &[sys::napi_value]) -> Result<()> {
        let raw = env.raw();
        let mut callback = ptr::null_mut();
        let mut receiver = ptr::null_mut();
        // SAFETY: the reference lives as long as the environment; the arguments belong to this scope. An
        // exception that the callback leaves pending is reported by Node as uncaught, as from any callback.
        let status = unsafe {
            sys::napi_get_reference_value(raw, self.callback, &raw mut callback);
            sys::napi_get_undefined(raw, &raw mut receiver);
            sys::napi_call_function(
                raw,
                receiver,
                callback,
                arguments.len(),
                arguments.as_ptr(),
                ptr::null_mut(),
            )
        };
        if status == sys::Status::napi_ok {
            return Ok(());
        }
        Err(Error::new(status.into(), "cannot call into JavaScript"))
    }
}

/// Called by Node on the JS thread, once for each signal.
unsafe extern "C" fn deliver(
    env: sys::napi_env,
    _callback: sys::napi_value,
    _context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() {
        return;
    }
    // A panic must not cross into Node: the requests of the batch are then answered by their timeouts.
    let delivered = std::panic::catch_unwind(|| {
        let env = Env::from_raw(env);
        Environment::current().and_then(|environment| environment.deliver(&env))
    });
    match delivered {
        Ok(Ok(())) => {}
        // The worker is being terminated: no JavaScript runs any more, and nobody waits for its events.
        Ok(Err(error)) if error.status == Status::PendingException => {}
        Ok(Err(error)) => log::error!("cannot deliver events: {error}"),
        Err(_) => log::error!("cannot deliver events: a panic"),
    }
}

/// Called by Node when the environment ends.
unsafe extern "C" fn clean_up(context: *mut c_void) {
    // SAFETY: made by `attach`, given back once.
    let context = unsafe { Box::from_raw(context.cast::<Context>()) };
    let cleaned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        context.queue.close();
        let environment = ENVIRONMENT.take();
        if let Some(environment) = environment {
            let requests = std::mem::take(&mut *environment.requests.borrow_mut());
            for exchange in requests.into_values() {
                exchange.disconnect(Disconnect { code: 1001, reason: String::new() }, true);
            }
        }
    }));
    if cleaned.is_err() {
        log::error!("a panic while an environment ended");
    }
}
