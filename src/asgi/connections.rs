//! The requests whose tasks run, each under the number that its exchange carries.
//!
//! One set, the event loop's; used on the Python thread only. A connection that is removed is dropped with its last callable,
//! which settles its request if nothing else did.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use slab::Slab;

use super::connection::Connection;
use crate::exchange::Exchange;

/// See the module.
#[derive(Default)]
pub(super) struct Connections(Mutex<Slab<Arc<Connection>>>);

impl Connections {
    /// Takes one, which is found from now on.
    pub(super) fn insert(&self, connection: &Arc<Connection>) {
        connection.exchange().attach(self.0.lock().insert(Arc::clone(connection)));
    }

    /// That of an exchange, unless its task has ended: its number may be another's by now.
    pub(super) fn find(&self, exchange: &Exchange) -> Option<Arc<Connection>> {
        let slot = exchange.slot()?;
        let connections = self.0.lock();
        let connection = connections.get(slot)?;
        std::ptr::eq(Arc::as_ptr(connection.exchange()), exchange).then(|| Arc::clone(connection))
    }

    /// The task of `connection` has ended.
    pub(super) fn remove(&self, connection: &Arc<Connection>) {
        let removed = connection.exchange().slot().and_then(|slot| self.0.lock().try_remove(slot));
        drop(removed);
    }

    /// The tasks of an application's requests, or of all.
    pub(super) fn tasks_of(&self, py: Python<'_>, key: Option<usize>) -> Vec<(Py<PyAny>, Arc<Connection>)> {
        let connections: Vec<Arc<Connection>> =
            self.0.lock().iter().map(|(_, connection)| Arc::clone(connection)).collect();
        connections
            .into_iter()
            .filter(|connection| key.is_none_or(|key| connection.exchange().application == key))
            .filter_map(|connection| Some((connection.task(py)?, connection)))
            .collect()
    }
}
