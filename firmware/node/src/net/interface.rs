//! Who a node is on its network, from the start or by DHCP, and on its own access point.

use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;

use embassy_futures::select::select;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};

use super::access_point::AccessPoint;
use super::dhcp::{Change, Client};
use super::driver::Identity;
use super::ethernet::MacAddress;
use super::link::Link;

/// How soon it is tried again to send while another frame is on its way.
const BUSY: Duration = Duration::from_millis(10);

/// One network interface: its identity, and the DHCP client that may change it; and the access point beside it.
pub struct Interface {
    identity: Cell<Identity>,
    client: RefCell<Client>,
    access_point: AccessPoint,
    /// Milliseconds since any point in time.
    clock: fn() -> u64,
    /// Raised when the client may have something to do.
    changed: Signal<NoopRawMutex, ()>,
}

impl Interface {
    /// One that is `identity`, which may have no address yet, until its client is started, beside `access_point`. `clock` tells the milliseconds of embassy's time.
    #[must_use]
    pub const fn new(identity: Identity, access_point: AccessPoint, clock: fn() -> u64) -> Self {
        Self {
            identity: Cell::new(identity),
            client: RefCell::new(Client::new(identity.mac)),
            access_point,
            clock,
            changed: Signal::new(),
        }
    }

    /// Who the node is now, in its network.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity.get()
    }

    /// The access point, which is open or not.
    #[must_use]
    pub const fn access_point(&self) -> &AccessPoint {
        &self.access_point
    }

    /// Who the IP stack is: the node in its network or, while it has no address there, on its access point. `None` if that
    /// is closed.
    #[must_use]
    pub fn stack(&self) -> Option<Identity> {
        let station = Some(self.identity()).filter(|own| !own.ip.is_unspecified());
        station.or_else(|| self.access_point.identity())
    }

    /// The link is up: looks for an address, in the transaction `xid`, a random number.
    pub fn start(&self, xid: u32) {
        self.client.borrow_mut().start((self.clock)(), xid);
        self.changed.signal(());
    }

    /// The link is down: there is no address any more.
    pub fn stop(&self) {
        self.client.borrow_mut().stop();
        self.forget();
    }

    fn forget(&self) {
        let Identity { mac, .. } = self.identity.get();
        self.identity.set(Identity { mac, ip: Ipv4Addr::UNSPECIFIED, prefix_len: 0 });
    }

    /// Takes a received IP packet, from `sender`; returns whether it was for the client, so for nobody else.
    pub(super) fn takes(&self, packet: &[u8], sender: MacAddress) -> bool {
        let taken = self.client.borrow_mut().handle((self.clock)(), packet, sender);
        if taken {
            self.changed.signal(());
        }
        taken
    }

    /// Runs the client, through `link`. `changed` is told what comes of it, with the identity in force.
    pub async fn run<const N: usize>(&self, link: &Link<N>, mut changed: impl FnMut(Change)) -> ! {
        loop {
            let due = self.client.borrow().due();
            if due.is_some_and(|due| due <= (self.clock)()) {
                if !link.can_transmit() {
                    Timer::after(BUSY).await;
                    continue;
                }
                link.write_transmit(|frame| {
                    (self.client.borrow_mut().transmit((self.clock)(), frame), ())
                });
            }
            // The borrow must end before `changed` is told, who may stop the client.
            let change = self.client.borrow_mut().take_change();
            if let Some(change) = change {
                match change {
                    Change::Address(lease) => self.identity.set(Identity {
                        ip: lease.address,
                        prefix_len: lease.prefix_len,
                        ..self.identity.get()
                    }),
                    Change::Lost => self.forget(),
                }
                changed(change);
                continue;
            }
            let due = self.client.borrow().due();
            match due {
                Some(due) => {
                    let wait = Timer::at(Instant::from_millis(due));
                    select(self.changed.wait(), wait).await;
                }
                None => self.changed.wait().await,
            }
        }
    }
}
