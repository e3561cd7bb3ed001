//! Pictures as requests give them.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use maskline::{Error, ErrorKind};

use super::ask::{AddressBody, FileBody, HeldBody, PictureBody};
use crate::app::{App, panicked};
use crate::fault::{Fault, Reason, Result};
use crate::pictures::{Picture, PictureHash};

/// Where a picture comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Its file.
    File(Bytes),
    /// Its file as base64, or a data URI.
    Base64(String),
    /// Sent before.
    Held(PictureHash),
    /// To be fetched.
    Address(String),
}

impl Source {
    /// From what JSON says.
    ///
    /// # Errors
    /// `BadRequest` for text that is none of it.
    pub(super) fn of(body: PictureBody) -> Result<Self> {
        match body {
            PictureBody::File(FileBody { base64 }) => Ok(Self::Base64(base64)),
            PictureBody::Held(HeldBody { reference }) => PictureHash::parse(&reference).map(Self::Held),
            PictureBody::Address(AddressBody { url }) => Ok(Self::Address(url)),
            PictureBody::Text(text) => Self::of_text(text),
        }
    }

    /// From text: a data URI, a hash, or an address.
    ///
    /// # Errors
    /// As [`Source::of`].
    pub(crate) fn of_text(text: String) -> Result<Self> {
        if text.starts_with("data:") {
            return Ok(Self::Base64(text));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Address(text));
        }
        let help =
            "send the file (curl: -F image=@photo.jpg), its base64 as a data URI, the hash of one that was sent before, or an address";
        PictureHash::parse(&text).map(Self::Held).map_err(|fault| fault.with_help(help))
    }

    /// The picture, decoded.
    ///
    /// # Errors
    /// `BadRequest` for what is no picture, `NotFound` for one that is not held, `Forbidden` for an address from which nothing is fetched;
    /// `TooLarge`, `Busy`.
    pub(crate) async fn picture(self, app: &App) -> Result<Picture> {
        match self {
            Self::File(file) => app.pictures.take(file).await,
            Self::Base64(text) => {
                let most = app.limits().body;
                app.pictures.take(heavy(text.len(), move || decoded(&text, most)).await??.into()).await
            }
            Self::Held(hash) => app.pictures.held(hash).await,
            Self::Address(url) => app.pictures.take(fetched(app, &url).await?).await,
        }
    }
}

/// The file at an address.
async fn fetched(app: &App, url: &str) -> Result<Bytes> {
    let closed = || {
        let error = Error::new(ErrorKind::BadInput, "pictures are not fetched from addresses here");
        Fault::new(Reason::Forbidden, error.with_help("send the file itself, or start the server with --fetch-from HOST"))
    };
    let rules = app.options.fetch.as_ref().ok_or_else(closed)?;
    let _room = app.pictures.room(rules.bytes as u64).await?;
    crate::guard::fetch(rules, url).await
}

/// Work on fewer bytes than these is done where it is: another thread costs more.
const SMALL: usize = 256 << 10;

/// Does work on so many bytes, away from the threads that serve connections where it is much.
///
/// # Errors
/// `Failed` if it panicked.
pub(crate) async fn heavy<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if bytes <= SMALL {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| panicked("the request"))
}

/// With or without padding.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The bytes of base64 or of a data URI, of which there are at most so many.
///
/// # Errors
/// `TooLarge`, `BadRequest`.
pub(crate) fn decoded(text: &str, most: usize) -> Result<Vec<u8>> {
    let text = match text.strip_prefix("data:") {
        Some(uri) => uri.split_once(";base64,").map(|(_, data)| data).ok_or_else(|| Fault::bad("data URI", "`;base64,`", "none"))?,
        None => text,
    };
    if text.len() / 4 > most / 3 {
        return Err(Fault::over("base64", format!("{most} bytes"), format!("{} characters", text.len())));
    }
    let decode = |text: &[u8]| BASE64.decode(text).map_err(|error| Fault::bad("base64", "a file as base64", error));
    // As `base64` prints it, in lines.
    if text.bytes().any(|letter| letter.is_ascii_whitespace()) {
        return decode(&text.bytes().filter(|letter| !letter.is_ascii_whitespace()).collect::<Vec<u8>>());
    }
    decode(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_lines_without_padding_and_as_a_data_uri() {
        for text in ["bWFzaw==", "bWFzaw", "bWFz\naw==\n", "data:image/png;base64,bWFzaw=="] {
            assert_eq!(decoded(text, 100).expect("base64"), b"mask", "{text}");
        }
        assert_eq!(decoded("b*", 100).expect_err("no base64").reason, Reason::BadRequest);
        assert_eq!(decoded("data:image/png,abc", 100).expect_err("no base64").reason, Reason::BadRequest);
        assert_eq!(decoded(&"bWFz".repeat(100), 100).expect_err("too long").reason, Reason::TooLarge);
    }

    #[test]
    fn text_is_a_hash_a_data_uri_or_an_address() {
        let of = |text: &str| Source::of_text(text.into());
        assert!(matches!(of(&"0a".repeat(32)), Ok(Source::Held(_))));
        assert!(matches!(of("https://example.org/a.jpg"), Ok(Source::Address(_))));
        assert!(matches!(of("data:,"), Ok(Source::Base64(_))));
        assert!(of("photo.jpg").is_err_and(|fault| fault.error.help().is_some_and(|help| help.contains("-F image=@"))));
    }
}
