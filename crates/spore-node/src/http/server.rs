//! Workers that accept connections, seat them or refuse them, and close them well.

use core::cell::Cell;
use core::net::SocketAddr;

use edge_nal::io::{Read, Write};
use edge_nal::{Close, TcpAccept, TcpShutdown};
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use spore_core::api::Entrance;

use super::connection::{Connection, Ending, Place, Seat};
use super::shared::SharedBuffer;
use super::{Api, BODY_MAX, BUFFER_LEN, CONNECTIONS, Timeouts, reply};

/// How long to wait for the seat of a connection that was asked to leave, or is being closed.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a client that is refused may take to read so and close.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// Pause after a failed accept: the stack is short of something that time must free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server's shared state: `N` seats for `N` connections at once.
///
/// It belongs to one thread. Run [`worker`](Self::worker) `N + 1` times on the same acceptor:
/// network stacks without a queue of their own, smoltcp's for one, take a connection only while
/// somebody waits for it, and a client that is not even refused does not know what is wrong.
pub struct Server<'b, const N: usize = CONNECTIONS> {
    /// The buffers that no connection uses, each with its seat's number.
    free: Channel<NoopRawMutex, (usize, &'b mut [u8]), N>,
    seats: [Seat; N],
    bodies: SharedBuffer<'b>,
    /// How many more streams there may be.
    streams: Cell<usize>,
    timeouts: Timeouts,
    /// Until when seats are taken away after half the grace, since a client was refused.
    siege: Cell<Instant>,
}

impl<'b, const N: usize> Server<'b, N> {
    /// Makes a server with a buffer for each seat, and `body` for bodies that do not fit there. It
    /// may be empty if every body fits: if each buffer has [`BODY_MAX`] bytes more than it must. At
    /// most `streams` connections at once are streams; they should be fewer than the seats.
    ///
    /// # Panics
    ///
    /// If a buffer is shorter than [`BUFFER_LEN`], or `body` than [`BODY_MAX`] where it is needed.
    pub fn new(
        buffers: [&'b mut [u8]; N],
        body: &'b mut [u8],
        streams: usize,
        timeouts: Timeouts,
    ) -> Self {
        let free = Channel::new();
        let all_fit = buffers.iter().all(|buffer| buffer.len() >= BUFFER_LEN + BODY_MAX);
        assert!(all_fit || body.len() >= BODY_MAX, "a body buffer must hold BODY_MAX bytes");
        for seat in buffers.into_iter().enumerate() {
            assert!(seat.1.len() >= BUFFER_LEN, "an HTTP buffer must hold BUFFER_LEN bytes");
            // The channel holds as many as there are.
            let _ = free.try_send(seat);
        }
        let bodies = SharedBuffer::new(body);
        let seats = [const { Seat::new() }; N];
        let (streams, siege) = (Cell::new(streams), Cell::new(Instant::MIN));
        Self { free, seats, bodies, streams, timeouts, siege }
    }

    /// Accepts connections one after the other and sees each to its end. Never returns. `entrance` says
    /// where one from this address comes in.
    pub async fn worker<T, A>(
        &self,
        acceptor: &T,
        entrance: impl Fn(SocketAddr) -> Entrance,
        api: &A,
    ) -> !
    where
        T: TcpAccept,
        A: Api,
    {
        loop {
            let (from, mut socket) = accept(acceptor).await;
            self.attend(&mut socket, entrance(from), api).await;
        }
    }

    async fn attend<S, A>(&self, socket: &mut S, entrance: Entrance, api: &A)
    where
        S: Read + Write + TcpShutdown,
        A: Api,
    {
        let Some(mut taken) = self.take_seat().await else {
            // Written whole or not at all: it fits any stack's buffer, and nobody is owed more.
            let _ = with_timeout(REFUSAL_TIMEOUT, socket.write_all(reply::BUSY)).await;
            return close(socket, REFUSAL_TIMEOUT).await;
        };
        let (number, buf) = &mut taken.seat;
        let place = Place {
            seats: &self.seats,
            number: *number,
            bodies: &self.bodies,
            streams: &self.streams,
            entrance,
        };
        let ending = Connection::new(socket, buf, place, api, &self.timeouts).serve().await;
        match ending {
            Ending::Finished => {
                let seat = &self.seats[*number];
                seat.closing.set(true);
                seat.set_due(Instant::now() + self.timeouts.grace);
                let closed = close(socket, self.timeouts.linger);
                let displaced = select(closed, seat.asked_to_leave()).await;
                drop(taken);
                if matches!(displaced, Either::Second(())) {
                    reset(socket).await;
                }
            }
            Ending::Idle => {
                drop(taken);
                // While it is being closed, this worker takes nobody else in.
                close(socket, LEAVE_TIMEOUT).await;
            }
            Ending::Broken => {
                drop(taken);
                reset(socket).await;
            }
        }
    }

    /// A free seat, if need be that of a connection which only waits for its next request, or else
    /// of the one which has been without a whole request, or has had all its answers, for longest:
    /// slow clients that come again and again must not keep the others out.
    ///
    /// One that is being closed is likely to be free soon: whoever asks again as soon as he has
    /// read an answer is not refused.
    async fn take_seat(&self) -> Option<Taken<'_, 'b, N>> {
        let seat = match self.free.try_receive() {
            Ok(seat) => Some(seat),
            Err(_) => {
                let now = Instant::now();
                let siege = now < self.siege.get();
                let soon = now + if siege { self.timeouts.grace / 2 } else { Duration::MIN };
                let due = self.seats.iter().filter(|seat| seat.due(soon).is_some());
                let first = due.min_by_key(|seat| seat.due(soon));
                first.inspect(|seat| seat.ask_to_leave());
                if first.is_some() || self.seats.iter().any(|seat| seat.closing.get()) {
                    with_timeout(LEAVE_TIMEOUT, self.free.receive()).await.ok()
                } else {
                    self.siege.set(now + self.timeouts.grace);
                    None
                }
            }
        };
        seat.map(|seat| Taken { server: self, seat })
    }
}

/// A seat in use; dropping it frees the seat, also when a worker is dropped.
struct Taken<'s, 'b, const N: usize> {
    server: &'s Server<'b, N>,
    seat: (usize, &'b mut [u8]),
}

impl<const N: usize> Drop for Taken<'_, '_, N> {
    fn drop(&mut self) {
        let (number, buf) = &mut self.seat;
        self.server.seats[*number].closing.set(false);
        // The channel holds as many as there are.
        let _ = self.server.free.try_send((*number, core::mem::take(buf)));
    }
}

/// The next connection. A future of its own: what a worker keeps over two of its awaits takes memory for as long as it lives, on a
/// board four times.
async fn accept<T: TcpAccept>(acceptor: &T) -> (SocketAddr, T::Socket<'_>) {
    loop {
        if let Ok(accepted) = acceptor.accept().await {
            return accepted;
        }
        Timer::after(ACCEPT_PAUSE).await;
    }
}

/// Ends a connection so that the client can read all that was sent to it: says that no more is to
/// come, and drops what still arrives until the client closes too or the time is over.
async fn close<S: Read + TcpShutdown>(socket: &mut S, timeout: Duration) {
    let farewell = async {
        socket.close(Close::Write).await?;
        let mut dropped = [0; 16];
        while socket.read(&mut dropped).await? > 0 {
            // Who always has more to send must not keep the timer and the others from their turn.
            yield_now().await;
        }
        Ok::<(), S::Error>(())
    };
    if !matches!(with_timeout(timeout, farewell).await, Ok(Ok(()))) {
        reset(socket).await;
    }
}

async fn reset<S: TcpShutdown>(socket: &mut S) {
    // Some stacks wait until the reset has left; a dead link must not hold the worker.
    let _ = with_timeout(REFUSAL_TIMEOUT, socket.abort()).await;
}
