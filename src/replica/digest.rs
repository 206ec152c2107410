//! The dataset's digest, as the servers' `DEBUG DIGEST` computes it: the proof of equality.

use super::lookup::Answer;
use super::{Replica, Shared};
use crate::command::Server;
use crate::table::{Db, Entries};
use crate::value::{
    DatasetDigest, Digest, DigestRules, ScoreText, has_digest, key_digest, value_digest,
};
use std::fmt::Write;

/// A digest, and what it is the digest of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestAt {
    /// 40 lower-case hexadecimal digits.
    pub hex: String,
    /// The replication id; empty where the primary has none.
    pub replid: String,
    /// The offset; -1 unknown.
    pub offset: i64,
    /// False where something was withheld, or is a module's, which alone can digest it: then this
    /// can't equal the primary's.
    pub complete: bool,
}

/// The digest of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDigest {
    /// 40 lower-case hexadecimal digits.
    pub hex: String,
    /// As in [`DigestAt`].
    pub complete: bool,
}

impl Replica {
    /// Computes the digest of one key, as `DEBUG DIGEST-VALUE` does, on the caller's thread and
    /// outside every lock.
    pub fn key_digest(&self, db: Db, key: &[u8]) -> Answer<KeyDigest> {
        self.lookups().raw(db, key).map(|(value, expires_at_ms, whole)| {
            let rules = rules(&self.shared, self.env.now_ms());
            let digest = value_digest(&value, expires_at_ms.is_some(), &rules);
            KeyDigest { hex: hex(&digest), complete: whole && has_digest(&value) }
        })
    }

    /// Computes the digest of all databases over a consistent copy. It takes time in proportion to
    /// the data, on the caller's thread; the stream goes on meanwhile.
    pub fn digest(&self) -> Answer<DigestAt> {
        self.shared.view.open().map(|()| self.digest_of_everything())
    }

    fn digest_of_everything(&self) -> DigestAt {
        let (databases, stamp) = self.lookups().reader().snapshot();
        let rules = rules(&self.shared, self.env.now_ms());
        let mut digest = DatasetDigest::new();
        let mut complete = self.scope_is_everything() && !self.shared.board.read().mixed;
        for (db, entries) in databases {
            complete &= add_database(&mut digest, db, &entries, &rules);
        }
        let replid = Some(stamp.replid).filter(|id| *id != [b'0'; 40]);
        let replid = replid.map(|id| String::from_utf8_lossy(&id).into_owned());
        DigestAt {
            hex: hex(&digest.finish()),
            replid: replid.unwrap_or_default(),
            offset: stamp.offset,
            complete,
        }
    }
}

fn hex(digest: &Digest) -> String {
    digest.iter().fold(String::with_capacity(40), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn add_database(
    digest: &mut DatasetDigest,
    db: Db,
    entries: &Entries,
    rules: &DigestRules,
) -> bool {
    let mut complete = true;
    let mut begun = false;
    for (key, entry) in entries.iter() {
        complete &= entry.hold.is_none();
        let Some(value) = &entry.value else { continue };
        complete &= has_digest(value);
        if !begun {
            digest.database(db);
            begun = true;
        }
        digest.key(key_digest(&key, value, entry.expires_at_ms.is_some(), rules));
    }
    complete
}

/// How the primary's own version computes it.
fn rules(shared: &Shared, now_ms: i64) -> DigestRules {
    let status = shared.board.read();
    let Server { valkey, version } =
        Server::new(status.server_kind == "valkey", &status.server_version);
    DigestRules {
        scores: if valkey || version >= (7, 2) { ScoreText::Short } else { ScoreText::G17 },
        hash_field_mark: !valkey && version >= (7, 4),
        // The recorded 9.0.4 digests them, the sources of 9.1 pass over them.
        skip_expired_fields_at_ms: (valkey && version >= (9, 1)).then_some(now_ms),
    }
}
