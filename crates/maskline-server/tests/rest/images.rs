//! Pictures that are kept for later requests.

use super::client::{Call, get, post};
use super::running::{picture, shared};

#[test]
fn a_picture_is_sent_once_asked_about_and_forgotten() {
    let to = shared();
    let put = || Call::new("PUT", "/v1/images").body("image/png", picture(50)).answer(to);
    let kept = put().expect(201).json();
    assert_eq!((kept["width"].as_u64(), kept["height"].as_u64()), (Some(97), Some(61)));
    assert_eq!(put().expect(200).json(), kept);
    let path = format!("/v1/images/{}", kept["ref"].as_str().unwrap());
    Call::new("HEAD", &path).answer(to).expect(200);
    let ask = || post(&format!("/v1/embed?model=nano&image={}", kept["ref"].as_str().unwrap())).answer(to);
    ask().expect(200);
    Call::new("DELETE", &path).answer(to).expect(204);
    Call::new("DELETE", &path).answer(to).problem(404);
    Call::new("HEAD", &path).answer(to).expect(404);
    ask().problem(404);
    Call::new("HEAD", "/v1/images/abc").answer(to).expect(400);
    Call::new("PUT", "/v1/images").answer(to).problem(400);
    let method = get(&path).answer(to);
    assert_eq!(method.header("allow"), Some("HEAD,DELETE"));
    method.problem(405);
}
