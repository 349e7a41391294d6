use std::sync::Arc;

use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_memory::Memory;
use tokio::sync::watch;

use super::*;

/// What task and session of a connection may take, in bytes: what is reached, as one that never rests has to have room in
/// a budget of 3 KiB for all of it. Of one that rests only the session is left.
const TASK_BYTES_MAX: usize = 1_352;

/// What the session alone may take: a size of the allocator, whose next is 896.
const SESSION_BYTES_MAX: usize = 768;

#[tokio::test]
async fn the_task_of_a_connection_is_small() {
    let store = Arc::new(Memory::new(1 << 20));
    let kernel = kernel(store, Arc::new(ManualClock::at(1))).await.unwrap();
    let (_begin, drain) = watch::channel(false);
    let (_near, far) = tokio::io::duplex(64);
    let place = Place {
        info: conn_info(1),
        kernel,
        settings: Arc::default(),
        census: Arc::default(),
    };
    let task = attend(
        Box::new(far),
        place,
        DrainWatch::new(drain),
        Duration::from_secs(1),
    );
    let session = size_of::<Session<Box<dyn Io>>>();
    assert!(session <= SESSION_BYTES_MAX, "{session} bytes");
    let bytes = size_of_val(&task) + session;
    assert!(bytes <= TASK_BYTES_MAX, "{bytes} bytes");
}
