//! What is answered.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use crate::telemetry::Metrics;

/// Knows whether pipelines process events, or what they wait for. Asked on the server's only thread, so an answer
/// must not wait.
pub trait Readiness: Send + Sync {
    /// Every pipeline of the process.
    fn pipelines(&self) -> Vec<PipelineReadiness>;
}

/// Whether a pipeline is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PipelineReadiness {
    /// Its name.
    pub name: String,
    /// Whether it processes events.
    pub ready: bool,
    /// What it waits for, for a person: `loading users: 1200 of 5000`.
    pub reasons: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Answers {
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<dyn Readiness>,
}

pub(super) fn router(answers: Answers) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(alive))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(answers)
}

async fn metrics(State(answers): State<Answers>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], answers.metrics.render()).into_response()
}

/// That there is an answer is the answer.
async fn alive() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

async fn ready(State(answers): State<Answers>) -> Response {
    let pipelines = answers.readiness.pipelines();
    let ready = pipelines.iter().all(|pipeline| pipeline.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "pipelines": pipelines }))).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let error = format!("there is nothing at {}", uri.path());
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let error = format!("{} does not take {method}", uri.path());
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": error }))).into_response()
}
