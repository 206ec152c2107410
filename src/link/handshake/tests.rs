//! Handshakes with servers of every era, cut at every byte.

use super::*;
use crate::error::Kind;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const MARK: &str = "fedcba9876543210fedcba9876543210fedcba98";
const PING: &str = "*1\r\n$4\r\nPING\r\n";
const CAPA: &str = "*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n\
    $4\r\ncapa\r\n$6\r\npsync2\r\n\
    *3\r\n$8\r\nREPLCONF\r\n$7\r\nversion\r\n$5\r\n9.1.0\r\n";
const AUTH: &str = "*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n";
const AUTH_USER: &str = "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\ns3cret\r\n";
const FRESH: &str = "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n";
const SYNC: &str = "*1\r\n$4\r\nSYNC\r\n";
const OK2: &str = "+OK\r\n+OK\r\n";

fn id() -> ReplId {
    ID.as_bytes().try_into().unwrap()
}

fn again() -> String {
    format!("*3\r\n$5\r\nPSYNC\r\n$40\r\n{ID}\r\n$4\r\n5351\r\n")
}

#[derive(Clone, Copy, PartialEq)]
enum Who {
    Nobody,
    Password,
    User,
}

struct Case {
    name: &'static str,
    who: Who,
    resume: bool,
    /// What we must send, and what the server answers to it.
    talk: Vec<(String, String)>,
}

fn case(name: &'static str, who: Who, resume: bool, talk: &[(&str, &str)]) -> Case {
    let talk = talk.iter().map(|(sent, reply)| (sent.to_string(), reply.to_string())).collect();
    Case { name, who, resume, talk }
}

/// Plays a case with its replies cut by `cut` and returns how it ended, the warnings and the rest.
/// Nothing may be sent before the last reply has come entirely.
fn play(case: &Case, cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> (Event, usize, Vec<u8>) {
    let credentials = Credentials {
        user: (case.who == Who::User).then(|| b"me".to_vec()),
        password: (case.who != Who::Nobody).then(|| b"s3cret".to_vec()),
    };
    let mut handshake = Handshake::new(credentials, case.resume.then(|| (id(), 5350)));
    let mut talk = case.talk.iter();
    let mut coming: Vec<Vec<u8>> = Vec::new();
    let mut warnings = 0;
    loop {
        match handshake.next() {
            Some(Event::Send(bytes)) => {
                assert!(coming.is_empty(), "{}: sent before all replies had come", case.name);
                let (sent, reply) =
                    talk.next().unwrap_or_else(|| panic!("{}: too much", case.name));
                assert_eq!(
                    bytes.escape_ascii().to_string(),
                    sent.as_bytes().escape_ascii().to_string()
                );
                coming = cut(reply.as_bytes());
                coming.retain(|piece| !piece.is_empty());
                coming.reverse();
            }
            Some(Event::Warn(_)) => warnings += 1,
            Some(end) => {
                assert!(talk.next().is_none(), "{}: too little was sent", case.name);
                assert!(handshake.next().is_none());
                if let Event::Failed(_) = end {
                    return (end, warnings, Vec::new());
                }
                coming.iter().rev().for_each(|piece| handshake.feed(piece));
                return (end, warnings, handshake.take_rest());
            }
            None => {
                let piece = coming.pop().unwrap_or_else(|| panic!("{}: waits for ever", case.name));
                handshake.feed(&piece);
            }
        }
    }
}

/// How it ended; without the words that quote what had come so far.
fn gist(end: &Event) -> String {
    match end {
        Event::Failed(failure) => format!("{:?} {}", failure.error.kind(), failure.retry),
        other => format!("{other:?}"),
    }
}

/// In one piece, byte by byte, and in two at every byte.
fn every_cut(case: &Case) -> (Event, usize, Vec<u8>) {
    let whole = play(case, &|reply| vec![reply.to_vec()]);
    let bytewise = play(case, &|reply| reply.iter().map(|&b| vec![b]).collect());
    assert_eq!((gist(&whole.0), whole.1), (gist(&bytewise.0), bytewise.1), "{}", case.name);
    for at in 0..case.talk.iter().map(|t| t.1.len()).max().unwrap_or(0) {
        let cut = play(case, &|reply| {
            let (a, b) = reply.split_at(at.min(reply.len()));
            vec![a.to_vec(), b.to_vec()]
        });
        assert_eq!((gist(&whole.0), whole.1), (gist(&cut.0), cut.1), "{} cut at {at}", case.name);
        assert_eq!(whole.2, cut.2, "{} cut at {at}", case.name);
    }
    whole
}

fn full(replid: Option<ReplId>, offset: i64, transfer: Transfer) -> Event {
    Event::Full { replid, offset, transfer }
}

#[test]
fn servers_of_every_era_are_attached_to() {
    use Who::{Nobody, Password, User};
    let unknown = "-ERR unknown command 'REPLCONF'\r\n";
    let v2_2 = format!("+OK\r\n{unknown}{unknown}");
    let v7 = "+OK\r\n-ERR Unrecognized REPLCONF option: version\r\n";
    let granted = format!("+FULLRESYNC {ID} 5350\r\n$176\r\nREDIS0011");
    let slow = format!("\n\n+FULLRESYNC {ID} 0\r\n\n\n\n$EOF:{MARK}\r\nREDIS0011");
    let mark = Transfer::Mark(MARK.as_bytes().try_into().unwrap());
    let renamed = format!("+CONTINUE {MARK}\r\n\n*1\r\n");
    let mut table = vec![
        (
            case(
                "2.2",
                Password,
                false,
                &[
                    (PING, "-ERR operation not permitted\r\n"),
                    (&format!("{AUTH}{CAPA}"), &v2_2),
                    (FRESH, "-ERR unknown command 'PSYNC'\r\n"),
                    (SYNC, "\n\n$10\r\nREDIS0001\nx"),
                ],
            ),
            full(None, -1, Transfer::Length(10)),
            0,
            "REDIS0001\nx",
        ),
        (
            case(
                "2.6, resuming in vain",
                Nobody,
                true,
                &[
                    (PING, "+PONG\r\n"),
                    (CAPA, "-ERR Unrecognized REPLCONF option: capa\r\n-ERR x\r\n"),
                    (&again(), "-ERR unknown command 'PSYNC'\r\n"),
                    (SYNC, "$10\r\n"),
                ],
            ),
            full(None, -1, Transfer::Length(10)),
            0,
            "",
        ),
        (
            case(
                "2.8, SYNC with a mark",
                Nobody,
                false,
                &[
                    (PING, "+PONG\r\n"),
                    (CAPA, OK2),
                    (
                        FRESH,
                        "-ERR unknown command `psync`, with args beginning with: `?`, `-1`, \r\n",
                    ),
                    (SYNC, &format!("$EOF:{MARK}\r\nR")),
                ],
            ),
            full(None, -1, mark),
            0,
            "R",
        ),
        (
            case(
                "3.2, keeps its id",
                Nobody,
                true,
                &[
                    (PING, "+PONG\r\n"),
                    (CAPA, OK2),
                    (&again(), "\n+CONTINUE\r\n*1\r\n$4\r\nPING\r\n"),
                ],
            ),
            Event::Partial { replid: None },
            0,
            "*1\r\n$4\r\nPING\r\n",
        ),
        (
            case(
                "4.0, password but none wanted",
                Password,
                true,
                &[
                    (PING, "+PONG\r\n"),
                    (
                        &format!("{AUTH}{CAPA}"),
                        "-ERR Client sent AUTH, but no password is set\r\n+OK\r\n+OK\r\n",
                    ),
                    // The newline after the line is the stream's.
                    (&again(), &renamed),
                ],
            ),
            Event::Partial { replid: Some(MARK.as_bytes().try_into().unwrap()) },
            1,
            "\n*1\r\n",
        ),
        (
            case(
                "6.2, default user without password",
                Password,
                false,
                &[
                    (PING, "+PONG\r\n"),
                    (
                        &format!("{AUTH}{CAPA}"),
                        "-ERR AUTH <password> called without any password configured for the \
                         default user. Are you sure your configuration is correct?\r\n\
                         +OK\r\n+OK\r\n",
                    ),
                    (FRESH, &granted),
                ],
            ),
            full(Some(id()), 5350, Transfer::Length(176)),
            1,
            "REDIS0011",
        ),
        (
            case(
                "7.0, a user without the right to PING",
                User,
                false,
                &[
                    (PING, "-NOAUTH Authentication required.\r\n"),
                    (&format!("{AUTH_USER}{CAPA}"), &format!("+OK\r\n{v7}")),
                    (FRESH, &slow),
                ],
            ),
            full(Some(id()), 0, mark),
            0,
            "REDIS0011",
        ),
        (
            case(
                "9.1, history gone",
                Nobody,
                true,
                &[
                    (PING, "-NOPERM this user has no permissions to run the 'ping' command\r\n"),
                    (CAPA, OK2),
                    (&again(), &granted),
                ],
            ),
            full(Some(id()), 5350, Transfer::Length(176)),
            0,
            "REDIS0011",
        ),
    ];
    for (case, end, warnings, rest) in table.drain(..) {
        let got = every_cut(&case);
        assert_eq!(got, (end, warnings, rest.as_bytes().to_vec()), "{}", case.name);
    }
}

/// At which step a refusal comes.
#[derive(Clone, Copy, Debug)]
enum At {
    Ping,
    Auth,
    Replconf,
    Psync,
    Sync,
    Header,
}

fn refused(at: At, line: &str) -> Failure {
    let line = format!("{line}\r\n");
    let hello = ("+PONG\r\n", "+OK\r\n+OK\r\n+OK\r\n");
    let auth = format!("{AUTH_USER}{CAPA}");
    let unknown = "-ERR unknown command 'PSYNC'\r\n".to_owned();
    let granted = format!("+FULLRESYNC {ID} 1\r\n\n{line}");
    let start = [(PING, hello.0), (auth.as_str(), hello.1)];
    let talk = match at {
        At::Ping => vec![(PING, line.as_str())],
        At::Auth => vec![start[0], (&auth, &line)],
        At::Replconf => {
            let replies = format!("+OK\r\n{line}+OK\r\n");
            return failure(case("replconf", Who::User, false, &[start[0], (&auth, &replies)]));
        }
        At::Psync => vec![start[0], start[1], (FRESH, &line)],
        At::Sync => vec![start[0], start[1], (FRESH, &unknown), (SYNC, &line)],
        At::Header => vec![start[0], start[1], (FRESH, &granted)],
    };
    failure(case("refusal", Who::User, false, &talk))
}

fn failure(case: Case) -> Failure {
    match every_cut(&case).0 {
        Event::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_refusal_is_told_apart() {
    use At::*;
    let again = [
        (Ping, "-LOADING Redis is loading the dataset in memory", Kind::Io),
        (Ping, "-ERR max number of clients reached", Kind::Io),
        (Ping, "-BUSY Redis is busy running a script.", Kind::Io),
        (Ping, "-MASTERDOWN Link with MASTER is down", Kind::Io),
        (Auth, "-LOADING Redis is loading the dataset in memory", Kind::Io),
        (Auth, "-ERR max number of clients + cluster connections reached", Kind::Io),
        (Replconf, "-LOADING Redis is loading the dataset in memory", Kind::Io),
        (Psync, "-LOADING Valkey is loading the dataset in memory", Kind::Io),
        (Psync, "-NOMASTERLINK Can't SYNC while not connected with my master", Kind::Io),
        (Psync, "-NOMASTERLINK Can't SYNC while failing over", Kind::Io),
        (Psync, "-MASTERDOWN Link with MASTER is down", Kind::Io),
        (Psync, "-ERR Can't SYNC while not connected with my master", Kind::Io),
        (Psync, "-ERR SYNC and PSYNC are invalid with pending output", Kind::Io),
        (Psync, "-ERR value is not an integer or out of range", Kind::Io),
        (Psync, "-ERR BGSAVE failed, replication can't continue", Kind::Io),
        (Psync, "+OK", Kind::Protocol),
        (Psync, "+RDBCHANNELSYNC 12", Kind::Protocol),
        (Psync, "+DUALCHANNELSYNC", Kind::Protocol),
        (Psync, "+CONTINUE", Kind::Protocol),
        (Psync, "+FULLRESYNC", Kind::Protocol),
        (Psync, "+FULLRESYNC 0123 1", Kind::Protocol),
        (Psync, "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 -1", Kind::Protocol),
        (
            Psync,
            "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 9223372036854775808",
            Kind::Protocol,
        ),
        (Psync, "$10", Kind::Protocol),
        (Psync, ":1", Kind::Protocol),
        (Sync, "-ERR Unable to perform background save", Kind::Io),
        (Sync, "-LOADING x", Kind::Io),
        (Sync, "+OK", Kind::Protocol),
        (Sync, "$-1", Kind::Protocol),
        (Sync, "$0", Kind::Protocol),
        (Sync, "$", Kind::Protocol),
        (Sync, "$EOF:short", Kind::Protocol),
        (Sync, "$99999999999999999999", Kind::Protocol),
        (Header, "-ERR BGSAVE failed, replication can't continue", Kind::Io),
        (Header, "*1", Kind::Protocol),
    ];
    let never = [
        (Ping, "-DENIED Redis is running in protected mode because", Kind::Auth),
        (Ping, "HTTP/1.1 400 Bad Request", Kind::Protocol),
        (Ping, "SSH-2.0-OpenSSH_9.2", Kind::Protocol),
        (Ping, "\u{15}\u{3}\u{1}", Kind::Protocol),
        (Ping, "+OK POP3 ready", Kind::Protocol),
        (Ping, "ERROR", Kind::Protocol),
        (Ping, "", Kind::Protocol),
        (Auth, "-WRONGPASS invalid username-password pair or user is disabled.", Kind::Auth),
        (Auth, "-ERR invalid password", Kind::Auth),
        (Auth, "-ERR wrong number of arguments for 'auth' command", Kind::Auth),
        (Auth, "-ERR unknown command `AUTH`, with args beginning with: `me`, `s3c", Kind::Auth),
        (Auth, "-ERR your s3cret is no good", Kind::Auth),
        (Auth, "-NOPERM x", Kind::Auth),
        (Replconf, "-NOAUTH Authentication required.", Kind::Auth),
        (Replconf, "-ERR operation not permitted", Kind::Auth),
        (
            Replconf,
            "-NOPERM this user has no permissions to run the 'replconf' command",
            Kind::Auth,
        ),
        (Psync, "-NOAUTH Authentication required.", Kind::Auth),
        (Psync, "-NOPERM this user has no permissions to run the 'psync' command", Kind::Auth),
        (Psync, "-ERR command not allowed", Kind::Unsupported),
        (Sync, "-ERR unknown command 'SYNC'", Kind::Unsupported),
        (Sync, "-ERR unknown command `SYNC`, with args beginning with: ", Kind::Unsupported),
        (Sync, "-ERR operation not permitted", Kind::Auth),
    ];
    let rows = again.map(|row| (row, true)).into_iter().chain(never.map(|row| (row, false)));
    for ((at, line, kind), retry) in rows {
        let got = refused(at, line);
        assert_eq!((got.error.kind(), got.retry), (kind, retry), "{at:?} {line}: {}", got.error);
        assert!(!got.error.text().contains("s3c"), "{}", got.error);
        assert!(got.error.text().is_ascii() && !got.error.text().contains('\n'));
    }
}

#[test]
fn a_line_without_an_end_is_not_collected_for_ever() {
    let mut handshake = Handshake::new(Credentials::default(), None);
    assert!(matches!(handshake.next(), Some(Event::Send(_))));
    handshake.feed(b"-");
    for _ in 0..MAX_LINE / 1024 {
        assert_eq!(handshake.next(), None);
        handshake.feed(&[b'x'; 1024]);
    }
    let Some(Event::Failed(failure)) = handshake.next() else { panic!() };
    assert!(!failure.retry);
    assert!(failure.error.text().len() < 400, "{}", failure.error);
}

#[test]
fn a_service_that_sends_no_line_end_is_known_by_its_first_byte() {
    let mut handshake = Handshake::new(Credentials::default(), None);
    assert!(matches!(handshake.next(), Some(Event::Send(_))));
    handshake.feed(&[0x15, 3, 1, 0, 2]);
    let Some(Event::Failed(failure)) = handshake.next() else { panic!() };
    assert!(failure.error.text().contains("TLS") && !failure.retry);
}
