//! The log hook: silent until a program asks to hear, and never able to hang it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How much a line matters. Smaller is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something the program must act on.
    Error = 1,
    /// Something that went wrong and is being dealt with.
    Warning = 2,
    /// What happens in a normal life: connected, synced.
    Info = 3,
    /// Steps.
    Debug = 4,
}

/// Whoever listens.
pub type Sink = Arc<dyn Fn(Level, &str) + Send + Sync>;

struct Installed {
    sink: Option<Sink>,
    /// Goes up with each [`set_sink`].
    round: u64,
    /// Calls that have not returned, each with the round it belongs to, and the process they run
    /// in.
    running: Vec<u64>,
    process: u32,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);
static INSTALLED: Mutex<Installed> =
    Mutex::new(Installed { sink: None, round: 0, running: Vec::new(), process: 0 });
static RETURNED: Condvar = Condvar::new();

/// Goes up in every forked child.
static PROCESS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// This thread is inside the sink.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// To be called in a forked child: calls that ran in other threads will never return there.
pub fn forked() {
    PROCESS.fetch_add(1, Ordering::Relaxed);
}

fn installed() -> MutexGuard<'static, Installed> {
    let mut installed = INSTALLED.lock();
    let process = PROCESS.load(Ordering::Relaxed);
    if std::mem::replace(&mut installed.process, process) != process {
        installed.running.clear();
    }
    installed
}

/// Sets who listens, for the whole process, and up to which level; `None` is silence. When this
/// returns the old sink isn't running and will not run again, except where it is called by the
/// sink itself: then that one call still has to return.
pub fn set_sink(sink: Option<Sink>, level: Level) {
    let heard = if sink.is_some() { level as u8 } else { 0 };
    let mut installed = installed();
    LEVEL.store(heard, Ordering::Relaxed);
    let old = std::mem::replace(&mut installed.sink, sink);
    installed.round += 1;
    let round = installed.round;
    if !INSIDE.get() {
        while installed.running.iter().any(|&r| r < round) {
            RETURNED.wait(&mut installed);
        }
    }
    drop(installed);
    // What it captured is foreign code, too.
    drop(old);
}

/// Whether a line of this level would be heard: ask before building an expensive one.
pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Says one line. Does nothing while nobody listens, or inside the sink. No lock is held while the
/// sink runs.
pub fn log(level: Level, text: &str) {
    if !enabled(level) || INSIDE.get() {
        return;
    }
    let mut installed = installed();
    let Some(sink) = installed.sink.clone() else { return };
    let call = Call { round: installed.round };
    installed.running.push(call.round);
    drop(installed);
    INSIDE.set(true);
    sink(level, text);
    drop(sink);
    drop(call);
}

/// One call of the sink, taken off the list even if it unwinds.
struct Call {
    round: u64,
}

impl Drop for Call {
    fn drop(&mut self) {
        INSIDE.set(false);
        let mut installed = installed();
        if let Some(at) = installed.running.iter().position(|&r| r == self.round) {
            installed.running.swap_remove(at);
        }
        RETURNED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// The hook belongs to the process: one test at a time.
    static ONE: Mutex<()> = Mutex::new(());

    #[test]
    fn lines_up_to_the_level_are_heard_and_others_are_not() {
        let _one = ONE.lock();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        let sink: Sink = Arc::new(move |level, text| list.lock().push((level, text.to_owned())));
        log(Level::Error, "nobody listens");
        set_sink(Some(sink), Level::Warning);
        assert!(enabled(Level::Error) && enabled(Level::Warning) && !enabled(Level::Info));
        log(Level::Warning, "log-test: yes");
        log(Level::Info, "log-test: no");
        set_sink(None, Level::Debug);
        assert!(!enabled(Level::Error));
        log(Level::Error, "log-test: gone");
        // Other tests of this process may log meanwhile.
        let ours: Vec<_> =
            heard.lock().iter().filter(|l| l.1.contains("log-test")).cloned().collect();
        assert_eq!(ours, [(Level::Warning, "log-test: yes".to_owned())]);
    }

    #[test]
    fn the_old_sink_has_returned_when_a_new_one_is_set() {
        let _one = ONE.lock();
        let (entered, is_in) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let may_leave = Mutex::new(may_leave);
        let left = Arc::new(Mutex::new(false));
        let mark = Arc::clone(&left);
        let sink: Sink = Arc::new(move |_, text| {
            if text == "stay" {
                entered.send(()).unwrap();
                may_leave.lock().recv().unwrap();
                *mark.lock() = true;
            }
        });
        set_sink(Some(sink), Level::Error);
        let logger = std::thread::spawn(|| log(Level::Error, "stay"));
        is_in.recv().unwrap();
        let setter = std::thread::spawn(move || {
            set_sink(None, Level::Error);
            *left.lock()
        });
        // Only once the setter has taken the level away is it on its way into the wait.
        while enabled(Level::Error) {
            std::thread::yield_now();
        }
        leave.send(()).unwrap();
        assert!(setter.join().unwrap());
        logger.join().unwrap();
    }

    #[test]
    fn a_sink_may_log_change_the_hook_and_panic() {
        let _one = ONE.lock();
        let calls = Arc::new(Mutex::new(0));
        let count = Arc::clone(&calls);
        let sink: Sink = Arc::new(move |level, text| {
            if text == "go" {
                *count.lock() += 1;
                log(level, "go");
                set_sink(None, Level::Error);
                std::panic::resume_unwind(Box::new(()));
            }
        });
        set_sink(Some(sink), Level::Error);
        assert!(std::panic::catch_unwind(|| log(Level::Error, "go")).is_err());
        assert_eq!(*calls.lock(), 1);
        let again = Arc::clone(&calls);
        set_sink(
            Some(Arc::new(move |_, text| *again.lock() += i32::from(text == "go"))),
            Level::Error,
        );
        log(Level::Error, "go");
        set_sink(None, Level::Error);
        assert_eq!(*calls.lock(), 2);
    }
}
