//! The applications that are to be imported while the loop does not run, one after the other.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::application::ApplicationOptions;
use crate::error::HandlerError;

/// Told whether an application was loaded.
pub(super) type TellLoaded = Box<dyn FnOnce(Result<(), HandlerError>) + Send>;

/// An application that is to be imported.
pub(super) struct Import {
    /// What the handler knows it by.
    pub(super) key: usize,
    /// What the handler asks for.
    pub(super) options: ApplicationOptions,
    /// Is told how that went.
    pub(super) tell: TellLoaded,
}

/// See the module.
#[derive(Default)]
pub(super) struct Imports(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Import>,
    /// Whether one is imported now: a loop that runs meanwhile is its module's own doing.
    is_importing: bool,
}

impl Imports {
    /// Adds one. Says whether the loop has to be left for it: not while another is imported, which it follows.
    pub(super) fn add(&self, import: Import) -> bool {
        let mut state = self.0.lock();
        state.waiting.push_back(import);
        !state.is_importing
    }

    /// The next to be imported now, until there is none.
    pub(super) fn next(&self) -> Option<Import> {
        let mut state = self.0.lock();
        let next = state.waiting.pop_front();
        state.is_importing = next.is_some();
        next
    }
}
