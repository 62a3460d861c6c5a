//! What lies between the network's UDP socket and the node.

use core::net::SocketAddr;

use edge_nal::io::ErrorType;
use edge_nal::{Readable, UdpReceive};
use edge_nal_embassy::UdpError;
use embassy_net::udp::RecvError;

/// Drops datagrams that are longer than the buffer, silently.
///
/// edge-nal has a receiver cut such a datagram; edge-nal-embassy makes it an error instead. The
/// node takes an error for a network that is down, and pauses: so anyone who sends ten long
/// datagrams a second could make it deaf.
pub struct WithoutOversize<R>(pub R);

impl<R: ErrorType> ErrorType for WithoutOversize<R> {
    type Error = R::Error;
}

impl<R: UdpReceive<Error = UdpError>> UdpReceive for WithoutOversize<R> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), UdpError> {
        loop {
            match self.0.receive(buffer).await {
                Err(UdpError::Recv(RecvError::Truncated)) => {}
                result => return result,
            }
        }
    }
}

impl<R: Readable> Readable for WithoutOversize<R> {
    async fn readable(&mut self) -> Result<(), R::Error> {
        self.0.readable().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives these results, one after the other.
    struct Script<const N: usize>([Option<Result<usize, UdpError>>; N]);

    impl<const N: usize> ErrorType for Script<N> {
        type Error = UdpError;
    }

    const FROM: SocketAddr =
        SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 1);

    impl<const N: usize> UdpReceive for Script<N> {
        async fn receive(&mut self, _: &mut [u8]) -> Result<(usize, SocketAddr), UdpError> {
            let next = self.0.iter_mut().find_map(Option::take);
            next.expect("no more is asked for").map(|len| (len, FROM))
        }
    }

    #[test]
    fn only_oversize_is_skipped() {
        let long = || Some(Err(UdpError::Recv(RecvError::Truncated)));
        let script = [long(), long(), Some(Ok(7)), long(), Some(Err(UdpError::NoBuffers))];
        let mut receiver = WithoutOversize(Script(script));
        let mut receive =
            || embassy_futures::block_on(receiver.receive(&mut [])).map(|(len, _)| len);
        assert!(matches!(receive(), Ok(7)));
        assert!(matches!(receive(), Err(UdpError::NoBuffers)));
    }
}
