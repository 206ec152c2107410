//! Starts real servers on free ports in folders of their own, and sees to it that none survives
//! its test, however the test ends.

use super::client::Client;
use super::{PATIENCE, repository, target_dir, wait_until};
use std::collections::HashSet;
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Instant;

/// Names of servers, separated by commas, for a run that leaves the others out.
pub const CHOICE: &str = "RETS_TEST_SERVERS";

/// Where ports are taken from: below the range that Linux gives to outgoing connections, so that a
/// server that is started again finds its port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How often a start is tried anew because somebody else took the port meanwhile.
const START_ATTEMPTS: usize = 10;

/// How many lines of a server's log a failed test shows.
const LOG_LINES_SHOWN: usize = 20;

/// The servers that tests run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The `redis-server` on the PATH: any version from 6.0 on, 7.0 on Debian 12.
    Distribution,
    /// Redis 6.2: the last before DEBUG was locked, and RESP and RDB of the middle ages.
    Redis62,
    /// Redis 8.2: field expiry, the newest RDB with a released server.
    Redis82,
}

impl Which {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Distribution, Self::Redis62, Self::Redis82];

    /// What it is called in `RETS_TEST_SERVERS`; the first name is the one shown.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Distribution => &["7.0", "distribution"],
            Self::Redis62 => &["6.2"],
            Self::Redis82 => &["8.2"],
        }
    }

    /// Those that whoever runs the tests wants: all, unless `RETS_TEST_SERVERS` names fewer.
    pub fn chosen() -> Vec<Self> {
        match std::env::var(CHOICE) {
            Ok(choice) if !choice.trim().is_empty() => choose(&choice),
            _ => Self::ALL.to_vec(),
        }
    }

    /// Runs a test body on this server, unless it was not chosen.
    pub fn if_chosen(self, body: fn(Self)) {
        if Self::chosen().contains(&self) {
            body(self);
        } else {
            println!("passed over: {CHOICE} leaves {} out", self.names()[0]);
        }
    }

    /// The program; fails the test when it was not obtained.
    pub fn program(self) -> PathBuf {
        let found = match self {
            Self::Distribution => on_path("redis-server"),
            Self::Redis62 => obtained("6.2.14"),
            Self::Redis82 => obtained("8.2.3"),
        };
        found.unwrap_or_else(|| {
            panic!(
                "there is no redis-server {name} here: run `make servers`, or name a narrower \
                 choice, such as {CHOICE}=7.0",
                name = self.names()[0]
            )
        })
    }
}

/// Reads a choice such as `7.0,8.2`.
pub fn choose(choice: &str) -> Vec<Which> {
    let find = |name: &str| {
        let known = |which: &Which| which.names().contains(&name);
        Which::ALL.into_iter().find(known).unwrap_or_else(|| {
            panic!("{CHOICE} names {name:?}; known are 7.0 (or distribution), 6.2 and 8.2")
        })
    };
    choice.split(',').map(str::trim).filter(|name| !name.is_empty()).map(find).collect()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn obtained(version: &str) -> Option<PathBuf> {
    let program = target_dir().join("servers").join(version).join("redis-server");
    program.is_file().then_some(program)
}

/// A running server. Dropping it kills it and removes its folder; it also dies with the test
/// process, should that be killed.
pub struct Server {
    which: Which,
    port: u16,
    args: Vec<String>,
    version: (u32, u32, u32),
    folder: tempfile::TempDir,
    child: Option<Child>,
}

/// What a server that is started again finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Its data, saved at the end of its former life.
    WithData,
    /// Nothing: as if another machine had taken its address.
    Empty,
}

impl Server {
    /// Starts a server with nothing in it.
    #[track_caller]
    pub fn start(which: Which) -> Self {
        Self::start_with(which, &[])
    }

    /// Starts a server with further arguments, such as `["--requirepass", "secret"]`.
    #[track_caller]
    pub fn start_with(which: Which, args: &[&str]) -> Self {
        let program = which.program();
        let version = version_of(&program);
        assert!(version >= (6, 0, 0), "{} is older than 6.0", program.display());
        for _ in 0..START_ATTEMPTS {
            let folder = tempfile::Builder::new().prefix("rets-").tempdir().expect("a folder");
            let args = args.iter().map(|&arg| arg.to_owned()).collect();
            let mut server = Self { which, port: free_port(), args, version, folder, child: None };
            if server.launch() {
                return server;
            }
        }
        panic!("{START_ATTEMPTS} ports in a row were taken by others");
    }

    /// Which one this is.
    pub fn which(&self) -> Which {
        self.which
    }

    /// Its version as major, minor, patch.
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// Its TCP port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Its folder, where its log and its data lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its address over TCP, as a URL without credentials.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its address over the unix socket.
    pub fn unix_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A new connection over TCP, not authenticated.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::tcp(self.port).expect("the server accepts")
    }

    /// Ends it at once, without a goodbye: what a power cut looks like from outside.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it and starts it on the same port, in the same folder.
    #[track_caller]
    pub fn restart(&mut self, what: Restart) {
        match what {
            Restart::WithData => self.shut_down(),
            Restart::Empty => {
                self.kill();
                let _ = std::fs::remove_file(self.folder.path().join("dump.rdb"));
            }
        }
        self.start_again();
    }

    /// Starts it again after [`Server::kill`] or [`Server::shut_down`].
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        assert!(self.launch(), "somebody took port {} meanwhile", self.port);
    }

    /// Ends it in peace: it saves its data and says goodbye to its replicas.
    #[track_caller]
    pub fn shut_down(&mut self) {
        let mut child = self.child.take().expect("it runs");
        // SIGTERM and not SHUTDOWN: it needs no password and no connection. The folder was told
        // as the place to save to by the file that `write_settings` made.
        signal(child.id(), libc::SIGTERM);
        let began = Instant::now();
        while child.try_wait().expect("a child can be waited for").is_none() {
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("the server did not shut down: {}", self.log());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Stops it in its tracks: connections stay open and nothing is answered any more.
    pub fn pause(&self) {
        signal(self.pid().expect("it runs"), libc::SIGSTOP);
    }

    /// Lets it go on after [`Server::pause`].
    pub fn resume(&self) {
        signal(self.pid().expect("it runs"), libc::SIGCONT);
    }

    /// Starts the process and waits for its first word; false when the port was taken.
    #[track_caller]
    fn launch(&mut self) -> bool {
        self.write_settings();
        let mut command = Command::new(self.which.program());
        command.arg("redis.conf").args(&self.args).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(spawn(command));
        let began = Instant::now();
        loop {
            if self.answers() {
                return true;
            }
            let child = self.child.as_mut().expect("it was just started");
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                self.child = None;
                if self.log().contains("Address already in use") {
                    return false;
                }
                let (how, log) = (status.signal(), self.log());
                panic!("the server ended with {:?} or signal {how:?}: {log}", status.code());
            }
            assert!(began.elapsed() < PATIENCE, "the server does not answer: {}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Whether it answers PING and has its data. A refusal for want of a password is an answer.
    fn answers(&self) -> bool {
        let reply = Client::unix(&self.socket()).and_then(|mut c| c.try_command(&["PING"]));
        reply.is_ok_and(|reply| reply.error().is_none_or(|text| !text.starts_with("LOADING")))
    }

    fn write_settings(&self) {
        let mut text = format!(
            "port {port}\nbind 127.0.0.1\nunixsocket socket\nlogfile log\ndbfilename dump.rdb\n\
             appendonly no\nsave \"\"\ndaemonize no\nrepl-diskless-sync-delay 0\n",
            port = self.port
        );
        // Each ping moves the offset, and whoever compares both sides needs one that stands still
        // for as long as that takes. Replicas still hear one before they lose patience.
        text.push_str("repl-ping-replica-period 30\n");
        // Without a point in time to save at, SIGTERM saves nothing. One that never comes keeps
        // the server from saving by itself.
        text.push_str("save 1000000000 2000000000\n");
        if self.version >= (7, 0, 0) {
            text.push_str("enable-debug-command yes\n");
        }
        std::fs::write(self.folder.path().join("redis.conf"), text).expect("the settings");
        let _ = std::fs::remove_file(self.socket());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("the end of the log of {:?}:\n{}", self.which, shown.join("\n"));
        }
    }
}

/// What `redis-server --version` says of itself.
fn version_of(program: &Path) -> (u32, u32, u32) {
    let output = Command::new(program).arg("--version").output().expect("the server runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let digits = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    let mut numbers = digits.into_iter().flat_map(|d| d.split('.')).map(|n| n.parse().ok());
    let mut next = || numbers.next().flatten().unwrap_or_else(|| panic!("no version in {text:?}"));
    (next(), next(), next())
}

/// A port that nobody listens on, and that this process has not given to anybody else.
pub(super) fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let given = given.get_or_insert_default();
    let span = usize::from(PORTS.end - PORTS.start);
    // Test processes that run side by side begin at different places.
    let first = std::process::id() as usize * 97 % span;
    let ports = (0..span).map(|n| PORTS.start + ((first + n) % span) as u16);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = ports.filter(|port| !given.contains(port)).find(free).expect("a free port");
    given.insert(port);
    port
}

/// A port of 127.0.0.1 at which nobody listens, and nobody can, for as long as this is kept.
pub struct ClosedPort {
    socket: socket2::Socket,
}

impl ClosedPort {
    /// Takes a port from the system and only holds it.
    pub fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("a port");
        Self { socket }
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        let address = self.socket.local_addr().expect("an address");
        address.as_socket().expect("an address of TCP").port()
    }

    /// Its address, at which every connection is refused.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }
}

/// Starts a process that is killed by the system when this one ends, in whatever way.
///
/// The system ties it to the thread that forked, and test threads come and go; so one thread that
/// never ends does it for all.
pub fn spawn(command: Command) -> Child {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(die_with_parent(&mut command).spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    let orders = starter.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    orders.send((command, answer)).expect("the starter lives");
    child.recv().expect("the starter answers").expect("the program starts")
}

#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) -> &mut Command {
    let parent = std::process::id();
    let ask = move || {
        // SAFETY: both calls are async-signal-safe, and take and return plain numbers.
        let orphaned = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0
                || libc::getppid() as u32 != parent
        };
        if orphaned { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure calls only what a forked child may call, and
    // allocates nothing.
    unsafe { command.pre_exec(ask) }
}

#[allow(unsafe_code)]
fn signal(pid: u32, number: i32) {
    // SAFETY: kill takes plain numbers. The process is a child that was not waited for yet, so
    // its number can't have been given to another.
    let done = unsafe { libc::kill(pid as libc::pid_t, number) };
    assert_eq!(done, 0, "a child can be signalled");
}
