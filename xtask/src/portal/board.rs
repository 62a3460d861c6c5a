//! The access point of a board: the firmware's node on the stand-in for the SDK.
//!
//! Two networks meet in the machine's one network card. On the access point is the interface `wlan0`; the network that
//! the board is to join is QEMU's user networking, with a DHCP server. They hear the board, and not each other.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use spore_boot::map::Slot;

use crate::e2e::api::Api;
use crate::e2e::network::{ensure_isolated, ip};
use crate::emu::child::Guarded;
use crate::emu::esp01::{Esp01, write_flash};
use crate::emu::machine::dgram;
use crate::firmware::Build;
use crate::flash::settings;
use crate::machine::QEMU;
use crate::process;
use crate::sdk_emu::machine::{Machine, Wire};
use crate::sdk_emu::{StandIn, flash};

/// What is on the air around the board.
const AIR: &str = "home:home-password:6;guest::1";
/// The board there, as QEMU's DHCP server has it.
const ADDRESS: &str = "10.0.2.15";
/// A port of this namespace that leads to the board there.
const API_PORT: u16 = 8080;
/// The address of `wlan0`: by the bit 4 of its first byte the stand-in knows a client.
const CLIENT: &str = "06:00:00:00:00:07";
/// The machine's number, and its addresses on its access point and in the network.
const NUMBER: u16 = 258;
const INSIDE: [u8; 6] = [0x06, b'S', b'P', 0, 1, 2];
/// The longest datagram that is read; frames are at most 1,514 bytes.
const DATAGRAM_MAX: usize = 2048;

/// What the board is made of: stand-ins for mask ROM and SDK, and a flash file with the firmware and the settings of a board that is
/// nobody's, which has nothing but the password of its access point.
///
/// # Errors
/// When something does not build.
pub(super) fn build(folder: &Path, spore: &Path) -> Result<[PathBuf; 3]> {
    let stand_in = StandIn::build(false)?;
    let (image, _) = stand_in.image(&Build::esp01(), Slot::A)?;
    let claim = folder.join("board.settings");
    settings::make(&claim, false, &[], Some(spore.to_owned()))?;
    let file = folder.join("board.flash");
    write_flash(&file, &flash(false, &image, Some(&claim))?)?;
    let Esp01 { rom, sdk, .. } = stand_in.machine(&file);
    let sdk = sdk.context("there is no stand-in for the SDK")?;
    Ok([rom.to_owned(), sdk.to_owned(), file])
}

/// What happens within the namespaces, where the board is what [`build`] has made: what the checks say.
///
/// # Errors
/// When something cannot be set up, or the board does not do what it must.
pub(super) fn inside(folder: &Path, board: Esp01<'_>) -> Result<String> {
    ensure_isolated()?;
    super::own_resolver(folder)?;
    ip("link set lo up")?;
    ip("tuntap add dev wlan0 mode tap").context("no TAP interface; is there a /dev/net/tun?")?;
    ip(&format!("link set wlan0 address {CLIENT} up"))?;

    let air = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a socket")?;
    let hub = air.local_addr().context("a socket has no address")?.port();
    let [card, client, router] = free_ports()?;
    let tap = "tap,id=outside,ifname=wlan0,script=no,downscript=no".to_owned();
    let user = format!(
        "user,id=outside,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:{API_PORT}-{ADDRESS}:80"
    );
    let _client = cable("the access point's air", &tap, dgram("inside", client, hub), folder)?;
    let _router = cable("the network", &user, dgram("inside", router, hub), folder)?;
    thread::spawn(move || carry(&air, card, client, router));

    let machine = Machine {
        board,
        id: NUMBER,
        air: AIR,
        pokes: "",
        wire: Wire::Plug { own: card, peer: hub },
        log: folder.join("board.log"),
    };
    let mut running = machine.run()?;
    let said = super::check(folder, &["board"]);
    let log = process::tail_of(&machine.log, 20);
    ensure!(running.ended()?.is_none() && said.is_ok(), "{said:?}\nthe board's log:\n{log}");
    let api = Api { name: "the board".into(), address: Ipv4Addr::LOCALHOST, port: API_PORT };
    let network = api.get_patiently("/api/network/status")?;
    let is = |pointer: &str, value: serde_json::Value| network.pointer(pointer) == Some(&value);
    ensure!(
        is("/state", "connected".into())
            && is("/address", ADDRESS.into())
            && is("/credentials", "kept".into())
            && is("/access_point/open", false.into()),
        "the board in its network says {network}"
    );
    let log = fs::read_to_string(&machine.log).context("cannot read the board's log")?;
    // The stand-in tells what the SDK was given: WPA2 (3), and the password that was made for this board.
    let shown = "SDK access point SPORE-000102, authmode 3, password of 14 bytes";
    ensure!(log.lines().any(|line| line == shown), "the access point was another:\n{log}");
    for failure in ["FAULT", "PANIC"] {
        ensure!(!log.contains(failure), "the board has failed:\n{log}");
    }
    Ok(said? + "the board is in its network, and keeps what it was told\n")
}

fn free_ports() -> Result<[u16; 3]> {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a socket");
    let sockets = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, socket) in ports.iter_mut().zip(&sockets) {
        *port = socket.local_addr().context("a socket has no address")?.port();
    }
    Ok(ports)
}

/// A QEMU without a machine, which joins what `outside` is with a plug of ours.
fn cable(name: &str, outside: &str, inside: String, folder: &Path) -> Result<Guarded> {
    let log = folder.join(format!("{}.log", name.replace([' ', '\''], "-")));
    let errors = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    Guarded::start(name, QEMU, |command| {
        command
            .args(["-M", "none", "-display", "none", "-monitor", "none", "-serial", "none"])
            .args(["-netdev", outside, "-netdev", "hubport,id=plug1,hubid=0,netdev=outside"])
            .args(["-netdev", &inside, "-netdev", "hubport,id=plug2,hubid=0,netdev=inside"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
    })
}

/// Carries frames between the board's card and those who hear it, for ever: what its access point sends, to the client;
/// what its station sends, to the network.
fn carry(air: &UdpSocket, card: u16, client: u16, router: u16) {
    let mut frame = [0; DATAGRAM_MAX];
    loop {
        // Whoever has not started yet, or is gone, hears nothing.
        let Ok((len, from)) = air.recv_from(&mut frame) else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let to = match from.port() == card {
            false => card,
            true if frame[6..12] == INSIDE => client,
            true => router,
        };
        let _ = air.send_to(&frame[..len], SocketAddr::from((Ipv4Addr::LOCALHOST, to)));
    }
}
