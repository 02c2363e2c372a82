//! Loads: sockets and traffic of exactly known size between processes of our own, on loopback
//! or in network namespaces made for them. Everything here ends when it is dropped.
//!
//! Connections that were held end with a reset, so that no TIME_WAIT is left to the next load.

pub mod part;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::until;
use part::{Order, Part};

/// A name that turns the title of a terminal, rings its bell and colours what follows.
pub const HOSTILE: &str = "\x1b]0;pwned\x07\x1b[5m";

/// Internet protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

/// The network namespace a load lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// The one of the test.
    Here,
    /// A new one, with only its loopback (needs root).
    Own,
    /// That of another process (needs root).
    Of(u32),
}

/// Who plays: where, and under which process name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    pub place: Place,
    /// `comm`, at most 15 bytes; `None` keeps the binary's.
    pub comm: Option<String>,
}

impl Default for Cast {
    fn default() -> Cast {
        Cast { place: Place::Here, comm: None }
    }
}

/// One end of a connection, as its owner knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Inode on sockfs.
    pub ino: u64,
    /// Payload bytes this end has sent so far.
    pub sent: u64,
}

/// A connection, both ends.
#[derive(Clone, Debug)]
pub struct Pair {
    pub client: End,
    pub server: End,
}

/// How many bytes connection `i` carries: spread over `0..up` and `0..down`, always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    pub up: u32,
    pub down: u32,
}

/// Bytes of the line in front of each exchange, which tells the server the sizes; counted as sent.
pub const HEADER: u64 = 8;

impl Sizes {
    /// Payload bytes from client to server on connection `i`, header included.
    pub fn up(self, i: u64) -> u64 {
        HEADER + spread(i, 7919, self.up)
    }

    /// Payload bytes from server to client on connection `i`.
    pub fn down(self, i: u64) -> u64 {
        spread(i, 104_729, self.down)
    }
}

fn spread(i: u64, step: u64, below: u32) -> u64 {
    if below == 0 { 0 } else { (i + 1) * step % u64::from(below) }
}

/// Established connections that do nothing, unless told to beat.
pub struct Held {
    pub pairs: Vec<Pair>,
    pub listeners: Vec<SocketAddr>,
    // The client goes first: it owns the resets.
    client: Actor,
    server: Actor,
}

impl Held {
    /// Opens `count` connections between two processes; each has carried a few known bytes.
    ///
    /// # Errors
    /// When a socket is refused, for instance for want of file descriptors.
    pub fn open(family: Family, count: usize) -> Result<Held> {
        Held::cast(family, count, &Cast::default())
    }

    /// The same in another namespace or under another name.
    ///
    /// # Errors
    /// As [`Held::open`], and without root for another namespace.
    pub fn cast(family: Family, count: usize, cast: &Cast) -> Result<Held> {
        let sizes = Sizes { up: 500, down: 900 };
        let mut server =
            Actor::start(&Part::Hold { cast: cast.clone(), family, count: count as u64 })?;
        let listeners: Vec<SocketAddr> = server.hear()?;
        let place = match cast.place {
            Place::Own => Place::Of(server.pid()),
            place => place,
        };
        let mut client = Actor::start(&Part::Reach {
            cast: Cast { place, comm: cast.comm.clone() },
            targets: listeners.clone(),
            count: count as u64,
            sizes,
        })?;
        let near: Vec<End> = client.hear().context("opening connections")?;
        let far: Vec<End> = server.hear().context("accepting connections")?;
        let mut far: HashMap<SocketAddr, HashMap<SocketAddr, End>> =
            far.into_iter().fold(HashMap::new(), |mut map, end| {
                map.entry(end.remote).or_default().insert(end.local, end);
                map
            });
        let mut pairs = Vec::with_capacity(count);
        for client in near {
            let server = far.get_mut(&client.local).and_then(|ends| ends.remove(&client.remote));
            pairs.push(Pair { server: server.context("a connection with one end")?, client });
        }
        Ok(Held { pairs, listeners, client, server })
    }

    /// From now on the first `count` connections change each second: a message and its echo,
    /// spread over the second. 0 makes them idle again.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn beat(&mut self, count: usize) -> Result<()> {
        self.client.tell(&Order::Beat(count as u64))?;
        self.client.hear()
    }

    /// The ends again, with what each has sent by now.
    ///
    /// # Errors
    /// When an actor is gone.
    pub fn tally(&mut self) -> Result<(Vec<End>, Vec<End>)> {
        self.client.tell(&Order::Tally)?;
        self.server.tell(&Order::Tally)?;
        Ok((self.client.hear()?, self.server.hear()?))
    }

    /// Process that opened the connections.
    pub fn client_pid(&self) -> u32 {
        self.client.pid()
    }

    /// Process that accepted them.
    pub fn server_pid(&self) -> u32 {
        self.server.pid()
    }
}

/// A listener nobody accepts from, and the connections waiting in its queue.
pub struct Backlog {
    pub listener: SocketAddr,
    pub waiting: Vec<End>,
    client: Actor,
    server: Actor,
}

impl Backlog {
    /// Listens with room for `room` and queues `waiting` connections (at most `room`).
    ///
    /// # Errors
    /// When a socket is refused.
    pub fn open(family: Family, room: i32, waiting: usize) -> Result<Backlog> {
        let mut server = Actor::start(&Part::Deaf { cast: Cast::default(), family, room })?;
        let listener = server.hear()?;
        let mut client = Actor::start(&Part::Knock { target: listener, count: waiting as u64 })?;
        let waiting = client.hear()?;
        Ok(Backlog { listener, waiting, client, server })
    }

    /// Process that listens.
    pub fn server_pid(&self) -> u32 {
        self.server.pid()
    }
}

/// What the kernel says of a UDP socket's memory (`SO_MEMINFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Bytes of receive memory in use, overhead included; what `ss` calls Recv-Q for UDP.
    pub rmem_alloc: u64,
    /// Datagrams dropped for want of room.
    pub drops: u64,
}

/// A UDP socket that is sent to and not read.
pub struct Udp {
    pub sink: SocketAddr,
    pub source: End,
    pub queue: Queue,
    sender: Actor,
    receiver: Actor,
}

impl Udp {
    /// Sends `datagrams` of `size` bytes to a socket with `rcvbuf` bytes of room (the kernel
    /// doubles it); what does not fit is dropped and counted in `queue`.
    ///
    /// # Errors
    /// When a socket is refused.
    pub fn open(family: Family, rcvbuf: i32, datagrams: u64, size: usize) -> Result<Udp> {
        let mut receiver = Actor::start(&Part::Sink { cast: Cast::default(), family, rcvbuf })?;
        let sink = receiver.hear()?;
        let mut sender = Actor::start(&Part::Source { target: sink, datagrams, size })?;
        let source = sender.hear()?;
        // Delivery on loopback is done by a softirq that may run after the send returned.
        let mut last = None;
        let queue = until("a UDP queue at rest", Duration::from_secs(10), || {
            receiver.tell(&Order::Tally)?;
            let now: Queue = receiver.hear()?;
            std::thread::sleep(Duration::from_millis(20));
            Ok(if last.replace(now) == Some(now) { Some(now) } else { None })
        })?;
        Ok(Udp { sink, source, queue, sender, receiver })
    }

    /// Process with the full queue.
    pub fn receiver_pid(&self) -> u32 {
        self.receiver.pid()
    }

    /// Process that sent.
    pub fn sender_pid(&self) -> u32 {
        self.sender.pid()
    }
}

/// How short connections are made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// Connections in all.
    pub count: u64,
    /// Connections a second; 0 = as fast as they go.
    pub rate: u64,
    /// Threads that connect.
    pub threads: u64,
    pub sizes: Sizes,
    /// Ends each with a reset instead of the usual FIN, so that no TIME_WAIT piles up.
    pub reset: bool,
    /// Reports every connection, for comparison one by one.
    pub list: bool,
}

/// What a churn did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    pub count: u64,
    pub failed: u64,
    pub elapsed_ns: u64,
    /// Payload bytes sent by the client, headers included.
    pub up: u64,
    /// Payload bytes received by the client.
    pub down: u64,
    /// Each connection: local, remote, up, down; only when asked for.
    pub list: Vec<(SocketAddr, SocketAddr, u64, u64)>,
}

impl Done {
    /// Connections a second.
    pub fn rate(&self) -> f64 {
        self.count as f64 * 1e9 / (self.elapsed_ns.max(1)) as f64
    }
}

/// Short connections from one process to another, one after the other.
pub struct Churn {
    client: Actor,
    server: Actor,
    pub listeners: Vec<SocketAddr>,
}

impl Churn {
    /// Gets both processes ready; nothing is connected yet.
    ///
    /// # Errors
    /// When a socket is refused.
    pub fn ready(family: Family) -> Result<Churn> {
        let mut server = Actor::start(&Part::Serve { cast: Cast::default(), family })?;
        let listeners: Vec<SocketAddr> = server.hear()?;
        let mut client = Actor::start(&Part::Churn { targets: listeners.clone() })?;
        client.hear::<()>()?;
        Ok(Churn { client, server, listeners })
    }

    /// Starts a run without waiting for it.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn start(&mut self, pace: Pace) -> Result<()> {
        self.client.tell(&Order::Go(pace))
    }

    /// Waits for the run started last.
    ///
    /// # Errors
    /// When a connection failed or the actor did.
    pub fn finish(&mut self) -> Result<Done> {
        let done: Done = self.client.hear()?;
        if done.failed > 0 {
            bail!("{} of {} connections failed", done.failed, done.failed + done.count);
        }
        Ok(done)
    }

    /// A whole run.
    ///
    /// # Errors
    /// As [`Churn::start`] and [`Churn::finish`].
    pub fn run(&mut self, pace: Pace) -> Result<Done> {
        self.start(pace)?;
        self.finish()
    }

    /// Process that connects.
    pub fn client_pid(&self) -> u32 {
        self.client.pid()
    }

    /// Process that accepts.
    pub fn server_pid(&self) -> u32 {
        self.server.pid()
    }
}
