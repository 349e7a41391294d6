//! Asking the running node, through its admin page.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use fairlead_edge::Token;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::address;
use crate::cli::Home;
use crate::config::Config;
use crate::exit::Failure;

/// A node that does not answer within this time is not well.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// From one look at what takes long to the next: at first, and at most.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

/// The largest answer: a page of a thousand streams is far below it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A node and the right to change it.
pub(crate) struct Node {
    address: SocketAddr,
    token: Token,
    runtime: Runtime,
    patience: Duration,
}

impl Node {
    /// The node that runs on the data directory that is meant.
    pub(crate) fn of(home: &Home) -> Result<Self, Failure> {
        let data_dir = match &home.data_dir {
            Some(data_dir) => data_dir.clone(),
            None => Config::load(home)?.data_dir,
        };
        let nobody = || {
            format!(
                "no node has run on {}: start it with `fairlead serve`",
                data_dir.display()
            )
        };
        Ok(Self {
            address: address::read(&data_dir).map_err(Failure::of(nobody()))?,
            token: Token::read(&data_dir).map_err(Failure::of(nobody()))?,
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Failure::of("cannot start"))?,
            patience: ANSWER_TIME,
        })
    }

    /// Waits so long for each answer.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The answer to one request; one without a body is `Null`. Refusals are failures.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let answer = self.in_time(self.answer(method, path, body));
        self.runtime.block_on(answer)
    }

    /// The answer to a request that takes as long as it takes. Meanwhile the node is asked at `look` how
    /// far that is, and `tell` is told: less and less often.
    pub(crate) fn ask_long(
        &self,
        (method, path, body): (Method, &str, Vec<u8>),
        look: &str,
        tell: impl Fn(&Value),
    ) -> Result<Value, Failure> {
        let [mut pause, longest] = LOOK_EVERY;
        self.runtime.block_on(async {
            let mut answer = pin!(self.answer(method, path, body));
            loop {
                tokio::select! {
                    answer = &mut answer => return answer,
                    () = sleep(pause) => {}
                }
                let seen = self.answer(Method::GET, look, Vec::new());
                tell(&self.in_time(seen).await?);
                pause = longest.min(pause * 2);
            }
        })
    }

    async fn in_time(
        &self,
        answer: impl Future<Output = Result<Value, Failure>>,
    ) -> Result<Value, Failure> {
        let what = format!("the node at {} does not answer", self.address);
        let answer = timeout(self.patience, answer).await;
        answer.map_err(Failure::of(what))?
    }

    async fn answer(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token.reveal()))
            .body(Full::new(Bytes::from(body)))
            .map_err(Failure::of("not a request"))?;
        let response = self.send(request).await?;
        let value = match response.body().as_ref() {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(Failure::of("not the admin page"))?,
        };
        if response.status().is_success() {
            return Ok(value);
        }
        let why = value.get("error").and_then(Value::as_str);
        Err(Failure::Refused(
            why.unwrap_or(response.status().as_str()).to_owned(),
        ))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failure> {
        let what = format!("no node answers at {}", self.address);
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(Failure::of(what))?;
        let failed = || Failure::of("the node does not speak HTTP");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed())?;
        let connection = tokio::spawn(connection);
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed()(error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(Failure::of("the answer broke off"))?;
        connection.abort();
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}
