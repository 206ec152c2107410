//! Where in which history the table stands: the resume point that moves only with a whole unit.

/// A place in a primary's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The replication id; `None` with servers before 2.8, which can't resume.
    pub(super) replid: Option<[u8; 40]>,
    /// Everything up to here is applied; -1 unknown.
    pub(super) offset: i64,
    /// The database selected for what follows.
    pub(super) db: u32,
}

impl Position {
    /// Moves on by so many bytes of the stream.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.offset = self.after(bytes);
    }

    /// The offset after so many more bytes.
    pub(super) fn after(&self, bytes: usize) -> i64 {
        if self.offset < 0 {
            return -1;
        }
        self.offset.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX))
    }
}
