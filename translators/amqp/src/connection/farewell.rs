//! Ending a connection from our side.

use std::time::Duration;

use fairlead_kernel::{Closed, ClosedReason};

use crate::codec::{Method, Payload, ShortStr, connection};
use crate::errors::{Refusal, ReplyCode};
use crate::transport::{Moved, Output, Reading, Transport};

/// How long a client may take to agree to the end before the socket is closed anyway: a few round
/// trips over a bad line. A process that goes away waits for the slowest of its clients.
const AGREE_MAX: Duration = Duration::from_secs(2);

/// Says goodbye with a reason and waits, for a while, until the client agrees.
///
/// `at` is the class and method that failed, or zeros.
pub(super) async fn farewell(
    transport: &mut Transport,
    out: &mut Output,
    refusal: &Refusal,
    at: (u16, u16),
) -> Closed {
    let close = connection::Close {
        reply_code: refusal.code.number(),
        reply_text: ShortStr::cut(&refusal.to_string()),
        class_id: at.0,
        method_id: at.1,
    };
    if out.method(0, close).is_ok() {
        // A client that does not agree in time is closed all the same.
        drop(tokio::time::timeout(AGREE_MAX, agreed(transport, out)).await);
    }
    Closed::because(reason_of(refusal.code), refusal.to_string())
}

fn reason_of(code: ReplyCode) -> ClosedReason {
    match code {
        ReplyCode::ConnectionForced => ClosedReason::Drained,
        ReplyCode::AccessRefused | ReplyCode::NotAllowed => ClosedReason::Refused,
        ReplyCode::InternalError => ClosedReason::Failed,
        ReplyCode::ContentTooLarge
        | ReplyCode::NoRoute
        | ReplyCode::NotFound
        | ReplyCode::ResourceLocked
        | ReplyCode::PreconditionFailed
        | ReplyCode::FrameError
        | ReplyCode::SyntaxError
        | ReplyCode::CommandInvalid
        | ReplyCode::ChannelError
        | ReplyCode::UnexpectedFrame
        | ReplyCode::NotImplemented => ClosedReason::Malformed,
    }
}

/// Ends when the client agrees or is gone; everything else that it still says is void.
async fn agreed(transport: &mut Transport, out: &mut Output) {
    let frame_max = out.frame_max;
    let mut is_finished = false;
    loop {
        match transport.frame(frame_max) {
            Ok(None) => {}
            Ok(Some(frame)) => {
                let Payload::Method(method) = frame.payload else {
                    continue;
                };
                if matches!(method, Method::ConnectionCloseOk(_)) {
                    return;
                }
                if matches!(method, Method::ConnectionClose(_)) {
                    // It had the same in mind, and may have heard our last word already.
                    if is_finished || out.method(0, connection::CloseOk {}).is_err() {
                        return;
                    }
                }
                continue;
            }
            // Nothing after a malformed frame can be understood: write our word and go.
            Err(_) => return drop(transport.drain(out).await),
        }
        // A client that overhears the goodbye still notices that the stream ends.
        if out.is_empty() && !is_finished {
            is_finished = true;
            if transport.finish().await.is_err() {
                return;
            }
        }
        if !matches!(
            transport.turn(out, Reading::Allowed).await,
            Ok(Moved::Read(_) | Moved::Written(_))
        ) {
            return;
        }
    }
}
