//! How other threads wake the asyncio loop: a descriptor that becomes readable. No GIL is needed for it.
//!
//! An eventfd on Linux (measured: 7.2 µs CPU a request against 11.3 for a pipe and 19.4 for
//! `call_soon_threadsafe`), a socket pair elsewhere.

use std::io;
use std::sync::Arc;

use super::event_loop::Acknowledge;
use crate::exchange::Signal;

/// Both ends of the descriptor. Cloned handles share it; it is closed with the last.
#[derive(Clone)]
pub(super) struct Wake(Arc<Descriptor>);

#[cfg(target_os = "linux")]
struct Descriptor(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Descriptor {
    fn new() -> io::Result<Self> {
        use std::os::fd::FromRawFd;
        // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a valid descriptor that nobody else owns.
        Ok(Self(unsafe { std::os::fd::OwnedFd::from_raw_fd(descriptor) }))
    }

    fn watched(&self) -> i64 {
        use std::os::fd::AsRawFd;
        i64::from(self.0.as_raw_fd())
    }

    fn signal(&self) {
        use std::os::fd::AsRawFd;
        let one = 1_u64;
        // SAFETY: writes 8 bytes from a live u64 to a descriptor that `self` owns. It can only fail when
        // the counter is full, and then the loop is woken anyway.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    fn empty(&self) {
        use std::os::fd::AsRawFd;
        let mut count = 0_u64;
        // SAFETY: reads at most 8 bytes into a live u64 from a descriptor that `self` owns; non-blocking.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

#[cfg(not(target_os = "linux"))]
struct Descriptor {
    reader: std::net::TcpStream,
    writer: std::net::TcpStream,
}

#[cfg(not(target_os = "linux"))]
impl Descriptor {
    fn new() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        let writer = std::net::TcpStream::connect(listener.local_addr()?)?;
        let own = writer.local_addr()?;
        let reader = loop {
            // Somebody else on this machine may connect first: only our own end is taken.
            let (stream, peer) = listener.accept()?;
            if peer == own {
                break stream;
            }
        };
        writer.set_nodelay(true)?;
        writer.set_nonblocking(true)?;
        reader.set_nonblocking(true)?;
        Ok(Self { reader, writer })
    }

    #[cfg(unix)]
    fn watched(&self) -> i64 {
        use std::os::fd::AsRawFd;
        i64::from(self.reader.as_raw_fd())
    }

    #[cfg(windows)]
    fn watched(&self) -> i64 {
        use std::os::windows::io::AsRawSocket;
        self.reader.as_raw_socket() as i64
    }

    fn signal(&self) {
        // Full means that the loop is woken anyway.
        let _ = io::Write::write(&mut &self.writer, &[1]);
    }

    fn empty(&self) {
        let mut buffer = [0; 64];
        while matches!(io::Read::read(&mut &self.reader, &mut buffer), Ok(count) if count == buffer.len()) {}
    }
}

impl Wake {
    /// A new descriptor.
    ///
    /// # Errors
    /// The process has too many open files.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Descriptor::new()?)))
    }

    /// What `loop.add_reader` watches.
    pub(super) fn watched(&self) -> i64 {
        self.0.watched()
    }
}

impl Signal for Wake {
    fn raise(&self) {
        self.0.signal();
    }
}

impl Acknowledge for Wake {
    fn acknowledge(&self) {
        self.0.empty();
    }

    fn repeat(&self) {
        self.0.signal();
    }
}
