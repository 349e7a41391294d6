//! Log files that are used again.

use std::path::{Path, PathBuf};

use fairlead_canon::{Kind, Promise, Timestamp};
use fairlead_ports::{Lsn, Op, Unit};
use fairlead_testkit::make::{A, append, create, message};

use super::Inline;
use crate::frame::{Header, Salt};
use crate::log_file::{FileHeader, LogFile};
use crate::lsn::{FileNo, PAGE, PAGE_BYTES, at, file_of};
use crate::pool::Filled;
use crate::scan::whole;
use crate::superblock::{Epoch, LogId};
use crate::vfs::Vfs;
use crate::vfs::sim::{Loss, SimFs};
use crate::window::Window;

const DIR: &str = "data/wal";
const LOG: LogId = LogId([7; 16]);
const BYTES: u64 = 64 * 1024;

fn header(number: u64) -> FileHeader {
    FileHeader {
        log: LOG,
        number: FileNo(number),
        salt: Salt(number * 1_000),
        epoch: Epoch(1),
        prepared: Timestamp(1),
    }
}

fn prepared(fs: &SimFs, number: u64) -> LogFile {
    LogFile::prepare(fs, Path::new(DIR), &header(number), BYTES).unwrap()
}

/// Fills a file with frames of one page each, as the log would.
fn fill(file: &LogFile) {
    for position in (PAGE..BYTES).step_by(PAGE_BYTES) {
        let lsn = at(file.number, position);
        let mut frame = frame(lsn);
        file.file
            .write_at(position, &[&frame.seal(file.salt, &[])])
            .unwrap();
    }
    file.file.sync().unwrap();
}

fn frame(lsn: Lsn) -> Header {
    Header {
        len: 64,
        crc: 0,
        previous_crc: 0,
        lsn,
        previous: Lsn(0),
        epoch: Epoch(1),
        wall: Timestamp(1),
        records: 0,
        flags: 0,
        synced: lsn,
    }
}

fn frames(file: &LogFile) -> usize {
    let mut window = Window::new(file);
    let places = (PAGE..BYTES).step_by(PAGE_BYTES);
    let is_whole = |position: &u64| whole(&mut window, file, *position).unwrap().is_some();
    places.filter(is_whole).count()
}

#[test]
fn nothing_of_a_former_life_of_a_file_is_a_frame_of_it() {
    let fs = SimFs::default();
    let file = prepared(&fs, 1);
    fill(&file);
    assert_eq!(frames(&file), 15);
    let file = file.recycle(&fs, Path::new(DIR), &header(2)).unwrap();
    assert_eq!(frames(&file), 0);
}

#[test]
pub(super) fn a_frame_that_was_forged_for_its_place_is_none_without_the_salt_of_the_file() {
    let fs = SimFs::default();
    let file = prepared(&fs, 2);
    // What somebody can write who sees every byte of a body and guesses where it will lie.
    let forged = frame(at(FileNo(2), PAGE)).seal(Salt(1_000), &[]);
    file.file.write_at(PAGE, &[&forged]).unwrap();
    assert_eq!(frames(&file), 0);
    let real = frame(at(FileNo(2), PAGE)).seal(file.salt, &[]);
    file.file.write_at(PAGE, &[&real]).unwrap();
    assert_eq!(frames(&file), 1);
}

#[test]
fn a_crash_while_a_file_is_recycled_leaves_no_file_under_a_name_that_is_not_its_own() {
    let whole = SimFs::default();
    let file = prepared(&whole, 1);
    let before = whole.operations();
    file.recycle(&whole, Path::new(DIR), &header(2)).unwrap();
    for crash_at in before + 1..=whole.operations() {
        let fs = SimFs::default();
        let file = prepared(&fs, 1);
        fs.fail_at(crash_at);
        assert!(file.recycle(&fs, Path::new(DIR), &header(2)).is_err());
        for loss in [
            Loss::All,
            Loss::Nothing,
            Loss::Some(crash_at),
            Loss::Torn(crash_at),
        ] {
            let survivor = fs.after_crash(loss);
            for name in survivor.list(Path::new(DIR)).unwrap() {
                let Some(number) = FileNo::of_name(&name) else {
                    continue;
                };
                let file = LogFile::open(&survivor, Path::new(DIR), number, LOG).unwrap();
                assert!(file.is_some(), "crash at {crash_at}, {loss:?}: {name}");
            }
        }
    }
}

fn durable(ops: Vec<Op>) -> Unit {
    Unit {
        ops: ops.into(),
        promise: Promise::Durable,
    }
}

fn names(fs: &SimFs) -> Vec<String> {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|end| end == "wal");
    let name = |path: PathBuf| {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        stem.strip_prefix("000000000000").unwrap().to_owned()
    };
    fs.paths().into_iter().filter(is_log).map(name).collect()
}

/// Commits until the log has come to this file, and prepares what follows.
fn turn_to(store: &mut Inline, number: u64) {
    while file_of(store.wal.synced()) < FileNo(number) {
        let ops = vec![append(A, message(vec![1; 30_000]))];
        store.commit(durable(ops)).unwrap();
    }
    while store.pool.fill().unwrap() == Filled::More {}
}

#[test]
fn a_released_file_gets_the_next_number_when_its_last_reader_has_finished() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.commit(durable(vec![create(A, Kind::Log)])).unwrap();
    turn_to(&mut store, 2);
    assert_eq!(names(&fs), ["0001", "0002", "0003", "0004"]);
    let reader = store.files.get(FileNo(1)).unwrap();
    store.pool.release(FileNo(1));
    assert!(
        store.files.get(FileNo(1)).is_none(),
        "nobody begins to read it"
    );
    turn_to(&mut store, 3);
    assert_eq!(names(&fs), ["0001", "0002", "0003", "0004", "0005"]);
    drop(reader);
    turn_to(&mut store, 4);
    assert_eq!(names(&fs), ["0002", "0003", "0004", "0005", "0006"]);
}

#[test]
fn a_log_that_has_shrunk_gives_files_back() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.commit(durable(vec![create(A, Kind::Log)])).unwrap();
    turn_to(&mut store, 9);
    assert_eq!(names(&fs).len(), 11);
    (1..9).for_each(|number| store.pool.release(FileNo(number)));
    while store.pool.fill().unwrap() == Filled::More {}
    assert_eq!(
        names(&fs).len(),
        7,
        "the current one, two ready and four spare"
    );
}

#[test]
fn a_log_that_has_shrunk_on_a_short_disk_keeps_none_to_be_used_again() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.commit(durable(vec![create(A, Kind::Log)])).unwrap();
    turn_to(&mut store, 9);
    (1..9).for_each(|number| store.pool.release(FileNo(number)));
    fs.set_free(0);
    store.pool.space.look(false);
    assert!(store.pool.space.is_short());
    while store.pool.fill().unwrap() == Filled::More {}
    assert_eq!(names(&fs).len(), 3, "the current one and two ready");
}
