//! Topics: names, the streams behind them, and making them.

use std::sync::Arc;

use fairlead_canon::{Address, Class, EntityId, Kind, Text};
use fairlead_kernel::{Caller, Change, Error, Family, NewStream, Reason, Stream, StreamKey};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::config::{Config, Rules};
use crate::names;

/// What follows from a topic's name alone, whether there is such a topic or not.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) key: StreamKey,
    /// Where other protocols find its messages; names that begin with `__` have no such place.
    pub(crate) address: Option<Address>,
    /// What its messages are addressed to when they say nothing else.
    pub(crate) place: Address,
}

/// Topics that a connection has named, so that their names are translated once and their settings
/// read once after each change.
#[derive(Debug, Default)]
pub(crate) struct Topics(HashMap<Text, Known, RandomState>);

/// What a connection remembers of a topic.
#[derive(Debug)]
struct Known {
    topic: Arc<Topic>,
    /// The definition that was looked at last, and what it says.
    ruled: Option<(Arc<Stream>, Rules)>,
}

impl Topics {
    /// Names remembered per connection; a client with more has them translated again.
    const NAMES_MAX: usize = 1_024;

    pub(crate) fn get(&mut self, name: &Text) -> Result<Arc<Topic>, Error> {
        if let Some(known) = self.0.get(name) {
            return Ok(Arc::clone(&known.topic));
        }
        let topic = Arc::new(Topic::named(name)?);
        if self.0.len() >= Self::NAMES_MAX {
            self.0.clear();
        }
        let known = Known {
            topic: Arc::clone(&topic),
            ruled: None,
        };
        self.0.insert(name.clone(), known);
        Ok(topic)
    }

    /// What a produce to a topic has to know, by its present definition.
    pub(crate) fn rules(&mut self, stream: &Arc<Stream>) -> Rules {
        let Some(known) = self.0.get_mut(&stream.key.name) else {
            return Config::decode(&stream.document).rules();
        };
        match &known.ruled {
            Some((seen, rules)) if Arc::ptr_eq(seen, stream) => *rules,
            _ => {
                let rules = Config::decode(&stream.document).rules();
                known.ruled = Some((Arc::clone(stream), rules));
                rules
            }
        }
    }
}

impl Topic {
    pub(crate) fn named(name: &Text) -> Result<Self, Error> {
        let bad_name = || Error::peer(Reason::BadName, format!("topic name {name:?}"));
        if !names::is_legal(name) {
            return Err(bad_name());
        }
        let path = names::path_of(name.as_bytes()).map_err(|_too_long| bad_name())?;
        let place = Address::shared(path);
        Ok(Self {
            key: key(name),
            address: (!names::is_private(name)).then(|| place.clone()),
            place,
        })
    }

    /// The declaration that makes it.
    pub(crate) fn creation(&self, lanes: u32, class: Class) -> NewStream {
        NewStream {
            lanes,
            at: self.address.clone(),
            ..NewStream::new(self.key.clone(), Kind::Log, class, crate::ORIGIN)
        }
    }
}

/// The stream of a topic.
pub(crate) fn key(name: &Text) -> StreamKey {
    StreamKey::new(Family::Log, name.clone())
}

/// The topic, if there is one.
pub(crate) fn find(caller: &Caller, name: &Text) -> Option<Arc<Stream>> {
    caller.topology(|topology| topology.stream(&key(name)).cloned())
}

/// Every topic, by name.
pub(crate) fn all(caller: &Caller) -> Vec<Arc<Stream>> {
    let mut streams: Vec<Arc<Stream>> = caller.topology(|topology| {
        let logs = topology
            .streams()
            .filter(|stream| stream.key.family == Family::Log);
        logs.cloned().collect()
    });
    streams.sort_unstable_by(|a, b| a.key.name.cmp(&b.key.name));
    streams
}

/// The entity of a partition.
pub(crate) fn lane(stream: &Stream, partition: i32) -> Option<EntityId> {
    stream.lanes.get(usize::try_from(partition).ok()?).copied()
}

/// Makes a topic that somebody asked for; one that another client has just made is as good.
pub(crate) async fn make(caller: &mut Caller, topic: &Topic, lanes: u32) -> Result<(), Error> {
    let creation = Change::CreateStream(topic.creation(lanes, Class::Local));
    match caller.declare(vec![creation]).await {
        Err(error) if error.reason == Reason::Exists => Ok(()),
        made => made.map(drop),
    }
}
