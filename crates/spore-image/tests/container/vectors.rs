//! The test vectors of `docs/image.md`, which another implementation has made.

use crate::sample::image;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use spore_boot::map::Slot;
use spore_image::{Container, SignatureError, build};

static FILE: &str = include_str!("../../../../docs/image-vectors.json");

fn vectors() -> Value {
    serde_json::from_str(FILE).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn what_the_other_implementation_made_is_read_and_made_again() {
    let vectors = vectors();
    let valid = vectors["valid"].as_array().unwrap();
    assert!(valid.len() >= 4);
    let public = bytes(&vectors["public"]).try_into().unwrap();
    for vector in valid {
        let name = vector["name"].as_str().unwrap();
        let file = bytes(&vector["container"]);
        let container = Container::parse(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let head = container.head();
        let signed = vector["signed"].as_bool().unwrap();
        let expected = if signed { Ok(()) } else { Err(SignatureError::Unsigned) };
        assert_eq!(head.verify(&public), expected, "{name}");
        let header = &vector["header"];
        assert_eq!(head.board(), header["board"].as_str().unwrap());
        assert_eq!(head.version(), header["version"].as_str().unwrap());
        assert_eq!(Some(u64::from(head.header.sequence)), header["sequence"].as_u64());
        assert_eq!(container.moved(), vector["moving"].as_array().unwrap().len());
        assert_eq!(head.encode()[..], file[..head.encode().len()]);
        let made = if head.is_program() {
            let sequence = head.header.sequence;
            build::program(container.payload(), head.board(), head.version(), sequence)
        } else {
            let images = Slot::BOTH.map(|slot| image(&container, slot));
            for (image, digest) in images.iter().zip(vector["sha256_of_slots"].as_array().unwrap())
            {
                assert_eq!(Sha256::digest(image)[..], bytes(digest), "{name}");
            }
            let [a, b] = images;
            build::from_slots(&a, &b)
        };
        let mut made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        build::put_signature(&mut made, &head.signature);
        assert_eq!(made, file, "{name}");
    }
}

#[test]
fn what_is_wrong_is_refused_for_the_reason_that_the_vectors_name() {
    let vectors = vectors();
    let refused = vectors["refused"].as_array().unwrap();
    assert!(refused.len() >= 16);
    for vector in refused {
        let error = Container::parse(&bytes(&vector["container"])).unwrap_err();
        assert_eq!(format!("{error:?}"), vector["error"].as_str().unwrap(), "{}", vector["name"]);
    }
}
