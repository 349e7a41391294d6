//! What the rest of the process sees of this protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use fairlead_canon::Origin;
use fairlead_kernel::{BoxFuture, Carrier, Closed, Conn, Door, Kernel, Translator};

use crate::connection::serve;
use crate::{NAME, ORIGIN};

/// AMQP 0-9-1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amqp;

impl Translator for Amqp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn origin(&self) -> Origin {
        ORIGIN
    }

    fn doors(&self) -> &'static [Door] {
        &[
            Door {
                port: 5672,
                is_tls: false,
                carrier: Carrier::Stream,
            },
            Door {
                port: 5671,
                is_tls: true,
                carrier: Carrier::Stream,
            },
        ]
    }

    fn example(&self, at: SocketAddr) -> String {
        format!(
            "amqp-publish --url=amqp://{at} --exchange=amq.topic --routing-key=demo.hello --body=hello"
        )
    }

    fn serve(&self, conn: Conn, kernel: Arc<Kernel>) -> BoxFuture<'static, Closed> {
        Box::pin(serve(conn, kernel))
    }
}

#[cfg(test)]
mod tests {
    use fairlead_kernel::DrainWatch;
    use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
    use fairlead_memory::Memory;

    use super::*;

    /// What an idle connection costs beside its socket and its caller.
    #[tokio::test]
    async fn a_connection_is_a_small_future() {
        let store = Arc::new(Memory::new(1 << 20));
        let kernel = kernel(store, Arc::new(ManualClock::at(0))).await.unwrap();
        let (io, _far) = tokio::io::duplex(64);
        let (_drain, flag) = tokio::sync::watch::channel(false);
        let conn = Conn {
            io: Box::new(io),
            info: conn_info(1),
            drain: DrainWatch::new(flag),
        };
        let bytes = size_of_val(&serve(conn, kernel));
        assert!(bytes <= 1536, "{bytes} bytes");
    }
}
