//! Who may ask, and from where pictures may be fetched.
//!
//! What every request passes, from the outside in: [`protect`] (pages of other origins, names that are not the server's, keys), then, over HTTP,
//! [`receive`] (the body, as far as there is room for it). A router is layered the other way round: `protect(router.layer(receive), …)`.

mod access;
mod address;
mod cors;
mod fetch;
mod host;
mod protect;
mod receive;
mod refusal;
#[cfg(test)]
mod testing;
mod tls;
mod trusted;

pub use access::{Access, Key};
pub use fetch::FetchRules;
pub use tls::Tls;

pub(crate) use access::is_readable_by_others;
pub(crate) use fetch::fetch;
pub(crate) use protect::{Side, protect};
pub(crate) use receive::{Room, receive};
pub(crate) use trusted::{Called, Errand, Origin, ask_for_token, fetch_trusted};
