//! What the stores count, as metrics: read when the page is asked for, so that counting
//! costs them nothing more.

use std::fmt;

use fairlead_backends::{Moves, SYNC_TIMES_US, Stats};
use fairlead_canon::SyncMode;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

type Read = Box<dyn Fn() -> Seen + Send + Sync>;
type Count = (&'static str, &'static str, fn(&Seen) -> u64);

/// What there is to read.
pub(crate) struct Seen {
    /// Of the durable store.
    pub(crate) stats: Stats,
    /// Of what moves between the stores.
    pub(crate) moves: Moves,
}

const COUNTERS: [Count; 12] = [
    (
        "fairlead_store_frames_total",
        "Frames written to the log.",
        |seen| seen.stats.frames,
    ),
    (
        "fairlead_store_frame_bytes_total",
        "Bytes of frames, padding included.",
        |seen| seen.stats.frame_bytes,
    ),
    ("fairlead_store_units_total", "Units in frames.", |seen| {
        seen.stats.units
    }),
    (
        "fairlead_store_waits_total",
        "Times that commits had waited for the engine.",
        |seen| seen.stats.waits,
    ),
    (
        "fairlead_store_wait_microseconds_total",
        "How long the oldest of them had waited each time.",
        |seen| seen.stats.wait_micros,
    ),
    (
        "fairlead_store_sync_microseconds_total",
        "How long syncs of the log took together.",
        |seen| seen.stats.sync_micros,
    ),
    (
        "fairlead_store_corrupt_total",
        "Reads of what is not what was written.",
        |seen| seen.stats.corrupt,
    ),
    (
        "fairlead_store_moves_total",
        "Times that entities went from memory to disk or back.",
        |seen| seen.moves.moves,
    ),
    (
        "fairlead_store_move_rounds_total",
        "Rounds in which they were copied.",
        |seen| seen.moves.rounds,
    ),
    (
        "fairlead_store_move_bytes_total",
        "Bytes of messages that were copied.",
        |seen| seen.moves.bytes,
    ),
    (
        "fairlead_store_move_pauses_total",
        "Times that commits waited for the last round of a move.",
        |seen| seen.moves.pauses,
    ),
    (
        "fairlead_store_move_pause_microseconds_total",
        "How long commits waited for moves.",
        |seen| seen.moves.pause_micros,
    ),
];

const GAUGES: [Count; 4] = [
    ("fairlead_store_files_live", "Files of the log.", |seen| {
        seen.stats.files_live
    }),
    (
        "fairlead_store_files_free",
        "Log files that are ready, or can be used again.",
        |seen| seen.stats.files_free,
    ),
    (
        "fairlead_store_deleted_entities",
        "Deleted entities whose messages are not all given up yet.",
        |seen| seen.stats.graves,
    ),
    (
        "fairlead_store_move_pause_longest_microseconds",
        "The longest time that commits waited for a move.",
        |seen| seen.moves.longest_pause_micros,
    ),
];

const SYNC: (&str, &str) = (
    "fairlead_store_sync_seconds",
    "How long each sync of the log took.",
);
const MODE: (&str, &str) = (
    "fairlead_store_sync_mode",
    "1 for when durable promises are kept, unless an entity asks for less.",
);

const MODES: [(SyncMode, &str); 2] = [
    (SyncMode::Always, "always"),
    (SyncMode::Interval, "interval"),
];

/// The stores as a source of metrics.
pub(crate) struct Measures {
    read: Read,
    about: Vec<Desc>,
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measures")
    }
}

impl Measures {
    pub(crate) fn new(read: impl Fn() -> Seen + Send + Sync + 'static) -> prometheus::Result<Self> {
        let plain = COUNTERS.iter().chain(&GAUGES);
        let plain = plain.map(|(name, help, _)| (*name, *help));
        let about = plain.chain([SYNC, MODE]).map(|(name, help)| {
            Desc::new(name.into(), help.into(), Vec::new(), Default::default())
        });
        Ok(Self {
            read: Box::new(read),
            about: about.collect::<prometheus::Result<_>>()?,
        })
    }
}

impl Collector for Measures {
    fn desc(&self) -> Vec<&Desc> {
        self.about.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let seen = (self.read)();
        let stats = &seen.stats;
        let counters = COUNTERS.iter().map(|(name, help, of)| {
            let mut counter = Counter::default();
            counter.set_value(float(of(&seen)));
            let mut metric = Metric::default();
            metric.set_counter(counter);
            family((name, help), MetricType::COUNTER, vec![metric])
        });
        let gauges = GAUGES.iter().map(|(name, help, of)| {
            family(
                (name, help),
                MetricType::GAUGE,
                vec![gauge(of(&seen), None)],
            )
        });
        let modes = MODES
            .iter()
            .map(|(mode, word)| gauge(u64::from(*mode == stats.sync), Some(("mode", word))));
        let rest = [
            family(SYNC, MetricType::HISTOGRAM, vec![syncs(stats)]),
            family(MODE, MetricType::GAUGE, modes.collect()),
        ];
        counters.chain(gauges).chain(rest).collect()
    }
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn gauge(value: u64, label: Option<(&str, &str)>) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(float(value));
    let mut metric = Metric::from_gauge(gauge);
    metric.set_label(label.map(pair).into_iter().collect());
    metric
}

fn pair((name, value): (&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.into());
    pair.set_value(value.into());
    pair
}

fn syncs(stats: &Stats) -> Metric {
    let mut below = 0;
    let bucket = |(bound, count): (&u64, &u64)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(float(*bound) / 1e6);
        bucket.set_cumulative_count(below);
        bucket
    };
    let buckets = SYNC_TIMES_US.iter().zip(&stats.sync_times).map(bucket);
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(stats.syncs);
    histogram.set_sample_sum(float(stats.sync_micros) / 1e6);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

/// Exact up to 2^53, which nothing here reaches in a thousand years.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder as _, Registry, TextEncoder};

    use super::*;

    #[test]
    fn the_page_says_what_the_store_counts() {
        let mut stats = Stats {
            frames: 7,
            syncs: 3,
            sync_micros: 1_000_400,
            ..Stats::default()
        };
        stats.sync_times[1] = 2;
        stats.sync_times[8] = 1;
        let registry = Registry::new();
        let seen = move || Seen {
            stats,
            moves: Moves::default(),
        };
        let measures = Measures::new(seen).unwrap();
        registry.register(Box::new(measures)).unwrap();
        let mut page = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut page)
            .unwrap();
        let page = String::from_utf8(page).unwrap();
        for line in [
            "fairlead_store_frames_total 7",
            "fairlead_store_sync_mode{mode=\"always\"} 1",
            "fairlead_store_sync_seconds_bucket{le=\"0.00025\"} 2",
            "fairlead_store_sync_seconds_bucket{le=\"+Inf\"} 3",
            "fairlead_store_sync_seconds_sum 1.0004",
        ] {
            assert!(page.lines().any(|said| said == line), "{line} in {page}");
        }
    }
}
