//! `inet_diag_msg` and its attributes, read field by field.
//!
//! `struct tcp_info` has grown over the kernels (to 104 bytes in 2.6, 248 in 6.7): a field past the end
//! of what the kernel sent is `None`. A field inside it that a kernel cannot know is zero there,
//! as it is for ss.

/// `TCP_LISTEN`.
pub const LISTEN: u8 = 10;
/// `TCP_TIME_WAIT`.
pub const TIME_WAIT: u8 = 6;

/// The request for all sockets of a family and protocol (`struct inet_diag_req_v2`).
pub fn request(family: u8, protocol: u8) -> [u8; 56] {
    // Extensions are bit (attribute - 1): INFO, CONG, SKMEMINFO, SHUTDOWN.
    const EXTENSIONS: u8 = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 7;
    // Bits 1 (ESTABLISHED) to 11 (CLOSING); SYN_RECV asks for half-open ones too.
    const STATES: u32 = 0xfff;
    let mut r = [0; 56];
    [r[0], r[1], r[2]] = [family, protocol, EXTENSIONS];
    r[4..8].copy_from_slice(&STATES.to_ne_bytes());
    r
}

/// One socket as sock_diag tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sock {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// `TCP_ESTABLISHED` and so on.
    pub state: u8,
    /// Which timer runs: 0 none, 1 retransmit, 2 keepalive, 3 TIME_WAIT, 4 zero window probe.
    pub timer: u8,
    /// Retransmits or probes without an answer.
    pub timer_retrans: u8,
    /// When that timer fires, in ms from now.
    pub expires_ms: u32,
    /// Local port.
    pub sport: u16,
    /// Remote port.
    pub dport: u16,
    /// Local address; IPv4 in the first four bytes.
    pub saddr: [u8; 16],
    /// Remote address.
    pub daddr: [u8; 16],
    /// Interface bound to, 0 for any.
    pub bound_if: u32,
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Bytes to be read; for a listener connections to be accepted.
    pub rqueue: u32,
    /// Bytes not acknowledged (UDP: in flight); for a listener how many may wait.
    pub wqueue: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Inode of the socket, 0 without a file (orphan, TIME_WAIT).
    pub inode: u32,
    /// Bits of shutdown(2).
    pub shutdown: Option<u8>,
    /// Name of the congestion control, all zero if there is none.
    pub cc: [u8; 16],
    /// cgroup v2 id, since 5.7.
    pub cgroup_id: Option<u64>,
    /// `SO_MARK`, told only to CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// Whether it is bound to IPv6 only.
    pub v6only: Option<bool>,
    /// Buffers.
    pub mem: Option<Memory>,
    /// What TCP knows; of a listener only what it has.
    pub tcp: Option<TcpInfo>,
}

/// `SK_MEMINFO_*`, bytes but for the drops.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Receive memory in use.
    pub rmem_alloc: Option<u32>,
    /// `SO_RCVBUF`.
    pub rcvbuf: Option<u32>,
    /// Send memory in flight.
    pub wmem_alloc: Option<u32>,
    /// `SO_SNDBUF`.
    pub sndbuf: Option<u32>,
    /// Memory reserved ahead.
    pub forward_alloc: Option<u32>,
    /// Send queue.
    pub wmem_queued: Option<u32>,
    /// Options.
    pub omem_alloc: Option<u32>,
    /// Packets that wait while the socket is locked.
    pub backlog: Option<u32>,
    /// Packets dropped, since 4.7.
    pub drops: Option<u32>,
}

macro_rules! tcp_info {
    ($($(#[$doc:meta])* $name:ident: $ty:ident @ $at:literal),* $(,)?) => {
        /// `struct tcp_info` (linux/tcp.h), each field missing if the kernel's is shorter.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct TcpInfo {
            $($(#[$doc])* pub $name: Option<$ty>,)*
        }

        impl TcpInfo {
            /// Reads what is there.
            pub fn parse(b: &[u8]) -> TcpInfo {
                TcpInfo { $($name: $ty::read(b, $at),)* }
            }
        }
    };
}

tcp_info! {
    /// Congestion state: 0 Open, 1 Disorder, 2 CWR, 3 Recovery, 4 Loss.
    ca_state: u8 @ 1,
    /// Retransmit timeouts in a row.
    retransmits: u8 @ 2,
    /// Probes of a closed window without an answer.
    probes: u8 @ 3,
    /// Doublings of the timeout.
    backoff: u8 @ 4,
    /// 1 timestamps, 2 SACK, 4 window scale, 8 ECN, 16 ECN seen, 32 SYN data.
    options: u8 @ 5,
    /// Low four bits send, high four receive.
    wscale: u8 @ 6,
    /// Bit 0: the delivery rate was limited by the application.
    flags: u8 @ 7,
    /// Retransmit timeout in µs.
    rto_us: u32 @ 8,
    /// Delayed ACK timeout in µs.
    ato_us: u32 @ 12,
    /// Bytes of payload a segment.
    snd_mss: u32 @ 16,
    /// Same of the peer, estimated.
    rcv_mss: u32 @ 20,
    /// Segments in flight.
    unacked: u32 @ 24,
    /// Segments selectively acknowledged.
    sacked: u32 @ 28,
    /// Segments thought lost.
    lost: u32 @ 32,
    /// Segments in flight again.
    retrans: u32 @ 36,
    /// ms since data was sent.
    last_data_sent_ms: u32 @ 44,
    /// ms since data was received.
    last_data_recv_ms: u32 @ 52,
    /// ms since an ACK was received.
    last_ack_recv_ms: u32 @ 56,
    /// Path MTU.
    pmtu: u32 @ 60,
    /// Receive window clamp.
    rcv_ssthresh: u32 @ 64,
    /// Smoothed round trip in µs.
    rtt_us: u32 @ 68,
    /// Its mean deviation in µs.
    rttvar_us: u32 @ 72,
    /// Slow start threshold in segments.
    snd_ssthresh: u32 @ 76,
    /// Congestion window in segments.
    snd_cwnd: u32 @ 80,
    /// MSS told to the peer.
    advmss: u32 @ 84,
    /// Reordering tolerated, in segments.
    reordering: u32 @ 88,
    /// Round trip estimated by the receiver in µs.
    rcv_rtt_us: u32 @ 92,
    /// Receive buffer estimate in bytes.
    rcv_space: u32 @ 96,
    /// Segments retransmitted since the start.
    total_retrans: u32 @ 100,
    /// Bytes per second; all ones: no limit.
    pacing_rate: u64 @ 104,
    /// `SO_MAX_PACING_RATE`.
    max_pacing_rate: u64 @ 112,
    /// Bytes acknowledged by the peer.
    bytes_acked: u64 @ 120,
    /// Bytes received.
    bytes_received: u64 @ 128,
    /// Segments sent.
    segs_out: u32 @ 136,
    /// Segments received.
    segs_in: u32 @ 140,
    /// Bytes written but not sent.
    notsent_bytes: u32 @ 144,
    /// Least round trip in µs; all ones: none yet.
    min_rtt_us: u32 @ 148,
    /// Segments with data received.
    data_segs_in: u32 @ 152,
    /// Segments with data sent.
    data_segs_out: u32 @ 156,
    /// Bytes per second delivered of late.
    delivery_rate: u64 @ 160,
    /// µs busy sending.
    busy_us: u64 @ 168,
    /// µs held back by the peer's window.
    rwnd_limited_us: u64 @ 176,
    /// µs held back by the send buffer.
    sndbuf_limited_us: u64 @ 184,
    /// Segments delivered, since 4.18.
    delivered: u32 @ 192,
    /// Same with congestion marks.
    delivered_ce: u32 @ 196,
    /// Bytes sent, retransmits included, since 4.19.
    bytes_sent: u64 @ 200,
    /// Bytes retransmitted, since 4.19.
    bytes_retrans: u64 @ 208,
    /// Duplicate SACK blocks received, since 4.19.
    dsack_dups: u32 @ 216,
    /// Reorderings seen, since 4.19.
    reord_seen: u32 @ 220,
    /// Segments received out of order, since 5.4.
    rcv_ooopack: u32 @ 224,
    /// Window the peer offers in bytes, since 5.4.
    snd_wnd: u32 @ 228,
    /// Window offered to the peer in bytes, since 6.2.
    rcv_wnd: u32 @ 232,
    /// Path rehashes after timeouts, since 6.2.
    rehash: u32 @ 236,
    /// Retransmit timeouts that fired, since 6.7.
    total_rto: u16 @ 240,
    /// ms spent in timeout recovery, since 6.7.
    total_rto_time_ms: u32 @ 244,
}

impl TcpInfo {
    /// The kernel leaves the rest at zero for a listener (and keeps its queue in `unacked`).
    fn of_listener(self) -> TcpInfo {
        TcpInfo {
            reordering: self.reordering,
            snd_cwnd: self.snd_cwnd,
            pacing_rate: self.pacing_rate,
            max_pacing_rate: self.max_pacing_rate,
            ..TcpInfo::default()
        }
    }
}

impl Sock {
    /// Reads one answer; `None` if it is shorter than `struct inet_diag_msg`.
    pub fn parse(b: &[u8]) -> Option<Sock> {
        const MSG: usize = 72;
        let attributes = b.get(MSG..)?;
        let mut s = Sock {
            family: b[0],
            state: b[1],
            timer: b[2],
            timer_retrans: b[3],
            sport: u16::from_be_bytes([b[4], b[5]]),
            dport: u16::from_be_bytes([b[6], b[7]]),
            saddr: *b[8..].first_chunk()?,
            daddr: *b[24..].first_chunk()?,
            bound_if: u32::read(b, 40)?,
            // Two halves, low first, whatever the machine's byte order.
            cookie: u64::from(u32::read(b, 44)?) | u64::from(u32::read(b, 48)?) << 32,
            expires_ms: u32::read(b, 52)?,
            rqueue: u32::read(b, 56)?,
            wqueue: u32::read(b, 60)?,
            uid: u32::read(b, 64)?,
            inode: u32::read(b, 68)?,
            ..Sock::default()
        };
        for (kind, value) in (Attributes { rest: attributes }) {
            match kind {
                2 if s.state == LISTEN => s.tcp = Some(TcpInfo::parse(value).of_listener()),
                2 => s.tcp = Some(TcpInfo::parse(value)),
                4 => copy(value, &mut s.cc),
                7 => s.mem = Some(Memory::parse(value)),
                8 => s.shutdown = value.first().copied(),
                11 => s.v6only = value.first().map(|&v| v != 0),
                15 => s.mark = u32::read(value, 0),
                21 => s.cgroup_id = u64::read(value, 0),
                _ => {}
            }
        }
        Some(s)
    }
}

impl Memory {
    fn parse(b: &[u8]) -> Memory {
        let n = |i: usize| u32::read(b, i * 4);
        Memory {
            rmem_alloc: n(0),
            rcvbuf: n(1),
            wmem_alloc: n(2),
            sndbuf: n(3),
            forward_alloc: n(4),
            wmem_queued: n(5),
            omem_alloc: n(6),
            backlog: n(7),
            drops: n(8),
        }
    }
}

fn copy(value: &[u8], to: &mut [u8; 16]) {
    for (to, from) in to.iter_mut().zip(value) {
        *to = *from;
    }
}

/// A number at an offset, if the bytes reach that far.
trait Read: Sized {
    fn read(b: &[u8], at: usize) -> Option<Self>;
}

macro_rules! read {
    ($($ty:ident)*) => {$(
        impl Read for $ty {
            fn read(b: &[u8], at: usize) -> Option<$ty> {
                Some($ty::from_ne_bytes(*b.get(at..)?.first_chunk()?))
            }
        }
    )*};
}

read!(u8 u16 u32 u64);

/// The attributes after a message: length, kind, value, padded to four bytes.
struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let all = std::mem::take(&mut self.rest);
        let len = usize::from(u16::read(all, 0)?);
        let kind = u16::read(all, 2)?;
        let value = all.get(4..len)?;
        self.rest = all.get(len.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits are flags.
        Some((kind & 0x3fff, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut a = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        a.extend(kind.to_ne_bytes());
        a.extend(value);
        a.resize(a.len().next_multiple_of(4), 0);
        a
    }

    fn answer(state: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut b = vec![0u8; 72];
        [b[0], b[1], b[2], b[3]] = [2, state, 1, 3];
        b[4..8].copy_from_slice(&[0x1f, 0x90, 0xc0, 0x01]);
        b[8..12].copy_from_slice(&[127, 0, 0, 1]);
        b[44..48].copy_from_slice(&7u32.to_ne_bytes());
        b[48..52].copy_from_slice(&1u32.to_ne_bytes());
        b[68..72].copy_from_slice(&4242u32.to_ne_bytes());
        b.extend(attributes.concat());
        b
    }

    #[test]
    fn an_answer_with_every_attribute() {
        let mut info = vec![0u8; 248];
        info[68..72].copy_from_slice(&40_125u32.to_ne_bytes());
        info[120..128].copy_from_slice(&u64::MAX.to_ne_bytes());
        info[240..242].copy_from_slice(&9u16.to_ne_bytes());
        let mem: Vec<u8> = (1..=9u32).flat_map(u32::to_ne_bytes).collect();
        let s = Sock::parse(&answer(
            1,
            &[
                attribute(8, &[3]),
                attribute(2, &info),
                attribute(7, &mem),
                attribute(4, b"cubic\0"),
                attribute(21, &77u64.to_ne_bytes()),
            ],
        ))
        .unwrap();
        assert_eq!((s.sport, s.dport, s.cookie, s.inode), (8080, 0xc001, 1 << 32 | 7, 4242));
        assert_eq!((s.timer, s.timer_retrans, s.shutdown), (1, 3, Some(3)));
        assert_eq!((&s.cc[..6], s.cgroup_id), (&b"cubic\0"[..], Some(77)));
        let (tcp, mem) = (s.tcp.unwrap(), s.mem.unwrap());
        assert_eq!((tcp.rtt_us, tcp.bytes_acked), (Some(40_125), Some(u64::MAX)));
        assert_eq!((tcp.total_rto, tcp.total_rto_time_ms), (Some(9), Some(0)));
        assert_eq!((mem.rmem_alloc, mem.sndbuf, mem.drops), (Some(1), Some(4), Some(9)));
    }

    #[test]
    fn an_old_kernels_shorter_structs_leave_the_rest_missing() {
        let s =
            Sock::parse(&answer(1, &[attribute(2, &[5; 104]), attribute(7, &[5; 32])])).unwrap();
        let (tcp, mem) = (s.tcp.unwrap(), s.mem.unwrap());
        assert_eq!((tcp.total_retrans, tcp.pacing_rate), (Some(0x0505_0505), None));
        assert_eq!((tcp.bytes_acked, tcp.rcv_wnd), (None, None));
        assert_eq!((mem.backlog, mem.drops), (Some(0x0505_0505), None));
        assert_eq!(s.cgroup_id, None);
    }

    #[test]
    fn a_listener_has_only_the_tcp_figures_the_kernel_fills_in() {
        let s = Sock::parse(&answer(LISTEN, &[attribute(2, &[0; 248])])).unwrap();
        let tcp = s.tcp.unwrap();
        assert_eq!((tcp.snd_cwnd, tcp.rtt_us, tcp.bytes_acked), (Some(0), None, None));
    }

    #[test]
    fn cut_off_and_lying_answers_do_not_panic() {
        let whole = answer(1, &[attribute(2, &[1; 248]), attribute(4, b"bbr\0")]);
        for n in 0..whole.len() {
            let s = Sock::parse(&whole[..n]);
            assert_eq!(s.is_some(), n >= 72);
        }
        for len in [0u16, 1, 3, 4, 0xffff] {
            let mut b = answer(1, &[]);
            b.extend(len.to_ne_bytes());
            b.extend(2u16.to_ne_bytes());
            assert!(Sock::parse(&b).is_some());
        }
    }
}
