//! One Node environment: the main thread, or a worker. Its queue, its requests in flight, its thread-safe function.
//!
//! Lives in a thread-local of its JS thread, from `attach` to the environment's clean-up. A thread has more than one
//! where JavaScript runs in several contexts (`node:vm`, jest), each with its own copy of `lib/`: the ids of
//! requests say whose they are. The thread-safe
//! function is called by the Python thread with the queue's lock held, and the clean-up closes the queue
//! under the same lock before Node frees the function.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use napi::sys;
use napi::{Env, Error, Result, Status};

use super::events::{EventWriter, Fields, Files};
use crate::exchange::{CompletionQueue, Disconnect, Event, Exchange, ExchangeId, Signal};

thread_local! {
    static ENVIRONMENTS: RefCell<Vec<Option<Rc<Environment>>>> = const { RefCell::new(Vec::new()) };
}

/// The bits of an id below those that say whose it is (`lib/environment.js`).
const ID_BITS: u32 = 40;

/// So long may events be delivered before Node's other work gets its turn. An application that sends without
/// pause would hold the event loop for a second: Node calls a thread-safe function again and again in one turn.
const TURN: Duration = Duration::from_millis(2);

/// So many deliveries in a row are not asked how long they took: those of a loop that turns in between are quick.
const FREE: u32 = 4;

/// Instead of a count: go on in a turn of its own.
const POSTPONED: i32 = -1;

/// See the module.
pub(crate) struct Environment {
    /// Where its events wait.
    pub(crate) queue: Arc<CompletionQueue>,
    function: sys::napi_threadsafe_function,
    /// Strong while something is in flight, weak otherwise: JavaScript's own context may be collected then.
    callback: sys::napi_ref,
    fields: Fields,
    files: Files,
    requests: RefCell<HashMap<ExchangeId, Arc<Exchange>, BuildHasherDefault<IdHasher>>>,
    /// Loads, and other things besides requests, that end with an event.
    pending: RefCell<HashSet<ExchangeId>>,
    /// Requests and loads that keep Node's event loop alive.
    in_flight: Cell<usize>,
    /// What was taken from the queue and not delivered yet.
    backlog: RefCell<VecDeque<(ExchangeId, Event)>>,
    /// Deliveries since a turn of the loop is known to have begun, and when that was.
    deliveries: Cell<(u32, Instant)>,
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

/// What the environment's clean-up needs.
struct Context {
    index: usize,
    queue: Arc<CompletionQueue>,
}

impl Environment {
    /// The environment of this thread whose request has this id.
    ///
    /// # Errors
    /// `attach` was not called.
    pub(crate) fn of(id: ExchangeId) -> Result<Rc<Self>> {
        Self::at(usize::try_from(id >> ID_BITS).unwrap_or(usize::MAX))
    }

    fn at(index: usize) -> Result<Rc<Self>> {
        ENVIRONMENTS.with_borrow(|all| all.get(index).cloned().flatten()).ok_or_else(|| {
            Error::new(Status::GenericFailure, "this environment is not attached, or is closing")
        })
    }

    /// Makes an environment of this thread; `callback(count, text, shared, values)` gets its batches. Returns the array
    /// that their numbers are in, and the first of its ids.
    ///
    /// # Errors
    /// What Node-API says.
    pub(crate) fn attach(env: &Env, callback: sys::napi_value) -> Result<(sys::napi_value, ExchangeId)> {
        let raw = env.raw();
        let index = ENVIRONMENTS.with_borrow(Vec::len);
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
            check(sys::napi_create_reference(raw, callback, 0, &raw mut reference))?;
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
                ptr::without_provenance_mut(index),
                Some(deliver),
                &raw mut function,
            ))?;
            check(sys::napi_unref_threadsafe_function(raw, function))?;
        }
        let queue = Arc::new(CompletionQueue::new(Box::new(FunctionSignal(function))));
        let context = Box::into_raw(Box::new(Context { index, queue: Arc::clone(&queue) }));
        // SAFETY: Node calls the hook once, on this thread, before it frees the function (hooks run last-in first-out).
        check(unsafe { sys::napi_add_env_cleanup_hook(raw, Some(clean_up), context.cast()) })?;
        let environment = Rc::new(Self {
            queue,
            function,
            callback: reference,
            fields,
            files: RefCell::default(),
            requests: RefCell::default(),
            pending: RefCell::default(),
            in_flight: Cell::new(0),
            backlog: RefCell::default(),
            deliveries: Cell::new((0, Instant::now())),
        });
        ENVIRONMENTS.with_borrow_mut(|all| all.push(Some(environment)));
        Ok((array, (index as ExchangeId) << ID_BITS))
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
            // SAFETY: the function and the reference live as long as this environment, on whose thread this runs.
            unsafe {
                sys::napi_ref_threadsafe_function(env.raw(), self.function);
                sys::napi_reference_ref(env.raw(), self.callback, ptr::null_mut());
            }
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
            unsafe {
                sys::napi_unref_threadsafe_function(env.raw(), self.function);
                sys::napi_reference_unref(env.raw(), self.callback, ptr::null_mut());
            }
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

    /// JavaScript has read a file.
    pub(crate) fn close_file(&self, descriptor: i32) {
        self.files.borrow_mut().remove(&descriptor);
    }

    /// Hands everything that waits to JavaScript, or what there is time for in this turn of Node's loop.
    fn deliver(&self, env: &Env) -> Result<()> {
        let (count, since) = self.deliveries.get();
        if count >= FREE && since.elapsed() >= TURN {
            return self.postpone(env);
        }
        self.deliveries.set((count + 1, since));
        self.hand_over(env)
    }

    /// A turn of the loop has begun that was asked for.
    ///
    /// # Errors
    /// What Node-API says.
    pub(crate) fn resume(&self, env: &Env) -> Result<()> {
        self.deliveries.set((1, Instant::now()));
        self.hand_over(env)
    }

    fn hand_over(&self, env: &Env) -> Result<()> {
        let started = Instant::now();
        let mut backlog = self.backlog.take();
        let mut is_drained = false;
        loop {
            if backlog.is_empty() {
                if is_drained {
                    return Ok(());
                }
                is_drained = true;
                let mut batch = Vec::new();
                self.queue.drain(&mut batch);
                backlog = batch.into();
                continue;
            }
            if started.elapsed() >= TURN {
                self.backlog.replace(backlog);
                return self.postpone(env);
            }
            self.hand_over_batch(env, &mut backlog)?;
        }
    }

    /// At most one array of events.
    fn hand_over_batch(&self, env: &Env, backlog: &mut VecDeque<(ExchangeId, Event)>) -> Result<()> {
        let mut ended = 0;
        let mut writer = EventWriter::new(env, &self.fields, &self.files);
        while !writer.is_full()
            && let Some((id, event)) = backlog.pop_front()
        {
            let is_known = event.is_last()
                && (self.requests.borrow_mut().remove(&id).is_some()
                    || self.pending.borrow_mut().remove(&id));
            if is_known {
                ended += 1;
            }
            writer.push(id, event)?;
        }
        let called = self.call(env, &writer.finish()?);
        self.leave(env, ended);
        called
    }

    /// JavaScript calls [`Self::resume`] after Node's other work. Until then the queue signals no more.
    fn postpone(&self, env: &Env) -> Result<()> {
        let mut count = ptr::null_mut();
        // SAFETY: `env` is that of the running call.
        unsafe { sys::napi_create_int32(env.raw(), POSTPONED, &raw mut count) };
        self.call(env, &[count])
    }

    fn call(&self, env: &Env, arguments: &[sys::napi_value]) -> Result<()> {
        let raw = env.raw();
        let mut callback = ptr::null_mut();
        let mut receiver = ptr::null_mut();
        // SAFETY: the reference lives as long as the environment; the arguments belong to this scope. An
        // exception that the callback leaves pending is reported by Node as uncaught, as from any callback.
        let status = unsafe {
            sys::napi_get_reference_value(raw, self.callback, &raw mut callback);
            if callback.is_null() {
                // Collected: nobody waits for anything.
                return Ok(());
            }
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

/// Whether JavaScript runs no more on this thread: its worker is being terminated, by somebody who waits for the thread. Asked
/// by a call that waits itself.
pub(crate) fn is_ending(env: &Env) -> bool {
    let mut undefined = ptr::null_mut();
    let mut equals = false;
    // SAFETY: `env` is that of the running call. Node-API compares nothing once JavaScript may not be called, which another
    // thread may say at any time. test/workers.test.mjs, "while it waits".
    let status = unsafe {
        sys::napi_get_undefined(env.raw(), &raw mut undefined);
        sys::napi_strict_equals(env.raw(), undefined, undefined, &raw mut equals)
    };
    status != sys::Status::napi_ok
}

/// Called by Node on the JS thread, once for each signal. The context is the environment's index, not a pointer.
unsafe extern "C" fn deliver(
    env: sys::napi_env,
    _callback: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() {
        return;
    }
    // A panic must not cross into Node: the requests of the batch are then answered by their timeouts.
    let delivered = std::panic::catch_unwind(|| {
        let env = Env::from_raw(env);
        Environment::at(context.addr()).and_then(|environment| environment.deliver(&env))
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
        let environment =
            ENVIRONMENTS.with_borrow_mut(|all| all.get_mut(context.index).and_then(Option::take));
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
