//! A part of an open file on its way to JavaScript.
//!
//! Made on the Python thread, lent to JavaScript on the JS thread, where the environment keeps it until JavaScript has read
//! it. Dropped anywhere, it closes the descriptor.

/// See the module.
#[derive(Debug)]
pub(crate) struct FileSlice {
    descriptor: i32,
    offset: i64,
    count: i64,
    close: fn(i32),
}

impl FileSlice {
    /// Takes a descriptor that is nobody else's to close, and what closes it.
    pub(crate) fn new(descriptor: i32, offset: i64, count: i64, close: fn(i32)) -> Self {
        Self { descriptor, offset, count, close }
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// As JSON for `lib/`.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        format!(r#"{{"fd":{},"offset":{},"count":{}}}"#, self.descriptor, self.offset, self.count)
            .into_bytes()
    }

    /// What it is known by while it lives.
    pub(crate) fn descriptor(&self) -> i32 {
        self.descriptor
    }
}

impl PartialEq for FileSlice {
    fn eq(&self, other: &Self) -> bool {
        self.descriptor == other.descriptor
    }
}

impl Eq for FileSlice {}

impl Drop for FileSlice {
    fn drop(&mut self) {
        (self.close)(self.descriptor);
    }
}
