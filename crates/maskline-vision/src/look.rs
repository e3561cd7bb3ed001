//! One look of a small network at a picture: a frame of cells, the mean of the picture in each, and what is known of the object.
//!
//! A *window* is a rectangle of cells of one size, for boxes and for masks that are to be refined. A *fovea* has cells that grow with
//! the distance from a click, so that one look covers the whole picture, and an object of any size spans a similar number of them.
//! The reference is `training/nano/frames.py` and `prompts.py`; golden cases hold this code to it.

mod frame;
mod planes;
mod pyramid;

pub use frame::{Axis, Frame, Optics};
pub use planes::{Look, PLANES, Prior, Spot};
pub use pyramid::Pyramid;
