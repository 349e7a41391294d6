use fairlead_canon::{Address, Class, Headers, Kind, Path, Retention};

use super::*;
use crate::{AtFull, DeadLetter, Family, Lifetime, Settings, decode, encode};

fn log(name: &str, lanes: u32) -> Change {
    let key = StreamKey::new(Family::Log, name);
    let new = NewStream::new(key, Kind::Log, Class::Memory, Origin(1));
    Change::CreateStream(NewStream { lanes, ..new })
}

fn apply(topology: &mut Topology, changes: Vec<Change>) -> Result<(), Refused> {
    topology.apply(changes, Timestamp(0)).map(drop)
}

#[test]
fn entities_are_given_out_up_to_the_limit_and_again_once_some_are_gone() {
    let mut topology = Topology::default();
    let per_stream = u64::from(NewStream::LANES_MAX);
    let full = Topology::ENTITIES_MAX / per_stream;
    for number in 0..full {
        apply(
            &mut topology,
            vec![log(&number.to_string(), NewStream::LANES_MAX)],
        )
        .unwrap();
    }
    let rest = u32::try_from(Topology::ENTITIES_MAX % per_stream).unwrap();
    apply(&mut topology, vec![log("rest", rest)]).unwrap();
    let refused = apply(&mut topology, vec![log("more", 1)]).unwrap_err();
    assert!(matches!(
        refused,
        Refused::Full {
            what: "entities",
            ..
        }
    ));
    let gone = Change::RemoveStream(StreamKey::new(Family::Log, "0"));
    apply(&mut topology, vec![gone, log("more", 1)]).unwrap();
}

#[test]
fn streams_that_were_told_the_same_limits_share_them() {
    let mut topology = Topology::default();
    let limited = |name: &str, count_max: u64| {
        let key = StreamKey::new(Family::Mailbox, name);
        let count_max = Some(count_max);
        Change::CreateStream(NewStream {
            limits: SizeLimits {
                count_max,
                ..SizeLimits::default()
            },
            ..NewStream::new(key, Kind::Queue, Class::Memory, Origin(1))
        })
    };
    let changes = vec![limited("a", 1), limited("b", 1), limited("c", 2)];
    apply(&mut topology, changes).unwrap();
    let stream = |topology: &Topology, name: &str| {
        let key = StreamKey::new(Family::Mailbox, name);
        Arc::clone(topology.stream(&key).unwrap())
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| stream(&topology, name));
    let limits = |stream: &Stream| Arc::as_ptr(stream.limited.as_ref().unwrap());
    assert_eq!(limits(&a), limits(&b));
    assert_eq!(c.limits().count_max, Some(2));

    let mut restored = Topology::default();
    for stream in [&a, &b] {
        let own = Stream {
            limited: Some(Arc::new(stream.limits())),
            ..Stream::clone(stream)
        };
        restored.restore_stream(own);
    }
    let [a, b] = ["a", "b"].map(|name| stream(&restored, name));
    assert_eq!(limits(&a), limits(&b));
    assert_eq!(a.limits().count_max, Some(1));
}

#[test]
fn what_a_refused_declaration_had_done_is_taken_back_and_not_counted() {
    let mut topology = Topology::default();
    for _ in 0..3 {
        let changes = vec![log("a", 5), log("a", 1)];
        assert!(matches!(
            apply(&mut topology, changes),
            Err(Refused::Exists(_))
        ));
    }
    assert_eq!((topology.entities, topology.streams().count()), (0, 0));
}

fn queue(name: &str, settings: Settings) -> NewStream {
    let key = StreamKey::new(Family::Queue, name);
    let at = Some(Address::new(
        RealmId::QUEUES,
        Path::from_segments([name]).unwrap(),
    ));
    NewStream {
        settings,
        at,
        ..NewStream::new(key, Kind::Queue, Class::Local, Origin(1))
    }
}

fn told_everything() -> Settings {
    Settings {
        sync: fairlead_canon::SyncMode::Interval,
        retention: Retention {
            age_ms: Some(0),
            bytes: Some(7),
        },
        compaction: Some(fairlead_canon::Compaction {
            lag_min_ms: 1,
            deletes_kept_ms: 2,
        }),
        priority_max: 9,
        dead_letter: Some(DeadLetter {
            realm: Text::from_static("graves"),
            path: Some(Path::from_segments(["a", "b"]).unwrap()),
            takes_refused: true,
            at_full: AtFull::Wait,
        }),
        returns_max: Some(3),
        is_single_active: true,
    }
}

/// What a topology looks like after what it kept of these steps is read again.
fn reread(from: &Topology, applied: &[Applied]) -> Topology {
    let mut documents = BTreeMap::new();
    for step in applied {
        match encode(step, from).unwrap() {
            Some((key, Some(value))) => drop(documents.insert(key, value)),
            Some((key, None)) => drop(documents.remove(&key)),
            None => {}
        }
    }
    let mut topology = Topology::default();
    for value in documents.values() {
        decode(value, &mut topology).unwrap();
    }
    topology
}

#[test]
fn what_a_stream_was_told_is_kept_and_read_again() {
    let mut topology = Topology::default();
    let new = queue("q", told_everything());
    let key = new.key.clone();
    let (_, applied) = topology
        .apply(vec![Change::CreateStream(new)], Timestamp(0))
        .unwrap();
    let kept = reread(&topology, &applied);
    let stream = kept.stream(&key).unwrap();
    assert_eq!(stream, topology.stream(&key).unwrap());
    assert_eq!(*stream.settings(), told_everything());
    assert_eq!(stream.lanes.len(), 10, "a lane for each priority from 0");
}

#[test]
fn what_ends_with_its_connection_is_neither_written_nor_deleted() {
    for (class, lifetime, is_written) in [
        (Class::Memory, Lifetime::Connection(1), false),
        (Class::Local, Lifetime::Connection(1), true),
        // It may have been kept before it was moved to memory.
        (Class::Memory, Lifetime::Forever, true),
    ] {
        let mut topology = Topology::default();
        let new = NewStream {
            class,
            lifetime,
            ..queue("q", Settings::default())
        };
        let binding = Binding {
            from: RealmId::SHARED,
            on: Match::Pattern(Pattern::exact(
                RealmId::SHARED,
                &Path::from_segments(["a"]).unwrap(),
            )),
            to: Destination::Stream(new.key.clone()),
            no_local: false,
            document: Bytes::new(),
        };
        let changes = vec![Change::CreateStream(new), Change::Bind(binding.clone())];
        apply(&mut topology, changes).unwrap();
        let unbind = vec![Change::Unbind(binding)];
        let (_, applied) = topology.apply(unbind, Timestamp(0)).unwrap();
        let written = encode(&applied[0], &topology).unwrap();
        assert_eq!(written.is_some(), is_written, "{class:?} {lifetime:?}");
    }
}

#[test]
fn the_definition_of_a_plain_stream_is_written_as_it_always_was() {
    let mut topology = Topology::default();
    let new = queue("q", Settings::default());
    let (_, applied) = topology
        .apply(vec![Change::CreateStream(new)], Timestamp(0))
        .unwrap();
    let (_, value) = encode(&applied[0], &topology).unwrap().unwrap();
    let lane = topology.streams().next().unwrap().lanes[0].0;
    let value = value.unwrap();
    assert_eq!(
        value[..7],
        [1, 0, 2, 1, b'q', 2, 2],
        "version, a stream, family, name, kind, class"
    );
    assert!(value.len() < 30 && lane > 0);
}

#[test]
fn a_stream_changes_class_with_the_bindings_that_lead_to_it() {
    let mut topology = Topology::default();
    let new = queue("q", Settings::default());
    let key = new.key.clone();
    let (_, mut applied) = topology
        .apply(vec![Change::CreateStream(new)], Timestamp(0))
        .unwrap();
    for (class, bindings) in [(Class::Memory, 0), (Class::Object, 1)] {
        let configure = Configure {
            key: key.clone(),
            class,
            limits: fairlead_canon::SizeLimits::default(),
            settings: Settings::default(),
        };
        let (_, more) = topology
            .apply(vec![Change::Configure(configure)], Timestamp(0))
            .unwrap();
        applied.extend(more);
        let to = Destination::Stream(key.clone());
        assert_eq!(
            topology.bindings_to(&to).count(),
            1,
            "here it is bound all along"
        );
        // Steps are encoded by the topology of their time: only the last ones tell.
        let kept = reread(&topology, &applied);
        assert_eq!(kept.streams().count(), bindings);
        assert_eq!(kept.bindings_to(&to).count(), bindings);
    }
}

#[test]
fn the_number_of_priorities_stays() {
    let mut topology = Topology::default();
    let new = queue("q", Settings::default());
    let configure = Configure {
        key: new.key.clone(),
        class: new.class,
        limits: new.limits,
        settings: told_everything(),
    };
    apply(&mut topology, vec![Change::CreateStream(new)]).unwrap();
    let refused = apply(&mut topology, vec![Change::Configure(configure)]).unwrap_err();
    assert_eq!(refused, Refused::Fixed("the number of priorities"));
}

#[test]
fn what_no_binding_takes_goes_to_the_alternate_and_only_then() {
    let mut topology = Topology::default();
    let realm = |name: &'static str, alternate: Option<&'static str>| {
        Change::CreateRealm(NewRealm {
            name: Text::from_static(name),
            rule: Rule::Exact,
            is_durable: true,
            alternate: alternate.map(Text::from_static),
            origin: Origin(1),
            document: Bytes::new(),
        })
    };
    let made = vec![
        realm("first", Some("rest")),
        realm("rest", Some("first")),
        Change::CreateStream(queue("taken", Settings::default())),
        Change::CreateStream(queue("left", Settings::default())),
    ];
    let (declared, mut applied) = topology.apply(made, Timestamp(0)).unwrap();
    let [first, rest] = [&declared.realms[0], &declared.realms[1]].map(|realm| realm.id);
    let path = Path::from_segments(["k"]).unwrap();
    let bind = |from, name: &str| {
        Change::Bind(Binding {
            from,
            on: Match::Pattern(Pattern::exact(from, &path)),
            to: Destination::Stream(StreamKey::new(Family::Queue, name)),
            no_local: false,
            document: Bytes::new(),
        })
    };
    let reached = |topology: &Topology, key: &str| {
        let path = Path::from_segments([key]).unwrap();
        let route = topology.route(&Address::new(first, path), &Headers::default());
        let names = route.streams.iter().map(|(s, _)| s.key.name.to_string());
        names.collect::<Vec<_>>()
    };
    let (_, more) = topology
        .apply(vec![bind(rest, "left")], Timestamp(0))
        .unwrap();
    applied.extend(more);
    assert_eq!(reached(&topology, "k"), ["left"]);
    assert_eq!(reached(&topology, "other"), Vec::<String>::new());
    let kept = reread(&topology, &applied);
    assert_eq!(
        reached(&kept, "k"),
        ["left"],
        "the alternate outlives the process"
    );
    apply(&mut topology, vec![bind(first, "taken")]).unwrap();
    assert_eq!(reached(&topology, "k"), ["taken"]);
}
