//! Seeded random messages for tests: small alphabets, rich in what is hard.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::{
    Address, BodyFormat, DeadReason, Death, Deaths, EventTime, Headers, HeadersBuilder, Message,
    Path, Promise, Properties, ReplyTo, Terms, Text, Timestamp, TraceContext, User, Value,
};

/// A generator whose seed is printed by the test that fails.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

/// Names that mean something to a carrier, that lists cannot hold, or that read like escapes.
pub(crate) const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"x-c",
    b"fl-t",
    b"fl-t",
    b"fl-dup",
    b"",
    b"content-type",
    b"content-encoding",
    b"type",
    b"message-id",
    b"correlation-id",
    b"reply-to",
    b"app-id",
    b"traceparent",
    b"tracestate",
    b"fl-key",
    b"fl-null",
    b"fl-format",
    b"fl-priority",
    b"fl-retain",
    b"fl-ts",
    b"user-id",
    b"fl-address",
    b"fl-deadline",
    b"\xff",
    b"a\0",
    b"%xff",
    b"%25xff",
    b"%x6100",
    b"%x61",
    "é".as_bytes(),
    &[b'n'; 300],
];

const TEXTS: &[&str] = &[
    "",
    "v",
    "true",
    "é",
    "1",
    "0",
    "5",
    "-5",
    "05",
    "none",
    "1;0x",
    "0;",
    "1;",
    "2;0p",
    "1;0p",
    "a\0b",
    "/w==",
    "application/json",
    "orders.eu",
    "a b",
    "-_24reply.q.q1",
];

/// Runs a test once for each seed, and names the seed that fails.
pub(crate) fn for_each_seed(seeds: u64, test: impl Fn(&mut Random)) {
    for seed in 0..seeds {
        let mut random = Random(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| test(&mut random)));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(crate) fn bytes(&mut self, max: usize) -> Bytes {
        let len = self.below(max + 1);
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    pub(crate) fn text(&mut self) -> Text {
        Text::from_static(self.pick(TEXTS))
    }

    fn i64(&mut self) -> i64 {
        let wild = self.next().cast_signed();
        self.pick(&[i64::MIN, i64::MAX, -1, 0, 1, wild])
    }

    pub(crate) fn value(&mut self, depth: usize) -> Value {
        let wide = self.i64();
        let low = wide.to_le_bytes();
        let kinds = if depth > 0 { 22 } else { 20 };
        match self.below(kinds) {
            0 => Value::Null,
            1 => Value::Bool(low[0] & 1 == 1),
            2 => Value::I8(i8::from_le_bytes(first(low))),
            3 => Value::U8(u8::from_le_bytes(first(low))),
            4 => Value::I16(i16::from_le_bytes(first(low))),
            5 => Value::U16(u16::from_le_bytes(first(low))),
            6 => Value::I32(i32::from_le_bytes(first(low))),
            7 => Value::U32(u32::from_le_bytes(first(low))),
            8 => Value::I64(wide),
            9 => Value::U64(wide.cast_unsigned()),
            10 => Value::F32(self.f32()),
            11 => Value::F64(self.f64()),
            12 => Value::Decimal {
                scale: self.pick(&[0, 1, 2, 9, 40, 255]),
                unscaled: i32::from_le_bytes(first(low)),
            },
            13 => Value::TimeMillis(wide),
            14 => Value::TimeSeconds(wide),
            15 => Value::Uuid(wide_bytes(self)),
            16 => Value::Text(self.text()),
            17 => Value::RawText([b"\xff", &*self.bytes(2)].concat().into()),
            18 => Value::Bytes(self.bytes(9)),
            19 => Value::Symbol(self.text()),
            20 => Value::List((0..self.below(4)).map(|_| self.nested(depth)).collect()),
            _ => {
                let entry = |random: &mut Self| {
                    let name = random.name();
                    (name.slice(..name.len().min(255)), random.nested(depth))
                };
                Value::Map((0..self.below(4)).map(|_| entry(self)).collect())
            }
        }
    }

    /// A value of a type that typed tables know.
    pub(crate) fn nested(&mut self, depth: usize) -> Value {
        loop {
            let value = self.value(depth - 1);
            let is_foreign = matches!(
                value,
                Value::U64(_) | Value::TimeMillis(_) | Value::Uuid(_) | Value::Symbol(_)
            );
            if !is_foreign {
                return value;
            }
        }
    }

    fn f32(&mut self) -> f32 {
        let bits = u32::from_le_bytes(first(self.next().to_le_bytes()));
        let wild = f32::from_bits(bits);
        let nan = f32::from_bits(0x7f80_0001 | (bits & 0x803f_ffff));
        self.pick(&[wild, nan, -0.0, 0.1, 1e30, f32::INFINITY, f32::MIN_POSITIVE])
    }

    fn f64(&mut self) -> f64 {
        let wild = f64::from_bits(self.next());
        let nan = f64::from_bits(0x7ff0_0000_0000_0001 | (self.next() >> 12));
        self.pick(&[wild, nan, -0.0, 0.1, 1e300, f64::NEG_INFINITY, 5e-324])
    }

    pub(crate) fn name(&mut self) -> Bytes {
        Bytes::from_static(self.pick(NAMES))
    }

    pub(crate) fn headers(&mut self, max: usize) -> Headers {
        let mut builder = HeadersBuilder::default();
        for _ in 0..self.below(max + 1) {
            let name = self.name();
            let value = match self.below(2) {
                0 => Value::Text(self.text()),
                _ => self.value(2),
            };
            builder.push(&name, &value);
        }
        builder.build().unwrap()
    }

    pub(crate) fn path(&mut self) -> Path {
        let segments: Vec<Bytes> = (0..self.below(4)).map(|_| self.name()).collect();
        Path::from_segments(segments).unwrap()
    }

    fn maybe<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(4) == 0).then(|| some(self))
    }

    fn id(&mut self) -> Option<Value> {
        self.maybe(|random| random.value(1))
            .filter(|id| *id != Value::Null)
    }

    fn properties(&mut self) -> Properties {
        Properties {
            content_type: self.maybe(Self::text),
            content_encoding: self.maybe(Self::text),
            kind: self.maybe(Self::text),
            app: self.maybe(Self::text),
            message_id: self.id(),
            correlation: self.id(),
            reply_to: self.maybe(|random| match random.below(2) {
                0 => ReplyTo::Entity(random.text()),
                _ => ReplyTo::Address(Address::shared(random.path())),
            }),
            user: self.maybe(|random| User {
                name: random.text(),
                is_verified: random.one_in(2),
            }),
            trace: self.maybe(|random| TraceContext {
                parent: random.text(),
                state: random.maybe(Self::text),
            }),
            format: self.maybe(|random| random.pick(&[BodyFormat::Bytes, BodyFormat::Text])),
            // No carrier has a place for them.
            deaths: Deaths::default(),
            also_at: Box::default(),
        }
    }

    pub(crate) fn death(&mut self) -> Death {
        let at = Timestamp(self.next());
        Death {
            stream: self.text(),
            reason: self.pick(&[
                DeadReason::Rejected,
                DeadReason::Expired,
                DeadReason::MaxLen,
            ]),
            count: 1,
            first_at: at,
            last_at: at,
            realm: self.text(),
            path: self.path(),
            life_ms: self.maybe(Self::next),
            is_first: false,
        }
    }

    pub(crate) fn message(&mut self) -> Message {
        let time = self.next() >> 20;
        let ms = i64::try_from(time).unwrap();
        let terms = Terms {
            accepted_at: Timestamp(time),
            event_at: self.maybe(|random| {
                random.pick(&[
                    EventTime::Millis(ms),
                    EventTime::Millis(-ms),
                    EventTime::Millis(0),
                ])
            }),
            deadline: self.maybe(|random| Timestamp(random.next())),
            promise: self.pick(&[Promise::Nothing, Promise::Accepted, Promise::Durable]),
            priority: self.maybe(|random| random.pick(&[0, 4, 255])),
            latest: self.one_in(4),
        };
        let mut message = Message::new(Address::shared(self.path()), Bytes::new(), terms);
        message.key = self.maybe(|random| random.bytes(4));
        message.body = (!self.one_in(4)).then(|| self.bytes(4));
        message.headers = self.headers(5);
        let properties = self.properties();
        if properties != Properties::default() {
            message.properties = Some(Box::new(properties));
        }
        message
    }
}

fn wide_bytes(random: &mut Random) -> [u8; 16] {
    let halves = [random.next(), random.next()];
    u128::from(halves[0])
        .wrapping_mul(u128::from(halves[1]))
        .to_le_bytes()
}

fn first<const N: usize>(bytes: [u8; 8]) -> [u8; N] {
    *bytes.first_chunk().unwrap()
}
