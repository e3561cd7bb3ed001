//! Pictures that are kept for later requests.

use maskline::vision::decode::{DecodeOptions, decode};

use super::client::{Call, get, post};
use super::running::{picture, picture_of, shared};

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
    get(&path).answer(to).problem(404);
    let method = post(&path).answer(to);
    assert!(["HEAD", "GET", "DELETE"].iter().all(|method_of| method.header("allow").is_some_and(|all| all.contains(method_of))));
    method.problem(405);
}

#[test]
fn a_picture_is_shown_as_it_was_decoded_and_smaller_where_that_is_wished() {
    let to = shared();
    let file = picture_of((100, 63), 51);
    let kept = Call::new("PUT", "/v1/images").body("image/png", file.clone()).answer(to).expect(201).json();
    let path = format!("/v1/images/{}", kept["ref"].as_str().unwrap());
    let shown = |query: &str, accept: &str| get(&format!("{path}{query}")).header("accept", accept).answer(to);
    let lossless = shown("", "image/png").expect(200);
    assert_eq!((lossless.header("content-type"), lossless.header("vary")), (Some("image/png"), Some("accept")));
    let options = DecodeOptions::default();
    assert!(decode(&lossless.body, &options).unwrap() == decode(&file, &options).unwrap(), "the same pixels");
    for (query, size) in [("", (100, 63)), ("?side=500", (100, 63)), ("?side=100", (100, 63)), ("?side=48", (48, 30)), ("?side=1", (1, 1))]
    {
        let answer = shown(query, "image/webp,*/*;q=0.8").expect(200);
        assert_eq!(answer.header("content-type"), Some("image/jpeg"), "the usual one");
        assert_eq!(decode(&answer.body, &options).unwrap().size(), size, "{query}");
    }
    shown("", "image/webp").problem(406);
    for query in ["?side=0", "?side=-1", "?side=big", "?sides=5", "?side=99999999999999999999999"] {
        shown(query, "*/*").problem(400);
    }
    get("/v1/images/abc").answer(to).problem(400);
}
