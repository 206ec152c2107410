//! The bytes that stand between the keys of a snapshot, where a key's type would stand otherwise.

/// Ends the snapshot.
pub(super) const EOF: u8 = 255;
/// The number of the database that the keys after it belong to.
pub(super) const SELECT_DB: u8 = 254;
/// The deadline of the next key in seconds.
pub(super) const EXPIRE_TIME: u8 = 253;
/// The deadline of the next key in milliseconds.
pub(super) const EXPIRE_TIME_MS: u8 = 252;
/// How many keys the database has, and how many of them a deadline.
pub(super) const RESIZE_DB: u8 = 251;
/// A name and a value about the server or the snapshot.
pub(super) const AUX: u8 = 250;
/// How often the next key was used.
pub(super) const FREQ: u8 = 249;
/// How long the next key was not used.
pub(super) const IDLE: u8 = 248;
/// What a module keeps apart from keys.
pub(super) const MODULE_AUX: u8 = 247;
/// A library of functions as only release candidates of 7.0 wrote it.
pub(super) const FUNCTION_PRE_GA: u8 = 246;
/// The source of a library of functions.
pub(super) const FUNCTION: u8 = 245;
/// How many keys a cluster's slot has.
pub(super) const SLOT_INFO: u8 = 244;
/// Redis: what modules keep about the next key. Valkey: slots that are being imported.
pub(super) const KEY_META_OR_SLOT_IMPORT: u8 = 243;
/// Redis: names of fields that hashes share. Valkey: a command among the keys.
pub(super) const HASH_TEMPLATE_OR_UPDATE: u8 = 242;
/// Below are the types of keys.
pub(super) const LEAST: u8 = HASH_TEMPLATE_OR_UPDATE;
