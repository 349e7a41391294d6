//! Segments over S3, as a stub speaks it, with the failures that real ones have.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod stub;

use std::time::Duration;

use bytes::Bytes;
use fairlead_objects::{Finding, Objects, Patience, Place, self_check};
use fairlead_segment::{LogId, SegmentError, SegmentId, Segments};

use stub::{Creates, Fault, Stub};

const LOG: LogId = LogId([1; 16]);
const ID: SegmentId = SegmentId { made: 3, random: 4 };
/// Short, so that a test of five tries takes no time; long enough for a request on a busy machine.
const PATIENCE: Patience = Patience {
    tries: 5,
    pause: Duration::from_millis(1),
    pause_max: Duration::from_millis(4),
    request: Duration::from_secs(2),
};

fn place(address: impl std::fmt::Display) -> Place {
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Place {
        url: "s3://bucket/some/prefix".into(),
        options: vec![
            option("aws_endpoint", &format!("http://{address}")),
            option("aws_region", "us-east-1"),
            option("aws_access_key_id", "key"),
            option("aws_secret_access_key", "secret"),
            option("aws_page_of_the_manual", "not a setting"),
        ],
        patience: PATIENCE,
    }
}

fn objects(stub: &Stub) -> Objects {
    Objects::open(&place(stub.address)).unwrap()
}

fn parts() -> Vec<Bytes> {
    vec![Bytes::from_static(b"some "), Bytes::from_static(b"bytes")]
}

#[test]
fn a_segment_is_created_read_listed_and_deleted() {
    let stub = Stub::start(Creates::Atomic);
    let objects = objects(&stub);
    assert_eq!(objects.read(LOG, ID, 0..4), Err(SegmentError::Missing));
    objects.create(LOG, ID, &parts()).unwrap();
    assert_eq!(objects.read(LOG, ID, 2..7).unwrap(), "me by");
    assert_eq!(objects.list(LOG).unwrap(), [ID]);
    assert_eq!(objects.list(LogId([2; 16])).unwrap(), []);
    objects.delete(LOG, ID).unwrap();
    objects.delete(LOG, ID).unwrap();
    assert_eq!(objects.list(LOG).unwrap(), []);
}

#[test]
fn an_endpoint_without_tls_is_taken_by_each_of_its_names() {
    let stub = Stub::start(Creates::Atomic);
    for name in ["aws_endpoint", "AWS_ENDPOINT_URL", "aws_endpoint_url_s3"] {
        let mut place = place(stub.address);
        name.clone_into(&mut place.options[0].0);
        let objects = Objects::open(&place).unwrap();
        assert_eq!(objects.list(LOG).unwrap(), [], "{name}");
    }
}

#[test]
fn a_read_past_the_end_is_damage() {
    let stub = Stub::start(Creates::Atomic);
    let objects = objects(&stub);
    objects.create(LOG, ID, &parts()).unwrap();
    // What begins behind the end is refused by the store itself.
    for range in [5..20, 10..12, 15..20] {
        let read = objects.read(LOG, ID, range);
        assert!(
            matches!(read, Err(SegmentError::Damaged { at: 10, .. })),
            "{read:?}"
        );
    }
}

#[test]
fn a_name_is_taken_although_what_took_it_is_not_shown_yet() {
    let stub = Stub::start(Creates::Atomic);
    let objects = objects(&stub);
    objects.create(LOG, ID, &parts()).unwrap();
    stub.inject(&[Fault::None, Fault::Hidden]);
    let other = [Bytes::from_static(b"other")];
    assert_eq!(objects.create(LOG, ID, &other), Err(SegmentError::Exists));
}

#[test]
fn a_name_that_is_taken_stays_what_it_was() {
    let stub = Stub::start(Creates::Atomic);
    let objects = objects(&stub);
    objects.create(LOG, ID, &parts()).unwrap();
    let other = [Bytes::from_static(b"some bytes more")];
    assert_eq!(objects.create(LOG, ID, &other), Err(SegmentError::Exists));
    assert_eq!(objects.read(LOG, ID, 0..10).unwrap(), "some bytes");
}

#[test]
fn a_busy_store_is_asked_again_until_it_answers() {
    let stub = Stub::start(Creates::Atomic);
    let objects = objects(&stub);
    stub.inject(&[Fault::Busy; 4]);
    objects.create(LOG, ID, &parts()).unwrap();
    stub.inject(&[Fault::Busy; 4]);
    assert_eq!(objects.read(LOG, ID, 0..4).unwrap(), "some");
}

#[test]
fn a_store_that_stays_busy_is_unavailable_after_five_tries() {
    let stub = Stub::start(Creates::Atomic);
    let objects = objects(&stub);
    stub.inject(&[Fault::Busy; 5]);
    let created = objects.create(LOG, ID, &parts());
    assert!(
        matches!(created, Err(SegmentError::Unavailable { .. })),
        "{created:?}"
    );
    assert_eq!(stub.requests(), 5);
    assert_eq!(objects.list(LOG).unwrap(), []);
}

#[test]
fn a_store_that_never_answers_is_asked_again_after_a_while() {
    let stub = Stub::start(Creates::Atomic);
    let objects = Objects::open(&Place {
        patience: Patience {
            request: Duration::from_millis(300),
            ..PATIENCE
        },
        ..place(stub.address)
    })
    .unwrap();
    stub.inject(&[Fault::Silence]);
    objects.create(LOG, ID, &parts()).unwrap();
    assert_eq!(objects.list(LOG).unwrap(), [ID]);
}

#[test]
fn a_create_whose_answer_was_lost_is_recognised_as_ours() {
    let stub = Stub::start(Creates::Atomic);
    let objects = objects(&stub);
    stub.inject(&[Fault::Lost]);
    objects.create(LOG, ID, &parts()).unwrap();
    assert_eq!(objects.read(LOG, ID, 0..10).unwrap(), "some bytes");
}

#[test]
fn a_store_that_nobody_serves_is_unavailable() {
    let stub = Stub::start(Creates::Atomic);
    let place = place(stub.address);
    drop(stub);
    let read = Objects::open(&place).unwrap().read(LOG, ID, 0..1);
    assert!(
        matches!(read, Err(SegmentError::Unavailable { .. })),
        "{read:?}"
    );
}

#[test]
fn the_self_check_passes_a_store_that_locks() {
    let stub = Stub::start(Creates::Atomic);
    assert_eq!(self_check(&objects(&stub), LOG, 64).unwrap(), []);
    assert_eq!(objects(&stub).list(LOG).unwrap(), [], "it cleans up");
}

#[test]
fn the_self_check_fails_a_store_that_looks_and_then_writes() {
    let stub = Stub::start(Creates::Racing);
    let findings = self_check(&objects(&stub), LOG, 64).unwrap();
    let is_race =
        |finding: &Finding| matches!(finding, Finding::Winners { winners, .. } if *winners > 1);
    assert!(findings.iter().any(is_race), "{findings:?}");
}

#[test]
fn a_directory_does_all_of_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place {
        url: format!("file://{}/segments", dir.path().display()),
        ..Place::default()
    };
    let objects = Objects::open(&place).unwrap();
    assert_eq!(self_check(&objects, LOG, 8).unwrap(), []);
    objects.create(LOG, ID, &parts()).unwrap();
    assert_eq!(objects.read(LOG, ID, 5..10).unwrap(), "bytes");
    let read = objects.read(LOG, ID, 5..20);
    assert!(
        matches!(read, Err(SegmentError::Damaged { .. })),
        "{read:?}"
    );
}

#[test]
fn what_is_no_place_is_refused_by_name() {
    for (url, says) in [
        ("segments", "\"segments\" is not a URL"),
        ("ftp://host/dir", "no object store for ftp:// in this build"),
    ] {
        let place = Place {
            url: url.into(),
            ..Place::default()
        };
        assert_eq!(Objects::open(&place).unwrap_err().to_string(), says);
    }
}
