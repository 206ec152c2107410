//! Snapshots out of real servers: as bytes in memory, which is what a source that is never slow
//! sends; or read and thrown away, which is how long a server needs to make one.

use crate::support::{PATIENCE, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

/// What stands before the mark that ends a snapshot, and how long that is.
const MARK_BEGINS: &[u8] = b"$EOF:";
const MARK_LEN: usize = 40;

/// Asks for a full sync as a replica of former times would, which gets the snapshot with its length
/// in front.
pub(crate) fn of(server: &Server) -> Vec<u8> {
    let mut link = UnixStream::connect(server.socket()).expect("the server accepts");
    // A server writes a large file first, and only line ends meanwhile.
    link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    link.write_all(b"PSYNC ? -1\r\n").expect("the server reads");
    let mut from = BufReader::with_capacity(1 << 20, link);
    let mut line = String::new();
    while !line.starts_with('$') {
        line.clear();
        from.read_line(&mut line).expect("a line");
        assert!(!line.starts_with('-') && !line.is_empty(), "no snapshot: {line:?}");
    }
    let len = line[1..].trim().parse().expect("a length");
    let mut snapshot = vec![0; len];
    from.read_exact(&mut snapshot).expect("the whole snapshot");
    snapshot
}

/// Reads a whole snapshot as a replica of today gets it, with a mark at its end, and throws it
/// away.
pub(crate) fn scan(server: &Server) {
    let mut link = TcpStream::connect(("127.0.0.1", server.port())).expect("the server accepts");
    link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut bytes = vec![0; 1 << 20];
    link.write_all(b"REPLCONF capa eof capa psync2\r\n").expect("the server reads");
    let count = link.read(&mut bytes).expect("an answer");
    assert_eq!(bytes[..count], *b"+OK\r\n");
    link.write_all(b"PSYNC ? -1\r\n").expect("the server reads");
    let (mut mark, mut held) = (None, Vec::new());
    loop {
        let count = link.read(&mut bytes).expect("the server goes on");
        assert!(count > 0, "the server has gone");
        held.extend_from_slice(&bytes[..count]);
        if mark.is_none() {
            let at = held.windows(MARK_BEGINS.len()).position(|some| some == MARK_BEGINS);
            let Some(at) = at.map(|at| at + MARK_BEGINS.len()) else { continue };
            let Some(found) = held.get(at..at + MARK_LEN) else { continue };
            mark = Some(found.to_vec());
            held.drain(..at + MARK_LEN);
        }
        // A file goes as a whole where a server prefers that; here none does.
        if mark.as_ref().is_some_and(|mark| held.ends_with(mark)) {
            return;
        }
        held.drain(..held.len().saturating_sub(MARK_LEN));
    }
}
