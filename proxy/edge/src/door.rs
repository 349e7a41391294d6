//! An accept loop.

use std::sync::Arc;
use std::time::Duration;

use rustix::net::listen;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::reception::{Post, Reception};

/// Clients that have connected and were not accepted yet, as far as the system allows it: a fleet
/// that comes back at once waits here.
const BACKLOG: i32 = 65_535;

/// Between an accept that failed and the next: a lack of files does not pass at once.
const PAUSE: Duration = Duration::from_millis(100);

/// One listening socket, and who receives its clients.
pub(crate) struct Door {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) post: Arc<Post>,
}

impl Door {
    /// Accepts until it is told to stop; every client gets a task of its own.
    pub(crate) async fn stand_open(
        self,
        reception: Arc<Reception>,
        mut stop: watch::Receiver<bool>,
    ) {
        let name = &self.post.name;
        let longer = listen(&self.listener, BACKLOG).map_err(std::io::Error::from);
        let listener = match longer.and_then(|()| TcpListener::from_std(self.listener)) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(listener = %name, %error, "cannot accept"),
        };
        loop {
            let accepted = tokio::select! {
                // Whoever holds the other end never drops it before he has said stop.
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, _)) => {
                    let reception = Arc::clone(&reception);
                    // Nobody waits for the task: the room that it takes says when it has ended.
                    drop(tokio::spawn(
                        reception.receive(Arc::clone(&self.post), socket),
                    ));
                }
                Err(error) => {
                    tracing::warn!(listener = %name, %error, "a client was not accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}
