//! Moving averages of what is counted, per minute, by mosquitto's formula.

use std::time::Duration;

use tokio::time::Instant;

use super::Counts;

/// How the count of a load is found.
type Find = fn(&Counts) -> u64;

/// What is averaged, under the names that it is told by.
pub(crate) const LOADS: [(&str, Find); 9] = [
    ("messages/received", |counts| counts.packets_received),
    ("messages/sent", |counts| counts.packets_sent),
    ("publish/received", |counts| counts.publishes_received),
    ("publish/sent", |counts| counts.publishes_sent),
    ("publish/dropped", |counts| counts.publishes_dropped),
    ("bytes/received", |counts| counts.bytes_received),
    ("bytes/sent", |counts| counts.bytes_sent),
    ("sockets", |counts| counts.sockets),
    ("connections", |counts| counts.connects),
];

/// Over how long, in minutes.
pub(crate) const SPANS: [u16; 3] = [1, 5, 15];

/// The averages, and when and at which counts they were brought up to date.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loads {
    seen: Option<(Instant, [u64; LOADS.len()])>,
    /// By load and span.
    pub(crate) averages: [[f64; SPANS.len()]; LOADS.len()],
}

impl Loads {
    /// Brings them up to date.
    pub(crate) fn note(&mut self, counts: &Counts, now: Instant) {
        let counts = LOADS.map(|(_, find)| find(counts));
        let Some((at, before)) = self.seen.replace((now, counts)) else {
            return;
        };
        let passed = now.duration_since(at);
        if passed.is_zero() {
            return;
        }
        let grown = counts.iter().zip(before);
        for (averages, (count, before)) in self.averages.iter_mut().zip(grown) {
            let rate = per_minute(count.saturating_sub(before), passed);
            for (average, minutes) in averages.iter_mut().zip(SPANS) {
                let weight = (-passed.as_secs_f64() / (60.0 * f64::from(minutes))).exp();
                *average = rate + weight * (*average - rate);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an average is no exact number")]
fn per_minute(count: u64, passed: Duration) -> f64 {
    count as f64 * 60.0 / passed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_load_rises_towards_its_rate_and_the_shorter_span_is_faster() {
        let (mut loads, mut counts, begun) = (Loads::default(), Counts::default(), Instant::now());
        loads.note(&counts, begun);
        for tens in 1..=6 {
            counts.bytes_sent += 100;
            loads.note(&counts, begun + Duration::from_secs(10 * tens));
        }
        // 600 a minute, for one minute: 600 * (1 - e^(-minutes / span)).
        let sent = loads.averages[6].map(|average| format!("{average:.2}"));
        assert_eq!(sent, ["379.27", "108.76", "38.70"]);
        loads.note(&counts, begun + Duration::from_secs(6_000));
        assert!(loads.averages[6][0] < 0.01 && loads.averages[6][2] < 1.0);
        assert!(loads.averages[0].iter().all(|average| *average < 0.01));
    }
}
