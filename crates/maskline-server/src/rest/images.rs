//! Pictures that are kept: sent once, asked about by their hash.

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maskline::vision::resize::{Resampling, resize};
use maskline::vision::write::{PictureFormat, encode_picture};
use maskline::{Error, ErrorKind, vision};
use serde::Deserialize;

use super::Shared;
use super::answer::ImageBody;
use super::format::{Format, accepted, not_acceptable};
use super::hear::whole;
use super::run::{PROTOCOL, within};
use super::source::heavy;
use crate::app::{self, App};
use crate::fault::{Fault, Result};
use crate::pictures::{Picture, PictureHash};
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
        app.pictures.check_kept(picture.image.size())?;
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

/// `GET /v1/images/{sha256}`: the picture as it was decoded, for whom its file is none that he can show.
pub(super) async fn shown(State(app): State<Shared>, Path(hash): Path<String>, request: Request) -> Response {
    let account = app.account_of_none(PROTOCOL);
    let shown = within(app.deadline(None), pictured(&app, &hash, request)).await;
    app::close(account, shown, |_| Spent::default()).into_response()
}

/// How a picture is wished.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownQuery {
    /// Most pixels of the longer side.
    side: Option<usize>,
}

/// Lossless pictures, and others.
const PICTURES: [(Format, PictureFormat); 2] = [(Format::Jpg, PictureFormat::Jpeg { quality: 92 }), (Format::Png, PictureFormat::Png)];
/// What is called by the hash of its file does not change; but not everybody may see it.
const KEPT: HeaderValue = HeaderValue::from_static("private, max-age=86400");

async fn pictured(app: &App, hash: &str, request: Request) -> Result<impl IntoResponse + use<>> {
    let Query(ShownQuery { side }) = Query::try_from_uri(request.uri())
        .map_err(|error| Fault::bad("query string", "`side`, the most pixels of the longer side", error.body_text()))?;
    if side == Some(0) {
        return Err(Fault::bad("side", "1 pixel or more", 0));
    }
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    let formats = PICTURES.map(|(format, _)| format);
    let (format, _) = accepted(accept, &formats).ok_or_else(|| not_acceptable("Accept".into(), &formats))?;
    let picture = app.pictures.held(PictureHash::parse(hash)?).await?;
    let (width, height) = picture.image.size();
    // The scaled picture, and its file, which may be no smaller.
    let room = app.pictures.room(2 * 3 * width as u64 * height as u64).await?;
    let core = app.pictures.core().await?;
    let bytes = heavy(usize::MAX, move || {
        let _held = (room, core);
        let as_file = PICTURES.iter().find(|(known, _)| *known == format).map_or(PictureFormat::Png, |(_, format)| *format);
        encoded(&picture, side, as_file)
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media())),
        (header::CACHE_CONTROL, KEPT),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    Ok((headers, bytes.await??))
}

/// The picture as a file, scaled down where its longer side is above what is wished.
fn encoded(picture: &Picture, side: Option<usize>, format: PictureFormat) -> Result<Vec<u8>> {
    let (width, height) = picture.image.size();
    let longer = width.max(height);
    let unfit = |error: vision::Error| Error::new(ErrorKind::OverLimit, error.to_string());
    let bytes = match side.filter(|side| *side < longer) {
        Some(side) => {
            let scaled = |length: usize| ((length as f64 * side as f64 / longer as f64).round() as usize).max(1);
            let small = resize(picture.image.pixels(), Resampling::PILLOW_BILINEAR, (scaled(width), scaled(height))).map_err(unfit)?;
            encode_picture(&small, format)
        }
        None => encode_picture(picture.image.pixels(), format),
    };
    Ok(bytes.map_err(unfit)?)
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
