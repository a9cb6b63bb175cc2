//! Between the programs and the Kafka: a member of a group that is gone has left.
//!
//! The embedded cluster waits for every member it has, one that was killed among them, for 44 seconds: a program that is run again
//! would seem to hang. So each connection goes through here. When one ends, the member that spoke on it leaves its group; and one
//! that never got so far is missed after [`SESSION`]. Nothing else is changed but the address that answers name.

mod frames;

use std::collections::{BTreeSet, HashSet};
use std::io::{self, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use self::frames::{Asked, Member};

/// Listens for the programs, until the process ends.
pub(crate) struct Relay {
    address: SocketAddr,
}

/// The two addresses.
#[derive(Clone, Copy)]
struct Between {
    ours: SocketAddr,
    kafka: SocketAddr,
}

impl Relay {
    /// In front of the one broker at `kafka`.
    pub(crate) fn start(kafka: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let between = Between { ours: listener.local_addr()?, kafka };
        thread::spawn(move || {
            // What cannot be accepted is tried again by whoever it was.
            for program in listener.incoming().flatten() {
                thread::spawn(move || between.connect(program));
            }
        });
        Ok(Self { address: between.ours })
    }

    /// What takes the broker's place.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Between {
    /// Serves one connection to its end. What goes wrong on it ends it, which the program sees.
    fn connect(self, program: TcpStream) -> Option<()> {
        let broker = TcpStream::connect(self.kafka).ok()?;
        program.set_nodelay(true).ok()?;
        broker.set_nodelay(true).ok()?;
        let addressed = Arc::new(Mutex::new(HashSet::new()));
        let back = {
            let (program, broker) = (program.try_clone().ok()?, broker.try_clone().ok()?);
            let addressed = Arc::clone(&addressed);
            thread::spawn(move || self.answers(&broker, &program, &addressed))
        };
        let members = requests(&program, &broker, &addressed);
        let _ = broker.shutdown(Shutdown::Both);
        let _ = back.join();
        for member in members {
            // If it cannot be told, the member is missed a little later.
            let _ = self.leave(&member);
        }
        Some(())
    }

    /// Passes answers on until there are no more. Those that name the broker's address name ours.
    fn answers(self, broker: &TcpStream, program: &TcpStream, addressed: &Mutex<HashSet<i32>>) {
        let mut from = BufReader::new(broker);
        let mut to = program;
        while let Ok(mut answer) = frames::read(&mut from) {
            let is_addressed = frames::correlation(&answer)
                .is_some_and(|id| addressed.lock().unwrap_or_else(PoisonError::into_inner).remove(&id));
            if is_addressed {
                frames::readdress(&mut answer, self.kafka, self.ours);
            }
            if to.write_all(&answer).is_err() {
                break;
            }
        }
        let _ = program.shutdown(Shutdown::Both);
    }

    /// Says in its place that a member leaves. One that has said so itself is not known any more, which is as well.
    fn leave(self, member: &Member) -> io::Result<()> {
        let mut broker = TcpStream::connect(self.kafka)?;
        broker.set_read_timeout(Some(Duration::from_secs(5)))?;
        broker.write_all(&frames::leave(member))?;
        frames::read(&mut broker).map(drop)
    }
}

/// Passes requests on until there are no more, and returns the members that made them.
fn requests(program: &TcpStream, broker: &TcpStream, addressed: &Mutex<HashSet<i32>>) -> BTreeSet<Member> {
    let mut from = BufReader::new(program);
    let mut to = broker;
    let mut members = BTreeSet::new();
    while let Ok(mut request) = frames::read(&mut from) {
        match frames::look(&mut request, SESSION) {
            Some(Asked::Address(id)) => {
                addressed.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            }
            Some(Asked::ToSync(member)) => {
                members.insert(member);
            }
            None => {}
        }
        if to.write_all(&request).is_err() {
            break;
        }
    }
    members
}

/// The shortest that a real broker takes (`group.min.session.timeout.ms`).
const SESSION: Duration = Duration::from_secs(6);
