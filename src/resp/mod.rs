//! The wire format: whole commands out of a stream that is cut anywhere, reply lines, and commands
//! of our own with the replies to them.

mod args;
mod reader;
mod reply;

pub use args::{Args, List};
pub use reader::{Command, Reader};
pub use reply::Reply;

/// The first line of what a server answered, without its line end (CR LF, or LF alone), and how
/// many bytes it took. `None`: it isn't complete yet.
pub fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let text = bytes.get(..end)?;
    Some((text.strip_suffix(b"\r").unwrap_or(text), end + 1))
}

/// Appends a command as servers want it: an array of bulk strings.
pub fn write_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    write_header(out, b'*', args.len());
    for arg in args {
        write_header(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_header(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(count.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_lf_and_loses_one_cr() {
        assert_eq!(line(b""), None);
        assert_eq!(line(b"+OK\r"), None);
        assert_eq!(line(b"+OK\r\nrest"), Some((&b"+OK"[..], 5)));
        assert_eq!(line(b"+OK\nrest"), Some((&b"+OK"[..], 4)));
        assert_eq!(line(b"\n$3\r\n"), Some((&b""[..], 1)));
        assert_eq!(line(b"a\r\r\n"), Some((&b"a\r"[..], 4)));
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut out = b"before".to_vec();
        write_command(&mut out, &[b"REPLCONF", b"", b"a\r\nb"]);
        assert_eq!(out, b"before*3\r\n$8\r\nREPLCONF\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
    }
}
