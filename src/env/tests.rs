//! The real machine, on loopback sockets and real threads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;

use socket2::{Domain, Socket, Type};

use super::*;

const READ: Interest = Interest { read: true, write: false };
const WRITE: Interest = Interest { read: false, write: true };

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.into(), port }
}

/// Somebody who listens on loopback, and the port.
fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Waits until it is there, or an error.
fn establish(connection: &mut Box<dyn Connection>, waker: &dyn Waker) -> Result<()> {
    while !connection.established()? {
        connection.wait(WRITE, waker, -1).unwrap();
    }
    Ok(())
}

fn connect(system: &System, to: &Address, waker: &dyn Waker) -> Box<dyn Connection> {
    let mut connection = system.dial(to).unwrap();
    establish(&mut connection, waker).unwrap();
    connection
}

fn read_all(connection: &mut Box<dyn Connection>, waker: &dyn Waker) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), [0; 100]);
    loop {
        match connection.read(&mut buf) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buf[..count]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                connection.wait(READ, waker, -1).unwrap();
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// Says something, hears something, and sees the end.
fn converse(mut connection: Box<dyn Connection>, waker: &dyn Waker, mut peer: impl Read + Write) {
    assert_eq!(connection.read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(connection.write(b"hello").unwrap(), 5);
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    peer.write_all(&[b'x'; 1000]).unwrap();
    drop(peer);
    assert_eq!(read_all(&mut connection, waker), [b'x'; 1000]);
    // Two writes: the first one only provokes the reset. Neither may raise a signal.
    let _ = connection.write(b"gone");
    while connection.write(b"gone").is_ok() {}
}

#[test]
fn bytes_go_both_ways_over_tcp_and_unix_sockets() {
    let system = System::new();
    let waker = system.waker().unwrap();
    let (listener, port) = listen();
    let connection = connect(&system, &tcp("127.0.0.1", port), &*waker);
    converse(connection, &*waker, listener.accept().unwrap().0);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s").to_str().unwrap().to_owned();
    let listener = UnixListener::bind(&path).unwrap();
    let connection = connect(&system, &Address::Unix { path }, &*waker);
    converse(connection, &*waker, listener.accept().unwrap().0);
}

#[test]
fn a_name_is_looked_up_and_all_its_addresses_are_tried() {
    let system = System::new();
    let waker = system.waker().unwrap();
    // localhost may be ::1 first, and nothing listens there.
    let (listener, port) = listen();
    let connection = connect(&system, &tcp("localhost", port), &*waker);
    converse(connection, &*waker, listener.accept().unwrap().0);
}

#[test]
fn what_can_not_be_reached_is_an_error_with_its_name() {
    let system = System::new();
    let waker = system.waker().unwrap();
    // Nobody listens where something is bound, nor can anybody else begin to.
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = bound.local_addr().unwrap().as_socket().unwrap().port();
    for (address, name) in [
        (tcp("127.0.0.1", port), format!("127.0.0.1:{port}")),
        (tcp("localhost", port), format!("localhost:{port}")),
        (Address::Unix { path: "/nonexistent/s".into() }, "/nonexistent/s".into()),
        (tcp("no such host.invalid", 1), "no such host.invalid".into()),
    ] {
        let mut connection = system.dial(&address).unwrap();
        let error = establish(&mut connection, &*waker).unwrap_err();
        assert!(error.kind() == Kind::Io && error.text().contains(&name), "{error}");
        assert!(connection.read(&mut [0]).is_err() && connection.write(&[0]).is_err());
    }
}

#[test]
fn a_waker_ends_the_sleep_on_a_connection_and_is_heard_once() {
    let system = System::new();
    let waker = system.waker().unwrap();
    let (_listener, port) = listen();
    let mut connection = connect(&system, &tcp("127.0.0.1", port), &*waker);
    waker.wake();
    waker.wake();
    connection.wait(READ, &*waker, -1).unwrap();
    let heard = waker::poll(&[Some((waker.descriptor().unwrap(), libc::POLLIN))], 0).unwrap();
    assert_eq!(heard, [false]);
    let ringer = Arc::clone(&waker);
    let thread = system.spawn("rets/test", Box::new(move || ringer.wake())).unwrap();
    connection.wait(Interest::default(), &*waker, -1).unwrap();
    thread.join();
    waker.wake();
    waker.wait(-1);
    // Silent again: only time can end this one.
    waker.wait(1);
}

#[test]
fn a_connection_that_was_closed_does_not_wake_who_does_not_read() {
    let system = System::new();
    let waker = system.waker().unwrap();
    let (listener, port) = listen();
    let mut connection = connect(&system, &tcp("127.0.0.1", port), &*waker);
    drop(listener.accept().unwrap());
    connection.wait(READ, &*waker, -1).unwrap();
    let before = system.ticks_ms();
    connection.wait(Interest::default(), &*waker, 20).unwrap();
    assert!(system.ticks_ms() - before >= 19);
}

#[test]
fn threads_have_names_and_no_signal_reaches_them() {
    let own = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        (field("Name:"), u64::from_str_radix(&field("SigBlk:"), 16).unwrap())
    };
    let before = own().1;
    let (tell, told) = mpsc::channel();
    let system = System::new();
    let thread = system.spawn("rets/fifteen-by", Box::new(move || tell.send(own()).unwrap()));
    let thread = thread.unwrap();
    let (name, blocked) = told.recv().unwrap();
    thread.join();
    assert_eq!(name, "rets/fifteen-by");
    // All but KILL and STOP, which can't be blocked, and two that belong to the C library.
    let exempt = [9, 19, 32, 33].iter().fold(0, |mask, signal| mask | 1u64 << (signal - 1));
    assert_eq!(blocked | exempt, u64::MAX);
    assert_eq!(own().1, before);
    assert!(system.spawn("sixteen bytes...", Box::new(|| ())).is_err());
}

/// The turn that a thread asks for which is started from here; 0 where the kernel knows of none.
#[cfg(target_os = "linux")]
fn turn_of_a_thread() -> u64 {
    let (tell, told) = mpsc::channel();
    let turn = move || tell.send(thread::scheduling().unwrap().sched_runtime).unwrap();
    System::new().spawn("rets/turn", Box::new(turn)).unwrap().join();
    told.recv().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn threads_ask_for_short_turns_where_no_filter_could_take_offence() {
    let own = thread::scheduling().unwrap().sched_runtime;
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let is_free = own != 0 && status.lines().any(|line| line == "Seccomp:\t0");
    assert_eq!(turn_of_a_thread(), if is_free { thread::TURN_NS } else { own });
    let filtered = std::thread::spawn(|| {
        let mut all_is_allowed =
            libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
        let program = libc::sock_fprog { len: 1, filter: &raw mut all_is_allowed };
        #[allow(unsafe_code)]
        // SAFETY: the kernel reads a program of one instruction; this thread alone is concerned,
        // and those that it starts.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let mode = libc::SECCOMP_MODE_FILTER;
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program), 0);
        }
        turn_of_a_thread()
    });
    assert_eq!(filtered.join().unwrap(), own, "nothing was asked");
}

#[test]
fn descriptors_do_not_survive_an_exec() {
    let flags = |fd: i32| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        i32::from_str_radix(flags.trim(), 8).unwrap()
    };
    let bell = waker::Bell::new().unwrap();
    assert_ne!(flags(bell.fd().as_raw_fd()) & libc::O_CLOEXEC, 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = socket::begin(&listener.local_addr().unwrap().into()).unwrap();
    assert_ne!(flags(socket.as_raw_fd()) & libc::O_CLOEXEC, 0);
    assert_ne!(flags(socket.as_raw_fd()) & libc::O_NONBLOCK, 0);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
}

#[test]
fn files_are_read_whole_but_not_without_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let name = path.to_str().unwrap();
    let system = System::new();
    std::fs::write(&path, b"secret\n").unwrap();
    assert_eq!(system.read_file(name).unwrap(), b"secret\n");
    std::fs::write(&path, vec![0; MAX_FILE as usize + 1]).unwrap();
    assert!(system.read_file(name).unwrap_err().text().contains(name));
    assert!(system.read_file("/nonexistent").unwrap_err().text().contains("/nonexistent"));
    assert!(system.read_file("/dev/zero").is_err());
}

#[test]
fn clocks_go_forward_and_chance_differs() {
    let system = System::new();
    assert!(system.now_ms() > 1_700_000_000_000);
    let before = system.ticks_ms();
    assert!(system.ticks_ms() >= before);
    assert_ne!(system.random(), system.random());
}

#[test]
fn addresses_are_shown_as_people_write_them() {
    assert_eq!(tcp("h", 1).to_string(), "h:1");
    assert_eq!(tcp("::1", 1).to_string(), "[::1]:1");
    assert_eq!(Address::Unix { path: "/s".into() }.to_string(), "/s");
}

/// Whether nobody has it.
fn is_free(path: &str) -> bool {
    matches!(System::new().try_lock(path).unwrap(), TryLock::Ours(_))
}

#[test]
fn a_lock_has_one_holder_until_that_lets_it_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock").to_str().unwrap().to_owned();
    std::fs::write(&path, "what somebody keeps here").unwrap();
    let before = SystemTime::UNIX_EPOCH;
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    let TryLock::Ours(lock) = System::new().try_lock(&path).unwrap() else { panic!("taken") };
    let progress = || match System::new().try_lock(&path).unwrap() {
        TryLock::Theirs { progress } => progress,
        TryLock::Ours(_) => panic!("two have it"),
    };
    assert_eq!((progress(), progress()), (0, 0));
    lock.show_progress();
    assert_ne!(progress(), 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"what somebody keeps here");
    // A child that was forked meanwhile would have it open like this.
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten().find_map(|fd| {
        let is_it = std::fs::read_link(fd.path()).is_ok_and(|to| to.to_str() == Some(&path));
        is_it.then(|| fd.file_name().to_str().unwrap().parse::<i32>().unwrap())
    });
    #[allow(unsafe_code)]
    // SAFETY: both calls take plain numbers.
    let (flags, copy) = unsafe {
        let fd = open.unwrap();
        (libc::fcntl(fd, libc::F_GETFD), libc::dup(fd))
    };
    assert_eq!(flags, libc::FD_CLOEXEC);
    drop(lock);
    assert!(is_free(&path));
    #[allow(unsafe_code)]
    // SAFETY: it was made above.
    unsafe {
        libc::close(copy)
    };
}

#[test]
fn a_lock_dies_with_its_holder_and_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock").to_str().unwrap().to_owned();
    assert!(is_free(&path), "the file is made");
    // Another program's way to the same lock; with -F it becomes the program that it runs.
    let mut holder =
        std::process::Command::new("flock").args(["-F", &path, "sleep", "600"]).spawn().unwrap();
    while is_free(&path) {
        assert_eq!(holder.try_wait().unwrap(), None, "it may have met us");
        std::thread::yield_now();
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(is_free(&path));
    let _lock = System::new().try_lock(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(is_free(&path), "whoever comes now finds another file");
}

#[test]
fn what_can_not_be_a_lock_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let _socket = UnixListener::bind(place("socket")).unwrap();
    for path in [place(""), place("no/such"), place("socket"), "/dev/null".to_owned()] {
        let error = System::new().try_lock(&path).err().unwrap();
        assert!(error.kind() == Kind::Io && error.text().contains(&path), "{error}");
    }
}
