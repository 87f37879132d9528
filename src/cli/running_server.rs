//! Where a running `serve` can be reached: the file that it leaves in its data directory, and how other
//! commands find it there.
//!
//! The file is written once the server listens and holds the lock, and removed when it stops. One that a dead
//! server left is recognised: its process must live, its address must answer, and the lock must be held.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::remote::{ApiKeyText, RemoteServer};
use crate::wiring;

/// The file, beside the lock.
const SERVER_FILE: &str = "server.json";
/// Larger files are not ours.
const SERVER_FILE_BYTES_MAX: u64 = 4096;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ServerLocation {
    pid: u32,
    url: String,
}

/// The file of this process. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct ServerAnnouncement {
    path: PathBuf,
}

impl ServerAnnouncement {
    /// Writes the file. Only the current user can read it.
    pub(super) fn write(data_dir: &Path, listening: SocketAddr, is_tls: bool) -> std::io::Result<Self> {
        let scheme = if is_tls { "https" } else { "http" };
        let server =
            ServerLocation { pid: std::process::id(), url: format!("{scheme}://{}", reachable(listening)) };
        let path = data_dir.join(SERVER_FILE);
        // Renamed into place, so that no reader sees half of it.
        let unfinished = data_dir.join(format!("{SERVER_FILE}.{}", server.pid));
        write_private(&unfinished, &serde_json::to_vec(&server)?)?;
        std::fs::rename(&unfinished, &path)?;
        Ok(Self { path })
    }
}

impl Drop for ServerAnnouncement {
    fn drop(&mut self) {
        // What is left is recognised as stale.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The address that reaches a listener from this machine.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text)
}

/// Finds the server that holds a data directory; none where none does.
pub(super) async fn find_running_server(data_dir: &Path, key: Option<ApiKeyText>) -> Option<RemoteServer> {
    let found = read_server_file(&data_dir.join(SERVER_FILE))?;
    if !process_lives(found.pid) {
        return None;
    }
    // Before anything is sent: another program may listen at the address of a server that was killed.
    if !wiring::is_data_directory_locked(data_dir) {
        return None;
    }
    // And without the key, until it has answered like a server.
    let is_healthy = RemoteServer::on_this_machine(&found.url, None).ok()?.is_healthy().await;
    if is_healthy { RemoteServer::on_this_machine(&found.url, key).ok() } else { None }
}

fn read_server_file(path: &Path) -> Option<ServerLocation> {
    let bytes = std::fs::metadata(path).ok()?.len();
    if bytes > SERVER_FILE_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whether there is such a process. Where nobody can tell, the other checks have to do.
fn process_lives(pid: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::{
        SERVER_FILE, ServerAnnouncement, ServerLocation, process_lives, reachable, read_server_file,
    };
    use crate::cli::scratch::ScratchDirectory;

    #[test]
    fn the_file_says_how_to_reach_the_server_and_goes_with_it() {
        let scratch = ScratchDirectory::new("server-file").expect("scratch");
        let listening = "0.0.0.0:7070".parse().expect("an address");
        let announced = ServerAnnouncement::write(scratch.path(), listening, false).expect("written");
        let path = scratch.path().join(SERVER_FILE);
        let server = ServerLocation { pid: std::process::id(), url: "http://127.0.0.1:7070".to_owned() };
        assert_eq!(read_server_file(&path), Some(server));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().expect("a file"));
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(announced);
        assert!(!path.exists());
    }

    #[test]
    fn every_interface_is_reached_over_loopback() {
        let shown = |listening: &str| reachable(listening.parse().expect("an address")).to_string();
        assert_eq!(shown("[::]:1"), "[::1]:1");
        assert_eq!(shown("127.0.0.1:2"), "127.0.0.1:2");
        assert_eq!(shown("10.1.2.3:3"), "10.1.2.3:3");
    }

    #[test]
    fn a_process_is_told_from_none() {
        assert!(process_lives(std::process::id()));
    }
}
