//! What the durable store counts, as metrics: read when the page is asked for, so that counting
//! costs the store nothing more.

use std::fmt;

use fairlead_backends::{SYNC_TIMES_US, Stats};
use fairlead_canon::SyncMode;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

type Read = Box<dyn Fn() -> Stats + Send + Sync>;
type Count = (&'static str, &'static str, fn(&Stats) -> u64);

const COUNTERS: [Count; 7] = [
    (
        "fairlead_store_frames_total",
        "Frames written to the log.",
        |stats| stats.frames,
    ),
    (
        "fairlead_store_frame_bytes_total",
        "Bytes of frames, padding included.",
        |stats| stats.frame_bytes,
    ),
    ("fairlead_store_units_total", "Units in frames.", |stats| {
        stats.units
    }),
    (
        "fairlead_store_waits_total",
        "Times that commits had waited for the engine.",
        |stats| stats.waits,
    ),
    (
        "fairlead_store_wait_microseconds_total",
        "How long the oldest of them had waited each time.",
        |stats| stats.wait_micros,
    ),
    (
        "fairlead_store_sync_microseconds_total",
        "How long syncs of the log took together.",
        |stats| stats.sync_micros,
    ),
    (
        "fairlead_store_corrupt_total",
        "Reads of what is not what was written.",
        |stats| stats.corrupt,
    ),
];

const GAUGES: [Count; 3] = [
    ("fairlead_store_files_live", "Files of the log.", |stats| {
        stats.files_live
    }),
    (
        "fairlead_store_files_free",
        "Log files that are ready, or can be used again.",
        |stats| stats.files_free,
    ),
    (
        "fairlead_store_deleted_entities",
        "Deleted entities whose messages are not all given up yet.",
        |stats| stats.graves,
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

/// The durable store as a source of metrics.
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
    pub(crate) fn new(
        read: impl Fn() -> Stats + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
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
        let stats = (self.read)();
        let counters = COUNTERS.iter().map(|(name, help, of)| {
            let mut counter = Counter::default();
            counter.set_value(float(of(&stats)));
            let mut metric = Metric::default();
            metric.set_counter(counter);
            family((name, help), MetricType::COUNTER, vec![metric])
        });
        let gauges = GAUGES.iter().map(|(name, help, of)| {
            family(
                (name, help),
                MetricType::GAUGE,
                vec![gauge(of(&stats), None)],
            )
        });
        let modes = MODES
            .iter()
            .map(|(mode, word)| gauge(u64::from(*mode == stats.sync), Some(("mode", word))));
        let rest = [
            family(SYNC, MetricType::HISTOGRAM, vec![syncs(&stats)]),
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
        let measures = Measures::new(move || stats).unwrap();
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
