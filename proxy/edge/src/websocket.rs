//! WebSocket frames as a byte stream: binary messages are cut and joined as it suits either side.

mod cut;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fairlead_canon::limits::BODY_BYTES_MAX;
use fairlead_ports::Io;
use futures_util::{Sink, Stream};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use self::cut::Cut;

/// A client behind WebSocket frames.
#[derive(Debug)]
pub(crate) struct WebSocket {
    frames: WebSocketStream<Cut<BufReader<Box<dyn Io>>>>,
    /// What is left of the message that is being read.
    rest: Bytes,
}

/// Why a client was not upgraded.
#[derive(Debug, Error)]
#[error("WebSocket handshake failed: {0}")]
pub(crate) struct NotUpgraded(#[source] Box<Error>);

/// The largest message: clients send a packet in one, so it holds the largest body and what a
/// protocol says around it.
const MESSAGE_BYTES_MAX: usize = BODY_BYTES_MAX + 1024 * 1024;

/// What a connection reads from its socket at once.
const READ_BYTES: usize = 2048;

/// What the library takes of that at once, and keeps room for; its own choice is 128 KiB.
const FRAME_READ_BYTES: usize = 512;

/// The largest frame that is written: what has been framed once is not taken back, and is copied.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// A client that does not read is not framed for beyond this.
const UNWRITTEN_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

impl WebSocket {
    /// Answers the client's request for one of these subprotocols; without one it is refused, and so is
    /// a web page of another origin than these, if there are any.
    pub(crate) async fn accept(
        io: Box<dyn Io>,
        subprotocols: &'static [&'static str],
        origins: &[String],
    ) -> Result<Self, NotUpgraded> {
        let config = WebSocketConfig::default()
            .read_buffer_size(FRAME_READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(UNWRITTEN_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let agree = Agree {
            subprotocols,
            origins: origins.into(),
        };
        let io = Cut::new(
            BufReader::with_capacity(READ_BYTES, io),
            MESSAGE_BYTES_MAX as u64,
        );
        let accepted = accept_hdr_async_with_config(io, agree, Some(config)).await;
        let mut frames = accepted.map_err(|error| NotUpgraded(Box::new(error)))?;
        // The library refuses what a client sends before it has been upgraded.
        frames.get_mut().begin();
        let rest = Bytes::new();
        Ok(Self { frames, rest })
    }
}

/// Chooses the subprotocol.
struct Agree {
    subprotocols: &'static [&'static str],
    origins: Box<[String]>,
}

impl Agree {
    /// Browsers say for which page they ask; who says nothing is no browser.
    fn is_welcome(&self, request: &Request) -> bool {
        let mut said = request.headers().get_all(header::ORIGIN).iter();
        let is_known = |origin: &HeaderValue| self.origins.iter().any(|known| known == origin);
        self.origins.is_empty() || said.all(is_known)
    }
}

fn refusal(status: StatusCode, why: String) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(why));
    *refusal.status_mut() = status;
    refusal
}

impl tokio_tungstenite::tungstenite::handshake::server::Callback for Agree {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        if !self.is_welcome(request) {
            let why = "not for pages of this origin\n".to_owned();
            return Err(refusal(StatusCode::FORBIDDEN, why));
        }
        let asked = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let mut asked = asked.iter().filter_map(|value| value.to_str().ok());
        let chosen = asked.find_map(|list| {
            let mut words = list.split(',').map(str::trim);
            words.find_map(|word| self.subprotocols.iter().find(|own| **own == word))
        });
        let Some(chosen) = chosen else {
            let known = self.subprotocols.join(" or ");
            let why = format!("ask for the subprotocol {known}\n");
            return Err(refusal(StatusCode::BAD_REQUEST, why));
        };
        let chosen = HeaderValue::from_static(chosen);
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
        Ok(response)
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.frames).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, "a text frame");
                    return Poll::Ready(Err(error));
                }
                // Pings are answered by the library; a single frame is never given out.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(as_io(error))),
            }
        }
        let len = self.rest.len().min(out.remaining());
        out.put_slice(&self.rest.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut frames = Pin::new(&mut self.frames);
        ready!(frames.as_mut().poll_ready(cx)).map_err(as_io)?;
        let part = bytes.get(..FRAME_BYTES_MAX).unwrap_or(bytes);
        let message = Message::Binary(Bytes::copy_from_slice(part));
        frames.start_send(message).map_err(as_io)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_flush(cx).map_err(as_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.frames).poll_close(cx)).map_err(as_io)?;
        Pin::new(self.frames.get_mut()).poll_shutdown(cx)
    }
}

fn as_io(error: Error) -> io::Error {
    if let Error::Io(error) = error {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}
