//! Where the bytes of the table lie: blocks that are counted and never edited, most of them in
//! memory of our own, where nothing stands between them.

mod block;
mod fetch;
mod heap;
mod piece;

pub use block::{Block, CONTENT_MAX, Head, Lent, NOTE_BITS, block_size};
pub use fetch::fetch;
pub use heap::{Hand, Heap, LINE, Lines, Source, Stock};
pub use piece::{Piece, View};

/// To be called in a forked child; may be called where little else may.
pub fn forked() {
    heap::forked();
}
