//! Pictures that are kept: sent once, asked about by their hash.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::answer::ImageBody;
use super::hear::whole;
use super::run::PROTOCOL;
use crate::app;
use crate::fault::{Fault, Result};
use crate::pictures::PictureHash;
use crate::statistics::Spent;

/// `PUT /v1/images`: takes a picture's file, and answers what it is called.
pub(super) async fn keep(State(app): State<Shared>, request: Request) -> Response {
    let account = app.account_of_none(PROTOCOL);
    let kept = async {
        let file = whole(&app, request.into_body()).await?;
        if file.is_empty() {
            return Err(Fault::bad("body", "a picture's file", "nothing").with_help("curl -T photo.jpg …/v1/images"));
        }
        let picture = app.pictures.take(file).await?;
        let status = if picture.decode.is_zero() { StatusCode::OK } else { StatusCode::CREATED };
        Ok((status, Json(ImageBody::of(&picture))))
    };
    let kept: Result<(StatusCode, Json<ImageBody>)> = kept.await;
    app::close(account, kept, |_| Spent::default()).into_response()
}

/// `HEAD /v1/images/{sha256}`: whether a picture is kept.
pub(super) async fn has(State(app): State<Shared>, Path(hash): Path<String>) -> Response {
    let has = PictureHash::parse(&hash).map(|hash| app.pictures.has(hash));
    accounted(&app, has.and_then(|has| if has { Ok(StatusCode::OK) } else { Err(absent(&hash)) }))
}

/// `DELETE /v1/images/{sha256}`: keeps a picture no longer.
pub(super) async fn forget(State(app): State<Shared>, Path(hash): Path<String>) -> Response {
    let forgotten = match PictureHash::parse(&hash) {
        Ok(parsed) if app.pictures.forget(parsed).await => Ok(StatusCode::NO_CONTENT),
        Ok(_) => Err(absent(&hash)),
        Err(fault) => Err(fault),
    };
    accounted(&app, forgotten)
}

fn accounted(app: &Shared, outcome: Result<StatusCode>) -> Response {
    app::close(app.account_of_none(PROTOCOL), outcome, |_| Spent::default()).into_response()
}

fn absent(hash: &str) -> Fault {
    Fault::not_found(format!("the picture {hash} is not held"))
}
