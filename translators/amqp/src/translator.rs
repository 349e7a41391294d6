//! What the rest of the process sees of this protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use fairlead_canon::Origin;
use fairlead_kernel::{BoxFuture, Closed, Conn, Door, Kernel, Translator};

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
            },
            Door {
                port: 5671,
                is_tls: true,
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
