use std::sync::Arc;

use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_memory::Memory;
use tokio::sync::watch;

use super::*;

/// What task and session of an idle connection may take, in bytes: what is reached, as a budget of 3 KiB for
/// all of a connection leaves no more.
const TASK_BYTES_MAX: usize = 1_184;

#[tokio::test]
async fn the_task_of_a_connection_is_small() {
    let store = Arc::new(Memory::new(1 << 20));
    let kernel = kernel(store, Arc::new(ManualClock::at(1))).await.unwrap();
    let (_begin, drain) = watch::channel(false);
    let (_near, far) = tokio::io::duplex(64);
    let conn = Conn {
        io: Box::new(far),
        info: conn_info(1),
        drain: DrainWatch::new(drain),
    };
    let task = serve(conn, kernel, Arc::default(), Arc::default());
    let bytes = size_of_val(&task) + size_of::<Session<Box<dyn Io>>>();
    assert!(bytes <= TASK_BYTES_MAX, "{bytes} bytes");
}
