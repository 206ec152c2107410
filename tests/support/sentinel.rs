//! A real Sentinel that watches primaries, quick to lose patience with them.

use super::client::Client;
use super::server::{Which, free_port, spawn};
use super::wait_until;
use std::process::{Child, Command, Stdio};

/// A running Sentinel, which is as many as it takes to agree. Dropping it ends it.
pub struct Sentinel {
    port: u16,
    folder: tempfile::TempDir,
    child: Child,
}

impl Sentinel {
    /// Starts one that watches the primaries at these ports under these names. On a busy machine it
    /// may take a replica for dead as well; it then tries again twice its failover timeout later.
    #[track_caller]
    pub fn watch(which: Which, primaries: &[(&str, u16)]) -> Self {
        let port = free_port();
        let mut text =
            format!("port {port}\nbind 127.0.0.1\nprotected-mode no\nlogfile log\ndir .\n");
        for (name, primary) in primaries {
            text += &format!(
                "sentinel monitor {name} 127.0.0.1 {primary} 1\n\
                 sentinel down-after-milliseconds {name} 1000\n\
                 sentinel failover-timeout {name} 3000\n"
            );
        }
        let folder = tempfile::Builder::new().prefix("rets-").tempdir().expect("a folder");
        std::fs::write(folder.path().join("sentinel.conf"), text).expect("the settings");
        let mut command = Command::new(which.program());
        command.args(["sentinel.conf", "--sentinel"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let sentinel = Self { port, folder, child: spawn(command) };
        wait_until("Sentinel answers", || Client::tcp(port).is_ok());
        sentinel
    }

    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::tcp(self.port).expect("Sentinel accepts")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of Sentinel:\n{}", self.log());
        }
    }
}
