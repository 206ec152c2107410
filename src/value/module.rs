//! Values of modules: bytes that only the module understands.

use super::Bytes;

/// What a module stored, as it lies in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The type's name: nine characters.
    pub name: [u8; 9],
    /// The version of the encoding that the module chose, 0 to 1023.
    pub version: u16,
    /// The value's opcodes and data, without the end mark.
    pub payload: Bytes,
}
