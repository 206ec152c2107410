//! What a server answers to commands: whole replies out of bytes that are cut anywhere.

use super::line;
use crate::error::{Error, Result};

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK` and the like, without the mark.
    Status(Vec<u8>),
    /// An error, with the mark.
    Error(Vec<u8>),
    /// A number.
    Integer(i64),
    /// A string; `None` for nothing.
    Bulk(Option<Vec<u8>>),
    /// Several replies; `None` for nothing.
    Array(Option<Vec<Reply>>),
}

/// The longest line: a server's error may quote what it was sent.
const LINE_MAX: usize = 64 << 10;

/// Nothing that is asked for here has so many parts.
const PARTS_MAX: i64 = 1 << 16;

/// Nor is it so deep.
const DEPTH_MAX: usize = 8;

impl Reply {
    /// The first reply and how many bytes it takes; `None` if it isn't all there. No string may be
    /// longer than that.
    pub fn read(bytes: &[u8], bulk_max: u64) -> Result<Option<(Self, usize)>> {
        let mut at = 0;
        let reply = read(bytes, &mut at, bulk_max, DEPTH_MAX)?;
        Ok(reply.map(|reply| (reply, at)))
    }
}

fn read(bytes: &[u8], at: &mut usize, bulk_max: u64, depth: usize) -> Result<Option<Reply>> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let Some((text, used)) = line(rest) else {
        if rest.len() > LINE_MAX {
            return Err(malformed(rest));
        }
        return Ok(None);
    };
    let number = || {
        let digits = text.get(1..).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| digits.parse::<i64>().ok()).ok_or_else(|| malformed(rest))
    };
    let reply = match text.first() {
        Some(b'+') => Reply::Status(text.get(1..).unwrap_or_default().to_vec()),
        Some(b'-') => Reply::Error(text.to_vec()),
        Some(b':') => Reply::Integer(number()?),
        Some(b'$') => match number()? {
            -1 => Reply::Bulk(None),
            len => {
                let len = u64::try_from(len).map_err(|_| malformed(rest))?;
                if len > bulk_max {
                    let text = format!("an answer of {len} bytes is beyond {bulk_max}");
                    return Err(Error::new(crate::error::Kind::NoMemory, text));
                }
                let len = usize::try_from(len).map_err(|_| malformed(rest))?;
                let string = rest.get(used..used.saturating_add(len));
                let end = rest.get(used.saturating_add(len)..used.saturating_add(len + 2));
                let (Some(string), Some(end)) = (string, end) else { return Ok(None) };
                if end != b"\r\n" {
                    return Err(malformed(rest));
                }
                *at += used + len + 2;
                return Ok(Some(Reply::Bulk(Some(string.to_vec()))));
            }
        },
        Some(b'*') => match number()? {
            -1 => Reply::Array(None),
            count @ 0..=PARTS_MAX if depth > 0 => {
                *at += used;
                let mut parts = Vec::new();
                for _ in 0..count {
                    let Some(part) = read(bytes, at, bulk_max, depth - 1)? else { return Ok(None) };
                    parts.push(part);
                }
                return Ok(Some(Reply::Array(Some(parts))));
            }
            _ => return Err(malformed(rest)),
        },
        _ => return Err(malformed(rest)),
    };
    *at += used;
    Ok(Some(reply))
}

/// Only its first byte is told: it may be anybody's data.
fn malformed(rest: &[u8]) -> Error {
    let first = rest.first().copied().unwrap_or_default();
    Error::protocol(format!("not a reply: it begins with byte 0x{first:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(Some(text.as_bytes().to_vec()))
    }

    #[test]
    fn replies_of_every_kind_are_read_however_they_are_cut() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n$4\r\na\r\nb\r\n*-1\r\n*0\r\n\
            *3\r\n$6\r\nmaster\r\n:99\r\n*1\r\n*2\r\n$0\r\n\r\n+x\r\n";
        let nested = Reply::Array(Some(vec![bulk(""), Reply::Status(b"x".to_vec())]));
        let wanted = [
            Reply::Status(b"OK".to_vec()),
            Reply::Error(b"-ERR no".to_vec()),
            Reply::Integer(-7),
            Reply::Bulk(None),
            bulk("a\r\nb"),
            Reply::Array(None),
            Reply::Array(Some(Vec::new())),
            Reply::Array(Some(vec![
                bulk("master"),
                Reply::Integer(99),
                Reply::Array(Some(vec![nested])),
            ])),
        ];
        let mut rest = &bytes[..];
        for reply in wanted {
            let (read, used) = Reply::read(rest, 6).unwrap().unwrap();
            assert_eq!(read, reply);
            for cut in 0..used {
                assert_eq!(Reply::read(&rest[..cut], 6).unwrap(), None, "{cut} of {reply:?}");
            }
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_no_reply_is_an_error_and_what_is_too_long_is_not_waited_for() {
        for bytes in
            [&b"HTTP/1.1\r\n"[..], b"\r\n", b":x\r\n", b"$-2\r\n", b"*-7\r\n", b"*99999999\r\n"]
        {
            assert_eq!(Reply::read(bytes, 9).unwrap_err().kind(), Kind::Protocol, "{bytes:?}");
        }
        assert!(Reply::read(b"$1\r\nabc\r\n", 9).is_err());
        assert!(Reply::read(&b"*1\r\n".repeat(DEPTH_MAX + 1), 9).is_err());
        assert!(Reply::read(&[b'+'; LINE_MAX + 1], 9).is_err());
        assert_eq!(Reply::read(b"$10\r\n", 9).unwrap_err().kind(), Kind::NoMemory);
        assert_eq!(Reply::read(b"$9223372036854775807\r\n", u64::MAX).unwrap(), None);
    }
}
