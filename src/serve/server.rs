//! The server: one thread, beside the engine and never in its way.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::limits::{LimitedListener, Limits};
use super::routes::{Answers, Readiness, router};
use crate::error::{Error, Result};
use crate::telemetry::Metrics;

/// How long answers that are on their way may still take when the server is stopped.
const GRACE: Duration = Duration::from_secs(2);

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct ServerHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ServerHandle {
    /// Where it listens: the port that the system chose, if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, finishes the answers that are on their way, and ends.
    pub fn stop(self) {}
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the HTTP server has panicked");
        }
    }
}

/// Serves metrics and health at `listen`.
///
/// # Errors
/// When that address can't be listened at.
pub fn start(listen: SocketAddr, metrics: Arc<Metrics>, readiness: Arc<dyn Readiness>) -> Result<ServerHandle> {
    start_limited(listen, router(Answers { metrics, readiness }), Limits::default())
}

fn start_limited(listen: SocketAddr, router: Router, limits: Limits) -> Result<ServerHandle> {
    let failed = |error: std::io::Error| {
        Error::Stop(format!("http.listen: {listen}: can't be listened at: {error}; is another process there?"))
    };
    let listener = TcpListener::bind(listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("http".to_string())
        .spawn(move || serve(&runtime, listener, router, limits, stopped))
        .map_err(failed)?;
    Ok(ServerHandle { address, stop: Some(stop), thread: Some(thread) })
}

fn serve(runtime: &Runtime, listener: TcpListener, router: Router, limits: Limits, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => LimitedListener::new(listener, limits),
            Err(error) => return tracing::error!(%error, "the HTTP server can't start"),
        };
        let (drain, drained) = oneshot::channel::<()>();
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            drained.await.ok();
        });
        let server = tokio::spawn(async { server.await });
        // Both a message and the end of the sender say stop.
        stopped.await.ok();
        drop(drain);
        timeout(GRACE, server).await.ok();
    });
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::super::PipelineReadiness;
    use super::*;

    struct Pipelines(Mutex<Vec<PipelineReadiness>>);

    impl Readiness for Pipelines {
        fn pipelines(&self) -> Vec<PipelineReadiness> {
            self.0.lock().unwrap().clone()
        }
    }

    struct Fixture {
        server: ServerHandle,
        metrics: Arc<Metrics>,
        pipelines: Arc<Pipelines>,
    }

    fn fixture(limits: Limits) -> Fixture {
        let metrics = Arc::new(Metrics::new());
        let pipelines = Arc::new(Pipelines(Mutex::default()));
        let answers =
            Answers { metrics: Arc::clone(&metrics), readiness: Arc::clone(&pipelines) as Arc<dyn Readiness> };
        let server = start_limited(([127, 0, 0, 1], 0).into(), router(answers), limits).unwrap();
        Fixture { server, metrics, pipelines }
    }

    fn connect(fixture: &Fixture) -> TcpStream {
        let stream = TcpStream::connect(fixture.server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// (status, head, body)
    fn request(fixture: &Fixture, method: &str, path: &str) -> (u16, String, String) {
        let mut stream = connect(fixture);
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_string())
    }

    fn get_json(fixture: &Fixture, method: &str, path: &str) -> (u16, Value) {
        let (status, head, body) = request(fixture, method, path);
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn metrics_and_health() {
        let fixture = fixture(Limits::default());
        fixture.metrics.pipeline("flights").topic("planes").decoded(7, 70);
        let (status, head, body) = request(&fixture, "GET", "/metrics");
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert!(body.contains("kaflowsql_events_processed_total{pipeline=\"flights\",topic=\"planes\"} 7\n"), "{body}");
        assert_eq!(get_json(&fixture, "GET", "/livez"), (200, json!({"status": "ok"})));
        assert_eq!(get_json(&fixture, "GET", "/healthz?verbose"), (200, json!({"status": "ok"})));
        assert_eq!(get_json(&fixture, "GET", "/none"), (404, json!({"error": "there is nothing at /none"})));
        assert_eq!(get_json(&fixture, "POST", "/metrics"), (405, json!({"error": "/metrics does not take POST"})));
        assert_eq!(request(&fixture, "HEAD", "/livez").0, 200);
    }

    #[test]
    fn ready_once_all_pipelines_are() {
        let fixture = fixture(Limits::default());
        assert_eq!(get_json(&fixture, "GET", "/readyz"), (200, json!({"ready": true, "pipelines": []})));
        let pipeline = |name: &str, ready, reasons: &[&str]| PipelineReadiness {
            name: name.to_string(),
            ready,
            reasons: reasons.iter().map(ToString::to_string).collect(),
        };
        *fixture.pipelines.0.lock().unwrap() =
            vec![pipeline("a", true, &[]), pipeline("b", false, &["loading users: 1200 of 5000"])];
        let (status, body) = get_json(&fixture, "GET", "/readyz");
        let expected = json!({"ready": false, "pipelines": [
            {"name": "a", "ready": true, "reasons": []},
            {"name": "b", "ready": false, "reasons": ["loading users: 1200 of 5000"]},
        ]});
        assert_eq!((status, body), (503, expected));
        fixture.pipelines.0.lock().unwrap()[1].ready = true;
        assert_eq!(get_json(&fixture, "GET", "/readyz").0, 200);
    }

    #[test]
    fn one_connection_takes_many_requests() {
        let fixture = fixture(Limits::default());
        let mut stream = connect(&fixture);
        for _ in 0..3 {
            write!(stream, "GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"{\"status\":\"ok\"}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
        }
    }

    #[test]
    fn slow_clients_are_given_up() {
        let fixture = fixture(Limits { connections: 2, patience: Duration::from_millis(100) });
        let mut slow = [connect(&fixture), connect(&fixture)];
        slow[0].write_all(b"GET /livez HTTP/1.1\r\nHost: he").unwrap();
        // Both connections are taken: this one waits until a slow one is given up, and no longer.
        assert_eq!(request(&fixture, "GET", "/livez").0, 200);
        for stream in &mut slow {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
        }
    }

    #[test]
    fn a_request_without_end_is_refused() {
        let fixture = fixture(Limits::default());
        let mut stream = connect(&fixture);
        stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
        let header = format!("x: {}\r\n", "y".repeat(8_000));
        // The server closes long before; what it has not read makes the write or the read fail.
        let sent = (0..1_000).take_while(|_| stream.write_all(header.as_bytes()).is_ok()).count();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        assert!(sent < 1_000 || answer.starts_with(b"HTTP/1.1 4"), "{sent} headers taken");
        assert_eq!(request(&fixture, "GET", "/livez").0, 200);
    }

    #[test]
    fn it_stops_although_a_client_holds_on() {
        let fixture = fixture(Limits::default());
        let address = fixture.server.address();
        let mut idle = connect(&fixture);
        idle.write_all(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        idle.read_exact(&mut [0; 20]).unwrap();
        fixture.server.stop();
        assert!(TcpStream::connect(address).is_err());
        let taken = TcpListener::bind(address).unwrap();
        let metrics = Arc::new(Metrics::new());
        let error = start(address, metrics, fixture.pipelines).unwrap_err();
        let expected = format!("http.listen: {address}: can't be listened at: ");
        assert!(error.to_string().starts_with(&expected), "{error}");
        drop(taken);
    }
}
