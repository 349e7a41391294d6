//! A small S3: a map under a lock, over HTTP on a free port. It can be told to fail, and to be
//! broken the way real servers were.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_RANGE, ETAG, IF_NONE_MATCH, LAST_MODIFIED, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What happens to one request instead of being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it is answered.
    None,
    /// 404, whatever is there.
    Hidden,
    /// 503, and nothing is done.
    Busy,
    /// Nothing is done or said, for ever.
    Silence,
    /// It is done, and the connection ends without an answer.
    Lost,
}

/// Whether a create looks and writes under one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creates {
    Atomic,
    /// It looks, lets others look, and writes.
    Racing,
}

#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Debug)]
struct Shared {
    objects: Mutex<BTreeMap<String, Bytes>>,
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<u32>,
    creates: Creates,
}

type Answer = Response<Full<Bytes>>;

impl Stub {
    pub(crate) fn start(creates: Creates) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            objects: Mutex::default(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            creates,
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _runtime: runtime,
        }
    }

    /// The next requests meet these, one each.
    pub(crate) fn inject(&self, faults: &[Fault]) {
        self.shared.faults.lock().extend(faults);
    }

    /// How many requests have come so far.
    pub(crate) fn requests(&self) -> u32 {
        *self.shared.requests.lock()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket, Arc::clone(&shared)));
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let answer = service_fn(|request| answer(Arc::clone(&shared), request));
    // A connection that ends early is what some tests are about.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), answer)
            .await,
    );
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Answer> {
    *shared.requests.lock() += 1;
    let fault = shared.faults.lock().pop_front();
    match fault {
        Some(Fault::Busy) => Ok(status(StatusCode::SERVICE_UNAVAILABLE)),
        Some(Fault::Hidden) => Ok(status(StatusCode::NOT_FOUND)),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Lost) => {
            act(&shared, request).await.ok();
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(Fault::None) | None => Ok(act(&shared, request)
            .await
            .unwrap_or_else(|never| match never {})),
    }
}

async fn act(shared: &Shared, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    // /bucket/key
    let key = head.uri.path().split('/').skip(2).collect::<Vec<_>>();
    let key = key.join("/");
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    Ok(match head.method {
        Method::PUT => {
            let Ok(body) = body else {
                return Ok(status(StatusCode::BAD_REQUEST));
            };
            put(shared, key, body, header(IF_NONE_MATCH).is_some()).await
        }
        Method::GET if key.is_empty() => list(shared, head.uri.query().unwrap_or_default()),
        Method::GET | Method::HEAD => get(shared, &key, header(RANGE)),
        Method::DELETE => {
            shared.objects.lock().remove(&key);
            status(StatusCode::NO_CONTENT)
        }
        _ => status(StatusCode::NOT_IMPLEMENTED),
    })
}

async fn put(shared: &Shared, key: String, body: Bytes, is_create: bool) -> Answer {
    if shared.creates == Creates::Racing {
        let exists = shared.objects.lock().contains_key(&key);
        tokio::task::yield_now().await;
        if exists && is_create {
            return status(StatusCode::PRECONDITION_FAILED);
        }
        shared.objects.lock().insert(key, body);
        return written();
    }
    let mut objects = shared.objects.lock();
    if is_create && objects.contains_key(&key) {
        return status(StatusCode::PRECONDITION_FAILED);
    }
    objects.insert(key, body);
    written()
}

fn get(shared: &Shared, key: &str, range: Option<&str>) -> Answer {
    let objects = shared.objects.lock();
    let Some(object) = objects.get(key) else {
        return status(StatusCode::NOT_FOUND);
    };
    let bounds = range
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
        .and_then(|(from, to)| Some((from.parse().ok()?, to.parse::<usize>().ok()?)));
    let Some((from, to)) = bounds else {
        return with_meta(Response::new(Full::new(object.clone())));
    };
    if from >= object.len() {
        return status(StatusCode::RANGE_NOT_SATISFIABLE);
    }
    let end = object.len().min(to + 1);
    let mut response = Response::new(Full::new(object.slice(from..end)));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let told = format!("bytes {from}-{}/{}", end - 1, object.len());
    response
        .headers_mut()
        .insert(CONTENT_RANGE, told.parse().unwrap());
    with_meta(response)
}

fn list(shared: &Shared, query: &str) -> Answer {
    let prefix = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("prefix="))
        .unwrap_or_default()
        .replace("%2F", "/");
    let objects = shared.objects.lock();
    let row = |(key, object): (&String, &Bytes)| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"1\"</ETag><Size>{}</Size></Contents>",
            object.len()
        )
    };
    let rows = objects.iter().filter(|(key, _)| key.starts_with(&prefix));
    let rows: String = rows.map(row).collect();
    let xml =
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>");
    Response::new(Full::new(xml.into()))
}

fn written() -> Answer {
    with_meta(status(StatusCode::OK))
}

fn with_meta(mut response: Answer) -> Answer {
    let headers = response.headers_mut();
    headers.insert(ETAG, "\"1\"".parse().unwrap());
    let modified = "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap();
    headers.insert(LAST_MODIFIED, modified);
    response
}

fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
