//! Pixels, masks and boxes: everything around the network that touches a picture.
//!
//! *In*: [`decode`] reads a file within limits, [`letterbox`] brings it to the network's input exactly as OpenCV does, [`fit`] as
//! the SAM family does.
//! *Out*: [`nms`] keeps the best boxes, [`mask`] turns low-resolution logits into bits and run lengths, [`grid`] is the geometry
//! of everything mode, [`draw`] paints the answer, [`mod@write`] saves it. An answer is a list of [`Object`]s in pixels of the
//! original picture.

pub mod crop;
pub mod decode;
pub mod draw;
mod error;
pub mod fit;
pub mod grid;
mod image;
pub mod letterbox;
pub mod limits;
pub mod look;
pub mod mask;
pub mod nms;
mod object;
pub mod resize;
pub mod write;

pub use error::{Error, ErrorKind, Result};
pub use image::{PixelFormat, RgbImage, Strided};
pub use mask::Mask;
pub use object::{Keypoint, Object, RotatedBox};
