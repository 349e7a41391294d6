//! What a conversion could not carry, by name (`mapping.md` section 13).

/// A set of [`LossCode`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Loss(pub u64);

macro_rules! codes {
    ($($name:ident = $bit:literal $word:literal),* $(,)?) => {
        /// One kind of loss. Names and numbers are public and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is one row of the table in mapping.md section 13")]
        pub enum LossCode { $($name = $bit),* }

        impl LossCode {
            /// Every code, by bit number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its public name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

codes! {
    Key = 0 "KEY", NameCut = 1 "NAME_CUT", NameFold = 2 "NAME_FOLD", NullBody = 3 "NULL_BODY", BodyKind = 4 "BODY_KIND",
    Format = 5 "FORMAT", ContentType = 6 "CONTENT_TYPE", ContentEnc = 7 "CONTENT_ENC", MsgId = 8 "MSG_ID",
    Correlation = 9 "CORRELATION", ReplyTo = 10 "REPLY_TO", User = 11 "USER", App = 12 "APP", Kind = 13 "KIND", Trace = 14 "TRACE",
    EventTime = 15 "EVENT_TIME", TimeRes = 16 "TIME_RES", ExpiryHidden = 17 "EXPIRY_HIDDEN", ExpiryCoarse = 18 "EXPIRY_COARSE",
    Durability = 19 "DURABILITY", Qos = 20 "QOS", Retain = 21 "RETAIN", Priority = 22 "PRIORITY", Header = 23 "HEADER",
    HdrDup = 24 "HDR_DUP", HdrType = 25 "HDR_TYPE", HdrOrder = 26 "HDR_ORDER", HdrName = 27 "HDR_NAME", HdrSize = 28 "HDR_SIZE",
    Annotation = 29 "ANNOTATION", DeliveryAnn = 30 "DELIVERY_ANN", Footer = 31 "FOOTER", Deaths = 32 "DEATHS",
    Txn = 33 "TXN", Order = 34 "ORDER", Large = 35 "LARGE",
}

impl Loss {
    /// Nothing lost.
    pub const NONE: Self = Self(0);

    /// Adds a code.
    pub fn add(&mut self, code: LossCode) {
        self.0 |= 1 << (code as u64);
    }

    /// Adds all codes of `other`.
    pub fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether a code is in the set.
    pub fn has(self, code: LossCode) -> bool {
        self.0 & (1 << (code as u64)) != 0
    }

    /// Whether nothing was lost.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The codes in the set, by bit number.
    pub fn codes(self) -> impl Iterator<Item = LossCode> {
        LossCode::ALL
            .iter()
            .copied()
            .filter(move |code| self.has(*code))
    }
}
