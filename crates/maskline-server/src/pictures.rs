//! Pictures: decoded once, kept by the hash of their file, so that the next question about one need not send it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maskline::Image;
use maskline::vision::decode::DecodeOptions;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::fault::{Fault, Reason, Result};
use crate::options::Limits;

/// The SHA-256 of a picture's file, as `sha256sum` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PictureHash([u8; 32]);

impl PictureHash {
    /// Of a file's content.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Fault::bad(
                "picture's hash",
                "64 hexadecimal digits (SHA-256 of the file)",
                format!("`{}`", text.escape_debug().take(80).collect::<String>()),
            )
        };
        let mut hash = [0; 32];
        let pairs = text.as_bytes().chunks_exact(2);
        if text.len() != 2 * hash.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            *byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
        }
        Ok(Self(hash))
    }
}

impl std::fmt::Display for PictureHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A picture and its hash.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) hash: PictureHash,
    pub(crate) image: Arc<Image>,
    /// What decoding took; nothing where it was there.
    pub(crate) decode: Duration,
    /// Waiting for memory, for a core to decode it, for another request that was decoding it.
    pub(crate) waited: Duration,
    /// Keeps a part of the memory for pictures that are under way.
    _room: Arc<OwnedSemaphorePermit>,
}

/// The pictures of the last requests.
pub(crate) struct Pictures {
    kept: Cache<PictureHash, Arc<Image>>,
    /// KiB for what is under way: bodies and decoded pictures.
    room: Arc<Semaphore>,
    all_room: u32,
    /// Decoding takes a core.
    decoding: Arc<Semaphore>,
    /// So does writing files, which leaves some to those who ask models.
    writing: Arc<Semaphore>,
    pixels: u64,
}

const KIB: u64 = 1 << 10;
/// Room is waited for no longer: whoever waits holds room himself.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Pictures {
    pub(crate) fn new(limits: &Limits) -> Self {
        let kib = |bytes: usize| u32::try_from(bytes as u64 / KIB).unwrap_or(u32::MAX).min(u32::MAX / 4);
        let weigh = |_: &PictureHash, image: &Arc<Image>| u32::try_from(pixel_bytes(image.size()) / KIB + 1).unwrap_or(u32::MAX);
        let kept = Cache::builder().max_capacity(u64::from(kib(limits.pictures))).weigher(weigh).build();
        let all_room = kib(limits.memory).max(1);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (room, decoding) = (Arc::new(Semaphore::new(all_room as usize)), Arc::new(Semaphore::new(cores)));
        let writing = Arc::new(Semaphore::new((cores / 2).max(1)));
        Self { kept, room, all_room, decoding, writing, pixels: limits.pixels }
    }

    /// Room for so many bytes that are under way, as long as it is held.
    ///
    /// # Errors
    /// `TooLarge` for more than there is at all; `Busy` if others hold too much.
    pub(crate) async fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes / KIB + 1).ok().filter(|wanted| *wanted <= self.all_room);
        let wanted = wanted
            .ok_or_else(|| Fault::over("request", format!("{} MiB under way", self.all_room / 1024), format!("{} MiB", bytes >> 20)))?;
        let busy = || {
            let error = maskline::Error::new(maskline::ErrorKind::Busy, "the requests under way hold all memory that is meant for them");
            Fault::new(Reason::Busy, error.with_help("ask again in a moment, or start the server with a larger --request-memory"))
        };
        match tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.room).acquire_many_owned(wanted)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }

    /// A core for writing files, as long as it is held.
    ///
    /// # Errors
    /// `Failed`, should the server be at its end.
    pub(crate) async fn core(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.writing).acquire_owned().await.map_err(|_| crate::app::panicked("the server's writer"))
    }

    /// The picture of a file's content: decoded, unless it is kept.
    ///
    /// # Errors
    /// `BadRequest` for what is no picture, `TooLarge`, `Busy`.
    pub(crate) async fn take(&self, file: Bytes) -> Result<Picture> {
        let hash = hash_of(&file).await?;
        let size = maskline::vision::decode::size_in_header(&file).map_err(maskline::Error::from)?;
        self.check(size)?;
        let begun = Instant::now();
        let room = Arc::new(self.room(pixel_bytes(size)).await?);
        let options = DecodeOptions { max_pixels: self.pixels, ..DecodeOptions::default() };
        let mut decode = Duration::ZERO;
        let decoding = async {
            let turn = Arc::clone(&self.decoding).acquire_owned().await;
            let decoded = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                Image::from_bytes(&file, &options)
            });
            let panicked = |_| maskline::Error::new(maskline::ErrorKind::Failed, "decoding the picture panicked");
            let image = decoded.await.unwrap_or_else(|error| Err(panicked(error)))?;
            decode = image.decode_time();
            Ok::<_, maskline::Error>(Arc::new(image.held()))
        };
        let kept = self.kept.try_get_with(hash, decoding).await;
        let image = kept.map_err(|error| Fault::from(maskline::Error::clone(&error)))?;
        Ok(Picture { hash, image, decode, waited: begun.elapsed().saturating_sub(decode), _room: room })
    }

    /// A picture that is kept.
    ///
    /// # Errors
    /// `NotFound` where it is not; `Busy`.
    pub(crate) async fn held(&self, hash: PictureHash) -> Result<Picture> {
        let Some(image) = self.kept.get(&hash).await else {
            return Err(Fault::not_found(format!("the picture {hash} is not held")).with_help("send it again: its answer names the hash"));
        };
        let begun = Instant::now();
        let room = Arc::new(self.room(pixel_bytes(image.size())).await?);
        Ok(Picture { hash, image, decode: Duration::ZERO, waited: begun.elapsed(), _room: room })
    }

    /// Keeps a picture no longer; whether it was kept.
    pub(crate) async fn forget(&self, hash: PictureHash) -> bool {
        self.kept.remove(&hash).await.is_some()
    }

    /// Whether a picture is kept.
    pub(crate) fn has(&self, hash: PictureHash) -> bool {
        self.kept.contains_key(&hash)
    }

    /// Bytes of the pictures that are kept, with those of the last moment.
    pub(crate) async fn settled_bytes(&self) -> u64 {
        self.kept.run_pending_tasks().await;
        self.bytes()
    }

    /// Bytes of the pictures that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.weighted_size() * KIB
    }

    fn check(&self, size: (usize, usize)) -> Result<()> {
        let pixels = (size.0 as u64).saturating_mul(size.1 as u64);
        if pixels <= self.pixels {
            return Ok(());
        }
        let fault = Fault::over("picture", format!("{} pixels", self.pixels), format!("{} × {}", size.0, size.1));
        Err(fault.with_help("send a smaller picture, or start the server with a larger --max-pixels"))
    }

    /// Refuses to promise that a picture is kept which is larger than all that is kept together.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn check_kept(&self, size: (usize, usize)) -> Result<()> {
        let most = self.kept.policy().max_capacity().unwrap_or(u64::MAX).saturating_mul(KIB);
        if pixel_bytes(size) < most {
            return Ok(());
        }
        let (most, found) = (format!("{} MiB of decoded pictures", most >> 20), format!("{} × {}", size.0, size.1));
        let fault = Fault::over("picture to be kept", most, found);
        Err(fault.with_help("send it with each question, or start the server with a larger --picture-cache"))
    }
}

/// Files up to this size are hashed where they are: another thread costs more.
const SMALL: usize = 256 << 10;

/// The hash of a file's content. Of a large one it takes many milliseconds, which no other connection is to wait for.
async fn hash_of(file: &Bytes) -> Result<PictureHash> {
    if file.len() <= SMALL {
        return Ok(PictureHash::of(file));
    }
    let file = file.clone();
    tokio::task::spawn_blocking(move || PictureHash::of(&file)).await.map_err(|_| crate::app::panicked("hashing the picture"))
}

/// Bytes of a decoded picture.
fn pixel_bytes(size: (usize, usize)) -> u64 {
    (size.0 as u64).saturating_mul(size.1 as u64).saturating_mul(3)
}
