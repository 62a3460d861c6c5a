use super::*;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// RFC 4231, sections 4.2 to 4.4, 4.7 and 4.8: the hash and the MAC are wired as they must be.
#[test]
fn the_mac_is_that_of_the_rfc() {
    let vectors: [(Vec<u8>, Vec<u8>, &str); 5] = [
        (
            [0x0b; 20].to_vec(),
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            [0xaa; 20].to_vec(),
            [0xdd; 50].to_vec(),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            [0xaa; 131].to_vec(),
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            [0xaa; 131].to_vec(),
            b"This is a test using a larger than block-size key and a larger than block-size \
              data. The key needs to be hashed before being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, message, expected) in vectors {
        let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&message);
        assert_eq!(mac.finalize().into_bytes().to_vec(), bytes(expected));
    }
}

fn key() -> SigningKey {
    SigningKey::derive(&ClusterKey::from_bytes([7; 32]))
}

fn request() -> Signed<'static> {
    let nonce = "000102030405060708090a0b0c0d".parse().unwrap();
    Signed { method: "PUT", path: "/api/node/config", query: "a=b", nonce, body: b"{}" }
}

/// The expected values were made with Python's `hmac` and `hashlib`.
#[test]
fn a_request_is_signed_as_another_implementation_signs_it() {
    assert_eq!(
        text::hex::<64>(&key().0),
        "dbfcfc622a0424b4eaa05a46aac9c4fd3bf5add71b0b704e91f03cb821f9e485"
    );
    let mut text = String::new();
    request().parts(|part| text.push_str(str::from_utf8(part).unwrap()));
    assert_eq!(
        text,
        "PUT\n/api/node/config?a=b\n000102030405060708090a0b0c0d\n\
         44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
    let mac = key().sign(&request());
    assert_eq!(mac.to_string(), "c0e8aeafd98b1a0e2861cb77b588e241f860534218dd569dd30a3eb8bb93868e");
    assert!(key().verify(&request(), &mac));
}

#[test]
fn any_other_request_key_or_mac_is_refused() {
    let (key, mac) = (key(), key().sign(&request()));
    let other_nonce = Nonce::from_bytes([0; 14]);
    let others = [
        Signed { method: "GET", ..request() },
        Signed { path: "/api/node/confi", ..request() },
        Signed { path: "/api/node/config?a=b", query: "", ..request() },
        Signed { query: "a=c", ..request() },
        Signed { query: "", ..request() },
        Signed { nonce: other_nonce, ..request() },
        Signed { body: b"{} ", ..request() },
        Signed { body: b"", ..request() },
    ];
    // The third is the same text by another way, which no client can send as a path.
    let refused = others.iter().filter(|other| !key.verify(other, &mac)).count();
    assert_eq!(refused, others.len() - 1);
    let foreign = SigningKey::derive(&ClusterKey::from_bytes([8; 32]));
    assert!(!foreign.verify(&request(), &mac));
    for bit in 0..256 {
        let mut flipped = mac;
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.verify(&request(), &flipped), "bit {bit}");
    }
}

#[test]
fn credentials_in_a_field_are_read_back_and_nothing_else_is_taken_for_some() {
    let (nonce, mac) = (request().nonce, key().sign(&request()));
    let parse = |text: &str| {
        let found = Credentials::from_field(text);
        found.map(|found| (found.nonce.to_string(), found.mac.to_string()))
    };
    let good = Ok((nonce.to_string(), mac.to_string()));
    assert_eq!(parse(&Credentials { nonce, mac }.to_string()), good);
    for text in [
        format!("spore-hmac-sha256 MAC={mac},Nonce={nonce}"),
        format!("  SPORE-HMAC-SHA256   nonce = \"{nonce}\" ,  mac=\"{mac}\"  "),
    ] {
        assert_eq!(parse(&text), good, "{text}");
    }
    let whole = Credentials { nonce, mac }.to_string();
    for cut in 0..whole.len() {
        assert_eq!(parse(&whole[..cut]), Err(MalformedCredentials), "{cut}");
    }
    for text in [
        format!("{SCHEME} nonce={nonce}"),
        format!("{SCHEME} mac={mac}"),
        format!("{SCHEME} nonce={nonce}, mac={mac}, mac={mac}"),
        format!("{SCHEME} nonce={nonce}, nonce={nonce}, mac={mac}"),
        format!("{SCHEME} nonce={nonce}, mac={mac}, realm=x"),
        format!("{SCHEME} nonce={nonce}, mac={mac},"),
        format!("{SCHEME} nonce={nonce}, mac={mac}0"),
        format!("{SCHEME} nonce=\"{nonce}, mac={mac}"),
        format!("Basic nonce={nonce}, mac={mac}"),
        format!("{SCHEME} nonce={nonce}, mac={}", mac.to_string().to_uppercase()),
    ] {
        assert_eq!(parse(&text), Err(MalformedCredentials), "{text}");
    }
}

#[test]
fn credentials_in_a_query_are_its_last_two_parameters() {
    let (nonce, mac) = (request().nonce, key().sign(&request()));
    let tail = format!("auth-nonce={nonce}&auth-mac={mac}");
    for rest in ["", "a=b", "a=b&c", "&"] {
        let joined = if rest.is_empty() { tail.clone() } else { format!("{rest}&{tail}") };
        let (signed, found) = Credentials::from_query(&joined).unwrap();
        assert_eq!((signed, found.unwrap().nonce), (rest, nonce), "{joined}");
        assert_eq!(found.unwrap().mac.0, mac.0);
        let (signed, found) = Credentials::from_query(rest).unwrap();
        assert_eq!((signed, found.is_none()), (rest, true));
    }
    for query in [
        format!("{tail}&a=b"),
        format!("auth-mac={mac}&auth-nonce={nonce}"),
        format!("auth-nonce={nonce}"),
        format!("auth-mac={mac}"),
        format!("auth-nonce={nonce}&a=b&auth-mac={mac}"),
        format!("{tail}&{tail}"),
        format!("{tail}0"),
        "auth-mac=".into(),
    ] {
        assert!(Credentials::from_query(&query).is_err(), "{query}");
    }
}
