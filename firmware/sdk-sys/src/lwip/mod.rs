//! The headers of lwIP 1.4 in the SDK's configuration. The SDK's libraries call lwIP; the firmware answers in its place.

pub mod err;
pub mod netif;
pub mod pbuf;
