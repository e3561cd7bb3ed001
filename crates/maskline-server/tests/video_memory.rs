//! What sessions leave behind, in a process of its own.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

#[path = "rest/client.rs"]
mod client;
#[path = "video/clip.rs"]
mod clip;
#[path = "rest/running.rs"]
mod running;

use client::get;
use clip::{Session, frame, objects, shared};
use serde_json::json;

/// Bytes that the process holds, where the system tells.
fn resident(to: std::net::SocketAddr) -> u64 {
    get("/v1/server").answer(to).expect(200).json()["memory"]["resident"].as_u64().unwrap_or_default()
}

#[test]
fn a_hundred_sessions_opened_and_closed_leave_nothing_behind() {
    let to = shared();
    let round = || {
        let session = Session::new(to);
        session.give_file(frame(0), "").expect(200);
        objects(session.say(&json!({"object": 1, "box": [8, 18, 32, 42]})));
        session.give_file(frame(1), "?masks=false").expect(200);
    };
    (0..30).for_each(|_| round());
    let before = resident(to);
    (0..100).for_each(|_| round());
    let grown = resident(to).saturating_sub(before);
    // Each of them held more than 100 KiB.
    assert!(grown < 5 << 20, "{} KiB more", grown >> 10);
}
