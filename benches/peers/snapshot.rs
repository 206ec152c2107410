//! A snapshot out of a real server, as bytes in memory: what a source that is never slow sends.

use crate::support::{PATIENCE, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

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
