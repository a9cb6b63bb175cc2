//! How fast packets leave: an agent's socket holds 208 KiB unless somebody has changed it, and what comes on top of that
//! is lost without a word. (RATIONALE: "Why do packets to an agent leave so slowly?")

use std::time::{Duration, Instant};

/// Spreads packets over time. Without a clock of its own.
///
/// The pace follows what there is to send: half as much again as what came within the last moments, so that a steady
/// stream never waits long, within [`SLOWEST`] and [`FASTEST`].
#[derive(Debug)]
pub(crate) struct Pace {
    /// The earliest moment for the next packet.
    free_at: Option<Instant>,
    /// When the present window began, and the bytes of the batches that came in it and in the one before.
    window: Option<Instant>,
    in_window: u64,
    in_last_window: u64,
}

/// By when a batch must have left, and how much of it is still here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errand {
    bytes_left: u64,
    until: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Pace { free_at: None, window: None, in_window: 0, in_last_window: 0 }
    }

    /// A batch of `packets` is to be sent, at the latest by half of `limit`: then there is time left for a look-up.
    pub(crate) fn begin<'a>(
        &mut self,
        packets: impl Iterator<Item = &'a Vec<u8>>,
        now: Instant,
        limit: Duration,
    ) -> Errand {
        let bytes_left = packets.map(|packet| cost(packet.len())).sum();
        let age = self.window.map_or(Duration::MAX, |window| now.saturating_duration_since(window));
        if age >= WINDOW {
            self.in_last_window = if age < WINDOW * 2 { self.in_window } else { 0 };
            (self.window, self.in_window) = (Some(now), 0);
        }
        self.in_window += bytes_left;
        Errand { bytes_left, until: now + limit / 2 }
    }

    /// How long the next packet of a batch has to wait before it is sent. Its place is then taken: the packets of other
    /// threads come after it.
    pub(crate) fn next(&mut self, errand: &mut Errand, packet: &[u8], now: Instant) -> Duration {
        let bytes = cost(packet.len());
        let at = self.free_at.map_or(now, |free_at| free_at.max(now)).min(errand.until).max(now);
        let demand = self.in_window.max(self.in_last_window) * 3 / 2 / WINDOW.as_secs().max(1);
        let time_left = errand.until.saturating_duration_since(at);
        let in_time = u64::try_from(u128::from(errand.bytes_left) * 1_000 / time_left.as_millis().max(1));
        let bytes_per_second = demand.clamp(SLOWEST, FASTEST).max(in_time.unwrap_or(u64::MAX));
        self.free_at = Some(at + Duration::from_micros(bytes * 1_000_000 / bytes_per_second));
        errand.bytes_left = errand.bytes_left.saturating_sub(bytes);
        at.saturating_duration_since(now)
    }
}

/// What a packet takes of the receiver's buffer: the kernel's own notes come on top of it.
fn cost(bytes: usize) -> u64 {
    bytes as u64 + 1_024
}

/// Bytes per second: 32 ms between two packets of 65,000 bytes, of which a buffer holds three.
const SLOWEST: u64 = 2 << 20;
/// Bytes per second, some twenty thousand spans: an agent that has other things to do does not read more. What comes on
/// top waits in the backend's queue, where it is counted if it is dropped.
const FASTEST: u64 = 8 << 20;
/// What came is looked at by the second.
const WINDOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    /// A socket's buffer, as Linux has it unless somebody has changed it.
    const BUFFER: u64 = 208 << 10;

    /// Batches of packets, each at its moment in milliseconds, on one thread. Gives the moments at which packets left.
    fn departures(pace: &mut Pace, start: Instant, batches: &[(u64, usize)], limit: Duration) -> Vec<u64> {
        let mut now = start;
        let mut left = Vec::new();
        for (at, packets) in batches {
            now = now.max(start + Duration::from_millis(*at));
            let packets = vec![vec![0; 65_000]; *packets];
            let mut errand = pace.begin(packets.iter(), now, limit);
            for packet in &packets {
                now += pace.next(&mut errand, packet, now);
                left.push((now - start).as_millis() as u64);
            }
        }
        left
    }

    /// The most that lies in a buffer at any time if it is emptied every so many milliseconds.
    fn fullest(departures: &[u64], emptied_every: u64) -> u64 {
        let rounds = departures.chunk_by(|one, next| one / emptied_every == next / emptied_every);
        rounds.map(|round| round.len() as u64 * cost(65_000)).max().unwrap_or(0)
    }

    #[test]
    fn a_stream_of_3_400_spans_a_second_leaves_room_in_a_buffer_that_is_emptied_every_60_ms() {
        // Of some 450 bytes: 1.5 MB, a full batch of 512 KiB every third of a second.
        let batches: Vec<_> = (0..18).map(|batch| (batch * 340, 8)).collect();
        let left = departures(&mut Pace::new(), Instant::now(), &batches, LIMIT);
        assert!(fullest(&left, 60) <= BUFFER, "{} in {left:?}", fullest(&left, 60));
        // And nothing piles up: the last batch is gone before another one would come.
        assert!(left.last().unwrap() - 17 * 340 < 340, "{left:?}");
    }

    #[test]
    fn a_single_packet_never_waits() {
        let batches: Vec<_> = (0..20).map(|batch| (batch * 100, 1)).collect();
        let left = departures(&mut Pace::new(), Instant::now(), &batches, LIMIT);
        assert_eq!(left, batches.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    }

    #[test]
    fn the_pace_rises_with_what_there_is_to_send_and_falls_again() {
        let mut pace = Pace::new();
        let start = Instant::now();
        // 4 MB a second: twice the slowest pace.
        let batches: Vec<_> = (0..64).map(|batch| (batch * 130, 8)).collect();
        let left = departures(&mut pace, start, &batches, LIMIT);
        assert!(left.last().unwrap() - 63 * 130 < 200, "behind: {left:?}");
        let later = departures(&mut pace, start, &[(20_000, 8)], LIMIT);
        assert!(later.last().unwrap() - 20_000 > 200, "{later:?}");
    }

    #[test]
    fn more_than_an_agent_reads_is_not_sent() {
        let batches = vec![(0, 8); 400];
        let left = departures(&mut Pace::new(), Instant::now(), &batches, LIMIT);
        let bytes_per_second = left.len() as u64 * cost(65_000) * 1_000 / left.last().unwrap();
        assert!((4 << 20..=FASTEST).contains(&bytes_per_second), "{bytes_per_second}");
    }

    #[test]
    fn a_batch_has_left_by_half_of_its_time() {
        for (packets, limit) in [(1_000, LIMIT), (8, Duration::from_millis(100)), (8, Duration::ZERO)] {
            let left = departures(&mut Pace::new(), Instant::now(), &[(0, packets)], limit);
            assert!(u128::from(*left.last().unwrap()) <= (limit / 2).as_millis(), "{packets} {limit:?}: {left:?}");
        }
    }

    #[test]
    fn two_threads_share_one_pace() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        let packets = vec![vec![0; 65_000]; 4];
        let (mut one, mut other) = (pace.begin(packets.iter(), now, LIMIT), pace.begin(packets.iter(), now, LIMIT));
        let waits: Vec<_> = (0..4)
            .flat_map(|_| [pace.next(&mut one, &packets[0], now), pace.next(&mut other, &packets[0], now)])
            .collect();
        assert!(waits.is_sorted_by(|wait, next| *next - *wait > Duration::from_millis(20)), "{waits:?}");
    }
}
