//! What the fuzz targets have in common; `tests/fuzz_corpora.rs` takes the same files.

pub mod bodies;
mod meter;
