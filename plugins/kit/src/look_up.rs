//! The addresses of a name.

use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::Duration;

/// The addresses of `host:port`, found within `limit`. An address is its own, and costs nothing.
///
/// A name is looked up on a thread of its own: the system gives no other way to end the wait.
/// (RATIONALE: "Why may a thread of a name look-up live a little longer than its backend?")
///
/// # Errors
///
/// What the system says; also where it gives no thread. A time-out.
pub fn look_up(address: &str, limit: Duration) -> Result<Vec<SocketAddr>> {
    within(limit, address, |address| address.to_socket_addrs().map(Iterator::collect))
}

fn within(
    limit: Duration,
    address: &str,
    look_up: impl FnOnce(&str) -> Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let address = address.to_owned();
    std::thread::Builder::new().name("tr-look-up".to_owned()).spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(look_up(&address));
    })?;
    receiver
        .recv_timeout(limit)
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut, format!("its name was not found within {limit:?}"))))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_name_that_cannot_be_looked_up_in_time_is_given_up() {
        let started = Instant::now();
        let slow = |_: &str| {
            std::thread::sleep(Duration::from_secs(3));
            Ok(Vec::new())
        };
        let error = within(Duration::from_millis(50), "slow.example:6831", slow).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    /// In a process whose threads would need more memory than there is.
    #[test]
    fn where_there_is_no_thread_a_name_is_an_error_and_an_address_is_found() {
        const CHILD: &str = "LOOKS_UP_WITHOUT_THREADS";
        if std::env::var_os(CHILD).is_some() {
            assert_ne!(look_up("localhost:6831", Duration::from_secs(10)).unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(look_up("127.0.0.1:6831", Duration::ZERO).unwrap().len(), 1);
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.env(CHILD, "1").env("RUST_MIN_STACK", (1_u64 << 50).to_string()).env("RUST_TEST_THREADS", "1");
        let ended = child.arg("where_there_is_no_thread").output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }

    #[test]
    fn an_address_needs_no_look_up_and_localhost_has_one() {
        let none = |_: &str| -> Result<Vec<SocketAddr>> { panic!("looked up") };
        assert_eq!(within(Duration::ZERO, "[::1]:6831", none).unwrap(), ["[::1]:6831".parse().unwrap()]);
        assert!(!look_up("localhost:6831", Duration::from_secs(10)).unwrap().is_empty());
    }
}
