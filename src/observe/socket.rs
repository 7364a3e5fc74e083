//! The admin socket: a unix socket in the queue's directory, for the user who runs the gateway.
//!
//! Whoever can open it may do everything, so its mode is 0600 in a directory of 0700. It is bound by the process that holds
//! the directory's lock: what lies in its place is left over from a process that is gone.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Name of the socket in the directory.
pub const NAME: &str = "admin.sock";
/// Longest path of a socket (`sun_path` in unix(7)), its closing zero included.
const LONGEST: usize = 108;

/// The socket's file. Removed with this.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes the socket in a directory that this process holds the lock of, in place of one that was left over.
pub fn bind(directory: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let path = directory.join(NAME);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = short(&path, |path| UnixListener::bind(path))?;
    let file = SocketFile(path);
    fs::set_permissions(&file.0, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((listener, file))
}

/// Connects to a socket. The error is `NotFound` or `ConnectionRefused` where no gateway runs.
pub fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = short(socket, |path| UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Calls with the socket's path, or where that is too long with a short one by way of the open directory.
fn short<T>(socket: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    match (socket.parent(), socket.file_name()) {
        (Some(directory), Some(name)) if socket.as_os_str().as_bytes().len() >= LONGEST => {
            let directory = File::open(directory)?;
            call(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
        }
        _ => call(socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a socket is bound in directories of short and of very long paths, one that a dead process left included.
    /// Guarantee: it can be connected to, is for this user alone, and its file goes with it.
    #[test]
    fn a_socket_can_be_reached_wherever_its_directory_is() {
        let temporary = tempfile::tempdir().unwrap();
        for directory in [temporary.path().to_owned(), temporary.path().join("long".repeat(40))] {
            fs::create_dir_all(&directory).unwrap();
            let (left_over, file) = bind(&directory).unwrap();
            drop(left_over);
            std::mem::forget(file);
            assert_eq!(connect(&directory.join(NAME)).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let (_listener, file) = bind(&directory).unwrap();
            connect(&directory.join(NAME)).unwrap();
            assert_eq!(fs::metadata(directory.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
            drop(file);
            assert_eq!(connect(&directory.join(NAME)).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
