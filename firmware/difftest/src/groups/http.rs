//! HTTP heads by `httparse`, many of them damaged.

use alloc::vec::Vec;

use crate::{Inputs, Trace};

const REQUESTS: [&[u8]; 6] = [
    b"GET /api/node/status HTTP/1.1\r\nHost: spore-1\r\nAccept: */*\r\n\r\n",
    b"POST /api/x?y=1 HTTP/1.1\r\nHost: a.b\r\nContent-Length: 12\r\nX-Q:  z \r\n\r\nhello, world",
    b"PUT /u HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n",
    b"DELETE / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
];

/// One of `requests`, most often cut or with some bytes replaced.
pub(super) fn damaged(inputs: &mut Inputs, requests: &[&[u8]]) -> Vec<u8> {
    let mut request = requests[inputs.index(requests.len())].to_vec();
    match inputs.below(4) {
        0 => {}
        1 => request.truncate(inputs.index(request.len())),
        damage => {
            for _ in 0..damage {
                let at = inputs.index(request.len());
                request[at] = inputs.any() as u8;
            }
        }
    }
    request
}

pub(super) fn heads(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    for _ in 0..300 {
        let bytes = damaged(inputs, &REQUESTS);
        let mut headers = [httparse::EMPTY_HEADER; 3];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&bytes);
        trace.display(format_args!("{parsed:?} {:?} {:?}", request.method, request.version));
        trace.text(request.path.unwrap_or("none"));
        for header in request.headers.iter() {
            trace.text(header.name);
            trace.bytes(header.value);
        }
    }
    for _ in 0..100 {
        let mut line = *b"1a2F;ext=1\r\n";
        let at = inputs.index(line.len());
        line[at] = inputs.any() as u8;
        trace.display(format_args!("{:?}", httparse::parse_chunk_size(&line)));
    }
}
